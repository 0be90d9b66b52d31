//! The same fail points in a build for users: they do nothing.

use std::fmt::Display;
use std::io;

/// There is nothing to arm.
#[inline]
pub fn arm() {}

/// Nothing is triggered.
#[inline]
pub fn reach(_: &str, _: impl Display) {}

/// Nothing is refused.
///
/// # Errors
///
/// None.
#[inline]
pub fn refuse(_: &str, _: impl Display) -> io::Result<()> {
    Ok(())
}

/// Nothing is torn.
///
/// # Errors
///
/// None.
#[inline]
pub fn tear(
    _: &str,
    _: impl Display,
    _: impl FnOnce(&[u8]) -> io::Result<()>,
    _: &[u8],
) -> io::Result<()> {
    Ok(())
}

/// All that is available.
#[inline]
pub fn limit(_: &str, available: u64) -> u64 {
    available
}
