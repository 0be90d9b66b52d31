//! Bytes of splits to words in buckets.
//!
//! A split is a range of a file's bytes that may begin and end anywhere, inside a word or a
//! character too. Whatever has its first byte in the split belongs to it: a word, a character, a
//! byte that is not valid UTF-8. So the tokenizer is shown a few bytes in front of the split, to
//! know what it begins in the middle of, and bytes behind it until what it began is complete.
//!
//! Nothing is held but the first bytes of one incomplete character: a word goes to its bucket as
//! it comes, because its first character decides which one that is.
//!
//! # Invariants
//!
//! * `carry` is a proper prefix of a well-formed character, or empty.
//! * A word is counted when its first byte is taken, in the split that owns that byte; nothing
//!   else counts words.
//! * `phase` goes `Idle`, `Inside`, `Beyond`, `Idle`; only bytes fed `Inside` are owned.

use std::num::NonZeroU32;

use crate::bucket::Buckets;
use crate::char_set::{CharSet, lower_of_same_len};
use crate::masks::{CHUNK, Masks, find_leads, find_masks};
use crate::partition::Partitioner;
use crate::rules::Rules;
use crate::simd::{Compress, Kernel, Level, Scalar, Simd};
use crate::utf8::{Unit, next_unit, scalar_value};

/// Reads splits, one after the other, and puts their words into buckets.
///
/// The calls for one split are: [`begin`](Self::begin), [`feed`](Self::feed) with all of its
/// bytes, [`feed_beyond`](Self::feed_beyond) with the bytes behind it while it asks for more and
/// the file has any, [`end`](Self::end). Blocks may have any size. Between two calls the caller
/// may write and clear what is pending in the buckets.
#[derive(Debug)]
pub struct Tokenizer {
    rules: Rules,
    level: Level,
    /// For few buckets; used where the level can.
    partitioner: Option<Partitioner>,
    buckets: Buckets,
    invalid_bytes: u64,
    phase: Phase,
    place: Place,
    carry: Carry,
}

/// Which bytes of a split come next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// None: no split is open.
    Idle,
    /// Its own.
    Inside,
    /// Those behind its end.
    Beyond,
}

/// What the bytes taken so far end in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// A word that starts in another split; it is skipped.
    Foreign,
    /// Something between words.
    Gap,
    /// A word of this split, already counted and partly in its bucket.
    Word { bucket: u32 },
}

/// The beginning of a character whose other bytes have not been fed yet.
#[derive(Debug, Default)]
struct Carry {
    bytes: [u8; 4],
    /// Whether the byte at the same index lies in the split.
    owned: [bool; 4],
    len: usize,
}

impl Tokenizer {
    /// How many bytes in front of a split [`begin`](Self::begin) wants to see: the longest
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
        Self {
            rules,
            level,
            partitioner: Partitioner::new(buckets),
            buckets: Buckets::new(buckets),
            invalid_bytes: 0,
            phase: Phase::Idle,
            place: Place::Gap,
            carry: Carry::default(),
        }
    }

    /// As [`new`](Self::new), in the room that this one has: its buckets need not grow again.
    #[must_use]
    pub fn anew(self) -> Self {
        let Self { rules, level, partitioner, mut buckets, .. } = self;
        buckets.empty();
        Self {
            rules,
            level,
            partitioner,
            buckets,
            invalid_bytes: 0,
            phase: Phase::Idle,
            place: Place::Gap,
            carry: Carry::default(),
        }
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
        // The first bytes may be the end of a character and then read as invalid. Only the last
        // unit decides where the split begins, and that one is whole.
        while let Some(unit) = next_unit(rest) {
            self.take(unit, false);
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

    /// Read bytes behind the end of the split, which complete the word or character that it ends
    /// in; says whether more of them are wanted. Never begins a word, and counts nothing that
    /// begins behind the split.
    ///
    /// An empty `block` asks without feeding. Bytes that are not wanted are ignored.
    ///
    /// # Panics
    ///
    /// When no split is open.
    pub fn feed_beyond(&mut self, block: &[u8]) -> bool {
        assert!(self.phase != Phase::Idle, "bytes behind a split fed while none is open");
        self.phase = Phase::Beyond;
        if !self.wants_more() {
            return false;
        }
        let mut rest = self.complete_carry(block, false);
        while let Place::Word { bucket } = self.place
            && !rest.is_empty()
        {
            let masks = find_masks(Scalar, self.rules.words, rest);
            if masks.len == 0 {
                self.carry.hold(rest, false);
                break;
            }
            let run = masks.word.trailing_ones() as usize;
            self.append(bucket, rest, run);
            if run < masks.len {
                self.end_word(bucket);
            }
            rest = &rest[masks.len..];
        }
        self.wants_more()
    }

    /// Close the split: its word and its character are complete, or the file has ended.
    ///
    /// A character that the end of the file cuts off is invalid bytes.
    ///
    /// # Panics
    ///
    /// When no split is open.
    pub fn end(&mut self) {
        assert!(self.phase != Phase::Idle, "split ended while none is open");
        self.take_carry_as_bytes();
        if let Place::Word { bucket } = self.place {
            self.end_word(bucket);
        }
        self.place = Place::Gap;
        self.phase = Phase::Idle;
    }

    /// The buckets, filled by all splits so far.
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// The buckets, to clear what has been written.
    pub fn buckets_mut(&mut self) -> &mut Buckets {
        &mut self.buckets
    }

    /// Words of all splits so far, counted when they start.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.buckets.words_total()
    }

    /// Bytes of all splits so far that are not valid UTF-8, whatever the word rule makes of them.
    #[must_use]
    pub fn invalid_bytes(&self) -> u64 {
        self.invalid_bytes
    }

    /// Whether something of this split is incomplete: a word, or a unit with a byte in it.
    fn wants_more(&self) -> bool {
        let carries_own = self.carry.owned[..self.carry.len].contains(&true);
        match self.place {
            Place::Word { .. } => true,
            Place::Foreign | Place::Gap => carries_own,
        }
    }

    /// Give the carry the bytes that it lacks; returns the rest of `block`.
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
                    self.take(unit, owned);
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

    /// The carry will not become a character: every byte of it stands alone, since none but the
    /// first could begin one.
    fn take_carry_as_bytes(&mut self) {
        let carry = std::mem::take(&mut self.carry);
        for (&byte, &owned) in carry.bytes[..carry.len].iter().zip(&carry.owned) {
            self.take(Unit::Byte(byte), owned);
        }
    }

    /// Take one unit: the definition of what a split's words are.
    /// [`take_marked`](Self::take_marked) is the same for many owned units.
    fn take(&mut self, unit: Unit, owned: bool) {
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

    /// Take the units at the start of `text` that `masks` is about.
    #[inline(always)]
    fn take_marked<S: Simd>(&mut self, simd: S, text: &[u8], masks: &Masks) {
        if !self.rules.ignore_case {
            self.take_runs(text, masks);
        } else if let Some(lower) = lower(simd, text, masks) {
            self.take_runs(&lower, masks);
        } else {
            self.take_units(text, masks.len);
        }
    }

    /// Put the runs of `masks` into their buckets, as they stand in `text`.
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

    /// Take the owned units in `text[..len]` one by one. What stands behind them decides whether
    /// the last of them is an invalid byte, so the text is not cut.
    #[cold]
    fn take_units(&mut self, text: &[u8], len: usize) {
        let mut at = 0;
        while at < len {
            let unit = next_unit(&text[at..]).expect("marked units are whole");
            self.take(unit, true);
            at += unit.len();
        }
    }

    /// Take the owned bytes of `block`, through the partitioner if `compressing` can and buckets are few.
    #[inline(always)]
    pub(crate) fn feed_with<S: Simd>(
        &mut self,
        simd: S,
        compressing: Option<impl Compress>,
        block: &[u8],
    ) {
        let mut rest = self.complete_carry(block, true);
        while !rest.is_empty() {
            if let (Some(simd), Some(partitioner)) = (compressing, &self.partitioner)
                && partitioner.pays(simd)
            {
                let few = &rest[..rest.len().min(PARTITIONED_BYTES)];
                let partitioned =
                    partitioner.partition(simd, self.rules, &mut self.buckets, self.place, few);
                self.invalid_bytes += partitioned.invalid_bytes;
                self.place = partitioned.place;
                rest = &rest[partitioned.len..];
            }
            // Without a partitioner, what it left: less than a chunk, or letters that grow.
            let mut masks = find_masks(simd, self.rules.words, rest);
            if masks.len == 0 {
                self.carry.hold(rest, true);
                return;
            }
            if rest.len() > CHUNK {
                masks.defer_last_word();
            }
            self.take_marked(simd, rest, &masks);
            rest = &rest[masks.len..];
        }
    }

    /// The bucket of the word at the start of `text`, which is as it will be written.
    #[inline(always)]
    fn bucket_at(&self, text: &[u8]) -> u32 {
        self.buckets.of_ascii(text[0]).unwrap_or_else(|| self.bucket_at_high(text))
    }

    #[cold]
    fn bucket_at_high(&self, text: &[u8]) -> u32 {
        let unit = next_unit(text).expect("marked units are whole");
        self.buckets.of(unit.scalar())
    }

    /// Append the units in `text[..len]` to the open word; as in [`take_units`](Self::take_units).
    fn append(&mut self, bucket: u32, text: &[u8], len: usize) {
        if !self.rules.ignore_case {
            return self.buckets.append(bucket, &text[..len]);
        }
        let mut at = 0;
        while at < len {
            let unit = next_unit(&text[at..]).expect("marked units are whole");
            self.rules.spell(unit, |bytes| self.buckets.append(bucket, bytes));
            at += unit.len();
        }
    }

    fn end_word(&mut self, bucket: u32) {
        self.buckets.append(bucket, b"\n");
        self.place = Place::Gap;
    }
}

/// Takes the owned units of a block.
struct Feed<'a> {
    tokenizer: &'a mut Tokenizer,
    block: &'a [u8],
}

impl Kernel for Feed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
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

    /// What the carry would begin with if `byte` came next.
    fn next_with(&self, byte: u8) -> Option<Unit> {
        let mut bytes = self.bytes;
        bytes[self.len] = byte;
        next_unit(&bytes[..=self.len])
    }
}

/// The words of the marked chunk in lower case, with room behind it for copies that look too far.
/// `None` when a character of them changes its length: then no bit of the masks stays where it is.
#[inline(always)]
pub(crate) fn lower<S: Simd>(simd: S, text: &[u8], masks: &Masks) -> Option<[u8; CHUNK + 16]> {
    let mut lower = [0; CHUNK + 16];
    let len = text.len().min(CHUNK);
    lower[..len].copy_from_slice(&text[..len]);
    if masks.non_ascii != 0 {
        let chunk = lower.first_chunk().expect("it is a chunk and more");
        let [two, three, four] = [masks.two, masks.three, masks.four].map(|lead| lead & masks.word);
        let mut upper = find_leads(simd, CharSet::upper(), chunk, two, three, four);
        while upper != 0 {
            let at = upper.trailing_zeros() as usize;
            let character = char::from_u32(scalar_value(&lower[at..]));
            let character = character.expect("marked characters are well-formed");
            lower_of_same_len(character)?.encode_utf8(&mut lower[at..]);
            upper &= upper - 1;
        }
    }
    lower.make_ascii_lowercase();
    Some(lower)
}

/// Bytes that go through the partitioner before room is made again: each bucket has room for all of them.
const PARTITIONED_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;
