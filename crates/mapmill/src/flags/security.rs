//! Who may take part, and who can read along: certificates, the token, and doing without.
//!
//! What is typed goes before what the environment says. A secret itself is never an argument, where
//! everybody on the machine could read it: only the name of its file is.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use rpc::{Credentials, Role, Tls, TlsFiles, Token};

use super::token_file;
use crate::messages::Failure;
use crate::way_out;

/// The same on all sides.
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

    /// The authority in PEM, instead of --tls [env: MAPMILL_TLS_CA]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Security")]
    #[arg(hide_short_help = true)]
    tls_ca: Option<PathBuf>,

    /// Authenticate with the token in FILE [env: MAPMILL_TOKEN_FILE]
    ///
    /// Driver and workers share one token. FILE must be readable by its owner only; `mapmill certs
    /// token` creates one. The environment variable MAPMILL_TOKEN can hold the token itself. A
    /// driver with a certificate and a token admits callers with either.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Security")]
    token_file: Option<PathBuf>,
}

impl SecurityFlags {
    /// For a driver, and where its certificate is.
    pub(super) fn for_listening(
        self,
        insecure: bool,
    ) -> Result<(Credentials, Option<PathBuf>), Failure> {
        let certificate = |files: &TlsFiles| files.cert.clone();
        let (credentials, files) = self.credentials(Role::Driver, insecure)?;
        Ok((credentials, files.as_ref().map(certificate)))
    }

    /// For who calls the driver at `address`. A token is not shown in clear to another machine:
    /// whoever is on the way has it then. What a name stands for is judged when it is called.
    pub(super) fn for_calling(
        self,
        address: &str,
        role: Role,
        insecure: bool,
    ) -> Result<Credentials, Failure> {
        let (credentials, _) = self.credentials(role, insecure)?;
        let is_elsewhere =
            address.parse().is_ok_and(|address: SocketAddr| !rpc::is_loopback(address.ip()));
        let in_clear = credentials.token.is_some() && credentials.tls.is_none();
        if in_clear && is_elsewhere && !insecure {
            let driver = address.to_owned();
            return Err(Failure::start(SecurityError::TokenInClear { driver }));
        }
        Ok(credentials)
    }

    /// Reads what was named. `role` is what the certificate must be for.
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

/// Certificates and key, as typed, or as the environment says where nothing was typed.
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

/// From the file that was typed, or from the environment.
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

/// The value of a variable that names a file. That somebody has emptied it may mean anything.
fn path(variable: &'static str) -> Result<Option<PathBuf>, Failure> {
    match env::var_os(variable) {
        Some(value) if value.is_empty() => {
            Err(Failure::start(SecurityError::EmptyVariable { variable }))
        }
        value => Ok(value.map(OsString::into)),
    }
}

/// What was typed, or is in the environment, does not fit together.
#[derive(Debug)]
enum SecurityError {
    /// Two that say the same thing in two ways.
    Both { one: &'static str, other: &'static str },
    /// A variable that is set, to nothing.
    EmptyVariable { variable: &'static str },
    /// One or two of three files.
    Incomplete { missing: &'static str },
    /// With TLS there is nothing to accept.
    InsecureTls,
    /// The variable holds no token.
    Token(rpc::TokenError),
    /// Others could read the token on its way.
    TokenInClear { driver: String },
}

impl Display for SecurityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Both { one, other } => {
                write!(f, "{one} and {other} exclude each other; keep one of them")
            }
            Self::EmptyVariable { variable } => {
                write!(
                    f,
                    "{variable} is empty; name a path, or take it away with: unset {variable}"
                )
            }
            Self::Incomplete { missing } => write!(
                f,
                "{missing} is missing: --tls-cert, --tls-key and --tls-ca go together (or use a \
                 folder with all of them: --tls)"
            ),
            Self::InsecureTls => {
                f.write_str("--insecure is to do without TLS, and there is some; leave it out")
            }
            Self::Token(_) => {
                write!(f, "cannot use {TOKEN_VARIABLE} (make a good one with: mapmill certs token)")
            }
            Self::TokenInClear { driver } => write!(
                f,
                "the token would go to {driver} in clear, for others on the way to read; use TLS \
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

/// The secret itself. Beside the file it is the one way to hand it over.
pub(crate) const TOKEN_VARIABLE: &str = "MAPMILL_TOKEN";

const TOKEN_FILE: &str = "MAPMILL_TOKEN_FILE";
const FOLDER: &str = "MAPMILL_TLS";

/// The flags that name files, and the variables that do.
const FILES: [(&str, &str); 3] = [
    ("--tls-cert", "MAPMILL_TLS_CERT"),
    ("--tls-key", "MAPMILL_TLS_KEY"),
    ("--tls-ca", "MAPMILL_TLS_CA"),
];

/// All variables that are read here: the workers of `mapmill run` are to see none of them.
pub(crate) const SECURITY_VARIABLES: [&str; 6] =
    [TOKEN_VARIABLE, TOKEN_FILE, FOLDER, FILES[0].1, FILES[1].1, FILES[2].1];
