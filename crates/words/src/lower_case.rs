//! The lower case of a chunk whose masks are known.

use std::sync::LazyLock;

use crate::char_set::CharSet;
use crate::masks::{CHUNK, Masks, find_leads};
use crate::simd::Simd;
use crate::utf8::scalar_value;

/// The words of a chunk in lower case, with bytes behind it for copies that read too far. `None`
/// when a character of them changes its length: then no bit of the masks stays where it is.
#[inline(always)]
pub(crate) fn lower_case<S: Simd>(simd: S, text: &[u8], masks: &Masks) -> Option<[u8; CHUNK + 16]> {
    let mut lower = [0; CHUNK + 16];
    let len = text.len().min(CHUNK);
    lower[..len].copy_from_slice(&text[..len]);
    if masks.non_ascii != 0 {
        let chunk = lower.first_chunk().expect("it is a chunk and more");
        let [two, three, four] = [masks.two, masks.three, masks.four].map(|lead| lead & masks.word);
        let mut upper = find_leads(simd, CharSet::upper(), chunk, two, three, four);
        while upper != 0 {
            let at = upper.trailing_zeros() as usize;
            let character = char::from_u32(scalar_value(&lower[at..]));
            let character = character.expect("masked characters are well-formed");
            lower_of_same_len(character)?.encode_utf8(&mut lower[at..]);
            upper &= upper - 1;
        }
    }
    lower.make_ascii_lowercase();
    Some(lower)
}

/// The lower case of `character` when it is one character and takes as many bytes.
#[inline]
fn lower_of_same_len(character: char) -> Option<char> {
    match LOWER.get(character as usize) {
        Some(lower) => *lower,
        None => find_lower_of_same_len(character),
    }
}

fn find_lower_of_same_len(character: char) -> Option<char> {
    let mut lower = character.to_lowercase();
    let first = lower.next().filter(|first| first.len_utf8() == character.len_utf8());
    if lower.next().is_some() { None } else { first }
}

/// For the characters below U+0800: those of one and of two bytes.
static LOWER: LazyLock<[Option<char>; 0x800]> = LazyLock::new(|| {
    let mut table = [None; 0x800];
    for (character, lower) in ('\0'..).zip(&mut table) {
        *lower = find_lower_of_same_len(character);
    }
    table
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_of_every_character_is_what_std_says() {
        for character in '\0'..=char::MAX {
            let lower: Vec<_> = character.to_lowercase().collect();
            let expected = match lower[..] {
                [lower] if lower.len_utf8() == character.len_utf8() => Some(lower),
                _ => None,
            };
            assert_eq!(lower_of_same_len(character), expected, "{character:?}");
        }
    }
}
