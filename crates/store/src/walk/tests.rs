//! The files that arguments name, in trees that were made to confuse.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::*;
use crate::watchdog::in_time;

#[test]
fn files_are_sorted_by_path_bytewise() {
    let tree = Tree::new(&["b/x", "b.txt", "B", "a/z/1", "a/y", "é", "z"]);
    // A dot is less than a slash.
    tree.check(&["."], &["B", "a/y", "a/z/1", "b.txt", "b/x", "z", "é"]);
}

#[test]
fn order_is_that_of_the_paths_as_typed_and_not_of_the_arguments() {
    let tree = Tree::new(&["b/1", "a/1", "a/2"]);
    tree.check(&["b", "a"], &["a/1", "a/2", "b/1"]);
    tree.check(&["b/1", "a/2", "a/1"], &["a/1", "a/2", "b/1"]);
}

#[test]
fn paths_are_absolute_and_carry_length_and_time() {
    let tree = Tree::new(&["a"]);
    std::fs::write(tree.path("a"), "12345").unwrap();
    let inputs = list_inputs(&[tree.path("a")], None).unwrap().inputs;

    let metadata = std::fs::metadata(tree.path("a")).unwrap();
    let expected = Input { path: tree.path("a"), bytes: 5, modified: Modified::of(&metadata) };
    assert_eq!(inputs, [expected]);

    // Cargo runs tests in the crate's folder.
    let inputs = list_inputs(&[PathBuf::from("./src/lib.rs")], None).unwrap().inputs;
    let expected = std::env::current_dir().unwrap().join("src/lib.rs");
    assert_eq!(inputs[0].path, expected);
}

#[test]
fn hidden_names_are_skipped_unless_they_are_an_argument() {
    let tree = Tree::new(&["a", ".hidden", ".folder/b", "c/.d"]);
    tree.check(&["."], &["a"]);
    tree.check(&[".hidden"], &[".hidden"]);
    tree.check(&[".folder"], &[".folder/b"]);
    tree.check(&["c/.d", "c/../a"], &["c/../a", "c/.d"]);
}

#[test]
fn names_may_be_any_bytes() {
    let names: [&[u8]; 5] = [b"-n", b"--", b"line\nbreak", b"not \xff\xfe utf-8", b" "];
    let tree = Tree::new(&[]);
    for name in names {
        std::fs::write(tree.root.path().join(OsStr::from_bytes(name)), "").unwrap();
    }
    let found = list_inputs(&[tree.path("")], None).unwrap().inputs;
    let found: Vec<_> = found.iter().map(|input| input.path.file_name().unwrap()).collect();
    let sorted: [&[u8]; 5] = [b" ", b"--", b"-n", b"line\nbreak", b"not \xff\xfe utf-8"];
    assert_eq!(found, sorted.map(OsStr::from_bytes));
}

#[test]
fn an_argument_given_twice_counts_twice() {
    let tree = Tree::new(&["a/1", "a/2"]);
    symlink("1", tree.path("a/link")).unwrap();
    tree.check(&["a/1", "a/1"], &["a/1", "a/1"]);
    tree.check(&["a", "a/1"], &["a/1", "a/1", "a/2", "a/link"]);
    tree.check(&["a", "a"], &["a/1", "a/1", "a/2", "a/2", "a/link", "a/link"]);
    tree.check(&["a/link", "a/link"], &["a/link", "a/link"]);
}

#[test]
fn a_file_that_is_counted_more_than_once_is_noted() {
    let tree = Tree::new(&["a/1", "a/2", "b/1"]);
    tree.check_repeated(&["a", "b"], None);
    tree.check_repeated(&["a/1", "a/1"], Some(("a/1", None, 2, 0)));
    tree.check_repeated(&["a/1", "a/1", "a/../a/1"], Some(("a/../a/1", Some("a/1"), 3, 0)));
    tree.check_repeated(&["a", "a/2"], Some(("a/2", None, 2, 0)));
    tree.check_repeated(&["a", "a", "b"], Some(("a/1", None, 2, 1)));
    symlink("../a/2", tree.path("b/link")).unwrap();
    tree.check_repeated(&["b"], None);
    tree.check_repeated(&["a", "b"], Some(("a/2", Some("b/link"), 2, 0)));
    std::fs::hard_link(tree.path("b/1"), tree.path("b/hard")).unwrap();
    tree.check_repeated(&["b"], Some(("b/1", Some("b/hard"), 2, 0)));
}

#[test]
fn results_of_jobs_are_left_out_where_a_walk_meets_them() {
    let tree = Tree::new(&[
        "1",
        "sub/2",
        "own/out/out-0",
        "sub/other/.mapmill/journal.jsonl",
        "sub/other/intermediate/mr-0-0",
        "sub/other/out/out-0",
        "sub/other/mine",
    ]);
    tree.check_left_out(&["."], &["1", "sub/2"], Some(("own", 1)));
    tree.check_left_out(&["sub"], &["sub/2"], Some(("sub/other", 0)));
    // Beside them.
    tree.check_left_out(&["1", "sub/2"], &["1", "sub/2"], None);
}

#[test]
fn results_of_another_job_are_counted_where_an_argument_names_them() {
    let tree = Tree::new(&[
        "other/.mapmill/journal.jsonl",
        "other/intermediate/mr-0-0",
        "other/out/out-0",
        "other/mine/out/1",
        "empty/.mapmill/journal.jsonl",
        "empty/out/out-0",
    ]);
    tree.check_left_out(&["other/out"], &["other/out/out-0"], None);
    tree.check_left_out(&["other/out/out-0"], &["other/out/out-0"], None);
    tree.check_left_out(&["other"], &["other/mine/out/1"], Some(("other/intermediate", 1)));
    let refusal = tree.list(&["empty"]).unwrap_err();
    assert!(matches!(refusal, InputError::NoFiles { .. }), "{refusal}");
}

#[test]
fn links_to_results_of_jobs_are_left_out() {
    let tree = Tree::new(&[
        "in/1",
        "own/out/out-0",
        "other/.mapmill/journal.jsonl",
        "other/out/out-0",
        "other/mine/2",
    ]);
    for (link, target) in [
        ("in/a", "../own"),
        ("in/b", "../own/out"),
        ("in/c", "../own/out/out-0"),
        ("in/d", "../other"),
        ("in/e", "../other/out"),
        ("in/f", "../other/out/out-0"),
        ("in/g", "../other/mine"),
        ("other/out/h", "out-0"),
    ] {
        symlink(target, tree.path(link)).unwrap();
    }
    tree.check_left_out(&["in"], &["in/1", "in/g/2"], Some(("in/a", 5)));
    tree.check_left_out(&["in/e"], &["in/e/h", "in/e/out-0"], None);
    tree.check_left_out(&["other/out"], &["other/out/h", "other/out/out-0"], None);
}

#[test]
fn a_link_is_followed_to_a_file_and_into_a_folder() {
    let tree = Tree::new(&["inputs/a", "elsewhere/b", "elsewhere/c"]);
    symlink("../elsewhere/b", tree.path("inputs/file")).unwrap();
    symlink("../elsewhere", tree.path("inputs/folder")).unwrap();
    tree.check(&["inputs"], &["inputs/a", "inputs/file", "inputs/folder/b", "inputs/folder/c"]);
    tree.check(&["inputs/folder"], &["inputs/folder/b", "inputs/folder/c"]);
}

#[test]
fn a_link_back_to_a_folder_that_contains_it_is_not_followed() {
    let tree = Tree::new(&["a/1", "a/b/2"]);
    symlink("..", tree.path("a/b/up")).unwrap();
    symlink(".", tree.path("a/b/here")).unwrap();
    symlink(tree.path("a/b"), tree.path("a/b/again")).unwrap();
    tree.check(&["a"], &["a/1", "a/b/2"]);
}

#[test]
fn a_link_above_the_argument_ends() {
    let tree = Tree::new(&["inputs/1", "2"]);
    symlink("..", tree.path("inputs/up")).unwrap();
    tree.check(&["inputs"], &["inputs/1", "inputs/up/2", "inputs/up/inputs/1"]);
}

#[test]
fn cross_linked_folders_do_not_multiply() {
    // More than the 40 links that Linux follows in one path.
    const FOLDERS: usize = 45;
    const LINKS: usize = 3;
    let tree = Tree::new(&[]);
    for from in 0..FOLDERS {
        let folder = tree.path(&format!("f{from}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
        for step in 1..=LINKS {
            let to = (from + step) % FOLDERS;
            symlink(tree.path(&format!("f{to}")), folder.join(format!("link{to}"))).unwrap();
        }
    }
    // Each folder once by itself and once through every link to it. If links were followed wherever
    // they are met, it would be once for every path through the links.
    let root = tree.path("");
    let found = in_time(move || list_inputs(&[root], None)).unwrap().inputs;
    assert_eq!(found.len(), FOLDERS * (1 + LINKS));
}

#[test]
fn a_link_that_leads_nowhere_is_refused() {
    let tree = Tree::new(&["inputs/a"]);
    symlink("gone", tree.path("inputs/link")).unwrap();
    for argument in ["inputs", "inputs/link"] {
        let refusal = tree.list(&[argument]).unwrap_err();
        let link = tree.path("inputs/link");
        let expected = format!("input {} is a link to gone, which does not exist", link.display());
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn a_link_to_itself_is_refused() {
    let tree = Tree::new(&[]);
    symlink("link", tree.path("link")).unwrap();
    let refusal = tree.list(&["."]).unwrap_err();
    assert!(matches!(refusal, InputError::Unreadable { .. }), "{refusal}");
}

#[test]
fn an_argument_that_does_not_exist_is_missing() {
    let tree = Tree::new(&["a"]);
    let refusal = tree.list(&["a", "b"]).unwrap_err();
    let expected = format!("input {} does not exist", tree.path("b").display());
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn argument_without_files_is_an_error_whatever_the_others_hold() {
    let tree = Tree::new(&["empty/.hidden", "full/a"]);
    for arguments in [&["empty"][..], &["full", "empty"]] {
        let refusal = tree.list(arguments).unwrap_err();
        let expected = format!("no input files in `{}`", tree.path("empty").display());
        assert_eq!(refusal.to_string(), expected);
    }
    assert_eq!(list_inputs(&[], None).unwrap_err().to_string(), "no input files");
}

#[test]
fn empty_files_are_inputs() {
    let tree = Tree::new(&["a", "b"]);
    tree.check(&["."], &["a", "b"]);
}

/// Files that are generated while they are read have no length, and would count as empty.
#[test]
fn a_file_with_bytes_beyond_its_length_is_refused_by_name() {
    let tree = Tree::new(&["inputs/a"]);
    symlink("/proc/cpuinfo", tree.path("inputs/b")).unwrap();
    for path in [PathBuf::from("/proc/cpuinfo"), "/proc/self/cmdline".into()] {
        let refusal = list_inputs(std::slice::from_ref(&path), None).unwrap_err();
        let expected =
            format!("input {} is larger than its reported size (0 bytes)", path.display());
        assert_eq!(refusal.to_string(), expected);
    }
    match tree.list(&["inputs"]) {
        Err(InputError::Oversized { path, bytes: 0 }) => assert_eq!(path, tree.path("inputs/b")),
        other => panic!("a refusal expected, not {other:?}"),
    }
}

#[test]
fn fifos_sockets_and_devices_are_refused_without_waiting() {
    let tree = Tree::new(&["fifos/a", "sockets/a"]);
    let fifo = tree.path("fifos/fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = tree.path("sockets/socket");
    let _listener = UnixListener::bind(&socket).unwrap();

    for (argument, path, kind) in [
        (tree.path("fifos"), &fifo, "a FIFO"),
        (fifo.clone(), &fifo, "a FIFO"),
        (tree.path("sockets"), &socket, "a socket"),
        ("/dev/null".into(), &PathBuf::from("/dev/null"), "a device"),
    ] {
        let refusal = in_time(|| list_inputs(&[argument], None)).unwrap_err();
        let expected = format!("input {} is {kind}, not a regular file", path.display());
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_refused() {
    let tree = Tree::new(&["inputs/a", "inputs/b"]);
    let mut unreadable = tree.path("inputs/b");
    std::fs::set_permissions(&unreadable, PermissionsExt::from_mode(0o000)).unwrap();
    if File::open(&unreadable).is_ok() {
        // We are root, and permissions do not stop root. Linux has files that even root cannot open
        // to read; a walk meets one through a link like any other file.
        unreadable = tree.path("inputs/c");
        symlink("/proc/sys/vm/drop_caches", &unreadable).unwrap();
    }
    match tree.list(&["inputs"]) {
        Err(InputError::Unreadable { path, .. }) => assert_eq!(path, unreadable),
        other => panic!("unreadable expected, not {other:?}"),
    }
}

#[test]
fn a_deep_tree_is_walked() {
    let tree = Tree::new(&[]);
    let deep = tree.path(&"a/".repeat(500));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("file"), "").unwrap();
    assert_eq!(list_inputs(&[tree.path("a")], None).unwrap().inputs.len(), 1);
}

#[test]
fn filter_decides_by_the_path_below_the_argument() {
    let tree = Tree::new(&["a/1", "a/2", "a/b/1", "a/b/2"]);
    symlink("1", tree.path("a/link")).unwrap();
    tree.check_filtered(&["a"], &["1"], &["a/1"]);
    tree.check_filtered(&["a"], &["link", "b/", "b/2"], &["a/b/2", "a/link"]);
    tree.check_filtered(&["a/b"], &["1"], &["a/b/1"]);
    tree.check_filtered(&["a/./"], &["1"], &["a/1"]);
}

#[test]
fn filter_does_not_decide_about_arguments() {
    let tree = Tree::new(&["a/1", "a/2", "b/1"]);
    symlink("b", tree.path("link")).unwrap();
    tree.check_filtered(&["a/1", "a/2"], &[], &["a/1", "a/2"]);
    tree.check_filtered(&["link", "a"], &["1"], &["a/1", "link/1"]);
}

/// A link is what it leads to.
#[test]
fn folder_that_the_filter_does_not_take_is_not_entered() {
    let tree = Tree::new(&["a/1", "a/b/1", "c/1"]);
    symlink("../c", tree.path("a/link")).unwrap();
    tree.check_filtered(&["a"], &["1", "b/1", "link/1"], &["a/1"]);
    tree.check_filtered(&["a"], &["link/", "link/1"], &["a/link/1"]);
}

#[test]
fn what_the_filter_does_not_take_causes_no_error() {
    let tree = Tree::new(&["a/1"]);
    symlink("nowhere", tree.path("a/dangling")).unwrap();
    symlink("loop", tree.path("a/loop")).unwrap();
    let _listener = UnixListener::bind(tree.path("a/socket")).unwrap();
    tree.check_filtered(&["a"], &["1"], &["a/1"]);
}

/// A folder with no files at all may be one where nothing is mounted.
#[test]
fn argument_of_whose_files_the_filter_takes_none_is_an_error_only_if_no_other_has_some() {
    let tree = Tree::new(&["a/1", "b/2"]);
    std::fs::create_dir(tree.path("empty")).unwrap();
    tree.check_filtered(&["a", "b"], &["1"], &["a/1"]);
    tree.check_filtered(&["a", "b/2"], &[], &["b/2"]);
    for (arguments, culprits, filter) in [
        (&["a", "b"][..], &["a", "b"][..], Some("--filter")),
        (&["a", "empty"], &["empty"], None),
        (&["empty"], &["empty"], None),
    ] {
        let refusal = tree.list_filtered(arguments, &["3"]).unwrap_err();
        let InputError::NoFiles { arguments: named, filter: by } = refusal else {
            panic!("{refusal}")
        };
        let culprits: Vec<_> = culprits.iter().map(|culprit| tree.path(culprit)).collect();
        assert_eq!((named, by.as_deref()), (culprits, filter), "{arguments:?}");
    }
}

/// A folder of empty files.
struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    fn new(files: &[&str]) -> Self {
        let tree = Self { root: tempfile::tempdir().unwrap() };
        for file in files {
            let path = tree.path(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap();
        }
        tree
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn list(&self, arguments: &[&str]) -> Result<Listing, InputError> {
        let arguments: Vec<_> = arguments.iter().map(|argument| self.path(argument)).collect();
        list_inputs(&arguments, Some(&self.path("own")))
    }

    /// With a filter that takes what is named in `taken`: files, and folders with a slash.
    fn list_filtered(&self, arguments: &[&str], taken: &[&str]) -> Result<Listing, InputError> {
        let paths = arguments.iter().map(|argument| self.path(argument)).collect();
        let taken: Vec<String> = taken.iter().map(ToString::to_string).collect();
        let takes = move |below: &Path, is_folder: bool| {
            let slash = if is_folder { "/" } else { "" };
            taken.contains(&format!("{}{slash}", below.display()))
        };
        let filter = Some(Filter::new("--filter".to_owned(), takes));
        Arguments { paths, filter }.list(Some(&self.path("own")))
    }

    #[track_caller]
    fn check_filtered(&self, arguments: &[&str], taken: &[&str], expected: &[&str]) {
        self.check_listed(&self.list_filtered(arguments, taken).unwrap().inputs, expected);
    }

    #[track_caller]
    fn check(&self, arguments: &[&str], expected: &[&str]) {
        self.check_listed(&self.list(arguments).unwrap().inputs, expected);
    }

    #[track_caller]
    fn check_listed(&self, inputs: &[Input], expected: &[&str]) {
        let root = self.root.path();
        let found: Vec<_> =
            inputs.iter().map(|input| input.path.strip_prefix(root).unwrap()).collect();
        let expected: Vec<_> = expected.iter().map(Path::new).collect();
        assert_eq!(found, expected);
    }

    /// For a job with the results folder `own`. `left_out` has the first path, and how many more.
    #[track_caller]
    fn check_left_out(
        &self,
        arguments: &[&str],
        expected: &[&str],
        left_out: Option<(&str, usize)>,
    ) {
        self.check(arguments, expected);
        let notes = self.list(arguments).unwrap().notes;
        let left_out = left_out.map(|(path, more)| LeftOut { path: self.path(path), more });
        assert_eq!(notes.left_out, left_out);
    }

    /// `expected` has the path, another path, how often it is counted, and how many others are.
    #[track_caller]
    fn check_repeated(
        &self,
        arguments: &[&str],
        expected: Option<(&str, Option<&str>, usize, usize)>,
    ) {
        let repeated = |(path, other, times, more): (&str, Option<&str>, _, _)| Repeated {
            path: self.path(path),
            other: other.map(|other| self.path(other)),
            times,
            more,
        };
        assert_eq!(self.list(arguments).unwrap().notes.repeated, expected.map(repeated));
    }
}
