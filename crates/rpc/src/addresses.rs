//! Where a driver may be.

use std::fmt;

/// One address as `HOST:PORT`, or several, of which one has a driver at a time: those of a driver
/// and of the standbys that may take over from it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addresses(Vec<String>);

impl Addresses {
    /// `first`, and then the others in the order in which they are tried.
    pub fn new(first: String, others: impl IntoIterator<Item = String>) -> Self {
        Self([first].into_iter().chain(others).collect())
    }

    /// Never empty.
    pub fn all(&self) -> &[String] {
        &self.0
    }
}

impl From<String> for Addresses {
    fn from(address: String) -> Self {
        Self(vec![address])
    }
}

impl From<&str> for Addresses {
    fn from(address: &str) -> Self {
        address.to_owned().into()
    }
}

/// For a sentence: `node1:50051 or node2:50051`.
impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}
