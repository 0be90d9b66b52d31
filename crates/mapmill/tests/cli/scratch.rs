//! A folder to type commands in, and a look at what they leave there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use tempfile::TempDir;

use crate::util::command::{VARIABLES, mapmill};
use crate::util::process::Process;

/// A folder with the input `in/a.txt`, readable by all users.
pub struct Scratch {
    folder: TempDir,
    /// The output of processes; not part of what they must leave alone.
    logs: TempDir,
}

/// How a command ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Scratch {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect(OURS);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect(OURS);
        let scratch = Self { folder, logs: tempfile::tempdir().expect(OURS) };
        scratch.write("in/a.txt", "a b a\n");
        scratch
    }

    /// The real path: messages name it, whatever links lead to it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        fs::canonicalize(self.folder.path()).expect(OURS).join(name)
    }

    /// A folder, and those above it.
    pub fn create(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect(OURS);
        path
    }

    /// A file, and the folders above it.
    pub fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect(OURS)).expect(OURS);
        fs::write(path, text).expect(OURS);
    }

    /// `mapmill` in this folder.
    pub fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        self.in_here(mapmill(), args)
    }

    /// A script of bash in this folder, in which `$mapmill` is the program.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.in_here(Command::new("bash"), &["-c", script]);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.env("mapmill", mapmill().get_program());
        command
    }

    /// `mapmill` without the privileges of root, for whom nothing is unreadable. An unprivileged
    /// user may not see the folder the program was built in, so it gets a copy.
    pub fn unprivileged(&self, args: &[impl AsRef<OsStr>]) -> Command {
        if !self.is_root() {
            return self.command(args);
        }
        let copy = self.path(".mapmill-for-all");
        let original = mapmill().get_program().to_owned();
        if !copy.exists() && fs::hard_link(&original, &copy).is_err() {
            fs::copy(&original, &copy).expect(OURS);
        }
        let mut command = self.in_here(Command::new(copy), args);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.uid(NOBODY).gid(NOBODY);
        command
    }

    /// Gives a folder to the user of [`unprivileged`](Self::unprivileged).
    pub fn give(&self, path: &Path) {
        if self.is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).expect(OURS);
        }
    }

    /// What we create is ours.
    pub fn is_root(&self) -> bool {
        self.folder.path().metadata().expect(OURS).uid() == 0
    }

    fn in_here(&self, mut command: Command, args: &[impl AsRef<OsStr>]) -> Command {
        command.current_dir(self.folder.path()).args(args);
        command
    }

    #[track_caller]
    pub fn start(&self, command: Command) -> Process {
        let number = fs::read_dir(self.logs.path()).expect(OURS).count();
        Process::start(&format!("process-{number}"), command, self.logs.path())
    }

    /// Runs a command until it exits by itself.
    #[track_caller]
    pub fn end(&self, command: Command) -> Ended {
        Ended::of(self.start(command))
    }

    #[track_caller]
    pub fn run(&self, args: &[impl AsRef<OsStr>]) -> Ended {
        self.end(self.command(args))
    }

    /// `run` and `driver` with these arguments are refused as [`refuses`](Self::refuses) says.
    #[track_caller]
    pub fn refuses_job(&self, args: &[&str], sentence: &str) {
        self.refuses(self.command(&[&["run"], args].concat()), sentence);
        self.refuses(self.driver(args), sentence);
    }

    /// `run` is refused to a user without privileges.
    #[track_caller]
    pub fn refuses_unprivileged(&self, args: &[&str], sentence: &str) {
        self.refuses(self.unprivileged(&[&["run"], args].concat()), sentence);
        let driver = ["driver", "--listen", "127.0.0.1:0"];
        self.refuses(self.unprivileged(&[&driver, args].concat()), sentence);
    }

    /// `run` with these arguments succeeds, and its first line is this warning.
    #[track_caller]
    pub fn warns(&self, args: &[&str], sentence: &str) {
        let ended = self.run(&[&["run"], args].concat());
        let first = ended.stderr.lines().next().map(|line| self.mask(line));
        assert_eq!(first, Some(format!("mapmill: warning: {sentence}")));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }

    /// `mapmill driver` at a port of its own, so that tests do not meet.
    pub fn driver(&self, args: &[&str]) -> Command {
        self.command(&[&["driver", "--listen", "127.0.0.1:0"], args].concat())
    }

    /// A driver that waits for workers, and its address.
    #[track_caller]
    pub fn start_driver(&self, command: Command) -> (Process, String) {
        let mut driver = self.start(command);
        let line = driver.wait_for("start one with: mapmill worker --driver ");
        let (_, flags) = line.rsplit_once(" --driver ").expect("the line that was asked for");
        let address = flags.split(' ').next().unwrap_or_default().to_owned();
        (driver, address)
    }

    /// `command` ends with exit code 2 and one line, and nothing on disk is touched. The line is
    /// `sentence`; what the system says may follow it, or is at `<cause>`. `<scratch>` stands for
    /// this folder, and `<command>` for the command that was typed.
    #[track_caller]
    pub fn refuses(&self, command: Command, sentence: &str) {
        let typed = format!("{command:?}");
        let name = command.get_args().next().unwrap_or_default().to_string_lossy().into_owned();
        let before = self.listing();
        let ended = self.end(command);
        let after = self.listing();

        let sentence = sentence.replace("<command>", &format!("mapmill {name}"));
        let line = self.mask(&ended.stderr);
        assert_eq!(line.lines().count(), 1, "{typed} says more than a line:\n{line}");
        let said = line.strip_prefix("mapmill: ").unwrap_or(&line).trim_end();
        let (before_cause, after_cause) = sentence.split_once("<cause>").unwrap_or((&sentence, ""));
        let cause = said.strip_prefix(before_cause);
        let cause = cause.and_then(|rest| rest.strip_suffix(after_cause));
        let is_cause = |cause: &str| cause.is_empty() || cause.starts_with(": ");
        if !cause.is_some_and(is_cause) {
            assert_eq!(said, sentence, "{typed}");
        }
        assert!(line.starts_with("mapmill: ") && line.ends_with('\n'), "{line:?}");
        assert_eq!(ended.code, 2, "exit code of {typed}");
        assert_eq!(ended.stdout, "", "stdout of {typed}");
        assert_eq!(before, after, "{typed} has touched the disk");
    }

    /// `text` with `<scratch>` for the path of this folder.
    pub fn mask(&self, text: &str) -> String {
        text.replace(
            self.path("")
                .to_str()
                .expect("temporary folders have plain names")
                .trim_end_matches('/'),
            "<scratch>",
        )
    }

    /// All there is, with its size and when it was last changed.
    fn listing(&self) -> BTreeMap<PathBuf, (u64, SystemTime, Vec<u8>)> {
        let mut listing = BTreeMap::new();
        let mut folders = vec![self.path("")];
        while let Some(path) = folders.pop() {
            let metadata = fs::symlink_metadata(&path).expect(OURS);
            if metadata.is_dir() {
                // To an unprivileged tester, what is unreadable is only a name.
                let entries = fs::read_dir(&path).into_iter().flatten();
                folders.extend(entries.map(|entry| entry.expect(OURS).path()));
            }
            let text = match metadata.is_file() && metadata.len() < 4096 {
                true => fs::read(&path).unwrap_or_default(),
                false => Vec::new(),
            };
            listing.insert(path, (metadata.len(), metadata.modified().expect(OURS), text));
        }
        listing
    }
}

impl Ended {
    #[track_caller]
    pub fn of(mut process: Process) -> Self {
        let code = process.code();
        let stdout = String::from_utf8(process.stdout()).expect("stdout is UTF-8");
        Self { code, stdout, stderr: process.log() }
    }

    /// The command succeeded and printed nothing on stderr. Returns its stdout.
    #[track_caller]
    pub fn silent(self) -> String {
        assert_eq!(self.stderr, "");
        assert_eq!(self.code, 0);
        self.stdout
    }
}

/// The program with a closed stdout.
pub fn into_closed_pipe(mut command: Command) -> Option<i32> {
    let (reader, writer) = std::io::pipe().expect("the system has pipes");
    drop(reader);
    command
        .stdout(writer)
        .stderr(Stdio::null())
        .status()
        .expect("the program can be started")
        .code()
}

/// The program with a full stdout.
pub fn into_full_device(mut command: Command) -> Option<i32> {
    let full = File::options().write(true).open("/dev/full").expect("a device of Linux");
    command.stdout(full).stderr(Stdio::null()).status().expect("the program can be started").code()
}

/// The user `nobody` of most systems; it needs no name.
const NOBODY: u32 = 65534;

/// Why what the test does in its own folder succeeds.
const OURS: &str = "the test's own folder can be used";
