//! A fingerprint of everything that driver, workers and network do, in order.
//!
//! Computed from the log events of our own crates, which are the scheduler's transcript, and from
//! those of the simulated network. Left out are the bytes in the packets (HTTP answers carry the
//! real date) and the order of packets within a step, which tokio chooses at random.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    static TRACE: RefCell<Option<Rc<RefCell<Trace>>>> = const { RefCell::new(None) };
}

/// The events of one simulation, which runs on this thread.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    /// Of the packets of this step, in any order.
    packets: u64,
    /// Virtual milliseconds.
    now: u128,
    log: VecDeque<String>,
}

impl Trace {
    /// Listens to this thread from now on.
    pub fn begin() -> Rc<RefCell<Self>> {
        let trace = Self { hash: EMPTY, packets: 0, now: 0, log: VecDeque::new() };
        let trace = Rc::new(RefCell::new(trace));
        TRACE.set(Some(Rc::clone(&trace)));
        trace
    }

    /// Another step begins.
    pub fn begin_step(&mut self, now: Duration) {
        let packets = std::mem::take(&mut self.packets);
        self.hash = mix(self.hash, &packets.to_le_bytes());
        self.now = now.as_millis();
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn log(&self) -> Vec<String> {
        self.log.iter().cloned().collect()
    }

    /// Adds a line to the hash and to the log.
    pub fn tell(&mut self, what: &str) {
        self.hash = mix(self.hash, what.as_bytes());
        self.remark(what);
    }

    /// Adds a line to the log alone: it differs from run to run, as paths of temporary files do.
    fn remark(&mut self, what: &str) {
        let line = format!("{:>7.2} {what}", self.now as f64 / 1000.0);
        self.log.push_back(line);
        if self.log.len() > LOG_LINES {
            self.log.pop_front();
        }
    }
}

/// FNV-1a.
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let mix = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(hash, mix)
}

const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// Adds a line to the trace of this thread.
pub fn tell(what: &str) {
    TRACE.with_borrow(|trace| {
        if let Some(trace) = trace {
            trace.borrow_mut().tell(what);
        }
    });
}

/// As [`tell`], for a line that differs from run to run.
pub fn remark(what: &str) {
    TRACE.with_borrow(|trace| {
        if let Some(trace) = trace {
            trace.borrow_mut().remark(what);
        }
    });
}

/// Hands every event to the trace of its thread.
pub struct Listener;

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        metadata.is_event()
            && (target == NETWORK
                || ["driver", "journal", "rpc", "worker"]
                    .iter()
                    .any(|ours| target.starts_with(ours)))
    }

    fn event(&self, event: &Event<'_>) {
        TRACE.with_borrow(|trace| {
            let Some(trace) = trace else { return };
            let trace = &mut *trace.borrow_mut();
            let is_network = event.metadata().target() == NETWORK;
            let mut line = Line { text: String::new(), is_network };
            event.record(&mut line);
            if !is_network {
                let krate = event.metadata().target().split("::").next().unwrap_or_default();
                trace.tell(&format!("{krate}: {}", line.text));
            } else if !line.text.starts_with("step") {
                let packet = mix(EMPTY, line.text.as_bytes());
                trace.packets = trace.packets.wrapping_add(packet);
            }
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line {
    text: String,
    is_network: bool,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.text, "{value:?} "),
            "protocol" if self.is_network => Ok(()),
            name => write!(self.text, "{name}={value:?} "),
        };
        written.expect("writing to memory cannot fail");
    }
}

const NETWORK: &str = "turmoil";

/// How many lines of a failed run are shown.
const LOG_LINES: usize = 400;
