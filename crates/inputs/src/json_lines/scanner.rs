//! The text of one field of one JSON object (RFC 8259), byte by byte.
//!
//! A state machine that can stop at any byte, because a line may be longer than a block, and longer
//! than memory. It builds no tree: nested values are checked and forgotten. Strings, which are most
//! of a record, are searched for their end with the best instructions of the CPU.

use crate::format::Field;
use crate::record::Problem;

/// # Invariants
///
/// * `depth` containers are open; bit `d - 1` of `objects` says whether the one at depth `d` is an
///   object.
/// * The containers at depths 1 to `on_path` are objects, whose keys led along the path.
pub(super) struct Scanner {
    names: Vec<Vec<u8>>,
    /// The text of the field, as far as it is read and not given.
    pub(super) text: Vec<u8>,
    /// Whether text of this record was given, and may be counted.
    pub(super) is_given: bool,
    state: State,
    depth: usize,
    objects: u128,
    on_path: usize,
    key: Key,
    found: Found,
    /// The first half of a pair of surrogates, from an escape.
    surrogate: Option<u16>,
}

/// What a line was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scanned {
    Bad(Problem),
    /// White space.
    Blank,
    /// Its text is in [`Scanner::text`]; empty if the field is missing or null.
    Document,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Behind a value.
    AfterValue,
    /// The record is bad: up to the line feed, nothing matters.
    Bad(Problem),
    /// Before the record.
    Blank,
    /// Between a key and its value.
    Colon,
    /// Behind a backslash.
    Escape(Role),
    /// Behind `[`.
    FirstItem,
    /// Behind `{`.
    FirstKey,
    /// Behind a backslash and `u`.
    Hex {
        role: Role,
        digits: u8,
        value: u16,
    },
    /// Behind a comma in an object.
    NextKey,
    Literal(&'static [u8]),
    Number(Number),
    /// Behind the record.
    Over,
    String(Role),
    /// Before a value.
    Value,
}

/// What a string is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// A value that is not the field.
    Ignored,
    Key,
    /// The value of the field.
    Text,
}

/// How much of a number was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Number {
    Exponent,
    ExponentDigits,
    ExponentSign,
    Fraction,
    FractionDigits,
    IntegerDigits,
    Minus,
    Zero,
}

/// The key that is being read, or was read last, if the container around it is on the path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Key {
    /// So many bytes of the name.
    Matches(usize),
    Other,
}

/// What the field was when it was last seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Found {
    /// A string, null, or nothing.
    Text,
    WrongType,
}

impl Scanner {
    pub(super) fn new(field: &Field) -> Self {
        Self {
            names: field.names().map(|name| name.as_bytes().to_vec()).collect(),
            text: Vec::new(),
            is_given: false,
            state: State::Blank,
            depth: 0,
            objects: 0,
            on_path: 0,
            key: Key::Other,
            found: Found::Text,
            surrogate: None,
        }
    }

    /// Begins a line.
    pub(super) fn begin(&mut self) {
        self.text.clear();
        self.is_given = false;
        self.state = State::Blank;
        (self.depth, self.objects, self.on_path) = (0, 0, 0);
        (self.key, self.found, self.surrogate) = (Key::Other, Found::Text, None);
    }

    /// The line is a bad record, whatever follows.
    pub(super) fn fail(&mut self, problem: Problem) {
        self.state = State::Bad(problem);
    }

    /// Reads of `block` until the line is over, or more text is held than [`PAUSE_BYTES`], or the
    /// block is. Returns how much was read, and what the line was, if it is over.
    pub(super) fn scan(&mut self, block: &[u8]) -> (usize, Option<Scanned>) {
        let mut index = 0;
        while let Some(&byte) = block.get(index) {
            match self.state {
                State::Bad(problem) => {
                    return match memchr::memchr(b'\n', &block[index..]) {
                        Some(end) => (index + end + 1, Some(Scanned::Bad(problem))),
                        None => (block.len(), None),
                    };
                }
                State::String(role) => {
                    index += self.string(role, &block[index..]);
                    if self.text.len() > PAUSE_BYTES {
                        return (index, None);
                    }
                }
                // Only a line that is no bad record ends here.
                State::Blank if byte == b'\n' => return (index + 1, Some(Scanned::Blank)),
                State::Over if byte == b'\n' => return (index + 1, Some(self.over())),
                State::Escape(role) => index += self.escape(role, byte),
                State::Hex { role, digits, value } => index += self.hex(role, digits, value, byte),
                State::Literal(rest) => index += self.literal(rest, byte),
                State::Number(number) => index += self.number(number, byte),
                State::AfterValue
                | State::Blank
                | State::Colon
                | State::FirstItem
                | State::FirstKey
                | State::NextKey
                | State::Over
                | State::Value => index += self.structure(byte),
            }
        }
        (index, None)
    }

    /// What the last line is, which no line feed ends.
    pub(super) fn end_of_text(&mut self) -> Scanned {
        match self.state {
            State::Bad(problem) => Scanned::Bad(problem),
            State::Blank => Scanned::Blank,
            State::Over => self.over(),
            State::AfterValue
            | State::Colon
            | State::Escape(_)
            | State::FirstItem
            | State::FirstKey
            | State::Hex { .. }
            | State::Literal(_)
            | State::NextKey
            | State::Number(_)
            | State::String(_)
            | State::Value => Scanned::Bad(Problem::Unfinished),
        }
    }

    fn over(&self) -> Scanned {
        match self.found {
            Found::Text => Scanned::Document,
            Found::WrongType => Scanned::Bad(Problem::WrongType),
        }
    }

    /// Nothing is taken: the next step skips the line.
    fn refuse(&mut self, problem: Problem) -> usize {
        self.fail(problem);
        0
    }

    /// A byte between values.
    fn structure(&mut self, byte: u8) -> usize {
        if matches!(byte, b' ' | b'\t' | b'\r') {
            return 1;
        }
        let is_object = self.depth > 0 && self.objects >> (self.depth - 1) & 1 == 1;
        match (self.state, byte) {
            (State::Blank, b'{') => self.open(true),
            (State::Blank, _) => return self.refuse(Problem::NoObject),
            (State::FirstKey, b'}') | (State::FirstItem, b']') => self.close(),
            (State::AfterValue, b'}') if is_object => self.close(),
            (State::AfterValue, b']') if !is_object => self.close(),
            (State::AfterValue, b',') if is_object => self.state = State::NextKey,
            (State::AfterValue, b',') => self.state = State::Value,
            (State::FirstKey | State::NextKey, b'"') => {
                let is_on_path = self.on_path == self.depth;
                self.key = if is_on_path { Key::Matches(0) } else { Key::Other };
                self.state = State::String(Role::Key);
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::FirstItem | State::Value, _) => return self.value(byte),
            _ => return self.refuse(Problem::Syntax),
        }
        1
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8) -> usize {
        // Of the last of equal keys.
        let is_step = self.is_key_of_path();
        let is_field = is_step && self.on_path == self.names.len();
        if is_step {
            if self.is_given {
                return self.refuse(Problem::TooLarge);
            }
            self.text.clear();
            self.found = Found::Text;
        }
        if is_field && !matches!(byte, b'"' | b'n') {
            self.found = Found::WrongType;
        }
        self.key = Key::Other;
        self.state = match byte {
            b'"' if is_field => State::String(Role::Text),
            b'"' => State::String(Role::Ignored),
            b'{' if self.depth == DEPTH_MAX => return self.refuse(Problem::TooDeep),
            b'[' if self.depth == DEPTH_MAX => return self.refuse(Problem::TooDeep),
            b'{' => {
                self.open(is_step && !is_field);
                return 1;
            }
            b'[' => {
                self.depth += 1;
                self.objects &= !(1 << (self.depth - 1));
                State::FirstItem
            }
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::IntegerDigits),
            _ => return self.refuse(Problem::Syntax),
        };
        1
    }

    /// Whether the key that was read last leads along the path.
    fn is_key_of_path(&self) -> bool {
        let name = self.on_path.checked_sub(1).and_then(|index| self.names.get(index));
        match (self.key, name) {
            (Key::Matches(length), Some(name)) => length == name.len(),
            (Key::Matches(_) | Key::Other, _) => false,
        }
    }

    fn open(&mut self, is_on_path: bool) {
        self.depth += 1;
        self.objects |= 1 << (self.depth - 1);
        if is_on_path {
            self.on_path = self.depth;
        }
        self.state = State::FirstKey;
    }

    fn close(&mut self) {
        if self.on_path == self.depth {
            self.on_path -= 1;
        }
        self.depth -= 1;
        self.end_value();
    }

    fn end_value(&mut self) {
        self.state = if self.depth == 0 { State::Over } else { State::AfterValue };
    }

    /// The inside of a string, up to its end, or the end of `rest`.
    fn string(&mut self, role: Role, rest: &[u8]) -> usize {
        let mut index = 0;
        loop {
            let span = &rest[index..];
            let span = &span[..plain_bytes(span)];
            if !span.is_empty() {
                self.flush_surrogate(role);
                self.push(role, span);
                index += span.len();
            }
            match rest.get(index..).unwrap_or_default() {
                [] => return index,
                [b'"', ..] => {
                    self.flush_surrogate(role);
                    match role {
                        Role::Ignored | Role::Text => self.end_value(),
                        Role::Key => self.state = State::Colon,
                    }
                    return index + 1;
                }
                [b'\\', escape, ..] => {
                    index += 1 + self.escape(role, *escape);
                    if self.state != State::String(role) || self.text.len() > PAUSE_BYTES {
                        return index;
                    }
                }
                [b'\\'] => {
                    self.state = State::Escape(role);
                    return index + 1;
                }
                // A control character, perhaps the line feed that ends the line.
                [_, ..] => return index + self.refuse(Problem::Syntax),
            }
        }
    }

    /// `bytes` are a part of a string.
    fn push(&mut self, role: Role, bytes: &[u8]) {
        match role {
            Role::Ignored => {}
            Role::Text => self.text.extend_from_slice(bytes),
            Role::Key => {
                let name = self.on_path.checked_sub(1).and_then(|index| self.names.get(index));
                self.key = match (self.key, name) {
                    (Key::Matches(length), Some(name)) if name[length..].starts_with(bytes) => {
                        Key::Matches(length + bytes.len())
                    }
                    (Key::Matches(_) | Key::Other, _) => Key::Other,
                };
            }
        }
    }

    fn push_char(&mut self, role: Role, character: char) {
        self.push(role, character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// The byte behind a backslash.
    fn escape(&mut self, role: Role, byte: u8) -> usize {
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.state = State::Hex { role, digits: 0, value: 0 };
                return 1;
            }
            _ => return self.refuse(Problem::Syntax),
        };
        self.flush_surrogate(role);
        self.push_char(role, character);
        self.state = State::String(role);
        1
    }

    /// One of the four digits behind `\u`.
    fn hex(&mut self, role: Role, digits: u8, value: u16, byte: u8) -> usize {
        const DIGITS: u8 = 4;
        let Some(digit) = char::from(byte).to_digit(16) else {
            return self.refuse(Problem::Syntax);
        };
        let value = value << 4 | digit as u16;
        self.state = match digits + 1 {
            DIGITS => {
                self.push_unit(role, value);
                State::String(role)
            }
            digits => State::Hex { role, digits, value },
        };
        1
    }

    /// A UTF-16 code unit of a string.
    fn push_unit(&mut self, role: Role, unit: u16) {
        if let Some(high) = self.surrogate
            && let Some(Ok(character)) = char::decode_utf16([high, unit]).next()
        {
            self.surrogate = None;
            self.push_char(role, character);
            return;
        }
        self.flush_surrogate(role);
        match char::from_u32(unit.into()) {
            Some(character) => self.push_char(role, character),
            None if unit < LOW_SURROGATES => self.surrogate = Some(unit),
            None => self.push(role, &[NO_CHARACTER]),
        }
    }

    /// What follows is not the other half of the pair.
    fn flush_surrogate(&mut self, role: Role) {
        if self.surrogate.take().is_some() {
            self.push(role, &[NO_CHARACTER]);
        }
    }

    fn literal(&mut self, rest: &'static [u8], byte: u8) -> usize {
        match rest.split_first() {
            Some((&expected, rest)) if expected == byte => {
                match rest {
                    [] => self.end_value(),
                    rest => self.state = State::Literal(rest),
                }
                1
            }
            Some(_) | None => self.refuse(Problem::Syntax),
        }
    }

    /// A byte of a number, or behind one.
    fn number(&mut self, number: Number, byte: u8) -> usize {
        use Number::{
            Exponent, ExponentDigits, ExponentSign, Fraction, FractionDigits, IntegerDigits, Minus,
            Zero,
        };
        let next = match (number, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (IntegerDigits, b'0'..=b'9') => IntegerDigits,
            (Zero | IntegerDigits, b'.') => Fraction,
            (Fraction | FractionDigits, b'0'..=b'9') => FractionDigits,
            (Zero | IntegerDigits | FractionDigits, b'e' | b'E') => Exponent,
            (Exponent, b'+' | b'-') => ExponentSign,
            (Exponent | ExponentSign | ExponentDigits, b'0'..=b'9') => ExponentDigits,
            (Zero | IntegerDigits | FractionDigits | ExponentDigits, _) => {
                self.end_value();
                return 0;
            }
            (Minus | Fraction | Exponent | ExponentSign, _) => {
                return self.refuse(Problem::Syntax);
            }
        };
        self.state = State::Number(next);
        1
    }
}

/// How many bytes of a string come before a quote, a backslash or a control character.
///
/// Eight at once, in one register ("Bit Twiddling Hacks", Anderson: a zero in a word, and a byte
/// less than n): each test is exact up to the first byte that it finds, and the first is what is
/// wanted. `memchr` is as fast on long spans, but not on the lines of a text, of which each ends
/// with an escape; and it does not find control characters.
fn plain_bytes(rest: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let less = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word & HIGHS;
    let equal = |word: u64, byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    let (words, tail) = rest.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = less(word, b' ') | equal(word, b'"') | equal(word, b'\\');
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |&&byte: &&u8| byte != b'"' && byte != b'\\' && byte >= b' ';
    rest.len() - tail.len() + tail.iter().take_while(is_plain).count()
}

/// As of `serde_json`.
const DEPTH_MAX: usize = 128;

/// When more text of a record is held, it is given. Records of web pages have some kilobytes.
pub(super) const PAUSE_BYTES: usize = 1 << 20;

/// The first of the second halves of pairs.
const LOW_SURROGATES: u16 = 0xDC00;

/// In no UTF-8: it separates words, and counts as invalid.
const NO_CHARACTER: u8 = 0xFF;
