//! The log of one test: each test has a thread, and all of its tasks run on it.

use std::cell::RefCell;
use std::io;
use std::sync::Once;
use std::time::{Duration, Instant};

thread_local! {
    static LINES: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Starts collecting the log.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(|| Line)
            .init();
    });
}

/// What was logged since the last time.
pub fn take() -> String {
    LINES.take()
}

/// Waits until a warning with these words is logged, which may be after the peer was refused.
pub async fn expect(words: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut logged = take();
    while !logged.lines().any(|line| {
        line.contains("WARN") && line.contains(words) && line.contains("peer=127.0.0.1:")
    }) {
        assert!(Instant::now() < deadline, "{words:?} is not in:\n{logged}");
        tokio::time::sleep(Duration::from_millis(5)).await;
        logged += &take();
    }
}

struct Line;

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.push_str(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
