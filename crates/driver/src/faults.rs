//! Places at which a test can strike this process. In a build for users there are none.
//!
//! The feature `faults` is switched on by dependencies of tests alone. Without it a place is an
//! empty function, and the crate behind it is not even compiled. With it, places do what the
//! environment variable `FAILPOINTS` said when the process started, or what `fail::cfg` has said
//! since:
//!
//! ```text
//! FAILPOINTS='driver::answer=return(kill)'                  the first time anything gets there
//! FAILPOINTS='driver::answer@reduce=1*off->return(kill)'    the second time a reduce task does
//! ```
//!
//! `return(kill)` ends the process there and then, as `kill -9` does. Whatever else can be said
//! (`sleep`, `pause`, `panic`, chances) is as the crate `fail` has it.

#[cfg(feature = "faults")]
pub(crate) use armed::{arm, reach, tear};
#[cfg(not(feature = "faults"))]
pub(crate) use harmless::{arm, reach, tear};

#[cfg(feature = "faults")]
mod armed {
    use std::fmt::Display;
    use std::io::Write;
    use std::sync::Once;

    use rustix::process::{Signal, getpid, kill_process};

    /// Does what `FAILPOINTS` says from now on, the first time it is called.
    pub(crate) fn arm() {
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
    pub(crate) fn reach(place: &str, whom: impl Display) {
        if is_deadly(place, whom) {
            die();
        }
    }

    /// The same; it strikes when half of `bytes` are written.
    pub(crate) fn tear(place: &str, whom: impl Display, file: &mut impl Write, bytes: &[u8]) {
        if is_deadly(place, whom) {
            let half = file.write_all(&bytes[..bytes.len() / 2]);
            half.expect("a test that kills does not fill the disk");
            die();
        }
    }

    fn is_deadly(place: &str, whom: impl Display) -> bool {
        [place.to_owned(), format!("{place}@{whom}")].iter().any(|name| {
            let planted = planted(name);
            let known = planted.as_ref().is_none_or(|text| text == "kill");
            assert!(known, "{name} cannot return {planted:?}");
            planted.is_some()
        })
    }

    /// What the test says the place should return.
    fn planted(name: &str) -> Option<String> {
        fail::fail_point!(name, |text: Option<String>| Some(text.unwrap_or_default()));
        None
    }

    fn die() -> ! {
        // Nothing is flushed, dropped or said.
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

#[cfg(not(feature = "faults"))]
mod harmless {
    use std::fmt::Display;
    use std::io::Write;

    #[inline]
    pub(crate) fn arm() {}

    #[inline]
    pub(crate) fn reach(_: &str, _: impl Display) {}

    #[inline]
    pub(crate) fn tear(_: &str, _: impl Display, _: &mut impl Write, _: &[u8]) {}
}
