//! The number of map tasks, and the size of their descriptions in a message.

use std::num::NonZeroU32;
use std::path::Path;

use journal::{Format, Plan};
use store::Input;

/// Distributes `inputs` over `map_tasks` shares, or over as many as [`default_map_tasks`] says:
/// fewer if that many would have nothing to read.
pub(crate) fn plan(inputs: Vec<(Input, Format)>, map_tasks: Option<NonZeroU32>) -> Plan {
    let map_tasks = map_tasks.unwrap_or_else(|| {
        let (whole, cut): (Vec<_>, Vec<_>) = inputs.iter().partition(|(_, format)| format.whole);
        let bytes = |inputs: &[&(Input, Format)]| {
            inputs
                .iter()
                .map(|(input, format)| text_bytes(input, format))
                .fold(0, u64::saturating_add)
        };
        let pieces = u32::try_from(whole.len()).unwrap_or(u32::MAX);
        let (whole, cut) = (bytes(&whole), bytes(&cut));
        let most = shares(cut).saturating_add(shares(whole).min(pieces.into()));
        default_map_tasks(whole.saturating_add(cut)).min(tasks(most))
    });
    Plan::new(inputs, map_tasks)
}

/// About how much text an input holds. English takes 2.7 times less with gzip and 2.8 times less
/// with Zstandard (`gzip -l` and `zstd -l` of the books).
fn text_bytes(input: &Input, format: &Format) -> u64 {
    match format.compression {
        Some(_) => input.bytes.saturating_mul(3),
        None => input.bytes,
    }
}

/// The task whose description is the largest in a message, and an upper bound of its bytes.
pub(crate) fn largest_description(plan: &Plan) -> (u32, usize) {
    /// What a split has besides its path in the wire format, rounded up.
    const NUMBERS: usize = 64;
    let describe = |path: &Path| path.as_os_str().len() + NUMBERS;
    let size = |task| plan.splits(task).map(|split| describe(&split.input.path)).sum();
    (0..plan.map_tasks().get())
        .map(|task| (task, size(task)))
        .max_by_key(|&(_, size)| size)
        .unwrap_or((0, 0))
}

/// Six, or as many as keep every share at 64 MiB or below.
///
/// Six shows the shape of a job on the sample; 64 MiB is the block of the paper (Dean and Ghemawat,
/// OSDI 2004, section 3.1), small enough to balance and to repeat, and large enough for a task to
/// cost much more than its messages.
pub fn default_map_tasks(bytes: u64) -> NonZeroU32 {
    tasks(shares(bytes))
}

/// How many shares of at most 64 MiB hold `bytes`.
fn shares(bytes: u64) -> u64 {
    const SHARE_MAX: u64 = 64 << 20;
    bytes.div_ceil(SHARE_MAX)
}

/// As many tasks as there are shares, within the limits of a default.
fn tasks(shares: u64) -> NonZeroU32 {
    const TASKS_MIN: u32 = 6;
    let tasks = u32::try_from(shares).unwrap_or(u32::MAX);
    let tasks = tasks.clamp(TASKS_MIN, rpc::limits::MAP_TASKS_MAX);
    NonZeroU32::new(tasks).expect("six or more")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use store::Modified;

    use super::*;

    proptest! {
        /// What the driver has planned fits in a message: its estimate is never too low.
        #[test]
        fn description_of_a_task_is_not_larger_than_estimated(
            sizes in prop::collection::vec(0..1000_u64, 1..30),
            map_tasks in 1..10_u32,
        ) {
            let input = |(index, bytes): (usize, u64)| (input(index, bytes), Format::default());
            let inputs = sizes.into_iter().enumerate().map(input).collect();
            let plan = plan(inputs, NonZeroU32::new(map_tasks));
            let (_, largest) = largest_description(&plan);
            for task in 0..map_tasks {
                // Tag, length, path and five numbers of at most 11 bytes each.
                let bytes: usize =
                    plan.splits(task).map(|split| split.input.path.as_os_str().len() + 63).sum();
                prop_assert!(bytes <= largest);
            }
        }
    }

    fn input(index: usize, bytes: u64) -> Input {
        let modified = Modified { seconds: 0, nanoseconds: 0 };
        Input { path: format!("/{index}").into(), bytes, modified }
    }

    #[test]
    fn default_has_no_tasks_for_pieces_that_do_not_exist() {
        let tasks = |whole_files: usize, whole_bytes, cut_bytes| {
            let whole = Format { whole: true, ..Format::default() };
            let mut inputs = vec![(input(0, cut_bytes), Format::default())];
            inputs
                .extend((1..=whole_files).map(|index| (input(index, whole_bytes), whole.clone())));
            plan(inputs, None).map_tasks().get()
        };
        assert_eq!(tasks(512, 1 << 30, 0), 512);
        let gzip =
            Format { compression: Some("gzip".to_owned()), whole: true, ..Format::default() };
        let shards = (0..16).map(|index| (input(index, 24 << 20), gzip.clone())).collect();
        assert_eq!(plan(shards, None).map_tasks().get(), 16);
        assert_eq!(tasks(512, 1 << 20, 0), 8);
        assert_eq!(tasks(2, 1 << 30, 0), 6);
        assert_eq!(tasks(10, 1 << 30, 10 << 30), 170);
    }

    #[test]
    fn default_is_six_tasks_or_shares_of_64_mib() {
        assert_eq!(default_map_tasks(0).get(), 6);
        assert_eq!(default_map_tasks(6 * (64 << 20)).get(), 6);
        assert_eq!(default_map_tasks(6 * (64 << 20) + 1).get(), 7);
        assert_eq!(default_map_tasks(1 << 40).get(), 16_384);
        assert_eq!(default_map_tasks(u64::MAX).get(), 100_000);
    }
}
