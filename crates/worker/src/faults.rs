//! Places at which a test can strike this process, and a mistake that it can plant: see `faults`.

pub(crate) use ::faults::{arm, is_wrong, reach};
#[cfg(feature = "faults")]
pub(crate) use armed::meddle;
#[cfg(not(feature = "faults"))]
pub(crate) use harmless::meddle;

#[cfg(feature = "faults")]
mod armed {
    use rpc::message::{Outcome, Task};
    use store::{Digest, Staging, Store, layout};

    use crate::attempt::Stop;

    /// What only the driver may do: gives its final names to what an attempt has staged.
    pub(crate) fn meddle(
        store: &dyn Store,
        task: &Task,
        staging: &Staging,
        result: &Result<Outcome, Stop>,
    ) {
        let Ok(outcome) = result else { return };
        if !super::is_wrong("worker::publishes") {
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
}

#[cfg(not(feature = "faults"))]
mod harmless {
    use rpc::message::{Outcome, Task};
    use store::{Staging, Store};

    use crate::attempt::Stop;

    #[inline]
    pub(crate) fn meddle(_: &dyn Store, _: &Task, _: &Staging, _: &Result<Outcome, Stop>) {}
}
