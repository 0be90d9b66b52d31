//! Results folders that a job cannot use.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::scratch::Scratch;

#[test]
fn files_folder_that_is_a_file_is_refused() {
    let scratch = Scratch::new();
    scratch.write("notes", "a");
    let sentence = "<scratch>/notes is a file, but the results need a folder; give --files a \
                    folder, which need not exist";
    scratch.refuses_job(&["in", "--files", "notes"], sentence);
    scratch.refuses_job(&["in", "--files", "notes/results/here"], sentence);
}

#[test]
fn files_folder_that_cannot_be_created_is_refused() {
    let scratch = Scratch::new();
    // The scratch folder itself belongs to another user, or at least cannot be written.
    scratch.create("parent");
    fs::set_permissions(scratch.path("parent"), Permissions::from_mode(0o555)).unwrap();
    let sentence = "cannot use <scratch>/parent/new/files for the results: cannot create \
                    <scratch>/parent/new/files<cause>; choose another folder with --files";
    scratch.refuses_unprivileged(&["in", "--files", "parent/new/files"], sentence);
}

#[test]
fn files_folder_that_cannot_be_written_is_refused() {
    let scratch = Scratch::new();
    for folder in ["files/intermediate", "files/out"] {
        scratch.give(&scratch.create(folder));
    }
    fs::set_permissions(scratch.path("files"), Permissions::from_mode(0o555)).unwrap();
    let sentence =
        "cannot use <scratch>/files for the results<cause>; choose another folder with --files";
    scratch.refuses_unprivileged(&["in"], sentence);
    // An unprivileged tester could not remove it.
    fs::set_permissions(scratch.path("files"), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn files_folder_of_another_user_is_refused() {
    let scratch = Scratch::new();
    scratch.run(&["run", "-q", "in"]).silent();
    // An unprivileged tester is the user who owns the folder.
    fs::set_permissions(scratch.path("files/.mapmill"), Permissions::from_mode(0o000)).unwrap();
    let sentence = match scratch.is_root() {
        true => of_root(".mapmill"),
        false => {
            "cannot use <scratch>/files for the results<cause>; choose another folder with --files"
                .to_owned()
        }
    };
    scratch.refuses_unprivileged(&["in"], &sentence);
    fs::set_permissions(scratch.path("files/.mapmill"), Permissions::from_mode(0o755)).unwrap();
    // Only root can make a folder of another user.
    if scratch.is_root() {
        scratch.refuses_unprivileged(&["in"], &of_root(".mapmill/claims"));
    }
}

fn of_root(folder: &str) -> String {
    format!(
        "<scratch>/files/{folder} belongs to another user (uid 0); run the driver as that user; \
         alternatively, choose another folder with --files"
    )
}

#[test]
fn foreign_file_among_the_results_is_named() {
    for folder in ["intermediate", "out"] {
        let scratch = Scratch::new();
        scratch.write(format!("files/{folder}/thesis.txt"), "the only copy");
        let sentence = format!(
            "<scratch>/files/{folder}/thesis.txt is not a result of mapmill; move it away, or \
             choose another folder with --files"
        );
        scratch.refuses_job(&["in"], &sentence);
        scratch.refuses_job(&["in", "--files", "files"], &sentence);
    }
}

#[test]
fn first_of_many_foreign_files_is_named_and_the_others_are_counted() {
    let scratch = Scratch::new();
    for name in ["out/b", "out/a", "intermediate/mr-1", "intermediate/mr-0-0"] {
        scratch.write(format!("files/{name}"), "");
    }
    scratch.create("files/out/out-0");
    let sentence = "<scratch>/files/intermediate/mr-1 is not a result of mapmill (and 3 more); \
                    move it away, or choose another folder with --files";
    scratch.refuses_job(&["in"], sentence);
}

#[test]
fn link_in_place_of_a_results_folder_is_refused() {
    let scratch = Scratch::new();
    scratch.create("files");
    symlink("/tmp", scratch.path("files/out")).unwrap();
    let sentence = "cannot use <scratch>/files for the results: <scratch>/files/out is not a folder \
                    (links are not followed here); choose another folder with --files";
    scratch.refuses_job(&["in"], sentence);
}

#[test]
fn files_folder_of_a_running_job_is_refused_and_its_driver_is_named() {
    let scratch = Scratch::new();
    let mut driver = scratch.start(scratch.driver(&["in"]));
    driver.wait_for("waiting for workers on 127.0.0.1:");
    let sentence = format!(
        "cannot lock the results folder: <scratch>/files is in use by another driver (process {}); \
         wait for the other job, or choose another folder with --files",
        driver.pid()
    );
    scratch.refuses_job(&["in"], &sentence);
}

#[test]
fn unfinished_job_is_discarded_only_with_fresh() {
    let scratch = Scratch::new();
    let (mut driver, _) = scratch.start_driver(scratch.driver(&["in", "-n", "12"]));
    driver.kill();
    scratch.write("in/b.txt", "b\n");
    for verb in ["run", "driver"] {
        let ended = scratch.run(&[verb, "in", "-n", "6"]);
        let expected = "mapmill: <scratch>/files holds an unfinished job that differs from this one \
                        (map tasks: 12 then, 6 now; input added: <scratch>/in/b.txt); repeat the \
                        command of that job to resume it, choose another folder with --files, or \
                        discard that job with --fresh\n";
        assert_eq!((ended.code, &scratch.mask(&ended.stderr)[..]), (2, expected));
    }
    scratch.write("in/a.txt", "other words\n");
    let ended = scratch.run(&["run", "in", "-n", "12"]);
    let way_out = "; restore the inputs, with their times, to resume that job; or discard it with \
                   --fresh, or choose another folder with --files\n";
    assert!(ended.stderr.ends_with(way_out), "{}", ended.stderr);
    scratch.run(&["run", "-q", "in", "-n", "6", "--fresh"]).silent();
    // That job is finished: it is replaced.
    scratch.run(&["run", "-q", "in", "-n", "12"]).silent();
}

/// Other files beside the contract's are not ours to touch.
#[test]
fn hidden_files_and_files_beside_the_results_are_left_alone() {
    let scratch = Scratch::new();
    scratch.write("files/README.txt", "mine");
    scratch.write("files/out/.gitkeep", "mine");
    scratch.run(&["run", "-q", "in"]).silent();

    for name in ["files/README.txt", "files/out/.gitkeep"] {
        assert_eq!(fs::read_to_string(scratch.path(name)).unwrap(), "mine");
    }
}

/// A shell with `umask 000`, as some containers have.
#[test]
fn no_file_can_be_written_by_other_users_whatever_the_umask() {
    let scratch = Scratch::new();
    let program = scratch.command(&["run"]).get_program().to_owned();
    let lines = [
        "umask 000",
        "\"$0\" run in -q -w 1 --files new/files && \"$0\" man pages && \"$0\" certs init",
        "\"$0\" driver in -q --files killed --listen 127.0.0.1:0 & pid=$!",
        "for i in $(seq 1000); do [ -e killed/.mapmill/driver.json ] && break; sleep 0.01; done",
        "kill -9 $pid",
    ];
    let mut shell = std::process::Command::new("sh");
    shell.current_dir(scratch.path("")).arg("-c").arg(lines.join("\n")).arg(program);
    let output = shell.output().expect("there is a shell");
    assert!(scratch.path("certs").is_dir(), "{output:?}");
    let mut seen = 0;
    let mut folders = ["new", "pages", "certs", "killed"].map(|name| scratch.path(name)).to_vec();
    while let Some(path) = folders.pop() {
        let metadata = fs::symlink_metadata(&path).expect("it was listed");
        let mode = metadata.permissions().mode();
        assert_eq!(mode & 0o022, 0, "{} has mode {mode:o}", path.display());
        seen += 1;
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).expect("it is ours");
            folders.extend(entries.map(|entry| entry.expect("it is ours").path()));
        }
    }
    assert!(seen > 50, "{seen}");
}

/// The limit is too low for a driver, or for its workers.
#[test]
fn limit_of_open_files_that_is_too_low_is_named_as_the_way_out() {
    for (mut limits, code) in [(14..=14, 2), (18..=26, 1)] {
        // Which limit the driver needs, and a worker more than that, may change.
        let failed = limits.find_map(|limit| {
            let scratch = Scratch::new();
            let mut shell = std::process::Command::new("sh");
            let run = scratch.command(&["run", "in", "-w", "1"]);
            let line = format!("ulimit -n {limit}; exec timeout 5 \"$0\" \"$@\"");
            shell.current_dir(scratch.path("")).arg("-c").arg(line);
            shell.arg(run.get_program()).args(run.get_args());
            let ended = shell.output().expect("there is a shell");
            let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
            (ended.status.code() == Some(code)).then_some(stderr)
        });

        let stderr = failed.expect("one of the limits is too low");
        assert!(stderr.contains("Too many open files (os error 24)"), "{stderr}");
        let last =
            "too many files are open: raise the limit (ulimit -n), and run the command again\n";
        assert!(stderr.ends_with(last), "{stderr}");
        assert!(!stderr.contains("choose another folder") && !stderr.contains("check the disk"));
    }
}
