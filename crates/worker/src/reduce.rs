//! A reduce attempt: the intermediates of one bucket in, one sorted output out.

use rpc::message::{Digest, Failure, Outcome};
use store::{Durability, Staging, StoreError, VerifiedReader, layout};

use crate::attempt::{BLOCK_BYTES, Job, Stop, store_failure};
use crate::budget::Budget;
use crate::pace::Pace;
use crate::progress::Progress;

mod giants;
mod output;
mod runs;
mod scratch;
mod tally;
use scratch::Scratch;
use tally::Tally;

pub(crate) fn execute(
    job: &Job,
    bucket: u32,
    intermediates: &[Digest],
    staging: &Staging,
    progress: &Progress,
) -> Result<Outcome, Stop> {
    faults::reach("worker::reduce", bucket);
    let scratch = Scratch::new(&*job.store, staging, progress);
    // The table may need all the memory there is.
    drop(job.take_map_room());
    let mut tally = Tally::new(Budget::new(job.memory_bytes), scratch);
    let mut pace = Pace::new(job.throttle);
    let mut block = vec![0; pace.block(BLOCK_BYTES)];
    for (map, &expected) in (0..).zip(intermediates) {
        count(job, bucket, map, expected, &mut tally, &mut block, &mut pace, progress)?;
    }
    // Merging needs the room.
    drop(block);
    write(job, bucket, tally, staging)
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call; a struct would name each of them once more"
)]
fn count(
    job: &Job,
    bucket: u32,
    map: u32,
    expected: Digest,
    tally: &mut Tally<'_>,
    block: &mut [u8],
    pace: &mut Pace,
    progress: &Progress,
) -> Result<(), Stop> {
    let damaged = |error| intermediate_failure(error, map, expected);
    let object = job.store.open(&layout::intermediate(map, bucket)).map_err(damaged)?;
    let digest = store::Digest { bytes: expected.bytes, crc32: expected.crc32 };
    let mut reader = VerifiedReader::new(object, digest, block).map_err(damaged)?;
    while let Some(block) = reader.next_block().map_err(damaged)? {
        tally.feed(block)?;
        if faults::is_wrong("worker::doubles") {
            tally.feed(block)?;
        }
        progress.read(block.len() as u64, tally.words());
        pace.wait(block.len(), progress);
        if progress.is_abandoned() {
            return Err(Stop::Abandoned);
        }
    }
    if !tally.end_object() {
        // Its checksum is right, so it was written like this: its last word has no end.
        let found = expected;
        return Err(Failure::IntermediateCorrupt { map, expected, found }.into());
    }
    progress.step();
    Ok(())
}

fn intermediate_failure(error: StoreError, map: u32, expected: Digest) -> Failure {
    match error {
        StoreError::Corrupt { found, .. } => {
            let found = Digest { bytes: found.bytes, crc32: found.crc32 };
            Failure::IntermediateCorrupt { map, expected, found }
        }
        StoreError::Missing { .. } => Failure::IntermediateMissing { map },
        StoreError::WrongLength { found_bytes, .. } => {
            // Its checksum is not looked at when the length is wrong.
            let found = Digest { bytes: found_bytes, crc32: 0 };
            Failure::IntermediateCorrupt { map, expected, found }
        }
        error @ (StoreError::AlreadyStaged { .. }
        | StoreError::Full { .. }
        | StoreError::Io { .. }
        | StoreError::Linked { .. }
        | StoreError::NotAFile { .. }
        | StoreError::NotAFolder { .. }
        | StoreError::NotOurs { .. }
        | StoreError::NotStaged { .. }
        | StoreError::OpenToAll { .. }
        | StoreError::OutsideRoots { .. }) => store_failure(error),
    }
}

fn write(job: &Job, bucket: u32, tally: Tally<'_>, staging: &Staging) -> Result<Outcome, Stop> {
    let name = layout::output(bucket);
    let mut file = job.store.create(staging, &name, Durability::Durable).map_err(store_failure)?;
    let total = tally.write(&mut *file)?;
    faults::reach("worker::appended", "");
    let output = file.finish().map_err(store_failure)?;
    faults::reach("worker::written", "reduce");
    Ok(Outcome::Reduced {
        output: Digest { bytes: output.bytes, crc32: output.crc32 },
        words: total.words,
        distinct_words: total.distinct_words,
    })
}

#[cfg(test)]
mod tests;
