//! A token in a file: refused if other users can read it, but for the group of a file of root.
//!
//! Links are followed, because secrets are mounted into containers as links. The checks are made on
//! the open file, so a link that is changed meanwhile has no effect.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rpc::Token;
use rustix::fs::OFlags;

/// The token in `path`.
pub(super) fn read(path: &Path) -> Result<Token, TokenFileError> {
    let because = |problem| TokenFileError { path: path.to_owned(), problem };
    let text = secret(path).map_err(because)?;
    if text.trim_ascii().is_empty() {
        return Err(because(Problem::Empty));
    }
    let token = Token::parse(&String::from_utf8_lossy(&text));
    token.map_err(|error| because(Problem::Token(error)))
}

/// The contents of a file that only its owner can read.
fn secret(path: &Path) -> Result<Vec<u8>, Problem> {
    // Opening a pipe would block until another process writes to it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("flags of the system are ints");
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(Problem::Io)?;
    check(&file.metadata().map_err(Problem::Io)?, rustix::process::geteuid().as_raw())?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(Problem::Io)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Problem::TooLarge);
    }
    Ok(text)
}

/// Whether no user but `us` and root can have read or written it.
fn check(metadata: &Metadata, us: u32) -> Result<(), Problem> {
    let kind = metadata.file_type();
    if !kind.is_file() {
        let kind = if kind.is_dir() {
            "a folder"
        } else if kind.is_fifo() {
            "a pipe"
        } else {
            "a device or socket"
        };
        return Err(Problem::NotAFile { kind });
    }
    if ![us, 0].contains(&metadata.uid()) {
        return Err(Problem::Owner { uid: metadata.uid() });
    }
    if let Some(mode) = rpc::too_open(metadata) {
        return Err(Problem::Open { mode });
    }
    Ok(())
}

/// A file that holds no token, or one that other users can read.
#[derive(Debug)]
pub(super) struct TokenFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Empty,
    Io(io::Error),
    NotAFile { kind: &'static str },
    Open { mode: u32 },
    Owner { uid: u32 },
    Token(rpc::TokenError),
    TooLarge,
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem } = self;
        let path = path.display();
        match problem {
            Problem::Empty => {
                write!(f, "token file {path} is empty (create one with: {RECIPE})")
            }
            Problem::Io(_) => write!(f, "cannot read token file {path}"),
            Problem::NotAFile { kind } => {
                write!(f, "token file {path} is {kind}; name a file that holds a token")
            }
            Problem::Open { mode } => write!(
                f,
                "token file {path} is accessible to other users (mode {mode:04o}); restrict it \
                 with: chmod 600 {path} (640 if root owns it)"
            ),
            Problem::Owner { uid } => write!(
                f,
                "token file {path} belongs to another user (uid {uid}), who knows the token; use \
                 a file of your own"
            ),
            Problem::Token(_) => {
                write!(f, "cannot use token file {path} (create one with: {RECIPE})")
            }
            Problem::TooLarge => write!(
                f,
                "token file {path} has more than {FILE_BYTES_MAX} bytes; name a file that holds \
                 only a token"
            ),
        }
    }
}

impl std::error::Error for TokenFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Io(error) => Some(error),
            Problem::Token(error) => Some(error),
            Problem::Empty
            | Problem::NotAFile { .. }
            | Problem::Open { .. }
            | Problem::Owner { .. }
            | Problem::TooLarge => None,
        }
    }
}

/// The command that creates a token.
const RECIPE: &str = "mapmill certs token --output FILE";

/// The longest token, and white space around it.
const FILE_BYTES_MAX: u64 = 1024;
