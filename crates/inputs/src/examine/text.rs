//! Whether bytes look like text.

use crate::examine::HEAD_BYTES;
use crate::format::Encoding;

/// What the first bytes of a file look like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Looks {
    /// A kind that is known; how names of such files end.
    Binary(&'static str),
    /// More than a tenth is not UTF-8.
    Invalid {
        /// How many of a hundred.
        percent: u64,
    },
    /// Not text, and nothing more is known.
    Nul,
    Text,
    /// UTF-16 or UTF-32 without a byte order mark.
    Unmarked(Encoding),
}

/// What `head` looks like, the beginning of a file or of what it holds compressed; in UTF-8 it is
/// `text`, with an invalid byte for what is no character.
///
/// Bytes decide before magic numbers do: `BM`, `MZ` or `II*` may also begin a book.
pub(super) fn look(head: &[u8], text: &[u8]) -> Looks {
    // These are text at first sight, and are none.
    for (magic, extension) in [(&b"%PDF-"[..], "pdf"), (b"PAR1", "parquet"), (b"PARE", "parquet")] {
        if head.starts_with(magic) {
            return Looks::Binary(extension);
        }
    }
    let has_nul = memchr::memchr(0, text).is_some();
    let invalid = if has_nul { 0 } else { invalid_bytes(text) };
    if !has_nul && invalid * TENTH <= text.len() {
        return Looks::Text;
    }
    if let Some(kind) = infer::get(head) {
        return Looks::Binary(kind.extension());
    }
    match unmarked(head) {
        Some(encoding) => Looks::Unmarked(encoding),
        None if has_nul => Looks::Nul,
        None => Looks::Invalid { percent: (invalid * 100 / text.len()) as u64 },
    }
}

/// One in so many may be invalid.
const TENTH: usize = 10;

/// How many bytes are part of no UTF-8 character. The last of them may be one that the end of the
/// head cuts off, and are not counted then.
fn invalid_bytes(head: &[u8]) -> usize {
    if std::str::from_utf8(head).is_ok() {
        return 0;
    }
    let (mut invalid, mut last) = (0, 0);
    for chunk in head.utf8_chunks() {
        last = chunk.invalid().len();
        invalid += last;
    }
    let is_cut = head.len() == HEAD_BYTES
        && head.utf8_chunks().last().is_some_and(|chunk| {
            !chunk.invalid().is_empty()
                && std::str::from_utf8(chunk.invalid())
                    .is_err_and(|error| error.error_len().is_none())
        });
    if is_cut { invalid - last } else { invalid }
}

/// UTF-16 or UTF-32, by where its bytes of value zero are: the high bytes of any letter below
/// U+0100, and of spaces and line feeds at least; the low byte is zero almost nowhere.
fn unmarked(head: &[u8]) -> Option<Encoding> {
    let zeros = |offset: usize, unit: usize| {
        let units = head.len() / unit;
        let zeros = head.iter().skip(offset).step_by(unit).filter(|&&byte| byte == 0).count();
        if zeros >= ZEROS_MIN { zeros.min(units) * 100 / units } else { 0 }
    };
    // The highest byte is zero in every character of UTF-32, the next one in most.
    let is_utf_32 =
        |low, next, high| zeros(low, 4) < 2 && zeros(next, 4) > 90 && zeros(high, 4) == 100;
    let is_utf_16 = |low, high| zeros(low, 2) < 2 && zeros(high, 2) >= 5;
    if is_utf_32(0, 2, 3) {
        Some(Encoding::UTF_32LE)
    } else if is_utf_32(3, 1, 0) {
        Some(Encoding::UTF_32BE)
    } else if is_utf_16(0, 1) {
        Some(Encoding::UTF_16LE)
    } else if is_utf_16(1, 0) {
        Some(Encoding::UTF_16BE)
    } else {
        None
    }
}

/// Of fewer zeros, nothing can be said.
const ZEROS_MIN: usize = 3;

/// What the lines of `text` are that are whole, if they are to be JSON objects with the key `name`.
pub(super) fn lines(text: &[u8], name: &str) -> Lines {
    let is_whole = text.len() < HEAD_BYTES;
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let lines = lines.filter(|line| is_whole || line.ends_with(b"\n")).map(<[u8]>::trim_ascii);
    let mut found = Lines::None;
    for line in lines.filter(|line| !line.is_empty()) {
        if !line.starts_with(b"{") {
            if found == Lines::None {
                found = Lines::NoObjects;
            }
            continue;
        }
        let keys = all_keys(line);
        // An escape may stand for any character.
        if keys.iter().any(|key| key == name || key.contains('\\')) {
            return Lines::HaveKey;
        }
        if !matches!(found, Lines::LackKey(_)) {
            found = Lines::LackKey(keys.into_iter().take(KEYS_MAX).collect());
        }
    }
    found
}

/// What lines are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Lines {
    /// An object has the key.
    HaveKey,
    /// There are objects, of which none has it. The first one has these.
    LackKey(Vec<String>),
    /// No line is an object.
    NoObjects,
    /// There are no lines.
    None,
}

/// The keys of the JSON object that `head` begins with, as far as it is there, and as many as a
/// message names.
pub(super) fn keys(head: &[u8]) -> Vec<String> {
    all_keys(head).into_iter().take(KEYS_MAX).collect()
}

fn all_keys(head: &[u8]) -> Vec<String> {
    let (mut keys, mut depth, mut is_key) = (Vec::new(), 0_usize, true);
    let mut rest = head;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'"' => {
                let Some(end) = string_end(rest) else { break };
                if depth == 1 && is_key {
                    keys.push(String::from_utf8_lossy(&rest[..end]).into_owned());
                }
                is_key = false;
                rest = &rest[end + 1..];
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => break,
            b'}' | b']' => depth -= 1,
            b',' => is_key = true,
            _ => {}
        }
    }
    keys
}

/// Where the string ends that `rest` begins inside of.
fn string_end(rest: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    rest.iter().position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

/// As many as a message names.
const KEYS_MAX: usize = 10;
