//! The workers of `mapmill run`: processes of the same program, replaced when they die.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use journal::Death;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::flags::{self, LocalWorkers};
use crate::messages::{self, Failure, SystemError, Warning};
use crate::verbosity::Verbosity;
use crate::way_out;

/// Worker processes. They are killed when this is dropped.
pub(crate) struct Fleet {
    recipe: Recipe,
    /// How many workers to keep alive.
    count: u32,
    /// Reports every death to the driver, which then need not wait for missing heartbeats.
    witness: driver::Witness,
    workers: JoinSet<Exit>,
    /// How many have been started; the number of each is its instance.
    started: u64,
    /// How many workers in a row ended shortly after their start.
    early_deaths: u32,
    /// Whether the user was told what to do about workers that die so.
    advised: bool,
}

/// How to start a worker.
struct Recipe {
    program: PathBuf,
    driver: String,
    roots: Vec<PathBuf>,
    throttle: Option<u64>,
    memory_bytes: u64,
    token: rpc::Token,
    verbosity: Verbosity,
}

struct Exit {
    pid: u32,
    instance: u64,
    lived: Duration,
    status: io::Result<ExitStatus>,
}

impl Fleet {
    /// A fleet for a driver that listens already. No worker is started yet.
    pub(crate) fn new(
        prepared: &driver::Prepared,
        workers: &LocalWorkers,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::start(SystemError::new("find the path of this program", error))
        })?;
        let recipe = Recipe {
            program,
            driver: prepared.address().to_string(),
            roots: prepared.folders().to_vec(),
            throttle: workers.throttle.map(std::num::NonZero::get),
            memory_bytes: workers.memory_bytes,
            token: workers.token.clone(),
            verbosity: workers.verbosity,
        };
        let count = workers.count.get();
        let (witness, workers) = (prepared.witness(), JoinSet::new());
        Ok(Self { recipe, count, witness, workers, started: 0, early_deaths: 0, advised: false })
    }

    fn add(&mut self) -> Result<(), Failure> {
        self.started += 1;
        let instance = self.started;
        let mut child = self
            .recipe
            .start(instance)
            .map_err(|error| Failure::start(SystemError::new("start a worker process", error)))?;
        let started = Instant::now();
        // Open until the worker has ended: `wait` closes a stdin that the child still has.
        let lifeline = child.stdin.take();
        self.workers.spawn(async move {
            let _lifeline = lifeline;
            let pid = child.id().unwrap_or(0);
            let relayed = child.stderr.take().map(|stderr| tokio::spawn(relay(stderr)));
            let status = child.wait().await;
            if let Some(relayed) = relayed {
                // A process that the worker has started may hold the pipe open.
                let _ = tokio::time::timeout(RELAY_MAX, relayed).await;
            }
            Exit { pid, instance, lived: started.elapsed(), status }
        });
        Ok(())
    }

    /// Starts the workers and replaces those that die until `stop`, then waits a moment for them to
    /// exit. If no worker can be kept alive, it sends `give_up` and returns why.
    pub(crate) async fn keep(
        mut self,
        stop: oneshot::Receiver<()>,
        give_up: oneshot::Sender<()>,
    ) -> Result<(), Failure> {
        let result = self.keep_up(stop).await;
        if result.is_err() {
            // The receiver is gone if the job has ended meanwhile.
            let _ = give_up.send(());
        }
        let leaving = async { while self.workers.join_next().await.is_some() {} };
        // Workers that do not exit (stopped, or stuck) are killed when the set is dropped.
        let _ = tokio::time::timeout(FAREWELL_MAX, leaving).await;
        result
    }

    async fn keep_up(&mut self, mut stop: oneshot::Receiver<()>) -> Result<(), Failure> {
        for _ in 0..self.count {
            self.add()?;
        }
        loop {
            // Cancel safe: an exit that is not taken now is taken in the next turn.
            tokio::select! {
                biased;
                _ = &mut stop => return Ok(()),
                Some(exit) = self.workers.join_next() => {
                    let exit =
                        exit.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
                    self.replace(&exit).await?;
                }
            }
        }
    }

    async fn replace(&mut self, exit: &Exit) -> Result<(), Failure> {
        let (how, way_out) = match &exit.status {
            // The worker exited because the job is over.
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => {
                let death = match status.signal() {
                    Some(signal) => Death::Signalled { signal },
                    None => Death::Exited { exit_code: status.code().unwrap_or_default() },
                };
                self.witness.died(flags::instance(exit.instance), death).await;
                (death.to_string(), way_out::of_death(death))
            }
            Err(error) => (error.to_string(), None),
        };
        let advised = way_out.map_or_else(|| how.clone(), |way_out| format!("{how}, {way_out}"));
        self.early_deaths = if exit.lived < EARLY { self.early_deaths + 1 } else { 0 };
        if self.early_deaths >= EARLY_DEATHS_MAX {
            let error = io::Error::other(advised);
            let operation = "keep worker processes alive; the last ones exited within a second";
            return Err(Failure::start(SystemError::new(operation, error)));
        }
        // Once: a job may lose thousands of workers.
        let how = if self.advised { how } else { advised };
        self.advised |= way_out.is_some();
        messages::warn(&Warning::WorkerDied { pid: exit.pid, how }, self.recipe.verbosity);
        self.add()
    }
}

impl Recipe {
    fn start(&self, instance: u64) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("worker").arg("--driver").arg(&self.driver);
        command.arg("--instance").arg(instance.to_string());
        // The driver is this process: after its end no driver returns at the same address.
        command.arg("--driver-timeout").arg("5");
        for root in &self.roots {
            command.arg("--root").arg(root);
        }
        command.arg("--memory").arg(self.memory_bytes.to_string());
        if let Some(throttle) = self.throttle {
            command.arg("--throttle").arg(throttle.to_string());
        }
        // The driver reports what matters about a worker; its own messages are shown only with -v.
        match self.verbosity {
            Verbosity::Quiet | Verbosity::Normal => command.arg("--quiet"),
            Verbosity::Events => command.arg("-v"),
            Verbosity::Calls => command.arg("-vv"),
        };
        // The user's credentials are for other drivers: here only the token counts.
        for variable in flags::SECURITY_VARIABLES {
            command.env_remove(variable);
        }
        command.env(flags::TOKEN_VARIABLE, self.token.expose());
        // A user's own allocator settings take precedence.
        if std::env::var_os(ALLOCATOR_VARIABLE).is_none() {
            command.env(ALLOCATOR_VARIABLE, ALLOCATOR_SETTINGS);
        }
        command
            // The worker reads the other end, see `lifeline.rs`.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C in a terminal goes to the whole process group; the driver tells the workers.
        command.process_group(0);
        command.spawn()
    }
}

/// Prints the lines of a worker until it ends. Its parent prints them, so that they do not break
/// the progress line.
async fn relay(stderr: ChildStderr) {
    let mut lines = BufReader::new(stderr).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        messages::relay(&String::from_utf8_lossy(&line));
    }
}

/// Read by glibc when a process starts.
const ALLOCATOR_VARIABLE: &str = "GLIBC_TUNABLES";

/// A worker keeps up to 8 MiB of freed memory. By default glibc returns all above 128 KiB to the
/// kernel, and each attempt gets its buffers back page by page: with these settings 256 MiB of
/// source text take 0.91 of the time (25 alternating rounds, see `BENCHMARKS.md`). Larger blocks
/// are still returned at once.
const ALLOCATOR_SETTINGS: &str = "glibc.malloc.mmap_threshold=1048576:\
                                  glibc.malloc.trim_threshold=8388608:glibc.malloc.top_pad=1048576";

/// A worker that ends earlier is counted as one that cannot start.
const EARLY: Duration = Duration::from_secs(1);

/// After this many early deaths in a row no further worker is started.
const EARLY_DEATHS_MAX: u32 = 20;

/// How long after the end of a worker its last lines may arrive.
const RELAY_MAX: Duration = Duration::from_millis(200);

/// How long workers may take to exit after the job; they learn of its end within a heartbeat.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
