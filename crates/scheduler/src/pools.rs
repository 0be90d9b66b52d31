//! The workers by what they can do: how many are present, and the queue of those that are idle.
//!
//! # Invariants
//!
//! * There is one pool for each set of abilities that a worker ever had. A pool may be empty.
//! * A worker in good standing has a lower rank than one that is set aside, and among those of
//!   either kind one that does not rest has a lower rank than one that does.

use std::collections::BTreeSet;
use std::iter;
use std::ops::Bound;

use crate::abilities::Abilities;
use crate::id::WorkerId;

/// A place in the queue: a rank, and the worker that has it. The rank is the worker's ticket, with
/// a bit for each reason to stand behind others: one number costs less to compare than three.
pub(crate) type Place = (u64, WorkerId);

/// The bit of a worker that is set aside.
pub(crate) const ASIDE: u64 = 1 << 63;

/// The bit of a worker that rests.
pub(crate) const RESTS: u64 = 1 << 62;

/// Whether a worker is set aside, and whether it is healthy; `None` if it is absent.
pub(crate) type Standing = Option<(bool, bool)>;

#[derive(Debug, Default)]
pub(crate) struct Pools(Vec<Pool>);

/// The workers that can do the same.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Pool {
    abilities: Abilities,
    present: Present,
    queue: BTreeSet<Place>,
}

/// How many workers are present, and how many of them are healthy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Present {
    good: Count,
    set_aside: Count,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Count {
    pub(crate) all: usize,
    healthy: usize,
}

impl Pools {
    /// The pool of the workers that have exactly `abilities`.
    pub(crate) fn of(&mut self, abilities: Abilities) -> &mut Pool {
        let place = self.0.iter().position(|pool| pool.abilities == abilities);
        let place = place.unwrap_or_else(|| {
            self.0.push(Pool { abilities, ..Pool::default() });
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    /// The workers that get the tasks that need `needs`: whether they are those set aside, and how
    /// many there are.
    pub(crate) fn candidates(&self, needs: Abilities) -> (bool, Count) {
        let mut present = Present::default();
        for pool in self.able(needs) {
            present.good.add(pool.present.good);
            present.set_aside.add(pool.present.set_aside);
        }
        if present.good.all > 0 { (false, present.good) } else { (true, present.set_aside) }
    }

    /// The rank from which on idle workers do not get tasks that need `needs`.
    pub(crate) fn end_of_eligible(&self, needs: Abilities) -> u64 {
        let (set_aside, count) = self.candidates(needs);
        // Without candidates in good standing, all in the queues are set aside.
        match (set_aside, count.healthy > 0) {
            (false, true) => RESTS,
            (false, false) => ASIDE,
            (true, true) => ASIDE | RESTS,
            (true, false) => u64::MAX,
        }
    }

    /// The first idle worker that can do what needs `needs`, and its rank.
    pub(crate) fn first(&self, needs: Abilities) -> Option<Place> {
        let mut firsts = self.able(needs).filter_map(|pool| pool.queue.first().copied());
        let first = firsts.next()?;
        Some(firsts.fold(first, Place::min))
    }

    /// The idle workers with a lower rank than `end` that can do what needs `needs`, by their rank,
    /// and what else each can do.
    pub(crate) fn idle(
        &self,
        needs: Abilities,
        end: u64,
    ) -> impl Iterator<Item = (WorkerId, Abilities)> {
        // Nearly always there is one pool, whose queue has the order already.
        let only = if let [only] = &*self.0 { Some(only) } else { None };
        let only = only.filter(|pool| pool.abilities.cover(needs)).into_iter();
        let only = only.flat_map(move |pool| {
            let idle = pool.queue.iter().take_while(move |&&(rank, _)| rank < end);
            idle.map(|&(_, worker)| (worker, pool.abilities))
        });
        let many = if self.0.len() > 1 { Some(self.merged(needs, end)) } else { None };
        only.chain(many.into_iter().flatten())
    }

    fn merged(&self, needs: Abilities, end: u64) -> impl Iterator<Item = (WorkerId, Abilities)> {
        let mut start = Bound::Unbounded;
        iter::from_fn(move || {
            let rest = (start, Bound::Excluded((end, WorkerId(0))));
            let first = |pool: &Pool| Some((*pool.queue.range(rest).next()?, pool.abilities));
            let (place, abilities) = self.able(needs).filter_map(first).min()?;
            start = Bound::Excluded(place);
            Some((place.1, abilities))
        })
    }

    /// Those in which any worker was counted or is idle, by their abilities.
    pub(crate) fn inhabited(&self) -> Vec<&Pool> {
        let empty = |abilities| Pool { abilities, ..Pool::default() };
        let mut pools: Vec<&Pool> =
            self.0.iter().filter(|pool| **pool != empty(pool.abilities)).collect();
        pools.sort_unstable_by_key(|pool| pool.abilities);
        pools
    }

    fn able(&self, needs: Abilities) -> impl Iterator<Item = &Pool> {
        self.0.iter().filter(move |pool| pool.abilities.cover(needs))
    }
}

impl Pool {
    /// Count a worker of this standing.
    pub(crate) fn add(&mut self, standing: Standing) {
        if let Some((set_aside, healthy)) = standing {
            let count = self.present.of(set_aside);
            count.all += 1;
            count.healthy += usize::from(healthy);
        }
    }

    /// Count a worker of this standing no longer.
    pub(crate) fn remove(&mut self, standing: Standing) {
        if let Some((set_aside, healthy)) = standing {
            let count = self.present.of(set_aside);
            count.all -= 1;
            count.healthy -= usize::from(healthy);
        }
    }

    /// `worker` waits at this rank, if it is idle.
    pub(crate) fn enqueue(&mut self, rank: Option<u64>, worker: WorkerId) {
        if let Some(rank) = rank {
            self.queue.insert((rank, worker));
        }
    }

    /// `worker`, which waited at this rank if it was idle, no longer does.
    pub(crate) fn dequeue(&mut self, rank: Option<u64>, worker: WorkerId) {
        if let Some(rank) = rank {
            self.queue.remove(&(rank, worker));
        }
    }
}

impl Present {
    fn of(&mut self, set_aside: bool) -> &mut Count {
        if set_aside { &mut self.set_aside } else { &mut self.good }
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.healthy += other.healthy;
    }
}
