//! The contents of certificates, and what is wrong with them and with the keys beside them.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rpc::certs::{AUTHORITY_FILE, CERTIFICATE_FILE, Certificate, KEY_FILE, Usage};
use rpc::text::escaped;
use serde::Serialize;

use super::AUTHORITY;
use super::finding::Finding;
use crate::flags::CertsShowFlags;
use crate::messages::{self, Failure, SystemError, Warning};
use crate::numbers::{unix_seconds, utc};
use crate::verbosity::Verbosity;

/// `mapmill certs show`
pub(super) fn print(flags: &CertsShowFlags) -> Result<(), Failure> {
    let inspection = Inspection::at(&flags.path, SystemTime::now())?;
    if flags.json {
        messages::json(&CertificateList::of(&inspection))?;
    } else {
        messages::data(inspection.table().as_bytes())?;
    }
    for finding in inspection.findings {
        messages::warn(&Warning::Certificate(Box::new(finding)), Verbosity::Normal);
    }
    Ok(())
}

/// A certificate that expires within this time gets a warning.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// Digits of a fingerprint in the table: enough to distinguish a few certificates.
const FINGERPRINT_DIGITS: usize = 16;

/// The certificates below a path, and what is wrong with them.
#[derive(Default)]
struct Inspection {
    /// Each with the folder that holds it, or the file.
    certificates: Vec<(PathBuf, Certificate)>,
    findings: Vec<Finding>,
}

impl Inspection {
    fn at(path: &Path, now: SystemTime) -> Result<Self, Failure> {
        let nothing = || Failure::start(NoCertificates { path: path.to_owned() });
        let metadata = path.metadata().map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            if is_missing { nothing() } else { cannot_read(path, error) }
        })?;
        let mut inspection = Self::default();
        if metadata.is_file() {
            let text = fs::read(path).map_err(|error| cannot_read(path, error))?;
            let certificates = Certificate::from_pem(&text);
            let certificates = certificates.map_err(|source| {
                Failure::start(Finding::Unreadable { path: path.to_owned(), source })
            })?;
            for certificate in certificates {
                inspection.add(path, certificate, now);
            }
            return Ok(inspection);
        }
        if path.join(CERTIFICATE_FILE).exists() {
            inspection.inspect_folder(path, now)?;
        } else {
            let entries = fs::read_dir(path).map_err(|error| cannot_read(path, error))?;
            let entries = entries.map(|entry| entry.map(|entry| entry.path()));
            let folders: io::Result<Vec<_>> = entries.collect();
            let mut folders = folders.map_err(|error| cannot_read(path, error))?;
            folders.retain(|folder| folder.join(CERTIFICATE_FILE).exists());
            folders.sort_by_key(|folder| (!folder.ends_with(AUTHORITY), folder.clone()));
            for folder in folders {
                inspection.inspect_folder(&folder, now)?;
            }
        }
        if inspection.certificates.is_empty() && inspection.findings.is_empty() {
            return Err(nothing());
        }
        Ok(inspection)
    }

    /// Reads a credentials folder, or that of an authority.
    fn inspect_folder(&mut self, folder: &Path, now: SystemTime) -> Result<(), Failure> {
        let path = folder.join(CERTIFICATE_FILE);
        let text = fs::read(&path).map_err(|error| cannot_read(&path, error))?;
        let certificates = match Certificate::from_pem(&text) {
            Ok(certificates) => certificates,
            Err(source) => {
                self.findings.push(Finding::Unreadable { path, source });
                return Ok(());
            }
        };
        // Further certificates are the chain from the first to its authority.
        let own = certificates[0].clone();
        for certificate in certificates {
            self.add(folder, certificate, now);
        }
        self.inspect_key(&folder.join(KEY_FILE), &own)?;
        if !own.is_authority {
            self.inspect_authority(folder.join(AUTHORITY_FILE), path, &own)?;
        }
        Ok(())
    }

    fn inspect_key(&mut self, path: &Path, own: &Certificate) -> Result<(), Failure> {
        let key = path.to_owned();
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.findings.push(Finding::Missing { path: key });
                return Ok(());
            }
            Err(error) => return Err(cannot_read(path, error)),
        };
        if let Some(mode) = rpc::too_open(&metadata) {
            self.findings.push(Finding::KeyOpen { path: key.clone(), mode });
        }
        let text = fs::read_to_string(path).map_err(|error| cannot_read(path, error))?;
        match own.has_key(&text) {
            Ok(true) => {}
            Ok(false) => self.findings.push(Finding::OtherKey { path: key }),
            Err(source) => self.findings.push(Finding::BadKey { path: key, source }),
        }
        Ok(())
    }

    fn inspect_authority(
        &mut self,
        path: PathBuf,
        signed: PathBuf,
        own: &Certificate,
    ) -> Result<(), Failure> {
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.findings.push(Finding::Missing { path });
                return Ok(());
            }
            Err(error) => return Err(cannot_read(&path, error)),
        };
        match Certificate::from_pem(&text) {
            Ok(authorities) if authorities.iter().any(|one| own.is_signed_by(one)) => {}
            Ok(_) => self.findings.push(Finding::OtherAuthority { path: signed }),
            Err(source) => self.findings.push(Finding::Unreadable { path, source }),
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, certificate: Certificate, now: SystemTime) {
        let path = path.to_owned();
        self.findings.extend(finding_about_time(&path, &certificate, now));
        if let Err(source) = &certificate.role
            && !certificate.is_authority
        {
            self.findings.push(Finding::NoRole { path: path.clone(), source: source.clone() });
        }
        self.certificates.push((path, certificate));
    }

    /// For people: a line for each certificate, in columns.
    fn table(&self) -> String {
        let heads = ["folder", "role", "name", "valid until", "fingerprint", "hosts"];
        let mut rows = vec![heads.map(str::to_owned)];
        rows.extend(self.certificates.iter().map(|(path, certificate)| {
            [
                path.display().to_string(),
                role(certificate).to_owned(),
                certificate.name.clone(),
                utc(unix_seconds(certificate.valid_until)),
                certificate.fingerprint[..FINGERPRINT_DIGITS].to_owned(),
                certificate.hosts.join(" "),
            ]
            .map(|text| escaped(&text).to_string())
        }));
        let mut text = String::new();
        for row in &rows {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let widths = rows.iter().map(|row| row[column].chars().count());
                format!("{cell:<width$}", width = widths.max().unwrap_or(0))
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

fn finding_about_time(path: &Path, certificate: &Certificate, now: SystemTime) -> Option<Finding> {
    let path = path.to_owned();
    if now < certificate.valid_from {
        return Some(Finding::NotYet { path, from: certificate.valid_from });
    }
    match certificate.valid_until.duration_since(now) {
        Ok(left) if left < SOON => Some(Finding::ExpiresSoon { path, left }),
        Ok(_) => None,
        Err(_) => Some(Finding::Expired { path, at: certificate.valid_until }),
    }
}

fn role(certificate: &Certificate) -> &'static str {
    use rpc::certs::Role;
    match &certificate.role {
        _ if certificate.is_authority => "authority",
        Ok((Role::Driver, _)) => "driver",
        Ok((Role::Viewer, _)) => "viewer",
        Ok((Role::Worker, _)) => "worker",
        Err(_) => "none",
    }
}

fn cannot_read(path: &Path, source: io::Error) -> Failure {
    Failure::start(SystemError::new(format!("read {}", path.display()), source))
}

/// For programs.
#[derive(Serialize)]
struct CertificateList<'a> {
    certificates: Vec<CertificateReport<'a>>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct CertificateReport<'a> {
    path: String,
    /// `authority`, `driver`, `worker`, `viewer` or `none`.
    role: &'static str,
    name: &'a str,
    issuer: &'a str,
    hosts: &'a [String],
    usages: Vec<&'static str>,
    valid_from_unix_seconds: u64,
    valid_until_unix_seconds: u64,
    sha256: &'a str,
}

impl<'a> CertificateList<'a> {
    fn of(inspection: &'a Inspection) -> Self {
        let certificates = inspection.certificates.iter().map(|(path, certificate)| {
            let usages = certificate.usages.iter().map(|usage| match usage {
                Usage::Client => "client",
                Usage::Server => "server",
            });
            CertificateReport {
                path: path.display().to_string(),
                role: role(certificate),
                name: &certificate.name,
                issuer: &certificate.issuer,
                hosts: &certificate.hosts,
                usages: usages.collect(),
                valid_from_unix_seconds: unix_seconds(certificate.valid_from),
                valid_until_unix_seconds: unix_seconds(certificate.valid_until),
                sha256: &certificate.fingerprint,
            }
        });
        let warnings = inspection.findings.iter().map(ToString::to_string);
        Self { certificates: certificates.collect(), warnings: warnings.collect() }
    }
}

/// There is no certificate.
#[derive(Debug)]
struct NoCertificates {
    path: PathBuf,
}

impl fmt::Display for NoCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(
            f,
            "there are no certificates in {path}; create some with: mapmill certs init {path}"
        )
    }
}

impl Error for NoCertificates {}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::certs::Authority;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn expiry_of_a_certificate_is_reported_before_and_after() {
        let made = SystemTime::UNIX_EPOCH + DAY * 20_900;
        let authority = Authority::new(made, 90).unwrap();
        let pem = authority.pair().certificate_pem.as_bytes();
        let certificate = Certificate::from_pem(pem).unwrap().remove(0);
        let said = |now| {
            let finding = finding_about_time(Path::new("w"), &certificate, now);
            finding.map_or(String::new(), |finding| finding.to_string())
        };
        let second = Duration::from_secs(1);

        assert_eq!(said(made), "");
        assert_eq!(said(made + DAY * 76), "");
        assert_eq!(said(made + DAY * 76 + second), "w expires in 13 days");
        assert_eq!(said(made + DAY * 89), "w expires in 1 day");
        assert_eq!(said(made + DAY * 90), "w expires in 0 days");
        assert_eq!(said(made + DAY * 90 + second), "w expired on 2027-06-21 00:00:00 UTC");
        let early = "w is not valid before 2027-03-22 23:55:00 UTC: are the clocks right?";
        assert_eq!(said(made - second * 301), early);
    }
}
