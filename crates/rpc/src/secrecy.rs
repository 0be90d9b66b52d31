//! Which users may read a secret: a private key, or a token.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

/// The permissions of a secret that other users can use, or change; `None` if they are right.
///
/// Its owner alone may have access. If root owns it, its group may read it: administrators and
/// Kubernetes provide secrets in this way to a process that runs as another user. PostgreSQL has
/// the same rule.
pub fn too_open(metadata: &Metadata) -> Option<u32> {
    let mode = metadata.permissions().mode() & 0o7777;
    is_too_open(mode, metadata.uid()).then_some(mode)
}

fn is_too_open(mode: u32, owner: u32) -> bool {
    let refused = if owner == ROOT { 0o037 } else { 0o077 };
    mode & refused != 0
}

const ROOT: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_may_read_a_secret_of_root_and_no_other() {
        for mode in [0o400, 0o600, 0o700] {
            assert!(!is_too_open(mode, 0) && !is_too_open(mode, 1000), "{mode:o}");
        }
        for mode in [0o440, 0o640] {
            assert!(!is_too_open(mode, 0) && is_too_open(mode, 1000), "{mode:o}");
        }
        for mode in [0o644, 0o660, 0o620, 0o610, 0o604, 0o601, 0o444, 0o777] {
            assert!(is_too_open(mode, 0) && is_too_open(mode, 1000), "{mode:o}");
        }
    }
}
