//! The end of the job: cancelled if there are no workers, cleaned up, and announced to the workers.

use std::time::Duration;

use rpc::message::Stranded;
use scheduler::{Outcome, Time};
use store::Name;

use crate::claim::ClaimLost;
use crate::committer::{EndError, Errand};

/// # Invariants
///
/// * The committer is asked to clean up once, when the scheduler has decided how the job ends.
/// * The loop does not end before the committer has, nor before `stay_until`, unless another driver
///   may have taken over.
pub(crate) struct Shutdown {
    /// Objects of an earlier job that this one does not replace. Removed after success alone.
    leftovers: Vec<Name>,
    /// How long without a worker cancels the job.
    worker_wait: Option<Duration>,
    stay_until: Time,
    /// Since when no worker is connected that can do what is left; `None` while one is.
    deserted_since: Option<Time>,
    /// If the lack of workers cancelled the job.
    deserted: Option<Deserted>,
    stage: Stage,
}

/// A job is cancelled because it has no workers that can do what is left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Deserted {
    /// For how long none was connected; `None` if none can be kept alive.
    pub(crate) waited: Option<Duration>,
    /// The map tasks that those which are connected cannot do; empty if none is.
    pub(crate) stranded: Vec<Stranded>,
}

enum Stage {
    Running,
    /// The committer removes what does not belong in the folder, and records the end.
    CleaningUp,
    /// Workers that do not know of the end can be told until `until`.
    Lingering {
        until: Time,
        result: Result<(), EndError>,
    },
    /// Another driver may have taken over. The end is not recorded, and workers are not informed.
    Superseded(ClaimLost),
}

/// Why a job that has ended is not recorded as ended.
pub(crate) enum Unrecorded {
    End(EndError),
    Superseded(ClaimLost),
}

impl Shutdown {
    /// The loop answers for `stay` at least, even if the job is over before.
    pub(crate) fn new(leftovers: Vec<Name>, worker_wait: Option<Duration>, stay: Duration) -> Self {
        Self {
            leftovers,
            worker_wait,
            stay_until: Time(stay),
            deserted_since: None,
            deserted: None,
            stage: Stage::Running,
        }
    }

    /// The same, for drivers that workers may look for before it listens.
    pub(crate) fn staying(self, stay: Duration) -> Self {
        Self { stay_until: Time(stay), ..self }
    }

    /// Whether the job is to be cancelled, because it `is_deserted` and was for too long.
    pub(super) fn is_abandoned(&mut self, now: Time, is_deserted: bool) -> bool {
        if !is_deserted {
            self.deserted_since = None;
            return false;
        }
        let since = *self.deserted_since.get_or_insert(now);
        let waited = now.0.saturating_sub(since.0);
        let is_abandoned = self.worker_wait.is_some_and(|wait| waited >= wait);
        if is_abandoned {
            self.deserted = Some(Deserted { waited: Some(waited), stranded: Vec::new() });
        }
        is_abandoned
    }

    /// The job is abandoned although workers are connected: they cannot do these tasks.
    pub(super) fn note_stranded(&mut self, stranded: Vec<Stranded>) {
        if let Some(deserted) = &mut self.deserted {
            deserted.stranded = stranded;
        }
    }

    /// The job is to be cancelled, because no worker can be kept alive.
    pub(super) fn note_no_workers(&mut self) {
        self.deserted.get_or_insert(Deserted { waited: None, stranded: Vec::new() });
    }

    /// If the lack of workers cancelled the job.
    pub(super) fn deserted(&self) -> Option<Deserted> {
        self.deserted.clone()
    }

    /// When the loop has to look again, if the scheduler has to at `timeout`.
    pub(super) fn deadline(&self, now: Time, timeout: Option<Time>) -> Option<Time> {
        match self.stage {
            Stage::Running | Stage::CleaningUp => {
                let abandon = self.deserted_since.zip(self.worker_wait);
                let abandon = abandon.map(|(since, wait)| since + wait);
                timeout.into_iter().chain(abandon).min()
            }
            Stage::Lingering { .. } if now < self.stay_until => Some(self.stay_until),
            Stage::Lingering { until, .. } => Some(until),
            Stage::Superseded(_) => None,
        }
    }

    /// The scheduler has decided. Returns the committer's last errand, the first time.
    pub(super) fn begin(&mut self, outcome: &Outcome) -> Option<Errand> {
        let Stage::Running = self.stage else { return None };
        tracing::info!("job {outcome}");
        self.stage = Stage::CleaningUp;
        let (outcome, leftovers) = match outcome {
            Outcome::Cancelled if self.deserted.is_some() => {
                (journal::Outcome::NoWorkers, Vec::new())
            }
            Outcome::Cancelled => (journal::Outcome::Cancelled, Vec::new()),
            Outcome::Done => (journal::Outcome::Done, std::mem::take(&mut self.leftovers)),
            Outcome::Failed(_) => (journal::Outcome::Failed, Vec::new()),
        };
        Some(Errand::Finish { outcome, leftovers })
    }

    /// The committer has done its last errand: only the workers have yet to be told.
    pub(super) fn linger(&mut self, now: Time, result: Result<(), EndError>) {
        self.stage = Stage::Lingering { until: now + LINGER_MAX, result };
    }

    /// Another driver may have taken over. Has no effect once the end of the job is recorded.
    pub(super) fn supersede(&mut self, lost: ClaimLost) {
        if !matches!(self.stage, Stage::Lingering { .. }) {
            self.stage = Stage::Superseded(lost);
        }
    }

    /// Whether the folder is clean, and every live worker knows of the end or had time to be told.
    pub(super) fn is_over(&self, now: Time, all_know: impl FnOnce() -> bool) -> bool {
        let until = match self.stage {
            Stage::Running | Stage::CleaningUp => return false,
            Stage::Lingering { until, .. } => until,
            Stage::Superseded(_) => return true,
        };
        now >= self.stay_until && (now >= until || all_know())
    }

    /// Whether the journal's last record is on disk.
    pub(super) fn into_finished(self) -> Result<(), Unrecorded> {
        match self.stage {
            Stage::Lingering { result, .. } => result.map_err(Unrecorded::End),
            Stage::CleaningUp | Stage::Running => Ok(()),
            Stage::Superseded(lost) => Err(Unrecorded::Superseded(lost)),
        }
    }
}

/// How long the driver stays after the end for workers that do not know of it yet. A healthy one
/// calls at least once in a heartbeat, which is a second; the promise is that all processes have
/// ended two seconds after the job.
pub(super) const LINGER_MAX: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Time {
        Time(seconds * SECOND)
    }

    #[test]
    fn job_is_abandoned_after_its_wait_without_a_worker_in_between() {
        let mut shutdown = Shutdown::new(Vec::new(), Some(3 * SECOND), Duration::ZERO);
        assert!(!shutdown.is_abandoned(at(0), true));
        assert_eq!(shutdown.deadline(at(0), None), Some(at(3)));
        assert_eq!(shutdown.deadline(at(0), Some(at(2))), Some(at(2)));
        assert!(!shutdown.is_abandoned(at(2), false));
        assert_eq!(shutdown.deadline(at(2), None), None);

        assert!(!shutdown.is_abandoned(at(3), true));
        assert!(!shutdown.is_abandoned(at(5), true));
        assert_eq!(shutdown.deserted(), None);
        assert!(shutdown.is_abandoned(at(6), true));
        let waited = Some(3 * SECOND);
        assert_eq!(shutdown.deserted(), Some(Deserted { waited, stranded: Vec::new() }));
    }

    #[test]
    fn job_without_a_limit_is_never_abandoned() {
        let mut shutdown = Shutdown::new(Vec::new(), None, Duration::ZERO);
        assert!(!shutdown.is_abandoned(at(0), true));
        assert!(!shutdown.is_abandoned(at(1_000_000), true));
        assert_eq!(shutdown.deadline(at(1_000_000), None), None);
    }

    #[test]
    fn leftovers_are_removed_once_and_after_success_alone() {
        let leftover = || vec![store::layout::output(7)];
        for (decided, recorded, removed) in [
            (Outcome::Done, journal::Outcome::Done, leftover()),
            (Outcome::Cancelled, journal::Outcome::Cancelled, Vec::new()),
        ] {
            let mut shutdown = Shutdown::new(leftover(), None, Duration::ZERO);
            let errand = shutdown.begin(&decided);
            let Some(Errand::Finish { outcome, leftovers }) = errand else { panic!("{errand:?}") };
            assert_eq!((outcome, leftovers), (recorded, removed));
            assert!(shutdown.begin(&decided).is_none());
        }
    }

    #[test]
    fn loop_ends_when_all_workers_know_or_after_a_moment_but_not_before_its_stay() {
        let mut shutdown = Shutdown::new(Vec::new(), None, 5 * SECOND);
        assert!(!shutdown.is_over(at(9), || true));
        shutdown.linger(at(1), Ok(()));
        assert!(!shutdown.is_over(at(4), || true));
        assert_eq!(shutdown.deadline(at(4), None), Some(at(5)));
        assert!(shutdown.is_over(at(5), || true));

        shutdown.linger(at(6), Ok(()));
        assert_eq!(shutdown.deadline(at(6), None), Some(at(6) + LINGER_MAX));
        assert!(!shutdown.is_over(at(7), || false));
        assert!(shutdown.is_over(at(8), || false));
    }
}
