//! Starting the program under test.

use std::process::Command;

/// `mapmill`, with nothing of the tester's environment that could change what it does: the one that
/// was built for this test, or `MAPMILL_BIN`.
pub fn mapmill() -> Command {
    let other = std::env::var_os("MAPMILL_BIN");
    let mut command = Command::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_mapmill").into()));
    command.env_remove("MAPMILL_TOKEN").env_remove("FAILPOINTS");
    command
}
