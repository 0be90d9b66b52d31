//! `mapmill verify` finds every difference from the records.

use std::fs;

use serde_json::{Value, json};

use super::scratch::Scratch;

/// A finished job over a few words, in `files`.
fn finished() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("inputs/a", "one two three four five six seven eight nine ten\n");
    let job = scratch.command(&["run", "inputs", "-q"]).output().expect("the program starts");
    assert!(job.status.success(), "{job:?}");
    scratch
}

/// Exit code, stdout and stderr of `mapmill verify`.
fn verify(scratch: &Scratch) -> (Option<i32>, String, String) {
    let output = scratch.command(&["verify"]).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("messages are text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn finished_job_is_as_recorded() {
    let (code, stdout, stderr) = verify(&finished());
    let expected = "files: 24 intermediate files and 4 output files are as recorded (118 B); \
                    10 words emitted, and as many counted\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), expected, ""));
}

#[test]
fn json_says_what_was_verified_or_what_is_wrong() {
    let scratch = finished();
    let json = |code| {
        let ended = scratch.run(&["verify", "--json"]);
        assert_eq!((ended.code, ended.stdout.lines().count()), (code, 1), "{}", ended.stdout);
        serde_json::from_str::<Value>(&ended.stdout).expect("JSON")
    };
    let verified = json!({ "intermediates": 24, "outputs": 4, "bytes": 118, "words": 10 });
    let expected = json!({
        "files": "files", "state": "as_recorded", "verified": verified, "problems": [],
    });
    assert_eq!(json(0), expected);
    fs::write(scratch.path("files/out/notes"), "").unwrap();
    let problems = ["files/out/notes is not of this job"];
    let expected = json!({
        "files": "files", "state": "damaged", "verified": null, "problems": problems,
    });
    assert_eq!(json(1), expected);
}

#[test]
fn every_kind_of_damage_is_found_and_named() {
    let scratch = finished();
    let path = |name: &str| scratch.path("files").join(name);
    let output = fs::read(path("out/out-0")).unwrap();
    fs::write(path("out/out-0"), output.to_ascii_uppercase()).unwrap();
    fs::write(path("out/out-1"), "").unwrap();
    fs::remove_file(path("intermediate/mr-2-3")).unwrap();
    fs::write(path("intermediate/mr-6-0"), "").unwrap();
    fs::write(path("out/notes"), "").unwrap();

    let (code, stdout, stderr) = verify(&scratch);

    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    for part in [
        "out/out-0 is corrupt",
        "out/out-1 has 0 bytes",
        "intermediate/mr-2-3 is missing",
        "intermediate/mr-6-0 is not of this job",
        "out/notes is not of this job",
        "5 problems in files; run the job again",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn folder_without_a_finished_job_is_refused() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("files")).unwrap();
    let (code, _, stderr) = verify(&scratch);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("holds no journal of a job; name the folder given to --files"));

    let scratch = finished();
    let journal = scratch.path("files/.mapmill/journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let (cut, _) = whole.trim_end().rsplit_once('\n').unwrap();
    fs::write(&journal, format!("{cut}\n")).unwrap();
    let (code, _, stderr) = verify(&scratch);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("is not done: 6 of 6 map tasks and 4 of 4 reduce tasks are"));
}
