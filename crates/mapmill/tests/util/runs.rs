//! What was done, as the driver's log tells it: which task ran how often.

use std::collections::BTreeMap;

use super::job::Ended;

/// How often each task did something, by its name: `m3`, `r0`.
pub type Times = BTreeMap<String, usize>;

/// How often each task ran, in the life of the driver that has written `log`. What never reached
/// its worker did not run; what was handed out twice, because the first answer was lost, ran once.
pub fn runs(log: &str) -> Times {
    let mut attempts = BTreeMap::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once(": start ") {
            let (attempt, _) = rest.split_once(" on w").expect("a start names the worker");
            attempts.insert(attempt, true);
        } else if let Some((_, rest)) = line.split_once(": undelivered w") {
            let (_, attempt) = rest.split_once(' ').expect("it names the worker and the attempt");
            attempts.insert(attempt, false);
        }
    }
    let mut runs = Times::new();
    for (attempt, _) in attempts.iter().filter(|&(_, &ran)| ran) {
        let (task, _) = attempt.split_once('.').expect("an attempt is m3.a0 or r3.a0");
        *runs.entry(task.to_owned()).or_default() += 1;
    }
    runs
}

impl Ended {
    /// Every task ran once; those in `again` once more, as often as they are named.
    #[track_caller]
    pub fn assert_ran(&self, again: &[&str]) {
        let report = self.report();
        let count = |phase: &str| report[phase]["tasks"].as_u64().expect("the report counts tasks");
        let maps = (0..count("map")).map(|map| format!("m{map}"));
        let reduces = (0..count("reduce")).map(|reduce| format!("r{reduce}"));
        let mut expected: Times = maps.chain(reduces).map(|task| (task, 1)).collect();
        for &task in again {
            *expected.get_mut(task).expect("only tasks of the job run again") += 1;
        }
        assert_eq!(runs(&self.log), expected, "how often each task ran:\n{}", self.log);
    }
}
