//! How the unfinished job in a results folder differs from the one that the user asks for.
//!
//! Its committed tasks may be hours of work, and a mistake in the arguments must not discard them.
//! Both jobs are compared as the journal describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use journal::{Format, Record, WordRule};

/// One thing that differs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Difference {
    /// Inputs.
    Inputs {
        /// How they have changed.
        change: InputChange,
        /// The first of them, as the journal writes it.
        path: String,
        /// How many more there are.
        more: usize,
    },
    /// The same inputs are in another order.
    Order,
    /// A number, a rule, or the program.
    Setting {
        /// Its name.
        name: &'static str,
        /// Of the unfinished job.
        then: String,
        /// Of this one.
        now: String,
    },
}

/// How an input has changed since the unfinished job began.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum InputChange {
    /// Its length, its time of modification or its format differs.
    Changed,
    /// It was no input of that job, or it is now counted more often.
    Added,
    /// It is no input any more, or it is now counted less often.
    Removed,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs { change, path, more } => {
                let change = match change {
                    InputChange::Changed => "changed",
                    InputChange::Added => "added",
                    InputChange::Removed => "removed",
                };
                write!(f, "input {change}: {path}")?;
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                Ok(())
            }
            Self::Order => f.write_str("the inputs are in another order"),
            Self::Setting { name, then, now } => write!(f, "{name}: {then} then, {now} now"),
        }
    }
}

/// Between the records that describe two jobs. Empty if only the job's id, its epoch and its start
/// differ.
pub(super) fn between(then: &[Record], now: &[Record]) -> Vec<Difference> {
    let settings = |records: &[Record]| records.iter().find_map(settings).unwrap_or_default();
    let mut differences = Vec::new();
    for ((name, then), (_, now)) in settings(then).into_iter().zip(settings(now)) {
        if then != now {
            differences.push(Difference::Setting { name, then, now });
        }
    }
    let then: Vec<_> = then.iter().filter_map(input).collect();
    let now: Vec<_> = now.iter().filter_map(input).collect();
    if then != now {
        differences.extend(of_inputs(&then, &now));
    }
    differences
}

/// The settings of a job, as messages show them.
fn settings(begin: &Record) -> Option<[(&'static str, String); 5]> {
    let Record::Begin { build, map_tasks, reduce_tasks, words, ignore_case, .. } = begin else {
        return None;
    };
    let words = match words {
        WordRule::Letters => "letters",
        WordRule::Whitespace => "whitespace",
        WordRule::Unknown => "unknown",
    };
    let case = if *ignore_case { "ignored" } else { "significant" };
    Some([
        ("map tasks", map_tasks.to_string()),
        ("reduce tasks", reduce_tasks.to_string()),
        ("words", words.to_owned()),
        ("case", case.to_owned()),
        ("program", build.clone()),
    ])
}

/// Its length, when it was modified, and what it is.
type State<'a> = (u64, i64, u32, &'a Format);

fn input(record: &Record) -> Option<(&str, State<'_>)> {
    match record {
        Record::Input { path, bytes, modified_seconds, modified_nanos, format } => {
            Some((path, (*bytes, *modified_seconds, *modified_nanos, format)))
        }
        Record::Begin { .. }
        | Record::End { .. }
        | Record::Ended { .. }
        | Record::IntermediatesRemoved
        | Record::Map { .. }
        | Record::Recalled { .. }
        | Record::Reduce { .. }
        | Record::Resume { .. }
        | Record::Started { .. } => None,
    }
}

/// Between two lists that are not equal. A file that is named twice is in its list twice.
fn of_inputs(then: &[(&str, State<'_>)], now: &[(&str, State<'_>)]) -> Vec<Difference> {
    let (then, now) = (by_path(then), by_path(now));
    let mut changes = BTreeMap::<InputChange, Vec<&str>>::new();
    for path in then.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        let (then, now) = (states(&then, path), states(&now, path));
        let change = if then.len() < now.len() {
            InputChange::Added
        } else if then.len() > now.len() {
            InputChange::Removed
        } else if then != now {
            InputChange::Changed
        } else {
            continue;
        };
        changes.entry(change).or_default().push(path);
    }
    if changes.is_empty() {
        return vec![Difference::Order];
    }
    let difference = |(change, paths): (InputChange, Vec<&str>)| Difference::Inputs {
        change,
        path: journal::escape(&store::shown_input(&journal::unescape(paths[0]))),
        more: paths.len() - 1,
    };
    changes.into_iter().map(difference).collect()
}

fn states<'job, 'a>(job: &'job BTreeMap<&str, Vec<State<'a>>>, path: &str) -> &'job [State<'a>] {
    job.get(path).map_or(&[], Vec::as_slice)
}

fn by_path<'a>(inputs: &[(&'a str, State<'a>)]) -> BTreeMap<&'a str, Vec<State<'a>>> {
    let mut by_path = BTreeMap::<_, Vec<_>>::new();
    for (path, state) in inputs {
        by_path.entry(*path).or_default().push(*state);
    }
    by_path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(then: &[(&str, u64)], now: &[(&str, u64)], expected: &[&str]) {
        let records = |inputs: &[(&str, u64)]| -> Vec<Record> {
            let input = |&(path, bytes): &(&str, u64)| Record::Input {
                path: path.to_owned(),
                bytes,
                modified_seconds: 0,
                modified_nanos: 0,
                format: Format::default(),
            };
            inputs.iter().map(input).collect()
        };
        let (then, now) = (records(then), records(now));
        let differences = between(&then, &now);
        let found: Vec<_> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn inputs_that_differ_are_named_and_the_others_counted() {
        let three = [("/a", 1), ("/b", 1), ("/c", 1)];
        check(&three, &three, &[]);
        check(&three, &three[..1], &["input removed: /b and 1 more"]);
        check(&three[1..], &three, &["input added: /a"]);
        check(&three, &[("/a", 2), ("/b", 1), ("/c", 2)], &["input changed: /a and 1 more"]);
        let all = ["input changed: /a", "input added: /d", "input removed: /b"];
        check(&three, &[("/a", 2), ("/c", 1), ("/d", 1)], &all);
    }

    #[test]
    fn order_and_repetition_of_inputs_are_differences() {
        check(
            &[("/a", 1), ("/b", 1)],
            &[("/b", 1), ("/a", 1)],
            &["the inputs are in another order"],
        );
        check(&[("/a", 1)], &[("/a", 1), ("/a", 1)], &["input added: /a"]);
        check(&[("/a", 1), ("/a", 1)], &[("/a", 1)], &["input removed: /a"]);
    }
}
