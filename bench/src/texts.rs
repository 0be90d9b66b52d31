//! The texts: what each is like, and its bytes.
//!
//! A text is made line by line from a seed of its own, so a shorter one is the beginning of a
//! longer one, but for its last line; only the number of words of [`Text::Wide`] grows with it.

use std::io::{self, Write};

use crate::random::Random;
use crate::vocabulary::{Vocabulary, invent};

/// A kind of text. Its place among them is its seed, so that a new one comes last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Text {
    /// Han characters and their punctuation, nothing of ASCII but newlines.
    Cjk,
    /// English in Cyrillic letters: two bytes a letter, the spaces and commas one.
    Cyrillic,
    /// Lines of English, Cyrillic, Greek and Han by turns.
    Mix,
    /// Nothing else.
    Newlines,
    /// English as to words, their lengths, punctuation and lines; now and then a dash or an accent
    /// that is not ASCII, or a rare word.
    Prose,
    /// 256 words of 64 bytes to 64 KiB, again and again.
    Tokens,
    /// ASCII. A text of 2 GiB has 20 million different words, half of it in rare ones.
    Wide,
    /// Han characters as people write them, without spaces: what counts as a word is a clause, and
    /// two of three clauses occur once.
    Clauses,
}

impl Text {
    /// Its name, and its file's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cjk => "cjk",
            Self::Cyrillic => "cyrillic",
            Self::Mix => "mix",
            Self::Newlines => "newlines",
            Self::Prose => "prose",
            Self::Tokens => "tokens",
            Self::Wide => "wide",
            Self::Clauses => "clauses",
        }
    }

    /// The CRC-32 of the first MiB: of a text of that size, that is.
    #[must_use]
    pub fn crc_of_first_mib(self) -> u32 {
        match self {
            Self::Cjk => 0xDC71_EB38,
            Self::Cyrillic => 0x1CBF_4A91,
            Self::Mix => 0xABD0_1204,
            Self::Newlines => 0xE7D0_DF85,
            Self::Prose => 0x06CC_32DE,
            Self::Tokens => 0xE167_56FD,
            Self::Wide => 0xB823_9513,
            Self::Clauses => 0x43B5_B471,
        }
    }

    /// Write `bytes` of it, which end with a newline; returns their CRC-32.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written, or the sample texts, whose words it has, cannot be read.
    pub fn write(self, bytes: u64, out: &mut impl Write) -> io::Result<u32> {
        let mut maker = Maker::new(self, bytes)?;
        let mut digest = crc32fast::Hasher::new();
        let mut block = Vec::with_capacity(2 * BLOCK_BYTES);
        let mut left = bytes;
        while left > 0 {
            block.clear();
            while block.len() < BLOCK_BYTES {
                maker.line(&mut block);
            }
            if block.len() as u64 >= left {
                end_at(&mut block, left as usize);
            }
            out.write_all(&block)?;
            digest.update(&block);
            left -= block.len() as u64;
        }
        Ok(digest.finalize())
    }

    /// The same in memory.
    ///
    /// # Errors
    ///
    /// When the sample texts cannot be read.
    pub fn make(self, bytes: u64) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(bytes as usize);
        self.write(bytes, &mut text)?;
        Ok(text)
    }
}

/// Cut `block` to `length`, with newlines for what would be half a character, and one at the end.
fn end_at(block: &mut Vec<u8>, length: usize) {
    let mut end = length - 1;
    // Bytes of this form continue a character.
    while end > 0 && block[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    block.truncate(end);
    block.resize(length, b'\n');
}

struct Maker {
    text: Text,
    random: Random,
    /// One for each script that the text is written in.
    vocabularies: Vec<Vocabulary>,
    /// Of `Wide`: how many words there are to invent, and how many of them have occurred.
    invented: u64,
    turn: u64,
    tokens: Vec<Vec<u8>>,
}

impl Maker {
    fn new(text: Text, bytes: u64) -> io::Result<Self> {
        let english = Vocabulary::english()?;
        let vocabularies = match text {
            Text::Cjk => vec![english.ideographs()],
            Text::Clauses => vec![english.ideographs(), Vocabulary::characters()],
            Text::Cyrillic => vec![english.spelled(&CYRILLIC)],
            Text::Mix => {
                let others = [english.spelled(&CYRILLIC), english.spelled(&GREEK)];
                let han = english.ideographs();
                [english].into_iter().chain(others).chain([han]).collect()
            }
            Text::Newlines | Text::Prose | Text::Tokens | Text::Wide => vec![english],
        };
        let mut random = Random::new(text as u64 + 1);
        let tokens = if text == Text::Tokens { tokens(&mut random) } else { Vec::new() };
        let share = u128::from(bytes) * u128::from(WIDE_WORDS) / u128::from(WIDE_BYTES);
        let invented = if text == Text::Wide { share.max(1_000) as u64 } else { PROSE_INVENTED };
        Ok(Self { text, random, vocabularies, invented, turn: 0, tokens })
    }

    fn line(&mut self, out: &mut Vec<u8>) {
        match self.text {
            Text::Cjk => self.han(0, out),
            Text::Cyrillic => self.sentence(0, out),
            Text::Mix => {
                let script = self.random.below(self.vocabularies.len() as u64) as usize;
                if script + 1 == self.vocabularies.len() {
                    self.han(script, out);
                } else {
                    self.sentence(script, out);
                }
            }
            Text::Newlines => out.resize(out.len() + BLOCK_BYTES, b'\n'),
            Text::Prose => self.sentence(0, out),
            Text::Tokens => {
                let token = self.random.below(self.tokens.len() as u64) as usize;
                out.extend_from_slice(&self.tokens[token]);
            }
            Text::Wide => self.wide(out),
            Text::Clauses => self.clauses(out),
        }
        out.push(b'\n');
    }

    /// A line of 60 to 80 characters or so, with spaces and punctuation as English has them.
    fn sentence(&mut self, script: usize, out: &mut Vec<u8>) {
        let plain = self.text == Text::Cyrillic;
        for index in 0..9 + self.random.below(6) {
            if index > 0 {
                let gap: &[u8] = match self.random.below(64) {
                    0..5 => b", ",
                    5..9 => b". ",
                    9 => b"; ",
                    10 if plain => b" - ",
                    10 => " \u{2014} ".as_bytes(),
                    11 => b"'",
                    12.. => b" ",
                };
                out.extend_from_slice(gap);
            }
            if !plain && self.random.one_in(256) {
                if self.random.one_in(4) {
                    out.extend_from_slice("na\u{ef}ve".as_bytes());
                } else {
                    let number = self.random.below(self.invented);
                    invent(number, self.invented, out);
                }
            } else {
                out.extend_from_slice(self.vocabularies[script].draw(&mut self.random));
            }
        }
    }

    /// A line of Han characters: words with an ideographic comma or full stop between them.
    fn han(&mut self, script: usize, out: &mut Vec<u8>) {
        for _ in 0..15 {
            out.extend_from_slice(self.vocabularies[script].draw(&mut self.random));
            let stop = if self.random.one_in(4) { "\u{3002}" } else { "\u{3001}" };
            out.extend_from_slice(stop.as_bytes());
        }
    }

    /// A paragraph of clauses, each of four to 24 characters and an ideographic comma or full stop.
    /// One of every three is a common one that is repeated.
    fn clauses(&mut self, out: &mut Vec<u8>) {
        for _ in 0..4 + self.random.below(9) {
            if self.random.one_in(3) {
                out.extend_from_slice(self.vocabularies[0].draw(&mut self.random));
            } else {
                for _ in 0..4 + self.random.below(21) {
                    out.extend_from_slice(self.vocabularies[1].draw(&mut self.random));
                }
            }
            let stop = if self.random.one_in(4) { "\u{3002}" } else { "\u{ff0c}" };
            out.extend_from_slice(stop.as_bytes());
        }
    }

    /// Every eighth word is the next of the invented, so that all occur. The others are drawn so
    /// that each power of two of ranks is as likely as the next: Zipf's law, in steps.
    fn wide(&mut self, out: &mut Vec<u8>) {
        let known = self.vocabularies[0].words.len() as u64;
        let octaves = u64::from((known + self.invented).ilog2());
        for _ in 0..8 {
            let octave = 1 << self.random.below(octaves);
            let rank = octave + self.random.below(octave);
            match self.vocabularies[0].words.get(rank as usize) {
                Some(word) => out.extend_from_slice(word),
                None => invent(rank - known, self.invented, out),
            }
            out.push(b' ');
        }
        invent(self.turn, self.invented, out);
        self.turn = (self.turn + 1) % self.invented;
    }
}

fn tokens(random: &mut Random) -> Vec<Vec<u8>> {
    let letter = |random: &mut Random| b'a' + random.below(26) as u8;
    (0..256)
        .map(|index| {
            let length = 64_u64 << (index % 11);
            (0..length).map(|_| letter(random)).collect()
        })
        .collect()
}

const BLOCK_BYTES: usize = 1 << 20;
const WIDE_WORDS: u64 = 20_000_000;
const WIDE_BYTES: u64 = 2 << 30;

/// In a gigabyte of prose about this many words occur a few times.
const PROSE_INVENTED: u64 = 65_536;

/// For a to z.
const CYRILLIC: [char; 26] = [
    'а', 'б', 'ц', 'д', 'е', 'ф', 'г', 'х', 'и', 'й', 'к', 'л', 'м', 'н', 'о', 'п', 'щ', 'р', 'с',
    'т', 'у', 'в', 'ш', 'ж', 'ы', 'з',
];
pub(crate) const GREEK: [char; 26] = [
    'α', 'β', 'ψ', 'δ', 'ε', 'φ', 'γ', 'η', 'ι', 'ξ', 'κ', 'λ', 'μ', 'ν', 'ο', 'π', 'ϟ', 'ρ', 'σ',
    'τ', 'υ', 'ϝ', 'ω', 'χ', 'θ', 'ζ',
];

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Text; 8] = [
        Text::Cjk,
        Text::Cyrillic,
        Text::Mix,
        Text::Newlines,
        Text::Prose,
        Text::Tokens,
        Text::Wide,
        Text::Clauses,
    ];

    #[test]
    fn texts_are_the_same_everywhere() {
        let crc = |text: Text| (text, text.write(1 << 20, &mut io::sink()).unwrap());
        assert_eq!(ALL.map(crc), ALL.map(|text| (text, text.crc_of_first_mib())));
    }

    #[test]
    fn texts_end_where_they_should_with_whole_characters() {
        for text in ALL {
            for bytes in [1_000, 1_001, 1_002] {
                let made = text.make(bytes).unwrap();
                assert_eq!(made.len() as u64, bytes);
                assert!(made.ends_with(b"\n") && String::from_utf8(made).is_ok(), "{text:?}");
            }
        }
    }
}
