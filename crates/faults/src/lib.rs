//! Places at which a test can strike a process. In a build for users there are none.
//!
//! The feature `armed` is switched on by dependencies of tests alone. Without it a place is an
//! empty function, and the crate behind it is not even compiled. With it, places do what the
//! environment variable `FAILPOINTS` said when the process started, or what `fail::cfg` has said
//! since:
//!
//! ```text
//! FAILPOINTS='driver::answer=return(kill)'                  the first time anything gets there
//! FAILPOINTS='driver::answer@reduce=1*off->return(kill)'    the second time a reduce task does
//! FAILPOINTS='worker::map@3=panic'             the text of map task 3 meets a defect of ours
//! FAILPOINTS='worker::map@3=return(abort)'     ... or of something that does not unwind
//! FAILPOINTS='worker::map@3=return(hang)'      it never ends, and does not look up
//! FAILPOINTS='worker::map@3=return(hoard)'     it takes all memory that it can get
//! FAILPOINTS='worker::poor=return'             it has no memory for words: all become runs
//! ```
//!
//! `return(kill)` ends the process there and then, as `kill -9` does. Where a disk may refuse,
//! `return(28)` is what it says when it is full. Other actions (`sleep`, `pause`, `panic`, chances)
//! are as the crate `fail` has them.

#[cfg(feature = "armed")]
pub use armed::{arm, is_wrong, reach, refuse, tear};
#[cfg(not(feature = "armed"))]
pub use harmless::{arm, is_wrong, reach, refuse, tear};

#[cfg(feature = "armed")]
mod armed {
    use std::fmt::Display;
    use std::io;
    use std::sync::Once;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    /// Does what `FAILPOINTS` says from now on, the first time it is called.
    pub fn arm() {
        static ARMED: Once = Once::new();
        // Not `FailScenario`: it forgets what was set within the process, and can be had once only.
        ARMED.call_once(|| {
            let places = std::env::var("FAILPOINTS").unwrap_or_default();
            for place in places.split(';').filter(|place| !place.is_empty()) {
                let (name, actions) = place.split_once('=').expect("a place is NAME=ACTIONS");
                fail::cfg(name, actions).expect("actions are as the crate `fail` has them");
            }
        });
    }

    /// The process is at `place`, for the sake of `whom`: both `place` and `place@whom` may strike.
    pub fn reach(place: &str, whom: impl Display) {
        strike(place, whom, || {}).expect("nothing is asked of the operating system here");
    }

    /// The same, where the operating system may refuse: `return(5)` makes it an input/output error.
    ///
    /// # Errors
    ///
    /// The one that the test asks for.
    pub fn refuse(place: &str, whom: impl Display) -> io::Result<()> {
        strike(place, whom, || {})
    }

    /// The same, where `bytes` are about to be written: half of them are before it strikes.
    ///
    /// # Errors
    ///
    /// The one that the test asks for.
    pub fn tear(
        place: &str,
        whom: impl Display,
        write: impl FnOnce(&[u8]) -> io::Result<()>,
        bytes: &[u8],
    ) -> io::Result<()> {
        strike(place, whom, || {
            // Half of a batch may be whole lines: then nothing would be torn.
            let half = &bytes[..bytes.len() / 2];
            let half = write(half.strip_suffix(b"\n").unwrap_or(half));
            half.expect("the fault is ours, not the disk's");
        })
    }

    fn strike(place: &str, whom: impl Display, before: impl FnOnce()) -> io::Result<()> {
        let names = [place.to_owned(), format!("{place}@{whom}")];
        let Some(text) = names.iter().find_map(|name| planted(name)) else { return Ok(()) };
        before();
        match text.as_str() {
            "abort" => die(Signal::ABORT),
            "hang" => hang(),
            "hoard" => hoard(),
            "kill" => die(Signal::KILL),
            number => {
                let code = number.parse();
                let code = code.expect("a place returns a way to end, or the number of an error");
                Err(io::Error::from_raw_os_error(code))
            }
        }
    }

    /// Whether the code at `place` is to make the mistake that is planted there.
    pub fn is_wrong(place: &str) -> bool {
        planted(place).is_some()
    }

    /// What the test says the place should return.
    fn planted(name: &str) -> Option<String> {
        fail::fail_point!(name, |text: Option<String>| Some(text.unwrap_or_default()));
        None
    }

    fn die(signal: Signal) -> ! {
        // Nothing is flushed, dropped or said.
        let _ = kill_process(getpid(), signal);
        hang()
    }

    /// As a loop without an end does, but the test's other processes need the core.
    fn hang() -> ! {
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Address space only, which counts against a limit and costs the machine nothing.
    fn hoard() -> ! {
        let mut all = Vec::new();
        loop {
            all.push(std::hint::black_box(vec![0_u8; 64 << 20]));
        }
    }
}

#[cfg(not(feature = "armed"))]
mod harmless {
    use std::fmt::Display;
    use std::io;

    /// Nothing.
    #[inline]
    pub fn arm() {}

    /// Never.
    #[inline]
    pub fn is_wrong(_: &str) -> bool {
        false
    }

    /// Nothing.
    #[inline]
    pub fn reach(_: &str, _: impl Display) {}

    /// Nothing.
    ///
    /// # Errors
    ///
    /// Never.
    #[inline]
    pub fn refuse(_: &str, _: impl Display) -> io::Result<()> {
        Ok(())
    }

    /// Nothing.
    ///
    /// # Errors
    ///
    /// Never.
    #[inline]
    pub fn tear(
        _: &str,
        _: impl Display,
        _: impl FnOnce(&[u8]) -> io::Result<()>,
        _: &[u8],
    ) -> io::Result<()> {
        Ok(())
    }
}
