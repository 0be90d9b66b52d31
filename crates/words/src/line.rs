//! The line of an output: a word, a space, its count.
//!
//! The count is behind the last space, so a word may have any byte but a newline.

/// Append `word count` and a newline to `out`.
#[inline]
pub fn write_line(out: &mut Vec<u8>, word: &[u8], count: u64) {
    out.extend_from_slice(word);
    match count {
        // Most words of any text are rare.
        0..10 => out.extend_from_slice(&[b' ', b'0' + count as u8, b'\n']),
        10.. => write_large(out, count),
    }
}

fn write_large(out: &mut Vec<u8>, count: u64) {
    let mut digits = [0; DIGITS_MAX];
    let mut first = DIGITS_MAX;
    let mut rest = count;
    loop {
        first -= 1;
        // A remainder of ten fits in a byte.
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push(b' ');
    out.extend_from_slice(&digits[first..]);
    out.push(b'\n');
}

/// Digits of `u64::MAX`.
const DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_word_space_count() {
        let mut out = Vec::new();
        write_line(&mut out, b"the", 12_345);
        write_line(&mut out, b"x", 0);
        write_line(&mut out, b"y", u64::MAX);
        assert_eq!(out, b"the 12345\nx 0\ny 18446744073709551615\n");
    }
}
