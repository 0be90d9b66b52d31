//! Certificates of every good and bad kind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rpc::{Credentials, Role, Tls, TlsError, TlsFiles};
use tempfile::TempDir;

/// An authority, and the folders with what it has issued.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: String,
    folder: TempDir,
}

/// The contents of a certificate.
#[derive(Clone)]
pub struct Says {
    pub uris: Vec<String>,
    pub hosts: Vec<&'static str>,
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    pub from: SystemTime,
    pub until: SystemTime,
}

pub const CLIENT: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ClientAuth;
pub const SERVER: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ServerAuth;

/// The contents of a valid one.
pub fn good(role: Role, name: &str) -> Says {
    let (hosts, usage) = match role {
        Role::Driver => (vec!["127.0.0.1", "localhost"], SERVER),
        Role::Viewer | Role::Worker => (vec![], CLIENT),
    };
    let now = SystemTime::now();
    Says {
        uris: vec![format!("urn:mapmill:{role}:{name}")],
        hosts,
        usages: vec![usage],
        from: now - HOUR,
        until: now + HOUR,
    }
}

pub const HOUR: Duration = Duration::from_secs(3600);

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("there are random numbers");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).expect("the certificate is well-formed").pem();
        let folder = TempDir::new().expect("there is a folder for temporary files");
        Self { issuer: Issuer::new(params, key), certificate, folder }
    }

    /// The folder of a good certificate.
    pub fn folder(&self, role: Role, name: &str) -> PathBuf {
        self.folder_of(name, &good(role, name))
    }

    /// A folder with a certificate of these contents. An earlier one is replaced.
    pub fn folder_of(&self, name: &str, says: &Says) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).expect("folders can be made");
        let key = KeyPair::generate().expect("there are random numbers");
        let mut params = CertificateParams::new(
            says.hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>(),
        )
        .expect("hosts are well-formed");
        params.distinguished_name.push(DnType::CommonName, name);
        for uri in &says.uris {
            let uri = uri.as_str().try_into().expect("URIs are of ASCII");
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.extended_key_usages = says.usages.clone();
        (params.not_before, params.not_after) = (says.from.into(), says.until.into());
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        write(&folder.join("cert.pem"), &certificate.pem(), 0o644);
        write(&folder.join("key.pem"), &key.serialize_pem(), 0o600);
        write(&folder.join("ca.pem"), &self.certificate, 0o644);
        folder
    }

    /// Ready to be used.
    pub fn tls(&self, role: Role, name: &str) -> Tls {
        load(&self.folder(role, name), role).expect("a good certificate can be used")
    }

    pub fn credentials(&self, role: Role, name: &str) -> Credentials {
        with_tls(self.tls(role, name))
    }
}

pub fn load(folder: &Path, role: Role) -> Result<Tls, TlsError> {
    Tls::load(TlsFiles::in_folder(folder), role)
}

pub fn with_tls(tls: Tls) -> Credentials {
    Credentials { tls: Some(tls), ..Credentials::default() }
}

/// Replaces a file in one step, by a rename.
pub fn write(path: &Path, text: &str, mode: u32) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("files can be written");
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).expect("the file is ours");
    fs::rename(&new, path).expect("both are in one folder");
}
