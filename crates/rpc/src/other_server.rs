//! What answers at a driver's address when it is not a driver of Mapmill.

use std::fmt;

/// As far as it is known. A driver may be started there later, so waiting can help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OtherServer {
    /// It closes connections and sends nothing.
    Closing,
    /// It answers in HTTP/1, as web servers do.
    Http1,
    /// It speaks HTTP/2, and knows no call of Mapmill.
    Http2,
    /// It answers in another protocol: SSH, or HTTP/0.9 as Python's web server.
    Other,
    /// It accepts connections and sends nothing.
    Silent,
}

impl OtherServer {
    /// A sentence about the server at `place`, which is `at HOST:PORT` or `there`.
    pub fn describe(self, place: &str) -> String {
        match self {
            Self::Closing => format!(
                "something other than a Mapmill driver, or a driver that is ending, listens \
                 {place}: it closes connections and does not answer"
            ),
            Self::Http1 => {
                format!("something other than a Mapmill driver answers {place}: it speaks HTTP/1")
            }
            Self::Http2 => format!(
                "something other than a Mapmill driver answers {place}: it speaks HTTP/2, and not \
                 Mapmill's protocol"
            ),
            Self::Other => format!(
                "something other than a Mapmill driver answers {place}: it does not speak HTTP/2"
            ),
            Self::Silent => format!(
                "something other than a Mapmill driver, or a driver that is paused or copies its \
                 input, listens {place}: it accepts connections and does not answer"
            ),
        }
    }

    /// What the first bytes from a server show. `None`: it may be a driver.
    pub(crate) fn of_first_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'H', b'T', b'T', b'P', b'/', ..] => Some(Self::Http1),
            // HTTP/2 begins with settings; records of TLS are inspected elsewhere.
            [_, _, _, HTTP_2_SETTINGS, ..] | [TLS_RECORD_MIN..=TLS_RECORD_MAX, ..] => None,
            [_, _, _, _, ..] => Some(Self::Other),
            // Too few to tell.
            [] | [_] | [_, _] | [_, _, _] => None,
        }
    }
}

impl fmt::Display for OtherServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe("there"))
    }
}

/// The type of a frame, after the three bytes of its length.
const HTTP_2_SETTINGS: u8 = 4;

/// The types of records: a change of cipher, an alert, a handshake, data.
const TLS_RECORD_MIN: u8 = 0x14;

const TLS_RECORD_MAX: u8 = 0x17;
