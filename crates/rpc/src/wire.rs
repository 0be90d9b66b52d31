//! Our types to wire types and back. Here and below is the only place that names a generated type.
//!
//! Everything that arrives is checked here: a missing field, an unknown number or lists of unequal
//! length become [`Malformed`], never a default that enters a count.

pub(crate) mod client;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod input;
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    reason = "generated; the .proto has the comments"
)]
#[rustfmt::skip]
mod pb;
pub(crate) mod server;
mod socket;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ability::Ability;
use crate::limits;
use crate::message::{
    Attempt, AttemptCounts, Bucket, Caller, Digest, Failure, Format, JobState, Order, Outcome,
    Phase, PhaseStatus, Register, RegisterAnswer, Registered, Running, Session, Split, Status,
    Stranded, Task, TaskAnswer, Users, Verdict, WordRule, WordRules, Work,
};
use crate::text::escaped;

/// The `.proto` as the reflection service shows it. Generated, as [`pb`] is.
const DESCRIPTORS: &[u8] = include_bytes!("wire/pb.bin");

/// A message breaks a rule of the `.proto` file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, thiserror::Error)]
#[error("malformed message: {0}")]
pub(crate) struct Malformed(&'static str);

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

fn path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// A path that a worker names.
fn short_path(bytes: Vec<u8>) -> Result<PathBuf, Malformed> {
    match bytes.len() <= limits::PATH_BYTES_MAX {
        true => Ok(path(bytes)),
        false => Err(Malformed("a path of more than 4096 bytes")),
    }
}

/// Text of a worker for people: nothing in it moves the cursor of their terminal, and its length is
/// limited.
fn printable(text: &str, bytes_max: usize) -> String {
    // Escaping makes it longer, and what is cut off need not be escaped.
    let start = &text[..text.floor_char_boundary(bytes_max)];
    let mut printable = escaped(start).to_string();
    printable.truncate(printable.floor_char_boundary(bytes_max));
    printable
}

fn name(text: &str) -> String {
    printable(text, limits::NAME_BYTES_MAX)
}

fn text(text: &str) -> String {
    printable(text, limits::TEXT_BYTES_MAX)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

// ---- Ids ----

impl From<Phase> for pb::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Map => Self::Map,
            Phase::Reduce => Self::Reduce,
        }
    }
}

impl From<Attempt> for pb::Attempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            phase: pb::Phase::from(attempt.phase).into(),
            task: attempt.task,
            number: attempt.number,
        }
    }
}

fn attempt(attempt: Option<pb::Attempt>) -> Result<Attempt, Malformed> {
    let attempt = attempt.ok_or(Malformed("no attempt"))?;
    let phase = match attempt.phase() {
        pb::Phase::Map => Phase::Map,
        pb::Phase::Reduce => Phase::Reduce,
        pb::Phase::Unspecified => return Err(Malformed("no phase")),
    };
    Ok(Attempt { phase, task: attempt.task, number: attempt.number })
}

impl From<Digest> for pb::Digest {
    fn from(digest: Digest) -> Self {
        Self { bytes: digest.bytes, crc32: digest.crc32 }
    }
}

fn digest(digest: Option<pb::Digest>) -> Result<Digest, Malformed> {
    let digest = digest.ok_or(Malformed("no digest"))?;
    Ok(Digest { bytes: digest.bytes, crc32: digest.crc32 })
}

fn caller(session: String, worker: u64) -> Caller {
    Caller { session: Session(session), worker }
}

// ---- Register ----

impl From<&Register> for pb::RegisterRequest {
    fn from(register: &Register) -> Self {
        Self {
            protocol: register.protocol,
            build: register.build.clone(),
            instance: register.instance.to_vec(),
            name: register.name.clone(),
            roots: register.roots.iter().map(|root| bytes(root)).collect(),
            abilities: register.abilities.iter().map(|one| one.name().to_owned()).collect(),
        }
    }
}

fn register(request: pb::RegisterRequest) -> Result<Register, Malformed> {
    let instance =
        request.instance.try_into().map_err(|_: Vec<u8>| Malformed("instance is not 16 bytes"))?;
    if request.roots.len() > limits::ROOTS_MAX {
        return Err(Malformed("more than 1000 roots"));
    }
    if request.abilities.len() > limits::ABILITIES_MAX {
        return Err(Malformed("more than 100 abilities"));
    }
    Ok(Register {
        protocol: request.protocol,
        build: name(&request.build),
        instance,
        name: name(&request.name),
        roots: request.roots.into_iter().map(short_path).collect::<Result<_, _>>()?,
        abilities: request.abilities.iter().filter_map(|name| Ability::from_name(name)).collect(),
    })
}

impl From<WordRules> for pb::WordRules {
    fn from(rules: WordRules) -> Self {
        let rule = match rules.rule {
            WordRule::Letters => pb::WordRule::Letters,
            WordRule::Whitespace => pb::WordRule::Whitespace,
        };
        Self { rule: rule.into(), ignore_case: rules.ignore_case }
    }
}

fn word_rules(rules: Option<pb::WordRules>) -> Result<WordRules, Malformed> {
    let rules = rules.ok_or(Malformed("no word rules"))?;
    let rule = match rules.rule() {
        pb::WordRule::Letters => WordRule::Letters,
        pb::WordRule::Whitespace => WordRule::Whitespace,
        pb::WordRule::Unspecified => return Err(Malformed("no word rule")),
    };
    Ok(WordRules { rule, ignore_case: rules.ignore_case })
}

impl From<RegisterAnswer> for pb::RegisterResponse {
    fn from(answer: RegisterAnswer) -> Self {
        use pb::register_response::Answer;
        let mut more_outside_roots = Vec::new();
        let answer = match answer {
            RegisterAnswer::Exit => Answer::Exit(pb::Exit {}),
            RegisterAnswer::OutsideRoots { folder, more } => {
                more_outside_roots = more.iter().map(|folder| bytes(folder)).collect();
                Answer::OutsideRoots(pb::OutsideRoots { folder: bytes(&folder) })
            }
            RegisterAnswer::Registered(registered) => Answer::Registered(pb::Registered {
                session: registered.session.0,
                worker: registered.worker,
                number: registered.number,
                heartbeat_millis: millis(registered.heartbeat),
                files: bytes(&registered.files),
                rules: Some(registered.rules.into()),
                buckets: registered.buckets,
                skip_bad_records: registered.skip_bad_records,
            }),
            RegisterAnswer::VersionMismatch { protocol, build } => {
                Answer::VersionMismatch(pb::VersionMismatch { protocol, build })
            }
        };
        Self { answer: Some(answer), more_outside_roots }
    }
}

fn register_answer(response: pb::RegisterResponse) -> Result<RegisterAnswer, Malformed> {
    use pb::register_response::Answer;
    Ok(match response.answer.ok_or(Malformed("no answer to a registration"))? {
        Answer::Exit(pb::Exit {}) => RegisterAnswer::Exit,
        Answer::OutsideRoots(outside) => {
            let more = response.more_outside_roots.into_iter().map(path).collect();
            RegisterAnswer::OutsideRoots { folder: path(outside.folder), more }
        }
        Answer::Registered(registered) => {
            if registered.heartbeat_millis == 0 {
                return Err(Malformed("no heartbeat interval"));
            }
            if !(1..=limits::REDUCE_TASKS_MAX).contains(&registered.buckets) {
                return Err(Malformed("buckets outside 1 to 10,000"));
            }
            RegisterAnswer::Registered(Registered {
                session: Session(registered.session),
                worker: registered.worker,
                number: registered.number,
                heartbeat: Duration::from_millis(registered.heartbeat_millis.into()),
                files: path(registered.files),
                rules: word_rules(registered.rules)?,
                buckets: registered.buckets,
                skip_bad_records: registered.skip_bad_records,
            })
        }
        Answer::VersionMismatch(pb::VersionMismatch { protocol, build }) => {
            RegisterAnswer::VersionMismatch { protocol, build }
        }
    })
}

// ---- NextTask ----

impl From<Split> for pb::Split {
    fn from(split: Split) -> Self {
        Self {
            path: bytes(&split.path),
            start: split.start,
            end: split.end,
            file_bytes: split.file_bytes,
            modified_seconds: split.modified_seconds,
            modified_nanos: split.modified_nanos,
            format: (split.format != Format::default()).then(|| split.format.into()),
        }
    }
}

fn split(split: pb::Split) -> Result<Split, Malformed> {
    if split.start >= split.end || split.end > split.file_bytes {
        return Err(Malformed("a split that is not a part of its file"));
    }
    if split.modified_nanos >= 1_000_000_000 {
        return Err(Malformed("a second has fewer nanoseconds"));
    }
    Ok(Split {
        path: path(split.path),
        start: split.start,
        end: split.end,
        file_bytes: split.file_bytes,
        modified_seconds: split.modified_seconds,
        modified_nanos: split.modified_nanos,
        format: input::format(split.format)?,
    })
}

impl From<Work> for pb::task::Work {
    fn from(work: Work) -> Self {
        match work {
            Work::Map { splits } => {
                Self::Map(pb::MapTask { splits: splits.into_iter().map(Into::into).collect() })
            }
            Work::Reduce { intermediates } => Self::Reduce(pb::ReduceTask {
                intermediate_bytes: intermediates.iter().map(|digest| digest.bytes).collect(),
                intermediate_crc32: intermediates.iter().map(|digest| digest.crc32).collect(),
            }),
        }
    }
}

fn work(work: Option<pb::task::Work>) -> Result<Work, Malformed> {
    Ok(match work.ok_or(Malformed("a task without work"))? {
        pb::task::Work::Map(map) => {
            Work::Map { splits: map.splits.into_iter().map(split).collect::<Result<_, _>>()? }
        }
        pb::task::Work::Reduce(reduce) => {
            if reduce.intermediate_bytes.len() > limits::MAP_TASKS_MAX as usize {
                return Err(Malformed("more intermediates than a job has map tasks"));
            }
            let digests = digests(&reduce.intermediate_bytes, &reduce.intermediate_crc32)?;
            Work::Reduce { intermediates: digests }
        }
    })
}

fn digests(bytes: &[u64], crc32: &[u32]) -> Result<Vec<Digest>, Malformed> {
    if bytes.len() != crc32.len() {
        return Err(Malformed("not as many checksums as lengths"));
    }
    Ok(bytes.iter().zip(crc32).map(|(&bytes, &crc32)| Digest { bytes, crc32 }).collect())
}

impl From<Task> for pb::Task {
    fn from(task: Task) -> Self {
        Self {
            attempt: Some(task.attempt.into()),
            staging: task.staging,
            work: Some(task.work.into()),
        }
    }
}

impl From<TaskAnswer> for pb::NextTaskResponse {
    fn from(answer: TaskAnswer) -> Self {
        use pb::next_task_response::Answer;
        let answer = match answer {
            TaskAnswer::Exit => Answer::Exit(pb::Exit {}),
            TaskAnswer::Register => Answer::RegisterAgain(pb::RegisterAgain {}),
            TaskAnswer::Task(task) => Answer::Task(task.into()),
            TaskAnswer::Wait => Answer::Wait(pb::Wait {}),
        };
        Self { answer: Some(answer) }
    }
}

fn task_answer(response: pb::NextTaskResponse) -> Result<TaskAnswer, Malformed> {
    use pb::next_task_response::Answer;
    Ok(match response.answer.ok_or(Malformed("no answer to a request for a task"))? {
        Answer::Exit(pb::Exit {}) => TaskAnswer::Exit,
        Answer::RegisterAgain(pb::RegisterAgain {}) => TaskAnswer::Register,
        Answer::Task(task) => TaskAnswer::Task(Task {
            attempt: attempt(task.attempt)?,
            staging: task.staging,
            work: work(task.work)?,
        }),
        Answer::Wait(pb::Wait {}) => TaskAnswer::Wait,
    })
}

// ---- Heartbeat ----

impl From<Running> for pb::Running {
    fn from(running: Running) -> Self {
        Self {
            attempt: Some(running.attempt.into()),
            progress: running.progress,
            bytes: running.bytes,
            words: running.words,
        }
    }
}

fn running(running: pb::Running) -> Result<Running, Malformed> {
    Ok(Running {
        attempt: attempt(running.attempt)?,
        progress: running.progress,
        bytes: running.bytes,
        words: running.words,
    })
}

impl From<Order> for pb::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Abandon => Self::Abandon,
            Order::Continue => Self::Continue,
            Order::Exit => Self::Exit,
            Order::Register => Self::Register,
        }
    }
}

fn order(response: &pb::HeartbeatResponse) -> Result<Order, Malformed> {
    match response.order() {
        pb::Order::Abandon => Ok(Order::Abandon),
        pb::Order::Continue => Ok(Order::Continue),
        pb::Order::Exit => Ok(Order::Exit),
        pb::Order::Register => Ok(Order::Register),
        pb::Order::Unspecified => Err(Malformed("no order")),
    }
}

// ---- Report ----

impl From<Outcome> for pb::report_request::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failed(failure) => Self::Failure(failure.into()),
            Outcome::Mapped { buckets, findings } => {
                let (invalid_splits, first_bad_records) = input::lists(&findings);
                Self::MapDone(pb::MapDone {
                    bucket_bytes: buckets.iter().map(|bucket| bucket.digest.bytes).collect(),
                    bucket_crc32: buckets.iter().map(|bucket| bucket.digest.crc32).collect(),
                    bucket_words: buckets.iter().map(|bucket| bucket.words).collect(),
                    invalid_bytes: findings.invalid_bytes,
                    invalid_splits,
                    documents: findings.documents,
                    bad_records: findings.bad_records,
                    first_bad_records,
                })
            }
            Outcome::Reduced { output, words, distinct_words } => {
                Self::ReduceDone(pb::ReduceDone {
                    output: Some(output.into()),
                    words,
                    distinct_words,
                })
            }
        }
    }
}

fn outcome(outcome: Option<pb::report_request::Outcome>) -> Result<Outcome, Malformed> {
    use pb::report_request::Outcome as Wire;
    Ok(match outcome.ok_or(Malformed("a report without outcome"))? {
        Wire::Failure(cause) => Outcome::Failed(failure(cause)?),
        Wire::MapDone(map) => {
            if map.bucket_bytes.len() > limits::REDUCE_TASKS_MAX as usize {
                return Err(Malformed("more buckets than a job has reduce tasks"));
            }
            let findings = input::findings(&map)?;
            let digests = digests(&map.bucket_bytes, &map.bucket_crc32)?;
            if map.bucket_words.len() != digests.len() {
                return Err(Malformed("not as many word counts as buckets"));
            }
            let buckets = digests
                .into_iter()
                .zip(map.bucket_words)
                .map(|(digest, words)| Bucket { digest, words })
                .collect();
            Outcome::Mapped { buckets, findings }
        }
        Wire::ReduceDone(reduce) => Outcome::Reduced {
            output: digest(reduce.output)?,
            words: reduce.words,
            distinct_words: reduce.distinct_words,
        },
    })
}

fn io(path: &Path, operation: String, os_error: i32, detail: String) -> pb::Io {
    pb::Io { path: bytes(path), operation, os_error, detail, users: None }
}

impl From<Users> for pb::Users {
    fn from(Users { worker, owner }: Users) -> Self {
        Self { worker, owner }
    }
}

impl From<pb::Users> for Users {
    fn from(pb::Users { worker, owner }: pb::Users) -> Self {
        Self { worker, owner }
    }
}

impl From<Failure> for pb::Failure {
    fn from(failure: Failure) -> Self {
        use pb::failure::Cause;
        let cause = match failure {
            Failure::DiskFull { path, os_error, detail } => {
                Cause::DiskFull(io(&path, "write".to_owned(), os_error, detail))
            }
            Failure::ForeignStaging { path } => {
                Cause::ForeignStaging(pb::ForeignStaging { path: bytes(&path) })
            }
            Failure::FormatUnknown { path, detail } => {
                Cause::FormatUnknown(pb::FormatUnknown { path: bytes(&path), detail })
            }
            Failure::InputChanged { path, then_bytes, now_bytes } => {
                Cause::InputChanged(pb::InputChanged { path: bytes(&path), then_bytes, now_bytes })
            }
            Failure::InputDamaged { path, offset, text_offset, record, detail } => {
                Cause::InputDamaged(pb::InputDamaged {
                    path: bytes(&path),
                    offset,
                    text_offset,
                    record: record.unwrap_or(0),
                    detail,
                })
            }
            Failure::InputMissing { path } => {
                Cause::InputMissing(pb::InputMissing { path: bytes(&path) })
            }
            Failure::InputUnreadable { path, operation, os_error, detail, users } => {
                let io = io(&path, operation, os_error, detail);
                Cause::InputUnreadable(pb::Io { users: users.map(pb::Users::from), ..io })
            }
            Failure::IntermediateCorrupt { map, expected, found } => {
                Cause::IntermediateCorrupt(pb::IntermediateCorrupt {
                    map,
                    expected: Some(expected.into()),
                    found: Some(found.into()),
                })
            }
            Failure::IntermediateMissing { map } => {
                Cause::IntermediateMissing(pb::IntermediateMissing { map })
            }
            Failure::Io { path, operation, os_error, detail, users } => {
                let io = io(&path, operation, os_error, detail);
                Cause::Io(pb::Io { users: users.map(pb::Users::from), ..io })
            }
            Failure::OutsideRoots { folder } => {
                Cause::OutsideRoots(pb::OutsideRoots { folder: bytes(&folder) })
            }
            Failure::Panicked { message } => Cause::Panicked(pb::Panicked { message }),
            Failure::StagingDamaged { path, detail } => {
                Cause::StagingDamaged(pb::StagingDamaged { path: bytes(&path), detail })
            }
            Failure::StagingExists => Cause::StagingExists(pb::StagingExists {}),
            Failure::Tampered { path, detail } => {
                Cause::Tampered(pb::Tampered { path: bytes(&path), detail })
            }
            Failure::TooManyLongWords { words_max, word_bytes } => {
                Cause::TooManyLongWords(pb::TooManyLongWords { words_max, word_bytes })
            }
        };
        Self { cause: Some(cause) }
    }
}

fn failure(failure: pb::Failure) -> Result<Failure, Malformed> {
    use pb::failure::Cause;
    Ok(match failure.cause.ok_or(Malformed("a failure without cause"))? {
        Cause::DiskFull(io) => Failure::DiskFull {
            path: short_path(io.path)?,
            os_error: io.os_error,
            detail: text(&io.detail),
        },
        Cause::ForeignStaging(foreign) => {
            Failure::ForeignStaging { path: short_path(foreign.path)? }
        }
        Cause::FormatUnknown(unknown) => Failure::FormatUnknown {
            path: short_path(unknown.path)?,
            detail: text(&unknown.detail),
        },
        Cause::InputChanged(changed) => Failure::InputChanged {
            path: short_path(changed.path)?,
            then_bytes: changed.then_bytes,
            now_bytes: changed.now_bytes,
        },
        Cause::InputDamaged(damaged) => Failure::InputDamaged {
            path: short_path(damaged.path)?,
            offset: damaged.offset,
            text_offset: damaged.text_offset,
            record: Some(damaged.record).filter(|&record| record > 0),
            detail: text(&damaged.detail),
        },
        Cause::InputMissing(missing) => Failure::InputMissing { path: short_path(missing.path)? },
        Cause::InputUnreadable(io) => Failure::InputUnreadable {
            path: short_path(io.path)?,
            operation: text(&io.operation),
            os_error: io.os_error,
            detail: text(&io.detail),
            users: io.users.map(Users::from),
        },
        Cause::IntermediateCorrupt(corrupt) => Failure::IntermediateCorrupt {
            map: corrupt.map,
            expected: digest(corrupt.expected)?,
            found: digest(corrupt.found)?,
        },
        Cause::IntermediateMissing(missing) => Failure::IntermediateMissing { map: missing.map },
        Cause::Io(io) => Failure::Io {
            path: short_path(io.path)?,
            operation: text(&io.operation),
            os_error: io.os_error,
            detail: text(&io.detail),
            users: io.users.map(Users::from),
        },
        Cause::OutsideRoots(outside) => {
            Failure::OutsideRoots { folder: short_path(outside.folder)? }
        }
        Cause::Panicked(panicked) => Failure::Panicked { message: text(&panicked.message) },
        Cause::StagingDamaged(damaged) => Failure::StagingDamaged {
            path: short_path(damaged.path)?,
            detail: text(&damaged.detail),
        },
        Cause::StagingExists(pb::StagingExists {}) => Failure::StagingExists,
        Cause::Tampered(tampered) => {
            Failure::Tampered { path: short_path(tampered.path)?, detail: text(&tampered.detail) }
        }
        Cause::TooManyLongWords(pb::TooManyLongWords { words_max, word_bytes }) => {
            Failure::TooManyLongWords { words_max, word_bytes }
        }
    })
}

impl From<Verdict> for pb::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Self::Accepted,
            Verdict::Stale => Self::Stale,
            Verdict::Taken => Self::Taken,
        }
    }
}

fn report_request(
    caller: &Caller,
    attempt: Attempt,
    outcome: Outcome,
    ask_next: bool,
) -> pb::ReportRequest {
    pb::ReportRequest {
        session: caller.session.0.clone(),
        worker: caller.worker,
        attempt: Some(attempt.into()),
        outcome: Some(outcome.into()),
        ask_next,
    }
}

fn report_response(verdict: Verdict, next: Option<TaskAnswer>) -> pb::ReportResponse {
    pb::ReportResponse { verdict: pb::Verdict::from(verdict).into(), next: next.map(Into::into) }
}

fn report_answer(response: pb::ReportResponse) -> Result<(Verdict, Option<TaskAnswer>), Malformed> {
    let verdict = match response.verdict() {
        pb::Verdict::Accepted => Verdict::Accepted,
        pb::Verdict::Stale => Verdict::Stale,
        pb::Verdict::Taken => Verdict::Taken,
        pb::Verdict::Unspecified => return Err(Malformed("no verdict")),
    };
    Ok((verdict, response.next.map(task_answer).transpose()?))
}

// ---- Status ----

impl From<PhaseStatus> for pb::PhaseStatus {
    fn from(phase: PhaseStatus) -> Self {
        Self {
            tasks: phase.tasks,
            running: phase.running,
            committed: phase.committed,
            bytes_total: phase.bytes_total,
            bytes_done: phase.bytes_done,
            words: phase.words,
        }
    }
}

fn phase_status(phase: Option<pb::PhaseStatus>) -> Result<PhaseStatus, Malformed> {
    let phase = phase.ok_or(Malformed("no phase in a status"))?;
    Ok(PhaseStatus {
        tasks: phase.tasks,
        running: phase.running,
        committed: phase.committed,
        bytes_total: phase.bytes_total,
        bytes_done: phase.bytes_done,
        words: phase.words,
    })
}

impl From<Status> for pb::StatusResponse {
    fn from(status: Status) -> Self {
        let state = match status.state {
            JobState::Cancelled => pb::JobState::Cancelled,
            JobState::Done => pb::JobState::Done,
            JobState::Failed => pb::JobState::Failed,
            JobState::Running => pb::JobState::Running,
        };
        Self {
            session: status.session.0,
            state: state.into(),
            map: Some(status.map.into()),
            reduce: Some(status.reduce.into()),
            workers: status.workers,
            attempts_started: status.attempts.started,
            attempts_failed: status.attempts.failed,
            attempts_lost: status.attempts.lost,
            stale_reports: status.stale_reports,
            violations: status.violations,
            stranded: status
                .stranded
                .into_iter()
                .map(|Stranded { abilities, tasks }| pb::StrandedTasks { abilities, tasks })
                .collect(),
        }
    }
}

fn status(response: pb::StatusResponse) -> Result<Status, Malformed> {
    let state = match response.state() {
        pb::JobState::Cancelled => JobState::Cancelled,
        pb::JobState::Done => JobState::Done,
        pb::JobState::Failed => JobState::Failed,
        pb::JobState::Running => JobState::Running,
        pb::JobState::Unspecified => return Err(Malformed("no state in a status")),
    };
    Ok(Status {
        session: Session(response.session),
        state,
        map: phase_status(response.map)?,
        reduce: phase_status(response.reduce)?,
        workers: response.workers,
        attempts: AttemptCounts {
            started: response.attempts_started,
            failed: response.attempts_failed,
            lost: response.attempts_lost,
        },
        stale_reports: response.stale_reports,
        violations: response.violations,
        stranded: response
            .stranded
            .into_iter()
            .map(|pb::StrandedTasks { abilities, tasks }| Stranded { abilities, tasks })
            .collect(),
    })
}

#[cfg(test)]
mod tests;
