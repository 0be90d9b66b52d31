//! Any bytes are read as by looking at all of them at once.

use inputs::{DamageKind, Format, Problem, Records};

use super::{BYTE_ORDER_MARK, Document, read, whole};

/// Reads `data` behind its first byte, which is the size of blocks.
///
/// # Panics
///
/// When a record is read differently than by looking at all of it.
pub fn check(data: &[u8]) {
    let Some((&step, file)) = data.split_first() else { return };
    let format = Format { records: Records::Wet, ..Format::default() };
    let found = read(file, &format, whole(file), 1 + usize::from(step));
    assert_eq!(read(file, &format, whole(file), usize::MAX), found);
    let mut expected = Vec::new();
    let text = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let damage = twin(text, &mut expected).err().map(DamageKind::Record);
    assert_eq!(found.damage.map(|damage| damage.kind), damage);
    assert_eq!(found.documents, expected);
}

fn twin(mut rest: &[u8], documents: &mut Vec<Document>) -> Result<(), Problem> {
    loop {
        let begin = rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let Some(begin) = begin else { return Ok(()) };
        rest = &rest[begin..];
        let end = |end: &[u8]| {
            let at = rest.windows(end.len()).position(|window| window == end);
            at.map(|at| at + end.len())
        };
        let end = [end(b"\n\n"), end(b"\n\r\n")].into_iter().flatten().min();
        let (header, block) = rest.split_at(end.ok_or(Problem::Unfinished)?);
        let (length, is_text) = parse(header).ok_or(Problem::Syntax)?;
        let block = match usize::try_from(length) {
            Ok(length) if length <= block.len() => &block[..length],
            Ok(_) | Err(_) => return Err(Problem::Unfinished),
        };
        if is_text {
            documents.push(Document::Text(block.to_vec()));
        }
        rest = &rest[header.len() + block.len()..];
    }
}

/// The length of the block, and whether it is text.
fn parse(header: &[u8]) -> Option<(u64, bool)> {
    // A byte is a character here: only ASCII has a meaning.
    let header: String = header.iter().map(|&byte| char::from(byte)).collect();
    let is_space = |letter: char| letter.is_ascii_whitespace();
    let lines: Vec<_> = header.split('\n').map(|line| line.trim_end_matches(is_space)).collect();
    if !lines[0].starts_with("WARC/1.") && !lines[0].starts_with("WARC/0.") {
        return None;
    }
    let (mut length, mut kind) = (None, String::new());
    for (index, line) in lines.iter().enumerate().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.to_ascii_lowercase();
        if name.starts_with([' ', '\t']) || !["content-length", "warc-type"].contains(&&name[..]) {
            continue;
        }
        let mut behind = lines[index + 1..].iter();
        if behind.next().is_some_and(|next| next.starts_with([' ', '\t'])) {
            return None;
        }
        let value = value.trim_matches(is_space);
        match name == "content-length" {
            true if value.starts_with('+') => return None,
            true => length = Some(value.parse().ok()?),
            false => kind = value.to_ascii_lowercase(),
        }
    }
    Some((length?, kind == "conversion"))
}
