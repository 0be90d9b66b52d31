//! Authentication and encryption: certificates, the token, and --insecure.
//!
//! A flag takes precedence over the environment. A secret itself is never an argument, which every
//! user of the machine could read: only the name of its file is.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use rpc::{Addresses, Credentials, Role, Tls, TlsFiles, Token};

use super::token_file;
use crate::invitation::Keys;
use crate::messages::Failure;
use crate::way_out;

/// For driver, worker and status.
#[derive(Args, Debug)]
pub(super) struct SecurityFlags {
    /// Use TLS, with the certificate in DIR [env: MAPMILL_TLS]
    ///
    /// DIR holds the files that `mapmill certs` creates: the certificate of this process in
    /// `cert.pem`, its private key in `key.pem`, and the certificate of the authority that all
    /// peers trust in `ca.pem`.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Security")]
    #[arg(conflicts_with_all = ["tls_cert", "tls_key", "tls_ca"])]
    tls: Option<PathBuf>,

    /// Certificate in PEM, instead of --tls [env: MAPMILL_TLS_CERT]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Security")]
    #[arg(hide_short_help = true)]
    tls_cert: Option<PathBuf>,

    /// Its private key in PEM, instead of --tls [env: MAPMILL_TLS_KEY]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Security")]
    #[arg(hide_short_help = true)]
    tls_key: Option<PathBuf>,

    /// Authority's certificate in PEM, instead of --tls [env: MAPMILL_TLS_CA]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Security")]
    #[arg(hide_short_help = true)]
    tls_ca: Option<PathBuf>,

    /// Authenticate with the token in FILE [env: MAPMILL_TOKEN_FILE]
    ///
    /// Driver and workers share one token. FILE must be readable by its owner only, or belong to
    /// root and be readable by its group too (640); `mapmill certs token` creates one. The
    /// environment variable MAPMILL_TOKEN can hold the token itself. A driver with a certificate
    /// and a token admits callers with either.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Security")]
    token_file: Option<PathBuf>,
}

impl SecurityFlags {
    /// The credentials of a driver, and where they are.
    pub(super) fn for_listening(self, insecure: bool) -> Result<(Credentials, Keys), Failure> {
        let token = self.token_file.clone().map_or_else(|| path(TOKEN_FILE), |file| Ok(Some(file)));
        let (credentials, files) = self.credentials(Role::Driver, insecure)?;
        let token = credentials.token.as_ref().and(token?.or_else(|| Some("FILE".into())));
        let certificate = files.map(|files| files.cert);
        Ok((credentials, Keys { certificate, token }))
    }

    /// The credentials of a process that calls the driver at `addresses`. A token is not sent
    /// unencrypted to another machine. A host name is resolved, and checked, when it is called.
    pub(super) fn for_calling(
        self,
        addresses: &Addresses,
        role: Role,
        insecure: bool,
    ) -> Result<Credentials, Failure> {
        self.for_calling_with(addresses, role, insecure, None)
    }

    /// The same, with the token `found` where the user gives no credentials.
    pub(super) fn for_calling_with(
        self,
        addresses: &Addresses,
        role: Role,
        insecure: bool,
        found: Option<Token>,
    ) -> Result<Credentials, Failure> {
        let (mut credentials, _) = self.credentials(role, insecure)?;
        if credentials.tls.is_none() {
            credentials.token = credentials.token.or(found);
        }
        let is_elsewhere = |address: &&String| {
            address.parse().is_ok_and(|address: SocketAddr| !rpc::is_loopback(address.ip()))
        };
        let is_unencrypted = credentials.token.is_some() && credentials.tls.is_none();
        if is_unencrypted
            && !insecure
            && let Some(driver) = addresses.all().iter().find(is_elsewhere)
        {
            let driver = driver.clone();
            return Err(Failure::start(SecurityError::TokenInClear { driver }));
        }
        Ok(credentials)
    }

    /// Reads the files. `role` is the role that the certificate must grant.
    fn credentials(
        self,
        role: Role,
        insecure: bool,
    ) -> Result<(Credentials, Option<TlsFiles>), Failure> {
        let token = token(self.token_file)?;
        let files = tls_files(self.tls, [self.tls_cert, self.tls_key, self.tls_ca])?;
        if insecure && files.is_some() {
            return Err(Failure::start(SecurityError::InsecureTls));
        }
        let load = |files: &TlsFiles| {
            Tls::load(files.clone(), role).map_err(|error| {
                let way_out = way_out::of_tls(&error);
                Failure::start(error).hint(way_out)
            })
        };
        let tls = files.as_ref().map(load).transpose()?;
        Ok((Credentials { token, tls, send_token_unencrypted: insecure }, files))
    }
}

/// Certificates and key, from the flags, or from the environment where there is no flag.
fn tls_files(
    folder: Option<PathBuf>,
    mut files: [Option<PathBuf>; 3],
) -> Result<Option<TlsFiles>, Failure> {
    if let Some(folder) = folder {
        return Ok(Some(TlsFiles::in_folder(&folder)));
    }
    let typed = files.iter().any(Option::is_some);
    for (file, (_, variable)) in files.iter_mut().zip(FILES) {
        if file.is_none() {
            *file = path(variable)?;
        }
    }
    let Some(folder) = path(FOLDER)?.filter(|_| !typed) else { return together(files) };
    match files.iter().zip(FILES).find(|(file, _)| file.is_some()) {
        Some((_, (_, other))) => Err(Failure::start(SecurityError::Both { one: FOLDER, other })),
        None => Ok(Some(TlsFiles::in_folder(&folder))),
    }
}

/// All three, or none.
fn together(files: [Option<PathBuf>; 3]) -> Result<Option<TlsFiles>, Failure> {
    match files {
        [Some(cert), Some(key), Some(ca)] => Ok(Some(TlsFiles { cert, key, ca })),
        [None, None, None] => Ok(None),
        files => {
            let missing = files.iter().zip(FILES).find(|(file, _)| file.is_none());
            let (flag, _) = missing.map_or(FILES[0], |(_, names)| names);
            Err(Failure::start(SecurityError::Incomplete { missing: flag }))
        }
    }
}

/// From the file of the flag, or from the environment.
fn token(typed: Option<PathBuf>) -> Result<Option<Token>, Failure> {
    let (other, file) = match typed {
        Some(file) => ("--token-file", Some(file)),
        None => (TOKEN_FILE, path(TOKEN_FILE)?),
    };
    match (env::var_os(TOKEN_VARIABLE), file) {
        (None, None) => Ok(None),
        (None, Some(file)) => token_file::read(&file).map(Some).map_err(Failure::start),
        (Some(text), None) => {
            let token = Token::parse(&text.to_string_lossy());
            token.map(Some).map_err(|error| Failure::start(SecurityError::Token(error)))
        }
        (Some(_), Some(_)) => {
            Err(Failure::start(SecurityError::Both { one: TOKEN_VARIABLE, other }))
        }
    }
}

/// The value of a variable that names a file. An empty one is refused: its meaning is unclear.
fn path(variable: &'static str) -> Result<Option<PathBuf>, Failure> {
    match env::var_os(variable) {
        Some(value) if value.is_empty() => {
            Err(Failure::start(SecurityError::EmptyVariable { variable }))
        }
        value => Ok(value.map(OsString::into)),
    }
}

/// Flags and environment contradict each other, or are incomplete.
#[derive(Debug)]
enum SecurityError {
    /// Two sources of the same thing.
    Both { one: &'static str, other: &'static str },
    /// A variable that is set to the empty string.
    EmptyVariable { variable: &'static str },
    /// One or two of three files.
    Incomplete { missing: &'static str },
    /// TLS, and the flag that allows none.
    InsecureTls,
    /// The variable holds no token.
    Token(rpc::TokenError),
    /// The token would cross a network without TLS.
    TokenInClear { driver: String },
}

impl Display for SecurityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Both { one, other } => {
                write!(f, "{one} and {other} cannot be used together; remove one of them")
            }
            Self::EmptyVariable { variable } => {
                write!(
                    f,
                    "{variable} is empty; set it to a path, or remove it with: unset {variable}"
                )
            }
            Self::Incomplete { missing } => write!(
                f,
                "{missing} is missing: --tls-cert, --tls-key and --tls-ca must be used together \
                 (or use --tls with a folder that holds all three)"
            ),
            Self::InsecureTls => {
                f.write_str("--insecure means no TLS, but TLS is configured; leave out --insecure")
            }
            Self::Token(_) => {
                write!(f, "cannot use {TOKEN_VARIABLE} (create a token with: mapmill certs token)")
            }
            Self::TokenInClear { driver } => write!(
                f,
                "the token would be sent to {driver} unencrypted; use TLS \
                 (--tls), or accept the risk with --insecure"
            ),
        }
    }
}

impl Error for SecurityError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Token(error) => Some(error),
            Self::Both { .. }
            | Self::EmptyVariable { .. }
            | Self::Incomplete { .. }
            | Self::InsecureTls
            | Self::TokenInClear { .. } => None,
        }
    }
}

/// The token itself: the only way to pass it other than a file.
pub(crate) const TOKEN_VARIABLE: &str = "MAPMILL_TOKEN";

const TOKEN_FILE: &str = "MAPMILL_TOKEN_FILE";
const FOLDER: &str = "MAPMILL_TLS";

/// The flags that name files, and the variables that do.
const FILES: [(&str, &str); 3] = [
    ("--tls-cert", "MAPMILL_TLS_CERT"),
    ("--tls-key", "MAPMILL_TLS_KEY"),
    ("--tls-ca", "MAPMILL_TLS_CA"),
];

/// All variables that are read here: `mapmill run` removes them for its workers.
pub(crate) const SECURITY_VARIABLES: [&str; 6] =
    [TOKEN_VARIABLE, TOKEN_FILE, FOLDER, FILES[0].1, FILES[1].1, FILES[2].1];
