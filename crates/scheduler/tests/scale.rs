//! The memory that a large job needs. `benches/scale.rs` measures the time.
//!
//! One test and no more: it counts the memory of the whole process.

use fleet::{Fleet, Size, replay};
use peak_alloc::PeakAlloc;
use scheduler::{Outcome, Scheduler};

mod fleet;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

#[test]
fn a_task_takes_at_most_400_bytes_with_its_attempt_and_its_share_of_the_workers() {
    let size = Size { workers: 500, maps: 4900, reduces: 100 };
    let mut fleet = Fleet::new(size);
    let mut batch = Vec::with_capacity(1000);
    let empty = ALLOCATOR.current_usage();
    let mut scheduler = Scheduler::new(&size.job(), fleet::limits());
    let mut bytes = ALLOCATOR.current_usage() - empty;
    let mut most = bytes;
    while fleet.fill(&mut batch) {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        replay(&mut scheduler, &batch, fleet.buckets());
        most = most.max(bytes + ALLOCATOR.peak_usage() - before);
        bytes = bytes + ALLOCATOR.current_usage() - before;
    }
    assert_eq!(scheduler.outcome(), Some(&Outcome::Done));
    assert_eq!(scheduler.snapshot(), fleet.scheduler().snapshot());
    assert!(scheduler.snapshot().attempts.started > u64::from(size.tasks()));
    let each = most / size.tasks() as usize;
    assert!(each <= 400, "{each} bytes a task");
}
