//! A map attempt: splits in, one staged file for each bucket out.

use std::num::NonZeroU32;

use rpc::message::{Bucket, Failure, Format, Outcome, Split};
use store::{Durability, InputFile, StagedObject, layout};
use words::{Rules, Tokenizer};

use crate::budget::BLOCK_BYTES;
use crate::digest;
use crate::failure::{Interrupted, input_failure, store_failure};
use crate::findings::FindingsCount;
use crate::job::{AttemptContext, Job};
use crate::progress::Progress;
use crate::throttle::Throttle;

mod documents;

pub(crate) fn execute(
    context: AttemptContext<'_>,
    splits: &[Split],
    buffers: &mut Buffers,
) -> Result<Outcome, Interrupted> {
    let job = context.job;
    let tokenizer = buffers.take_tokenizer(job);
    buffers.block.resize(BLOCK_BYTES, 0);
    let mut attempt = MapAttempt {
        job,
        tokenizer,
        files: create_files(context)?,
        part_bytes: part_bytes(job.buckets.get()),
        block: &mut buffers.block,
        findings: FindingsCount::default(),
        throttle: Throttle::new(job.throttle),
        progress: context.progress,
    };
    faults::reach("worker::map", context.task);
    for (index, split) in (0..).zip(splits) {
        let input = job.open_input(split)?;
        let invalid_bytes = attempt.tokenizer.invalid_bytes();
        attempt.read(&input, split, index)?;
        input.check().map_err(input_failure)?;
        attempt.findings.end_split(index, attempt.tokenizer.invalid_bytes() - invalid_bytes);
    }
    let (outcome, tokenizer) = attempt.finish()?;
    buffers.keep_tokenizer(job, tokenizer);
    Ok(outcome)
}

/// The memory that the map attempts of one thread reuse: getting it from the kernel again, page by
/// page, takes longer than filling it.
#[derive(Default)]
pub(crate) struct Buffers {
    /// A tokenizer that has seen no text yet, and the rules and buckets that it was made for: a
    /// worker that registers again may find another job.
    tokenizer: Option<((Rules, NonZeroU32), Tokenizer)>,
    block: Vec<u8>,
}

impl Buffers {
    /// The tokenizer for one attempt, which returns it if it succeeds.
    fn take_tokenizer(&mut self, job: &Job) -> Tokenizer {
        match self.tokenizer.take() {
            Some((made_for, tokenizer)) if made_for == (job.rules, job.buckets) => tokenizer,
            Some(_) | None => Tokenizer::new(job.rules, job.buckets),
        }
    }

    fn keep_tokenizer(&mut self, job: &Job, tokenizer: Tokenizer) {
        self.tokenizer = Some(((job.rules, job.buckets), tokenizer.anew()));
    }
}

fn create_files(context: AttemptContext<'_>) -> Result<Vec<Box<dyn StagedObject>>, Interrupted> {
    let AttemptContext { job, task, staging, progress } = context;
    let mut files = Vec::with_capacity(job.buckets.get() as usize);
    for bucket in 0..job.buckets.get() {
        let name = layout::intermediate(task, bucket);
        let mut file =
            job.store.create(staging, &name, Durability::Verified).map_err(store_failure)?;
        if job.buckets.get() > HANDLES_MAX {
            file.pause();
        }
        files.push(file);
        progress.advance()?;
    }
    Ok(files)
}

struct MapAttempt<'attempt> {
    job: &'attempt Job,
    tokenizer: Tokenizer,
    /// Of bucket `b`, at index `b`.
    files: Vec<Box<dyn StagedObject>>,
    /// Files are written in multiples of it, except at their ends.
    part_bytes: usize,
    block: &'attempt mut [u8],
    findings: FindingsCount,
    throttle: Throttle,
    progress: &'attempt Progress,
}

impl MapAttempt<'_> {
    /// `index` is that of the split in its task.
    fn read(&mut self, input: &InputFile, split: &Split, index: u32) -> Result<(), Interrupted> {
        if split.format != Format::default() {
            return self.read_documents(input, split, index);
        }
        self.read_text(input, split)?;
        // A file is one document, and belongs to the split in which it begins.
        if split.start == 0 {
            self.findings.end_document();
        }
        Ok(())
    }

    /// Reads a split of plain text.
    fn read_text(&mut self, input: &InputFile, split: &Split) -> Result<(), Interrupted> {
        let text = text_start(input, split.start)?;
        let start = split.start.max(text);
        let before = start.saturating_sub(Tokenizer::LOOKBEHIND as u64);
        let before = if start == text { text } else { before };
        let length = (start - before) as usize;
        let length = input.read_at(before, &mut self.block[..length]).map_err(input_failure)?;
        self.tokenizer.begin(&self.block[..length]);

        let mut offset = start;
        while offset < split.end {
            let length = self.read_block(input, offset, split.end)?;
            self.tokenizer.feed(&self.block[..length]);
            offset += length as u64;
            self.after_block(length as u64)?;
        }
        // A word that crosses the end belongs to this split, however long it is.
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

    fn read_block(
        &mut self,
        input: &InputFile,
        offset: u64,
        end: u64,
    ) -> Result<usize, Interrupted> {
        let wanted = self.throttle.block_bytes(self.block.len()) as u64;
        let wanted = wanted.min(end - offset) as usize;
        Ok(input.read_at(offset, &mut self.block[..wanted]).map_err(input_failure)?)
    }

    /// `length` bytes of the split were separated into words: writes what fills a part.
    fn after_block(&mut self, length: u64) -> Result<(), Interrupted> {
        self.flush(self.part_bytes)?;
        self.progress.read(length, self.tokenizer.words());
        self.throttle.wait(length, self.progress);
        self.progress.advance()
    }

    /// Writes of each bucket as many parts of `part_bytes` as are pending.
    fn flush(&mut self, part_bytes: usize) -> Result<(), Interrupted> {
        let pauses = self.files.len() > HANDLES_MAX as usize;
        let buckets = self.tokenizer.buckets_mut();
        for (bucket, file) in (0..).zip(&mut self.files) {
            let pending = buckets.pending(bucket);
            let parts = pending.len() / part_bytes * part_bytes;
            if parts == 0 {
                continue;
            }
            file.append(&pending[..parts]).map_err(store_failure)?;
            if pauses {
                file.pause();
            }
            buckets.clear_first(bucket, parts);
            self.progress.step();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Outcome, Tokenizer), Interrupted> {
        self.flush(1)?;
        let mut buckets = Vec::with_capacity(self.files.len());
        for (bucket, file) in (0..).zip(self.files) {
            let digest = file.finish().map_err(store_failure)?;
            faults::reach("worker::written", "map");
            buckets.push(Bucket {
                digest: digest::to_wire(digest),
                words: self.tokenizer.buckets().words(bucket),
            });
            self.progress.advance()?;
        }
        let findings = self.findings.finish();
        Ok((Outcome::Mapped { buckets, findings }, self.tokenizer))
    }
}

/// Where the text of a file begins: behind its byte order mark, if that can matter to a split that
/// begins at `start`.
fn text_start(input: &InputFile, start: u64) -> Result<u64, Failure> {
    const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
    let mut first = [0; BYTE_ORDER_MARK.len()];
    let length = first.len() as u64;
    if start > length {
        return Ok(0);
    }
    input.read_at(0, &mut first).map_err(input_failure)?;
    Ok(if first == BYTE_ORDER_MARK { length } else { 0 })
}

/// How many bytes of a bucket are written at once, with so many buckets: a power of two, so that
/// every write begins where a page of its size does. The page cache then holds it as one folio, not
/// as a dozen.
fn part_bytes(buckets: u32) -> usize {
    let share = PENDING_BYTES / buckets as usize;
    1 << share.clamp(PART_MIN, PART_MAX).ilog2()
}

/// About how many bytes are pending in all buckets together before they are written.
const PENDING_BYTES: usize = 8 << 20;

/// Smaller writes than this cost more than they save.
const PART_MIN: usize = 1 << 10;

/// With parts of twice the size, the pending bytes of the buckets and a block of text do not fit in
/// a second-level cache of 1 MiB, and writing takes half as long again.
const PART_MAX: usize = 128 << 10;

/// With more files than this, each is opened for every write. The usual limit of a process is
/// 1,024.
const HANDLES_MAX: u32 = 512;

/// How much is read at once to find the end of a split's last word. Words are short.
const BEYOND_BYTES: u64 = 4 << 10;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use rpc::message::{Attempt, Phase};
    use store::Local;

    use super::*;

    /// Ten thousand buckets must work within the usual limit of a thousand file handles.
    #[test]
    fn files_of_many_buckets_are_not_held_open() {
        for (buckets, open) in [(HANDLES_MAX, HANDLES_MAX as usize), (HANDLES_MAX + 1, 0)] {
            let folder = tempfile::tempdir().unwrap();
            let staging = layout::staging("job", layout::Phase::Map, 0, 0);
            let job = job(folder.path(), words::WordRule::Letters, buckets);
            job.store.stage(&staging).unwrap();
            let progress = Progress::new(Attempt { phase: Phase::Map, task: 0, number: 0 });

            let context =
                AttemptContext { job: &job, task: 0, staging: &staging, progress: &progress };
            let files = create_files(context).unwrap();

            assert_eq!(files.len(), buckets as usize);
            assert_eq!(open_files(folder.path()), open);
        }
    }

    #[test]
    fn tokenizer_of_another_job_is_not_reused() {
        let folder = tempfile::tempdir().unwrap();
        let job = |words, buckets| job(folder.path(), words, buckets);
        let mut buffers = Buffers::default();
        for (words, buckets) in [
            (words::WordRule::Letters, 2),
            (words::WordRule::Letters, 2),
            (words::WordRule::Whitespace, 2),
            (words::WordRule::Whitespace, 3),
        ] {
            let job = job(words, buckets);
            let mut tokenizer = buffers.take_tokenizer(&job);
            tokenizer.begin(b"");
            tokenizer.feed(b"b2");
            tokenizer.end();

            let word: &[u8] = if words == words::WordRule::Letters { b"b\n" } else { b"b2\n" };
            assert_eq!(tokenizer.buckets().pending(u32::from(b'b') % buckets), word);
            buffers.keep_tokenizer(&job, tokenizer);
            assert!(buffers.tokenizer.is_some());
        }
    }

    #[test]
    fn parts_are_powers_of_two_and_their_sum_is_bounded() {
        for buckets in [1, 4, 7, 1_000, 10_000] {
            let bytes = part_bytes(buckets);
            assert!(bytes.is_power_of_two(), "{bytes}");
            assert!((PART_MIN..=PART_MAX).contains(&bytes), "{bytes}");
            assert!(bytes * buckets as usize <= PENDING_BYTES.max(PART_MIN * buckets as usize));
        }
    }

    fn job(folder: &Path, words: words::WordRule, buckets: u32) -> Job {
        Job {
            session: rpc::message::Session("job".to_owned()),
            store: Arc::new(Local::create(folder).unwrap()),
            rules: Rules { words, ..Rules::default() },
            buckets: NonZeroU32::new(buckets).unwrap(),
            roots: store::Roots::new(&[]),
            throttle: None,
            memory_bytes: 256 << 20,
            skip_bad_records: false,
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
