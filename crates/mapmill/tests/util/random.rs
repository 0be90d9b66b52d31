//! Reproducible random inputs: the seed is printed, and read from `MAPMILL_SEED`.

use std::hash::{BuildHasher, RandomState};

/// SplitMix64: the same numbers follow from the same seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with `MAPMILL_SEED` if that is set, otherwise with a random seed. Prints it.
    pub fn new() -> Self {
        let given = std::env::var("MAPMILL_SEED").ok();
        let seed = match given {
            Some(seed) => seed.parse().expect("MAPMILL_SEED is a whole number"),
            None => RandomState::new().hash_one("mapmill"),
        };
        #[expect(clippy::print_stderr, reason = "shown when the test fails")]
        {
            eprintln!("to see this again: MAPMILL_SEED={seed}");
        }
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// About `bytes` bytes of all that texts are made of, and of bytes that are no text.
    pub fn text(&mut self, bytes: usize) -> Vec<u8> {
        let mut text = Vec::new();
        while text.len() < bytes {
            match self.below(400) {
                0..10 => text.extend((0..8).map(|_| self.next() as u8)),
                // Longer than what is read at once behind the end of a share; rare, or all is `z`.
                10 => text.extend(std::iter::repeat_n(b'z', self.below(6000))),
                11..15 => text.extend(std::iter::repeat_n(b' ', self.below(300))),
                15..200 => {
                    let letters = 1 + self.below(9);
                    text.extend((0..letters).map(|_| b'a' + self.below(26) as u8));
                }
                _ => text.extend(PIECES[self.below(PIECES.len())]),
            }
            if self.below(4) > 0 {
                text.extend(GAPS[self.below(GAPS.len())]);
            }
        }
        text
    }
}

/// Words and parts of words, some of which are not text at all.
const PIECES: [&[u8]; 30] = [
    b"the",
    b"The",
    b"don't",
    b"2nd",
    b"x",
    "naïve".as_bytes(),
    "Straße".as_bytes(),
    // Its lower case has two characters.
    "İstanbul".as_bytes(),
    "ΟΔΟΣ".as_bytes(),
    "Ǆungla".as_bytes(),
    "Привет".as_bytes(),
    "日本語".as_bytes(),
    "हिन्दी".as_bytes(),
    // Four bytes a letter.
    "𝔐𝔞𝔭".as_bytes(),
    "𐐀𐐁".as_bytes(),
    "e\u{301}te\u{301}".as_bytes(),
    "🦀".as_bytes(),
    "Ⅷ".as_bytes(),
    "ª".as_bytes(),
    b"\0",
    b"a\0b",
    // Never in UTF-8.
    b"\xff\xfe",
    // The beginning of a character.
    b"\xc3",
    b"\xe6\x97",
    b"\xf0\x9f\xa6",
    // Its end.
    b"\x80\xbf",
    // An overlong slash, a surrogate, a character beyond the last.
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"q\xe9q",
];

const GAPS: [&[u8]; 12] = [
    b" ",
    b" ",
    b" ",
    b"\n",
    b"\r\n",
    b"\t",
    b", ",
    b"--",
    "\u{a0}".as_bytes(),
    "\u{2003}".as_bytes(),
    "\u{3000}".as_bytes(),
    "\u{85}".as_bytes(),
];
