//! A reduce attempt: the intermediates of one bucket in, one sorted output out.

use rpc::message::{Digest, Failure, Outcome};
use store::{Durability, Loss, StoreError, VerifiedReader, layout};

use crate::budget::{BLOCK_BYTES, Budget};
use crate::digest;
use crate::failure::{Interrupted, store_failure};
use crate::job::AttemptContext;
use crate::throttle::Throttle;

mod long_words;
mod output;
mod runs;
mod scratch;
mod spilling_counter;
use scratch::Scratch;
use spilling_counter::SpillingCounter;

pub(crate) fn execute(
    context: AttemptContext<'_>,
    intermediates: &[Digest],
) -> Result<Outcome, Interrupted> {
    let AttemptContext { job, task, staging, progress } = context;
    faults::reach("worker::reduce", task);
    let scratch = Scratch::new(&*job.store, staging, progress);
    let throttle = Throttle::new(job.throttle);
    let mut attempt = ReduceAttempt {
        context,
        counter: SpillingCounter::new(Budget::new(job.memory_bytes), scratch),
        block: vec![0; throttle.block_bytes(BLOCK_BYTES)],
        throttle,
    };
    for (map, &expected) in (0..).zip(intermediates) {
        attempt.count(map, expected)?;
    }
    attempt.write()
}

struct ReduceAttempt<'attempt> {
    context: AttemptContext<'attempt>,
    counter: SpillingCounter<'attempt>,
    block: Vec<u8>,
    throttle: Throttle,
}

impl ReduceAttempt<'_> {
    /// Counts the words of the intermediate that map task `map` has left.
    fn count(&mut self, map: u32, expected: Digest) -> Result<(), Interrupted> {
        let AttemptContext { job, task, progress, .. } = self.context;
        let damaged = |error| intermediate_failure(error, map, expected);
        let object = job.store.open(&layout::intermediate(map, task)).map_err(damaged)?;
        let mut reader = VerifiedReader::new(object, digest::from_wire(expected), &mut self.block)
            .map_err(damaged)?;
        while let Some(block) = reader.next_block().map_err(damaged)? {
            self.counter.feed(block)?;
            progress.read(block.len() as u64, self.counter.words());
            self.throttle.wait(block.len() as u64, progress);
            progress.check_abandoned()?;
        }
        if !self.counter.end_object() {
            // Its checksum is right, so it was written like this: its last word has no end.
            let found = expected;
            return Err(Failure::IntermediateCorrupt { map, expected, found }.into());
        }
        progress.step();
        Ok(())
    }

    fn write(self) -> Result<Outcome, Interrupted> {
        let Self { context: AttemptContext { job, task, staging, .. }, counter, block, .. } = self;
        // Merging needs the memory.
        drop(block);
        let name = layout::output(task);
        let created = job.store.create(staging, &name, Durability::Durable);
        let mut file = created.map_err(store_failure)?;
        let total = counter.write(&mut *file)?;
        faults::reach("worker::appended", "");
        let output = file.finish().map_err(store_failure)?;
        faults::reach("worker::written", "reduce");
        Ok(Outcome::Reduced {
            output: digest::to_wire(output),
            words: total.words,
            distinct_words: total.distinct_words,
        })
    }
}

fn intermediate_failure(error: StoreError, map: u32, expected: Digest) -> Failure {
    match error {
        StoreError::Lost { loss: Loss::Corrupt { found, .. }, .. } => {
            Failure::IntermediateCorrupt { map, expected, found: digest::to_wire(found) }
        }
        StoreError::Lost { loss: Loss::Missing, .. } => Failure::IntermediateMissing { map },
        StoreError::Lost { loss: Loss::WrongLength { found_bytes, .. }, .. } => {
            // Its checksum is not looked at when the length is wrong.
            let found = Digest { bytes: found_bytes, crc32: 0 };
            Failure::IntermediateCorrupt { map, expected, found }
        }
        error @ (StoreError::Begun { .. }
        | StoreError::Full { .. }
        | StoreError::Gone { .. }
        | StoreError::OutsideRoots { .. }
        | StoreError::Refused { .. }
        | StoreError::Tampered { .. }) => store_failure(error),
    }
}

#[cfg(test)]
mod tests;
