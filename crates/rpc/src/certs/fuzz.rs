//! What the fuzz target `certs` checks: bytes to a certificate, or to a reason why not. Compiled
//! for it and for tests only.

use super::{Certificate, Name, role_of};

/// Reads `data` as a certificate, and as a file of certificates: it is refused, or its bearer's
/// name keeps the rules for names, and both ways of reading agree.
///
/// # Panics
///
/// When neither holds.
pub fn check(data: &[u8]) {
    let role = role_of(data);
    if let Ok((_, name)) = &role {
        assert!(name.parse::<Name>().is_ok(), "{name:?} is no name");
    }
    if let Err(error) = &role {
        assert!(!error.to_string().contains(char::is_control), "{error:?} would reach a terminal");
    }
    if let Ok(certificate) = Certificate::from_der(data) {
        assert_eq!(certificate.role, role);
        assert_eq!(certificate.fingerprint.len(), 64);
        // Self-signed or not.
        certificate.is_signed_by(&certificate);
    }
    for certificate in Certificate::from_pem(data).unwrap_or_default() {
        assert!(certificate.has_key("").is_err());
    }
}

#[test]
fn seeds_are_refused_or_name_a_bearer_that_keeps_the_rules() {
    crate::replay::replay("certs", check);
}
