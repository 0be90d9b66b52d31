//! The attempts at one task, in order. Most tasks have one, which is kept in place: a list of its
//! own for each of a million tasks would be slower and larger than the tasks.

use std::ops::{Deref, DerefMut};
use std::slice;

use crate::task::AttemptRecord;

#[derive(Debug)]
pub(crate) enum Attempts {
    None,
    One(AttemptRecord),
    More(Vec<AttemptRecord>),
}

impl Attempts {
    pub(crate) fn push(&mut self, attempt: AttemptRecord) {
        match self {
            Self::None => *self = Self::One(attempt),
            Self::One(first) => *self = Self::More(vec![*first, attempt]),
            Self::More(attempts) => attempts.push(attempt),
        }
    }
}

impl Deref for Attempts {
    type Target = [AttemptRecord];

    fn deref(&self) -> &[AttemptRecord] {
        match self {
            Self::None => &[],
            Self::One(attempt) => slice::from_ref(attempt),
            Self::More(attempts) => attempts,
        }
    }
}

impl DerefMut for Attempts {
    fn deref_mut(&mut self) -> &mut [AttemptRecord] {
        match self {
            Self::None => &mut [],
            Self::One(attempt) => slice::from_mut(attempt),
            Self::More(attempts) => attempts,
        }
    }
}
