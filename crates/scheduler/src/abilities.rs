//! What a map task needs of a worker, and what a worker can do.

use std::fmt;

/// A set of abilities, for example to read a kind of file. The caller says what each bit means.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Abilities(pub u32);

impl Abilities {
    /// The empty set: what a task needs that any worker can do.
    pub const NONE: Self = Self(0);

    /// Whether a worker with these abilities can do a task that needs `needs`.
    #[must_use]
    pub fn cover(self, needs: Self) -> bool {
        needs.0 & !self.0 == 0
    }

    /// Those in `self`, in `other`, or in both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those of `self` that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The bits that are set, ascending.
    pub fn bits(self) -> impl Iterator<Item = u32> {
        (0..u32::BITS).filter(move |bit| self.0 & (1 << bit) != 0)
    }
}

impl fmt::Display for Abilities {
    /// The bits joined by `+`; `none` for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bits = self.bits();
        let Some(first) = bits.next() else { return f.write_str("none") };
        write!(f, "{first}")?;
        bits.try_for_each(|bit| write!(f, "+{bit}"))
    }
}
