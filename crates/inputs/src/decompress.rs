//! Decompression: the bytes that a compressed file holds.
//!
//! A file may be many members, one after the other: gzip calls them that, Zstandard and LZ4 frames,
//! bzip2 and xz streams. The libraries decode one member at a time; here is what they have in
//! common: the next member begins where one has ended, zeros after the last one are padding (as for
//! `gzip` and `tar`), other bytes there are damage, and so is a file that ends inside a member.

use crate::blocks::Blocks;
use crate::damage::{Damage, DamageKind, ReadError};
use crate::format::Compression;
use crate::index::Share;
use crate::input::Input;
use crate::reader::Limits;
use crate::source::Source;

mod bzip2;
mod gzip;
mod lz4;
mod xz;
mod zstd;

/// A decoder of one format.
trait Codec: Send {
    /// Decodes from `input` into `output`, neither of which is empty.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DamageKind>;

    /// Begins another member. Called before the first one as well.
    fn begin(&mut self) -> Result<(), DamageKind>;

    /// The first byte of every member.
    fn can_begin_with(&self, first: u8) -> bool;
}

/// What a step has done.
struct Step {
    /// Bytes of the input that it has taken.
    taken: usize,
    /// Bytes of the output that it has made.
    made: usize,
    /// Whether the member is over.
    is_end: bool,
}

/// The bytes that `source` holds, decompressed.
pub(crate) fn decompressed<'s, S: Source + Send + 's>(
    source: S,
    compression: Compression,
    limits: Limits,
) -> Box<dyn Blocks<Error = S::Error> + Send + 's> {
    let input = Input::new(source, 0);
    let codec: Box<dyn Codec> = match compression {
        Compression::None => return Box::new(input),
        Compression::Lz4 => return Box::new(lz4::Lz4::new(input)),
        Compression::Bzip2 => Box::new(bzip2::Bzip2::new()),
        Compression::Bgzf | Compression::Gzip => Box::new(gzip::Gzip::new()),
        Compression::Xz => Box::new(xz::Xz::new(limits.memory_bytes)),
        Compression::Zstd | Compression::ZstdSeekable => {
            Box::new(zstd::Zstd::new(limits.memory_bytes))
        }
    };
    Box::new(Decompressed::new(input, codec))
}

/// The bytes that `source` holds from the offset of `share` on, decompressed. What its index says
/// of both ends of the share is found to be true before text behind either is given.
pub(crate) fn decompressed_share<'s, S: Source + Send + 's>(
    source: S,
    compression: Compression,
    limits: Limits,
    share: &Share,
) -> Box<dyn Blocks<Error = S::Error> + Send + 's> {
    let codec: Box<dyn Codec> = match compression {
        Compression::ZstdSeekable => Box::new(zstd::Zstd::new(limits.memory_bytes)),
        Compression::Bgzf => Box::new(gzip::Gzip::new()),
        Compression::Bzip2
        | Compression::Gzip
        | Compression::Lz4
        | Compression::None
        | Compression::Xz
        | Compression::Zstd => unreachable!("{} has no index", compression.name()),
    };
    let mut decompressed = Decompressed::new(Input::new(source, share.offset), codec);
    let end = Check { offset: share.range.end, text_bytes: share.before_bytes + share.text_bytes };
    let start = Check { offset: share.range.start, text_bytes: share.before_bytes };
    decompressed.checks = vec![end, start];
    Box::new(decompressed)
}

struct Decompressed<S> {
    input: Input<S>,
    codec: Box<dyn Codec>,
    output: Box<[u8]>,
    /// What is decoded and not taken: `output[taken..filled]`.
    taken: usize,
    filled: usize,
    place: Place,
    /// How much was decoded.
    text_bytes: u64,
    /// What was found behind the bytes that were given last.
    damage: Option<DamageKind>,
    /// What an index says, the last first.
    checks: Vec<Check>,
}

/// A member begins, or the file ends, at this offset in the file and in the text.
#[derive(Clone, Copy, Debug)]
struct Check {
    offset: u64,
    text_bytes: u64,
}

/// Where the read is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Before the first member.
    Start,
    /// Inside a member.
    Inside,
    /// Behind a member.
    Behind,
}

impl<S: Source> Decompressed<S> {
    fn new(input: Input<S>, codec: Box<dyn Codec>) -> Self {
        Self {
            input,
            codec,
            output: vec![0; OUTPUT_BYTES].into_boxed_slice(),
            taken: 0,
            filled: 0,
            place: Place::Start,
            text_bytes: 0,
            damage: None,
            checks: Vec::new(),
        }
    }

    /// Between two members: compares where that is with the index. `filled` bytes of text were
    /// decoded and not counted yet.
    fn check(&mut self, filled: usize, is_end: bool) -> Result<(), DamageKind> {
        let (position, text_bytes) = (self.input.position(), self.text_bytes + filled as u64);
        while let Some(&check) = self.checks.last() {
            if position < check.offset {
                return if is_end { Err(DamageKind::Truncated) } else { Ok(()) };
            }
            if (position, text_bytes) != (check.offset, check.text_bytes) {
                return Err(DamageKind::Malformed);
            }
            self.checks.pop();
        }
        Ok(())
    }

    /// How much text may be decoded before the next check, and at most.
    fn room(&self, filled: usize) -> usize {
        let room = self.output.len() - filled;
        let text_bytes = self.text_bytes + filled as u64;
        let next = self.checks.last().map(|check| check.text_bytes - text_bytes);
        next.map_or(room, |next| next.min(room as u64) as usize)
    }

    fn damage(&self, kind: DamageKind) -> Damage {
        Damage { kind, offset: self.input.position(), text_offset: self.text_bytes }
    }

    /// Begins the next member. False at the end of the file.
    fn begin_member(&mut self) -> Result<bool, ReadError<S::Error>> {
        if self.place == Place::Behind {
            skip_zeros(&mut self.input).map_err(ReadError::Source)?;
        }
        let Some(&first) = self.input.pending().map_err(ReadError::Source)?.first() else {
            return Ok(false);
        };
        if !self.codec.can_begin_with(first) {
            let kind = match self.place {
                Place::Behind => DamageKind::Trailing,
                Place::Inside | Place::Start => DamageKind::Malformed,
            };
            return Err(self.damage(kind).into());
        }
        self.codec.begin().map_err(|kind| self.damage(kind))?;
        self.place = Place::Inside;
        Ok(true)
    }

    /// Fills the output, unless the end of the file, or damage, comes before. Returns how much of
    /// it.
    fn fill(&mut self) -> Result<usize, ReadError<S::Error>> {
        let mut filled = 0;
        while filled < self.output.len() {
            if self.place != Place::Inside {
                let is_end = self.input.pending().map_err(ReadError::Source)?.is_empty();
                if let Err(kind) = self.check(filled, is_end) {
                    self.damage = Some(kind);
                    break;
                }
                match self.begin_member() {
                    Ok(true) => {}
                    Ok(false) => break,
                    // After what was decoded before.
                    Err(ReadError::Damaged(damage)) => {
                        self.damage = Some(damage.kind);
                        break;
                    }
                    Err(error @ ReadError::Source(_)) => return Err(error),
                }
            }
            let room = self.room(filled);
            let mut beyond = [0];
            let input = self.input.pending().map_err(ReadError::Source)?;
            let step = match input {
                [] => Err(DamageKind::Truncated),
                // The member should be over, apart from what comes behind its text.
                input if room == 0 => self.codec.step(input, &mut beyond),
                input => self.codec.step(input, &mut self.output[filled..filled + room]),
            };
            match step {
                Ok(Step { made: 1.., .. }) if room == 0 => {
                    self.damage = Some(DamageKind::Malformed);
                    break;
                }
                Ok(Step { taken: 0, made: 0, is_end: false }) => {
                    self.damage = Some(DamageKind::Malformed);
                    break;
                }
                Ok(Step { taken, made, is_end }) => {
                    self.input.take(taken);
                    filled += made;
                    if is_end {
                        self.place = Place::Behind;
                    }
                }
                Err(kind) => {
                    self.damage = Some(kind);
                    break;
                }
            }
        }
        Ok(filled)
    }
}

impl<S: Source> Blocks for Decompressed<S> {
    type Error = S::Error;

    fn pending(&mut self) -> Result<&[u8], ReadError<S::Error>> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
            if self.damage.is_none() {
                self.filled = self.fill()?;
                self.text_bytes += self.filled as u64;
            }
            // What was decoded before the damage is given first.
            if let (0, Some(kind)) = (self.filled, self.damage) {
                return Err(self.damage(kind).into());
            }
        }
        Ok(&self.output[self.taken..self.filled])
    }

    fn take(&mut self, bytes: usize) {
        self.taken = (self.taken + bytes).min(self.filled);
    }

    fn bytes_read(&self) -> u64 {
        self.input.position()
    }
}

/// Takes zeros until another byte, or the end of the file, comes.
fn skip_zeros<S: Source>(input: &mut Input<S>) -> Result<(), S::Error> {
    loop {
        let pending = input.pending()?;
        let zeros = pending.iter().take_while(|&&byte| byte == 0).count();
        let is_all = zeros == pending.len();
        let is_end = pending.is_empty();
        input.take(zeros);
        if is_end || !is_all {
            return Ok(());
        }
    }
}

/// How much is decoded at once. It stays in a second-level cache while it is counted.
const OUTPUT_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests;
