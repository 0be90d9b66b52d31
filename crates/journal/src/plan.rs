//! The inputs of a job, laid end to end, cut into equal shares.
//!
//! A plan is made once, before anything starts, and never changes: which bytes a map task reads,
//! and what size and modification time every file has, are fixed here, so that a second attempt
//! reads what the first one read.
//!
//! Some inputs cannot be cut, such as compressed files. They are given to the shares first, the
//! largest to the share that has least (LPT, Graham 1969: at most a third above the best), and the
//! bytes of the others then fill all shares to one level.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::num::NonZeroU32;
use std::sync::Arc;

use store::Input;

use crate::format::Format;
use crate::record::{Phase, TaskId};

/// What every map task reads.
///
/// # Invariants
///
/// * The splits of all tasks are the inputs: no byte twice, none left out.
/// * Without whole inputs, the splits in order are the inputs end to end, and the shares of two
///   tasks differ by at most one byte.
/// * No split is empty.
#[derive(Clone, Debug)]
pub struct Plan {
    inputs: Vec<PlannedInput>,
    /// `offsets[i]` is where input `i` begins when all that can be cut are laid end to end; the
    /// last entry is their total. An input that cannot be cut has no length there.
    offsets: Vec<u64>,
    shares: Shares,
    map_tasks: NonZeroU32,
    bytes: u64,
}

/// An input and what it is.
#[derive(Clone, Debug)]
pub struct PlannedInput {
    /// The file.
    pub input: Input,
    /// Shared by all inputs that are the same.
    pub format: Arc<Format>,
}

/// How the inputs are distributed.
#[derive(Clone, Debug)]
enum Shares {
    /// Every input can be cut: task `i` begins at `total * i / N`, rounded down.
    Equal,
    /// Some cannot.
    Filled {
        /// `cuts[i]` is where task `i` begins in the bytes that can be cut; `N + 1` of them.
        cuts: Vec<u64>,
        /// `firsts[i]` is the index in `whole` of the first input of task `i`; `N + 1` of them.
        firsts: Vec<usize>,
        /// Indexes of the inputs that cannot be cut, by task.
        whole: Vec<usize>,
    },
}

/// A byte range of one input.
#[derive(Clone, Copy, Debug)]
pub struct PlannedSplit<'plan> {
    /// The file.
    pub input: &'plan Input,
    /// What it is.
    pub format: &'plan Format,
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl Plan {
    /// Distributes `inputs`, each with what it is, over `map_tasks` shares.
    pub fn new(inputs: Vec<(Input, Format)>, map_tasks: NonZeroU32) -> Self {
        let mut formats = BTreeMap::<Format, Arc<Format>>::new();
        let planned = |(input, format): (Input, Format)| {
            let shared = formats.entry(format).or_insert_with_key(|key| Arc::new(key.clone()));
            PlannedInput { input, format: Arc::clone(shared) }
        };
        let inputs: Vec<_> = inputs.into_iter().map(planned).collect();
        let (mut bytes, mut total): (u64, u64) = (0, 0);
        let mut offsets = vec![0];
        for PlannedInput { input, format } in &inputs {
            bytes = bytes.checked_add(input.bytes).expect("all inputs have less than 2^64 bytes");
            total += if format.whole { 0 } else { input.bytes };
            offsets.push(total);
        }
        let shares = match inputs.iter().any(|planned| planned.format.whole) {
            true => fill(&inputs, total, map_tasks),
            false => Shares::Equal,
        };
        Self { inputs, offsets, shares, map_tasks, bytes }
    }

    /// `N`.
    pub fn map_tasks(&self) -> NonZeroU32 {
        self.map_tasks
    }

    /// All files, in the order in which they are laid end to end.
    pub fn inputs(&self) -> &[PlannedInput] {
        &self.inputs
    }

    /// The size of all inputs together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The most bytes of text that the inputs can have; `u64::MAX` where nothing bounds them.
    pub fn text_bytes_max(&self) -> u64 {
        let text_bytes = |planned: &PlannedInput| match planned.format.text_factor_max() {
            Some(factor) => planned.input.bytes.saturating_mul(factor),
            None => u64::MAX,
        };
        self.inputs.iter().map(text_bytes).fold(0, u64::saturating_add)
    }

    /// The size of the share of `task`.
    pub fn task_bytes(&self, task: u32) -> u64 {
        let whole = self.whole(task).iter().map(|&index| self.inputs[index].input.bytes);
        whole.sum::<u64>() + (self.cut(task + 1) - self.cut(task))
    }

    /// What `task` reads: first what cannot be cut, in order, then the rest, in order.
    pub fn splits(&self, task: u32) -> impl Iterator<Item = PlannedSplit<'_>> {
        let whole = self.whole(task).iter().map(|&index| &self.inputs[index]);
        let whole = whole.map(|PlannedInput { input, format }| PlannedSplit {
            input,
            format,
            start: 0,
            end: input.bytes,
        });
        let (from, to) = (self.cut(task), self.cut(task + 1));
        // The last input that begins at or before `from`; empty ones in front of it are skipped.
        let first = self.offsets.partition_point(|&offset| offset <= from).saturating_sub(1);
        let inputs = self.inputs.iter().zip(&self.offsets).skip(first);
        let inputs = inputs.filter(|(planned, _)| !planned.format.whole);
        let cut =
            inputs.take_while(move |&(_, &offset)| offset < to).map(move |(planned, &offset)| {
                let PlannedInput { input, format } = planned;
                let start = from.saturating_sub(offset);
                PlannedSplit { input, format, start, end: input.bytes.min(to - offset) }
            });
        whole.chain(cut).filter(|split| split.start < split.end)
    }

    /// How many inputs have each format, in words; empty if all are plain text.
    pub fn formats(&self) -> BTreeMap<String, usize> {
        let mut formats = BTreeMap::new();
        if self.inputs.iter().all(|planned| planned.format.is_plain()) {
            return formats;
        }
        for planned in &self.inputs {
            *formats.entry(planned.format.to_string()).or_default() += 1;
        }
        formats
    }

    /// The largest input that cannot be cut, if it alone is larger than an equal share: one worker
    /// reads it while others may have nothing to do.
    pub fn larger_than_a_share(&self) -> Option<&Input> {
        let whole = self.inputs.iter().filter(|planned| planned.format.whole);
        let largest = whole.map(|planned| &planned.input).max_by_key(|input| input.bytes)?;
        let shares = u128::from(largest.bytes) * u128::from(self.map_tasks.get());
        (shares > self.bytes.into()).then_some(largest)
    }

    /// The inputs of `task` that cannot be cut.
    fn whole(&self, task: u32) -> &[usize] {
        match &self.shares {
            Shares::Equal => &[],
            Shares::Filled { firsts, whole, .. } => {
                let task = task as usize;
                &whole[firsts[task]..firsts[task + 1]]
            }
        }
    }

    /// Where task `task` begins in the inputs that can be cut, laid end to end.
    fn cut(&self, task: u32) -> u64 {
        match &self.shares {
            Shares::Equal => cut(self.bytes, task, self.map_tasks.get()),
            Shares::Filled { cuts, .. } => cuts[task as usize],
        }
    }

    /// Whether another driver finds the same inputs. An input that can be read only once is copied,
    /// and the copy is removed with the driver that has made it.
    pub fn is_resumable(&self) -> bool {
        !self.inputs.iter().any(|planned| store::is_input_copy(&planned.input.path))
    }

    /// What a task was to do, for people.
    pub fn describe(&self, task: TaskId) -> String {
        match task.phase {
            Phase::Map => {
                let mut splits = self.splits(task.index);
                let Some(first) = splits.next() else { return "no bytes".to_owned() };
                let path = store::shown_input(&first.input.path);
                let path = path.display();
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

/// `total * part / parts`, rounded down.
fn cut(total: u64, part: u32, parts: u32) -> u64 {
    let cut = u128::from(total) * u128::from(part) / u128::from(parts);
    u64::try_from(cut).expect("a cut is within the total, which is a u64")
}

/// Distributes the inputs that cannot be cut, and then the `total` bytes of the others.
fn fill(inputs: &[PlannedInput], total: u64, map_tasks: NonZeroU32) -> Shares {
    let mut by_size: Vec<usize> =
        (0..inputs.len()).filter(|&index| inputs[index].format.whole).collect();
    by_size.sort_by_key(|&index| (Reverse(inputs[index].input.bytes), index));
    let mut least: BinaryHeap<_> =
        (0..map_tasks.get()).map(|task| Reverse((0_u64, task))).collect();
    let mut of_tasks = Vec::with_capacity(by_size.len());
    for index in by_size {
        let mut share = least.peek_mut().expect("a job has map tasks");
        let Reverse((bytes, task)) = &mut *share;
        *bytes += inputs[index].input.bytes;
        of_tasks.push((*task, index));
    }
    of_tasks.sort_unstable();
    let mut firsts = Vec::with_capacity(map_tasks.get() as usize + 1);
    for task in 0..=map_tasks.get() {
        firsts.push(of_tasks.partition_point(|&(of, _)| of < task));
    }
    let loads = least.into_iter().map(|Reverse(share)| share).collect();
    let whole = of_tasks.into_iter().map(|(_, index)| index).collect();
    Shares::Filled { cuts: level(loads, total), firsts, whole }
}

/// Where the tasks begin in `total` bytes that are poured over `loads`, each the bytes that a task
/// has already: the emptiest get most, so that all that get any have the same, up to a byte.
fn level(mut loads: Vec<(u64, u32)>, total: u64) -> Vec<u64> {
    loads.sort_unstable();
    // The first `filled` tasks get some: the next one has as much as they would have, or more.
    let (mut filled, mut sum) = (0, u128::from(total));
    for (below, &(load, _)) in (0_u128..).zip(&loads) {
        if below > 0 && u128::from(load) * below >= sum {
            break;
        }
        sum += u128::from(load);
        filled += 1;
    }
    let mut lengths = vec![0; loads.len()];
    let parts = u128::try_from(filled).expect("not more than tasks");
    for (part, &(load, task)) in (0..parts).zip(&loads[..filled]) {
        let level = sum * (part + 1) / parts - sum * part / parts;
        lengths[task as usize] = u64::try_from(level).expect("within all bytes") - load;
    }
    let mut cuts = vec![0];
    for length in lengths {
        let last: u64 = cuts[cuts.len() - 1];
        cuts.push(last + length);
    }
    cuts
}

#[cfg(test)]
mod tests;
