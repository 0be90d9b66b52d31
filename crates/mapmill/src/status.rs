//! `mapmill status`: the status of a running job, as its driver reports it.

use driver::StatusClientError;
use rpc::message::{JobState, PhaseStatus, Status, Stranded};
use serde::Serialize;

use crate::contact;
use crate::flags::StatusRequest;
use crate::messages::{self, Failure};
use crate::numbers::{bytes, plural};
use crate::terminal::wrapped;
use crate::way_out;

/// What `--json` prints. Sizes are bytes.
#[derive(Serialize)]
struct StatusReport {
    state: &'static str,
    map: PhaseProgress,
    reduce: PhaseProgress,
    workers: u32,
    attempts: AttemptCounts,
    /// Protocol violations: calls and reports that no correct worker makes.
    violations: u64,
    /// The map tasks that wait and that no worker can do.
    stranded: Vec<StrandedTasks>,
}

#[derive(Serialize)]
struct StrandedTasks {
    /// What they need, by its names in the `.proto`.
    abilities: Vec<String>,
    tasks: u32,
}

#[derive(Serialize)]
struct PhaseProgress {
    tasks: u32,
    running: u32,
    committed: u32,
    /// 0 while it is not known.
    bytes_total: u64,
    bytes_done: u64,
    words: u64,
}

#[derive(Serialize)]
struct AttemptCounts {
    started: u64,
    failed: u64,
    lost: u64,
    stale_reports: u64,
}

/// `mapmill status`
pub(crate) async fn print(request: StatusRequest) -> Result<(), Failure> {
    let StatusRequest { driver, credentials, files, json } = request;
    let status = driver::fetch_status(&driver, &credentials).await;
    let status = status.map_err(|error| match (&error, &files) {
        // The job may have ended while its driver was called.
        (StatusClientError::Silent { .. }, Some(files)) if !journal::is_driven(files) => {
            contact::not_running(files, &driver)
        }
        _ => failure(error, &credentials),
    })?;
    match json {
        true => messages::json(&report(&status)),
        false => messages::data(wrapped(&text(&status)).as_bytes()),
    }
}

/// Exit code 1 if the driver does not answer, for the job may simply be over; 2 if it refuses.
fn failure(error: StatusClientError, credentials: &rpc::Credentials) -> Failure {
    match error {
        StatusClientError::Silent { .. } => Failure::output(error),
        StatusClientError::Denied { ref source, .. } => {
            let advice = way_out::of_denial(source, credentials, rpc::Role::Viewer);
            Failure::start(error).advise(Some(advice))
        }
        StatusClientError::Address(_) | StatusClientError::Protocol { .. } => Failure::start(error),
    }
}

fn report(status: &Status) -> StatusReport {
    StatusReport {
        state: state(status.state),
        map: phase_progress(status.map),
        reduce: phase_progress(status.reduce),
        workers: status.workers,
        attempts: AttemptCounts {
            started: status.attempts.started,
            failed: status.attempts.failed,
            lost: status.attempts.lost,
            stale_reports: status.stale_reports,
        },
        violations: status.violations,
        stranded: status
            .stranded
            .iter()
            .map(|one| StrandedTasks { abilities: one.abilities.clone(), tasks: one.tasks })
            .collect(),
    }
}

fn phase_progress(phase: PhaseStatus) -> PhaseProgress {
    PhaseProgress {
        tasks: phase.tasks,
        running: phase.running,
        committed: phase.committed,
        bytes_total: phase.bytes_total,
        bytes_done: phase.bytes_done,
        words: phase.words,
    }
}

fn state(state: JobState) -> &'static str {
    match state {
        JobState::Cancelled => "cancelled",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Running => "running",
    }
}

/// Lines like those at the end of a job.
fn text(status: &Status) -> String {
    let attempts = format!(
        "{} started, {} failed, {} lost",
        status.attempts.started, status.attempts.failed, status.attempts.lost
    );
    format!(
        "{}\n  map       {}\n  reduce    {}\n  attempts  {attempts}\n  workers   {}\n{}{}",
        state(status.state),
        phase(status.map),
        phase(status.reduce),
        plural(status.workers, "worker", "workers"),
        stranded(&status.stranded),
        violations(status.violations),
    )
}

fn stranded(stranded: &[Stranded]) -> String {
    stranded
        .iter()
        .map(|one| format!("  stranded  {one}; none of those connected does\n"))
        .collect()
}

fn violations(count: u64) -> String {
    match count {
        0 => String::new(),
        count => format!(
            "  refused   {}; the driver's log names the callers\n",
            plural(count, "protocol violation", "protocol violations")
        ),
    }
}

fn phase(phase: PhaseStatus) -> String {
    let tasks = plural(phase.tasks, "task", "tasks");
    let mut text = format!("{} of {tasks} done, {} running", phase.committed, phase.running);
    if phase.bytes_total > 0 {
        let (read, all) = (bytes(phase.bytes_done), bytes(phase.bytes_total));
        text += &format!("; {read} of {all} read, {}", plural(phase.words, "word", "words"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_violations_are_shown_when_there_are_some() {
        assert_eq!(violations(0), "");
        let line = "  refused   3 protocol violations; the driver's log names the callers\n";
        assert_eq!(violations(3), line);
    }

    #[test]
    fn text_shows_the_progress_of_each_phase() {
        let map = PhaseStatus {
            tasks: 6,
            running: 2,
            committed: 3,
            bytes_total: 2 << 20,
            bytes_done: 1 << 20,
            words: 12_345,
        };
        let reduce = PhaseStatus { tasks: 1, ..PhaseStatus::default() };
        assert_eq!(
            phase(map),
            "3 of 6 tasks done, 2 running; 1.0 MiB of 2.0 MiB read, 12,345 words"
        );
        assert_eq!(phase(reduce), "0 of 1 task done, 0 running");
    }
}
