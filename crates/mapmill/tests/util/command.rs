//! Starting the program under test.

use std::process::Command;

/// `mapmill`, with nothing of the tester's environment that could change what it does.
pub fn mapmill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mapmill"));
    command.env_remove("MAPMILL_TOKEN").env_remove("FAILPOINTS");
    command
}
