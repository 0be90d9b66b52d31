//! Inputs that can be read only once: standard input, and FIFOs.
//!
//! Any map task may be attempted again, by a worker on another machine, so a driver copies such an
//! input first (`local/input_copy.rs`).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::anchor;
use crate::input_error::InputError;
use crate::local::file_id;
use crate::walk::Arguments;

/// An input that can be read only once. It is not open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stream {
    /// The standard input of this process.
    StandardInput,
    /// A FIFO, or a pipe that a path leads to (`/dev/fd/63`).
    Fifo(PathBuf),
}

impl Stream {
    /// What messages call it.
    pub fn name(&self) -> &OsStr {
        match self {
            Self::StandardInput => OsStr::new(STANDARD_INPUT),
            Self::Fifo(path) => path.as_os_str(),
        }
    }

    /// Open it, without waiting for a writer.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn open(&self) -> io::Result<OpenStream> {
        let file = match self {
            Self::StandardInput => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            Self::Fifo(path) => anchor::open_anywhere(path)?,
        };
        Ok(OpenStream { file })
    }

    /// Device and inode of a pipe.
    fn id(&self) -> Option<(u64, u64)> {
        let metadata = match self {
            Self::StandardInput => {
                File::from(io::stdin().as_fd().try_clone_to_owned().ok()?).metadata()
            }
            Self::Fifo(path) => fs::metadata(path),
        };
        let pipe = metadata.ok().filter(|metadata| metadata.file_type().is_fifo());
        pipe.as_ref().map(file_id)
    }
}

/// A stream that is open.
#[derive(Debug)]
pub struct OpenStream {
    file: File,
}

impl OpenStream {
    /// Read what is there into `block`; 0 is the end. `None` if there is nothing after `patience`.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn read(&mut self, block: &mut [u8], patience: Duration) -> io::Result<Option<usize>> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut ready, Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            polled => polled?,
        };
        match rustix::io::read(&self.file, block) {
            // Another process has read what was there.
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            read => Ok(Some(read?)),
        }
    }
}

impl Arguments {
    /// Takes the streams out of the arguments, in their order: `-` or `/dev/stdin`, and paths of
    /// FIFOs.
    ///
    /// # Errors
    ///
    /// When one is named twice.
    pub fn take_streams(&mut self) -> Result<Vec<Stream>, InputError> {
        let mut streams: Vec<Stream> = Vec::new();
        for path in std::mem::take(&mut self.paths) {
            let Some(stream) = stream(&path) else {
                self.paths.push(path);
                continue;
            };
            let is_same = |other: &Stream| {
                *other == stream || other.id().is_some_and(|id| stream.id() == Some(id))
            };
            if let Some(other) = streams.iter().find(|other| is_same(other)) {
                let name = OsString::from(other.name());
                return Err(InputError::StreamTwice { name });
            }
            streams.push(stream);
        }
        Ok(streams)
    }
}

fn stream(argument: &Path) -> Option<Stream> {
    if argument == Path::new("-") || argument == Path::new("/dev/stdin") {
        return Some(Stream::StandardInput);
    }
    let metadata = fs::metadata(argument).ok()?;
    metadata.file_type().is_fifo().then(|| Stream::Fifo(argument.to_owned()))
}

const STANDARD_INPUT: &str = "standard input";

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use super::*;
    use crate::watchdog::in_time;

    #[test]
    fn standard_input_and_fifos_are_taken_and_files_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (fifo(folder.path(), "first"), fifo(folder.path(), "second"));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let paths = vec![second.clone(), file.clone(), "-".into(), "./-".into(), first.clone()];
        let mut arguments = Arguments::from(paths);
        let streams = arguments.take_streams().unwrap();
        let expected = [Stream::Fifo(second), Stream::StandardInput, Stream::Fifo(first)];
        assert_eq!(streams, expected);
        assert_eq!(arguments.paths, [file, "./-".into()]);
    }

    #[test]
    fn stream_that_is_named_twice_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = fifo(folder.path(), "fifo");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for (paths, named) in [
            (["-".into(), "-".into()], OsStr::new("standard input")),
            (["/dev/stdin".into(), "-".into()], OsStr::new("standard input")),
            ([fifo.clone(), link], fifo.as_os_str()),
        ] {
            let error = Arguments::from(paths.to_vec()).take_streams().unwrap_err();
            let InputError::StreamTwice { name } = error else { panic!("{error}") };
            assert_eq!(name, named);
        }
    }

    #[test]
    fn fifo_is_read_as_its_writers_write_and_ends_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path(), "fifo");
        in_time(move || {
            let mut stream = Stream::Fifo(path.clone()).open().unwrap();
            let mut block = [0; 8];
            let soon = Duration::from_millis(1);
            let long = Duration::from_secs(60);
            assert_eq!(stream.read(&mut block, soon).unwrap(), None, "no writer yet");
            let mut writer = File::options().write(true).open(&path).unwrap();
            assert_eq!(stream.read(&mut block, soon).unwrap(), None, "nothing written yet");
            writer.write_all(b"some words").unwrap();
            assert_eq!(stream.read(&mut block, long).unwrap(), Some(8));
            assert_eq!(stream.read(&mut block, long).unwrap(), Some(2));
            assert_eq!(&block[..2], b"ds");
            assert_eq!(stream.read(&mut block, soon).unwrap(), None);
            drop(writer);
            assert_eq!(stream.read(&mut block, long).unwrap(), Some(0));
        });
    }

    fn fifo(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }
}
