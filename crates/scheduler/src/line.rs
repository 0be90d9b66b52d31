//! Whose time comes first: a line at whose end everybody stands again whose time is set.
//!
//! All deadlines of a kind are as far ahead as each other when they are set, so they come in the
//! order in which they were set, and nothing has to be sorted. A tree of times, or a heap, would be
//! rearranged with every heartbeat. Who stands in line is known by a number, from 0.
//!
//! # Invariants
//!
//! * From `first` along `after`, and from `last` along `before`, stand all who have a time, each
//!   once, in the order of their times.

use crate::time::Time;

#[derive(Debug, Default)]
pub(crate) struct Line {
    /// By number.
    stands: Vec<Stand>,
    first: Option<u32>,
    last: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    /// `None` for those who do not stand in line.
    time: Option<Time>,
    before: Option<u32>,
    after: Option<u32>,
}

impl Line {
    /// `who` has until `time`, whatever it had before. Nobody may have longer.
    pub(crate) fn set(&mut self, who: u32, time: Time) {
        if self.stands.len() <= who as usize {
            self.stands.resize(who as usize + 1, Stand::default());
        }
        self.clear(who);
        let last = self.last.replace(who);
        self.stands[who as usize] = Stand { time: Some(time), before: last, after: None };
        match last {
            Some(last) => {
                let stand = &mut self.stands[last as usize];
                assert!(stand.time <= Some(time), "somebody has longer than {time}");
                stand.after = Some(who);
            }
            None => self.first = Some(who),
        }
    }

    /// `who` leaves the line, if it stands there.
    pub(crate) fn clear(&mut self, who: u32) {
        if self.of(who).is_none() {
            return;
        }
        let Stand { before, after, .. } = std::mem::take(&mut self.stands[who as usize]);
        match before {
            Some(before) => self.stands[before as usize].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.stands[after as usize].before = before,
            None => self.last = before,
        }
    }

    /// Whose time comes first.
    pub(crate) fn first(&self) -> Option<(Time, u32)> {
        let first = self.first?;
        Some((self.of(first)?, first))
    }

    /// Until when `who` has.
    pub(crate) fn of(&self, who: u32) -> Option<Time> {
        self.stands.get(who as usize)?.time
    }

    /// Walk along the line and compare.
    pub(crate) fn assert_consistent(&self) {
        let (mut before, mut next, mut count) = (None, self.first, 0);
        while let Some(who) = next {
            let stand = self.stands[who as usize];
            assert_eq!(stand.before, before, "{who} stands behind somebody else");
            let earlier = before.and_then(|before| self.of(before));
            assert!(stand.time.is_some() && earlier <= stand.time, "{who} stands at a wrong time");
            (before, next, count) = (next, stand.after, count + 1);
            assert!(count <= self.stands.len(), "the line has no end");
        }
        assert_eq!(self.last, before, "the line does not end with its last");
        let timed = self.stands.iter().filter(|stand| stand.time.is_some()).count();
        assert_eq!(count, timed, "somebody has a time and does not stand in line");
    }
}
