//! Any text, cut anywhere, in any blocks, has the words that the oracle finds.

use crate::naive::{ALL_RULES, check_splits};

/// The bytes in front of the text: the rules, the number of buckets, two sizes of blocks, and three
/// cuts of two bytes each.
const HEAD: usize = 10;

/// Reads the text of `data` as a file in up to four splits.
pub fn check(data: &[u8]) {
    let Some((&[rules, buckets, one, other, ref cuts @ ..], text)) =
        data.split_first_chunk::<HEAD>()
    else {
        return;
    };
    let (cuts, _) = cuts.as_chunks::<2>();
    let cut = |&bytes| usize::from(u16::from_le_bytes(bytes)) % (text.len() + 1);
    let cuts = cuts.iter().map(cut).collect();
    let blocks = [1 + usize::from(one), 1 + usize::from(other)];
    let rules = ALL_RULES[usize::from(rules) % ALL_RULES.len()];
    check_splits(text, cuts, &blocks, rules, 1 + u32::from(buckets) % 64);
}
