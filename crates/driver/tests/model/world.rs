//! The state: a folder, a journal, a network, a driver and its workers, as small as possible.
//!
//! Everything is `Copy` and a few dozen bytes, because the checker copies and hashes millions of
//! them: an attempt is an index, a set of attempts or messages is a word of bits.

use std::fmt;

/// Tasks a job may have.
pub const TASKS_MAX: usize = 2;

/// Workers in each world.
pub const WORKERS: usize = 2;

/// Files of a map task.
pub const FILES_MAX: usize = 2;

/// Attempts that can be distinguished: two epochs, [`TASKS_MAX`] tasks, two numbers.
pub const ATTEMPTS_MAX: usize = 8;

/// One execution of a task, by its name: epoch, task and number.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Attempt(u8);

impl Attempt {
    pub fn new(epoch: u8, task: usize, number: u8) -> Self {
        assert!((1..=2).contains(&epoch) && task < TASKS_MAX && number < 2, "beyond the bounds");
        Self((epoch - 1) << 2 | (task as u8) << 1 | number)
    }

    pub fn epoch(self) -> u8 {
        (self.0 >> 2) + 1
    }

    pub fn task(self) -> usize {
        usize::from(self.0 >> 1 & 1)
    }

    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    fn number(self) -> u8 {
        self.0 & 1
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}.t{}.a{}", self.epoch(), self.task(), self.number())
    }
}

#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Attempts(u8);

impl Attempts {
    pub fn insert(&mut self, attempt: Attempt) {
        self.0 |= 1 << attempt.0;
    }

    pub fn remove(&mut self, attempt: Attempt) {
        self.0 &= !(1 << attempt.0);
    }

    pub fn contains(self, attempt: Attempt) -> bool {
        self.0 & 1 << attempt.0 != 0
    }

    pub fn first(self) -> Option<Attempt> {
        (self.0 != 0).then(|| Attempt(self.0.trailing_zeros() as u8))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub fn iter(self) -> impl Iterator<Item = Attempt> {
        let mut left = self;
        std::iter::from_fn(move || {
            let first = left.first()?;
            left.remove(first);
            Some(first)
        })
    }
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A message in the network, which stays there after it has arrived.
///
/// Calls for a task and heartbeats are not here: what they do, the driver may do at any time.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Message {
    /// To a worker: the answer to a report.
    Accepted(Attempt),
    /// The same, to a report that is repeated after its attempt was committed.
    AcceptedAgain(Attempt),
    /// To a worker: the answer to its call for a task.
    Assign { attempt: Attempt, worker: usize },
    /// To the driver: all files of the attempt are staged. Only its name identifies the attempt:
    /// the numbers of workers begin anew with each epoch.
    Done(Attempt),
    /// To the driver: the attempt's staging existed already.
    Failed(Attempt),
    /// To a worker: the answer to [`Failed`](Self::Failed), when the attempt no longer counts.
    FailedStale(Attempt),
    /// To a worker: the answer to a report that does not count.
    Stale(Attempt),
}

/// A set of messages.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Network(u64);

impl Network {
    pub fn send(&mut self, message: Message) {
        self.0 |= 1 << Self::bit(message);
    }

    pub fn remove(&mut self, message: Message) {
        self.0 &= !(1 << Self::bit(message));
    }

    pub fn has(self, message: Message) -> bool {
        self.0 & 1 << Self::bit(message) != 0
    }

    /// Whether `worker` was ever assigned a task.
    pub fn has_assigned(self, worker: usize) -> bool {
        self.0 >> (worker * ATTEMPTS_MAX) & ((1 << ATTEMPTS_MAX) - 1) != 0
    }

    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub fn iter(self) -> impl Iterator<Item = Message> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(Self::message(bit))
        })
    }

    fn bit(message: Message) -> u32 {
        let (kind, attempt) = match message {
            Message::Assign { attempt, worker } => (worker as u32, attempt),
            Message::Done(attempt) => (2, attempt),
            Message::Accepted(attempt) => (3, attempt),
            Message::Stale(attempt) => (4, attempt),
            Message::AcceptedAgain(attempt) => (5, attempt),
            Message::Failed(attempt) => (6, attempt),
            Message::FailedStale(attempt) => (7, attempt),
        };
        kind * ATTEMPTS_MAX as u32 + u32::from(attempt.0)
    }

    fn message(bit: u32) -> Message {
        let attempt = Attempt((bit % ATTEMPTS_MAX as u32) as u8);
        match bit / ATTEMPTS_MAX as u32 {
            worker @ 0..=1 => Message::Assign { attempt, worker: worker as usize },
            2 => Message::Done(attempt),
            3 => Message::Accepted(attempt),
            4 => Message::Stale(attempt),
            5 => Message::AcceptedAgain(attempt),
            6 => Message::Failed(attempt),
            _ => Message::FailedStale(attempt),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The driver's process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Driver {
    Down,
    Up,
    /// The job is over, done or failed, and the folder is swept.
    Over,
}

/// A task as the scheduler has it. Lost with the driver.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Task {
    pub standing: Standing,
    /// Attempts granted in this epoch.
    pub granted: u8,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Standing {
    Waiting,
    Running(Attempt),
    Publishing(Attempt),
    /// The winner may be of an earlier epoch.
    Committed(Attempt),
}

impl Task {
    fn age(&self) -> u32 {
        let left = match self.standing {
            Standing::Running(_) => 3,
            Standing::Publishing(_) => 2,
            Standing::Committed(_) => 1,
            Standing::Waiting => 0,
        };
        // A task that was committed in an earlier epoch has not been granted in this one.
        1 + 4 * u32::from(self.granted) - left
    }
}

/// The committer's progress with its batch. Lost with the driver.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Commit {
    Idle,
    /// The first of `left` is checked and renamed, file by file; `published` has its names.
    Publish {
        left: Attempts,
        published: Attempts,
        file: usize,
        is_checked: bool,
    },
    /// The folder's sync comes next.
    Settle(Attempts),
    Append(Attempts),
    /// Written, not synced.
    Sync(Attempts),
    /// On record: the reports are answered next.
    Answer(Attempts),
    /// The end is on record, the staging is swept next.
    Sweep,
}

impl Commit {
    fn age(&self) -> u32 {
        match self {
            Self::Idle => 0,
            Self::Publish { published, file, is_checked, .. } => {
                8 * published.len() + 2 * *file as u32 + u32::from(*is_checked)
            }
            Self::Settle(_) => 20,
            Self::Append(_) => 21,
            Self::Sync(_) => 22,
            Self::Answer(left) => 25 - left.len(),
            Self::Sweep => 25,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Worker {
    Idle,
    /// It has created the staging and writes.
    Executing(Attempt),
    /// It has finished its files, and reports until it is answered.
    Reporting(Attempt),
    Crashed,
}

impl Worker {
    fn left(&self) -> u32 {
        match self {
            Self::Executing(_) => 2,
            Self::Reporting(_) => 1,
            Self::Crashed | Self::Idle => 0,
        }
    }
}

/// The staging folder of an attempt.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Staged {
    /// Whether its files are finished.
    pub is_whole: bool,
    /// How many of them have been renamed to their final names, in order.
    pub moved: usize,
}

/// The file at a final name. Its bytes are identified by the attempt that wrote them, as if no two
/// attempts ever wrote the same: stricter than reality, where a task always gives the same bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct File {
    pub by: Attempt,
    pub is_whole: bool,
}

/// What must never happen, noted because no later world would show it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Harm {
    /// An attempt was executed a second time while it counted.
    pub executed_twice: bool,
    /// A worker created a final name.
    pub foreign_name: bool,
    /// A reader found other files than were recorded.
    pub misread: bool,
    pub recorded_twice: bool,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Luck {
    pub driver_crashes: u8,
    pub worker_crashes: u8,
    /// Assignments that may arrive once more at a worker that has had them.
    pub repeats: u8,
}

/// What is on record.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Journal {
    pub epoch: u8,
    /// By task: the winner, if there is one.
    pub records: [Option<Attempt>; TASKS_MAX],
    /// Whether the job is recorded as done.
    pub is_done: bool,
}

/// The files of the job.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Folder {
    /// By attempt.
    pub staged: [Option<Staged>; ATTEMPTS_MAX],
    /// By task and file.
    pub finals: [[Option<File>; FILES_MAX]; TASKS_MAX],
    /// What a power failure may bring back, by task: outputs only, which have one file.
    pub beneath: [Option<File>; TASKS_MAX],
}

/// What has happened that the processes do not remember.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Past {
    /// By worker: assignments that have arrived since they were made.
    pub taken: [Attempts; WORKERS],
    /// Attempts whose staging was ever created.
    pub executed: Attempts,
}

/// Everything at one moment.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct World {
    pub driver: Driver,
    pub journal: Journal,
    pub tasks: [Task; TASKS_MAX],
    pub commit: Commit,
    pub workers: [Worker; WORKERS],
    pub network: Network,
    pub folder: Folder,
    pub past: Past,
    pub harm: Harm,
    pub luck: Luck,
}

impl World {
    /// Whether nothing is left to do: a job that is on record as done is not resumed.
    pub fn is_over(&self) -> bool {
        self.driver == Driver::Over || self.driver == Driver::Down && self.journal.is_done
    }

    pub fn is_live(&self, attempt: Attempt) -> bool {
        self.stands(Standing::Running(attempt))
    }

    /// Whether the present driver still may make something of what the attempt stages.
    pub fn counts(&self, attempt: Attempt) -> bool {
        self.is_live(attempt) || self.stands(Standing::Publishing(attempt))
    }

    pub fn stands(&self, standing: Standing) -> bool {
        self.driver == Driver::Up && self.tasks.iter().any(|task| task.standing == standing)
    }

    /// Grows with everything that happens: no run comes back to where it was, so each of them ends.
    pub fn age(&self) -> u32 {
        let Luck { driver_crashes, worker_crashes, repeats } = self.luck;
        let bad_luck = 4000 - 1000 * u32::from(driver_crashes) - u32::from(worker_crashes);
        let running = match self.driver {
            Driver::Down => 0,
            Driver::Up => 500,
            Driver::Over => 900,
        };
        let tasks: u32 = self.tasks.iter().map(Task::age).sum();
        let taken: u32 = self.past.taken.iter().map(|attempts| attempts.len()).sum();
        let executions = taken + 8 - u32::from(repeats);
        let unfinished: u32 = self.workers.iter().map(Worker::left).sum();
        let work = 3 * executions - unfinished;
        bad_luck + running + 40 * tasks + self.commit.age() + 10 * work + self.network.len()
    }

    /// Answers a report, if it is still waited for. Says whether that is news.
    pub fn answer(&mut self, message: Message, attempt: Attempt) -> bool {
        let is_news = !self.network.has(message);
        let is_awaited = self.workers.contains(&Worker::Reporting(attempt));
        if is_awaited {
            self.network.send(message);
        }
        is_awaited && is_news
    }

    pub fn discard(&mut self, attempt: Attempt) {
        self.folder.staged[attempt.index()] = None;
    }

    pub fn sweep(&mut self) {
        self.folder.staged = [None; ATTEMPTS_MAX];
    }
}
