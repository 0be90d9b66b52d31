//! Zstandard (RFC 8878), on libzstd: the decoders in Rust take twice its time.

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::{Codec, Step};
use crate::damage::DamageKind;

pub(super) struct Zstd {
    context: DCtx<'static>,
    memory_bytes: u64,
}

impl Zstd {
    /// A window may take up to `memory_bytes`.
    pub(super) fn new(memory_bytes: u64) -> Self {
        let mut context = DCtx::create();
        let window_log = memory_bytes.max(1).ilog2().clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX);
        context
            .set_parameter(DParameter::WindowLogMax(window_log))
            .expect("within the limits of the library");
        Self { context, memory_bytes }
    }
}

impl Codec for Zstd {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DamageKind> {
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        let decoded = self.context.decompress_stream(&mut output, &mut input);
        let left = decoded.map_err(|code| match get_error_name(code) {
            WINDOW_TOO_LARGE => DamageKind::Memory { max: self.memory_bytes },
            _ => DamageKind::Malformed,
        })?;
        Ok(Step { taken: input.pos(), made: output.pos(), is_end: left == 0 })
    }

    fn begin(&mut self) -> Result<(), DamageKind> {
        self.context.reset(ResetDirective::SessionOnly).expect("a session can always be reset");
        Ok(())
    }

    /// Of a frame, or of a skippable frame.
    fn can_begin_with(&self, first: u8) -> bool {
        first == 0x28 || first & 0xF0 == 0x50
    }
}

/// As the library says it.
const WINDOW_TOO_LARGE: &str = "Frame requires too much memory for decoding";

/// The limits of the library.
const WINDOW_LOG_MIN: u32 = 10;

/// As of `zstd -d`.
const WINDOW_LOG_MAX: u32 = 27;
