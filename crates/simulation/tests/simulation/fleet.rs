//! Many simulations, on one thread for each core.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::report::Report;
use crate::trace::Listener;
use crate::world::{Setting, simulate};

/// Simulates each of `seeds`. The reports are in the same order.
pub fn simulate_all(seeds: &[u64], setting: &Setting) -> Vec<Report> {
    simulate_until(seeds, setting, |_| false)
}

/// Simulates `seeds` until a finding contains `consequence`.
pub fn search(seeds: &[u64], setting: &Setting, consequence: &str) -> Option<Report> {
    let is_it = |report: &Report| report.findings.iter().any(|text| text.contains(consequence));
    simulate_until(seeds, setting, is_it).into_iter().find(is_it)
}

fn simulate_until(
    seeds: &[u64],
    setting: &Setting,
    is_enough: impl Fn(&Report) -> bool + Sync,
) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::new());
    let simulate_next = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = tracing::subscriber::with_default(Listener, || simulate(seed, setting));
            if is_enough(&report) {
                next.store(seeds.len(), Ordering::Relaxed);
            }
            reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(simulate_next);
        }
    });
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|report| report.seed);
    reports
}
