//! The inputs of a job, laid end to end, cut into equal shares.
//!
//! A plan is made once, before anything starts, and never changes: which bytes a map task reads,
//! and what size and modification time every file has, are fixed here, so that a second attempt
//! reads what the first one read.

use std::num::NonZeroU32;

use store::Input;

use crate::record::{Phase, TaskId};

/// What every map task reads.
///
/// # Invariants
///
/// * The splits of all tasks, in order, are the inputs, end to end: no byte twice, none left out.
/// * The shares of two tasks differ by at most one byte.
/// * No split is empty.
#[derive(Clone, Debug)]
pub struct Plan {
    inputs: Vec<Input>,
    /// `offsets[i]` is where input `i` begins when all are laid end to end; the last entry is the
    /// total.
    offsets: Vec<u64>,
    map_tasks: NonZeroU32,
}

/// A byte range of one input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlannedSplit<'plan> {
    /// The file.
    pub input: &'plan Input,
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl Plan {
    /// Cuts `inputs` into `map_tasks` shares.
    pub fn new(inputs: Vec<Input>, map_tasks: NonZeroU32) -> Self {
        let mut total: u64 = 0;
        let mut offsets = vec![0];
        for input in &inputs {
            total = total.checked_add(input.bytes).expect("all inputs have less than 2^64 bytes");
            offsets.push(total);
        }
        Self { inputs, offsets, map_tasks }
    }

    /// `N`.
    pub fn map_tasks(&self) -> NonZeroU32 {
        self.map_tasks
    }

    /// All files, in the order in which they are laid end to end.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The size of all inputs together.
    pub fn bytes(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// The size of the share of `task`.
    pub fn task_bytes(&self, task: u32) -> u64 {
        self.cut(task + 1) - self.cut(task)
    }

    /// What `task` reads, in order.
    pub fn splits(&self, task: u32) -> impl Iterator<Item = PlannedSplit<'_>> {
        let (from, to) = (self.cut(task), self.cut(task + 1));
        // The last input that begins at or before `from`; empty ones in front of it are skipped.
        let first = self.offsets.partition_point(|&offset| offset <= from).saturating_sub(1);
        let inputs = self.inputs.iter().zip(&self.offsets).skip(first);
        inputs.take_while(move |&(_, &offset)| offset < to).filter_map(move |(input, &offset)| {
            let start = from.saturating_sub(offset);
            let end = input.bytes.min(to - offset);
            (start < end).then_some(PlannedSplit { input, start, end })
        })
    }

    /// Where task `task` begins in the inputs laid end to end: `total * task / N`, rounded down.
    fn cut(&self, task: u32) -> u64 {
        let cut = u128::from(self.bytes()) * u128::from(task) / u128::from(self.map_tasks.get());
        u64::try_from(cut).expect("a cut is within the total, which is a u64")
    }

    /// What a task was to do, for people.
    pub fn describe(&self, task: TaskId) -> String {
        match task.phase {
            Phase::Map => {
                let mut splits = self.splits(task.index);
                let Some(first) = splits.next() else { return "no bytes".to_owned() };
                let path = first.input.path.display();
                let others = match splits.count() {
                    0 => String::new(),
                    others => format!(" and {others} more"),
                };
                format!("bytes {} to {} of {path}{others}", first.start, first.end)
            }
            Phase::Reduce => format!("bucket {}", task.index),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use store::Modified;

    use super::*;

    fn plan(sizes: &[u64], map_tasks: u32) -> Plan {
        let input = |(index, &bytes): (usize, &u64)| Input {
            path: format!("/{index}").into(),
            bytes,
            modified: Modified { seconds: 0, nanoseconds: 0 },
        };
        let map_tasks = NonZeroU32::new(map_tasks).expect("a job has map tasks");
        Plan::new(sizes.iter().enumerate().map(input).collect(), map_tasks)
    }

    #[track_caller]
    fn check(sizes: &[u64], map_tasks: u32) {
        let plan = plan(sizes, map_tasks);
        let total: u64 = sizes.iter().sum();
        let mut seen = vec![0; sizes.len()];
        for task in 0..map_tasks {
            let share: u64 = plan.splits(task).map(|split| split.end - split.start).sum();
            assert_eq!(share, plan.task_bytes(task), "task {task} of {sizes:?} in {map_tasks}");
            assert!(share.abs_diff(total / u64::from(map_tasks)) <= 1, "{sizes:?} in {map_tasks}");
            for split in plan.splits(task) {
                let index: usize = split.input.path.to_str().unwrap()[1..].parse().unwrap();
                assert_eq!(seen[index], split.start, "{sizes:?} in {map_tasks}");
                assert!(split.start < split.end);
                seen[index] = split.end;
            }
        }
        assert_eq!(seen, sizes, "in {map_tasks}");
    }

    #[test]
    fn shares_are_equal_and_cover_every_byte_once() {
        let sizes: [&[u64]; 9] = [
            &[0],
            &[1],
            &[100],
            &[1, 2, 3],
            &[0, 5, 0, 0, 7, 0],
            &[0, 0],
            &[1_000_000, 1, 1],
            &[1, 1, 1_000_000],
            &[3; 50],
        ];
        for sizes in sizes {
            for map_tasks in [1, 2, 3, 6, 17, 100] {
                check(sizes, map_tasks);
            }
        }
    }

    proptest! {
        #[test]
        fn any_shares_are_equal_and_cover_every_byte_once(
            sizes in prop::collection::vec(prop_oneof![Just(0), 0..10_u64, any::<u32>().prop_map_into()], 0..30),
            map_tasks in 1..200_u32,
        ) {
            check(&sizes, map_tasks);
        }

    }

    #[test]
    fn sizes_near_the_end_of_u64_do_not_overflow() {
        check(&[u64::MAX / 2, u64::MAX / 2], 100_000 / 1000);
    }
}
