//! How much is printed on stderr: below the flags, which set it, and the messages, which obey it.

/// From less to more.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    Normal,
    /// Every event and action of the scheduler too.
    Events,
    /// Every call too.
    Calls,
}
