//! Reading certificates, which are untrusted input.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use rcgen::{KeyPair, PublicKeyData};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::{Name, NameError, Role, URN};

/// The contents of a certificate. Texts are unchecked, and may hold any character.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The whole certificate.
    pub der: Vec<u8>,
    /// The bearer's role and name, or why they are unknown; see [`role_of`].
    pub role: Result<(Role, String), RoleError>,
    /// Whether it may sign other certificates.
    pub is_authority: bool,
    /// The common name of its bearer; empty if there is none.
    pub name: String,
    /// The common name of its issuer; empty if there is none.
    pub issuer: String,
    /// Names and addresses of hosts.
    pub hosts: Vec<String>,
    /// The ends of a TLS connection that it may be used for.
    pub usages: Vec<Usage>,
    /// From this second on.
    pub valid_from: SystemTime,
    /// Up to this second.
    pub valid_until: SystemTime,
    /// SHA-256 over all of it, as 64 hexadecimal digits.
    pub fingerprint: String,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usage {
    /// The end that connects.
    Client,
    /// The end that accepts connections.
    Server,
}

/// The role and name of a certificate's bearer, by the one URI `urn:mapmill:ROLE:NAME` among its
/// alternative names. Whether the certificate is valid has been checked by TLS before.
///
/// # Errors
///
/// When there is no such URI, more than one, or one that is not well-formed.
pub fn role_of(der: &[u8]) -> Result<(Role, String), RoleError> {
    let certificate = parse(der).map_err(RoleError::Read)?;
    role_in(&certificate)
}

impl Certificate {
    /// Reads one certificate.
    ///
    /// # Errors
    ///
    /// When `der` is not a certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, ReadError> {
        let parsed = parse(der)?;
        let usages = parsed.extended_key_usage().map_err(malformed)?;
        let usages = usages.map(|usages| usages.value).map_or(Vec::new(), |usages| {
            let client = usages.client_auth.then_some(Usage::Client);
            client.into_iter().chain(usages.server_auth.then_some(Usage::Server)).collect()
        });
        let constraints = parsed.basic_constraints().map_err(malformed)?;
        Ok(Self {
            role: role_in(&parsed),
            is_authority: constraints.is_some_and(|constraints| constraints.value.ca),
            name: common_name(parsed.subject()),
            issuer: common_name(parsed.issuer()),
            hosts: alternative_names(&parsed)?.iter().filter_map(host).collect(),
            usages,
            valid_from: time(parsed.validity().not_before),
            valid_until: time(parsed.validity().not_after),
            fingerprint: hexadecimal(ring::digest::digest(&ring::digest::SHA256, der).as_ref()),
            der: der.to_owned(),
        })
    }

    /// Reads all certificates of a file: at least one.
    ///
    /// # Errors
    ///
    /// When there is none, or other content.
    pub fn from_pem(text: &[u8]) -> Result<Vec<Self>, ReadError> {
        let mut certificates = Vec::new();
        for pem in Pem::iter_from_buffer(text) {
            let pem = pem.map_err(malformed)?;
            if pem.label != "CERTIFICATE" {
                return Err(ReadError::Other { label: pem.label });
            }
            certificates.push(Self::from_der(&pem.contents)?);
        }
        if certificates.is_empty() {
            return Err(ReadError::None);
        }
        Ok(certificates)
    }

    /// Whether `key` is its private key.
    ///
    /// # Errors
    ///
    /// When the text is not a private key of a supported kind.
    pub fn has_key(&self, key_pem: &str) -> Result<bool, KeyError> {
        let key = KeyPair::from_pem(key_pem)?;
        let parsed = parse(&self.der);
        Ok(parsed.is_ok_and(|parsed| parsed.public_key().raw == key.subject_public_key_info()))
    }

    /// Whether `authority` has signed it.
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let (Ok(parsed), Ok(signer)) = (parse(&self.der), parse(&authority.der)) else {
            return false;
        };
        authority.is_authority
            && parsed.issuer().as_raw() == signer.subject().as_raw()
            && parsed.verify_signature(Some(signer.public_key())).is_ok()
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, ReadError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(malformed)?;
    if !rest.is_empty() {
        return Err(ReadError::Malformed { detail: "there is more behind it".to_owned() });
    }
    Ok(certificate)
}

fn role_in(certificate: &X509Certificate<'_>) -> Result<(Role, String), RoleError> {
    let names = alternative_names(certificate).map_err(RoleError::Read)?;
    let is_ours = |uri: &&str| {
        // Other software may compare without regard to case here.
        uri.get(..URN.len()).is_some_and(|start| start.eq_ignore_ascii_case(URN))
    };
    let uris = names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let ours: Vec<&str> = uris.filter(is_ours).collect();
    let &[urn] = ours.as_slice() else {
        return Err(match ours.len() {
            0 => RoleError::None,
            count => RoleError::Several { count },
        });
    };
    let (role, name) = urn
        .strip_prefix(URN)
        .and_then(|both| both.split_once(':'))
        .ok_or_else(|| RoleError::Unknown { urn: shortened(urn) })?;
    let roles = [Role::Driver, Role::Viewer, Role::Worker];
    let role = roles.into_iter().find(|known| known.to_string() == role);
    let role = role.ok_or_else(|| RoleError::Unknown { urn: shortened(urn) })?;
    let name: Name =
        name.parse().map_err(|source| RoleError::Name { name: shortened(name), source })?;
    Ok((role, name.as_str().to_owned()))
}

/// All alternative names; none without the extension.
fn alternative_names<'der>(
    certificate: &X509Certificate<'der>,
) -> Result<Vec<GeneralName<'der>>, ReadError> {
    let names = certificate.subject_alternative_name().map_err(malformed)?;
    let names = names.map_or(Vec::new(), |names| names.value.general_names.clone());
    // Other software may be able to read it, and find another role.
    if names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
        return Err(ReadError::Malformed { detail: "an alternative name is no text".to_owned() });
    }
    Ok(names)
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some((*name).to_owned());
    }
    let GeneralName::IPAddress(bytes) = name else { return None };
    let short = <[u8; 4]>::try_from(*bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    let long = || <[u8; 16]>::try_from(*bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
    short.or_else(|_| long()).ok().map(|address| address.to_string())
}

fn common_name(name: &X509Name<'_>) -> String {
    let first = name.iter_common_name().next();
    first.and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned()
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let apart = Duration::from_secs(seconds.unsigned_abs());
    // Years have at most four digits.
    if seconds < 0 { SystemTime::UNIX_EPOCH - apart } else { SystemTime::UNIX_EPOCH + apart }
}

/// Shortened to fit a line of a log.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

fn malformed(error: impl std::fmt::Display) -> ReadError {
    ReadError::Malformed { detail: error.to_string() }
}

/// The bytes are not a certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// They cannot be parsed.
    #[error("the certificate cannot be read: {detail}")]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// There is no certificate.
    #[error("there is no certificate in it")]
    None,
    /// They are of another kind.
    #[error("there is something else than a certificate in it: {label:?}")]
    Other {
        /// Its PEM label.
        label: String,
    },
}

/// A certificate does not name its bearer's role.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RoleError {
    /// The name in it is not valid.
    #[error("the certificate names its bearer {name:?}; {source}")]
    Name {
        /// The URI, or the beginning of it.
        name: String,
        /// The rule.
        source: NameError,
    },
    /// It has no URI of ours.
    #[error("the certificate names no role: it has no URI {URN}ROLE:NAME")]
    None,
    /// The certificate cannot be read.
    #[error(transparent)]
    Read(ReadError),
    /// It has more than one URI of ours.
    #[error("the certificate names {count} roles, where one is allowed")]
    Several {
        /// How many.
        count: usize,
    },
    /// It names another role.
    #[error("the certificate names an unknown role: {urn:?}")]
    Unknown {
        /// The URI, or the beginning of it.
        urn: String,
    },
}

/// The text is not a private key of a supported kind.
#[derive(Debug, thiserror::Error)]
#[error("the private key cannot be read")]
pub struct KeyError(#[from] rcgen::Error);
