//! Places at which a test can strike this process. In a build for users there are none.
//!
//! As in the driver: the feature `faults`, the variable `FAILPOINTS`, `fail::cfg`. A worker knows
//! more ways to go wrong; each may be meant for one task alone:
//!
//! ```text
//! FAILPOINTS='worker::map@3=panic'             the text of map task 3 meets a defect of ours
//! FAILPOINTS='worker::map@3=return(abort)'     ... or of something that does not unwind
//! FAILPOINTS='worker::map@3=return(hang)'      it never ends, and does not look up
//! FAILPOINTS='worker::map@3=return(hoard)'     it takes all memory that it can get
//! FAILPOINTS='worker::report=return(kill)'     `kill -9`, before the first report
//! FAILPOINTS='worker::poor=return'             it has no memory for words: all become runs
//! ```

#[cfg(feature = "faults")]
pub(crate) use armed::{arm, is_wrong, meddle, reach};
#[cfg(not(feature = "faults"))]
pub(crate) use harmless::{arm, is_wrong, meddle, reach};

#[cfg(feature = "faults")]
mod armed {
    use std::fmt::Display;
    use std::sync::Once;
    use std::time::Duration;

    use rpc::message::{Outcome, Task};
    use rustix::process::{Signal, getpid, kill_process};
    use store::{Digest, Staging, Store, layout};

    use crate::attempt::Stop;

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
        for name in [place.to_owned(), format!("{place}@{whom}")] {
            match planted(&name).as_deref() {
                Some("abort") => die(Signal::ABORT),
                Some("hang") => hang(),
                Some("hoard") => hoard(),
                Some("kill") => die(Signal::KILL),
                Some(other) => panic!("{name} cannot return {other}"),
                None => {}
            }
        }
    }

    /// Whether the code at `place` is to make the mistake that is planted there.
    pub(crate) fn is_wrong(place: &str) -> bool {
        planted(place).is_some()
    }

    /// What only the driver may do: gives its final names to what an attempt has staged.
    pub(crate) fn meddle(
        store: &dyn Store,
        task: &Task,
        staging: &Staging,
        result: &Result<Outcome, Stop>,
    ) {
        let Ok(outcome) = result else { return };
        if !is_wrong("worker::publishes") {
            return;
        }
        let index = task.attempt.task;
        let objects: Vec<_> = match outcome {
            Outcome::Mapped { buckets, .. } => {
                let objects = (0..).zip(buckets);
                objects.map(|(at, made)| (layout::intermediate(index, at), made.digest)).collect()
            }
            Outcome::Reduced { output, .. } => vec![(layout::output(index), *output)],
            Outcome::Failed(_) => Vec::new(),
        };
        for (name, digest) in objects {
            let digest = Digest { bytes: digest.bytes, crc32: digest.crc32 };
            let _ = store.publish(staging, &name, digest);
        }
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

#[cfg(not(feature = "faults"))]
mod harmless {
    use std::fmt::Display;

    use rpc::message::{Outcome, Task};
    use store::{Staging, Store};

    use crate::attempt::Stop;

    #[inline]
    pub(crate) fn arm() {}

    #[inline]
    pub(crate) fn is_wrong(_: &str) -> bool {
        false
    }

    #[inline]
    pub(crate) fn meddle(_: &dyn Store, _: &Task, _: &Staging, _: &Result<Outcome, Stop>) {}

    #[inline]
    pub(crate) fn reach(_: &str, _: impl Display) {}
}
