//! The shared secret between a driver and its workers.

use std::fmt;

use subtle::ConstantTimeEq;

/// 256 random bits that a caller must send, as `authorization: Bearer <64 hexadecimal digits>`.
///
/// `Debug` hides the value: a token must never reach a log.
#[derive(Clone, Eq)]
pub struct Token(String);

/// A text is not usable as a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The text is empty, too short to be safe, or not allowed in a header.
    #[error(
        "the token has {characters} usable characters; it needs 32 to 512, printable and without spaces"
    )]
    Malformed {
        /// Printable ASCII characters found.
        characters: usize,
    },
    /// The operating system has no random numbers.
    #[error("no random numbers from the operating system")]
    NoRandomness(#[source] getrandom::Error),
}

impl Token {
    /// A new token from the operating system's randomness.
    pub fn random() -> Result<Self, TokenError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(TokenError::NoRandomness)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Reads an existing token. White space around it is dropped, as files end in line feeds.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let characters = text.bytes().filter(u8::is_ascii_graphic).count();
        if characters != text.len() || !(32..=512).contains(&characters) {
            return Err(TokenError::Malformed { characters });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself, to hand to a child process. Do not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether `header` carries this token, in constant time: the time does not depend on how much
    /// of it is right.
    pub(crate) fn admits(&self, header: &[u8]) -> bool {
        self.header().as_bytes().ct_eq(header).into()
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_differ_and_parse_again() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());

        assert_ne!(one, other);
        assert_eq!(Token::parse(&format!(" {}\n", one.expose())).unwrap(), one);
    }

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = Token::random().unwrap();
        let header = token.header();

        assert!(token.admits(header.as_bytes()));
        assert!(!token.admits(&header.as_bytes()[..header.len() - 1]));
        assert!(!token.admits(b"Bearer "));
        assert!(!token.admits(b""));
        assert!(!token.admits(Token::random().unwrap().header().as_bytes()));
    }

    #[test]
    fn weak_tokens_are_refused() {
        for text in ["", "   ", "secret", "has a space in the middle, which no header wants"] {
            assert!(Token::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_output_hides_the_token() {
        let token = Token::random().unwrap();

        assert!(!format!("{token:?}").contains(token.expose()));
    }
}
