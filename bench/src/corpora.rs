//! The files that are counted: made when they are missing, kept for the next time.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, iter};

use bench::say;
use bench::texts::Text;
use bench::top;
use rustix::fs::{Advice, fadvise};

/// The texts in a folder, each with a file beside it that says how it was made: its recipe.
#[derive(Debug)]
pub(crate) struct Corpora {
    folder: PathBuf,
}

impl Corpora {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let folder = folder.join("texts");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Where `bytes` of `text` are kept.
    pub(crate) fn path(&self, text: Text, bytes: u64) -> PathBuf {
        self.named(text.name(), bytes)
    }

    fn named(&self, name: &str, bytes: u64) -> PathBuf {
        self.folder.join(format!("{name}-{}k", bytes >> 10))
    }

    /// Make `bytes` of `text`, unless they are there.
    pub(crate) fn make(&self, text: Text, bytes: u64) -> io::Result<()> {
        let recipe = text.write(RECIPE_BYTES, &mut io::sink())?;
        if recipe != text.crc_of_first_mib() {
            return Err(io::Error::other(format!(
                "the text `{}` has checksum {recipe:#010x} here, not {:#010x}; \
                 have the texts in inputs/ been changed?",
                text.name(),
                text.crc_of_first_mib()
            )));
        }
        let known = SUMS.iter().find(|(known, size, _)| *known == text && *size == bytes);
        self.keep(&self.path(text, bytes), bytes, &format!("{recipe:08x}"), |out| {
            let crc = text.write(bytes, out)?;
            match known {
                Some((.., expected)) if crc != *expected => Err(io::Error::other(format!(
                    "{bytes} bytes of `{}` have checksum {crc:#010x}, not {expected:#010x}",
                    text.name()
                ))),
                Some(_) => Ok(()),
                None => {
                    let name = text.name();
                    say::note(format!("{bytes} bytes of `{name}` have checksum {crc:#010x}"));
                    Ok(())
                }
            }
        })
    }

    /// English books, repeated up to `bytes` bytes. None without a folder of them: MAPMILL_BOOKS,
    /// or where the developers have it.
    pub(crate) fn books(&self, bytes: u64) -> io::Result<Option<PathBuf>> {
        let folder = env::var_os("MAPMILL_BOOKS")
            .map_or_else(|| top().join("../shared/data/books"), PathBuf::from);
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(None) };
        let mut books = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        books.sort();
        let mut all = Vec::new();
        for book in books {
            File::open(book)?.read_to_end(&mut all)?;
        }
        if all.is_empty() {
            return Ok(None);
        }
        let path = self.named("books", bytes);
        self.keep(&path, bytes, &format!("{:08x}", crc32fast::hash(&all)), |out| {
            let mut left = bytes as usize;
            for text in iter::repeat(&all) {
                let taken = left.min(text.len());
                out.write_all(&text[..taken])?;
                left -= taken;
                if left == 0 {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(Some(path))
    }

    /// The texts of Linux as Debian has them, concatenated in the order of the archive, a
    /// quarter of each part of it: 64 KiB in 256, to the next end of a line, as far as `bytes`
    /// reach. None where the package is not installed and cannot be.
    pub(crate) fn source(&self, bytes: u64) -> io::Result<Option<PathBuf>> {
        let path = self.named("source", bytes);
        let archive = Path::new("/usr/src").join(format!("{SOURCE_PACKAGE}.tar.xz"));
        if !archive.exists() && !path.exists() {
            say::note(format!("installing {SOURCE_PACKAGE} (140 MB, GPL: to measure with)"));
            if let Err(error) = install(SOURCE_PACKAGE) {
                say::note(format!("no source text: apt-get install {SOURCE_PACKAGE}: {error}"));
                return Ok(None);
            }
        }
        self.keep(&path, bytes, SOURCE_PACKAGE, |out| {
            let mut tar = Command::new("tar")
                .args(["-xJO", "--wildcards", "--file"])
                .arg(&archive)
                .args(["*.c", "*.h", "*.S", "*.dts", "*.dtsi", "*.rst", "*.txt", "*.yaml"])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let texts = tar.stdout.take().expect("its standard output was asked for");
            let copied = quarter(&mut BufReader::with_capacity(1 << 20, texts), bytes, out)?;
            // Its output is longer than needed.
            let _ = tar.kill();
            tar.wait()?;
            if copied == bytes {
                return Ok(());
            }
            let archive = archive.display();
            Err(io::Error::other(format!("a quarter of {archive} has {copied} bytes, not {bytes}")))
        })?;
        Ok(Some(path))
    }

    /// Have `path` made by `write`, unless it is there, of this size and made by the same `recipe`.
    fn keep(
        &self,
        path: &Path,
        bytes: u64,
        recipe: &str,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> io::Result<()> {
        let note = path.with_extension("recipe");
        let length = fs::metadata(path).map(|file| file.len()).ok();
        if length == Some(bytes) && fs::read_to_string(&note).is_ok_and(|kept| kept == recipe) {
            return Ok(());
        }
        say::note(format!("making {}", path.display()));
        let unfinished = path.with_extension("part");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
        write(&mut out)?;
        out.flush()?;
        // Otherwise the disk would be busy with it during the measurement.
        out.get_ref().sync_all()?;
        fs::rename(&unfinished, path)?;
        fs::write(note, recipe)
    }
}

/// Copy a part of every four, to the end of a line, until there are `bytes`; returns how many.
fn quarter(texts: &mut impl BufRead, bytes: u64, out: &mut impl Write) -> io::Result<u64> {
    let mut copied = 0;
    let mut line = Vec::new();
    while copied < bytes {
        for part in 0..4 {
            let mut left = PART_BYTES;
            while left > 0 {
                line.clear();
                let length = texts.read_until(b'\n', &mut line)? as u64;
                if length == 0 {
                    return Ok(copied);
                }
                left = left.saturating_sub(length);
                if part == 0 {
                    let taken = length.min(bytes - copied);
                    out.write_all(&line[..taken as usize])?;
                    copied += taken;
                }
            }
        }
    }
    Ok(copied)
}

/// Read the file or folder once, so that it is in the page cache, and from the disk where the
/// system can evict it first: pages just written are slower to read than pages that were read, for
/// all contenders.
pub(crate) fn warm(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| warm(&entry?.path()));
    }
    let file = File::open(path)?;
    // On a file system without a disk it stays.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    io::copy(&mut BufReader::with_capacity(1 << 20, file), &mut io::sink())?;
    Ok(())
}

/// Only a superuser can install it; other users are told to.
fn install(package: &str) -> io::Result<()> {
    for arguments in [vec!["update", "-q"], vec!["install", "-y", "-q", package]] {
        let mut apt = Command::new("apt-get");
        let apt = apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        let status = apt.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(status.to_string()));
        }
    }
    Ok(())
}

const PART_BYTES: u64 = 64 << 10;
const SOURCE_PACKAGE: &str = "linux-source-6.1";
const RECIPE_BYTES: u64 = 1 << 20;

/// Of the sizes that are made by default, and by --quick.
const SUMS: [(Text, u64, u32); 21] = [
    (Text::Cjk, 16 << 20, 0x7754_8D7F),
    (Text::Cjk, 256 << 20, 0x5B40_BEA9),
    (Text::Clauses, 16 << 20, 0x2B1F_C578),
    (Text::Clauses, 256 << 20, 0x3CD6_E3F0),
    (Text::Cyrillic, 16 << 20, 0x3A1D_D9FA),
    (Text::Cyrillic, 256 << 20, 0xF447_C061),
    (Text::Mix, 16 << 20, 0x5753_F1E4),
    (Text::Mix, 256 << 20, 0x5134_EB70),
    (Text::Newlines, 16 << 20, 0x94B7_EFE1),
    (Text::Newlines, 256 << 20, 0xB8A9_FAF0),
    (Text::Prose, 1 << 20, 0x06CC_32DE),
    (Text::Prose, 4 << 20, 0x4B50_F96E),
    (Text::Prose, 16 << 20, 0xEA8C_5875),
    (Text::Prose, 64 << 20, 0x526A_26F5),
    (Text::Prose, 256 << 20, 0x56EC_B437),
    (Text::Prose, 1 << 30, 0xEC9D_254C),
    (Text::Tokens, 16 << 20, 0x5ECA_AD09),
    (Text::Tokens, 256 << 20, 0x7DAC_DE2C),
    (Text::Wide, 1 << 20, 0xB823_9513),
    (Text::Wide, 128 << 20, 0x8ACE_D7BB),
    (Text::Wide, 2 << 30, 0x6BC5_AA12),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_taken_of_every_part_in_whole_lines() {
        let line = |number: u64| format!("{number:063}\n").into_bytes();
        let lines = 64 * PART_BYTES / 64;
        let text: Vec<u8> = (0..lines).flat_map(line).collect();
        let mut taken = Vec::new();

        let copied = quarter(&mut text.as_slice(), u64::MAX, &mut taken).unwrap();

        assert_eq!((copied, taken.len()), (text.len() as u64 / 4, text.len() / 4));
        assert!(taken.starts_with(&line(0)) && taken.ends_with(b"\n"));
        let second = PART_BYTES as usize;
        assert!(taken[second..].starts_with(&line(4 * PART_BYTES / 64)));
        assert_eq!(quarter(&mut text.as_slice(), 100, &mut io::sink()).unwrap(), 100);
    }
}
