//! A job under test: its inputs, and whether its results are right.
//!
//! ```ignore
//! TestJob::new().input("a b a").workers(3).run().check();
//! ```
//!
//! Each job has a temporary folder of its own, in which all its processes start. Its inputs are in
//! `inputs` and its results in `files`, unless the test says otherwise.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::command::mapmill;
use super::oracle::{self, Expected, Oracle, Rules};
use super::process::Process;

#[derive(Debug)]
pub struct TestJob {
    folder: TempDir,
    /// Inputs as they are typed; none for the default.
    arguments: Vec<PathBuf>,
    /// Input files in order, where the oracle cannot find them by itself.
    input_files: Option<Vec<PathBuf>>,
    /// As it is typed; none for the default.
    files: Option<PathBuf>,
    map_tasks: Option<u32>,
    reduce_tasks: Option<u32>,
    rules: Rules,
    flags: Vec<OsString>,
    variables: Vec<(String, String)>,
}

/// The inputs, and how to run the job.
impl TestJob {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("the disk has space for a temporary folder");
        fs::create_dir(folder.path().join("inputs")).expect("our own folder can be written");
        fs::create_dir(folder.path().join(LOGS)).expect("our own folder can be written");
        Self {
            folder,
            arguments: Vec::new(),
            input_files: None,
            files: None,
            map_tasks: None,
            reduce_tasks: None,
            rules: Rules::default(),
            flags: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// One more input file, behind those before it.
    pub fn input(self, text: impl AsRef<[u8]>) -> Self {
        let count = fs::read_dir(self.path("inputs")).expect("our own folder").count();
        self.file(format!("inputs/{count:03}.txt"), text)
    }

    /// A file anywhere in the job's folder.
    pub fn file(self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        let parent = path.parent().expect("the job's folder is above");
        fs::create_dir_all(parent).expect("our own folder can be written");
        fs::write(path, text).expect("our own folder can be written");
        self
    }

    /// The repository's sample, as it is: with what is hidden in it.
    pub fn sample(self) -> Self {
        for entry in fs::read_dir(repository().join("inputs")).expect("the sample is there") {
            let entry = entry.expect("the sample can be read");
            let copy = self.path("inputs").join(entry.file_name());
            fs::copy(entry.path(), copy).expect("our own folder can be written");
        }
        self
    }

    /// The inputs as they are typed.
    pub fn reading(mut self, argument: impl Into<PathBuf>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The input files that are counted, in order, where that is what the test is about.
    pub fn counting(mut self, files: &[&str]) -> Self {
        self.input_files = Some(files.iter().map(|file| self.path(file)).collect());
        self
    }

    pub fn files(mut self, folder: impl Into<PathBuf>) -> Self {
        self.files = Some(folder.into());
        self
    }

    pub fn map_tasks(mut self, count: u32) -> Self {
        self.map_tasks = Some(count);
        self
    }

    pub fn reduce_tasks(mut self, count: u32) -> Self {
        self.reduce_tasks = Some(count);
        self
    }

    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// How many workers `mapmill run` starts.
    pub fn workers(self, count: u32) -> Self {
        self.flags(["--workers".to_owned(), count.to_string()])
    }

    /// More flags of the command that runs the job.
    pub fn flags<Flag: Into<OsString>>(mut self, flags: impl IntoIterator<Item = Flag>) -> Self {
        self.flags.extend(flags.into_iter().map(Into::into));
        self
    }

    /// The secret of driver and workers.
    pub fn token(self, token: &str) -> Self {
        self.variable("MAPMILL_TOKEN", token)
    }

    /// A variable in the environment of all processes.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl TestJob {
    /// The absolute path of something in the job's folder.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The absolute path of something in the results folder.
    pub fn result(&self, path: impl AsRef<Path>) -> PathBuf {
        let files = self.files.as_deref().unwrap_or(Path::new("files"));
        self.path(files).join(path)
    }

    /// `mapmill VERB`, in the job's folder.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = mapmill();
        command.current_dir(self.folder.path()).arg(verb);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `mapmill VERB` with all flags of the job, and those that show a test what happens.
    pub fn job_command(&self, verb: &str, flags: &[&str]) -> Command {
        let mut command = self.command(verb);
        command.args(["--json", "-v"]).args(flags).args(&self.flags);
        if let Some(files) = &self.files {
            command.arg("--files").arg(files);
        }
        if let Some(count) = self.map_tasks {
            command.args(["-n", &count.to_string()]);
        }
        if let Some(count) = self.reduce_tasks {
            command.args(["-m", &count.to_string()]);
        }
        if self.rules.whitespace {
            command.args(["--words", "whitespace"]);
        }
        if self.rules.ignore_case {
            command.arg("--ignore-case");
        }
        command.arg("--").args(&self.arguments);
        command
    }

    /// Starts a process of the job; its output is kept.
    #[track_caller]
    pub fn start(&self, name: &str, command: Command) -> Process {
        Process::start(name, command, &self.path(LOGS))
    }

    /// A running `mapmill run`.
    #[track_caller]
    pub fn start_run(&self) -> Process {
        let earlier = fs::read_dir(self.path(LOGS)).expect("our own folder").count();
        self.start(&format!("run-{earlier}"), self.job_command("run", &[]))
    }

    /// `mapmill run`, to its end.
    #[track_caller]
    pub fn run(self) -> Ended {
        let mut run = self.start_run();
        run.wait();
        Ended::new(self, run)
    }

    /// Reads the inputs as they are now.
    pub fn oracle(&self) -> Oracle {
        let default = [PathBuf::from("inputs")];
        let arguments = if self.arguments.is_empty() { &default } else { &self.arguments[..] };
        let listed = || oracle::list(self.folder.path(), arguments);
        let files = self.input_files.clone().unwrap_or_else(listed);
        Oracle::read(&files, self.rules)
    }

    fn expect(&self, oracle: &Oracle) -> Expected {
        oracle.expect(self.map_tasks.unwrap_or(6), self.reduce_tasks.unwrap_or(4))
    }
}

/// A job that has ended, well or badly.
#[derive(Debug)]
pub struct Ended {
    pub job: TestJob,
    /// Of the driver.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub log: String,
}

impl Ended {
    /// `driver` is the process that drove the job, and has ended.
    #[track_caller]
    pub fn new(job: TestJob, mut driver: Process) -> Self {
        let (code, stdout, log) = (driver.code(), driver.stdout(), driver.log());
        Self { job, code, stdout, log }
    }

    /// What `--json` has printed.
    #[track_caller]
    pub fn report(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).expect("--json prints JSON")
    }

    /// How many attempts were lost with their workers.
    #[track_caller]
    pub fn attempts_lost(&self) -> u64 {
        self.report()["attempts"]["lost"].as_u64().expect("the report counts lost attempts")
    }

    /// The job is done, and all its results are those of the oracle.
    #[track_caller]
    pub fn check(self) -> Self {
        let oracle = self.job.oracle();
        self.check_against(&oracle)
    }

    #[track_caller]
    pub fn check_against(self, oracle: &Oracle) -> Self {
        assert_eq!(self.code, 0, "the job failed:\n{}", self.log);
        let expected = self.job.expect(oracle);
        let found = results(&self.job.result(""));
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected.files), "the names in the results folder");
        check_contents(&found, &expected);
        check_hidden(&self.job.result(".mapmill"));

        let report = self.report();
        assert_eq!(report["input"]["bytes"], oracle.bytes);
        assert_eq!(report["input"]["invalid_bytes"], oracle.invalid_bytes);
        assert_eq!(report["map"]["words"], expected.words);
        assert_eq!(report["reduce"]["words"], expected.words);
        assert_eq!(report["distinct_words"], expected.distinct_words);
        self
    }

    /// The job has failed with a message that contains all of `parts`; what it had committed by
    /// then is right, and the outputs of `missing` were not committed.
    #[track_caller]
    pub fn check_failed(self, oracle: &Oracle, missing: &[u32], parts: &[&str]) -> Self {
        assert_eq!(self.code, 1, "{}", self.log);
        for part in parts {
            assert!(self.log.contains(part), "no `{part}` in:\n{}", self.log);
        }
        assert_eq!(self.report()["state"], "failed");
        let found = results(&self.job.result(""));
        for bucket in missing {
            let name = PathBuf::from(format!("out/out-{bucket}"));
            assert!(!found.contains_key(&name), "{} was committed", name.display());
        }
        let outputs = found.into_iter().filter(|(name, _)| name.starts_with("out")).collect();
        check_contents(&outputs, &self.job.expect(oracle));
        check_hidden(&self.job.result(".mapmill"));
        self
    }
}

/// Every visible file in a results folder, by path.
#[track_caller]
pub fn results(files: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let visible = |name: &OsStr| !name.as_encoded_bytes().starts_with(b".");
    let folders = entries(files).into_iter().filter(|name| visible(name));
    assert_eq!(folders.collect::<Vec<_>>(), ["intermediate", "out"], "in {}", files.display());
    let mut results = BTreeMap::new();
    for path in oracle::list(files, &["intermediate".into(), "out".into()]) {
        let name = path.strip_prefix(files).expect("it was found there").to_owned();
        results.insert(name, fs::read(path).expect("results can be read"));
    }
    results
}

/// The repository that this test is part of.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[track_caller]
fn check_contents(found: &BTreeMap<PathBuf, Vec<u8>>, expected: &Expected) {
    for (name, found) in found {
        let expected = expected.files.get(name);
        let expected = expected.unwrap_or_else(|| panic!("{} is foreign", name.display()));
        if found == expected {
            continue;
        }
        let found: Vec<&[u8]> = found.split(|&byte| byte == b'\n').collect();
        let expected: Vec<&[u8]> = expected.split(|&byte| byte == b'\n').collect();
        let same = found.iter().zip(&expected).take_while(|(found, expected)| found == expected);
        let line = same.count();
        let show = |lines: &[&[u8]]| lines.get(line).map(|line| line.escape_ascii().to_string());
        let (found, expected) = (show(&found), show(&expected));
        panic!("{} line {}: {found:?}, expected {expected:?}", name.display(), line + 1);
    }
}

/// Our own bookkeeping is a journal and a lock, and nothing is left staged.
#[track_caller]
pub fn check_hidden(folder: &Path) {
    assert_eq!(entries(folder), ["claims", "journal.jsonl", "lock", "staging"]);
    assert_eq!(entries(&folder.join("staging")), [""; 0], "left staged");
}

/// The names in a folder, sorted.
#[track_caller]
pub fn entries(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder);
    let entries =
        entries.unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("a folder can be read").file_name()).collect();
    names.sort();
    names
}

/// Where the processes' output is kept.
const LOGS: &str = "logs";
