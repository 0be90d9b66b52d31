//! Splits of files to words in buckets.
//!
//! A split is a range of a file's bytes that may begin and end anywhere, even inside a word or a
//! character. A word, a character or an invalid byte belongs to the split that has its first byte:
//! the split *owns* it. So the tokenizer reads a few bytes in front of the split, to know what the
//! split begins in the middle of, and bytes behind it until its last word is complete.
//!
//! It holds nothing but the first bytes of one incomplete character. A word goes to its bucket
//! while it is read, because its first character decides the bucket. How text becomes words is in
//! `walk.rs`.
//!
//! # Invariants
//!
//! * `carry` is a proper prefix of a well-formed character, or empty.
//! * `phase` goes `Idle`, `Inside`, `Beyond`, `Idle`; only bytes fed `Inside` are owned.

use std::num::NonZeroU32;

use crate::bucket::Buckets;
use crate::place::Place;
use crate::rules::Rules;
use crate::simd::{Compress, Kernel, Level, Simd};
use crate::utf8::{Unit, next_unit};
use crate::walk::Walk;

/// Reads splits, one after the other, and puts their words into buckets.
///
/// The calls for one split are: [`begin`](Self::begin), [`feed`](Self::feed) with all of its
/// bytes, [`feed_beyond`](Self::feed_beyond) with the bytes behind it while it asks for more and
/// the file has any, [`end`](Self::end). Blocks may have any size. Between two calls the caller
/// may write what is pending in the buckets, and clear it.
#[derive(Debug)]
pub struct Tokenizer {
    level: Level,
    walk: Walk,
    phase: Phase,
    carry: Carry,
}

/// Which bytes of a split come next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// None: no split is open.
    Idle,
    /// Its own.
    Inside,
    /// Those behind it.
    Beyond,
}

/// The beginning of a character whose other bytes have not been fed yet.
#[derive(Debug, Default)]
struct Carry {
    bytes: [u8; 4],
    /// Whether the byte at the same index is in the split.
    owned: [bool; 4],
    len: usize,
}

impl Tokenizer {
    /// How many bytes in front of a split [`begin`](Self::begin) needs: those of the longest
    /// character. Three bytes tell whether a character reaches into the split; when none does, it
    /// takes four to see the character that ends where the split begins.
    pub const LOOKBEHIND: usize = 4;

    /// A tokenizer that has seen nothing.
    #[must_use]
    pub fn new(rules: Rules, buckets: NonZeroU32) -> Self {
        Self::at_level(Level::best(), rules, buckets)
    }

    /// The same, with the instructions of `level`: for tests and benches.
    #[doc(hidden)]
    #[must_use]
    pub fn at_level(level: Level, rules: Rules, buckets: NonZeroU32) -> Self {
        let walk = Walk::new(rules, buckets);
        Self { level, walk, phase: Phase::Idle, carry: Carry::default() }
    }

    /// As [`new`](Self::new), in the memory of this one: its buckets need not grow again.
    #[must_use]
    pub fn anew(self) -> Self {
        let (level, walk) = (self.level, self.walk.anew());
        Self { level, walk, phase: Phase::Idle, carry: Carry::default() }
    }

    /// Open a split. `before` is the last [`LOOKBEHIND`](Self::LOOKBEHIND) bytes in front of it in
    /// its file, fewer only when the file has no more; empty at the start of a file.
    ///
    /// # Panics
    ///
    /// When the last split was not ended.
    pub fn begin(&mut self, before: &[u8]) {
        assert!(self.phase == Phase::Idle, "split begun while another is open");
        self.phase = Phase::Inside;
        let mut rest = &before[before.len().saturating_sub(Self::LOOKBEHIND)..];
        // The first bytes may be the end of a character, and then read as invalid. Only the last
        // unit decides where the split begins, and that one is whole.
        while let Some(unit) = next_unit(rest) {
            self.walk.take(unit, false);
            rest = &rest[unit.len()..];
        }
        self.carry.hold(rest, false);
    }

    /// Read the next bytes of the split.
    ///
    /// # Panics
    ///
    /// When no split is open, or bytes behind its end have been fed.
    pub fn feed(&mut self, block: &[u8]) {
        assert!(self.phase == Phase::Inside, "split fed while {:?}", self.phase);
        self.level.run(Feed { tokenizer: self, block });
    }

    /// Read bytes behind the split, which complete the word or character that it ends in. Returns
    /// whether more of them are needed. Never begins a word, and counts nothing that begins behind
    /// the split.
    ///
    /// An empty `block` asks without feeding. Bytes that are not needed are ignored.
    ///
    /// # Panics
    ///
    /// When no split is open.
    pub fn feed_beyond(&mut self, block: &[u8]) -> bool {
        assert!(self.phase != Phase::Idle, "bytes behind a split fed while none is open");
        self.phase = Phase::Beyond;
        if !self.needs_more() {
            return false;
        }
        let rest = self.complete_carry(block, false);
        let rest = self.walk.finish_word(rest);
        self.carry.hold(rest, false);
        self.needs_more()
    }

    /// Close the split: its last word and character are complete, or the file has ended.
    ///
    /// The bytes of a character that the end of the file cuts off are invalid.
    ///
    /// # Panics
    ///
    /// When no split is open.
    pub fn end(&mut self) {
        assert!(self.phase != Phase::Idle, "split ended while none is open");
        self.take_carry_as_bytes();
        if let Place::Word { bucket } = self.walk.place {
            self.walk.end_word(bucket);
        }
        self.walk.place = Place::Gap;
        self.phase = Phase::Idle;
    }

    /// The buckets, filled by all splits so far.
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.walk.buckets
    }

    /// The buckets, to clear what has been written.
    pub fn buckets_mut(&mut self) -> &mut Buckets {
        &mut self.walk.buckets
    }

    /// Words of all splits so far, counted when they start.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.walk.buckets.words_total()
    }

    /// Bytes of all splits so far that are not valid UTF-8, whatever the word rule does with them.
    #[must_use]
    pub fn invalid_bytes(&self) -> u64 {
        self.walk.invalid_bytes
    }

    /// Whether this split ends in an incomplete word, or in an incomplete unit that it owns.
    fn needs_more(&self) -> bool {
        let carries_own = self.carry.owned[..self.carry.len].contains(&true);
        match self.walk.place {
            Place::Word { .. } => true,
            Place::Foreign | Place::Gap => carries_own,
        }
    }

    /// Complete the carry with bytes of `block`. Returns the rest of it.
    fn complete_carry<'a>(&mut self, block: &'a [u8], owned: bool) -> &'a [u8] {
        let mut rest = block;
        while self.carry.len > 0
            && let Some((&byte, others)) = rest.split_first()
        {
            match self.carry.next_with(byte) {
                // The byte does not continue the character: it may begin another.
                Some(Unit::Byte(_)) => self.take_carry_as_bytes(),
                Some(unit @ Unit::Char(_)) => {
                    let owned = self.carry.owned[0];
                    self.carry.len = 0;
                    self.walk.take(unit, owned);
                    rest = others;
                }
                None => {
                    self.carry.hold(&[byte], owned);
                    rest = others;
                }
            }
        }
        rest
    }

    /// The carry does not become a character: each byte of it is a unit, since only the first could
    /// begin a character.
    fn take_carry_as_bytes(&mut self) {
        let carry = std::mem::take(&mut self.carry);
        for (&byte, &owned) in carry.bytes[..carry.len].iter().zip(&carry.owned) {
            self.walk.take(Unit::Byte(byte), owned);
        }
    }

    /// Take the owned bytes of `block`.
    #[inline(always)]
    pub(crate) fn feed_with<S: Simd>(
        &mut self,
        simd: S,
        compressing: Option<impl Compress>,
        block: &[u8],
    ) {
        let rest = self.complete_carry(block, true);
        let rest = self.walk.take_all(simd, compressing, rest);
        self.carry.hold(rest, true);
    }
}

/// Takes the owned units of a block.
struct Feed<'a> {
    tokenizer: &'a mut Tokenizer,
    block: &'a [u8],
}

impl<S: Simd> Kernel<S> for Feed<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let Self { tokenizer, block } = self;
        tokenizer.feed_with(simd, simd.compressing(), block);
    }
}

impl Carry {
    /// Append bytes that are still a proper prefix of a character.
    fn hold(&mut self, bytes: &[u8], owned: bool) {
        let end = self.len + bytes.len();
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.owned[self.len..end].fill(owned);
        self.len = end;
    }

    /// The first unit of the carry if `byte` came next.
    fn next_with(&self, byte: u8) -> Option<Unit> {
        let mut bytes = self.bytes;
        bytes[self.len] = byte;
        next_unit(&bytes[..=self.len])
    }
}

#[cfg(test)]
mod tests;
