//! A map attempt: splits in, one staged file for each bucket out.

use rpc::message::{Bucket, Digest, Outcome, Split};
use store::{Durability, InputFile, StagedObject, Staging, layout};
use words::Tokenizer;

use crate::attempt::{BLOCK_BYTES, Job, Stop, go_on, input_failure, open_input, store_failure};
use crate::pace::Pace;
use crate::progress::Progress;

pub(crate) fn execute(
    job: &Job,
    map: u32,
    splits: &[Split],
    staging: &Staging,
    progress: &Progress,
) -> Result<Outcome, Stop> {
    let Room { tokenizer, block } = job.take_map_room().unwrap_or_else(|| Room::new(job));
    let mut attempt = Attempt {
        tokenizer,
        files: create_files(job, map, staging, progress)?,
        part_bytes: part_bytes(job.buckets.get()),
        block,
        pace: Pace::new(job.throttle),
        progress,
    };
    faults::reach("worker::map", map);
    for split in splits {
        let input = open_input(job, split)?;
        attempt.read(&input, split)?;
        input.check().map_err(input_failure)?;
    }
    let (outcome, room) = attempt.finish()?;
    job.keep_map_room(room);
    Ok(outcome)
}

/// The memory that attempts work in, one after the other: to have it anew from the kernel, page by
/// page, takes longer than to fill it.
pub(crate) struct Room {
    /// Has seen nothing.
    tokenizer: Tokenizer,
    block: Vec<u8>,
}

impl Room {
    fn new(job: &Job) -> Self {
        Self { tokenizer: Tokenizer::new(job.rules, job.buckets), block: vec![0; BLOCK_BYTES] }
    }
}

fn create_files(
    job: &Job,
    map: u32,
    staging: &Staging,
    progress: &Progress,
) -> Result<Vec<Box<dyn StagedObject>>, Stop> {
    let mut files = Vec::with_capacity(job.buckets.get() as usize);
    for bucket in 0..job.buckets.get() {
        let name = layout::intermediate(map, bucket);
        let mut file =
            job.store.create(staging, &name, Durability::Verified).map_err(store_failure)?;
        if job.buckets.get() > HANDLES_MAX {
            file.release();
        }
        files.push(file);
        go_on(progress)?;
    }
    Ok(files)
}

struct Attempt<'progress> {
    tokenizer: Tokenizer,
    /// Of bucket `b`, at index `b`.
    files: Vec<Box<dyn StagedObject>>,
    /// Files are written in multiples of it, but for their ends.
    part_bytes: usize,
    block: Vec<u8>,
    pace: Pace,
    progress: &'progress Progress,
}

impl Attempt<'_> {
    fn read(&mut self, input: &InputFile, split: &Split) -> Result<(), Stop> {
        let before = split.start.saturating_sub(Tokenizer::LOOKBEHIND as u64);
        let length = (split.start - before) as usize;
        let length = input.read_at(before, &mut self.block[..length]).map_err(input_failure)?;
        self.tokenizer.begin(&self.block[..length]);

        let mut offset = split.start;
        while offset < split.end {
            let length = self.read_block(input, offset, split.end)?;
            self.tokenizer.feed(&self.block[..length]);
            offset += length as u64;
            self.after_block(length)?;
        }
        // The word under way at the end belongs to this split, however far it goes.
        while self.tokenizer.feed_beyond(&[]) && offset < split.file_bytes {
            let end = split.file_bytes.min(offset + BEYOND_BYTES);
            let length = self.read_block(input, offset, end)?;
            self.tokenizer.feed_beyond(&self.block[..length]);
            offset += length as u64;
            self.after_block(0)?;
        }
        self.tokenizer.end();
        Ok(())
    }

    fn read_block(&mut self, input: &InputFile, offset: u64, end: u64) -> Result<usize, Stop> {
        let wanted = self.pace.block(self.block.len()) as u64;
        let wanted = wanted.min(end - offset) as usize;
        Ok(input.read_at(offset, &mut self.block[..wanted]).map_err(input_failure)?)
    }

    /// `length` bytes of the split were separated into words: write what has become much.
    fn after_block(&mut self, length: usize) -> Result<(), Stop> {
        self.flush(self.part_bytes)?;
        self.progress.read(length as u64, self.tokenizer.words());
        self.pace.wait(length, self.progress);
        go_on(self.progress)
    }

    /// Write of each bucket as many parts of `part_bytes` as are pending.
    fn flush(&mut self, part_bytes: usize) -> Result<(), Stop> {
        let release = self.files.len() > HANDLES_MAX as usize;
        let buckets = self.tokenizer.buckets_mut();
        for (bucket, file) in (0..).zip(&mut self.files) {
            let pending = buckets.pending(bucket);
            let parts = pending.len() / part_bytes * part_bytes;
            if parts == 0 {
                continue;
            }
            file.append(&pending[..parts]).map_err(store_failure)?;
            if release {
                file.release();
            }
            buckets.clear_first(bucket, parts);
            self.progress.step();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Outcome, Room), Stop> {
        self.flush(1)?;
        let mut buckets = Vec::with_capacity(self.files.len());
        for (bucket, file) in (0..).zip(self.files) {
            let digest = file.finish().map_err(store_failure)?;
            faults::reach("worker::written", "map");
            let digest = Digest { bytes: digest.bytes, crc32: digest.crc32 };
            buckets.push(Bucket { digest, words: self.tokenizer.buckets().words(bucket) });
            go_on(self.progress)?;
        }
        let invalid_bytes = self.tokenizer.invalid_bytes();
        let room = Room { tokenizer: self.tokenizer.anew(), block: self.block };
        Ok((Outcome::Mapped { buckets, invalid_bytes }, room))
    }
}

/// What is written at once of one of so many buckets: a power of two, so that every write begins
/// where a page of its size does. The page cache then takes it as one folio, not as a dozen.
fn part_bytes(buckets: u32) -> usize {
    let share = PENDING_BYTES / buckets as usize;
    1 << share.clamp(PART_MIN, PART_MAX).ilog2()
}

/// Bytes pending in all buckets together before they are written, about.
const PENDING_BYTES: usize = 8 << 20;

/// Smaller writes than this cost more than they save.
const PART_MIN: usize = 1 << 10;

/// What stays behind is not written yet: with parts of twice the size, the buckets and a block of
/// text do not fit in a second-level cache of 1 MiB, and writing takes half as long again.
const PART_MAX: usize = 128 << 10;

/// Files held open at once; above, they are opened for each write. The usual limit of a process is
/// 1,024.
const HANDLES_MAX: u32 = 512;

/// How much is read at once to find the end of a split's last word. Words are short.
const BEYOND_BYTES: u64 = 4 << 10;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use rpc::message::{Attempt, Phase};
    use store::{Local, Store};

    use super::*;

    /// Ten thousand buckets must work with the thousand file handles that a process has.
    #[test]
    fn many_buckets_hold_no_file_open() {
        for (buckets, open) in [(HANDLES_MAX, HANDLES_MAX as usize), (HANDLES_MAX + 1, 0)] {
            let folder = tempfile::tempdir().unwrap();
            let store = Local::create(folder.path()).unwrap();
            let staging = layout::staging("job", "m0.a0");
            store.stage(&staging).unwrap();
            let job = Job {
                session: rpc::message::Session("job".to_owned()),
                store: Arc::new(store),
                rules: words::Rules::default(),
                buckets: NonZeroU32::new(buckets).unwrap(),
                roots: store::Roots::new(&[]),
                throttle: None,
                memory_bytes: 256 << 20,
                map_room: Mutex::default(),
            };
            let progress = Progress::new(Attempt { phase: Phase::Map, task: 0, number: 0 });

            let files = create_files(&job, 0, &staging, &progress).unwrap();

            assert_eq!(files.len(), buckets as usize);
            assert_eq!(open_files(folder.path()), open);
        }
    }

    #[test]
    fn parts_are_powers_of_two_and_little_together() {
        for buckets in [1, 4, 7, 1_000, 10_000] {
            let bytes = part_bytes(buckets);
            assert!(bytes.is_power_of_two(), "{bytes}");
            assert!((PART_MIN..=PART_MAX).contains(&bytes), "{bytes}");
            assert!(bytes * buckets as usize <= PENDING_BYTES.max(PART_MIN * buckets as usize));
        }
    }

    /// How many files below `folder` this process holds open, and not `folder` itself.
    fn open_files(folder: &Path) -> usize {
        let handles = std::fs::read_dir("/proc/self/fd").unwrap();
        let target = |handle: std::fs::DirEntry| std::fs::read_link(handle.path()).ok();
        let targets = handles.filter_map(|handle| target(handle.ok()?));
        targets.filter(|target| target.starts_with(folder) && target != folder).count()
    }
}
