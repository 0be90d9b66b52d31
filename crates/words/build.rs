//! Asks `std` about every character of the first two planes, so that no process has to at run time.
//!
//! The compiler that builds the crate also builds this script, with the same `std`.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let write = |name, has| fs::write(Path::new(&folder).join(name), bits(has));
    write("letters.bits", char::is_alphabetic)?;
    write("visible.bits", |character| !character.is_whitespace())?;
    write("upper.bits", |character| !character.to_lowercase().eq([character]))
}

/// Bit `c % 8` of byte `c / 8` tells whether `has` is true of `c`.
fn bits(has: fn(char) -> bool) -> Vec<u8> {
    let mut bits = vec![0; 0x2_0000 / 8];
    for character in ('\0'..'\u{2_0000}').filter(|&character| has(character)) {
        let value = character as usize;
        bits[value / 8] |= 1 << (value % 8);
    }
    bits
}
