//! Asks a running driver how its job stands: for who looks on from outside.

use std::time::Duration;

use rpc::message::Status;
use rpc::{AddressError, CallError, Client, Credentials};

/// A driver did not say how its job stands.
#[derive(Debug, thiserror::Error)]
pub enum StatusClientError {
    /// No driver can have that address.
    #[error(transparent)]
    Address(AddressError),
    /// The driver wants to see something else than was shown.
    #[error("the driver at {driver} refused to answer: {message}")]
    Denied {
        /// Its address.
        driver: String,
        /// Its sentence.
        message: String,
    },
    /// What answers is no driver, or one of another version.
    #[error("what listens at {driver} answers what cannot be understood: {message}")]
    Protocol {
        /// Its address.
        driver: String,
        /// What is wrong.
        message: String,
    },
    /// Nobody answers.
    #[error("no driver answers at {driver} ({seen})")]
    Silent {
        /// Its address.
        driver: String,
        /// What was seen.
        seen: String,
    },
}

/// Asks the driver at `address` (`HOST:PORT`) once, and waits up to [`ASK_PATIENCE`]. Must be
/// called within a Tokio runtime.
///
/// # Errors
///
/// When there is no answer.
pub async fn fetch_status(
    address: &str,
    credentials: &Credentials,
) -> Result<Status, StatusClientError> {
    let mut client = Client::new(address, credentials).map_err(StatusClientError::Address)?;
    let driver = address.to_owned();
    let silent = |seen| StatusClientError::Silent { driver: driver.clone(), seen };
    let answer = tokio::time::timeout(ASK_PATIENCE, client.status()).await;
    answer.map_err(|_elapsed| silent(format!("not within {} s", ASK_PATIENCE.as_secs())))?.map_err(
        |error| match error {
            CallError::Denied { message } => {
                StatusClientError::Denied { driver: driver.clone(), message }
            }
            CallError::Protocol { message } => {
                StatusClientError::Protocol { driver: driver.clone(), message }
            }
            CallError::Unreachable { message } => silent(message),
        },
    )
}

/// For a connection, and the answer.
const ASK_PATIENCE: Duration = Duration::from_secs(5);
