//! What the fuzz target `recovery` checks: a job can be resumed from any valid records. Compiled
//! for it and for tests only.

use journal::{Commits, Record};
use scheduler::{Job, Limits, Scheduler};

use crate::reports::Reports;

/// Resumes the job that `records` are of, if they are valid.
///
/// # Panics
///
/// When the job cannot be resumed.
pub fn check(records: &[Record]) {
    let Some(&Record::Begin { map_tasks, reduce_tasks, .. }) = records.first() else { return };
    let files = u64::from(map_tasks) * u64::from(reduce_tasks);
    if journal::validate(records).is_err() || files > FILES_MAX {
        return;
    }
    let Commits { maps, reduces, recalls } = Commits::of(records);
    let map_bytes = vec![1; map_tasks as usize];
    let mut sched =
        Scheduler::new(&Job { map_bytes, map_needs: Vec::new(), reduce_tasks }, Limits::default());
    let mut reports = Reports::new(map_tasks, reduce_tasks);
    for (map, times) in recalls {
        sched.restore_recalls(map, times);
    }
    for (map, commit) in maps {
        sched.restore_map(map, &reports.enter_map(map, commit, 1));
    }
    for (reduce, commit) in reduces {
        reports.enter_reduce(reduce, commit);
        sched.restore_reduce(reduce);
    }
}

/// Of a job that is restored, so that one input does not take seconds.
const FILES_MAX: u64 = 1000;

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_are_resumed_or_refused() {
    replay::replay("recovery", |data| {
        let lines = data.split(|&byte| byte == b'\n');
        let records = lines.map_while(|line| serde_json::from_slice(line).ok());
        check(&records.collect::<Vec<Record>>());
    });
}
