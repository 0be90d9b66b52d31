//! Slow callers, which hold resources: each is disconnected within its limit, and meanwhile the
//! calls of an honest one are answered quickly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rpc::{Client, Credentials, Role, limits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::authority::Authority;
use crate::driver::{Server, in_time};
use crate::frames::{PREFACE, Wire, beginning, call, half_a_call, part, reset, rest};
use crate::{log, raw};

const STATUS: &str = "/mapmill.v1.Driver/Status";

/// A call that is answered in this time was not kept waiting. Machines are busy.
const QUICK: Duration = Duration::from_secs(2);

/// Allowed beyond the limits, for the same reason.
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn slow_callers_are_disconnected_in_time() {
    let server = Server::start(Credentials::default()).await;
    let good = Good::start(server.client(&Credentials::default()));
    let first = limits::FIRST_CALL_DEADLINE;
    let mut cases = JoinSet::new();
    for (case, said, answers_pings) in [
        ("nothing at all", vec![], false),
        ("half a preface", PREFACE[..10].to_vec(), false),
        ("no settings", PREFACE.to_vec(), false),
        ("no call", beginning(), true),
        ("half a call", [beginning(), half_a_call(1, STATUS)].concat(), false),
        ("no call that may be made", [beginning(), call(1, "/none")].concat(), true),
    ] {
        let mut wire = Wire::connect(server.address).await;
        cases.spawn(async move {
            assert!(wire.send(&said).await, "{case}");
            let closed = async {
                match answers_pings {
                    true => while wire.next().await.is_some() {},
                    false => wire.closed().await,
                }
            };
            gone_within(case, first, closed).await;
        });
    }
    let wire = Wire::connect(server.address).await;
    cases.spawn(drip(wire));

    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
    good.was_quick().await;
    log::expect("refused a connection without a call that may be made within 5 s").await;
}

#[tokio::test]
async fn slow_handshakes_are_disconnected_in_time() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;
    let good = Good::start(server.client(&authority.credentials(Role::Viewer, "eve")));
    // A valid certificate does not give a caller more time.
    let folder = authority.folder(Role::Worker, "w");
    let config = raw::config(&authority.certificate, Some(&folder));

    let mut silent = Wire::connect(server.address).await;
    let mut half = Wire::connect(server.address).await;
    assert!(half.send(&[0x16, 3, 1, 1, 0, 1]).await);
    let mut polite = raw::connect(server.address, &config).await.unwrap();
    let after = async {
        let mut bytes = [0; 1 << 10];
        while polite.read(&mut bytes).await.is_ok_and(|bytes| bytes > 0) {}
    };
    tokio::join!(
        gone_within("no hello", limits::HANDSHAKE_DEADLINE, silent.closed()),
        gone_within("half a hello", limits::HANDSHAKE_DEADLINE, half.closed()),
        gone_within("nothing after the handshake", limits::FIRST_CALL_DEADLINE, after),
    );

    good.was_quick().await;
    log::expect("refused a handshake: it took longer than 3 s").await;
}

/// The connection has had an admitted call, and is alive: only the call ends.
async fn drip(mut wire: Wire) {
    let message = [0, 0, 0, 1, 0];
    assert!(wire.send(&[beginning(), call(1, STATUS), part(1, &message)].concat()).await);
    let dripping = async {
        let mut drips = tokio::time::interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                frame = wire.next() => {
                    let frame = frame.expect("the connection lives");
                    if frame.stream == 1 && frame.is_answer() {
                        return;
                    }
                }
                _ = drips.tick() => assert!(wire.send(&part(1, b"x")).await),
            }
        }
    };
    gone_within("a dripping message", limits::MESSAGE_DEADLINE, dripping).await;

    assert!(wire.send(&[call(3, STATUS), rest(3, &[0; 5])].concat()).await);
    let answered = async {
        while let Some(frame) = wire.next().await {
            if frame.stream == 3 && frame.is_answer() {
                return;
            }
        }
        panic!("the connection is closed, which was not to blame");
    };
    in_time(answered).await;
}

/// The driver waits for as many connections as it takes; older ones are evicted at once, and not
/// all of them are logged. Neither a working nor a connecting worker is delayed.
#[tokio::test]
async fn crowd_of_idle_connections_delays_no_worker() {
    let server = Server::start(Credentials::default()).await;
    let good = Good::start(server.client(&Credentials::default()));
    good.has_begun().await;
    let crowd = 5_000.min(open_files() / 2 - 500);
    assert!(crowd > limits::IDLE_CONNECTIONS_MAX, "not enough open files to show it: {crowd}");

    let began = Instant::now();
    let mut strangers = JoinSet::new();
    for _ in 0..crowd {
        let stream = connect(&server).await;
        strangers.spawn(async move {
            let mut stream = stream;
            let mut bytes = [0; 100];
            while stream.read(&mut bytes).await.is_ok_and(|bytes| bytes > 0) {}
            began.elapsed()
        });
    }
    let comes = Instant::now();
    server.client(&Credentials::default()).status().await.unwrap();
    assert!(comes.elapsed() < SLACK, "{:?}", comes.elapsed());

    let mut at_once = 0;
    while let Some(gone) = in_time(strangers.join_next()).await {
        at_once += usize::from(gone.unwrap() < limits::FIRST_CALL_DEADLINE);
    }
    assert!(began.elapsed() < limits::FIRST_CALL_DEADLINE + 2 * SLACK, "{:?}", began.elapsed());
    assert!(at_once >= crowd - limits::IDLE_CONNECTIONS_MAX, "{at_once} of {crowd} closed at once");
    good.was_quick().await;
    server.stop().await;
    let logged = log::take();
    assert!(logged.contains("1024 others came after it"), "{logged}");
    assert!(logged.contains("times more than was logged"), "{logged}");
    assert!(logged.lines().count() < 100, "{} lines", logged.lines().count());
}

#[tokio::test]
async fn driver_that_ends_waits_for_no_idle_connection() {
    let server = Server::start(Credentials::default()).await;
    let mut stranger = Wire::connect(server.address).await;
    // Connections are accepted in their order.
    server.status(&Credentials::default()).await.unwrap();
    let began = Instant::now();

    server.stop().await;

    assert!(began.elapsed() < limits::FIRST_CALL_DEADLINE / 2, "{:?}", began.elapsed());
    in_time(stranger.closed()).await;
}

#[tokio::test]
async fn rapid_resets_end_their_connection() {
    let server = Server::start(Credentials::default()).await;
    let good = Good::start(server.client(&Credentials::default()));
    let mut wire = Wire::connect(server.address).await;
    assert!(wire.send(&beginning()).await);

    let storm = async {
        for round in 0..1_000_u32 {
            let calls = (0..100).flat_map(|call_number| {
                let stream = 1 + 2 * (100 * round + call_number);
                [call(stream, STATUS), reset(stream)].concat()
            });
            if !wire.send(&calls.collect::<Vec<_>>()).await {
                return round;
            }
        }
        panic!("100,000 calls were begun and reset");
    };
    let rounds = in_time(storm).await;

    assert!(rounds < 900, "{rounds}");
    good.was_quick().await;
}

/// An active worker, which makes a call now and then.
struct Good {
    calls: JoinHandle<()>,
    answered: Arc<AtomicU64>,
    slowest_millis: Arc<AtomicU64>,
}

impl Good {
    fn start(mut client: Client) -> Self {
        let (answered, slowest_millis) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (count, slowest) = (Arc::clone(&answered), Arc::clone(&slowest_millis));
        let calls = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                client.status().await.expect("it may call");
                let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                slowest.fetch_max(millis, Ordering::Relaxed);
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { calls, answered, slowest_millis }
    }

    async fn has_begun(&self) {
        let begun = async {
            while self.answered.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        in_time(begun).await;
    }

    async fn was_quick(self) {
        self.has_begun().await;
        assert!(!self.calls.is_finished(), "a good call was not answered");
        self.calls.abort();
        let slowest = Duration::from_millis(self.slowest_millis.load(Ordering::Relaxed));
        assert!(slowest < QUICK, "{slowest:?}");
    }
}

/// Checks that it ends within its limit, and not before.
async fn gone_within(case: &str, limit: Duration, ends: impl Future<Output = ()>) {
    let began = Instant::now();
    let ended = tokio::time::timeout(limit + SLACK, ends).await;
    assert!(ended.is_ok(), "{case}: still there after {:?}", began.elapsed());
    let took = began.elapsed();
    assert!(took + SLACK > limit, "{case}: gone after {took:?} already");
}

async fn connect(server: &Server) -> TcpStream {
    in_time(TcpStream::connect(server.address)).await.expect("the kernel takes it")
}

/// How many files may be open, as many as this process can have.
fn open_files() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("it may be raised");
    maximum.map_or(usize::MAX, |most| usize::try_from(most).expect("it is a count"))
}
