//! The level of aarch64.
//!
//! Two things are unsafe here: executing instructions that a CPU may lack, and the token proves
//! that it has them; and reading a chunk through pointers into it.

#![expect(unsafe_code, reason = "instructions that not every CPU has")]

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::{CHUNK, Kernel, Scalar, Simd};

/// The CPU has NEON, as nearly all have, and AES, which a Raspberry Pi 4 lacks. It is
/// little-endian: the code here treats a register as the number that its bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Neon(());

impl Neon {
    /// A token, if this CPU has the instructions.
    pub(super) fn detect() -> Option<Self> {
        let has_all = cfg!(target_endian = "little")
            && is_aarch64_feature_detected!("neon")
            && is_aarch64_feature_detected!("aes");
        has_all.then_some(Self(()))
    }

    pub(super) fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "neon,aes")]
        fn run<K: Kernel<Neon>>(level: Neon, kernel: K) -> K::Output {
            kernel.run(level)
        }
        // SAFETY: the token says that the CPU has these features.
        unsafe { run(self, kernel) }
    }
}

/// A kernel that runs at every level of this target but the scalar one.
pub(crate) trait OwnKernel<O>: Kernel<Neon, Output = O> {}

impl<O, K: Kernel<Neon, Output = O>> OwnKernel<O> for K {}

impl Simd for Neon {
    #[inline(always)]
    fn letters(self, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: the token says that the CPU has NEON. The same goes for the next four.
        unsafe { letters(chunk) }
    }

    #[inline(always)]
    fn visible(self, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { visible(chunk) }
    }

    #[inline(always)]
    fn non_ascii(self, chunk: &[u8; CHUNK]) -> u64 {
        self.at_least(0x80, chunk)
    }

    #[inline(always)]
    fn equal(self, byte: u8, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { equal(byte, chunk) }
    }

    #[inline(always)]
    fn at_least(self, byte: u8, chunk: &[u8; CHUNK]) -> u64 {
        // SAFETY: as above.
        unsafe { at_least(byte, chunk) }
    }

    type Compressing = Scalar;

    #[inline(always)]
    fn compressing(self) -> Option<Scalar> {
        None
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn letters(chunk: &[u8; CHUNK]) -> u64 {
    join(quarters(chunk).map(|bytes| {
        let folded = vorrq_u8(bytes, vdupq_n_u8(0x20));
        vcltq_u8(vsubq_u8(folded, vdupq_n_u8(b'a')), vdupq_n_u8(26))
    }))
}

#[inline]
#[target_feature(enable = "neon")]
fn visible(chunk: &[u8; CHUNK]) -> u64 {
    !join(quarters(chunk).map(|bytes| {
        let control = vcltq_u8(vsubq_u8(bytes, vdupq_n_u8(9)), vdupq_n_u8(5));
        let space = vceqq_u8(bytes, vdupq_n_u8(b' '));
        let high = vcgeq_u8(bytes, vdupq_n_u8(0x80));
        vorrq_u8(vorrq_u8(control, space), high)
    }))
}

#[inline]
#[target_feature(enable = "neon")]
fn equal(byte: u8, chunk: &[u8; CHUNK]) -> u64 {
    join(quarters(chunk).map(|bytes| vceqq_u8(bytes, vdupq_n_u8(byte))))
}

#[inline]
#[target_feature(enable = "neon")]
fn at_least(byte: u8, chunk: &[u8; CHUNK]) -> u64 {
    join(quarters(chunk).map(|bytes| vcgeq_u8(bytes, vdupq_n_u8(byte))))
}

#[inline]
#[target_feature(enable = "neon")]
fn quarters(chunk: &[u8; CHUNK]) -> [uint8x16_t; 4] {
    let first = chunk.as_ptr();
    // SAFETY: a chunk is four times 16 bytes, and this load asks for no alignment.
    unsafe { [0, 16, 32, 48].map(|at| vld1q_u8(first.add(at))) }
}

/// One bit of each byte; all bits of a byte are the same. ARM has no instruction for it: each byte
/// keeps the bit of its position among eight, and neighbours are added until eight are one.
#[inline]
#[target_feature(enable = "neon")]
fn join(found: [uint8x16_t; 4]) -> u64 {
    let place = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
    let [first, second, third, fourth] = found.map(|bytes| vandq_u8(bytes, place));
    let pairs = [vpaddq_u8(first, second), vpaddq_u8(third, fourth)];
    let fours = vpaddq_u8(pairs[0], pairs[1]);
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(fours, fours)))
}
