//! A fleet in which some workers are bad: the healthy ones do the job, and the bad ones are named.

mod util;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use util::cluster::{Cluster, Phase};
use util::job::TestJob;
use util::process::Process;

/// How long the driver waits for a worker: fewer seconds than by default, so that the test is
/// short, and more than a healthy worker is silent for on a busy machine.
const WORKER_TIMEOUT: &str = "4";

/// In each pause.
const SILENCE: Duration = Duration::from_millis(4400);

/// Strikes that set a worker aside.
const STRIKES: usize = 3;

const HEALTHY: usize = 5;

/// A way to start a worker that cannot write in the results folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unable {
    /// As another user, which only root can do.
    OtherUser,
    /// Where the folder is mounted read-only, for this worker alone.
    ReadOnly,
}

impl Unable {
    /// Those that this system allows.
    fn all(cluster: &Cluster) -> Vec<Self> {
        let works = |way: &Self| {
            let mut version = cluster.job.command("--version");
            way.wrap(&mut version).output().is_ok_and(|output| output.status.success())
        };
        [Self::OtherUser, Self::ReadOnly].into_iter().filter(works).collect()
    }

    /// `command`, in such a way, with the same process id.
    fn wrap(self, command: &mut Command) -> Command {
        let mut wrapped = match self {
            Self::OtherUser => {
                let mut setpriv = Command::new("setpriv");
                setpriv.args(["--reuid", OTHER_UID, "--regid", OTHER_UID, "--clear-groups"]);
                setpriv
            }
            Self::ReadOnly => {
                let mut unshare = Command::new("unshare");
                unshare.args(["-rm", "sh", "-c", READ_ONLY, "files"]);
                unshare
            }
        };
        wrapped.current_dir(command.get_current_dir().expect("a job's command has a folder"));
        wrapped.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    }

    /// What the history says of its attempts.
    fn reason(self) -> String {
        match self {
            Self::OtherUser => {
                let us = rustix::process::geteuid().as_raw();
                format!("the worker runs as uid {OTHER_UID}, the results belong to uid {us}")
            }
            Self::ReadOnly => "Read-only file system".to_owned(),
        }
    }
}

const OTHER_UID: &str = "65534";

/// Runs a command where the folder `$0` is read-only.
const READ_ONLY: &str =
    r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$PWD" && exec "$@""#;

#[test]
fn fleet_with_two_workers_that_cannot_write_and_a_silent_one_does_the_job_and_names_them() {
    // At 1,000 bytes a task and 2,000 a second, five workers take 20 s to map, and few to reduce.
    let line = format!("the quick brown fox{}\n", ".".repeat(180));
    let job = TestJob::new().input(line.repeat(1000)).map_tasks(200).reduce_tasks(8);
    let mut cluster = job.flags(["--worker-timeout", WORKER_TIMEOUT, "--no-backup"]).drive();
    // Other users may look up names in it.
    let open = Permissions::from_mode(0o711);
    fs::set_permissions(cluster.job.path(""), open).expect("it is our own folder");
    let ways = Unable::all(&cluster);
    let (Some(&first), Some(&last)) = (ways.first(), ways.last()) else {
        #[expect(clippy::print_stderr, reason = "a test that does nothing should say so")]
        {
            eprintln!("skipped: this system lets no worker run that cannot write");
        }
        return;
    };

    for _ in 0..HEALTHY {
        cluster.worker(&["--throttle", "2000"]);
    }
    let silent = cluster.worker(&["--throttle", "2000"]);
    let unable = [first, last].map(|way| (start(&mut cluster, way), way));
    let is_set_aside =
        |driver: &Process, worker: usize| driver.log().contains(&format!("set aside w{worker} ("));
    let mut pauses = 0;
    while !is_set_aside(&cluster.driver, silent) {
        cluster.running(Phase::Map, silent);
        cluster.signal(silent, Signal::STOP);
        // The passing of time is what is tried.
        std::thread::sleep(SILENCE);
        cluster.signal(silent, Signal::CONT);
        pauses += 1;
        // Its report may have been on the way when it was stopped.
        assert!(pauses < 3 * STRIKES, "a worker that is always silent is not set aside");
    }
    let ended = cluster.finish();

    let named = |worker: usize, strikes: &str| {
        let start = format!("  set aside w{worker} (");
        let line = ended.log.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("w{worker} is not named:\n{}", ended.log));
        assert!(line.contains(strikes), "{line}");
    };
    let why = ended.job.command("why").arg("files").output().expect("the program starts");
    let why = String::from_utf8(why.stdout).expect("it prints text");
    for (worker, way) in unable {
        named(worker, "): 3 failed, 0 lost");
        assert!(ended.log.contains(&way.reason()), "no `{}`:\n{}", way.reason(), ended.log);
        assert!(why.contains(&format!("\n  w{worker} (")), "w{worker} is not named:\n{why}");
        assert!(why.contains(&way.reason()), "no `{}`:\n{why}", way.reason());
    }
    named(silent, "): 0 failed, 3 lost");
    assert!(why.contains(&format!("\n  w{silent} (")), "w{silent} is not named:\n{why}");
    let set_aside = ended.report()["set_aside"].as_array().map(Vec::len);
    assert_eq!(set_aside, Some(unable.len() + 1), "{}", ended.report());
}

/// Starts a worker that cannot write, and waits until the driver knows it. Returns its number.
fn start(cluster: &mut Cluster, way: Unable) -> usize {
    let number = cluster.workers.len();
    let mut command = cluster.job.command("worker");
    command.args(["-v", "--driver", cluster.address(), "--throttle", "2000"]);
    let command = way.wrap(&mut command);
    let mut worker = cluster.job.start(&format!("w{number}"), command);
    worker.wait_for(&format!("as w{number}"));
    cluster.workers.push(worker);
    number
}
