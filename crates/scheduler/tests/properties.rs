//! Properties that hold for all events, in any order and number.
//!
//! Random jobs, some of them resumed, are fed random events: workers that register, leave, fall
//! silent and return, intermediates that are lost, answers that do not arrive, reports that arrive
//! twice, late, from the wrong worker, or for attempts that never existed. After every single event
//! every index of the scheduler is recomputed from scratch and compared (`Script::apply`).
//!
//! A failure prints the shortest events found that lead to it, in the language of the transcripts,
//! and the seed. To see it again: `PROPTEST_RNG_SEED=<seed> cargo test -p scheduler --test
//! properties`. More cases: `PROPTEST_CASES=100000`. To keep it: paste the events into
//! `scenarios/`; there is no file of regressions beside the code, because a seed gives other
//! events as soon as a strategy changes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cases::{Case, Choice, TIMEOUT_MAX, cases};
use proptest::prelude::RngExt;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use scheduler::{
    Abilities, Action, AttemptId, AttemptRecord, End, Failure, Heartbeat, Limits, Order, Outcome,
    Phase, Reason, Role, TaskId, Time, Verdict, WorkerId,
};
use script::{Answer, Event, Reaction, Script};

mod cases;
#[expect(dead_code, reason = "shared with the scenarios, which parse what this one prints")]
mod script;

#[test]
fn same_events_have_same_consequences() {
    let consequences = |case: &Case| {
        let mut all = Vec::new();
        play(case, |world, event, reaction| {
            let scheduler = &world.script.scheduler;
            all.push((
                event.clone(),
                reaction.clone(),
                scheduler.snapshot(),
                scheduler.poll_timeout(),
            ));
        });
        all
    };
    check(|case| assert_eq!(consequences(case), consequences(case)));
}

#[test]
fn a_task_is_won_once_between_recalls_and_does_not_change_meanwhile() {
    check(|case| {
        let mut won: BTreeMap<TaskId, Vec<AttemptRecord>> = BTreeMap::new();
        play(case, |world, event, reaction| {
            let snapshot = world.script.scheduler.snapshot();
            let (maps, reduces): (Vec<TaskId>, Vec<TaskId>) =
                world.committed.keys().partition(|task| task.phase == Phase::Map);
            assert_eq!(snapshot.map.committed as usize, maps.len(), "{maps:?}");
            assert_eq!(snapshot.reduce.committed as usize, reduces.len(), "{reduces:?}");

            won.retain(|task, _| world.committed.contains_key(task));
            for &task in world.script.tasks() {
                let attempts = world.script.scheduler.attempts(task);
                if world.committed.contains_key(&task) {
                    assert_eq!(won.entry(task).or_insert_with(|| attempts.to_vec()), attempts);
                }
                let winners = attempts.iter().filter(|attempt| has_won(attempt)).count();
                let restored = usize::from(case.restored.contains(&task));
                let recalls = world.recalls.get(&task).copied().unwrap_or(0) as usize;
                let expected = recalls + usize::from(world.committed.contains_key(&task));
                assert_eq!(winners + restored, expected, "{task} was won too often");
            }
            if let Event::Done { worker, attempt } = *event
                && reaction.answer == Some(Answer::Verdict(Verdict::Accepted))
            {
                let winner = world.record(attempt).expect("an accepted attempt exists");
                assert!(has_won(&winner), "{attempt} was accepted but did not win");
                assert_eq!(winner.worker, worker, "{attempt} was accepted from another worker");
            }
        });
    });
}

#[test]
fn an_attempt_starts_only_on_a_worker_that_asked_and_holds_no_other() {
    check(|case| {
        let mut asking: BTreeSet<WorkerId> = BTreeSet::new();
        play(case, |world, event, reaction| {
            if let Event::Idle { worker } = *event {
                asking.insert(worker);
            }
            for action in &reaction.actions {
                match *action {
                    Action::Start { attempt, worker, .. } => {
                        assert!(asking.remove(&worker), "{worker} was given work unasked");
                        assert!(world.live_on(worker).eq([attempt]), "{attempt} is not alone");
                    }
                    Action::Exit { worker } => {
                        assert!(asking.remove(&worker), "{worker} was dismissed unasked");
                    }
                    Action::Discard { .. } | Action::Publish { .. } | Action::SetAside { .. } => {}
                }
            }
            asking.retain(|&worker| world.script.scheduler.knows(worker));
        });
    });
}

#[test]
fn no_reduce_starts_before_every_map_is_committed() {
    check(|case| {
        let mut started: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, _, reaction| {
            let snapshot = world.script.scheduler.snapshot();
            for attempt in world.started_by(reaction).filter(|&attempt| is_reduce(attempt)) {
                // An answer that was lost comes again, even if a map has been recalled by then.
                let repeated = !started.insert(attempt);
                assert!(repeated || snapshot.map.committed == snapshot.map.tasks, "{attempt}");
            }
        });
    });
}

#[test]
fn a_backup_races_one_old_attempt_of_the_phase_when_nothing_waits() {
    check(|case| {
        let mut seen: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, _, _| {
            let new = |(attempt, _): &(AttemptId, &AttemptRecord)| !seen.contains(attempt);
            for (attempt, record) in world.attempts().filter(new) {
                let rivals: Vec<_> =
                    world.live_of(attempt.task).filter(|&other| other != attempt).collect();
                if record.role == Role::First {
                    assert!(rivals.is_empty(), "{attempt} is no backup, but {rivals:?} live");
                    continue;
                }
                assert!(case.limits.backups, "{attempt}");
                let [rival] = rivals[..] else { panic!("{attempt} races {rivals:?}") };
                let rival = world.record(rival).expect("what is live exists");
                assert_ne!(rival.worker, record.worker, "{attempt}");
                let age = record.started.0 - rival.started.0;
                assert!(age >= Duration::from_secs(1), "{attempt} after {age:?}");
                let may_start = |task: &&TaskId| {
                    task.phase <= attempt.task.phase && world.can(record.worker, **task)
                };
                let mut first = world.script.tasks().iter().filter(may_start);
                assert!(!first.any(|&task| world.is_waiting(task)), "{attempt} goes before others");
                if is_reduce(attempt) {
                    let snapshot = world.script.scheduler.snapshot();
                    assert_eq!(snapshot.map.committed, snapshot.map.tasks, "{attempt}");
                }
            }
            seen = world.attempts().map(|(attempt, _)| attempt).collect();
        });
    });
}

#[test]
fn the_first_attempt_of_a_task_to_report_supersedes_the_other_and_nothing_else_does() {
    check(|case| {
        let mut live: BTreeSet<AttemptId> = BTreeSet::new();
        let mut superseded: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, event, reaction| {
            let mut expected = None;
            if let Event::Done { attempt, .. } = *event
                && reaction.actions.contains(&Action::Publish { attempt })
            {
                let is_rival =
                    |other: &&AttemptId| other.task == attempt.task && **other != attempt;
                let rival = live
                    .iter()
                    .find(is_rival)
                    .and_then(|&rival| Some((rival, world.record(rival)?)));
                // It may have expired with this very event.
                expected = rival.filter(|(_, record)| {
                    matches!(record.ended, Some((_, End::Superseded { by })) if by == attempt.number)
                });
                let still = world.live_of(attempt.task).count();
                assert_eq!(still, 0, "{attempt} is published while another is live");
            }
            let now_superseded = world
                .attempts()
                .filter(|(_, record)| matches!(record.ended, Some((_, End::Superseded { .. }))));
            let news: Vec<AttemptId> = now_superseded
                .map(|(attempt, _)| attempt)
                .filter(|&attempt| superseded.insert(attempt))
                .collect();
            assert_eq!(news, expected.map(|(rival, _)| rival).into_iter().collect::<Vec<_>>());
            live = world.script.tasks().iter().flat_map(|&task| world.live_of(task)).collect();
        });
    });
}

#[test]
fn no_smaller_task_starts_while_a_larger_one_of_its_phase_waits() {
    check(|case| {
        let mut started: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, _, reaction| {
            for attempt in world.started_by(reaction) {
                let phase = attempt.task.phase;
                let worker = world.record(attempt).expect("what was started exists").worker;
                let waiting = world.script.tasks().iter().filter(|task| task.phase == phase);
                let waiting = waiting.filter(|&&task| world.is_waiting(task));
                // A task that this worker failed is for another.
                let waiting = waiting.filter(|&&task| !world.has_failed(task, worker));
                let waiting = waiting.filter(|&&task| world.can(worker, task));
                let largest = waiting.map(|&task| world.bytes(task)).max().unwrap_or(0);
                // An answer that was lost comes again, whatever waits by then.
                let repeated = !started.insert(attempt);
                // A worker that rests or is set aside leaves a task to a better one that can do it.
                let leaves = world.strikes(worker) > 0 && !case.job.map_needs.is_empty();
                let jumped = !repeated && !leaves && world.bytes(attempt.task) < largest;
                assert!(!jumped, "{attempt} jumped the queue");
            }
        });
    });
}

#[test]
fn no_worker_gets_what_it_cannot_do() {
    check(|case| {
        let mut started: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, _, reaction| {
            for attempt in world.started_by(reaction).filter(|&attempt| started.insert(attempt)) {
                let worker = world.record(attempt).expect("what was started exists").worker;
                assert!(world.can(worker, attempt.task), "{attempt} on {worker}");
            }
            for (needs, _) in world.script.scheduler.stranded() {
                assert_ne!(needs, Abilities::NONE);
                let is_able = |worker: &WorkerId| {
                    let known = world.script.scheduler.knows(*worker);
                    known && world.busy().any(|busy| busy == *worker)
                };
                let mut able = world.registered.keys().filter(|worker| is_able(worker));
                let task = world.waiting_maps().find(|&task| world.needs(task) == needs);
                let task = task.expect("a group that is stranded has tasks");
                let found = able.find(|&&worker| world.can(worker, task));
                assert_eq!(found, None, "{task} is stranded");
            }
        });
    });
}

#[test]
fn no_worker_gets_what_a_better_one_could_do() {
    check(|case| {
        let mut started: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, _, reaction| {
            for attempt in world.started_by(reaction).filter(|&attempt| started.insert(attempt)) {
                let worker = world.record(attempt).expect("what was started exists").worker;
                let earlier = world.script.scheduler.attempts(attempt.task);
                let earlier = &earlier[..attempt.number as usize];
                let has_failed = |worker: WorkerId| {
                    earlier.iter().any(|one| one.worker == worker && is_strike(one))
                };
                let strikes_max = case.limits.worker_failures_max.get() as usize;
                // Workers that hold an attempt after this event were present during it.
                let in_good_standing: Vec<WorkerId> = world
                    .busy()
                    .filter(|&other| other != worker && world.strikes(other) < strikes_max)
                    .filter(|&other| world.can(other, attempt.task))
                    .collect();
                if world.strikes(worker) >= strikes_max {
                    assert!(in_good_standing.is_empty(), "{attempt} on {worker}, set aside");
                }
                if has_failed(worker) {
                    let better = in_good_standing.iter().find(|&&other| !has_failed(other));
                    assert_eq!(better, None, "{attempt} on {worker}, which failed the task");
                }
            }
        });
    });
}

#[test]
fn a_job_whose_workers_all_fail_ends() {
    check(|case| {
        let few = NonZeroU32::new(4).expect("4 is not 0");
        let limits = Limits { failures_max: few, ..case.limits.clone() };
        let mut world = play(&Case { limits, ..case.clone() }, |_, _, _| {});
        // Every worker asks at each moment and fails what it gets.
        for _ in 0..1000 {
            if world.script.scheduler.outcome().is_some() {
                return;
            }
            world.now = world.now + Duration::from_secs(1);
            world.publish_everything();
            for worker in (1..=5).map(WorkerId) {
                world.apply(&Event::Register { worker, abilities: ALL });
                world.apply(&Event::Idle { worker });
                let live: Vec<AttemptId> = world.live_on(worker).collect();
                for attempt in live {
                    world.apply(&Event::Failed { worker, attempt, failure: Failure::Transient });
                }
            }
        }
        panic!("1000 rounds do not end the job");
    });
}

#[test]
fn a_map_is_recalled_exactly_if_a_starved_attempt_cannot_have_read_an_older_output() {
    check(|case| {
        let mut committed = World::new(case).committed;
        let mut starved: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, event, _| {
            let mut expected = None;
            for (attempt, record) in world.attempts() {
                if matches!(record.ended, Some((_, End::Starved))) && starved.insert(attempt) {
                    let Event::Lost { worker, attempt: named, map } = *event else {
                        panic!("{attempt} starved by itself");
                    };
                    assert_eq!((worker, named), (record.worker, attempt));
                    let before = committed.get(&TaskId::map(map));
                    expected =
                        before.filter(|&&since| since <= record.started).map(|_| TaskId::map(map));
                }
            }
            let stands = |task| world.committed.contains_key(task);
            let recalled = committed.keys().find(|&task| !stands(task)).copied();
            assert_eq!(recalled, expected);
            committed.clone_from(&world.committed);
        });
    });
}

#[test]
fn an_attempt_is_undelivered_only_if_no_heartbeat_has_named_it() {
    check(|case| {
        let mut named: BTreeSet<AttemptId> = BTreeSet::new();
        let mut undelivered: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, event, reaction| {
            if let Event::Beat { running: Some(Heartbeat { attempt, .. }), .. } = *event
                && reaction.answer == Some(Answer::Order(Order::Continue))
            {
                named.insert(attempt);
            }
            for (attempt, record) in world.attempts() {
                if matches!(record.ended, Some((_, End::Undelivered)))
                    && undelivered.insert(attempt)
                {
                    let expected = Event::Undelivered { worker: record.worker, attempt };
                    assert_eq!(event, &expected, "{attempt} ended by itself");
                    assert!(!named.contains(&attempt), "{attempt} had arrived");
                }
            }
            if let Event::Undelivered { worker, attempt } = *event {
                let live = world.live_on(worker).any(|live| live == attempt);
                assert!(!live || named.contains(&attempt), "{attempt} is still live");
            }
        });
    });
}

#[test]
fn an_attempt_is_discarded_once_exactly_if_it_ended_without_winning() {
    check(|case| {
        let mut discarded: BTreeSet<AttemptId> = BTreeSet::new();
        play(case, |world, _, reaction| {
            for action in &reaction.actions {
                if let Action::Discard { attempt } = *action {
                    assert!(discarded.insert(attempt), "{attempt} was discarded twice");
                }
            }
            let ended: BTreeSet<AttemptId> = world
                .attempts()
                .filter(|(_, record)| record.ended.is_some() && !has_won(record))
                .map(|(attempt, _)| attempt)
                .collect();
            assert_eq!(discarded, ended);
        });
    });
}

#[test]
fn the_job_fails_when_a_bound_is_reached_and_not_before() {
    check(|case| {
        let Limits { failures_max, losses_max, .. } = case.limits;
        let mut failures = Failures::default();
        play(case, |world, _, _| {
            failures.follow(world);
            let ended = |task: TaskId, ends: &[End]| -> Vec<WorkerId> {
                let attempts = world.script.scheduler.attempts(task).iter();
                let ended =
                    attempts.filter(|one| one.ended.is_some_and(|(_, end)| ends.contains(&end)));
                ended.map(|one| one.worker).collect()
            };
            let losses = |task| ended(task, &[End::Lost, End::Violation]);
            // What one worker lost may count once, or more often if it is alone.
            let lost_by = |task| losses(task).into_iter().collect::<BTreeSet<_>>().len();
            let too_many_recalls = |task| {
                world.recalls.get(&task).is_some_and(|&recalls| recalls >= failures_max.get())
            };
            match world.script.scheduler.outcome() {
                None => {
                    for &task in world.script.tasks() {
                        let (least, _) = failures.of(task);
                        assert!(least < failures_max.get(), "{task}");
                        assert!(lost_by(task) < losses_max.get() as usize, "{task}");
                        assert!(!too_many_recalls(task), "{task}");
                    }
                }
                Some(Outcome::Failed(failure)) => match failure.reason {
                    Reason::Failures => {
                        assert!(failures.of(failure.task).1 >= failures_max.get());
                    }
                    Reason::Losses => {
                        assert!(losses(failure.task).len() >= losses_max.get() as usize);
                    }
                    Reason::Recalls => assert!(too_many_recalls(failure.task)),
                    Reason::Fatal => {
                        assert!(!ended(failure.task, &[End::Failed, End::Rejected]).is_empty())
                    }
                },
                Some(Outcome::Done) => {
                    let snapshot = world.script.scheduler.snapshot();
                    assert_eq!(snapshot.map.committed, snapshot.map.tasks);
                    assert_eq!(snapshot.reduce.committed, snapshot.reduce.tasks);
                }
                Some(Outcome::Cancelled) => {}
            }
        });
    });
}

#[test]
fn random_cases_have_races_that_end_in_every_way() {
    let config = Config { cases: 700, rng_seed: RngSeed::Fixed(1), ..Config::default() };
    let config = Config { failure_persistence: None, ..config };
    let ends = RefCell::new(BTreeMap::<String, u32>::new());
    let result = TestRunner::new(config).run(&cases(), |case| {
        let world = play(&case, |_, _, _| {});
        let backups = world.attempts().filter(|(_, record)| record.role == Role::Backup);
        for (_, end) in backups.filter_map(|(_, record)| record.ended) {
            let end = if let End::Superseded { .. } = end {
                "superseded".into()
            } else {
                end.to_string()
            };
            *ends.borrow_mut().entry(end).or_default() += 1;
        }
        Ok(())
    });
    assert!(result.is_ok(), "nothing was asserted");
    let ends = ends.into_inner();
    for end in ["superseded", "committed", "failed", "left", "lost", "starved", "undelivered"] {
        assert!(ends.contains_key(end), "no backup was {end}: {ends:?}");
    }
}

#[test]
fn whatever_happened_one_healthy_worker_finishes_the_job() {
    const HEALTHY: WorkerId = WorkerId(99);
    check(|case| {
        let many = NonZeroU32::new(1000).expect("1000 is not 0");
        let limits = Limits { failures_max: many, losses_max: many, ..case.limits.clone() };
        let mut world = play(&Case { limits, ..case.clone() }, |_, _, _| {});
        let expected = world.script.scheduler.outcome().copied().unwrap_or(Outcome::Done);
        // All other workers are silent and forgotten after the longest timeout, which frees their
        // tasks; from then on every second commits one task.
        let rounds = TIMEOUT_MAX.as_secs() as usize + 1 + world.script.tasks().len();
        for _ in 0..rounds {
            world.now = world.now + Duration::from_secs(1);
            world.publish_everything();
            world.apply(&Event::Register { worker: HEALTHY, abilities: ALL });
            world.apply(&Event::Idle { worker: HEALTHY });
            let live: Vec<AttemptId> = world.live_on(HEALTHY).collect();
            for attempt in live {
                world.apply(&Event::Done { worker: HEALTHY, attempt });
            }
            world.publish_everything();
        }
        let outcome = world.script.scheduler.outcome();
        assert_eq!(outcome, Some(&expected), "not done after {rounds} rounds");
    });
}

#[test]
fn a_transcript_is_parsed_as_it_is_printed() {
    check(|case| {
        let line = script::format_job(&case.job, &case.limits);
        assert_eq!(script::parse_job(&line), (case.job.clone(), case.limits.clone()));
        play(case, |_, event, _| assert_eq!(event.to_string().parse().as_ref(), Ok(event)));
    });
}

/// What a worker can do that can do every task.
const ALL: Abilities = Abilities(u32::MAX);

/// A script, and what the caller and the workers know of the job.
struct World {
    script: Script,
    now: Time,
    map_bytes: Vec<u64>,
    map_needs: Vec<Abilities>,
    /// What each worker said last that it can do.
    registered: BTreeMap<WorkerId, Abilities>,
    /// The size of each reduce task: its buckets from all map tasks, when first committed.
    reduce_bytes: Vec<u64>,
    /// The tasks that are committed, and since when.
    committed: BTreeMap<TaskId, Time>,
    /// How often each map task was recalled.
    recalls: BTreeMap<TaskId, u32>,
    /// Every attempt that was started, and its worker.
    started: Vec<(AttemptId, WorkerId)>,
    /// Every publication asked for, and its outcome.
    publications: Vec<(AttemptId, Option<Event>)>,
    /// Every event so far.
    transcript: Vec<String>,
}

impl World {
    fn new(case: &Case) -> Self {
        let mut world = Self {
            script: Script::new(&case.job, case.limits.clone()),
            now: Time::default(),
            map_bytes: case.job.map_bytes.clone(),
            map_needs: case.job.map_needs.clone(),
            registered: BTreeMap::new(),
            reduce_bytes: vec![0; case.job.reduce_tasks as usize],
            committed: BTreeMap::new(),
            recalls: BTreeMap::new(),
            started: Vec::new(),
            publications: Vec::new(),
            transcript: vec![script::format_job(&case.job, &case.limits)],
        };
        for &task in &case.restored {
            let bucket_bytes = bucket_bytes(AttemptId { task, number: 0 }, case.job.reduce_tasks);
            world.apply(&Event::Restore { task, bucket_bytes });
        }
        world
    }

    fn apply(&mut self, event: &Event) -> Reaction {
        self.transcript.push(match event.has_a_time() {
            true => format!("{event} at {}", self.now),
            false => event.to_string(),
        });
        if let Event::Register { worker, abilities } = *event {
            self.registered.insert(worker, abilities);
        }
        let repeated = self.has_settled(event);
        let reaction = self.script.apply(self.now, event);
        if !repeated {
            self.remember(event);
        }
        for action in &reaction.actions {
            match *action {
                Action::Start { attempt, worker, .. } => self.started.push((attempt, worker)),
                Action::Publish { attempt } => self.publications.push((attempt, None)),
                Action::Discard { .. } | Action::Exit { .. } | Action::SetAside { .. } => {}
            }
        }
        reaction
    }

    /// Note which tasks are committed after `event`, and the sizes of the reduce tasks.
    fn remember(&mut self, event: &Event) {
        if let Event::Published { attempt: AttemptId { task, .. }, bucket_bytes }
        | Event::Restore { task, bucket_bytes } = event
        {
            assert_eq!(self.committed.insert(*task, self.now), None, "{task} was won twice");
            if !self.recalls.contains_key(task) {
                for (reduce, bytes) in self.reduce_bytes.iter_mut().zip(bucket_bytes) {
                    *reduce += bytes;
                }
            }
        }
        let recalls: u32 = self.recalls.values().sum();
        if let Event::Lost { map, .. } = *event
            && self.script.scheduler.snapshot().maps_recalled > u64::from(recalls)
        {
            let map = TaskId::map(map);
            assert!(self.committed.remove(&map).is_some(), "{map} was recalled and not committed");
            *self.recalls.entry(map).or_default() += 1;
        }
    }

    /// Whether the caller has reported the outcome of this publication before.
    fn has_settled(&self, event: &Event) -> bool {
        let Event::Published { attempt, .. } = *event else {
            return false;
        };
        self.record(attempt).is_some_and(|record| record.ended.is_some())
    }

    /// The event for a choice, if there is anything to choose from.
    fn decide(&mut self, choice: &Choice) -> Option<Event> {
        Some(match *choice {
            Choice::Ask(worker, _) if self.script.scheduler.knows(worker) => Event::Idle { worker },
            Choice::Ask(worker, abilities) => Event::Register { worker, abilities },
            Choice::Event(ref event) => event.clone(),
            Choice::Beat { recent, by, progress, bytes } => {
                let (attempt, worker) = self.recently_started(recent, by)?;
                Event::Beat { worker, running: Some(Heartbeat { attempt, progress, bytes }) }
            }
            Choice::Done { recent, by } => {
                let (attempt, worker) = self.recently_started(recent, by)?;
                Event::Done { worker, attempt }
            }
            Choice::Failed { recent, by, failure } => {
                let (attempt, worker) = self.recently_started(recent, by)?;
                Event::Failed { worker, attempt, failure }
            }
            Choice::Lost { recent, by, map } => {
                let reduces = self.started.iter().rev().filter(|(attempt, _)| is_reduce(*attempt));
                let reduce = reduces.copied().nth(recent);
                let (attempt, worker) = reduce.or_else(|| self.recently_started(recent, None))?;
                Event::Lost { worker: by.unwrap_or(worker), attempt, map }
            }
            Choice::Undelivered { recent, by } => {
                let (attempt, worker) = self.recently_started(recent, by)?;
                Event::Undelivered { worker, attempt }
            }
            Choice::Settle { recent, failure } => {
                let index = self.publications.len().checked_sub(1 + recent)?;
                self.settle(index, failure)
            }
        })
    }

    fn recently_started(
        &self,
        recent: usize,
        by: Option<WorkerId>,
    ) -> Option<(AttemptId, WorkerId)> {
        let &(attempt, worker) = self.started.iter().rev().nth(recent)?;
        Some((attempt, by.unwrap_or(worker)))
    }

    fn settle(&mut self, index: usize, failure: Option<Failure>) -> Event {
        let buckets = self.reduce_bytes.len() as u32;
        let (attempt, settled) = &mut self.publications[index];
        let attempt = *attempt;
        let event = settled.get_or_insert_with(|| match failure {
            Some(failure) => Event::PublishFailed { attempt, failure },
            None => Event::Published { attempt, bucket_bytes: bucket_bytes(attempt, buckets) },
        });
        event.clone()
    }

    fn publish_everything(&mut self) {
        for index in 0..self.publications.len() {
            if self.publications[index].1.is_none() {
                let event = self.settle(index, None);
                self.apply(&event);
            }
        }
    }

    fn attempts(&self) -> impl Iterator<Item = (AttemptId, &AttemptRecord)> {
        self.script.tasks().iter().flat_map(|&task| {
            let attempts = (0..).zip(self.script.scheduler.attempts(task));
            attempts.map(move |(number, record)| (AttemptId { task, number }, record))
        })
    }

    fn record(&self, attempt: AttemptId) -> Option<AttemptRecord> {
        self.script.scheduler.attempts(attempt.task).get(attempt.number as usize).copied()
    }

    /// The attempts of `worker` that have neither ended nor been reported.
    fn live_on(&self, worker: WorkerId) -> impl Iterator<Item = AttemptId> {
        let reported = |attempt| self.publications.iter().any(|&(other, _)| other == attempt);
        let of_worker = self.attempts().filter(move |(_, record)| record.worker == worker);
        let open = of_worker.filter(|(_, record)| record.ended.is_none());
        open.map(|(attempt, _)| attempt).filter(move |&attempt| !reported(attempt))
    }

    /// The attempts at `task` that have neither ended nor been reported.
    fn live_of(&self, task: TaskId) -> impl Iterator<Item = AttemptId> {
        let reported = |attempt| self.publications.iter().any(|&(other, _)| other == attempt);
        let attempts = (0..).zip(self.script.scheduler.attempts(task));
        let open = attempts.filter(|(_, record)| record.ended.is_none());
        open.map(move |(number, _)| AttemptId { task, number })
            .filter(move |&attempt| !reported(attempt))
    }

    fn started_by(&self, reaction: &Reaction) -> impl Iterator<Item = AttemptId> {
        reaction.actions.iter().filter_map(|action| match *action {
            Action::Start { attempt, .. } => Some(attempt),
            Action::Discard { .. }
            | Action::Exit { .. }
            | Action::Publish { .. }
            | Action::SetAside { .. } => None,
        })
    }

    fn waiting_maps(&self) -> impl Iterator<Item = TaskId> {
        let maps = self.script.tasks().iter().filter(|task| task.phase == Phase::Map);
        maps.copied().filter(|&task| self.is_waiting(task))
    }

    /// The workers that hold an attempt.
    fn busy(&self) -> impl Iterator<Item = WorkerId> {
        let live = self.script.tasks().iter().flat_map(|&task| self.live_of(task));
        live.filter_map(|attempt| Some(self.record(attempt)?.worker))
    }

    /// How many attempts `worker` has failed or lost.
    fn strikes(&self, worker: WorkerId) -> usize {
        let of_worker = self.attempts().filter(|(_, record)| record.worker == worker);
        of_worker.filter(|(_, record)| is_strike(record)).count()
    }

    fn has_failed(&self, task: TaskId, worker: WorkerId) -> bool {
        let mut attempts = self.script.scheduler.attempts(task).iter();
        attempts.any(|attempt| attempt.worker == worker && is_strike(attempt))
    }

    fn needs(&self, task: TaskId) -> Abilities {
        match task.phase {
            Phase::Map => self.map_needs.get(task.index as usize).copied().unwrap_or_default(),
            Phase::Reduce => Abilities::NONE,
        }
    }

    /// Whether `worker` has what `task` needs, and has not turned out to lack it.
    fn can(&self, worker: WorkerId, task: TaskId) -> bool {
        let unable = self.attempts().filter(|(_, record)| {
            record.worker == worker && matches!(record.ended, Some((_, End::Unable)))
        });
        let lacks = unable.map(|(attempt, _)| self.needs(attempt.task));
        let lacks = lacks.fold(Abilities::NONE, Abilities::union);
        self.registered[&worker].without(lacks).cover(self.needs(task))
    }

    fn is_waiting(&self, task: TaskId) -> bool {
        let mut attempts = self.script.scheduler.attempts(task).iter();
        !self.committed.contains_key(&task) && attempts.all(|attempt| attempt.ended.is_some())
    }

    fn bytes(&self, task: TaskId) -> u64 {
        match task.phase {
            Phase::Map => self.map_bytes[task.index as usize],
            Phase::Reduce => self.reduce_bytes[task.index as usize],
        }
    }
}

/// How many failures of a task count: none while another attempt is live.
#[derive(Default)]
struct Failures {
    /// By task, at least and at most: when both attempts end at once, it depends on the order. At
    /// least, those of one worker count once; at most, all of them do.
    counts: BTreeMap<TaskId, (BTreeSet<WorkerId>, u32)>,
    ended: BTreeSet<AttemptId>,
    live: BTreeSet<AttemptId>,
}

impl Failures {
    fn of(&self, task: TaskId) -> (u32, u32) {
        self.counts.get(&task).map_or((0, 0), |(least, most)| (least.len() as u32, *most))
    }

    /// Once after each event.
    fn follow(&mut self, world: &World) {
        let live: BTreeSet<AttemptId> =
            world.script.tasks().iter().flat_map(|&task| world.live_of(task)).collect();
        for (attempt, record) in world.attempts() {
            let Some((_, end)) = record.ended else { continue };
            if !self.ended.insert(attempt)
                || !matches!(end, End::Failed | End::Rejected | End::Stuck)
            {
                continue;
            }
            let is_rival = |other: &&AttemptId| other.task == attempt.task && **other != attempt;
            let rival = self.live.iter().find(is_rival);
            let (least, most) = self.counts.entry(attempt.task).or_default();
            if rival.is_none() {
                least.insert(record.worker);
            }
            *most += u32::from(rival.is_none_or(|rival| !live.contains(rival)));
        }
        self.live = live;
    }
}

/// Let all events of `case` happen, and look at the world after each.
fn play(case: &Case, look: impl FnMut(&World, &Event, &Reaction)) -> World {
    let mut world = World::new(case);
    play_in(&mut world, case, look);
    world
}

fn play_in(world: &mut World, case: &Case, mut look: impl FnMut(&World, &Event, &Reaction)) {
    for step in &case.steps {
        world.now = world.now + step.pause;
        if let Some(event) = world.decide(&step.what) {
            let reaction = world.apply(&event);
            look(world, &event, &reaction);
        }
    }
}

/// Try `property` on random cases; report the shortest that breaks it, and how to see it again.
#[track_caller]
fn check(property: impl Fn(&Case)) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => TestRunner::new(config.clone()).rng().random(),
    };
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..config });
    let result = runner.run(&cases(), |case| {
        property(&case);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("{reason}"),
        Err(TestError::Fail(reason, case)) => panic!(
            "{reason}\n\nafter\n\n{}\n\nsee it again: PROPTEST_RNG_SEED={seed} cargo test -p \
             scheduler --test properties",
            transcript(&case),
        ),
    }
}

/// The events of a case, up to and including the one that makes the scheduler itself panic.
fn transcript(case: &Case) -> String {
    let mut world = World::new(case);
    // A failed property has panicked before; this only collects the events that led to it.
    let _ = catch_unwind(AssertUnwindSafe(|| play_in(&mut world, case, |_, _, _| {})));
    world.transcript.join("\n")
}

fn bucket_bytes(attempt: AttemptId, buckets: u32) -> Vec<u64> {
    match attempt.task.phase {
        Phase::Map => (0..buckets).map(|bucket| u64::from((attempt.number + bucket) % 3)).collect(),
        Phase::Reduce => Vec::new(),
    }
}

fn has_won(attempt: &AttemptRecord) -> bool {
    matches!(attempt.ended, Some((_, End::Committed)))
}

fn is_strike(attempt: &AttemptRecord) -> bool {
    let end = attempt.ended.map(|(_, end)| end);
    matches!(end, Some(End::Failed | End::Lost | End::Rejected | End::Stuck | End::Violation))
}

fn is_reduce(attempt: AttemptId) -> bool {
    attempt.task.phase == Phase::Reduce
}
