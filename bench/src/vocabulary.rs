//! Words to make texts of: those of the sample, the commonest first, and as many invented ones as
//! needed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::alias::Alias;
use crate::random::Random;
use crate::top;

/// Words, and the distribution from which they are drawn.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(crate) words: Vec<Vec<u8>>,
    law: Alias,
}

impl Vocabulary {
    /// The English words of the sample.
    pub(crate) fn english() -> io::Result<Self> {
        let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for path in sample()? {
            let text = fs::read(path)?;
            let runs = text.split(|byte| !byte.is_ascii_alphabetic());
            for word in runs.filter(|word| !word.is_empty()) {
                *counts.entry(word.to_vec()).or_default() += 1;
            }
        }
        let mut words: Vec<_> = counts.into_iter().collect();
        words.sort_by(|(left, more), (right, most)| most.cmp(more).then(left.cmp(right)));
        let words: Vec<_> = words.into_iter().map(|(word, _)| word).collect();
        let law = zipf(words.len());
        Ok(Self { words, law })
    }

    /// The same words in another alphabet: letter by letter, so that their lengths stay.
    pub(crate) fn spelled(&self, letters: &[char; 26]) -> Self {
        let spell = |word: &Vec<u8>| {
            let letter = |byte: u8| {
                let letter = letters[usize::from(byte.to_ascii_lowercase() - b'a')];
                if byte.is_ascii_uppercase() {
                    letter.to_uppercase().next().unwrap_or(letter)
                } else {
                    letter
                }
            };
            word.iter().copied().map(letter).collect::<String>().into_bytes()
        };
        let words: Vec<_> = self.words.iter().map(spell).collect();
        let law = zipf(words.len());
        Self { words, law }
    }

    /// As many words of ideographs: the commonest of one or two, the others of two to four.
    pub(crate) fn ideographs(&self) -> Self {
        let mut random = Random::new(3);
        let words: Vec<Vec<u8>> = (0..self.words.len())
            .map(|rank| {
                let length = if rank < 100 { 1 + random.below(2) } else { 2 + random.below(3) };
                // The first four thousand of the block hold most of what is in use.
                let one = |_| char::from_u32(0x4E00 + random.below(4_000) as u32);
                (0..length).filter_map(one).collect::<String>().into_bytes()
            })
            .collect();
        let law = zipf(words.len());
        Self { words, law }
    }

    /// The first four thousand ideographs, the common ones anywhere among them.
    pub(crate) fn characters() -> Self {
        // A prime spreads them.
        let one = |rank: u32| char::from_u32(0x4E00 + rank * 1_009 % 4_000);
        let words: Vec<_> =
            (0..4_000).filter_map(one).map(|one| one.to_string().into_bytes()).collect();
        let law = zipf(words.len());
        Self { words, law }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> &[u8] {
        &self.words[self.law.draw(random)]
    }
}

/// The texts of the sample, in the order of their names.
fn sample() -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(top().join("inputs"))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    Ok(paths)
}

/// The Zipf-Mandelbrot law: rank r comes as often as 1 / (r + 2.7)^1.125. Only additions, divisions
/// and square roots: these are the same on every machine, powers are not.
fn zipf(ranks: usize) -> Alias {
    let weights: Vec<u64> = (0..ranks)
        .map(|rank| {
            let place = rank as f64 + 1.0 + 2.7;
            let weight = 1.0 / (place * place.sqrt().sqrt().sqrt());
            (weight * (1_u64 << 40) as f64) as u64
        })
        .collect();
    Alias::new(&weights)
}

/// Appends word `number` of `count` invented ones: syllables of a consonant and a
/// vowel, at least two, at the end a consonant. All `count` of them differ.
pub(crate) fn invent(number: u64, count: u64, word: &mut Vec<u8>) {
    // Neighbours must not look alike: a prime that divides no count in use spreads them.
    let mut left = number * 1_000_003 % count + SYLLABLES;
    while left > 0 {
        let syllable = left % SYLLABLES;
        word.push(CONSONANTS[(syllable / 5) as usize]);
        word.push(VOWELS[(syllable % 5) as usize]);
        left /= SYLLABLES;
    }
    word.push(b'x');
}

const CONSONANTS: &[u8; 20] = b"tnshrdlcmwfgypbvkjqz";
const VOWELS: &[u8; 5] = b"eaoiu";
const SYLLABLES: u64 = 100;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn invented_words_are_all_different() {
        let count = 50_000;
        let words: BTreeSet<_> = (0..count)
            .map(|number| {
                let mut word = Vec::new();
                invent(number, count, &mut word);
                word
            })
            .collect();
        assert_eq!(words.len() as u64, count);
    }

    #[test]
    fn words_of_another_alphabet_keep_their_lengths() {
        let english = Vocabulary::english().unwrap();
        let greek = english.spelled(&crate::texts::GREEK);
        assert_eq!(english.words[0], b"the");
        assert!(english.words.iter().zip(&greek.words).all(|(own, other)| {
            String::from_utf8(other.clone()).unwrap().chars().count() == own.len()
        }));
    }
}
