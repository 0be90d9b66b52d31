//! A network that loses, delays and cuts what driver and workers send: no process waits for ever,
//! and no task runs more often than it must.
//!
//! The workers reach their driver through a proxy of ours, which does to their connections what a
//! network does, see `util/proxy.rs`. Most of this is waiting, so cases are tried side by side.

mod util;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal};

use util::cluster::{Attempt, Cluster, FAREWELL, Phase};
use util::job::TestJob;
use util::process::Process;
use util::proxy::{Cut, Proxy, Way};

/// Some words, and two tasks a phase, so that what follows a fault is seen too. The timeouts are
/// the defaults. Nothing is raced, so that attempts can be counted.
fn job() -> TestJob {
    TestJob::new()
        .input("over the network and back again ".repeat(625))
        .map_tasks(2)
        .reduce_tasks(2)
        .flags(["--no-backup"])
}

/// A worker at this speed has its share in a second.
const SLOW: [&str; 2] = ["--throttle", "10K"];

/// What is done to the open connections.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// What the worker sends is lost; what the driver sends arrives.
    DriverDeaf,
    /// The driver closes the connection, and the worker never sees it.
    DriverGone,
    /// What the driver sends is lost; what the worker sends arrives.
    WorkerDeaf,
    /// The worker closes the connection, and the driver never sees it.
    WorkerGone,
}

impl Fault {
    const ALL: [Self; 4] = [Self::DriverDeaf, Self::DriverGone, Self::WorkerDeaf, Self::WorkerGone];

    #[track_caller]
    fn strike(self, proxy: &Proxy) {
        let hit = match self {
            Self::DriverDeaf => proxy.lose(Way::ToDriver),
            Self::DriverGone => proxy.close_unheard(Way::ToDriver),
            Self::WorkerDeaf => proxy.lose(Way::ToWorker),
            Self::WorkerGone => proxy.close_unheard(Way::ToWorker),
        };
        assert_eq!(hit, 1, "a worker has one connection");
    }
}

/// Runs all cases at once, for they do nothing but wait.
#[track_caller]
fn side_by_side<T: Copy + fmt::Debug + Sync>(cases: &[T], check: impl Fn(T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            let name = format!("{case:?}");
            let started = thread::Builder::new().name(name).spawn_scoped(scope, || check(*case));
            started.expect("the system allows another thread");
        }
    });
}

/// When a connection is half open.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Map,
    Reduce,
    Waiting,
}

/// The worker behind the network reconnects by itself, and soon enough that it keeps its lease:
/// every task runs once.
#[test]
fn half_open_connection_costs_only_time() {
    let moments = [Moment::Map, Moment::Reduce, Moment::Waiting];
    let cases = moments.map(|moment| Fault::ALL.map(|fault| (moment, fault)));
    side_by_side(cases.as_flattened(), |(moment, fault)| match moment {
        Moment::Map => check_half_open_at_work(Phase::Map, fault),
        Moment::Reduce => check_half_open_at_work(Phase::Reduce, fault),
        Moment::Waiting => check_half_open_in_waiting(fault),
    });
}

#[track_caller]
fn check_half_open_at_work(phase: Phase, fault: Fault) {
    let mut cluster = job().drive();
    let proxy = Proxy::start(cluster.address());
    let worker = cluster.worker_by(proxy.address(), &SLOW);
    at_work(&mut cluster, phase, worker);
    fault.strike(&proxy);

    finish_undisturbed(cluster, &proxy);
}

#[track_caller]
fn check_half_open_in_waiting(fault: Fault) {
    // The flag once more: calls are logged, too.
    let mut cluster = job().map_tasks(1).reduce_tasks(4).flags(["-v"]).drive();
    let proxy = Proxy::start(cluster.address());
    // Alone it would need twelve seconds: there is work for both when the other reconnects.
    let busy = cluster.worker(&["--throttle", "3500"]);
    cluster.running(Phase::Map, busy);
    let idle = cluster.worker_by(proxy.address(), &[]);
    cluster.driver.wait_for("idle w1");
    fault.strike(&proxy);

    cluster.workers[idle].wait_for("reduce task");
    finish_undisturbed(cluster, &proxy);
}

/// Waits until `worker` has its task: until then the answer may still be in the network.
#[track_caller]
fn at_work(cluster: &mut Cluster, phase: Phase, worker: usize) -> Attempt {
    let attempt = cluster.running(phase, worker);
    let kind = match phase {
        Phase::Map => "map",
        Phase::Reduce => "reduce",
    };
    let said = format!("{kind} task {}, attempt {}", attempt.task, attempt.number);
    cluster.workers[worker].wait_for(&said);
    attempt
}

/// The job is done, all processes end with it, and no task was reassigned.
#[track_caller]
fn finish_undisturbed(mut cluster: Cluster, proxy: &Proxy) {
    cluster.driver.wait_for(": job ");
    let executed: Vec<_> = cluster.workers.iter().flat_map(executed).collect();
    let different: BTreeSet<_> = executed.iter().collect();
    assert_eq!(executed.len(), different.len(), "an attempt was executed again: {executed:?}");
    let ended = cluster.finish();
    assert!(proxy.accepted() > 1, "the worker never had to connect again");
    assert_eq!(ended.attempts_lost(), 0);
    ended.assert_ran(&[]);
}

/// The driver commits and answers, and the answer is lost.
#[track_caller]
fn check_lost_answer(phase: Phase) {
    let mut cluster = job().drive();
    let proxy = Proxy::start(cluster.address());
    let worker = cluster.worker_by(proxy.address(), &SLOW);
    let attempt = at_work(&mut cluster, phase, worker);
    assert_eq!(proxy.lose(Way::ToWorker), 1);
    cluster.driver.wait_for(&format!(": published {attempt}"));
    assert_eq!(proxy.cut(Cut::Reset), 1);

    cluster.driver.wait_for(&format!(": done w0 {attempt}: accepted"));
    let ended = cluster.finish();
    assert!(proxy.lost() > 0, "every answer arrived");
    assert_eq!(ended.log.matches(&format!(": published {attempt}\n")).count(), 1);
    assert!(ended.job.commits().values().all(|&times| times == 1), "{:?}", ended.job.commits());
    assert_eq!(ended.report()["attempts"]["started"], 4);
    assert_eq!(ended.attempts_lost(), 0);
    ended.assert_ran(&[]);
}

/// What a worker has executed, by its own log: a driver cannot distinguish an attempt that is
/// reported again from one that is executed again.
fn executed(worker: &Process) -> Vec<String> {
    let log = worker.log();
    let said = log.lines().filter_map(|line| line.strip_prefix("mapmill: "));
    let kinds = ["map task ", "reduce task "];
    let is_begin =
        |said: &&str| kinds.iter().any(|kind| said.starts_with(kind)) && !said.contains([':', ';']);
    said.filter(is_begin).map(ToOwned::to_owned).collect()
}

#[test]
fn commit_whose_answer_is_lost_counts_once_and_is_accepted_again() {
    side_by_side(&[Phase::Map, Phase::Reduce], check_lost_answer);
}

#[test]
fn connections_that_are_cut_again_and_again_cost_only_time() {
    side_by_side(&[Cut::Close, Cut::Reset], |cut| {
        // Connections are made for calls: heartbeats are sent every fifth of the timeout.
        let job = job().map_tasks(8).reduce_tasks(4).flags(["--worker-timeout", "3"]);
        let mut cluster = job.drive();
        let proxy = Proxy::start(cluster.address());
        // So that a third of all calls are in flight when it strikes.
        proxy.delay(Duration::from_millis(30));
        for _ in 0..2 {
            cluster.worker_by(proxy.address(), &["--throttle", "5K"]);
        }
        let mut cuts = 0;
        while !cluster.driver.log().contains(": job done") {
            cuts += proxy.cut(cut);
            // The passing of time is the fault.
            thread::sleep(Duration::from_millis(200));
        }
        assert!(cuts >= 10, "{cuts} cuts are too few");

        finish_undisturbed(cluster, &proxy);
    });
}

/// How a worker misses the end of its job.
#[derive(Clone, Copy, Debug)]
enum Missed {
    /// The answer is lost, and the connection breaks when the driver has ended.
    Lost,
    /// The worker is stopped for longer than the driver answers.
    Stopped,
}

#[test]
fn worker_that_misses_the_end_of_its_job_finds_it_in_the_journal() {
    side_by_side(&[Missed::Lost, Missed::Stopped], |missed| {
        let mut cluster = job().drive();
        let proxy = Proxy::start(cluster.address());
        let worker = cluster.worker_by(proxy.address(), &["--throttle", "1K"]);
        at_work(&mut cluster, Phase::Map, worker);
        match missed {
            Missed::Lost => assert_eq!(proxy.lose(Way::ToWorker), 1),
            Missed::Stopped => cluster.signal(worker, Signal::STOP),
        }
        // A job that is interrupted ends at once, and its workers with it.
        cluster.driver.signal(Signal::INT);
        assert_eq!(cluster.driver.code(), 130);
        match missed {
            Missed::Lost => assert_eq!(proxy.cut(Cut::Reset), 1),
            Missed::Stopped => cluster.signal(worker, Signal::CONT),
        }
        let cut_off = Instant::now();

        let (status, at) = cluster.workers[worker].wait();

        assert_eq!(status.code(), Some(0));
        assert!(at - cut_off < FAREWELL, "{:?}", at - cut_off);
        cluster.workers[worker].wait_for("the job is over");
    });
}

#[test]
fn task_behind_a_stalled_network_is_reassigned_and_its_late_report_is_stale() {
    let mut cluster = job().flags(["--worker-timeout", "2"]).drive();
    let proxy = Proxy::start(cluster.address());
    let cut_off = cluster.worker_by(proxy.address(), &SLOW);
    let attempt = at_work(&mut cluster, Phase::Map, cut_off);
    proxy.stall();
    // Still busy when the report arrives that was in flight all the time.
    let other = cluster.worker(&["--throttle", "3K"]);
    assert_eq!(cluster.reassigned_to(attempt), other);
    proxy.heal();

    cluster.driver.wait_for(&format!(": done w0 {attempt}: stale"));
    cluster.workers[cut_off].wait_for("considers this worker lost");
    let ended = cluster.finish();
    assert_eq!(ended.attempts_lost(), 1);
    assert_eq!(ended.log.matches(&format!(" {attempt}: publishing")).count(), 0);
    ended.assert_ran(&[&format!("m{}", attempt.task)]);
}

#[test]
fn network_with_a_high_latency_costs_only_time() {
    const DELAY: Duration = Duration::from_millis(200);
    // Heartbeats are sent every fifth of the timeout, which is as long as an answer takes.
    let mut cluster = job().map_tasks(4).flags(["--worker-timeout", "2"]).drive();
    let proxy = Proxy::start(cluster.address());
    proxy.delay(DELAY);
    let began = Instant::now();
    for _ in 0..2 {
        cluster.worker_by(proxy.address(), &SLOW);
    }
    cluster.driver.wait_for(": job done");
    // To register, to ask and to report, each there and back, in either phase.
    assert!(began.elapsed() >= 8 * DELAY, "{:?} for all of it", began.elapsed());
    let ended = cluster.finish();
    assert_eq!(ended.attempts_lost(), 0);
    ended.assert_ran(&[]);
}

/// Some send nothing, others half of the preface. The driver ends with its job, and waits for none
/// of them.
#[test]
fn silent_connections_do_not_hold_up_a_job() {
    let mut cluster = job().drive();
    let mut silent: Vec<_> = (0..50)
        .map(|_| TcpStream::connect(cluster.address()).expect("the driver listens"))
        .collect();
    for stream in &mut silent[..25] {
        stream.write_all(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..12]).expect("they are connected");
    }
    cluster.worker(&SLOW);
    cluster.driver.wait_for(": job done");
    let ended = cluster.finish();
    ended.assert_ran(&[]);
}

/// Most of its time the job waits for its throttle, so that other work of this machine does not
/// show. Its worker connects when the crowd is there, and has to get through it.
#[test]
fn crowd_of_silent_connections_costs_a_job_less_than_a_fifth_of_its_time() {
    const CROWD: usize = 5_000;
    let (usual, _) = time_among(0);

    let (took, turned_away) = time_among(CROWD);

    // At least those above the limit of idle connections; each connects again when it is closed.
    assert!(turned_away > CROWD / 2, "{turned_away} were turned away");
    assert!(took < usual.mul_f64(1.2), "{took:?} in a crowd, {usual:?} alone");
}

/// How long a job takes among so many silent connections, and how many of them the driver turned
/// away.
fn time_among(strangers: usize) -> (Duration, usize) {
    let mut cluster = job().drive();
    let crowd = Crowd::gather(cluster.address(), strangers);
    let began = Instant::now();
    cluster.worker(&SLOW);
    cluster.driver.wait_for(": job done");
    let took = began.elapsed();
    let turned_away = crowd.disperse();
    cluster.finish().assert_ran(&[]);
    (took, turned_away)
}

/// Connections on which nothing is ever sent. Each is made again when it is closed.
struct Crowd {
    is_over: Arc<AtomicBool>,
    turned_away: JoinHandle<usize>,
}

impl Crowd {
    /// Returns when all of them have connected once.
    fn gather(address: &str, strangers: usize) -> Self {
        raise_open_files_limit(strangers as u64 + 500);
        let address: SocketAddr = address.parse().expect("the driver says where it listens");
        let connect = move || {
            let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
            stream.set_nonblocking(true).ok()?;
            Some(stream)
        };
        let mut streams: Vec<_> = (0..strangers).map(|_| connect()).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let turned_away = thread::spawn(move || {
            let mut turned_away = 0;
            while !until.load(Ordering::Relaxed) {
                for stream in &mut streams {
                    if stream.as_ref().is_none_or(is_closed) {
                        turned_away += 1;
                        *stream = connect();
                    }
                }
                thread::sleep(Duration::from_millis(50));
            }
            turned_away
        });
        Self { is_over, turned_away }
    }

    fn disperse(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.turned_away.join().expect("the counting thread does not panic")
    }
}

/// Whether the driver has closed a connection on which it sends nothing.
fn is_closed(mut stream: &TcpStream) -> bool {
    let read = stream.read(&mut [0; 64]);
    !read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        && !matches!(read, Ok(1..))
}

fn raise_open_files_limit(needed: u64) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let current = limit.current.map(|current| current.max(needed));
    let raised = rustix::process::setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    raised.expect("the machine allows so many open files");
}

/// For as long as workers wait for an answer, see `--driver-timeout`; they count from the first
/// call without one. One of them waits for a task meanwhile, one reports, one is busy throughout.
#[test]
fn driver_that_was_stopped_for_half_a_minute_resumes_without_a_loss() {
    const PAUSE: Duration = Duration::from_secs(30);
    let mut cluster = job().drive();
    // Its share takes longer than the pause.
    let busy = cluster.worker(&["--throttle", "300"]);
    cluster.running(Phase::Map, busy);
    let reporting = cluster.worker(&["--throttle", "20K"]);
    cluster.running(Phase::Map, reporting);
    let waiting = cluster.worker(&["--throttle", "20K"]);
    cluster.driver.signal(Signal::STOP);
    thread::sleep(PAUSE);
    cluster.driver.signal(Signal::CONT);

    cluster.driver.wait_for("this process was paused for 2");
    for worker in [busy, reporting, waiting] {
        cluster.workers[worker].wait_for("does not answer");
    }
    let ended = cluster.finish();
    assert_eq!(ended.report()["workers"], 3);
    assert_eq!(ended.attempts_lost(), 0);
    ended.assert_ran(&[]);
}
