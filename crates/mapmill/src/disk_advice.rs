//! Advice about a disk that is full or fails: the free space, and what is kept.

use std::path::Path;

use journal::DiskFault;

use crate::numbers::bytes;

/// For a job that ended because a file in `files` could not be written. Staged files are removed
/// already, so their space counts as free.
pub(crate) fn advice(files: &Path, fault: DiskFault) -> String {
    let path = files.display();
    let first = match (fault, rustix::fs::statvfs(files)) {
        (DiskFault::Full, Ok(disk)) => {
            let size = |blocks: u64| bytes(blocks.saturating_mul(disk.f_frsize));
            let (free, all) = (size(disk.f_bavail), size(disk.f_blocks));
            format!("free some space in {path} ({free} free of {all} now)")
        }
        (DiskFault::Full, Err(_)) => format!("free some space in {path}"),
        (DiskFault::Refused, Ok(_) | Err(_)) => format!("check the disk of {path}"),
    };
    format!("{first}, and run the job again, without --fresh: committed tasks are kept")
}
