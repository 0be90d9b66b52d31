//! HTTP/2 frames written by hand, as no library sends them.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

/// A flag of `HEADERS`: no more headers follow.
const END_HEADERS: u8 = 4;
/// A flag of `DATA` and `HEADERS`: the last frame of its stream.
const END_STREAM: u8 = 1;
/// A flag of `PING` and `SETTINGS`.
const ACK: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads are short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What a caller sends first.
pub fn beginning() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A call without its message.
pub fn call(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &headers(path))
}

/// The first half of it.
pub fn half_a_call(stream: u32, path: &str) -> Vec<u8> {
    let headers = headers(path);
    frame(HEADERS, 0, stream, &headers[..headers.len() / 2])
}

/// Some of its message.
pub fn part(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, bytes)
}

/// The rest of it.
pub fn rest(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, bytes)
}

/// Reset: the call is cancelled.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &8_u32.to_be_bytes())
}

/// The answer of a web server to its first call: it has no such page.
pub fn not_found() -> Vec<u8> {
    // 404 is 13 in the static table of HPACK.
    let answer = frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0x80 | 13]);
    [frame(SETTINGS, 0, 0, &[]), answer].concat()
}

fn headers(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "driver"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        // A literal without indexing, with a new name.
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("texts are short"));
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A peer that writes HTTP/2 frames by hand, and answers settings and pings.
pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A received frame.
#[derive(Debug)]
pub struct Frame {
    kind: u8,
    pub stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The end of a call, by its headers or its status.
    pub fn is_answer(&self) -> bool {
        matches!(self.kind, HEADERS | RESET)
    }
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the driver listens");
        stream.set_nodelay(true).expect("it is a socket");
        Self { stream, unread: Vec::new() }
    }

    /// Whether it could be sent.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next that is neither of the settings nor a ping: those are answered. `None`: closed.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any().await?;
            match frame.kind {
                PING => _ = self.send(&frame_ack(PING, &frame.payload)).await,
                SETTINGS if !frame.payload.is_empty() => {
                    _ = self.send(&frame_ack(SETTINGS, &[])).await;
                }
                SETTINGS => {}
                _ => return Some(frame),
            }
        }
    }

    /// Waits until the other end closes, without sending.
    pub async fn closed(&mut self) {
        let mut bytes = [0; 1 << 10];
        while self.stream.read(&mut bytes).await.is_ok_and(|bytes| bytes > 0) {}
    }

    // cancel safe: what was read is kept.
    async fn any(&mut self) -> Option<Frame> {
        loop {
            if let Some(&[a, b, c, kind, _flags, w, x, y, z]) = self.unread.first_chunk::<9>() {
                let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
                if self.unread.len() >= end {
                    let payload = self.unread[9..end].to_vec();
                    self.unread.drain(..end);
                    return Some(Frame { kind, stream: u32::from_be_bytes([w, x, y, z]), payload });
                }
            }
            let mut bytes = [0; 1 << 12];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.unread.extend(&bytes[..read]),
            }
        }
    }
}

fn frame_ack(kind: u8, payload: &[u8]) -> Vec<u8> {
    frame(kind, ACK, 0, payload)
}
