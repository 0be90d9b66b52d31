//! What the bearer of a certificate is, as its authority says in it.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::peer::Role;

/// What the URI that names a role begins with.
const URN: &str = "urn:mapmill:";

/// A certificate does not say what its bearer is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RoleError {
    #[error("the certificate cannot be read")]
    Malformed,
    #[error("the certificate names no role: it has no URI {URN}ROLE:NAME")]
    None,
    #[error("the certificate names more than one role")]
    Several,
    #[error("the certificate names an unknown role or a name that is none: {urn:?}")]
    Unknown { urn: String },
}

/// What the bearer of a certificate is: by the one URI `urn:mapmill:ROLE:NAME` among its
/// alternative names. Whether the certificate is good is another question, for TLS.
pub(crate) fn role_of(der: &[u8]) -> Result<(Role, String), RoleError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| RoleError::Malformed)?;
    let names = certificate.subject_alternative_name().map_err(|_| RoleError::Malformed)?;
    let names = names.map_or(&[][..], |names| names.value.general_names.as_slice());
    let ours: Vec<&str> = names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .filter(|uri| uri.get(..URN.len()).is_some_and(|start| start.eq_ignore_ascii_case(URN)))
        .collect();
    let &[urn] = ours.as_slice() else {
        return Err(if ours.is_empty() { RoleError::None } else { RoleError::Several });
    };
    let unknown = || RoleError::Unknown { urn: urn.chars().take(100).collect() };
    let (role, name) =
        urn.strip_prefix(URN).and_then(|both| both.split_once(':')).ok_or_else(unknown)?;
    let role = [Role::Driver, Role::Viewer, Role::Worker]
        .into_iter()
        .find(|known| known.to_string() == role)
        .ok_or_else(unknown)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=64).contains(&name.len()) || !name.bytes().all(is_plain) {
        return Err(unknown());
    }
    Ok((role, name.to_owned()))
}
