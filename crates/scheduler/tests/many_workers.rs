//! What must hold with so many workers that not every event looks at all running tasks.

use std::time::Duration;

use fleet::{Fleet, Size};
use scheduler::{
    Abilities, Action, AttemptId, Heartbeat, Job, Limits, Outcome, Role, Scheduler, TaskId, Time,
    WorkerId,
};

#[expect(dead_code, reason = "shared with the bench, which replays it to another scheduler")]
mod fleet;

#[test]
fn every_index_holds_during_a_job_of_many_workers() {
    let mut fleet = Fleet::new(Size { workers: 300, maps: 900, reduces: 100 });
    let mut batch = Vec::with_capacity(200);
    while fleet.fill(&mut batch) {
        fleet.scheduler().assert_consistent();
    }
    assert_eq!(fleet.scheduler().outcome(), Some(&Outcome::Done));
    let attempts = fleet.scheduler().snapshot().attempts;
    assert!(attempts.failed > 0 && attempts.backups_won > 0, "nothing went wrong: {attempts:?}");
}

#[test]
fn one_straggler_among_many_attempts_is_raced_a_moment_later() {
    check_races(1);
}

#[test]
fn all_stragglers_among_many_attempts_are_raced_at_once() {
    check_races(80);
}

/// Of 200 attempts, which should take a second each, half are done in that time. Of the others
/// `slow` are ten times as slow, and old enough to be raced after one and a half seconds.
#[track_caller]
fn check_races(slow: u32) {
    let job = Job { map_bytes: vec![100; 200], map_needs: Vec::new(), reduce_tasks: 1 };
    let mut scheduler = Scheduler::new(&job, Limits::default());
    for index in 0..200 {
        scheduler.handle_register(at(0), worker(index), Abilities::NONE);
        scheduler.handle_idle(at(0), worker(index));
    }
    assert_eq!(
        started(&mut scheduler),
        (0..200).map(|index| (index, Role::First)).collect::<Vec<_>>()
    );

    for index in 0..200 {
        if index < 100 {
            let _ = scheduler.handle_done(at(1000), worker(index), attempt(index));
            scheduler.handle_published(at(1000), attempt(index), &[1]);
            scheduler.handle_idle(at(1000), worker(index));
        } else {
            let bytes = if index < 200 - slow { 50 } else { 10 };
            let beat = Heartbeat { attempt: attempt(index), progress: 1, bytes };
            let _ = scheduler.handle_heartbeat(at(1000), worker(index), Some(beat));
        }
        scheduler.assert_consistent();
    }
    assert_eq!(started(&mut scheduler), [], "none is old enough yet");

    let mut backups = Vec::new();
    while backups.is_empty() {
        let now = scheduler.poll_timeout().expect("workers have deadlines");
        assert!(now <= at(1700), "no look for stragglers until {now}");
        scheduler.handle_timeout(now);
        scheduler.assert_consistent();
        backups = started(&mut scheduler);
        assert!(backups.is_empty() || at(1500) <= now, "raced at {now}");
    }
    assert_eq!(backups, (200 - slow..200).map(|index| (index, Role::Backup)).collect::<Vec<_>>());
}

/// Which tasks were started since the last time, and in which role.
fn started(scheduler: &mut Scheduler) -> Vec<(u32, Role)> {
    let mut started = Vec::new();
    while let Some(action) = scheduler.poll_action() {
        if let Action::Start { attempt, role, .. } = action {
            started.push((attempt.task.index, role));
        }
    }
    started
}

fn worker(index: u32) -> WorkerId {
    WorkerId(u64::from(index))
}

fn attempt(index: u32) -> AttemptId {
    AttemptId { task: TaskId::map(index), number: 0 }
}

fn at(milliseconds: u64) -> Time {
    Time(Duration::from_millis(milliseconds))
}
