//! Asks a running driver for the status of its job.

use std::time::Duration;

use rpc::message::Status;
use rpc::{AddressError, Addresses, CallError, Client, Credentials, Denial};

/// The status of a job could not be retrieved.
#[derive(Debug, thiserror::Error)]
pub enum StatusClientError {
    /// The address is not valid.
    #[error(transparent)]
    Address(AddressError),
    /// One side does not accept the other's credentials.
    #[error("cannot ask the driver at {driver}")]
    Denied {
        /// Its address.
        driver: String,
        /// Why.
        source: Denial,
    },
    /// The answer is not that of a driver, or of one of another version.
    #[error("cannot understand the answer of {driver}: {message}")]
    Protocol {
        /// Its address.
        driver: String,
        /// What is wrong.
        message: String,
    },
    /// There was no answer.
    #[error("no driver answers at {driver} ({seen})")]
    Silent {
        /// Its address.
        driver: String,
        /// Instead of an answer.
        seen: String,
    },
}

/// Asks the driver at one of `addresses` once, and waits up to [`STATUS_TIMEOUT`]. Must be called
/// within a Tokio runtime.
///
/// # Errors
///
/// When there is no answer.
pub async fn fetch_status(
    addresses: &Addresses,
    credentials: &Credentials,
) -> Result<Status, StatusClientError> {
    let mut client = Client::to_any(addresses, credentials).map_err(StatusClientError::Address)?;
    let driver = addresses.to_string();
    let silent = |seen| StatusClientError::Silent { driver: driver.clone(), seen };
    let answer = tokio::time::timeout(STATUS_TIMEOUT, client.status()).await;
    answer
        .map_err(|_elapsed| match client.other_server() {
            Some(other) => silent(other.to_string()),
            None => silent(format!("not within {} s", STATUS_TIMEOUT.as_secs())),
        })?
        .map_err(|error| match error {
            CallError::Denied(source) => {
                StatusClientError::Denied { driver: driver.clone(), source }
            }
            CallError::Protocol { message } => {
                StatusClientError::Protocol { driver: driver.clone(), message }
            }
            CallError::OtherServer(other) => silent(other.to_string()),
            CallError::Unreachable { message } => silent(message),
        })
}

/// Covers the connection and the answer.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
