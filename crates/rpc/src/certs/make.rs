//! Making keys, and certificates for them.

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};

use super::read::{Certificate, KeyError, ReadError, hexadecimal};
use super::{Host, Role, Subject, URN};

/// Certificates are valid from a little before now: clocks differ.
const EARLIER: Duration = Duration::from_secs(5 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A key that signs certificates, and its own certificate.
#[derive(Debug)]
pub struct Authority {
    own: Pair,
    issuer: Issuer<'static, KeyPair>,
    valid_until: SystemTime,
}

/// A certificate and its private key. `Debug` hides the key: it must never reach a log.
#[derive(Clone)]
pub struct Pair {
    /// Public.
    pub certificate_pem: String,
    /// Private to its bearer. PKCS#8.
    pub key_pem: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(..)")
    }
}

impl Authority {
    /// A new authority with a new key.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn new(now: SystemTime, days: u32) -> Result<Self, MakeError> {
        let key = new_key()?;
        // The name is for people; the key is what distinguishes it.
        let digest = ring::digest::digest(&ring::digest::SHA256, &key.subject_public_key_info());
        let name = format!("mapmill authority {}", hexadecimal(&digest.as_ref()[..4]));
        let valid_until = after(now, days);
        let mut params = valid(name, now, valid_until);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(MakeError)?;
        let own = Pair { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() };
        Ok(Self { own, issuer: Issuer::new(params, key), valid_until })
    }

    /// An existing authority.
    ///
    /// # Errors
    ///
    /// When the files are not those of an authority, or it has expired.
    pub fn load(own: Pair, now: SystemTime) -> Result<Self, AuthorityError> {
        let mut certificates =
            Certificate::from_pem(own.certificate_pem.as_bytes()).map_err(AuthorityError::Read)?;
        let certificate = match (certificates.pop(), certificates.len()) {
            (Some(certificate), 0) => certificate,
            (_, others) => return Err(AuthorityError::Several { count: others + 1 }),
        };
        if !certificate.is_authority {
            return Err(AuthorityError::NotOne { name: certificate.name });
        }
        if certificate.valid_until <= now {
            return Err(AuthorityError::Expired);
        }
        if !certificate.has_key(&own.key_pem).map_err(AuthorityError::Key)? {
            return Err(AuthorityError::OtherKey);
        }
        let key =
            KeyPair::from_pem(&own.key_pem).map_err(|error| AuthorityError::Key(error.into()));
        let issuer = Issuer::from_ca_cert_pem(&own.certificate_pem, key?)
            .map_err(|error| AuthorityError::Key(error.into()))?;
        Ok(Self { own, issuer, valid_until: certificate.valid_until })
    }

    /// Its own certificate and key.
    pub fn pair(&self) -> &Pair {
        &self.own
    }

    /// A new key for `subject`, and a certificate that is valid for so many days, at most as long
    /// as the authority's own.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn issue(&self, subject: &Subject, now: SystemTime, days: u32) -> Result<Pair, MakeError> {
        let key = new_key()?;
        let valid_until = after(now, days).min(self.valid_until);
        let mut params = valid(subject.name.to_string(), now, valid_until);
        let urn = format!("{URN}{}:{}", subject.role, subject.name);
        params.subject_alt_names = vec![SanType::URI(ia5(&urn)?)];
        for host in &subject.hosts {
            params.subject_alt_names.push(match host {
                Host::Address(address) => SanType::IpAddress(*address),
                Host::Name(name) => SanType::DnsName(ia5(name)?),
            });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match subject.role {
            Role::Driver => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Viewer | Role::Worker => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let certificate = params.signed_by(&key, &self.issuer).map_err(MakeError)?;
        Ok(Pair { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn new_key() -> Result<KeyPair, MakeError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(MakeError)
}

fn ia5(text: &str) -> Result<Ia5String, MakeError> {
    text.try_into().map_err(MakeError)
}

fn after(now: SystemTime, days: u32) -> SystemTime {
    now + DAY * days
}

/// What every certificate has: a common name, and a validity.
fn valid(name: String, now: SystemTime, valid_until: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - EARLIER).into();
    params.not_after = valid_until.into();
    params
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a key and its certificate")]
pub struct MakeError(#[source] rcgen::Error);

/// An authority that cannot issue certificates.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It has expired.
    #[error("the authority has expired")]
    Expired,
    /// The key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The certificate is not an authority's.
    #[error("the certificate of `{name}` is not that of an authority")]
    NotOne {
        /// Its common name.
        name: String,
    },
    /// Certificate and key do not belong together.
    #[error("the key belongs to another certificate")]
    OtherKey,
    /// The certificate cannot be read.
    #[error(transparent)]
    Read(ReadError),
    /// There must be one certificate.
    #[error("there are {count} certificates where an authority has one")]
    Several {
        /// How many there are.
        count: usize,
    },
}
