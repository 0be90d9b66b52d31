//! A driver and workers as a user starts them, one by one, to strike while they run.

use std::fmt;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::job::{Ended, TestJob};
use super::oracle::{Oracle, Rules};
use super::process::{Process, poll};

/// How long after the end of the job the last process may end.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// One execution of a task, as messages have it: `m3.a0`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    pub phase: Phase,
    pub task: u32,
    pub number: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    Map,
    Reduce,
}

impl Attempt {
    fn parse(text: &str) -> Option<Self> {
        let (task, number) = text.split_once(".a")?;
        let (phase, task) = match (task.strip_prefix('m'), task.strip_prefix('r')) {
            (Some(task), _) => (Phase::Map, task),
            (None, Some(task)) => (Phase::Reduce, task),
            (None, None) => return None,
        };
        Some(Self { phase, task: task.parse().ok()?, number: number.parse().ok()? })
    }

    pub fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Map => 'm',
            Phase::Reduce => 'r',
        };
        write!(f, "{phase}{}.a{}", self.task, self.number)
    }
}

/// A job's processes. The driver numbers the workers in the order in which they were started.
#[derive(Debug)]
pub struct Cluster {
    pub driver: Process,
    pub workers: Vec<Process>,
    /// How many drivers were started, this one included. Numbers the logs.
    epochs: usize,
    address: String,
    /// Of the inputs as they were when the driver started.
    oracle: Oracle,
    /// Dropped last: the processes use its folder.
    pub job: TestJob,
}

impl TestJob {
    /// Starts a driver, which waits for workers.
    #[track_caller]
    pub fn drive(self) -> Cluster {
        let oracle = self.oracle();
        self.drive_at("127.0.0.1:0", Vec::new(), oracle)
    }

    /// The same for a job whose results are known: the oracle does not read its inputs.
    #[track_caller]
    pub fn drive_unread(self) -> Cluster {
        self.drive_at("127.0.0.1:0", Vec::new(), Oracle::read(&[], Rules::default()))
    }

    /// Starts `count` workers first, and the driver when they wait for it.
    #[track_caller]
    pub fn drive_after_workers(self, count: usize) -> Cluster {
        let (address, oracle) = (free_address(), self.oracle());
        let start = |index| start_worker(&self, &format!("w{index}"), &address, &[], "");
        let mut workers: Vec<_> = (0..count).map(start).collect();
        for worker in &mut workers {
            worker.wait_for("waiting for a driver");
        }
        self.drive_at(&address, workers, oracle)
    }

    /// Starts `count` workers first, and a driver with the fail points `points`, see
    /// `crates/faults/src/lib.rs`. Waits for nothing.
    #[track_caller]
    pub fn drive_with_faults(self, count: usize, points: &str) -> Cluster {
        let address = free_address();
        let start = |index| start_worker(&self, &format!("w{index}"), &address, &[], "");
        let workers = (0..count).map(start).collect();
        let oracle = self.oracle();
        let mut command = self.job_command("driver", &["--listen", &address]);
        command.env(FAIL_POINTS, points);
        let driver = self.start("driver", command);
        Cluster { driver, workers, epochs: 1, address, oracle, job: self }
    }

    #[track_caller]
    fn drive_at(self, listen: &str, workers: Vec<Process>, oracle: Oracle) -> Cluster {
        let mut driver = self.start("driver", self.job_command("driver", &["--listen", listen]));
        let address = driver.wait_until("its address", |log| {
            let (_, rest) = log.split_once("waiting for workers on ")?;
            Some(rest.split_once(';')?.0.to_owned())
        });
        Cluster { driver, workers, epochs: 1, address, oracle, job: self }
    }
}

fn start_worker(job: &TestJob, name: &str, address: &str, flags: &[&str], points: &str) -> Process {
    let mut command = job.command("worker");
    command.args(["-v", "--driver", address]).args(flags).env(FAIL_POINTS, points);
    job.start(name, command)
}

impl Cluster {
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Starts a worker and waits until the driver knows it. Returns its number.
    #[track_caller]
    pub fn worker(&mut self, flags: &[&str]) -> usize {
        self.worker_called(self.workers.len(), flags)
    }

    /// The same for a worker that the driver numbers otherwise, because a test has removed others.
    #[track_caller]
    pub fn worker_called(&mut self, number: usize, flags: &[&str]) -> usize {
        self.add_worker(&self.address.clone(), number, flags, "")
    }

    /// Starts a worker with the fail points `points`, see `crates/faults/src/lib.rs`.
    #[track_caller]
    pub fn worker_with_faults(&mut self, points: &str) -> usize {
        self.add_worker(&self.address.clone(), self.workers.len(), &[], points)
    }

    /// Starts a worker that reaches the driver at another address.
    #[track_caller]
    pub fn worker_by(&mut self, address: &str, flags: &[&str]) -> usize {
        self.add_worker(address, self.workers.len(), flags, "")
    }

    #[track_caller]
    fn add_worker(&mut self, address: &str, number: usize, flags: &[&str], points: &str) -> usize {
        let name = match self.epochs {
            1 => format!("w{number}"),
            epochs => format!("w{number}-{epochs}"),
        };
        let mut worker = start_worker(&self.job, &name, address, flags, points);
        worker.wait_for(&format!("as w{number}"));
        self.workers.push(worker);
        number
    }

    /// Kills the driver. Its job can be resumed.
    #[track_caller]
    pub fn kill_driver(&mut self) {
        self.driver.kill();
        self.driver.wait();
    }

    /// Starts the driver again, with the same arguments, at the address that its workers know.
    #[track_caller]
    pub fn start_driver_again(&mut self, flags: &[&str]) {
        self.start_driver_with_faults(flags, "");
    }

    /// The same, with the fail points `points`.
    #[track_caller]
    pub fn start_driver_with_faults(&mut self, flags: &[&str], points: &str) {
        let flags = [&["--listen", self.address.as_str()], flags].concat();
        self.epochs += 1;
        let name = format!("driver-{}", self.epochs);
        let mut command = self.job.job_command("driver", &flags);
        command.env(FAIL_POINTS, points);
        self.driver = self.job.start(&name, command);
    }

    /// Kills a worker, whatever it does, and starts another in its place. Waits for nothing.
    #[track_caller]
    pub fn replace_worker(&mut self, worker: usize, name: &str, flags: &[&str]) {
        self.workers[worker].kill();
        self.workers[worker] = start_worker(&self.job, name, &self.address, flags, "");
    }

    /// Waits until `worker` runs an attempt of `phase`.
    #[track_caller]
    pub fn running(&mut self, phase: Phase, worker: usize) -> Attempt {
        let what = format!("w{worker} in its {phase:?} phase");
        self.driver.wait_until(&what, |log| {
            let on = format!(" on w{worker}");
            let started = log.lines().rev().find_map(|line| {
                let line = line.strip_suffix(AS_BACKUP).unwrap_or(line);
                let attempt = line.split_once(": start ")?.1.strip_suffix(&on)?;
                Attempt::parse(attempt).filter(|attempt| attempt.phase == phase)
            })?;
            (!is_over(log, started)).then_some(started)
        })
    }

    /// Waits until the task of `attempt` is attempted once more. Returns the worker of that
    /// attempt.
    #[track_caller]
    pub fn reassigned_to(&mut self, attempt: Attempt) -> usize {
        let line = self.driver.wait_for(&format!(": start {} on w", attempt.next()));
        let line = line.strip_suffix(AS_BACKUP).unwrap_or(&line);
        let number = line.rsplit_once('w').map(|(_, number)| number.parse());
        number.expect("a line that was asked for").expect("the number of a worker")
    }

    /// Waits until so many map tasks are committed.
    #[track_caller]
    pub fn maps_committed(&mut self, count: usize) {
        self.driver.wait_until("commits of map tasks", |log| {
            (log.matches(": published m").count() >= count).then_some(())
        });
    }

    /// The job is done, with the right results; every live process ends with exit code 0, and soon.
    #[track_caller]
    pub fn finish(mut self) -> Ended {
        self.driver.wait_for(": job ");
        let over = Instant::now();
        let living: Vec<usize> = (0..self.workers.len())
            .filter(|&index| self.workers[index].ended().is_none())
            .collect();
        poll(
            || {
                let mut processes = self.workers.iter_mut().chain([&mut self.driver]);
                processes.all(|process| process.ended().is_some()).then_some(())
            },
            || "all processes to end".to_owned(),
        );
        for index in living {
            let (status, at) = self.workers[index].wait();
            assert_eq!(status.code(), Some(0), "exit code of w{index}");
            assert!(at - over < FAREWELL, "w{index} ended {:?} after the job", at - over);
        }
        let (_, at) = self.driver.wait();
        assert!(at - over < FAREWELL, "the driver ended {:?} after the job", at - over);
        let (ended, oracle) = self.end();
        ended.check_against(&oracle)
    }

    /// Waits until the driver ends, well or badly. The workers are killed.
    #[track_caller]
    pub fn end(mut self) -> (Ended, Oracle) {
        self.driver.wait();
        (Ended::new(self.job, self.driver), self.oracle)
    }

    pub fn signal(&mut self, worker: usize, signal: Signal) {
        self.workers[worker].signal(signal);
    }
}

impl Ended {
    /// The fault for `attempt` was injected: the attempt was started and did not report.
    #[track_caller]
    pub fn assert_lost(&self, attempt: Attempt) {
        assert!(self.log.contains(&format!(": start {attempt} on ")), "{attempt} did not start");
        assert!(
            self.log.contains(&format!(": discard {attempt}\n")),
            "{attempt} was not discarded"
        );
        assert!(!self.log.contains(&format!(" {attempt}: publishing")), "{attempt} was reported");
    }
}

/// How the log line of a backup attempt ends.
const AS_BACKUP: &str = " as backup";

/// Whether the attempt was reported or discarded.
fn is_over(log: &str, attempt: Attempt) -> bool {
    log.contains(&format!(" {attempt}: ")) || log.contains(&format!(": discard {attempt}\n"))
}

/// The variable that sets the fail points of processes.
pub const FAIL_POINTS: &str = "FAILPOINTS";

/// An unused address. Below the ports that the system gives to programs that ask for any, so that
/// it stays free until it is used.
pub fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = (std::process::id() % 100) as u16 * 100;
    loop {
        let port = 20_000 + process + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
}
