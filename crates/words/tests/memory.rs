//! What a table foresees of its memory is what it takes, counting and sorting.

use peak_alloc::PeakAlloc;
use words::Table;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test, and so one thread: others would allocate as well.
#[test]
fn table_takes_no_more_memory_than_it_has_foreseen() {
    // Short words; long ones; some that have a piece of the arena each.
    for (letters, words) in [(4, 60_000), (24, 60_000), (300 << 10, 40)] {
        let mut word = vec![b'x'; letters];
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let mut table = Table::new();
        let mut foreseen = table.memory_bytes();
        for number in 0..words {
            let number = u32::try_from(number * 7_919 % words).expect("there are few");
            word[letters - 4..].copy_from_slice(&number.to_be_bytes());
            foreseen = table.peak_bytes(1, letters).max(foreseen);
            table.add(&word, 1);
        }
        let sorted = table.into_sorted(|| ());
        let peak = MEMORY.peak_usage() - before;

        // Beside it are the lists of what it has: of pieces, and of words that are in the way while
        // it grows.
        let beside = foreseen / 16;
        assert!(peak <= foreseen + beside, "{letters}: {peak} bytes, {foreseen} foreseen");
        assert!(peak >= sorted.memory_bytes() && sorted.len() == words, "{letters}: {peak} bytes");
    }
}
