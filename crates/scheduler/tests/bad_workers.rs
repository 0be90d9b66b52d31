//! Workers that fail or lose every attempt beside healthy ones: the job succeeds without them.

use std::collections::BTreeMap;
use std::time::Duration;

use scheduler::{
    Abilities, Action, AttemptId, Failure, Heartbeat, Job, Limits, Outcome, Reason, Scheduler,
    TaskId, Time, Verdict, WorkerId,
};

const HEALTHY: WorkerId = WorkerId(9);

#[test]
fn a_worker_that_is_silent_again_and_again_does_not_end_the_job_of_a_healthy_one() {
    let mut fleet = Fleet::new(20, 3);
    // It is heard from for one second in twelve, and registers again when it is told to.
    fleet.add(WorkerId(1), Habit::Silent { sleeps: seconds(11), wakes: seconds(1) });
    fleet.add(HEALTHY, Habit::Works { takes: seconds(30) });
    fleet.run(seconds(3600));

    assert_eq!(fleet.scheduler.outcome(), Some(&Outcome::Done));
    assert_eq!(fleet.scheduler.snapshot().attempts.lost, 3, "three strikes");
}

#[test]
fn two_workers_that_fail_at_once_do_not_end_the_job_of_a_healthy_one() {
    let mut fleet = Fleet::new(20, 3);
    fleet.add(HEALTHY, Habit::Works { takes: seconds(30) });
    fleet.add(WorkerId(1), Habit::Fails);
    for _ in 0..10 {
        fleet.step();
    }
    fleet.add(WorkerId(2), Habit::Fails);
    fleet.run(seconds(3600));

    assert_eq!(fleet.scheduler.outcome(), Some(&Outcome::Done));
    assert_eq!(fleet.scheduler.snapshot().attempts.failed, 6, "three strikes each");
}

#[test]
fn what_a_worker_failed_while_it_was_alone_counts_once_as_soon_as_it_is_not() {
    let mut fleet = Fleet::new(1, 1);
    fleet.add(WorkerId(1), Habit::Fails);
    for _ in 0..3 {
        fleet.step();
    }
    let failed = fleet.scheduler.snapshot().attempts.failed;
    assert!((1..4).contains(&failed), "{failed} failed");
    fleet.add(WorkerId(2), Habit::Fails);
    fleet.add(HEALTHY, Habit::Works { takes: seconds(30) });
    fleet.run(seconds(3600));

    assert_eq!(fleet.scheduler.outcome(), Some(&Outcome::Done));
}

#[test]
fn a_worker_that_is_alone_ends_the_job_at_once_with_every_cause() {
    let mut fleet = Fleet::new(3, 1);
    fleet.add(WorkerId(1), Habit::Fails);
    fleet.run(seconds(3600));

    assert!(matches!(fleet.scheduler.outcome(), Some(Outcome::Failed(failure))
        if failure.reason == Reason::Failures));
    assert_eq!(fleet.scheduler.snapshot().attempts.failed, 4);
    assert_eq!(fleet.now, Time(Duration::from_millis(5)), "no pause delays it");
}

#[test]
fn workers_that_all_fail_end_the_job() {
    for workers in 2..=8 {
        let mut fleet = Fleet::new(20, 3);
        for worker in 1..=workers {
            fleet.add(WorkerId(worker), Habit::Fails);
        }
        fleet.run(seconds(3600));

        let outcome = fleet.scheduler.outcome();
        assert!(matches!(outcome, Some(Outcome::Failed(_))), "{workers} workers: {outcome:?}");
        assert!(fleet.now <= Time(seconds(1)), "{workers} workers: not before {}", fleet.now);
    }
}

#[test]
fn a_worker_that_hangs_does_not_keep_a_task_from_the_one_that_failed_it() {
    let mut fleet = Fleet::new(2, 1);
    fleet.add(WorkerId(1), Habit::Hangs);
    fleet.add(HEALTHY, Habit::FailsFirst { times: 3 });
    fleet.run(seconds(120));

    assert_eq!(fleet.scheduler.outcome(), Some(&Outcome::Done));
}

#[test]
fn a_worker_that_was_set_aside_works_again_when_no_other_is_left() {
    let mut fleet = Fleet::new(20, 1);
    fleet.add(WorkerId(1), Habit::FailsFirst { times: 3 });
    fleet.add(HEALTHY, Habit::Works { takes: seconds(30) });
    while fleet.scheduler.snapshot().workers.set_aside == 0 {
        fleet.step();
    }
    fleet.leave(HEALTHY);
    fleet.run(seconds(10));

    assert_eq!(fleet.scheduler.outcome(), Some(&Outcome::Done));
}

#[test]
fn the_pause_after_failures_doubles_and_ends_with_a_commit() {
    let limits = Limits { worker_failures_max: Limits::default().losses_max, ..Limits::default() };
    let mut scheduler = Scheduler::new(
        &Job { map_bytes: vec![1; 40], map_needs: Vec::new(), reduce_tasks: 1 },
        limits,
    );
    let mut now = Time::default();
    let held = start(&mut scheduler, now, HEALTHY).expect("there is work");
    let pause = |scheduler: &mut Scheduler, now: &mut Time, attempt: AttemptId| {
        let failed = *now;
        assert_eq!(
            scheduler.handle_failed(*now, WorkerId(1), attempt, Failure::Transient),
            Verdict::Accepted
        );
        let next = loop {
            let progress = now.0.as_millis() as u64;
            let beat = Heartbeat { attempt: held, progress, bytes: 0 };
            let _ = scheduler.handle_heartbeat(*now, HEALTHY, Some(beat));
            if let Some(next) = ask(scheduler, *now, WorkerId(1)) {
                break next;
            }
            let next = scheduler.poll_timeout().expect("it rests");
            *now = next.min(*now + seconds(1));
        };
        (next, now.0 - failed.0)
    };
    let mut attempt = start(&mut scheduler, now, WorkerId(1)).expect("it has not failed yet");
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let (next, paused) = pause(&mut scheduler, &mut now, attempt);
        attempt = next;
        pauses.push(paused.as_millis());
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);

    assert_eq!(scheduler.handle_done(now, WorkerId(1), attempt), Verdict::Publishing);
    scheduler.handle_published(now, attempt, &[1]);
    let attempt = ask(&mut scheduler, now, WorkerId(1)).expect("a commit ends its pauses");
    assert_eq!(pause(&mut scheduler, &mut now, attempt).1.as_millis(), 100);
}

fn start(scheduler: &mut Scheduler, now: Time, worker: WorkerId) -> Option<AttemptId> {
    scheduler.handle_register(now, worker, Abilities::NONE);
    ask(scheduler, now, worker)
}

fn ask(scheduler: &mut Scheduler, now: Time, worker: WorkerId) -> Option<AttemptId> {
    scheduler.handle_register(now, worker, Abilities::NONE);
    scheduler.handle_idle(now, worker);
    scheduler.assert_consistent();
    let mut started = None;
    while let Some(action) = scheduler.poll_action() {
        if let Action::Start { attempt, worker: asked, .. } = action
            && asked == worker
        {
            started = Some(attempt);
        }
    }
    started
}

/// What a worker does with its attempts.
#[derive(Clone, Copy)]
enum Habit {
    /// Reports each as failed, a millisecond after it started.
    Fails,
    /// Fails its first `times`; commits the others at once.
    FailsFirst { times: u32 },
    /// Keeps its first without progress, is heard from, and never asks again.
    Hangs,
    /// Sleeps and wakes in turns, holding an attempt while it sleeps.
    Silent { sleeps: Duration, wakes: Duration },
    /// Commits each after this time.
    Works { takes: Duration },
}

/// A job in virtual time, in steps of a millisecond or more.
struct Fleet {
    scheduler: Scheduler,
    habits: BTreeMap<WorkerId, Habit>,
    running: BTreeMap<WorkerId, (AttemptId, Time)>,
    failed: BTreeMap<WorkerId, u32>,
    reduces: usize,
    now: Time,
}

impl Fleet {
    fn new(maps: usize, reduces: u32) -> Self {
        let job = Job { map_bytes: vec![1000; maps], map_needs: Vec::new(), reduce_tasks: reduces };
        Self {
            scheduler: Scheduler::new(&job, Limits::default()),
            habits: BTreeMap::new(),
            running: BTreeMap::new(),
            failed: BTreeMap::new(),
            reduces: reduces as usize,
            now: Time::default(),
        }
    }

    fn add(&mut self, worker: WorkerId, habit: Habit) {
        self.habits.insert(worker, habit);
    }

    fn leave(&mut self, worker: WorkerId) {
        self.habits.remove(&worker);
        self.running.remove(&worker);
        self.scheduler.handle_leave(self.now, worker);
    }

    fn run(&mut self, longest: Duration) {
        let end = self.now + longest;
        while self.scheduler.outcome().is_none() {
            assert!(self.now < end, "not over at {}: {}", self.now, self.scheduler.snapshot());
            self.step();
        }
    }

    fn step(&mut self) {
        // Milliseconds while attempts fail, and tenths of a second in a job that takes minutes.
        let step = if self.now < Time(seconds(1)) { 1 } else { 100 };
        for (worker, habit) in self.habits.clone() {
            self.act(worker, habit);
        }
        self.now = self.now + Duration::from_millis(step);
        self.scheduler.handle_timeout(self.now);
        self.scheduler.assert_consistent();
    }

    fn act(&mut self, worker: WorkerId, habit: Habit) {
        if let Habit::Silent { sleeps, wakes } = habit
            && self.now.0.as_millis() % (sleeps + wakes).as_millis() >= wakes.as_millis()
        {
            return;
        }
        if !self.scheduler.knows(worker) {
            self.running.remove(&worker);
            self.scheduler.handle_register(self.now, worker, Abilities::NONE);
        }
        let _ = self.scheduler.handle_heartbeat(self.now, worker, None);
        if let Some(&(attempt, since)) = self.running.get(&worker) {
            self.end(worker, attempt, since, habit);
        }
        if !self.running.contains_key(&worker) {
            self.scheduler.handle_idle(self.now, worker);
        }
        while let Some(action) = self.scheduler.poll_action() {
            if let Action::Start { attempt, worker, .. } = action {
                self.running.insert(worker, (attempt, self.now));
            }
        }
    }

    fn end(&mut self, worker: WorkerId, attempt: AttemptId, since: Time, habit: Habit) {
        let failed = self.failed.entry(worker).or_default();
        match habit {
            Habit::Fails => {}
            Habit::FailsFirst { times } if *failed < times => {}
            Habit::Hangs | Habit::Silent { .. } => return,
            Habit::Works { takes } if self.now < since + takes => {
                let beat = Heartbeat { attempt, progress: self.now.0.as_millis() as u64, bytes: 0 };
                let _ = self.scheduler.handle_heartbeat(self.now, worker, Some(beat));
                return;
            }
            Habit::FailsFirst { .. } | Habit::Works { .. } => {
                self.running.remove(&worker);
                if self.scheduler.handle_done(self.now, worker, attempt) == Verdict::Publishing {
                    let buckets = vec![1; self.reduces];
                    let is_map = attempt.task == TaskId::map(attempt.task.index);
                    let buckets = if is_map { buckets.as_slice() } else { &[] };
                    self.scheduler.handle_published(self.now, attempt, buckets);
                }
                return;
            }
        }
        *failed += 1;
        self.running.remove(&worker);
        let _ = self.scheduler.handle_failed(self.now, worker, attempt, Failure::Transient);
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
