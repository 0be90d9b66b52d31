//! Shares: equal, complete, and the same for the same inputs.

use proptest::prelude::*;
use store::Modified;

use super::*;

/// Inputs of these sizes; those that are marked cannot be cut.
fn plan(sizes: &[(u64, bool)], map_tasks: u32) -> Plan {
    let planned = |(index, &(bytes, whole)): (usize, &(u64, bool))| {
        let modified = Modified { seconds: 0, nanoseconds: 0 };
        let input = Input { path: format!("/{index}").into(), bytes, modified };
        (input, Format { whole, ..Format::default() })
    };
    let map_tasks = NonZeroU32::new(map_tasks).expect("a job has map tasks");
    Plan::new(sizes.iter().enumerate().map(planned).collect(), map_tasks)
}

/// Every byte is in one share, and what cannot be cut is in one piece. Returns the shares.
#[track_caller]
fn check(sizes: &[(u64, bool)], map_tasks: u32) -> Vec<u64> {
    let plan = plan(sizes, map_tasks);
    let mut seen = vec![0; sizes.len()];
    let mut shares = Vec::new();
    for task in 0..map_tasks {
        let share: u64 = plan.splits(task).map(|split| split.end - split.start).sum();
        assert_eq!(share, plan.task_bytes(task), "task {task} of {sizes:?} in {map_tasks}");
        for split in plan.splits(task) {
            let index: usize = split.input.path.to_str().unwrap()[1..].parse().unwrap();
            assert_eq!(seen[index], split.start, "{sizes:?} in {map_tasks}");
            assert!(split.start < split.end);
            assert!(!sizes[index].1 || (split.start, split.end) == (0, sizes[index].0));
            seen[index] = split.end;
        }
        shares.push(share);
    }
    assert!(seen.iter().zip(sizes).all(|(seen, (bytes, _))| seen == bytes), "in {map_tasks}");
    shares
}

#[track_caller]
fn check_text(sizes: &[u64], map_tasks: u32) {
    let sizes: Vec<_> = sizes.iter().map(|&bytes| (bytes, false)).collect();
    let total: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
    for share in check(&sizes, map_tasks) {
        assert!(share.abs_diff(total / u64::from(map_tasks)) <= 1, "{sizes:?} in {map_tasks}");
    }
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
            check_text(sizes, map_tasks);
        }
    }
}

fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..10_u64, any::<u32>().prop_map_into()]
}

proptest! {
    #[test]
    fn any_shares_are_equal_and_cover_every_byte_once(
        sizes in prop::collection::vec(any_size(), 0..30),
        map_tasks in 1..200_u32,
    ) {
        check_text(&sizes, map_tasks);
    }

    /// No share is larger than a level and one piece more; and shares with bytes of what can be cut
    /// are equal.
    #[test]
    fn whole_inputs_are_balanced_and_the_rest_levels_the_shares(
        sizes in prop::collection::vec((any_size(), any::<bool>()), 0..30),
        map_tasks in 1..50_u32,
    ) {
        let shares = check(&sizes, map_tasks);
        let total: u64 = shares.iter().sum();
        let whole = || sizes.iter().filter(|(_, whole)| *whole).map(|(bytes, _)| *bytes);
        let largest = whole().max().unwrap_or(0);
        let most = shares.iter().max().copied().unwrap_or(0);
        prop_assert!(most <= total.div_ceil(map_tasks.into()) + largest);
        let plan = plan(&sizes, map_tasks);
        let has_cut = |&task: &u32| plan.splits(task).any(|split| !split.format.whole);
        let levels: Vec<u64> = (0..map_tasks).filter(has_cut).map(|task| plan.task_bytes(task)).collect();
        if let (Some(low), Some(high)) = (levels.iter().min(), levels.iter().max()) {
            prop_assert!(high - low <= 1, "{levels:?}");
            prop_assert!(shares.iter().all(|share| share + 1 >= *low));
        }
    }
}

#[test]
fn whole_inputs_are_distributed_largest_first() {
    let sizes = [(2, true), (9, true), (5, true), (4, true)];
    assert_eq!(check(&sizes, 2), [11, 9]);
    assert_eq!(check(&sizes, 3), [9, 5, 6]);
    assert_eq!(check(&[(9, true), (6, false), (3, true)], 3), [9, 5, 4]);
}

#[test]
fn input_larger_than_a_share_is_named() {
    let larger = |sizes: &[(u64, bool)], map_tasks| {
        let plan = plan(sizes, map_tasks);
        plan.larger_than_a_share().map(|input| input.path.to_str().unwrap().to_owned())
    };
    assert_eq!(larger(&[(10, false), (2, true)], 6), None);
    assert_eq!(larger(&[(10, false), (3, true)], 6).as_deref(), Some("/1"));
    assert_eq!(larger(&[(10, true)], 1), None);
    assert_eq!(larger(&[(10, false)], 6), None);
}

#[test]
fn sizes_near_the_end_of_u64_do_not_overflow() {
    check_text(&[u64::MAX / 2, u64::MAX / 2], 100_000 / 1000);
    check(&[(u64::MAX / 2, true), (u64::MAX / 2, false)], 7);
}
