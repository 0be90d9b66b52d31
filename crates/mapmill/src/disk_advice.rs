//! Advice about a disk that is full or fails: the free space and inodes, and what is kept.

use std::path::Path;

use journal::DiskFault;
use rustix::fs::StatVfs;

use crate::numbers::{bytes, grouped};

/// For a job that ended because a file in `files` could not be written. Staged files are removed
/// already, so their space counts as free.
pub(crate) fn advice(files: &Path, fault: DiskFault, is_resumable: bool) -> String {
    let path = files.display();
    let first = match (fault, rustix::fs::statvfs(files)) {
        (DiskFault::Full, Ok(disk)) => {
            let size = |blocks: u64| bytes(blocks.saturating_mul(disk.f_frsize));
            let (free, all) = (size(disk.f_bavail), size(disk.f_blocks));
            match are_inodes_scarcer(&disk) {
                false => format!("free some space in {path} ({free} free of {all} now)"),
                true => format!(
                    "remove some files in {path} ({} of {} inodes free now, and {free} of {all})",
                    grouped(disk.f_favail),
                    grouped(disk.f_files),
                ),
            }
        }
        (DiskFault::Full, Err(_)) => format!("free some space in {path}"),
        (DiskFault::Refused, Ok(_) | Err(_)) => format!("check the disk of {path}"),
    };
    match is_resumable {
        true => {
            format!("{first}, and run the job again, without --fresh: committed tasks are kept")
        }
        false => format!("{first}, and run the job again, with the same input"),
    }
}

/// Whether a larger part of the inodes is used than of the space: the system has one error for
/// both. Some file systems report no inodes.
fn are_inodes_scarcer(disk: &StatVfs) -> bool {
    let product = |one: u64, other: u64| u128::from(one) * u128::from(other);
    disk.f_files > 0 && product(disk.f_favail, disk.f_blocks) < product(disk.f_bavail, disk.f_files)
}
