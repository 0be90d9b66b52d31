//! How a model is checked: every world that it can reach, and the shortest way to one that violates
//! a property.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// Checks every reachable world, and prints how many there are.
#[track_caller]
pub fn check<M>(model: &M, bounds: &str)
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Eq + Hash + Send + Sync,
    M::Action: Clone + Debug + Eq,
{
    let started = Instant::now();
    let checker = model.clone().checker();
    let checker = checker.timeout(TIMEOUT).target_state_count(WORLDS_MAX).spawn_dfs().join();
    let (elapsed, generated) = (started.elapsed(), checker.state_count());
    let (worlds, depth) = (checker.unique_state_count(), checker.max_depth() - 1);
    print(&format!("{bounds}:"));
    print(&format!("    {worlds} worlds, {generated} steps, depth {depth}, {elapsed:.1?}"));

    let discoveries = checker.discoveries();
    for property in model.properties() {
        let name = property.name;
        let found = discoveries.get(name).cloned().map(|path| path.into_actions());
        match property.expectation {
            Expectation::Always | Expectation::Eventually => {
                assert_eq!(found, None, "not \"{name}\"");
            }
            Expectation::Sometimes => assert!(found.is_some(), "never \"{name}\""),
        }
    }
    // A checker that has given up also reports that it is done.
    assert!(generated < WORLDS_MAX && elapsed < TIMEOUT, "it has become too large");
}

/// The shortest way to violate `property`, if there is one.
#[track_caller]
pub fn shortest<M>(model: &M, property: &'static str) -> Option<Vec<M::Action>>
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Eq + Hash + Send + Sync,
    M::Action: Clone + Debug + Eq,
{
    let mut shortest = None;
    let mut depth = DEPTH_MAX;
    loop {
        // The checker does not always return the shortest that it has found: ask for less until
        // there is none.
        let checker = model.clone().checker().target_max_depth(depth);
        let checker = checker.finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])));
        let checker = checker.timeout(TIMEOUT).target_state_count(WORLDS_MAX).spawn_bfs().join();
        assert!(checker.state_count() < WORLDS_MAX, "it has become too large");
        let Some(path) = checker.discovery(property) else { return shortest };
        let actions = path.into_actions();
        depth = actions.len() + 1;
        shortest = Some(actions);
    }
}

#[expect(clippy::print_stdout, reason = "how much was checked is part of the result")]
pub fn print(line: &str) {
    println!("{line}");
}

/// The largest test has two million steps.
const WORLDS_MAX: usize = 4_000_000;

/// The largest test takes 6 s on a shared core, unoptimised.
const TIMEOUT: Duration = Duration::from_secs(120);

/// More than a run of any of the tests has.
const DEPTH_MAX: usize = 100;
