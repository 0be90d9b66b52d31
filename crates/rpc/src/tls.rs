//! The certificate, the key and the authority of one side: loaded, checked, and reloaded when the
//! files have changed.
//!
//! Everything is checked before its first use, so that a mistake is reported with its file when a
//! program starts, not as a broken connection an hour later. rustls checks the peer's certificate;
//! the client and the server's guard check its *role*.
//!
//! Deliberately absent: versions before TLS 1.3, session resumption (a ticket would outlive the
//! certificate it was issued for; a handshake costs less than a millisecond), revocation lists.

pub(crate) mod handshake;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, RootCertStore, ServerConfig, client,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::certs::{AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE, role_of};
use crate::limits;
use crate::peer::Role;
use crate::secrecy::too_open;
use crate::text::with_causes;

/// The three files of one side.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// Our certificate, in PEM.
    pub cert: PathBuf,
    /// Its private key, PKCS#8 in PEM, readable by its owner only.
    pub key: PathBuf,
    /// The certificate of the authority that issued all certificates of the job.
    pub ca: PathBuf,
}

impl TlsFiles {
    /// `cert.pem`, `key.pem`, `ca.pem` of a credentials folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            cert: folder.join(CERTIFICATE_FILE),
            key: folder.join(KEY_FILE),
            ca: folder.join(AUTHORITY_FILE),
        }
    }
}

/// A side's certificate, key and authority. Clones share them.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    role: Role,
    kept: Mutex<Kept>,
}

/// What was loaded, and from which files.
struct Kept {
    loaded: Arc<Loaded>,
    /// The stamps of the files at the last check, whether they could be loaded or not.
    stamps: [Stamp; 3],
    looked: Instant,
}

/// What one load of the files gave.
pub(crate) struct Loaded {
    /// The name in our certificate.
    name: String,
    /// The validity of our certificate, for people.
    valid_from: String,
    valid_until: String,
    /// For connecting.
    pub(crate) client: Arc<ClientConfig>,
    /// For accepting: callers must have a certificate.
    pub(crate) server: Arc<ServerConfig>,
    /// For accepting callers without a certificate as well.
    pub(crate) server_for_all: Arc<ServerConfig>,
}

/// Differs after a change of a file, unless the change is deliberately hidden.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanos: i64,
}

/// Why the files of one side cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate has expired.
    #[error("{} expired on {until}", path.display())]
    Expired {
        /// Of the certificate.
        path: PathBuf,
        /// The last second.
        until: String,
    },
    /// The file does not have the expected contents.
    #[error("{} has {found}, and {wanted} is needed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The expected contents.
        wanted: &'static str,
        /// What was found.
        found: String,
    },
    /// The certificate is not yet valid, or a clock is wrong.
    #[error(
        "{} is valid from {from} on, and here it is {now}: set the clocks right, \
         or wait",
        path.display()
    )]
    NotYetValid {
        /// Of the certificate.
        path: PathBuf,
        /// Its first second.
        from: String,
        /// The time of this machine's clock.
        now: String,
    },
    /// Another authority issued the certificate.
    #[error(
        "{} was not made by the authority of {}: take both from the same credentials folder",
        path.display(), ca.display()
    )]
    OtherAuthority {
        /// Of the certificate.
        path: PathBuf,
        /// Of the authority's.
        ca: PathBuf,
    },
    /// Key and certificate do not belong together.
    #[error(
        "{} is not the key to {}: take both from the same credentials folder",
        path.display(), certificate.display()
    )]
    OtherKey {
        /// Of the key.
        path: PathBuf,
        /// Of the certificate.
        certificate: PathBuf,
    },
    /// The certificate is for another role.
    #[error(
        "{} {found}; role {wanted} is needed",
        path.display()
    )]
    OtherRole {
        /// Of the certificate.
        path: PathBuf,
        /// The role that it has.
        found: String,
        /// The role that is needed.
        wanted: Role,
    },
    /// The key is accessible to other users.
    #[error(
        "{} can be read by others than its owner (mode {mode:o}): chmod 600 {} (640 if root owns it)",
        path.display(), path.display()
    )]
    Public {
        /// Of the key.
        path: PathBuf,
        /// The mode bits.
        mode: u32,
    },
    /// The file is missing or cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl Tls {
    /// Loads the files and checks that they are valid for `role`.
    ///
    /// # Errors
    ///
    /// When they cannot be used, have expired or are not yet valid.
    pub fn load(files: TlsFiles, role: Role) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let loaded = Arc::new(Loaded::read(&files, role)?);
        let kept = Mutex::new(Kept { loaded, stamps, looked: Instant::now() });
        Ok(Self(Arc::new(Shared { files, role, kept })))
    }

    /// The name in the certificate.
    pub fn name(&self) -> String {
        self.0.kept().loaded.name.clone()
    }

    /// The paths.
    pub(crate) fn files(&self) -> &TlsFiles {
        &self.0.files
    }

    /// The present contents of the files, which are checked at most once a second. If they cannot
    /// be loaded the contents before are kept, and the reason is logged once.
    pub(crate) async fn current(&self) -> Arc<Loaded> {
        if self.0.is_due() {
            let shared = Arc::clone(&self.0);
            // The disk may not answer. If the check panics, the files that were loaded before stay
            // valid.
            match tokio::task::spawn_blocking(move || shared.look()).await {
                Ok(Ok(true)) => tracing::info!(name = self.name(), "took new certificates"),
                Ok(Err(error)) => {
                    let error = with_causes(&error);
                    tracing::warn!("keeping the certificates from before: {error}");
                }
                Ok(Ok(false)) | Err(_) => {}
            }
        }
        Arc::clone(&self.0.kept().loaded)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        f.debug_struct("Tls").field("name", &name).field("files", &self.0.files).finish()
    }
}

impl Shared {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing panics while it is held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the files are due for a check; true once per interval.
    fn is_due(&self) -> bool {
        let mut kept = self.kept();
        let is_due = kept.looked.elapsed() >= limits::CERTIFICATE_LOOK_INTERVAL;
        if is_due {
            kept.looked = Instant::now();
        }
        is_due
    }

    /// Loads the files again if they have changed. Returns whether they had.
    fn look(&self) -> Result<bool, TlsError> {
        let stamps = stamps(&self.files);
        if stamps == self.kept().stamps {
            return Ok(false);
        }
        // Without the lock: connections that are made meanwhile use the files loaded before.
        let read = Loaded::read(&self.files, self.role);
        let mut kept = self.kept();
        // Kept for unusable files as well: they are not tried again until they change.
        kept.stamps = stamps;
        kept.loaded = Arc::new(read?);
        Ok(true)
    }
}

impl Loaded {
    fn read(files: &TlsFiles, role: Role) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(&files.cert)?;
        let own = Arc::new(certified_key(files, chain.clone(), &provider)?);
        let roots = Arc::new(roots(&files.ca)?);
        let (found, name) = role_of(&chain[0]).map_err(|error| TlsError::OtherRole {
            path: files.cert.clone(),
            found: format!("is not for Mapmill ({error})"),
            wanted: role,
        })?;
        if found != role {
            return Err(TlsError::OtherRole {
                path: files.cert.clone(),
                found: format!("has role {found} (name {name})"),
                wanted: role,
            });
        }
        let anyone =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let malformed = |detail: String| TlsError::Malformed {
            path: files.ca.clone(),
            wanted: "the certificate of an authority",
            found: detail,
        };
        let callers = anyone.clone().build().map_err(|error| malformed(error.to_string()))?;
        let anyone =
            anyone.allow_unauthenticated().build().map_err(|error| malformed(error.to_string()))?;
        verify(role, &chain, &roots, callers.as_ref(), &provider)
            .map_err(|error| own_error(files, role, error))?;
        let driver =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let validity = validity(&chain[0]);
        Ok(Self {
            name,
            valid_from: validity.0,
            valid_until: validity.1,
            client: client_config(
                driver.map_err(|error| malformed(error.to_string()))?,
                &own,
                &provider,
            ),
            server: server_config(callers, &own, &provider),
            server_for_all: server_config(anyone, &own, &provider),
        })
    }
}

fn client_config(
    driver: Arc<WebPkiServerVerifier>,
    own: &Arc<CertifiedKey>,
    provider: &Arc<CryptoProvider>,
) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("ring has cipher suites of TLS 1.3")
        .with_webpki_verifier(driver)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own))));
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

fn server_config(
    callers: Arc<dyn ClientCertVerifier>,
    own: &Arc<CertifiedKey>,
    provider: &Arc<CryptoProvider>,
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("ring has cipher suites of TLS 1.3")
        .with_client_cert_verifier(callers)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own))));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// As the other side will verify it.
fn verify(
    role: Role,
    chain: &[CertificateDer<'static>],
    roots: &RootCertStore,
    callers: &dyn ClientCertVerifier,
    provider: &CryptoProvider,
) -> Result<(), rustls::Error> {
    let (own, others) = (&chain[0], &chain[1..]);
    let now = UnixTime::now();
    match role {
        Role::Driver => client::verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own)?,
            roots,
            others,
            now,
            provider.signature_verification_algorithms.all,
        ),
        Role::Viewer | Role::Worker => {
            callers.verify_client_cert(own, others, now).map(|_verified| ())
        }
    }
}

/// Why our own certificate is not valid.
fn own_error(files: &TlsFiles, role: Role, error: rustls::Error) -> TlsError {
    let path = files.cert.clone();
    let rustls::Error::InvalidCertificate(error) = error else {
        return unusable(path, &error);
    };
    if let CertificateError::ExpiredContext { not_after, .. } = error {
        TlsError::Expired { path, until: utc(not_after) }
    } else if let CertificateError::NotValidYetContext { time, not_before } = error {
        TlsError::NotYetValid { path, from: utc(not_before), now: utc(time) }
    } else if handshake::is_of_another_authority(&error) {
        TlsError::OtherAuthority { path, ca: files.ca.clone() }
    } else if let CertificateError::InvalidPurposeContext { .. } = error {
        TlsError::OtherRole {
            path,
            found: "is not for this end of a connection (extended key usage)".to_owned(),
            wanted: role,
        }
    } else {
        unusable(path, &rustls::Error::InvalidCertificate(error))
    }
}

fn unusable(path: PathBuf, error: &rustls::Error) -> TlsError {
    TlsError::Malformed { path, wanted: "a certificate of P-256", found: error.to_string() }
}

fn certified_key(
    files: &TlsFiles,
    chain: Vec<CertificateDer<'static>>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let path = files.key.clone();
    let text = read(&path, Secrecy::OwnersAlone)?;
    let malformed = |path: &Path, found: String| TlsError::Malformed {
        path: path.to_owned(),
        wanted: "a private key (PKCS#8 in PEM)",
        found,
    };
    let key =
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| malformed(&path, said(error)))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        if let rustls::Error::InconsistentKeys(_) = error {
            return TlsError::OtherKey { path: path.clone(), certificate: files.cert.clone() };
        }
        malformed(&path, error.to_string())
    })
}

/// All certificates of a file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, Secrecy::None)?;
    let malformed = |found| TlsError::Malformed {
        path: path.to_owned(),
        wanted: "a certificate (X.509 in PEM)",
        found,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| malformed(said(error)))?;
    if found.is_empty() {
        return Err(malformed(said(pem::Error::NoItemsFound)));
    }
    Ok(found)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError::Malformed {
            path: path.to_owned(),
            wanted: "the certificate of an authority",
            found: error.to_string(),
        })?;
    }
    Ok(roots)
}

fn said(error: pem::Error) -> String {
    if let pem::Error::NoItemsFound = error {
        return "none".to_owned();
    }
    format!("a damaged one ({error})")
}

/// Which users may read a file.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Secrecy {
    None,
    OwnersAlone,
}

fn read(path: &Path, secrecy: Secrecy) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Of the opened file, not of a file that has taken its name since.
    let metadata = file.metadata().map_err(failed)?;
    if secrecy == Secrecy::OwnersAlone
        && let Some(mode) = too_open(&metadata)
    {
        return Err(TlsError::Public { path: path.to_owned(), mode });
    }
    let mut text = Vec::new();
    file.take(limits::CREDENTIAL_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

fn stamps(files: &TlsFiles) -> [Stamp; 3] {
    [&files.cert, &files.key, &files.ca].map(|path| {
        let stamp = path.metadata().map(|file| Stamp {
            inode: file.ino(),
            bytes: file.size(),
            seconds: file.mtime(),
            nanos: file.mtime_nsec(),
        });
        // A missing file differs from every existing one.
        stamp.unwrap_or_default()
    })
}

/// The validity of a certificate that was parsed before.
fn validity(der: &[u8]) -> (String, String) {
    X509Certificate::from_der(der).map_or_else(
        |_| Default::default(),
        |(_, certificate)| {
            let validity = certificate.validity();
            (validity.not_before.to_string(), validity.not_after.to_string())
        },
    )
}

/// A time for people.
pub(crate) fn utc(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    ASN1Time::from_timestamp(seconds).map_or_else(|_| seconds.to_string(), |it| it.to_string())
}
