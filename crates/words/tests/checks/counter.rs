//! Any lines, in any blocks, are counted as an ordered map counts them.

use std::collections::BTreeMap;

use words::{Counter, Level, write_line};

use crate::line::parse_line;

/// The bytes in front of the lines: two sizes of blocks, and a cut of two bytes.
const HEAD: usize = 4;

/// Reads the lines of `data` as two intermediates, and every line of the output again.
pub fn check(data: &[u8]) {
    let Some((&[one, other, ref cut @ ..], lines)) = data.split_first_chunk::<HEAD>() else {
        return;
    };
    let cut = usize::from(u16::from_le_bytes(*cut)) % (lines.len() + 1);
    let blocks = [1 + usize::from(one), 1 + usize::from(other)];
    let objects = <[_; 2]>::from(lines.split_at(cut));
    for level in Level::all() {
        check_level(level, objects, blocks);
    }
    for line in lines.split(|&byte| byte == b'\n') {
        if let Some((word, count)) = parse_line(line) {
            let mut written = Vec::new();
            write_line(&mut written, word, count);
            assert_eq!(written.strip_suffix(b"\n"), Some(line));
        }
    }
}

fn check_level(level: Level, objects: [&[u8]; 2], blocks: [usize; 2]) {
    let mut counter = Counter::at_level(level);
    let mut expected = BTreeMap::<&[u8], u64>::new();
    for object in objects {
        let mut rest = object;
        for size in blocks.into_iter().cycle() {
            let block;
            (block, rest) = rest.split_at(rest.len().min(size));
            counter.feed(block);
            if rest.is_empty() {
                break;
            }
        }
        let mut lines: Vec<_> = object.split(|&byte| byte == b'\n').collect();
        let torn = lines.pop().unwrap_or_default();
        assert_eq!(counter.end_object(), torn.is_empty());
        for line in lines {
            *expected.entry(line).or_default() += 1;
        }
    }

    assert_eq!(counter.words(), expected.values().sum::<u64>());
    assert_eq!(counter.table().len(), expected.len());
    let sorted = counter.into_table().into_sorted(|| ());
    assert!(sorted.iter().eq(expected));
    for (word, count) in sorted.iter() {
        let mut line = Vec::new();
        write_line(&mut line, word, count);
        assert_eq!(line.pop(), Some(b'\n'));
        assert_eq!(parse_line(&line), Some((word, count)));
    }
}
