//! Starting the program under test.

use std::process::Command;

/// `mapmill`, without the variables of the tester's environment that could change what it does: the
/// program that was built for this test, or `MAPMILL_BIN`.
pub fn mapmill() -> Command {
    let other = std::env::var_os("MAPMILL_BIN");
    let mut command = Command::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_mapmill").into()));
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// All variables that the program reads.
pub const VARIABLES: [&str; 10] = [
    "COLUMNS",
    "FAILPOINTS",
    "MAPMILL_TLS",
    "MAPMILL_TLS_CA",
    "MAPMILL_TLS_CERT",
    "MAPMILL_TLS_KEY",
    "MAPMILL_TOKEN",
    "MAPMILL_TOKEN_FILE",
    "NO_COLOR",
    "RUST_LOG",
];
