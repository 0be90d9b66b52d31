//! A network with faults: carries TCP connections between workers and a driver.
//!
//! It does to connections what networks do, as their two ends see it: bytes arrive late, or not at
//! all while both ends consider the connection open; one end closes it and the other never sees
//! that; the connection breaks. Nothing here knows what the bytes mean. Every fault is counted, so
//! that a test can see that it struck.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

/// One of the two directions in a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    ToDriver,
    ToWorker,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// In order: both ends read an end (FIN).
    Close,
    /// With an error (RST).
    Reset,
}

/// Carries connections to one driver until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    network: Arc<Network>,
}

#[derive(Debug)]
struct Network {
    driver: String,
    over: AtomicBool,
    /// Nothing moves.
    stalled: AtomicBool,
    delay_ms: AtomicU64,
    accepted: AtomicUsize,
    /// Bytes that were sent and never arrived.
    lost: AtomicUsize,
    /// Connections that at least one end considers open.
    links: Mutex<Vec<Arc<Link>>>,
}

#[derive(Debug)]
struct Link {
    to_worker: TcpStream,
    to_driver: TcpStream,
    /// Whether bytes for the driver are lost, and bytes for the worker.
    driver_deaf: AtomicBool,
    worker_deaf: AtomicBool,
    cut: AtomicBool,
    /// Directions that have ended.
    ended: AtomicUsize,
}

impl Proxy {
    pub fn start(driver: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let network = Arc::new(Network {
            driver: driver.to_owned(),
            over: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            accepted: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            links: Mutex::default(),
        });
        let accepting = Arc::clone(&network);
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, network }
    }

    /// The driver's address for workers.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many connections were made so far.
    pub fn accepted(&self) -> usize {
        self.network.accepted.load(SeqCst)
    }

    /// How many bytes were sent and never arrived.
    pub fn lost(&self) -> usize {
        self.network.lost.load(SeqCst)
    }

    /// From now on every byte takes so long, in both directions.
    pub fn delay(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).expect("a delay is short");
        self.network.delay_ms.store(delay_ms, SeqCst);
    }

    /// Nothing moves, in connections old and new, and neither end sees it.
    pub fn stall(&self) {
        self.network.stalled.store(true, SeqCst);
    }

    /// What was stalled moves again.
    pub fn heal(&self) {
        self.network.stalled.store(false, SeqCst);
    }

    /// Bytes in this direction are lost in the open connections, and so is their end. New
    /// connections are not affected. Returns how many were hit.
    pub fn lose(&self, way: Way) -> usize {
        let links = self.network.links();
        for link in links.iter() {
            link.deaf(way).store(true, SeqCst);
        }
        links.len()
    }

    /// Closes one end of the open connections, the one to which this direction leads, unseen by the
    /// other. Returns how many were hit.
    pub fn close_unheard(&self, way: Way) -> usize {
        self.lose(Way::ToDriver);
        self.lose(Way::ToWorker);
        let links = self.network.links();
        for link in links.iter() {
            // It may be closed already.
            let _ = link.ends(way).1.shutdown(Shutdown::Both);
        }
        links.len()
    }

    /// Ends the open connections. Returns how many.
    pub fn cut(&self, how: Cut) -> usize {
        let links = std::mem::take(&mut *self.network.links());
        for link in &links {
            for end in [&link.to_worker, &link.to_driver] {
                // Either may be closed already.
                let _ = match how {
                    Cut::Close => end.shutdown(Shutdown::Both),
                    // Takes effect when the last user of the socket drops it.
                    Cut::Reset => {
                        set_socket_linger(end, Some(Duration::ZERO)).map_err(io::Error::from)
                    }
                };
            }
            link.cut.store(true, SeqCst);
        }
        links.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.over.store(true, SeqCst);
        self.cut(Cut::Close);
        // Wakes the accepting thread; if that fails the process is ending anyway.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Network {
    fn links(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        // Nothing can panic while it is held.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn deaf(&self, way: Way) -> &AtomicBool {
        match way {
            Way::ToDriver => &self.driver_deaf,
            Way::ToWorker => &self.worker_deaf,
        }
    }

    /// The source and the destination of this direction.
    fn ends(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::ToDriver => (&self.to_worker, &self.to_driver),
            Way::ToWorker => (&self.to_driver, &self.to_worker),
        }
    }
}

fn accept(listener: &TcpListener, network: &Arc<Network>) {
    for worker in listener.incoming() {
        if network.over.load(SeqCst) {
            return;
        }
        // The worker has disconnected, or the driver is not there: the worker sees an end.
        let Ok(link) = worker.and_then(|worker| connect(worker, &network.driver)) else { continue };
        network.accepted.fetch_add(1, SeqCst);
        let link = Arc::new(link);
        network.links().push(Arc::clone(&link));
        for way in [Way::ToDriver, Way::ToWorker] {
            let (network, link) = (Arc::clone(network), Arc::clone(&link));
            thread::spawn(move || {
                // An error: one end is closed, which the other direction finds by itself.
                let _ = carry(&network, &link, way);
                let deaf = link.driver_deaf.load(SeqCst) || link.worker_deaf.load(SeqCst);
                if link.ended.fetch_add(1, SeqCst) == 1 && !deaf {
                    network.links().retain(|other| !Arc::ptr_eq(other, &link));
                }
            });
        }
    }
}

fn connect(to_worker: TcpStream, driver: &str) -> io::Result<Link> {
    let to_driver = TcpStream::connect(driver)?;
    for end in [&to_worker, &to_driver] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(GLANCE))?;
    }
    Ok(Link {
        to_worker,
        to_driver,
        driver_deaf: AtomicBool::new(false),
        worker_deaf: AtomicBool::new(false),
        cut: AtomicBool::new(false),
        ended: AtomicUsize::new(0),
    })
}

/// One direction of a connection, to its end.
fn carry(network: &Network, link: &Link, way: Way) -> io::Result<()> {
    let (mut from, mut to) = link.ends(way);
    // What was read and has not arrived; an empty block is the end.
    let mut in_flight = VecDeque::<(Instant, Vec<u8>)>::new();
    let mut block = vec![0; 64 << 10];
    let mut is_open = true;
    while !link.cut.load(SeqCst) && (is_open || !in_flight.is_empty()) {
        if network.stalled.load(SeqCst) || !is_open {
            thread::sleep(GLANCE);
        } else {
            let length = match from.read(&mut block) {
                Ok(length) => Some(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(_) => Some(0),
            };
            if let Some(length) = length {
                is_open = length > 0;
                let delay = Duration::from_millis(network.delay_ms.load(SeqCst));
                in_flight.push_back((Instant::now() + delay, block[..length].to_vec()));
            }
        }
        while !network.stalled.load(SeqCst)
            && let Some((_, bytes)) = in_flight.pop_front_if(|(due, _)| *due <= Instant::now())
        {
            if link.deaf(way).load(SeqCst) {
                network.lost.fetch_add(bytes.len(), SeqCst);
            } else if bytes.is_empty() {
                to.shutdown(Shutdown::Write)?;
            } else {
                to.write_all(&bytes)?;
            }
        }
    }
    Ok(())
}

/// How often each direction checks its connection.
const GLANCE: Duration = Duration::from_millis(10);
