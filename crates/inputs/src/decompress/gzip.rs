//! gzip (RFC 1952), on zlib-rs: as fast as zlib-ng, and in Rust.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Codec, Step};
use crate::damage::DamageKind;

pub(super) struct Gzip {
    decompress: Decompress,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { decompress: member() }
    }
}

/// A decoder of one member. `Decompress::reset` forgets that it is gzip.
fn member() -> Decompress {
    const WINDOW_BITS: u8 = 15;
    Decompress::new_gzip(WINDOW_BITS)
}

impl Codec for Gzip {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DamageKind> {
        let before = (self.decompress.total_in(), self.decompress.total_out());
        let decoded = self.decompress.decompress(input, output, FlushDecompress::None);
        let status = decoded.map_err(|_damaged| DamageKind::Malformed)?;
        Ok(Step {
            taken: (self.decompress.total_in() - before.0) as usize,
            made: (self.decompress.total_out() - before.1) as usize,
            is_end: status == Status::StreamEnd,
        })
    }

    fn begin(&mut self) -> Result<(), DamageKind> {
        if self.decompress.total_in() > 0 {
            self.decompress = member();
        }
        Ok(())
    }

    fn can_begin_with(&self, first: u8) -> bool {
        first == 0x1F
    }
}
