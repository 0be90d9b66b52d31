//! xz, on liblzma: the only complete decoder.

use liblzma::stream::{Action, Error, Status, Stream};

use super::{Codec, Step};
use crate::damage::DamageKind;

pub(super) struct Xz {
    stream: Option<Stream>,
    memory_bytes: u64,
}

impl Xz {
    /// A dictionary may take up to `memory_bytes`.
    pub(super) fn new(memory_bytes: u64) -> Self {
        Self { stream: None, memory_bytes }
    }

    fn damage(&self, error: Error) -> DamageKind {
        match error {
            Error::Mem | Error::MemLimit => DamageKind::Memory { max: self.memory_bytes },
            Error::Data
            | Error::Options
            | Error::Format
            | Error::NoCheck
            | Error::Program
            | Error::UnsupportedCheck => DamageKind::Malformed,
        }
    }
}

impl Codec for Xz {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DamageKind> {
        let Some(stream) = &mut self.stream else { return Err(DamageKind::Malformed) };
        let before = (stream.total_in(), stream.total_out());
        let decoded = stream.process(input, output, Action::Run);
        let (taken, made) = (stream.total_in() - before.0, stream.total_out() - before.1);
        let status = decoded.map_err(|error| self.damage(error))?;
        Ok(Step { taken: taken as usize, made: made as usize, is_end: status == Status::StreamEnd })
    }

    fn begin(&mut self) -> Result<(), DamageKind> {
        let no_flags = 0;
        let stream = Stream::new_stream_decoder(self.memory_bytes, no_flags);
        self.stream = Some(stream.map_err(|error| self.damage(error))?);
        Ok(())
    }

    fn can_begin_with(&self, first: u8) -> bool {
        first == 0xFD
    }
}
