//! What the fuzz target `wire` checks: bytes to protobuf, to our types, and all the way back.
//! Compiled for it and for tests only.
//!
//! A part of a message is prefixed with its length, and so is the part around it: a mutation that
//! adds or drops a byte destroys the message. So a part may also be written as a group, between a
//! tag for its begin and one for its end. proto3 has no groups: `measured` turns each into a part
//! with its length.

use std::fmt::Debug;

use prost::Message;

use super::{
    Attempt, Failure, Malformed, Order, Outcome, RegisterAnswer, Session, TaskAnswer, Verdict,
    Work, attempt, caller, name, order, outcome, pb, register, register_answer, report_answer,
    report_request, report_response, running, status, task_answer, text,
};
use crate::ability::Ability;
use crate::limits::{NAME_BYTES_MAX, REDUCE_TASKS_MAX, ROOTS_MAX, TEXT_BYTES_MAX};
use crate::message::{Caller, Running};

/// Reads `data` as the message that its first byte names: it is refused, or it is a value of ours
/// that keeps the rules of the `.proto` and round-trips.
///
/// # Panics
///
/// When neither holds.
pub fn check(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    if let Some((_, check)) = CHECKS.iter().find(|(name, _)| name == kind) {
        check(bytes);
        check(&measured(bytes));
    }
}

/// The message with every group as a length-prefixed part. Truncated groups are completed.
fn measured(mut bytes: &[u8]) -> Vec<u8> {
    const PART: usize = 2;
    let put = |message: &mut Vec<u8>, number| {
        prost::encode_length_delimiter(number, message).expect("memory can be written");
    };
    let put_part = |message: &mut Vec<u8>, field, part: &[u8]| {
        put(message, field << 3 | PART);
        put(message, part.len());
        message.extend_from_slice(part);
    };
    // What was there when each group began, and which field it is.
    let mut around = Vec::new();
    let mut message = Vec::new();
    while let Ok(tag) = prost::decode_length_delimiter(&mut bytes) {
        let field = tag >> 3;
        let length = match tag & 7 {
            0 => {
                put(&mut message, tag);
                put(&mut message, prost::decode_length_delimiter(&mut bytes).unwrap_or(0));
                continue;
            }
            1 => 8,
            PART => prost::decode_length_delimiter(&mut bytes).unwrap_or(0),
            3 => {
                around.push((field, std::mem::take(&mut message)));
                continue;
            }
            4 => {
                if let Some((field, outer)) = around.pop() {
                    let part = std::mem::replace(&mut message, outer);
                    put_part(&mut message, field, &part);
                }
                continue;
            }
            5 => 4,
            6.. => continue,
        };
        let value;
        (value, bytes) = bytes.split_at(length.min(bytes.len()));
        if tag & 7 == PART {
            put_part(&mut message, field, value);
        } else {
            put(&mut message, tag);
            message.extend_from_slice(value);
            message.resize(message.len() + length - value.len(), 0);
        }
    }
    for (field, mut outer) in around.into_iter().rev() {
        put_part(&mut outer, field, &message);
        message = outer;
    }
    message
}

/// The kinds of messages, each with a letter, so that a seed shows its kind.
type Check = (u8, fn(&[u8]));

const CHECKS: [Check; 11] = [
    (b'R', a_registration),
    (b'r', an_answer_to_a_registration),
    (b'N', a_request_for_a_task),
    (b'n', a_task),
    (b'H', a_heartbeat),
    (b'h', an_order),
    (b'P', a_report),
    (b'p', a_verdict),
    (b'L', a_farewell),
    (b's', a_status),
    (b'f', a_failure),
];

fn a_registration(bytes: &[u8]) {
    let shown = |mut message: pb::RegisterRequest| {
        message.build = name(&message.build);
        message.name = name(&message.name);
        message.abilities.retain(|name| Ability::from_name(name).is_some());
        message.abilities.sort_unstable();
        message.abilities.dedup();
        message
    };
    let read = there_and_back(bytes, register, |registration| (&registration).into(), shown);
    if let Some(registration) = read {
        assert!(registration.roots.len() <= ROOTS_MAX);
        for text in [&registration.name, &registration.build] {
            assert!(text.len() <= NAME_BYTES_MAX);
            assert!(!text.contains(char::is_control), "{text:?} would reach a terminal");
        }
    }
}

fn an_answer_to_a_registration(bytes: &[u8]) {
    // Other answers have no such folders.
    let known = |mut message: pb::RegisterResponse| {
        if !matches!(message.answer, Some(pb::register_response::Answer::OutsideRoots(_))) {
            message.more_outside_roots.clear();
        }
        message
    };
    match there_and_back(bytes, register_answer, pb::RegisterResponse::from, known) {
        Some(RegisterAnswer::Registered(registered)) => {
            assert!((1..=REDUCE_TASKS_MAX).contains(&registered.buckets));
            assert!(!registered.heartbeat.is_zero());
        }
        None
        | Some(
            RegisterAnswer::Exit
            | RegisterAnswer::OutsideRoots { .. }
            | RegisterAnswer::VersionMismatch { .. },
        ) => {}
    }
}

fn a_request_for_a_task(bytes: &[u8]) {
    let read = |message: pb::NextTaskRequest| Ok(caller(message.session, message.worker));
    let sent =
        |Caller { session: Session(session), worker }| pb::NextTaskRequest { session, worker };
    there_and_back(bytes, read, sent, as_it_is);
}

fn a_task(bytes: &[u8]) {
    let read = there_and_back(bytes, task_answer, pb::NextTaskResponse::from, as_it_is);
    let Some(TaskAnswer::Task(task)) = read else { return };
    let Work::Map { splits } = task.work else { return };
    for split in splits {
        assert!(split.start < split.end && split.end <= split.file_bytes, "{split:?}");
        assert!(split.modified_nanos < 1_000_000_000, "{split:?}");
    }
}

fn a_heartbeat(bytes: &[u8]) {
    let read = |message: pb::HeartbeatRequest| {
        let running = message.running.map(running).transpose()?;
        Ok((caller(message.session, message.worker), running))
    };
    let sent = |(caller, running): (Caller, Option<Running>)| pb::HeartbeatRequest {
        session: caller.session.0,
        worker: caller.worker,
        running: running.map(Into::into),
    };
    there_and_back(bytes, read, sent, as_it_is);
}

fn an_order(bytes: &[u8]) {
    let read = |message: pb::HeartbeatResponse| order(&message);
    let sent = |order: Order| pb::HeartbeatResponse { order: pb::Order::from(order).into() };
    there_and_back(bytes, read, sent, as_it_is);
}

fn a_report(bytes: &[u8]) {
    let read = |message: pb::ReportRequest| {
        let caller = caller(message.session, message.worker);
        let attempt = attempt(message.attempt)?;
        Ok((caller, attempt, outcome(message.outcome)?, message.ask_next))
    };
    let sent = |report: (Caller, Attempt, Outcome, bool)| {
        let (caller, attempt, outcome, ask_next) = report;
        report_request(&caller, attempt, outcome, ask_next)
    };
    let shown = |message: pb::ReportRequest| {
        use pb::report_request::Outcome as Wire;
        let outcome = message.outcome.map(|outcome| match outcome {
            Wire::Failure(failure) => Wire::Failure(shown(failure)),
            Wire::MapDone(_) | Wire::ReduceDone(_) => outcome,
        });
        pb::ReportRequest { outcome, ..message }
    };
    match there_and_back(bytes, read, sent, shown) {
        Some((_, _, Outcome::Failed(failure), _)) => look_at(&failure),
        Some((_, _, Outcome::Mapped { buckets, .. }, _)) => {
            assert!(buckets.len() <= REDUCE_TASKS_MAX as usize);
        }
        None | Some((_, _, Outcome::Reduced { .. }, _)) => {}
    }
}

fn a_failure(bytes: &[u8]) {
    if let Some(failure) = there_and_back(bytes, super::failure, pb::Failure::from, shown) {
        look_at(&failure);
    }
}

fn a_verdict(bytes: &[u8]) {
    let read = |message: pb::ReportResponse| report_answer(message);
    let sent = |(verdict, next): (Verdict, Option<TaskAnswer>)| report_response(verdict, next);
    there_and_back(bytes, read, sent, as_it_is);
}

fn a_farewell(bytes: &[u8]) {
    let read = |message: pb::LeaveRequest| Ok(caller(message.session, message.worker));
    let sent = |Caller { session: Session(session), worker }| pb::LeaveRequest { session, worker };
    there_and_back(bytes, read, sent, as_it_is);
}

fn a_status(bytes: &[u8]) {
    there_and_back(bytes, status, pb::StatusResponse::from, as_it_is);
}

/// The value that `bytes` encode, if any. `known` is the message without what reading changes on
/// purpose.
fn there_and_back<M, T>(
    bytes: &[u8],
    read: impl Fn(M) -> Result<T, Malformed>,
    sent: impl Fn(T) -> M,
    known: impl Fn(M) -> M,
) -> Option<T>
where
    M: Message + Default + Clone + Debug + PartialEq,
    T: Clone + Debug + PartialEq,
{
    let message = M::decode(bytes).ok()?;
    let value = read(message.clone()).ok()?;
    let again = sent(value.clone());
    let length = again.encoded_len();
    let bytes = again.encode_to_vec();
    assert_eq!(bytes.len(), length);
    let arrived = M::decode(bytes.as_slice()).expect("what was encoded can be decoded");
    assert!(arrived == known(message), "{value:?} was sent on as {arrived:?}");
    assert_eq!(read(arrived).as_ref(), Ok(&value));
    Some(value)
}

fn as_it_is<M>(message: M) -> M {
    message
}

/// A failure with its texts as people see them.
fn shown(failure: pb::Failure) -> pb::Failure {
    use pb::failure::Cause;
    let io = |io: pb::Io| pb::Io { operation: text(&io.operation), detail: text(&io.detail), ..io };
    let cause = failure.cause.map(|cause| match cause {
        // A full disk has no other variant, and is full for all users.
        Cause::DiskFull(full) => {
            Cause::DiskFull(pb::Io { operation: "write".into(), users: None, ..io(full) })
        }
        Cause::InputUnreadable(unreadable) => Cause::InputUnreadable(io(unreadable)),
        Cause::Io(other) => Cause::Io(io(other)),
        Cause::Panicked(pb::Panicked { message }) => {
            Cause::Panicked(pb::Panicked { message: text(&message) })
        }
        Cause::StagingDamaged(pb::StagingDamaged { path, detail }) => {
            Cause::StagingDamaged(pb::StagingDamaged { path, detail: text(&detail) })
        }
        Cause::FormatUnknown(pb::FormatUnknown { path, detail }) => {
            Cause::FormatUnknown(pb::FormatUnknown { path, detail: text(&detail) })
        }
        Cause::InputDamaged(damaged) => {
            Cause::InputDamaged(pb::InputDamaged { detail: text(&damaged.detail), ..damaged })
        }
        Cause::Tampered(pb::Tampered { path, detail }) => {
            Cause::Tampered(pb::Tampered { path, detail: text(&detail) })
        }
        Cause::ForeignStaging(_)
        | Cause::InputChanged(_)
        | Cause::InputMissing(_)
        | Cause::IntermediateCorrupt(_)
        | Cause::IntermediateMissing(_)
        | Cause::OutsideRoots(_)
        | Cause::StagingExists(_)
        | Cause::TooManyLongWords(_) => cause,
    });
    pb::Failure { cause }
}

fn look_at(failure: &Failure) {
    // Also of those that name a path.
    assert!(!failure.to_string().contains(char::is_control), "{failure:?} would reach a terminal");
    let texts = match failure {
        Failure::DiskFull { detail, .. }
        | Failure::FormatUnknown { detail, .. }
        | Failure::InputDamaged { detail, .. }
        | Failure::StagingDamaged { detail, .. }
        | Failure::Tampered { detail, .. } => vec![detail],
        Failure::InputUnreadable { operation, detail, .. }
        | Failure::Io { operation, detail, .. } => vec![operation, detail],
        Failure::Panicked { message } => vec![message],
        Failure::ForeignStaging { .. }
        | Failure::InputChanged { .. }
        | Failure::InputMissing { .. }
        | Failure::IntermediateCorrupt { .. }
        | Failure::IntermediateMissing { .. }
        | Failure::OutsideRoots { .. }
        | Failure::StagingExists
        | Failure::TooManyLongWords { .. } => vec![],
    };
    for text in texts {
        assert!(text.len() <= TEXT_BYTES_MAX);
        assert!(!text.contains(char::is_control), "{text:?} would reach a terminal");
    }
}

#[test]
fn seeds_are_refused_or_round_trip() {
    crate::replay::replay("wire", check);
}
