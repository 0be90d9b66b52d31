//! The line of an output, taken apart as plainly as can be.

/// Word and count of a line without its newline; `None` for what `write_line` never writes.
pub fn parse_line(line: &[u8]) -> Option<(&[u8], u64)> {
    let space = line.iter().rposition(|&byte| byte == b' ')?;
    let digits = &line[space + 1..];
    if digits.is_empty() || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    let mut count = 0_u64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        count = count.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    Some((&line[..space], count))
}
