//! Keys in the registers of aarch64.
//!
//! Two things are unsafe here: executing instructions that a CPU may lack, and the token of the
//! level proves that it has them; and reading and writing arrays through pointers to them.

#![expect(unsafe_code, reason = "instructions that not every CPU has")]

use std::arch::aarch64::*;
use std::arch::asm;

use super::{GROUP, KeySimd, ShortKey, Slices, classify_one_by_one, write_positions};
use crate::hash::Seed;
use crate::simd::{CHUNK, Neon, Scalar, Simd};

impl KeySimd for Neon {
    #[inline(always)]
    fn low_bits(self, bits: u64, count: u32) -> u64 {
        Scalar.low_bits(bits, count)
    }

    type Register = uint8x16_t;

    #[inline(always)]
    fn load_masked(self, bytes: &ShortKey, mask: &ShortKey) -> uint8x16_t {
        // SAFETY: the token says that the CPU has NEON and AES. The same goes for the next three.
        unsafe { load_masked(bytes, mask) }
    }

    #[inline(always)]
    fn store(self, key: uint8x16_t) -> ShortKey {
        // SAFETY: as above.
        unsafe { store(key) }
    }

    #[inline(always)]
    fn equals(self, key: uint8x16_t, bytes: &ShortKey) -> bool {
        // SAFETY: as above.
        unsafe { equals(key, bytes) }
    }

    #[inline(always)]
    fn hash(self, key: uint8x16_t, seed: &Seed) -> u64 {
        // SAFETY: as above.
        unsafe { hash(key, seed) }
    }

    #[inline(always)]
    fn prefetch<T>(self, place: &T) {
        let place = std::ptr::from_ref(place);
        // SAFETY: every CPU has this instruction, it changes nothing that a program can see, and a
        // reference is a valid address. No intrinsic for it is stable.
        unsafe {
            asm!("prfm pldl1keep, [{}]", in(reg) place, options(nostack, preserves_flags, readonly));
        }
    }

    #[inline(always)]
    fn line_ends(self, base: u16, chunk: &[u8; CHUNK], ends: &mut [u16; CHUNK]) -> usize {
        write_positions(base, self.equal(b'\n', chunk), ends)
    }

    #[inline(always)]
    fn classify_lines(
        self,
        ends: &[u16; GROUP + 1],
        count: usize,
        slices: [Slices<'_>; 3],
    ) -> [usize; 3] {
        classify_one_by_one(ends, count, slices)
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_masked(bytes: &ShortKey, mask: &ShortKey) -> uint8x16_t {
    vandq_u8(load(bytes), load(mask))
}

#[inline]
#[target_feature(enable = "neon")]
fn store(key: uint8x16_t) -> ShortKey {
    let mut bytes = [0; _];
    // SAFETY: these are 16 bytes, and this store asks for no alignment.
    unsafe { vst1q_u8(bytes.as_mut_ptr(), key) };
    bytes
}

#[inline]
#[target_feature(enable = "neon")]
fn equals(key: uint8x16_t, bytes: &ShortKey) -> bool {
    let different = veorq_u8(key, load(bytes));
    vmaxvq_u32(vreinterpretq_u32_u8(different)) == 0
}

#[inline]
#[target_feature(enable = "neon,aes")]
fn hash(key: uint8x16_t, seed: &Seed) -> u64 {
    let seed = vcombine_u64(vcreate_u64(seed.0[0]), vcreate_u64(seed.0[1]));
    let seed = vreinterpretq_u8_u64(seed);
    // A round spreads each byte over four; the second, over all sixteen. Here a round begins by
    // adding the seed, where that of x86-64 ends so.
    let once = vaesmcq_u8(vaeseq_u8(key, seed));
    let twice = vaesmcq_u8(vaeseq_u8(once, seed));
    vgetq_lane_u64::<0>(vreinterpretq_u64_u8(twice))
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &ShortKey) -> uint8x16_t {
    // SAFETY: these are 16 bytes, and this load asks for no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}
