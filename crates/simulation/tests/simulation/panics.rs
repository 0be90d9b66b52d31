//! Panics of any task: the simulated runtimes swallow them.

use std::cell::Cell;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// The messages, each with the seed of its simulation.
static CAUGHT: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

/// From now on this thread belongs to the simulation of `seed`.
pub fn set_seed(seed: u64) {
    static LISTEN: Once = Once::new();
    LISTEN.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let caught = (seed_of_thread(), panic.to_string());
            CAUGHT.lock().unwrap_or_else(PoisonError::into_inner).push(caught);
            before(panic);
        }));
    });
    SEED.set(seed);
}

/// The seed of this thread's simulation.
pub fn seed() -> u64 {
    SEED.get()
}

fn seed_of_thread() -> u64 {
    SEED.try_with(Cell::get).unwrap_or_default()
}

/// The messages from the simulation of `seed`, and removes them.
pub fn take(seed: u64) -> Vec<String> {
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = caught.extract_if(.., |(of, _)| *of == seed);
    taken.map(|(_, text)| text).collect()
}
