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

/// What is valid from now on was so a little before: clocks differ.
const EARLIER: Duration = Duration::from_secs(5 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A key that makes others known, and its certificate.
#[derive(Debug)]
pub struct Authority {
    own: Pair,
    issuer: Issuer<'static, KeyPair>,
    valid_until: SystemTime,
}

/// A certificate and its private key. `Debug` hides the key: it must never reach a log.
#[derive(Clone)]
pub struct Pair {
    /// For everybody.
    pub certificate_pem: String,
    /// For its bearer alone. PKCS#8.
    pub key_pem: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(..)")
    }
}

impl Authority {
    /// A new one, unlike any other.
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub fn new(now: SystemTime, days: u32) -> Result<Self, MakeError> {
        let key = new_key()?;
        // By its name it can be told from others; what makes it another one is its key.
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

    /// One that was made before.
    ///
    /// # Errors
    ///
    /// When it is none, or none any more.
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

    /// A new key for `subject`, and a certificate that says so for so many days; not for longer
    /// than the authority's own, with which it would end anyway.
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

/// What every certificate says: a common name, and when it is valid.
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

/// What should be an authority cannot issue certificates.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It was one.
    #[error("the authority has expired; make another in another folder: mapmill certs init")]
    Expired,
    /// The key cannot be used.
    #[error(transparent)]
    Key(KeyError),
    /// The certificate is of another kind.
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
