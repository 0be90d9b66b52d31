//! The checks of the fuzz targets `verified` and `names`. Compiled for them and for tests only.

use std::path::{Component, Path};

use crate::digest::Digest;
use crate::error::{Loss, StoreError};
use crate::layout::{self, Folder, Name, Staging};
use crate::store::Object;
use crate::verified::VerifiedReader;

/// The bytes in front of the content: the size of blocks, the most that one read gives, the kind of
/// damage, the damaged byte (two bytes), and its new value.
const HEAD: usize = 6;

/// Reads the content of `data`, perhaps with one damaged byte: it is accepted exactly when it is
/// what was written.
///
/// # Panics
///
/// When it is not.
pub fn verified(data: &[u8]) {
    let Some((&[block, most, damage, low, high, byte], written)) = data.split_first_chunk::<HEAD>()
    else {
        return;
    };
    let at = usize::from(u16::from_le_bytes([low, high]));
    let gives = damaged(written, damage, at, byte);
    let expected = Digest::of(written);
    let says = match damage & 0x80 {
        0 => gives.len() as u64,
        // It grows or shrinks after it was opened.
        0x80.. => expected.bytes,
        1..0x80 => unreachable!("a masked bit"),
    };
    let is_right = gives == written;
    let object = Stream { name: layout::output(0), says, most: 1 + usize::from(most), gives };
    let mut block = vec![0; 1 + usize::from(block)];
    match read_through(object, expected, &mut block) {
        Ok(read) => assert!(is_right && read == written, "accepted what was not written"),
        Err(StoreError::Lost { loss: Loss::Corrupt { .. } | Loss::WrongLength { .. }, .. }) => {
            assert!(!is_right, "refused what was written");
        }
        Err(error) => panic!("{error}"),
    }
}

/// `written`, or with one byte more, less, or different, which CRC-32 always detects.
fn damaged(written: &[u8], damage: u8, at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = written.to_vec();
    let last = bytes.len();
    match damage & 3 {
        1 => bytes.insert(at % (last + 1), byte),
        2 if last > 0 => drop(bytes.remove(at % last)),
        3 if last > 0 => bytes[at % last] ^= byte,
        0..=3 => {}
        4.. => unreachable!("two bits"),
    }
    bytes
}

fn read_through(object: Stream, expected: Digest, block: &mut [u8]) -> Result<Vec<u8>, StoreError> {
    let block_bytes = block.len();
    let mut reader = VerifiedReader::new(Box::new(object), expected, block)?;
    let mut read = Vec::new();
    while let Some(bytes) = reader.next_block()? {
        assert!((1..=block_bytes).contains(&bytes.len()), "a block of {} bytes", bytes.len());
        read.extend_from_slice(bytes);
    }
    Ok(read)
}

/// Gives at most `most` bytes a read, which a store should not do, but a pipe does.
struct Stream {
    name: Name,
    says: u64,
    most: usize,
    gives: Vec<u8>,
}

impl Object for Stream {
    fn name(&self) -> &Name {
        &self.name
    }

    fn bytes(&self) -> u64 {
        self.says
    }

    fn read(&mut self, block: &mut [u8]) -> Result<usize, StoreError> {
        let length = block.len().min(self.most).min(self.gives.len());
        block[..length].copy_from_slice(&self.gives[..length]);
        self.gives.drain(..length);
        Ok(length)
    }
}

/// Parses `data` as a name: an accepted name stays below the root, and a name of ours is formatted
/// as it was parsed.
///
/// # Panics
///
/// When it is not.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (name, staging) = (Name::parse(text), Staging::parse(text));
    if let Ok(name) = &name {
        assert_eq!(name.as_str(), text);
        let visible = |part: Component<'_>| match part {
            Component::Normal(part) => !layout::is_hidden(part),
            Component::CurDir
            | Component::ParentDir
            | Component::Prefix(_)
            | Component::RootDir => false,
        };
        assert!(Path::new(text).components().all(visible), "{text:?} leads elsewhere");
        assert!(text.ends_with(name.file()) && !name.file().contains('/'));
    }
    if let Ok(staging) = &staging {
        assert!(name.is_err(), "a peer can name the staging folder {text:?}");
        let parts: Vec<_> = text.rsplit('/').collect();
        assert_eq!(layout::staging_folder(parts[1], parts[0]), *staging, "{text:?}");
        assert_eq!(
            Path::new(text).parent().and_then(Path::parent),
            Some(layout::staging_root().as_ref())
        );
    }
    if let Some((map, bucket)) = layout::parse_intermediate(text) {
        assert_eq!(layout::intermediate(map, bucket).file(), text);
        assert!(layout::is_ours(Folder::Intermediate, text));
        assert!(name.is_ok());
    }
    if let Some(bucket) = layout::parse_output(text) {
        assert_eq!(layout::output(bucket).file(), text);
        assert!(layout::is_ours(Folder::Output, text));
        assert!(name.is_ok());
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_are_read_only_if_they_are_what_was_written() {
    replay::replay("verified", verified);
}

#[test]
fn seeds_are_names_that_stay_below_the_root_or_none() {
    replay::replay("names", names);
}
