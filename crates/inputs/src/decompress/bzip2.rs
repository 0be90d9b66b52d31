//! bzip2, on libbz2-rs.

use bzip2::{Decompress, Status};

use super::{Codec, Step};
use crate::damage::DamageKind;

pub(super) struct Bzip2 {
    decompress: Decompress,
}

impl Bzip2 {
    pub(super) fn new() -> Self {
        Self { decompress: stream() }
    }
}

fn stream() -> Decompress {
    // The other algorithm takes half of the memory, 2 MiB, and twice the time.
    let small = false;
    Decompress::new(small)
}

impl Codec for Bzip2 {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DamageKind> {
        let before = (self.decompress.total_in(), self.decompress.total_out());
        let decoded = self.decompress.decompress(input, output);
        let status = decoded.map_err(|_damaged| DamageKind::Malformed)?;
        Ok(Step {
            taken: (self.decompress.total_in() - before.0) as usize,
            made: (self.decompress.total_out() - before.1) as usize,
            is_end: status == Status::StreamEnd,
        })
    }

    fn begin(&mut self) -> Result<(), DamageKind> {
        if self.decompress.total_in() > 0 {
            self.decompress = stream();
        }
        Ok(())
    }

    fn can_begin_with(&self, first: u8) -> bool {
        first == b'B'
    }
}
