//! The memory of a table, counting and sorting, stays within the peak that it predicts.

use peak_alloc::PeakAlloc;
use words::Table;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A single test, and so a single thread: others would allocate as well.
#[test]
fn table_takes_no_more_memory_than_it_has_predicted() {
    // Short words; long ones; some that each have a piece of the arena.
    for (letters, words) in [(4, 60_000), (24, 60_000), (300 << 10, 40)] {
        let mut word = vec![b'x'; letters];
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let mut table = Table::new();
        let mut predicted = table.memory_bytes();
        for number in 0..words {
            let number = u32::try_from(number * 7_919 % words).expect("there are few");
            word[letters - 4..].copy_from_slice(&number.to_be_bytes());
            predicted = table.peak_bytes(1, letters).max(predicted);
            table.add(&word, 1);
        }
        let sorted = table.into_sorted(|| ());
        let peak = MEMORY.peak_usage() - before;

        // The prediction leaves out two lists: the pieces, and the words that are in the way while
        // the table grows.
        let beside = predicted / 16;
        assert!(peak <= predicted + beside, "{letters}: {peak} bytes, {predicted} predicted");
        assert!(peak >= sorted.memory_bytes() && sorted.len() == words, "{letters}: {peak} bytes");
    }
}
