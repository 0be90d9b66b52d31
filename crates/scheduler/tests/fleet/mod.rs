//! The calls that a fleet of workers makes during a large job, in virtual time and in batches.
//!
//! Workers register, ask for work, send a heartbeat every second, report, and wait for the answer.
//! One in a hundred is five times as slow as the others; one attempt in a hundred fails, and after
//! one in two thousand its worker leaves and another registers. Everything follows from the size of
//! the job, so a batch can be replayed to another scheduler, which answers the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use scheduler::{
    Abilities, Action, AttemptId, Failure, Heartbeat, Job, Limits, Order, Phase, Scheduler, Time,
    Verdict, WorkerId,
};

/// How many workers and tasks there are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub workers: u32,
    pub maps: u32,
    pub reduces: u32,
}

/// A call of a scheduler's method.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    Beat { worker: WorkerId, running: Option<Heartbeat> },
    Done { worker: WorkerId, attempt: AttemptId },
    Failed { worker: WorkerId, attempt: AttemptId },
    Idle { worker: WorkerId },
    Leave { worker: WorkerId },
    Published { attempt: AttemptId },
    Register { worker: WorkerId },
    Timeout,
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    None,
    Order(Order),
    Verdict(Verdict),
}

/// A running job.
pub struct Fleet {
    job: Job,
    scheduler: Scheduler,
    slots: Vec<Slot>,
    agenda: BinaryHeap<Reverse<(Time, u64, Plan)>>,
    /// How many plans were made: puts plans for the same time in order.
    plans: u64,
    /// How many workers ever registered.
    registered: u64,
    /// The bucket sizes of every map task.
    buckets: Vec<u64>,
}

/// A place for one worker process at a time.
#[derive(Clone, Copy)]
struct Slot {
    worker: WorkerId,
    running: Option<Running>,
    gone: bool,
}

#[derive(Clone, Copy)]
struct Running {
    attempt: AttemptId,
    started: Time,
    takes: Duration,
    bytes: u64,
}

/// What a slot, by its number, will do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Plan {
    Ask(usize),
    Beat(usize),
    Register(usize),
    /// The caller publishes the attempt.
    Publish(usize, AttemptId),
    Report(usize, AttemptId),
}

impl Size {
    pub fn tasks(self) -> u32 {
        self.maps + self.reduces
    }

    pub fn job(self) -> Job {
        let bytes = |index| 500_000 + random(u64::from(index)) % 5_000_000;
        let map_bytes = (0..self.maps).map(bytes).collect();
        Job { map_bytes, map_needs: Vec::new(), reduce_tasks: self.reduces }
    }
}

impl Fleet {
    pub fn new(size: Size) -> Self {
        let job = size.job();
        let mut fleet = Self {
            scheduler: Scheduler::new(&job, limits()),
            slots: Vec::with_capacity(size.workers as usize),
            agenda: BinaryHeap::with_capacity(4 * size.workers as usize),
            plans: 0,
            registered: 0,
            buckets: vec![BUCKET_BYTES; size.reduces as usize],
            job,
        };
        for slot in 0..size.workers {
            fleet.slots.push(Slot { worker: WorkerId(0), running: None, gone: false });
            fleet.plan(Time(Duration::from_micros(50) * slot), Plan::Register(slot as usize));
        }
        fleet
    }

    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    pub fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// Run the job until `batch` is full or the job is over. Returns whether anything happened.
    pub fn fill(&mut self, batch: &mut Vec<(Time, Call)>) -> bool {
        batch.clear();
        while batch.len() + 2 < batch.capacity() && self.scheduler.outcome().is_none() {
            let Some(&Reverse((time, _, plan))) = self.agenda.peek() else { break };
            if let Some(timeout) = self.scheduler.poll_timeout().filter(|&timeout| timeout <= time)
            {
                self.call(timeout, Call::Timeout, batch);
                continue;
            }
            self.agenda.pop();
            self.act(time, plan, batch);
        }
        !batch.is_empty()
    }

    fn act(&mut self, now: Time, plan: Plan, batch: &mut Vec<(Time, Call)>) {
        match plan {
            Plan::Ask(slot) => {
                let worker = self.slots[slot].worker;
                self.call(now, Call::Idle { worker }, batch);
            }
            Plan::Beat(slot) => self.beat(now, slot, batch),
            Plan::Register(slot) => {
                self.registered += 1;
                let worker = WorkerId(self.registered * self.slots.len() as u64 + slot as u64);
                self.slots[slot] = Slot { worker, running: None, gone: false };
                self.call(now, Call::Register { worker }, batch);
                self.plan(now, Plan::Ask(slot));
                self.plan(now + SECOND, Plan::Beat(slot));
            }
            Plan::Publish(slot, attempt) => {
                self.call(now, Call::Published { attempt }, batch);
                self.plan(now, Plan::Ask(slot));
            }
            Plan::Report(slot, attempt) => self.report(now, slot, attempt, batch),
        }
    }

    fn beat(&mut self, now: Time, slot: usize, batch: &mut Vec<(Time, Call)>) {
        let Slot { worker, running, gone } = self.slots[slot];
        if gone {
            return;
        }
        let running = running.map(|Running { attempt, started, takes, bytes }| {
            let (age, takes) = (now.0 - started.0, takes.as_micros());
            let bytes = (u128::from(bytes) * age.as_micros() / takes) as u64;
            Heartbeat { attempt, progress: bytes, bytes }
        });
        let reply = self.call(now, Call::Beat { worker, running }, batch);
        if reply == Reply::Order(Order::Abandon) {
            self.slots[slot].running = None;
            self.plan(now, Plan::Ask(slot));
        } else {
            assert_eq!(reply, Reply::Order(Order::Continue), "{worker} was heard from");
        }
        self.plan(now + SECOND, Plan::Beat(slot));
    }

    fn report(
        &mut self,
        now: Time,
        slot: usize,
        attempt: AttemptId,
        batch: &mut Vec<(Time, Call)>,
    ) {
        let Slot { worker, running, .. } = self.slots[slot];
        if running.is_none_or(|running| running.attempt != attempt) {
            return;
        }
        self.slots[slot].running = None;
        let chance = chance(attempt) % 10_000;
        if chance < 5 {
            self.slots[slot].gone = true;
            self.call(now, Call::Leave { worker }, batch);
            self.plan(now + 2 * SECOND, Plan::Register(slot));
        } else if chance < 105 {
            self.call(now, Call::Failed { worker, attempt }, batch);
            self.plan(now, Plan::Ask(slot));
        } else {
            let reply = self.call(now, Call::Done { worker, attempt }, batch);
            if reply == Reply::Verdict(Verdict::Publishing) {
                self.plan(now + PUBLISHING, Plan::Publish(slot, attempt));
            } else {
                self.plan(now, Plan::Ask(slot));
            }
        }
    }

    fn call(&mut self, now: Time, call: Call, batch: &mut Vec<(Time, Call)>) -> Reply {
        let reply = apply(&mut self.scheduler, now, call, &self.buckets);
        while let Some(action) = self.scheduler.poll_action() {
            match action {
                Action::Start { attempt, worker, .. } => self.start(now, worker, attempt),
                // The worker learns it with its next heartbeat. Publishing is planned by the
                // report.
                Action::Discard { .. }
                | Action::Exit { .. }
                | Action::Publish { .. }
                | Action::SetAside { .. } => {}
            }
        }
        batch.push((now, call));
        reply
    }

    fn start(&mut self, now: Time, worker: WorkerId, attempt: AttemptId) {
        let slot = (worker.0 % self.slots.len() as u64) as usize;
        let bytes = match attempt.task.phase {
            Phase::Map => self.job.map_bytes[attempt.task.index as usize],
            Phase::Reduce => BUCKET_BYTES * self.job.map_bytes.len() as u64,
        };
        let usual = match attempt.task.phase {
            Phase::Map => Duration::from_micros(bytes),
            Phase::Reduce => 3 * SECOND,
        };
        let slowness = if slot % 100 == 99 { 5 } else { 1 };
        let takes = usual * slowness * (80 + (chance(attempt) / 10_000 % 40) as u32) / 100;
        self.slots[slot].running = Some(Running { attempt, started: now, takes, bytes });
        self.plan(now + takes, Plan::Report(slot, attempt));
    }

    fn plan(&mut self, time: Time, plan: Plan) {
        self.plans += 1;
        self.agenda.push(Reverse((time, self.plans, plan)));
    }
}

/// Make the calls in `batch`, and poll as a caller would. Returns the number of actions.
#[inline(never)]
pub fn replay(scheduler: &mut Scheduler, batch: &[(Time, Call)], buckets: &[u64]) -> u64 {
    let mut actions = 0;
    for &(now, call) in batch {
        apply(scheduler, now, call, buckets);
        while scheduler.poll_action().is_some() {
            actions += 1;
        }
        actions += u64::from(scheduler.poll_timeout().is_some_and(|time| time < now));
    }
    actions
}

/// So many attempts fail by chance that no bound may end the job.
pub fn limits() -> Limits {
    let never = std::num::NonZeroU32::MAX;
    Limits {
        failures_max: never,
        losses_max: never,
        worker_failures_max: never,
        ..Limits::default()
    }
}

fn apply(scheduler: &mut Scheduler, now: Time, call: Call, buckets: &[u64]) -> Reply {
    match call {
        Call::Beat { worker, running } => {
            return Reply::Order(scheduler.handle_heartbeat(now, worker, running));
        }
        Call::Done { worker, attempt } => {
            return Reply::Verdict(scheduler.handle_done(now, worker, attempt));
        }
        Call::Failed { worker, attempt } => {
            let verdict = scheduler.handle_failed(now, worker, attempt, Failure::Transient);
            return Reply::Verdict(verdict);
        }
        Call::Idle { worker } => scheduler.handle_idle(now, worker),
        Call::Leave { worker } => scheduler.handle_leave(now, worker),
        Call::Published { attempt } => {
            let buckets = if attempt.task.phase == Phase::Map { buckets } else { &[] };
            scheduler.handle_published(now, attempt, buckets);
        }
        Call::Register { worker } => scheduler.handle_register(now, worker, Abilities::NONE),
        Call::Timeout => scheduler.handle_timeout(now),
    }
    Reply::None
}

fn chance(attempt: AttemptId) -> u64 {
    random(
        u64::from(attempt.task.index) << 20
            ^ u64::from(attempt.number) << 4
            ^ attempt.task.phase as u64,
    )
}

/// SplitMix64.
fn random(number: u64) -> u64 {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

const SECOND: Duration = Duration::from_secs(1);
const PUBLISHING: Duration = Duration::from_millis(2);
const BUCKET_BYTES: u64 = 1000;
