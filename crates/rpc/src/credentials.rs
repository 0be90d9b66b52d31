//! What one side of a connection shows to the other, and wants to be shown.

use crate::auth::Token;

/// What a driver asks of its callers, or a worker shows to its driver. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The secret that goes with every call.
    pub token: Option<Token>,
}

impl From<Option<Token>> for Credentials {
    fn from(token: Option<Token>) -> Self {
        Self { token }
    }
}
