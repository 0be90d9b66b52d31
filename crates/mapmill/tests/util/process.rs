//! A process under test: its output, its end, and that it does not outlive its test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Waiting longer than this for anything is a failure. No test needs a quarter of it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is checked.
const GLANCE: Duration = Duration::from_millis(5);

/// Checks until `condition` returns something, or panics with the text of `story`.
#[track_caller]
pub fn poll<T>(mut condition: impl FnMut() -> Option<T>, story: impl Fn() -> String) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {}", story());
        thread::sleep(GLANCE);
    }
}

/// Killed when dropped, its children first. If its test fails, the end of its log is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    ended: Option<(ExitStatus, Instant)>,
}

impl Process {
    /// Starts `command`; its output goes to files in `folder`, where `name` is not yet taken.
    #[track_caller]
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let (stdout, stderr) =
            (folder.join(format!("{name}.stdout")), folder.join(format!("{name}.stderr")));
        let create = |path| File::create_new(path).expect("the test's own folder can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .spawn()
            .expect("the program under test can be started");
        Self { name: name.to_owned(), child, stdout, stderr, ended: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processes that it has started, where the system lists them.
    pub fn children(&self) -> Vec<Pid> {
        children(self.child.id())
    }

    /// Its stderr so far, without the stamps of lines: the time and the process that has logged.
    pub fn log(&self) -> String {
        unstamped(&self.raw_log())
    }

    /// Its stderr so far.
    pub fn raw_log(&self) -> String {
        let bytes = fs::read(&self.stderr).expect("the log was created at the start");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn stdout(&self) -> Vec<u8> {
        fs::read(&self.stdout).expect("the file was created at the start")
    }

    /// The first line that contains `text`, as soon as there is one.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        self.wait_until(text, |log| {
            log.lines().find(|line| line.contains(text)).map(ToOwned::to_owned)
        })
    }

    /// What `find` finds in the log, as soon as it does.
    #[track_caller]
    pub fn wait_until<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            // In this order: what was written before the end is in the log after the end.
            let ended = self.ended();
            // A line is whole when its end is there.
            let log = self.log();
            let whole = log.rfind('\n').map_or(0, |end| end + 1);
            if let Some(found) = find(&log[..whole]) {
                return found;
            }
            assert!(ended.is_none(), "{} ended ({ended:?}) without {what}", self.name);
            assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what} of {}", self.name);
            thread::sleep(GLANCE);
        }
    }

    /// How and when it ended, if it has.
    pub fn ended(&mut self) -> Option<(ExitStatus, Instant)> {
        if self.ended.is_none() {
            let status = self.child.try_wait().expect("our own child can be waited for");
            self.ended = status.map(|status| (status, Instant::now()));
        }
        self.ended
    }

    /// How and when it ends.
    #[track_caller]
    pub fn wait(&mut self) -> (ExitStatus, Instant) {
        let name = self.name.clone();
        poll(|| self.ended(), || format!("the end of {name}"))
    }

    /// Its exit code; -1 if a signal ended it.
    #[track_caller]
    pub fn code(&mut self) -> i32 {
        self.wait().0.code().unwrap_or(-1)
    }

    /// Does nothing if it has ended.
    pub fn signal(&mut self, signal: Signal) {
        // A process that was not waited for keeps its id, so no other is hit.
        if self.ended().is_none() {
            kill_process(pid_of(&self.child), signal).expect("our own child takes signals");
        }
    }

    /// `SIGKILL`, and the moment of it.
    pub fn kill(&mut self) -> Instant {
        self.signal(Signal::KILL);
        let now = Instant::now();
        self.wait();
        now
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read(&self.stderr).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let skipped = log.lines().count().saturating_sub(TAIL_LINES);
            let tail: Vec<&str> = log.lines().skip(skipped).collect();
            #[expect(clippy::print_stderr, reason = "the test fails, and this may be why")]
            {
                eprintln!("--- {} ({:?})\n{}", self.name, self.ended, tail.join("\n"));
            }
        }
        if self.ended().is_some() {
            return;
        }
        // A stopped process starts no more children and does not wait for those it has, so that no
        // id is reused meanwhile.
        self.signal(Signal::STOP);
        for child in children(self.child.id()) {
            let _ = kill_process(child, Signal::KILL);
        }
        self.kill();
    }
}

/// `mapmill: 2026-11-21T23:24:35.123Z driver: text` becomes `mapmill: text`.
fn unstamped(log: &str) -> String {
    let text = |line: &str| {
        let rest = line.strip_prefix("mapmill: ")?;
        let (stamp, text) = rest.split_once(": ")?;
        stamp_of(stamp).map(|_| format!("mapmill: {text}"))
    };
    let lines = log.split_inclusive('\n');
    lines.map(|line| text(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// The process of a stamp: `driver`, `worker`, `w1`.
pub fn stamp_of(stamp: &str) -> Option<&str> {
    let (time, process) = stamp.split_once(' ')?;
    let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let is_process = process == "driver"
        || process
            .strip_prefix('w')
            .is_some_and(|rest| rest == "orker" || rest.parse::<u64>().is_ok());
    (form == "0000-00-00T00:00:00.000Z" && is_process).then_some(process)
}

fn pid_of(child: &Child) -> Pid {
    let pid = i32::try_from(child.id()).expect("process ids are small");
    Pid::from_raw(pid).expect("no process has the id 0")
}

/// The children of `parent`, where the system lists them.
fn children(parent: u32) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let mut children = Vec::new();
    for process in processes.flatten() {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // `PID (NAME) STATE PARENT ...`, and the name may be anything.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let parent_of = after_name.split_whitespace().nth(1).and_then(|text| text.parse().ok());
        if parent_of == Some(parent) {
            let pid = process.file_name().to_string_lossy().parse().ok();
            children.extend(pid.and_then(Pid::from_raw));
        }
    }
    children
}

/// Enough for the log of a small job.
const TAIL_LINES: usize = 60;
