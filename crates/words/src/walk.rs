//! Text to words in buckets: the definition of a word, and the fast ways to find words.
//!
//! * [`take`](Walk::take) takes one unit: the definition.
//! * [`take_runs`](Walk::take_runs) takes the words of a chunk by the runs of bits in its word
//!   mask; where a letter changes its length in lower case, `take_units` takes them unit by unit.
//! * [`Partitioner::partition`] takes the words of many chunks, for few buckets.
//! * [`finish_word`](Walk::finish_word) takes the rest of the word in which a split ends.
//!
//! The result in the buckets is the same for all. Calls may cut a text anywhere but inside a
//! character.
//!
//! # Invariants
//!
//! * A word is counted when its first byte is taken, in the split that owns that byte; nothing
//!   else counts words.

use std::num::NonZeroU32;

use crate::bucket::Buckets;
use crate::lower_case::lower_case;
use crate::masks::{CHUNK, Masks, find_masks};
use crate::partition::Partitioner;
use crate::place::Place;
use crate::rules::Rules;
use crate::simd::{Compress, Scalar, Simd};
use crate::utf8::{Unit, next_unit};

/// Puts the words of a text into buckets.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) rules: Rules,
    /// Present for few buckets; used at levels that compress.
    partitioner: Option<Partitioner>,
    pub(crate) buckets: Buckets,
    pub(crate) invalid_bytes: u64,
    pub(crate) place: Place,
}

impl Walk {
    /// A walk that has seen nothing.
    pub(crate) fn new(rules: Rules, buckets: NonZeroU32) -> Self {
        Self {
            rules,
            partitioner: Partitioner::new(buckets),
            buckets: Buckets::new(buckets),
            invalid_bytes: 0,
            place: Place::Gap,
        }
    }

    /// As [`new`](Self::new), in the memory of this one: its buckets need not grow again.
    pub(crate) fn anew(mut self) -> Self {
        self.buckets.empty();
        Self { invalid_bytes: 0, place: Place::Gap, ..self }
    }

    /// Take one unit: the definition of what a split's words are.
    pub(crate) fn take(&mut self, unit: Unit, owned: bool) {
        if let Unit::Byte(_) = unit {
            self.invalid_bytes += u64::from(owned);
        }
        match (self.place, self.rules.words.takes(unit)) {
            (Place::Gap, true) if owned => {
                let bucket = self.buckets.of(self.rules.first_scalar(unit));
                self.buckets.start_word(bucket);
                self.place = Place::Word { bucket };
                self.rules.spell(unit, |bytes| self.buckets.append(bucket, bytes));
            }
            (Place::Gap, true) => self.place = Place::Foreign,
            (Place::Word { bucket }, true) => {
                self.rules.spell(unit, |bytes| self.buckets.append(bucket, bytes));
            }
            (Place::Word { bucket }, false) => self.end_word(bucket),
            (Place::Foreign, false) => self.place = Place::Gap,
            (Place::Foreign, true) | (Place::Gap, false) => {}
        }
    }

    /// Take the owned units of `text`, by partitioning if the level compresses and there are few
    /// buckets. Returns the incomplete character at its end.
    #[inline(always)]
    pub(crate) fn take_all<'text, S: Simd>(
        &mut self,
        simd: S,
        compressing: Option<impl Compress>,
        text: &'text [u8],
    ) -> &'text [u8] {
        let mut rest = text;
        while !rest.is_empty() {
            if let (Some(simd), Some(partitioner)) = (compressing, &self.partitioner)
                && partitioner.pays(simd)
            {
                let few = &rest[..rest.len().min(PARTITIONED_BYTES)];
                let done =
                    partitioner.partition(simd, self.rules, &mut self.buckets, self.place, few);
                self.invalid_bytes += done.invalid_bytes;
                self.place = done.place;
                rest = &rest[done.len..];
            }
            // Everything, or what partitioning leaves: less than a chunk, or letters that grow.
            let mut masks = find_masks(simd, self.rules.words, rest);
            if masks.len == 0 {
                break;
            }
            if rest.len() > CHUNK {
                masks.defer_last_word();
            }
            self.take_masked(simd, rest, &masks);
            rest = &rest[masks.len..];
        }
        rest
    }

    /// Take units of `text`, which are not owned, up to the end of the open word, if one is open.
    /// Returns the incomplete character at the end of `text` if the word is still open there.
    pub(crate) fn finish_word<'text>(&mut self, text: &'text [u8]) -> &'text [u8] {
        let mut rest = text;
        while let Place::Word { bucket } = self.place
            && !rest.is_empty()
        {
            let masks = find_masks(Scalar, self.rules.words, rest);
            if masks.len == 0 {
                return rest;
            }
            let run = masks.word.trailing_ones() as usize;
            self.append(bucket, rest, run);
            if run < masks.len {
                self.end_word(bucket);
            }
            rest = &rest[masks.len..];
        }
        &[]
    }

    /// End the open word of `bucket`.
    pub(crate) fn end_word(&mut self, bucket: u32) {
        self.buckets.append(bucket, b"\n");
        self.place = Place::Gap;
    }

    /// Take the owned units at the start of `text` that `masks` cover.
    #[inline(always)]
    fn take_masked<S: Simd>(&mut self, simd: S, text: &[u8], masks: &Masks) {
        if !self.rules.ignore_case {
            self.take_runs(text, masks);
        } else if let Some(lower) = lower_case(simd, text, masks) {
            self.take_runs(&lower, masks);
        } else {
            self.take_units(text, masks.len);
        }
    }

    /// Put the runs of the word mask into their buckets, with the bytes that `text` has.
    #[inline(always)]
    fn take_runs(&mut self, text: &[u8], masks: &Masks) {
        self.invalid_bytes += u64::from(masks.invalid.count_ones());
        let mut word = masks.word;
        if self.place != Place::Gap {
            let run = word.trailing_ones() as usize;
            if let Place::Word { bucket } = self.place {
                self.buckets.append(bucket, &text[..run]);
                if run < masks.len {
                    self.end_word(bucket);
                }
            }
            if run == masks.len {
                return;
            }
            self.place = Place::Gap;
            word &= word.wrapping_add(1);
        }
        while word != 0 {
            let start = word.trailing_zeros() as usize;
            let end = start + (word >> start).trailing_ones() as usize;
            let bucket = self.bucket_at(&text[start..]);
            if end == masks.len {
                self.buckets.start_word(bucket);
                self.buckets.append(bucket, &text[start..end]);
                self.place = Place::Word { bucket };
                return;
            }
            self.buckets.put_word(bucket, text, start..end);
            // The carry of this addition clears the run.
            word &= word.wrapping_add(1 << start);
        }
    }

    /// Take the owned units in `text[..len]` one by one. The bytes behind them decide whether the
    /// last one is an invalid byte, so the text is not cut.
    #[cold]
    fn take_units(&mut self, text: &[u8], len: usize) {
        let mut at = 0;
        while at < len {
            let unit = next_unit(&text[at..]).expect("masked units are whole");
            self.take(unit, true);
            at += unit.len();
        }
    }

    /// The bucket of the word at the start of `text`, which is in lower case if case is ignored.
    #[inline(always)]
    fn bucket_at(&self, text: &[u8]) -> u32 {
        self.buckets.of_ascii(text[0]).unwrap_or_else(|| self.bucket_at_non_ascii(text))
    }

    #[cold]
    fn bucket_at_non_ascii(&self, text: &[u8]) -> u32 {
        let unit = next_unit(text).expect("masked units are whole");
        self.buckets.of(unit.scalar())
    }

    /// Append the units in `text[..len]` to the open word; as in [`take_units`](Self::take_units).
    fn append(&mut self, bucket: u32, text: &[u8], len: usize) {
        if !self.rules.ignore_case {
            return self.buckets.append(bucket, &text[..len]);
        }
        let mut at = 0;
        while at < len {
            let unit = next_unit(&text[at..]).expect("masked units are whole");
            self.rules.spell(unit, |bytes| self.buckets.append(bucket, bytes));
            at += unit.len();
        }
    }
}

/// Bytes that are partitioned before the buckets grow again: all of them may go to one.
const PARTITIONED_BYTES: usize = 64 << 10;
