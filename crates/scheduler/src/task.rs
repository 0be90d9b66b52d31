//! One task, and every attempt made at it.
//!
//! The only module that can change the state of a task: the fields are private, and only the
//! methods below take `&mut self`. Each asserts that it is called in the right state, because a
//! task that is won twice is a wrong count for ever.
//!
//! A running task has one lease, and a second while a backup attempt races the first.
//!
//! # Invariants
//!
//! * `attempts[i]` is attempt number `i`. It has an `ended` unless it holds a lease or is being
//!   published.
//! * A task is won once between two recalls: attempts that ended as `Committed`, and `restored`,
//!   add up to `recalls`, and to one more while the task is committed.
//! * A committed task changes only by a recall, and only map tasks are recalled.
//! * A failure is spared if another attempt was live.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use crate::abilities::Abilities;
use crate::attempt::{AttemptRecord, Attempts, End, Role};
use crate::id::{AttemptId, Phase, TaskId, WorkerId};
use crate::job::{Limits, Reason};
use crate::progress::Progress;
use crate::time::Time;

/// One task: the work for one map or one reduce.
#[derive(Debug)]
pub(crate) struct Task {
    id: TaskId,
    /// How much work it is: decides the order of tasks and which attempt is slow, nothing else.
    /// Grows only while a reduce task waits for the map phase to end.
    bytes: u64,
    /// What its worker must be able to do.
    needs: Abilities,
    state: State,
    attempts: Attempts,
    /// How often its intermediates were lost, so that it had to run again.
    recalls: u32,
    /// The same, before the caller was restarted.
    recalls_before: u32,
    /// Whether it was committed before the caller was restarted.
    restored: bool,
}

/// The state of a task, without the details.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TaskStatus {
    Waiting,
    Running,
    Publishing,
    Committed,
}

/// The state of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AttemptStatus {
    /// It holds a lease: it may report.
    Live,
    /// It was the first to report. It has no lease and no deadline: the caller will say whether the
    /// publication succeeded.
    Publishing,
    /// It is over.
    Ended(End),
}

/// ```text
///                  grant (backup)
///                     ┌───┐
///            grant    │   ▼      report                  commit
///  Waiting ─────────► Running ────────────► Publishing ─────────► Committed
///  │  ▲ ▲                │                       │                  ▲  │
///  │  │ ├─ end (last) ───┘                       │                  │  │
///  │  │ └───── end (rejected) ───────────────────┘                  │  │
///  │  └─────── recall (map tasks only) ─────────────────────────────┼──┘
///  └────────── restore (before the first attempt) ──────────────────┘
/// ```
#[derive(Debug)]
enum State {
    /// No attempt may report.
    Waiting,
    /// The attempts with one of `leases` may report; the first to do so is published. One or two.
    Running { leases: Vec<Lease> },
    /// `winner` reported first, and the caller is publishing its output.
    Publishing { winner: AttemptId },
    /// The output of `winner` is the task's output; `None` if the task was restored. Every other
    /// attempt is stale.
    Committed { winner: Option<AttemptId> },
}

/// The right of one attempt to report. The scheduler's deadlines say until when.
#[derive(Debug)]
struct Lease {
    attempt: AttemptId,
    /// The highest progress reported, in a unit of the worker's choosing; `None` before any.
    progress: Option<u64>,
    /// When a heartbeat named it last; when it was granted, if none has.
    heard: Time,
    /// The most bytes it reported as read.
    bytes: u64,
    /// When the heartbeat before that came, and the bytes it reported.
    before: (Time, u64),
}

impl Task {
    pub(crate) fn new(id: TaskId, bytes: u64, needs: Abilities) -> Self {
        Self {
            id,
            bytes,
            needs,
            state: State::Waiting,
            attempts: Attempts::None,
            recalls: 0,
            recalls_before: 0,
            restored: false,
        }
    }

    /// The task was committed before the caller was restarted. It must be new.
    pub(crate) fn restore(&mut self) {
        let State::Waiting = self.state else {
            panic!("restored {} while {:?}", self.id, self.state);
        };
        assert!(self.attempts.is_empty(), "{} restored after it was attempted", self.id);
        self.restored = true;
        self.state = State::Committed { winner: None };
    }

    /// Its intermediates were lost `times` times before the caller was restarted. It must be new.
    pub(crate) fn restore_recalls(&mut self, times: u32) {
        assert!(self.attempts.is_empty(), "{} restored after it was attempted", self.id);
        self.recalls_before = times;
    }

    /// The task turned out to be `bytes` larger. It must not have been attempted yet.
    ///
    /// Saturates: the size is a hint, and never worth a panic.
    pub(crate) fn grow(&mut self, bytes: u64) {
        assert!(self.attempts.is_empty(), "{} grew after it was attempted", self.id);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Start an attempt on `worker`. The task must wait; for a backup it must run, with one
    /// attempt.
    pub(crate) fn grant(&mut self, now: Time, worker: WorkerId, role: Role) -> AttemptId {
        let number =
            u32::try_from(self.attempts.len()).expect("a task has fewer than 2^32 attempts");
        let attempt = AttemptId { task: self.id, number };
        let lease = Lease { attempt, progress: None, heard: now, bytes: 0, before: (now, 0) };
        match (role, &mut self.state) {
            (Role::First, state @ State::Waiting) => {
                *state = State::Running { leases: vec![lease] }
            }
            (Role::Backup, State::Running { leases }) if leases.len() == 1 => leases.push(lease),
            (
                Role::Backup | Role::First,
                state @ (State::Waiting
                | State::Running { .. }
                | State::Publishing { .. }
                | State::Committed { .. }),
            ) => panic!("{attempt} granted as {role:?} while {state:?}"),
        }
        self.attempts.push(AttemptRecord {
            worker,
            started: now,
            role,
            ended: None,
            is_spared: false,
        });
        attempt
    }

    /// Note the progress of a live attempt; returns whether it grew.
    pub(crate) fn advance(
        &mut self,
        now: Time,
        attempt: AttemptId,
        progress: u64,
        bytes: u64,
    ) -> bool {
        let lease = self.leases_mut().iter_mut().find(|lease| lease.attempt == attempt);
        let lease = lease.unwrap_or_else(|| panic!("{attempt} advanced without a lease"));
        let grew = progress > lease.progress.unwrap_or(0);
        lease.progress = lease.progress.max(Some(progress));
        if now > lease.heard {
            lease.before = (lease.heard, lease.bytes);
        }
        (lease.heard, lease.bytes) = (now, lease.bytes.max(bytes));
        grew
    }

    /// A live attempt is done, and its output is to be published. Its lease ends, and so does the
    /// other live attempt, which is returned.
    pub(crate) fn report(&mut self, now: Time, attempt: AttemptId) -> Option<AttemptId> {
        let status = self.attempt_status(attempt);
        assert_eq!(status, Some(AttemptStatus::Live), "{attempt} reported without a lease");
        let superseded = self.live().find(|&live| live != attempt);
        if let Some(superseded) = superseded {
            self.close(now, superseded, End::Superseded { by: attempt.number });
        }
        self.state = State::Publishing { winner: attempt };
        superseded
    }

    /// The attempt that was being published wins.
    pub(crate) fn commit(&mut self, now: Time, attempt: AttemptId) {
        let status = self.attempt_status(attempt);
        assert_eq!(status, Some(AttemptStatus::Publishing), "{attempt} committed without a report");
        self.close(now, attempt, End::Committed);
        self.state = State::Committed { winner: Some(attempt) };
    }

    /// Its intermediates are lost, so it has to run again. It must be a committed map task: the
    /// output of a reduce task is durable, and no attempt reads it.
    pub(crate) fn recall(&mut self) {
        let State::Committed { .. } = self.state else {
            panic!("recalled {} while {:?}", self.id, self.state);
        };
        assert_eq!(self.id.phase, Phase::Map, "{} recalled, which has no buckets", self.id);
        self.recalls += 1;
        self.state = State::Waiting;
    }

    /// A live or publishing attempt ended without winning. The task waits again if no other attempt
    /// is live. If one is, the task has not failed: a failed backup must not end the job.
    pub(crate) fn end(&mut self, now: Time, attempt: AttemptId, end: End) {
        let other_is_live = self.live().any(|live| live != attempt);
        match self.attempt_status(attempt) {
            Some(AttemptStatus::Live) => self.leases_mut().retain(|lease| lease.attempt != attempt),
            Some(AttemptStatus::Publishing) => self.state = State::Waiting,
            status @ (Some(AttemptStatus::Ended(_)) | None) => {
                panic!("{attempt} ended as {end} while {status:?}")
            }
        }
        if matches!(&self.state, State::Running { leases } if leases.is_empty()) {
            self.state = State::Waiting;
        }
        self.close(now, attempt, end);
        match end {
            End::Failed | End::Rejected | End::Stuck => {
                self.attempts[attempt.number as usize].is_spared = other_is_live;
            }
            End::Abandoned
            | End::Left
            | End::Lost
            | End::Starved
            | End::Unable
            | End::Undelivered
            | End::Violation => {}
            End::Superseded { .. } => {
                panic!("{attempt} was superseded: that is `report`, not `end`")
            }
            End::Committed => panic!("{attempt} won: that is `commit`, not `end`"),
        }
    }

    /// Why the task has to be given up, if it reached a limit. What one worker failed or lost
    /// counts once if another worker could do the task.
    pub(crate) fn exhausted(&self, limits: &Limits, another_could: bool) -> Option<Reason> {
        let count = |ends: &[End]| {
            let ended =
                |one: &&AttemptRecord| one.ended.is_some_and(|(_, end)| ends.contains(&end));
            let counted = self.attempts.iter().filter(|one| !one.is_spared).filter(ended);
            if another_could {
                counted.map(|one| one.worker).collect::<BTreeSet<_>>().len()
            } else {
                counted.count()
            }
        };
        let reaches = |count: usize, max: NonZeroU32| count >= max.get() as usize;
        if reaches(count(&[End::Failed, End::Rejected, End::Stuck]), limits.failures_max) {
            Some(Reason::Failures)
        } else if reaches(count(&[End::Lost, End::Violation]), limits.losses_max) {
            Some(Reason::Losses)
        } else if self.recalls.saturating_add(self.recalls_before) >= limits.failures_max.get() {
            Some(Reason::Recalls)
        } else {
            None
        }
    }

    /// The state of `attempt`, if it ever existed.
    pub(crate) fn attempt_status(&self, attempt: AttemptId) -> Option<AttemptStatus> {
        let record = self.record(attempt)?;
        if let Some((_, end)) = record.ended {
            return Some(AttemptStatus::Ended(end));
        }
        match self.state {
            State::Publishing { winner } if winner == attempt => Some(AttemptStatus::Publishing),
            State::Publishing { .. } | State::Running { .. } => Some(AttemptStatus::Live),
            State::Waiting | State::Committed { .. } => {
                panic!("{attempt} has not ended while {:?}", self.state)
            }
        }
    }

    /// What became of `attempt`, if it ever existed.
    pub(crate) fn record(&self, attempt: AttemptId) -> Option<&AttemptRecord> {
        assert_eq!(attempt.task, self.id, "asked {} about {attempt}", self.id);
        self.attempts.get(attempt.number as usize)
    }

    /// The worker of the last attempt, if that failed or was lost.
    pub(crate) fn failed_last_by(&self) -> Option<WorkerId> {
        self.attempts.last().filter(|last| last.is_strike()).map(|last| last.worker)
    }

    /// The workers that failed or lost an attempt at it.
    pub(crate) fn failed_by(&self) -> BTreeSet<WorkerId> {
        self.attempts.iter().filter(|one| one.is_strike()).map(|one| one.worker).collect()
    }

    /// Whether `worker` failed or lost an attempt at it.
    pub(crate) fn has_failed_on(&self, worker: WorkerId) -> bool {
        self.attempts.iter().any(|attempt| attempt.worker == worker && attempt.is_strike())
    }

    /// Whether the task was committed by `time`, and has been ever since.
    pub(crate) fn is_committed_since(&self, time: Time) -> bool {
        let State::Committed { winner } = self.state else {
            return false;
        };
        let ended = winner.and_then(|winner| self.record(winner)?.ended);
        ended.is_none_or(|(committed, _)| committed <= time)
    }

    /// Whether a heartbeat has named a live attempt: then its worker has received it.
    pub(crate) fn is_confirmed(&self, attempt: AttemptId) -> bool {
        self.leases().iter().any(|lease| lease.attempt == attempt && lease.progress.is_some())
    }

    pub(crate) fn attempts(&self) -> &[AttemptRecord] {
        &self.attempts
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn needs(&self) -> Abilities {
        self.needs
    }

    pub(crate) fn recalls(&self) -> u32 {
        self.recalls
    }

    pub(crate) fn status(&self) -> TaskStatus {
        match self.state {
            State::Waiting => TaskStatus::Waiting,
            State::Running { .. } => TaskStatus::Running,
            State::Publishing { .. } => TaskStatus::Publishing,
            State::Committed { .. } => TaskStatus::Committed,
        }
    }

    /// The attempts that hold a lease.
    pub(crate) fn live(&self) -> impl Iterator<Item = AttemptId> {
        self.leases().iter().map(|lease| lease.attempt)
    }

    /// The progress of its live attempts.
    pub(crate) fn progress(&self) -> impl Iterator<Item = Progress> {
        self.leases().iter().map(|lease| {
            let AttemptRecord { worker, started, .. } =
                self.attempts[lease.attempt.number as usize];
            let Lease { attempt, heard, bytes: bytes_read, before, .. } = *lease;
            Progress { attempt, worker, bytes: self.bytes, started, heard, bytes_read, before }
        })
    }

    /// The progress of its only live attempt, if a backup may race that: none has failed before.
    pub(crate) fn sole_progress(&self) -> Option<Progress> {
        let mut live = self.progress();
        let sole = live.next().filter(|_| live.next().is_none());
        sole.filter(|_| self.attempts.iter().all(|attempt| !attempt.is_spared))
    }

    /// Recompute what can be recomputed from the attempts, and compare.
    pub(crate) fn assert_consistent(&self) {
        let ended = |ends: &[End]| {
            let ends = self
                .attempts
                .iter()
                .filter(|attempt| attempt.ended.is_some_and(|(_, end)| ends.contains(&end)));
            u32::try_from(ends.count()).expect("a task has fewer than 2^32 attempts")
        };
        let id = self.id;
        let won = ended(&[End::Committed]) + u32::from(self.restored);
        let is_committed = self.status() == TaskStatus::Committed;
        let expected = self.recalls + u32::from(is_committed);
        assert_eq!(won, expected, "{id} is won too often, or not at all: {:?}", self.attempts);
        assert!(self.recalls == 0 || id.phase == Phase::Map, "{id} was recalled");

        let open = (0..).zip(self.attempts.iter()).filter(|(_, attempt)| attempt.ended.is_none());
        let open: Vec<u32> = open.map(|(number, _)| number).collect();
        match &self.state {
            State::Waiting => assert!(open.is_empty(), "{id}"),
            State::Running { leases } => {
                let held: Vec<u32> = leases.iter().map(|lease| lease.attempt.number).collect();
                assert_eq!(open, held, "{id}");
                assert!((1..=2).contains(&held.len()), "{id} is attempted by {held:?}");
            }
            State::Publishing { winner } => assert_eq!(open, [winner.number], "{id}"),
            State::Committed { winner } => {
                assert!(open.is_empty(), "{id}");
                let won = winner.and_then(|winner| self.record(winner)?.ended);
                let last = self.attempts.iter().map(|attempt| attempt.started).max();
                assert!(last <= won.map(|(at, _)| at), "{id} was attempted after it was won");
            }
        }
    }

    fn leases(&self) -> &[Lease] {
        match &self.state {
            State::Running { leases } => leases,
            State::Waiting | State::Publishing { .. } | State::Committed { .. } => &[],
        }
    }

    fn leases_mut(&mut self) -> &mut Vec<Lease> {
        match &mut self.state {
            State::Running { leases } => leases,
            state @ (State::Waiting | State::Publishing { .. } | State::Committed { .. }) => {
                panic!("{} has no leases while {state:?}", self.id)
            }
        }
    }

    fn close(&mut self, now: Time, attempt: AttemptId, end: End) {
        let record = &mut self.attempts[attempt.number as usize];
        assert_eq!(record.ended, None, "{attempt} ended twice");
        record.ended = Some((now, end));
    }
}
