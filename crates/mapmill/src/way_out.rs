//! The way out of a library's error: what a user can do, in a few words after its sentence.
//!
//! Libraries name the case and the thing. Flags and commands are named here alone.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use driver::{ClaimLost, CleanError, Difference, InputChange, JobError, StartError};
use journal::{
    CountsError, Death, Ending, FailureKind, Fate, HistoryError, JournalError, Users, VerifyError,
};
use rpc::certs::AuthorityError;
use rpc::text::escaped;
use rpc::{Credentials, Denial, Role, TlsError};
use rustix::process::Signal;
use worker::{RootError, WorkerError};

use crate::flags::DEFAULT_INPUT;
use crate::machine;
use crate::shell::quoted;

mod not_text;

/// A few words; `None` if the error needs none.
pub(crate) type WayOut = Option<Cow<'static, str>>;

pub(crate) fn of_start(error: &StartError) -> WayOut {
    let few = match error {
        StartError::Bind { source, .. } => of_bind(source)?,
        // What is wrong with the disk takes a line of its own.
        StartError::Copy { .. } if error.disk().is_some() => return None,
        StartError::Copy { .. }
        | StartError::Files { .. }
        | StartError::InputInFiles { .. }
        | StartError::Lock(_) => OTHER_FILES,
        StartError::FilesIsAFile { .. } => "give --files a folder, which need not exist",
        StartError::FilesNotOurs(_) => OTHER_FILES_INSTEAD,
        StartError::Foreign { .. } => "move it away, or choose another folder with --files",
        StartError::Journal(error) => of_journal(error)?,
        StartError::InUse { .. } | StartError::Locked(_) => {
            "wait for the other job, or choose another folder with --files"
        }
        StartError::NotLoopback { .. } => "use TLS (--tls), or accept the risk with --insecure",
        StartError::NotText { path, why, .. } => {
            return Some(not_text::way_out(path, why).into());
        }
        StartError::OtherJob { differences, .. } => {
            let has_changed = |difference: &Difference| {
                let changed = InputChange::Changed;
                matches!(difference, Difference::Inputs { change, .. } if *change == changed)
            };
            if differences.0.iter().any(has_changed) {
                return Some(RESTORE_INPUTS.into());
            }
            "repeat the command of that job to resume it, choose another folder with --files, or \
             discard that job with --fresh"
        }
        StartError::OtherJobRan { .. } => {
            "give the driver and its standby the same arguments; without --standby this driver \
             replaces the results of that job"
        }
        StartError::Resolve { .. } => {
            "check the name, or use an IP address, such as 127.0.0.1:50051"
        }
        StartError::StandbyStream { .. } => {
            "save it in a file, and name the file; or leave out --standby"
        }
        StartError::TaskTooLarge { .. } => "use more map tasks: -n",
        StartError::TooManyIntermediates { .. } => "use fewer of either: -n, -m",
        StartError::Input(input)
            if input.is_missing(Path::new(DEFAULT_INPUT)) && machine::is_stdin_a_pipe() =>
        {
            "or `-`, to read standard input"
        }
        StartError::Input(_)
        | StartError::Randomness(_)
        | StartError::Stopped
        | StartError::Stream { .. }
        | StartError::Thread(_)
        | StartError::TooManyTasks { .. } => return None,
    };
    Some(few.into())
}

fn of_bind(error: &io::Error) -> Option<&'static str> {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        Some(
            "another driver or program listens there: stop it, or choose another port with --listen",
        )
    } else if kind == io::ErrorKind::AddrNotAvailable {
        Some("this machine does not have that address: choose one of its own with --listen")
    } else if kind == io::ErrorKind::PermissionDenied {
        Some("ports below 1024 need privileges: choose a higher one with --listen")
    } else {
        None
    }
}

/// `is_resumable` is of the job.
pub(crate) fn of_job(error: &JobError, is_resumable: bool) -> WayOut {
    let again = again(is_resumable);
    match error {
        JobError::Failed { failure, files, .. } => {
            let files = quoted(files);
            let (files, task) = (escaped(&files), failure.task);
            Some(format!("details: mapmill why {files} {task}").into())
        }
        JobError::NoWorkers { waited: Some(_), .. } => {
            Some(format!("{again} (--worker-wait sets the limit)").into())
        }
        JobError::Cancelled | JobError::NoWorkers { waited: None, .. } => Some(again.into()),
        JobError::Replaced { .. } if !is_resumable => Some(again.into()),
        JobError::Replaced { .. } => {
            Some("run the same command again: the job makes the output anew".into())
        }
        JobError::Superseded(ClaimLost::NotRenewed { .. } | ClaimLost::Removed) => {
            Some(format!("if none has, {again}").into())
        }
        JobError::FilesMoved { .. }
        | JobError::Journal(_)
        | JobError::Serve(_)
        | JobError::Superseded(ClaimLost::TakenOver { .. })
        | JobError::System { .. } => None,
    }
}

/// What continues a job that has ended early. One that has read standard input or a FIFO cannot be
/// resumed: that input is gone.
pub(crate) fn again(is_resumable: bool) -> &'static str {
    match is_resumable {
        true => "run the same command again to resume",
        false => "run the same command again, with the same input, to start over",
    }
}

/// What to do about the machines, below the causes of a job that failed. It takes its own line.
pub(crate) fn of_failed_attempts(error: &JobError) -> Option<String> {
    let attempts = match error {
        JobError::Failed { attempts, .. } => attempts,
        JobError::Cancelled
        | JobError::FilesMoved { .. }
        | JobError::Journal(_)
        | JobError::NoWorkers { .. }
        | JobError::Replaced { .. }
        | JobError::Serve(_)
        | JobError::Superseded(_)
        | JobError::System { .. } => return None,
    };
    let mut endings = attempts.iter().rev().filter_map(|attempt| match &attempt.fate {
        Fate::Ended(ending) => Some(ending),
        Fate::Committed | Fate::CutOff | Fate::Gone | Fate::Recalled { .. } | Fate::Running => None,
    });
    endings.find_map(|ending| match ending {
        Ending::Died(death) => of_death(*death).map(|way_out| format!("{death}: {way_out}")),
        Ending::Abandoned
        | Ending::BadRecords { .. }
        | Ending::Conservation { .. }
        | Ending::Failed { .. }
        | Ending::Left
        | Ending::Lost { .. }
        | Ending::NotCommitted { .. }
        | Ending::Rejected { .. }
        | Ending::Starved { .. }
        | Ending::Stuck { .. }
        | Ending::Superseded { .. }
        | Ending::Undelivered
        | Ending::Violation => of_ending(ending).map(Cow::into_owned),
    })
}

/// What an attempt that did not commit leaves to do for the user.
pub(crate) fn of_ending(ending: &Ending) -> WayOut {
    if let Ending::Died(death) = ending {
        return of_death(*death).map(Cow::from);
    }
    if let Ending::BadRecords { .. } = ending {
        return Some("fix the input, or allow more with `--bad-records-max`".into());
    }
    let (failure, Users { worker, owner }) = ending.not_permitted()?;
    Some(of_users(*failure == FailureKind::InputUnreadable, worker, owner))
}

/// As [`of_ending`], on the side of the worker.
pub(crate) fn of_failure(failure: &rpc::message::Failure) -> WayOut {
    let rpc::message::Users { worker, owner } = failure.users()?;
    let is_input = matches!(failure, rpc::message::Failure::InputUnreadable { .. });
    Some(of_users(is_input, worker, owner))
}

/// Only the system, or the user, sends SIGKILL to a worker while the job runs.
pub(crate) fn of_death(death: Death) -> Option<&'static str> {
    let is_killed = death == Death::Signalled { signal: Signal::KILL.as_raw() };
    is_killed.then_some("probably out of memory (see --memory)")
}

/// A worker that runs as the user `worker` may not read an input, or work in the results folder, of
/// the user `owner`. What a driver makes for its workers is open to its own user alone.
fn of_users(is_input: bool, worker: u32, owner: u32) -> Cow<'static, str> {
    match (is_input, worker) {
        _ if worker == owner => "check the permissions of the folders above it".into(),
        (true, _) => {
            format!("let uid {worker} read the input, or run the worker as uid {owner}").into()
        }
        (false, ROOT) => format!(
            "root has no rights there, as on NFS with root_squash: run all workers as uid {owner}"
        )
        .into(),
        (false, _) => format!(
            "run all workers as uid {owner}, or the driver as uid {worker} with another --files"
        )
        .into(),
    }
}

const ROOT: u32 = 0;

/// `None` also for a denial, whose way out takes a line of its own.
pub(crate) fn of_worker(error: &WorkerError) -> WayOut {
    match error {
        // All of them: one --root alone replaces those that the worker has.
        WorkerError::OutsideRoots { folders, roots } => {
            let roots = roots.iter().chain(folders);
            let flags: Vec<_> = roots.map(|root| format!("--root {}", quoted(root))).collect();
            Some(format!("start the worker with {}", flags.join(" ")).into())
        }
        WorkerError::NoDriver { .. } => {
            Some("the job may be over (--wait sets how long the worker waits)".into())
        }
        WorkerError::Address(_)
        | WorkerError::Denied { .. }
        | WorkerError::DriverLost { .. }
        | WorkerError::Hanging { .. }
        | WorkerError::Protocol { .. }
        | WorkerError::Stopped { .. }
        | WorkerError::System { .. }
        | WorkerError::VersionMismatch { .. } => None,
    }
}

/// `role` is the role of this process towards the driver.
pub(crate) fn of_denial(denial: &Denial, credentials: &Credentials, role: Role) -> String {
    match denial {
        Denial::DriverHost { host, .. } => format!(
            "use one of these, or issue the driver another certificate: mapmill certs issue driver \
             --host {host} --name NAME"
        ),
        Denial::DriverRole { .. } => {
            "issue a driver's certificate: mapmill certs issue driver --name NAME".to_owned()
        }
        Denial::DriverWithoutTls => "start the driver with --tls DIR too".to_owned(),
        Denial::OwnTime { .. } => {
            format!("issue another (mapmill certs issue {role} --name NAME), or correct the clocks")
        }
        Denial::OwnUsage { .. } => format!("issue one: mapmill certs issue {role} --name NAME"),
        Denial::Refused { .. } | Denial::Tls { .. } => of_refusal(credentials, role),
        Denial::TlsRequired => "pass --tls DIR, with a certificate of this process".to_owned(),
        Denial::TokenExposed { .. } => {
            "use --tls DIR on both sides, or allow it with --insecure".to_owned()
        }
    }
}

/// The way out depends on the credentials that the driver has refused.
fn of_refusal(credentials: &Credentials, role: Role) -> String {
    let token = "present the token that the driver was started with";
    let certificates = format!(
        "inspect the certificates with mapmill certs show, or issue one: mapmill certs issue \
         {role} --name NAME"
    );
    match (&credentials.tls, &credentials.token) {
        (None, None) => {
            "present a certificate (--tls), or the token that the driver was started with \
             (--token-file, MAPMILL_TOKEN)"
                .to_owned()
        }
        (None, Some(_)) => format!("{token}, or a certificate (--tls)"),
        (Some(_), None) => certificates,
        (Some(_), Some(_)) => format!("{token}; {certificates}"),
    }
}

pub(crate) fn of_root(_: &RootError) -> WayOut {
    Some("--root needs a folder that exists".into())
}

pub(crate) fn of_tls(error: &TlsError) -> WayOut {
    match error {
        TlsError::Expired { .. } => Some("make another: mapmill certs issue".into()),
        TlsError::OtherRole { wanted, path, .. } => {
            // `mapmill certs init` makes a folder for each role.
            let beside = path.parent().map(|folder| folder.with_file_name(wanted.to_string()));
            Some(match beside.filter(|folder| folder.is_dir()) {
                Some(folder) => format!("use --tls {}", quoted(folder)).into(),
                None => format!("issue one: mapmill certs issue {wanted} --name NAME").into(),
            })
        }
        TlsError::Read { .. } => {
            Some("mapmill certs makes cert.pem, key.pem and ca.pem for each process".into())
        }
        TlsError::Malformed { .. }
        | TlsError::NotYetValid { .. }
        | TlsError::OtherAuthority { .. }
        | TlsError::OtherKey { .. }
        | TlsError::Public { .. } => None,
    }
}

pub(crate) fn of_authority(error: &AuthorityError) -> WayOut {
    match error {
        AuthorityError::Expired => {
            Some("make another in another folder: mapmill certs init".into())
        }
        AuthorityError::Key(_)
        | AuthorityError::NotOne { .. }
        | AuthorityError::OtherKey
        | AuthorityError::Read(_)
        | AuthorityError::Several { .. } => None,
    }
}

pub(crate) fn of_history(error: &HistoryError) -> WayOut {
    match error {
        HistoryError::Journal(error) => of_journal(error).map(Cow::from),
        HistoryError::NoJob { .. } => Some(NAME_FILES.into()),
    }
}

pub(crate) fn of_verify(error: &VerifyError) -> WayOut {
    match error {
        VerifyError::Files { .. } => None,
        VerifyError::Journal(error) => of_journal(error).map(Cow::from),
        VerifyError::NoJob { .. } => Some(NAME_FILES.into()),
        VerifyError::NotDone { .. } => Some("run it again with the same arguments".into()),
    }
}

pub(crate) fn of_counts(error: &CountsError) -> WayOut {
    match error {
        CountsError::Lost(_) => Some("run the job again".into()),
        CountsError::NotAnOutput { .. } | CountsError::Repeated { .. } => {
            Some("a worker that is not ours has written it".into())
        }
        CountsError::TooLong { .. } => Some("raise --memory".into()),
        // Too many open files have a message of their own.
        CountsError::Unreadable(_) => None,
    }
}

pub(crate) fn of_clean(error: &CleanError) -> WayOut {
    match error {
        CleanError::Claimed { .. } | CleanError::InUse(_) => Some("wait for the job to end".into()),
        CleanError::Files { .. } | CleanError::Lock { .. } | CleanError::Thread(_) => None,
        CleanError::Journal(error) => of_journal(error).map(Cow::from),
        CleanError::NoJob { .. } => Some(NAME_FILES.into()),
        CleanError::NotDone { .. } => Some("run it again with the same arguments".into()),
        CleanError::NotResumable { .. } => {
            Some("the next job in the folder removes what it has left".into())
        }
        CleanError::Partial { .. } => Some("run the same command again".into()),
        CleanError::Superseded { .. } => {
            Some("run the same command again when no job runs there".into())
        }
    }
}

fn of_journal(error: &JournalError) -> Option<&'static str> {
    match error {
        JournalError::Damaged { .. } => {
            Some("move the folder away, or start the job over with --fresh")
        }
        JournalError::Closed { .. } | JournalError::Fenced { .. } | JournalError::Io { .. } => None,
    }
}

const NAME_FILES: &str = "name the folder given to --files";

/// The command of the unfinished job would read other bytes now.
const RESTORE_INPUTS: &str = "restore the inputs, with their times, to resume that job; or discard \
                              it with --fresh, or choose another folder with --files";

const OTHER_FILES: &str = "choose another folder with --files";

const OTHER_FILES_INSTEAD: &str = "alternatively, choose another folder with --files";
