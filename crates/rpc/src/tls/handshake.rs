//! Why a handshake failed, in words that help the reader.

use std::io;

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, Error};

use super::{Loaded, TlsFiles, utc};
use crate::denial::Denial;

/// Why a driver refused a caller, for the driver's log.
pub(crate) fn refused_by_driver(error: &io::Error) -> String {
    let Some(error) = of_tls(error) else {
        return match error.kind() == io::ErrorKind::UnexpectedEof {
            true => "the other end hung up in the middle of it".to_owned(),
            false => error.to_string(),
        };
    };
    if let Error::InvalidCertificate(error) = error {
        format!("the certificate that was shown {}", what_is_wrong(error))
    } else if let Error::AlertReceived(alert) = error {
        format!("the other end refused this driver's certificate ({alert:?})")
    } else if let Error::InvalidMessage(_) = error {
        "the other end does not speak TLS".to_owned()
    } else if let Error::PeerIncompatible(_) = error {
        format!("the other end does not speak TLS 1.3 as this one ({error})")
    } else if *error == Error::NoCertificatesPresented {
        "no certificate was shown".to_owned()
    } else if *error == Error::NoApplicationProtocol {
        "the other end does not speak gRPC (HTTP/2)".to_owned()
    } else {
        error.to_string()
    }
}

impl Denial {
    /// Of a TLS connection to a driver at `host`. `None`: the cause is not TLS.
    pub(crate) fn of_handshake(
        error: &io::Error,
        host: &str,
        files: &TlsFiles,
        own: &Loaded,
    ) -> Option<Self> {
        let error = of_tls(error)?;
        if let Error::AlertReceived(alert) = error {
            return of_alert(*alert, files, own);
        }
        Some(if let Error::InvalidCertificate(error) = error {
            of_certificate(error, host, files)
        } else if let Error::InvalidMessage(_) = error {
            Self::DriverWithoutTls
        } else if let Error::PeerIncompatible(_) = error {
            Self::tls(format!("the driver does not speak TLS 1.3 ({error})"))
        } else {
            Self::tls(format!("TLS with the driver failed: {error}"))
        })
    }

    pub(crate) fn tls(message: impl Into<String>) -> Self {
        Self::Tls { message: message.into() }
    }
}

/// What is wrong with a driver's certificate.
fn of_certificate(error: &CertificateError, host: &str, files: &TlsFiles) -> Denial {
    if let CertificateError::NotValidForNameContext { presented, .. } = error {
        let names: Vec<&str> = presented.iter().filter_map(|name| host_in(name)).collect();
        let names = if names.is_empty() { "no host".to_owned() } else { names.join(", ") };
        return Denial::DriverHost { names, host: host.to_owned() };
    }
    let what = what_is_wrong(error);
    if is_of_another_authority(error) {
        let ca = files.ca.display();
        return Denial::tls(format!(
            "the driver's certificate {what} than {ca}: use a folder made by the authority that \
             made the driver's"
        ));
    }
    Denial::tls(format!("the driver's certificate {what}"))
}

/// The alert with which a driver refuses our certificate; it arrives after the handshake seems
/// done.
fn of_alert(alert: AlertDescription, files: &TlsFiles, own: &Loaded) -> Option<Denial> {
    use AlertDescription as Alert;
    let path = files.cert.clone();
    let cert = path.display();
    if [Alert::CloseNotify, Alert::UserCanceled].contains(&alert) {
        // The driver ends: not about our certificate.
        return None;
    }
    Some(if alert == Alert::CertificateRequired {
        Denial::tls("the driver requires a certificate, and was shown none")
    } else if alert == Alert::CertificateExpired {
        let (from, until) = (own.valid_from.clone(), own.valid_until.clone());
        Denial::OwnTime { path, from, until, now: utc(UnixTime::now()) }
    } else if [Alert::UnknownCA, Alert::DecryptError].contains(&alert) {
        Denial::tls(format!(
            "the driver says that {cert} is of another authority than its own: use a folder made \
             by the driver's"
        ))
    } else if alert == Alert::UnsupportedCertificate {
        Denial::OwnUsage { path }
    } else if alert == Alert::NoApplicationProtocol {
        Denial::tls("the server there does not speak gRPC")
    } else {
        Denial::tls(format!("the driver refused {cert} or this side's TLS ({alert:?})"))
    })
}

fn what_is_wrong(error: &CertificateError) -> String {
    if is_of_another_authority(error) {
        "was made by another authority".to_owned()
    } else if let CertificateError::ExpiredContext { time, not_after } = error {
        let (until, now) = (utc(*not_after), utc(*time));
        format!("has expired: it was valid until {until}, and here it is {now}")
    } else if let CertificateError::NotValidYetContext { time, not_before } = error {
        let (from, now) = (utc(*not_before), utc(*time));
        format!(
            "is not yet valid: it is from {from} on, and here it is {now}; are the clocks right?"
        )
    } else if let CertificateError::InvalidPurposeContext { .. } = error {
        "is not for this end of a connection (extended key usage)".to_owned()
    } else {
        format!("cannot be accepted: {}", rustls::Error::InvalidCertificate(error.clone()))
    }
}

/// An authority of the same name has another key.
pub(super) fn is_of_another_authority(error: &CertificateError) -> bool {
    [CertificateError::BadSignature, CertificateError::UnknownIssuer].contains(error)
}

/// The host in `DnsName("w7")` or `IpAddress(10.0.0.7)`, as rustls writes them.
fn host_in(presented: &str) -> Option<&str> {
    let name = presented.strip_prefix("DnsName(").or(presented.strip_prefix("IpAddress("))?;
    Some(name.trim_end_matches(')').trim_matches('"'))
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
