//! Open addressing with linear probing, for the tables of short words and of long ones.
//!
//! # Invariants
//!
//! * `slots.len()` is a power of two, and some of them are free, so that a search ends.
//! * The upper bits of a hash are the index of its home. No slot from a word's home up to the word
//!   itself is free; behind the last slot comes the first.

/// A place for a word and its count.
pub(crate) trait Slot: Copy {
    /// Without a word.
    const FREE: Self;

    fn is_free(&self) -> bool;

    fn count(&self) -> u64;
}

/// The slots of a table.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<T>,
    taken: usize,
    /// `hash >> shift` is a home.
    shift: u32,
}

impl<T: Slot> Slots<T> {
    /// `count` free slots: a power of two, and at least two.
    pub(crate) fn new(count: usize) -> Self {
        assert!(count >= 2 && count.is_power_of_two(), "{count} slots");
        Self::reusing(Vec::with_capacity(count))
    }

    /// As many free slots as fit in the memory of `slots`: a power of two.
    pub(crate) fn reusing(mut slots: Vec<T>) -> Self {
        let count = 1 << slots.capacity().max(2).ilog2();
        slots.clear();
        slots.resize(count, T::FREE);
        Self { slots, taken: 0, shift: u64::BITS - count.trailing_zeros() }
    }

    /// How many slots there are, free or taken.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many slots hold a word.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// All of them, and the shift that makes a hash an index.
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (&mut [T], u32) {
        (&mut self.slots, self.shift)
    }

    /// The slot with this hash that `is_it` accepts, or `Err` of the free slot where its word
    /// belongs.
    ///
    /// A word that is more frequent than the word in its home swaps slots with it: so nearly every
    /// word of a text is found at once.
    #[inline]
    pub(crate) fn find(&mut self, hash: u64, is_it: impl Fn(&T) -> bool) -> Result<&mut T, usize> {
        let home = (hash >> self.shift) as usize;
        let mut index = home;
        loop {
            let slot = &self.slots[index];
            if slot.is_free() {
                return Err(index);
            }
            if is_it(slot) {
                break;
            }
            index = (index + 1) & (self.slots.len() - 1);
        }
        // The word in the home may move behind it: all slots between are taken.
        if self.slots[index].count() > self.slots[home].count() {
            self.slots.swap(index, home);
            index = home;
        }
        Ok(&mut self.slots[index])
    }

    /// Fill the slot that [`find`](Self::find) called free, then grow if too many are taken.
    pub(crate) fn insert(&mut self, index: usize, slot: T, hash: impl Fn(&T) -> u64) {
        self.slots[index] = slot;
        self.taken += 1;
        if self.taken > taken_max(self.slots.len()) {
            self.grow(hash);
        }
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<T>()
    }

    /// The peak of its memory in bytes while `more` words are added.
    pub(crate) fn peak_bytes(&self, more: usize) -> usize {
        let mut count = self.slots.len();
        while self.taken.saturating_add(more) > taken_max(count) {
            let Some(double) = count.checked_mul(2) else {
                return usize::MAX;
            };
            count = double;
        }
        let bytes = count.saturating_mul(size_of::<T>());
        let grows_copying = count > self.slots.len() && bytes <= COPIED_BYTES_MAX;
        bytes.saturating_add(if grows_copying { bytes / 2 } else { 0 })
    }

    /// The slots that are taken, in no order.
    pub(crate) fn into_taken(self) -> Vec<T> {
        let mut slots = self.slots;
        slots.retain(|slot| !slot.is_free());
        slots
    }

    /// Double the slots, in place. A home moves from `h` to `2h` or `2h + 1`, so from the last word
    /// to the first, nearly every word finds its new home behind those that have yet to move. All
    /// memory is accessed in order.
    #[cold]
    fn grow(&mut self, hash: impl Fn(&T) -> u64) {
        let old = self.slots.len();
        self.slots.reserve_exact(old);
        self.slots.resize(2 * old, T::FREE);
        self.shift -= 1;
        let mut strays = Vec::new();
        for from in (0..old).rev() {
            let slot = std::mem::replace(&mut self.slots[from], T::FREE);
            if slot.is_free() {
                continue;
            }
            let home = (hash(&slot) >> self.shift) as usize;
            // The words from `from` on stay where they are.
            let free =
                if home >= from { self.slots[home..].iter().position(T::is_free) } else { None };
            match free {
                Some(way) => self.slots[home + way] = slot,
                // Its cluster reaches around the end, or will.
                None => strays.push(slot),
            }
        }
        for slot in strays {
            let mut index = (hash(&slot) >> self.shift) as usize;
            while !self.slots[index].is_free() {
                index = (index + 1) & (self.slots.len() - 1);
            }
            self.slots[index] = slot;
        }
    }
}

/// A function to call at every comparison of a sort; it calls `tick` at intervals.
#[inline]
pub(crate) fn seldom(tick: &mut impl FnMut()) -> impl FnMut() {
    let mut comparisons = 0_u32;
    move || {
        comparisons = comparisons.wrapping_add(1);
        if comparisons.is_multiple_of(COMPARISONS_PER_TICK) {
            tick();
        }
    }
}

/// About 30 microseconds of sorting.
const COMPARISONS_PER_TICK: u32 = 4096;

/// How many of `slots` may be taken. A table that fits in a core's second-level cache stays half
/// empty, so that words are found in their homes; a larger one saves memory.
fn taken_max(slots: usize) -> usize {
    if slots <= ROOMY_SLOTS_MAX { slots / 2 } else { slots / 4 * 3 }
}

/// Half a megabyte of tiny words, three quarters of others.
const ROOMY_SLOTS_MAX: usize = 1 << 15;

/// From this size on, the allocators of Linux get memory from the kernel directly, and grow it by
/// moving pages rather than bytes: twice the 32 MiB that glibc may keep in its heap.
const COPIED_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Its hash is its word.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    struct Bare {
        word: u64,
        count: u64,
    }

    impl Slot for Bare {
        const FREE: Self = Self { word: 0, count: 0 };

        fn is_free(&self) -> bool {
            self.word == 0
        }

        fn count(&self) -> u64 {
            self.count
        }
    }

    fn add(slots: &mut Slots<Bare>, word: u64) {
        match slots.find(word, |slot| slot.word == word) {
            Ok(slot) => slot.count += 1,
            Err(free) => slots.insert(free, Bare { word, count: 1 }, |slot| slot.word),
        }
    }

    /// From its home to every word, no slot is free.
    #[track_caller]
    fn check(slots: &Slots<Bare>) {
        let mask = slots.slots.len() - 1;
        let taken = slots.slots.iter().enumerate().filter(|(_, slot)| !slot.is_free());
        assert_eq!(taken.clone().count(), slots.taken());
        for (index, slot) in taken {
            let mut at = (slot.word >> slots.shift) as usize;
            while at != index {
                assert!(!slots.slots[at].is_free(), "{:x} at {index} of {}", slot.word, mask + 1);
                at = (at + 1) & mask;
            }
        }
    }

    #[test]
    fn words_are_found_wherever_they_crowd() {
        // At the beginning, in the middle, at the end and around it, and everywhere; the low bits
        // tell them apart.
        for homes in [
            vec![0],
            vec![u64::MAX >> 1],
            vec![u64::MAX << 12],
            vec![u64::MAX << 12, 0],
            (0..64).map(|home| home << 58).collect(),
        ] {
            let mut slots = Slots::new(4);
            for round in 1..=50 {
                for &home in &homes {
                    // A later word comes more often, so that it takes homes over.
                    for _ in 0..round {
                        add(&mut slots, home & !0xFFF | round);
                    }
                }
                check(&slots);
            }
            assert_eq!(slots.taken(), 50 * homes.len());
            let mut taken = slots.into_taken();
            taken.sort_unstable_by_key(|slot| slot.word);
            let mut expected: Vec<_> = homes
                .iter()
                .flat_map(|home| (1..=50).map(move |n| Bare { word: home & !0xFFF | n, count: n }))
                .collect();
            expected.sort_unstable_by_key(|slot| slot.word);
            assert_eq!(taken, expected);
        }
    }

    #[test]
    fn words_are_found_after_any_growth() {
        let mut random = 1_u64;
        for _ in 0..3000 {
            let mut slots = Slots::new(4);
            for number in 1..=50 {
                random = random.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
                // A few homes beside each other, at both ends of the table.
                let home = (random >> 32 & 7).wrapping_sub(3) << 57;
                for _ in 0..1 + (random >> 40 & 3) {
                    add(&mut slots, home | number);
                }
                check(&slots);
            }
            assert_eq!(slots.taken(), 50);
        }
    }

    #[test]
    fn frequent_word_is_in_its_home() {
        let mut slots = Slots::new(1 << 10);
        for word in 1..100 {
            add(&mut slots, word);
        }
        for _ in 0..2 {
            add(&mut slots, 77);
        }
        assert_eq!(slots.slots[0], Bare { word: 77, count: 3 });
        check(&slots);
    }
}
