//! Any bytes are decompressed, or refused as damaged: in blocks of any size to the same text, and
//! cut anywhere to the beginning of that text.

use inputs::{Compression, DamageKind, Format};

use super::{Found, TEXT_BYTES_MAX, read, whole};

/// The bytes in front of the file: the compression, the size of blocks, and a cut of two bytes.
const HEAD: usize = 4;

/// Decompresses `data` by its first bytes, or by the compression that its first byte says.
///
/// # Panics
///
/// When that does not end, or gives something else in blocks of another size.
pub fn check(data: &[u8]) {
    let Some((&[choice, step, ref cut @ ..], file)) = data.split_first_chunk::<HEAD>() else {
        return;
    };
    let mut compression = Compression::of(file);
    if compression == Compression::None {
        compression = Compression::ALL[usize::from(choice) % Compression::ALL.len()];
    }
    let format = Format { compression, ..Format::default() };
    let found = read(file, &format, whole(file), usize::MAX);
    let text = text(&found);
    if text.len() >= TEXT_BYTES_MAX {
        return;
    }
    let again = read(file, &format, whole(file), 1 + usize::from(step));
    let kind = |found: &Found| found.damage.map(|damage| damage.kind);
    assert_eq!(kind(&again), kind(&found));
    let is_whole = kind(&found).is_none();
    // How much is given before a wrong checksum depends on the blocks.
    match is_whole {
        true => assert_eq!(self::text(&again), text),
        false => assert!(are_alike(self::text(&again), text)),
    }

    let cut = usize::from(u16::from_le_bytes(*cut)) % (file.len() + 1);
    let cut = read(&file[..cut], &format, 0..cut as u64, usize::MAX);
    assert!(are_alike(self::text(&cut), text));
    assert!(!is_whole || self::text(&cut).len() <= text.len());
    // A cut makes no other damage than an early end.
    let is_new = kind(&cut).is_some_and(|kind| kind != DamageKind::Truncated);
    assert!(!is_new || !is_whole, "{:?}", cut.damage);
}

fn text(found: &Found) -> &[u8] {
    match &found.documents[..] {
        [super::Document::Text(text)] => text,
        _ => &found.rest,
    }
}

/// Whether one text is the beginning of the other.
fn are_alike(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
