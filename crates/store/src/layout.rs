//! All names of objects: the only file that formats and parses them.
//!
//! ```text
//! intermediate/mr-<map>-<bucket>           words of one map task for one bucket
//! out/out-<bucket>                         counts of one bucket
//! .mapmill/journal.jsonl                   the driver's journal
//! .mapmill/driver.json                     how to call the driver of this folder
//! .mapmill/lock                            held by the driver of this folder
//! .mapmill/claims/<epoch>/                 of the driver that claimed the epoch (`claims.rs`)
//!   input-<n>-<name>                       copy of an input that can be read only once
//! .mapmill/staging/<session>/<attempt>/    of one attempt: `m3.a0`, or `r3.a0` of a reduce task
//!   <file>                                 staged: no reader looks here
//!   run-<n>                                a sorted run of a reduce attempt: never published
//! ```
//!
//! A [`Name`] cannot lead out of the store's folder, wherever it is from: its components are ASCII
//! letters, digits, `.`, `_` and `-`. A name from the wire cannot be hidden either, so no peer can
//! name the journal or another attempt's staging.

use std::borrow::Cow;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of one object below the store's root: relative, `/` between its components.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

impl Name {
    /// Check a name from outside.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        check_length(text)?;
        match text.split('/').find(|component| !is_plain(component)) {
            None => Ok(Self(text.to_owned())),
            Some(component) => {
                Err(BadName::Component { name: text.to_owned(), component: component.to_owned() })
            }
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hidden folder of one attempt.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Staging(Name);

impl Staging {
    /// Check a staging folder from outside: exactly `<staging folder>/<session>/<attempt>`.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        check_length(text)?;
        let below = text.strip_prefix(STAGING).and_then(|rest| rest.strip_prefix('/'));
        match below.and_then(|rest| rest.split_once('/')) {
            Some((job, attempt)) if is_plain(job) && is_plain(attempt) => {
                Ok(Self(Name(text.to_owned())))
            }
            Some(_) | None => Err(BadName::NotStaging { name: text.to_owned() }),
        }
    }

    /// The folder as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether [`staging`] of the same arguments names it. The session may be any text.
    pub fn is_of(&self, session: &str, phase: Phase, task: u32, number: u32) -> bool {
        let below = self.as_str().strip_prefix(STAGING).and_then(|rest| rest.strip_prefix('/'));
        below.and_then(|rest| rest.split_once('/'))
            == Some((session, &attempt_folder(phase, task, number)))
    }

    /// The folder itself as a name, for messages.
    pub fn name(&self) -> &Name {
        &self.0
    }
}

impl fmt::Display for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of task an attempt executes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It stages intermediates.
    Map,
    /// It stages an output.
    Reduce,
}

/// A folder of the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Folder {
    /// The driver's bookkeeping, not visible to the user.
    Hidden,
    /// What map tasks write for reduce tasks.
    Intermediate,
    /// The results.
    Output,
}

impl Folder {
    /// The folder's name below the store's root.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => HIDDEN,
            Self::Intermediate => INTERMEDIATE,
            Self::Output => OUTPUT,
        }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no name in a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BadName {
    /// A component is empty, hidden, `.` or `..`, or has a character that no name has.
    Component {
        /// The whole name.
        name: String,
        /// Its first bad component.
        component: String,
    },
    /// It is not the staging folder of an attempt.
    NotStaging {
        /// The text.
        name: String,
    },
    /// It is longer than any name of ours.
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component { name, component } => {
                write!(f, "{name:?} is not an object name: {component:?} is not a plain component")
            }
            Self::NotStaging { name } => {
                write!(f, "{name:?} is not a staging folder: `{STAGING}/JOB/ATTEMPT` expected")
            }
            Self::TooLong { bytes } => {
                write!(f, "an object name has {bytes} bytes, at most {NAME_BYTES_MAX} expected")
            }
        }
    }
}

impl Error for BadName {}

/// The words of map task `map` for `bucket`.
pub fn intermediate(map: u32, bucket: u32) -> Name {
    Name(format!("{INTERMEDIATE}/{INTERMEDIATE_FILE}{map}-{bucket}"))
}

/// The counts of `bucket`.
pub fn output(bucket: u32) -> Name {
    Name(format!("{OUTPUT}/{OUTPUT_FILE}{bucket}"))
}

/// The sorted run `number` of a reduce attempt, which it writes when its memory does not suffice,
/// and reads again. Hidden, so that no peer can have it published.
pub fn run(number: u32) -> Name {
    Name(format!("{HIDDEN}/run-{number}"))
}

/// The driver's journal.
pub fn journal() -> Name {
    Name(format!("{HIDDEN}/journal.jsonl"))
}

/// How to call the driver that uses this folder.
pub fn driver() -> Name {
    Name(format!("{HIDDEN}/driver.json"))
}

/// A journal that the driver that claimed `epoch` is about to begin.
pub fn journal_draft(epoch: u64) -> Name {
    Name(format!("{CLAIMS}/{epoch}/journal"))
}

/// The file whose lock means that a driver is using this folder.
pub fn lock() -> Name {
    Name(format!("{HIDDEN}/lock"))
}

/// Where attempt `number` at a task stages in `session`, which is the driver's own: one that cannot
/// be part of a name is a bug, not an error.
pub fn staging(session: &str, phase: Phase, task: u32, number: u32) -> Staging {
    staging_folder(session, &attempt_folder(phase, task, number))
}

/// The folder that an attempt has in its session's: `m3.a0`.
fn attempt_folder(phase: Phase, task: u32, number: u32) -> String {
    let letter = match phase {
        Phase::Map => 'm',
        Phase::Reduce => 'r',
    };
    format!("{letter}{task}.a{number}")
}

pub(crate) fn staging_folder(session: &str, attempt: &str) -> Staging {
    assert!(is_plain(session), "session {session:?} cannot be part of a name");
    assert!(is_plain(attempt), "attempt {attempt:?} cannot be part of a name");
    Staging(Name(format!("{STAGING}/{session}/{attempt}")))
}

/// The name of an object while it is staged; it will be `name`.
pub fn staged(staging: &Staging, name: &Name) -> Name {
    Name(format!("{staging}/{file}", file = name.file()))
}

/// The map task and bucket of an intermediate's file name, if [`intermediate`] writes such a name.
pub fn parse_intermediate(file: impl AsRef<OsStr>) -> Option<(u32, u32)> {
    let (map, bucket) = file.as_ref().to_str()?.strip_prefix(INTERMEDIATE_FILE)?.split_once('-')?;
    Some((parse_number(map)?, parse_number(bucket)?))
}

/// The bucket of an output's file name, if [`output`] writes such a name.
pub fn parse_output(file: impl AsRef<OsStr>) -> Option<u32> {
    parse_number(file.as_ref().to_str()?.strip_prefix(OUTPUT_FILE)?)
}

/// Whether Mapmill writes files of this name in `folder`.
pub(crate) fn is_ours(folder: Folder, file: impl AsRef<OsStr>) -> bool {
    match folder {
        Folder::Hidden => true,
        Folder::Intermediate => parse_intermediate(file).is_some(),
        Folder::Output => parse_output(file).is_some(),
    }
}

/// Whether a file of this name is hidden from the user.
pub(crate) fn is_hidden(file: &OsStr) -> bool {
    file.as_encoded_bytes().starts_with(b".")
}

/// The folder that has one folder for each session.
pub(crate) fn staging_root() -> &'static str {
    STAGING
}

/// The name of a folder while it is removed. No attempt's name starts with a dot.
pub(crate) fn trash_name(file: &OsStr) -> OsString {
    let mut name = OsString::from(".");
    name.push(file);
    name
}

/// The folder that has one folder for each claimed epoch.
pub(crate) fn claims() -> &'static str {
    CLAIMS
}

/// The folder of a claim.
pub(crate) fn claim(epoch: u64) -> PathBuf {
    Path::new(CLAIMS).join(epoch.to_string())
}

/// The epoch of a claim's folder, if [`claim`] gives it this name. A larger number than
/// [`EPOCH_MAX`] is none.
pub(crate) fn parse_claim(file: impl AsRef<OsStr>) -> Option<u64> {
    parse_number(file.as_ref().to_str()?).filter(|&epoch| epoch <= EPOCH_MAX)
}

/// Where the driver that claimed `epoch` copies input `index` of those that can be read only once.
///
/// It is in the claim, so a driver that takes over removes it with the claim. `name` is what
/// messages call the input. The file's name has it, escaped, so that workers and readers of a
/// journal, which have only the path, call it the same ([`shown_input`]).
pub(crate) fn input_copy(epoch: u64, index: usize, name: &OsStr) -> PathBuf {
    let mut escaped = name.as_bytes().iter().map(|&byte| match is_plain_byte(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02x}"),
    });
    // Of a long path the end says most.
    let mut parts: Vec<String> = Vec::new();
    let mut room = COPY_NAME_BYTES_MAX;
    while let Some(part) = escaped.next_back() {
        let Some(left) = room.checked_sub(part.len()) else {
            parts.push("...".to_owned());
            break;
        };
        room = left;
        parts.push(part);
    }
    parts.reverse();
    claim(epoch).join(format!("{INPUT_COPY}{index}-{}", parts.concat()))
}

/// What messages call the input at `path`: of a copy, the name of what was copied.
pub fn shown_input(path: &Path) -> Cow<'_, Path> {
    copied_input(path).map_or(Cow::Borrowed(path), |name| Cow::Owned(name.into()))
}

/// Whether the input at `path` is a copy that a driver has made, of an input that can be read only
/// once.
pub fn is_input_copy(path: &Path) -> bool {
    copied_input(path).is_some()
}

fn copied_input(path: &Path) -> Option<OsString> {
    let folder = path.parent()?;
    if !folder.ends_with(claim(parse_claim(folder.file_name()?)?)) {
        return None;
    }
    let file = path.file_name()?.to_str()?.strip_prefix(INPUT_COPY)?;
    let (index, mut rest) = file.split_once('-')?;
    parse_number::<usize>(index)?;
    let mut name = Vec::new();
    while let Some((plain, escaped)) = rest.split_once('%') {
        name.extend(plain.as_bytes());
        name.push(u8::from_str_radix(escaped.get(..2)?, 16).ok()?);
        rest = &escaped[2..];
    }
    name.extend(rest.as_bytes());
    Some(OsString::from_vec(name))
}

/// No job is resumed so often; there is always a next epoch.
const EPOCH_MAX: u64 = 1 << 62;

/// Decimal digits as `Display` writes them: no sign, no leading zero.
fn parse_number<N: FromStr + ToString>(digits: &str) -> Option<N> {
    let number: N = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn check_length(text: &str) -> Result<(), BadName> {
    if text.len() > NAME_BYTES_MAX {
        return Err(BadName::TooLong { bytes: text.len() });
    }
    Ok(())
}

/// Not empty, not hidden (which excludes `.` and `..`), and safe in a log line.
fn is_plain(component: &str) -> bool {
    !component.is_empty() && !component.starts_with('.') && component.bytes().all(is_plain_byte)
}

fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// A file that is created for a moment in a folder of a store, to see which owner and mode its file
/// system reports.
pub(crate) const PROBE: &str = ".mapmill-probe";

const CLAIMS: &str = ".mapmill/claims";
const HIDDEN: &str = ".mapmill";
const INPUT_COPY: &str = "input-";
const INTERMEDIATE: &str = "intermediate";
const INTERMEDIATE_FILE: &str = "mr-";
const OUTPUT: &str = "out";
const OUTPUT_FILE: &str = "out-";
const STAGING: &str = ".mapmill/staging";

/// Our names stay below 150 bytes; no known file system refuses a path of this length.
const NAME_BYTES_MAX: usize = 512;

/// A file name may have 255 bytes; the rest is for the index.
const COPY_NAME_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        assert_eq!(intermediate(3, 1).as_str(), "intermediate/mr-3-1");
        assert_eq!(output(0).as_str(), "out/out-0");
        assert_eq!(journal().as_str(), ".mapmill/journal.jsonl");
        assert_eq!(lock().as_str(), ".mapmill/lock");
        assert_eq!(staging("s", Phase::Reduce, 1, 2).as_str(), ".mapmill/staging/s/r1.a2");
        let staging = staging("6f1e-2", Phase::Map, 3, 0);
        assert_eq!(staging.as_str(), ".mapmill/staging/6f1e-2/m3.a0");
        let staged = super::staged(&staging, &intermediate(3, 1));
        assert_eq!(staged.as_str(), ".mapmill/staging/6f1e-2/m3.a0/mr-3-1");
        let staged = super::staged(&staging, &run(7));
        assert_eq!(staged.as_str(), ".mapmill/staging/6f1e-2/m3.a0/run-7");
        assert!(Name::parse(run(7).as_str()).is_err());
    }

    #[test]
    fn what_we_name_is_read_back() {
        for number in [0, 1, 10, u32::MAX] {
            assert_eq!(parse_intermediate(intermediate(number, 7).file()), Some((number, 7)));
            assert_eq!(parse_output(output(number).file()), Some(number));
            assert_eq!(Name::parse(output(number).as_str()), Ok(output(number)));
        }
        let staging = staging("6f1e-2", Phase::Map, 3, 0);
        assert_eq!(Staging::parse(staging.as_str()), Ok(staging));
    }

    #[test]
    fn files_that_only_look_like_ours_are_foreign() {
        for file in
            ["mr-01-2", "mr-1-02", "mr-1", "mr-1-", "mr--1-2", "mr-1-2-3", "mr-+1-2", "mr-1-2 "]
        {
            assert_eq!(parse_intermediate(file), None, "{file}");
        }
        for file in ["out-00", "out-", "out--1", "out-1.bak", "out-4294967296", "Out-1", "out-١"] {
            assert_eq!(parse_output(file), None, "{file}");
        }
        assert!(!is_ours(Folder::Output, "mr-1-2"));
        assert!(!is_ours(Folder::Intermediate, "out-1"));
    }

    #[test]
    fn copy_of_an_input_is_shown_as_what_was_copied() {
        let long = format!("/{}/pipe", "long/".repeat(100));
        for name in ["standard input", "/dev/fd/63", "a%b-c", "é", "", &long] {
            let copy = Path::new("/data/files").join(input_copy(7, 1, OsStr::new(name)));
            assert!(is_input_copy(&copy), "{copy:?}");
            assert!(copy.file_name().unwrap().len() < 255, "{copy:?}");
            let shown = shown_input(&copy).to_str().unwrap().to_owned();
            match shown.strip_prefix("...") {
                Some(end) => assert!(end.len() > 100 && long.ends_with(end), "{shown}"),
                None => assert_eq!(shown, name),
            }
        }
        let copy = input_copy(7, 0, OsStr::new("standard input"));
        assert_eq!(copy.to_str(), Some(".mapmill/claims/7/input-0-standard%20input"));
    }

    proptest! {
        #[test]
        fn any_name_is_read_back_from_its_copy(name in prop::collection::vec(1..=u8::MAX, 0..60)) {
            let copy = input_copy(1, 0, OsStr::from_bytes(&name));
            prop_assert!(copy.file_name().is_some_and(|file| file.len() < 255));
            let shown = shown_input(&copy).into_owned().into_os_string();
            prop_assert_eq!(shown.as_bytes(), name);
        }

        #[test]
        fn any_path_can_be_shown(file in ".*") {
            shown_input(&claim(1).join(format!("{INPUT_COPY}0-{file}")));
        }
    }

    #[test]
    fn other_files_are_shown_by_their_path() {
        for path in [
            "/data/a.txt",
            "/data/input-0-a",
            "/files/.mapmill/claims/07/input-0-a",
            "/files/.mapmill/claims/7/input-x-a",
            "/files/.mapmill/claims/7/input-0",
            "/files/.mapmill/claims/7/input-0-%2",
            "/files/.mapmill/claims/7/input-0-%xx",
            "/files/.mapmill/claims/7/beat-0",
            "/files/.mapmill/claims/7/a/input-0-a",
            "/",
        ] {
            assert_eq!(shown_input(Path::new(path)), Path::new(path));
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for text in [
            "",
            ".",
            "..",
            "/",
            "/etc/passwd",
            "a/../b",
            "../a",
            "a/..",
            "a/./b",
            "a//b",
            "a/",
            "a\nb",
            "a\0b",
            "a b",
            "a\\b",
            "é",
            ".mapmill/journal.jsonl",
            "out/.hidden",
        ] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(Name::parse(&long), Err(BadName::TooLong { bytes: NAME_BYTES_MAX + 1 }));
    }

    #[test]
    fn only_the_folder_of_an_attempt_is_a_staging_folder() {
        for text in [
            "out/out-0",
            ".mapmill",
            ".mapmill/staging",
            ".mapmill/staging/job",
            ".mapmill/staging/job/",
            ".mapmill/staging/job/attempt/file",
            ".mapmill/staging/job/..",
            ".mapmill/staging/../journal.jsonl",
            ".mapmill/stagingjob/attempt",
            "/.mapmill/staging/job/attempt",
        ] {
            assert!(Staging::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_staging_folder_is_of_one_attempt_of_one_session() {
        let own = staging("6f1e-2", Phase::Map, 3, 0);
        assert!(own.is_of("6f1e-2", Phase::Map, 3, 0));
        for (session, phase, task, number) in [
            ("6f1e-2", Phase::Map, 3, 1),
            ("6f1e-2", Phase::Map, 4, 0),
            ("6f1e-2", Phase::Reduce, 3, 0),
            ("6f1e-3", Phase::Map, 3, 0),
            ("", Phase::Map, 3, 0),
            ("6f1e-2/m3.a0", Phase::Map, 3, 0),
            ("6f1e", Phase::Map, 3, 0),
        ] {
            assert!(
                !own.is_of(session, phase, task, number),
                "{session} {phase:?} {task} {number}"
            );
        }
        assert!(!staging_folder("6f1e-2", "m3").is_of("6f1e-2", Phase::Map, 3, 0));
    }

    #[test]
    fn messages_show_the_name_and_the_component() {
        let error = Name::parse("a/../b").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""a/../b" is not an object name: ".." is not a plain component"#
        );
    }

    proptest! {
        #[test]
        fn an_accepted_name_stays_below_the_root(text in r"[a-z./\\\n-]{0,12}") {
            if let Ok(name) = Name::parse(&text) {
                let plain = |part| matches!(part, Component::Normal(_));
                prop_assert!(Path::new(name.as_str()).components().all(plain));
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}
