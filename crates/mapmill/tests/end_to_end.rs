//! Whole jobs, through the binary: the right files, whatever the input and the workers.
//!
//! The expected files come from an independent naive counter, see `util/oracle.rs`.

mod util;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use util::cluster::Cluster;
use util::job::{Ended, TestJob, entries, repository, results};
use util::oracle::{Oracle, Rules};
use util::process::poll;
use util::random::Random;

const LETTERS: Rules = Rules { whitespace: false, ignore_case: false };
const WHITESPACE: Rules = Rules { whitespace: true, ignore_case: false };

#[test]
fn default_job_over_the_sample_leaves_the_committed_tree() {
    let job = TestJob::new().sample();
    let mut run = job.start("run", job.command("run"));

    assert_eq!(run.code(), 0);
    assert!(run.stdout().is_empty(), "stdout is for data that was asked for");
    assert!(run.log().contains("done in"), "a report ends the job");

    let (found, committed) = (results(&job.result("")), results(&repository().join("files")));
    assert_eq!(found.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (name, found) in &found {
        assert!(*found == committed[name], "{} is not as committed", name.display());
    }
    assert_eq!(entries(&job.result(".mapmill")), ["claims", "journal.jsonl", "lock", "staging"]);
    assert_eq!(entries(&job.result(".mapmill/staging")), [""; 0]);
}

#[test]
fn committed_tree_is_that_of_the_naive_counter() {
    let inputs = util::oracle::list(&repository(), &["inputs".into()]);
    let expected = Oracle::read(&inputs, LETTERS).expect(6, 4);

    assert!(results(&repository().join("files")) == expected.files);
}

const MAP_TASKS: [u32; 5] = [1, 2, 6, 17, 100];
const REDUCE_TASKS: [u32; 4] = [1, 4, 7, 26];

/// Every number of map and reduce tasks, over `inputs`. The oracle of job `i` is
/// `oracles[i % len]`.
#[track_caller]
fn check_all_numbers_of_tasks(inputs: &TestJob, rules: &[Rules]) {
    let oracles: Vec<_> = rules
        .iter()
        .map(|&rules| {
            let files = util::oracle::list(&inputs.path(""), &["inputs".into()]);
            Oracle::read(&files, rules)
        })
        .collect();
    let numbers = MAP_TASKS.iter().flat_map(|&n| REDUCE_TASKS.iter().map(move |&m| (n, m)));
    for (index, (n, m)) in numbers.enumerate() {
        let index = index % rules.len();
        let job = TestJob::new().reading(inputs.path("inputs")).rules(rules[index]);
        let ended = job.map_tasks(n).reduce_tasks(m).workers(2).flags(AS_IT_IS).run();
        ended.check_against(&oracles[index]);
    }
}

#[test]
fn sample_is_counted_correctly_with_any_number_of_tasks() {
    check_all_numbers_of_tasks(&TestJob::new().sample(), &[LETTERS]);
}

#[test]
fn random_inputs_are_counted_correctly_with_any_number_of_tasks() {
    let mut random = Random::new();
    let mut job = TestJob::new();
    let names = ["a", "a-b", "b.txt", "b/a", "b/a.txt", "b/c/d/e", "empty", "z", "\u{e9}/\u{e8}"];
    for name in names {
        let bytes = if name == "empty" { 0 } else { random.below(20_000) };
        job = job.file(format!("inputs/{name}"), random.text(bytes));
    }
    let job = job.file("inputs/.hidden/a", "never").file("inputs/b/.hidden", "never");
    // The seed also decides which rule is used with which numbers.
    let mut rules = [
        LETTERS,
        WHITESPACE,
        Rules { ignore_case: true, ..LETTERS },
        Rules { ignore_case: true, ..WHITESPACE },
    ];
    rules.rotate_left(random.below(4));

    // Five and not four, or each rule would be used with one number of reduce tasks only.
    let rules = [rules[0], rules[1], rules[2], rules[3], LETTERS];
    check_all_numbers_of_tasks(&job, &rules);
}

/// Some texts here are none: a job would refuse them.
const AS_IT_IS: [&str; 2] = ["--format", "text"];

#[test]
fn empty_files_have_no_words() {
    let ended = TestJob::new().input("").input("").run().check();
    assert_eq!(ended.report()["map"]["words"], 0);

    TestJob::new().input("").input("a b").input("").input("c").input("").run().check();
}

#[test]
fn end_of_file_ends_a_word() {
    let ended = TestJob::new().input("one tw").input("o three").map_tasks(1).run().check();
    assert_eq!(ended.report()["map"]["words"], 4);
}

#[test]
fn input_of_one_byte_is_counted_by_any_number_of_tasks() {
    TestJob::new().input("a").map_tasks(1).run().check();
    TestJob::new().input("a").map_tasks(9).run().check();
    TestJob::new().input("\n").map_tasks(9).run().check();
    let invalid = TestJob::new().input(b"\xff").flags(AS_IT_IS);
    invalid.map_tasks(2).rules(WHITESPACE).run().check();
}

#[test]
fn job_may_have_more_tasks_than_bytes() {
    let job = TestJob::new().input("a é b").input("cd").map_tasks(100).reduce_tasks(26);
    job.workers(3).run().check();
}

#[test]
fn bytes_that_are_not_text_separate_words_and_are_counted() {
    let text = b"one\xfftwo\xc3\xa9\xc3 three\0four\r\nfive\xe2\x82\r\n\xf0\x9f\xa6";
    let ended = TestJob::new().input(text).flags(AS_IT_IS).map_tasks(3).run().check();

    assert_eq!(ended.report()["input"]["invalid_bytes"], 7);
    assert_eq!(ended.report()["map"]["words"], 5);
}

#[test]
fn case_can_be_ignored() {
    let rules = Rules { ignore_case: true, ..LETTERS };
    let ended = TestJob::new().input("The the THE ΟΔΟΣ οδοσ İ i").rules(rules).run().check();

    // The lower case of `İ` is an `i` with a dot above, and not an `i`.
    assert_eq!(ended.report()["distinct_words"], 4);
}

#[test]
fn words_between_white_space_are_those_of_wc() {
    let job = TestJob::new().sample().rules(WHITESPACE).workers(2);
    let texts = util::oracle::list(&job.path("inputs"), &["".into()]);
    let count = |path: PathBuf| {
        let text = fs::read(path).unwrap();
        String::from_utf8_lossy(&text).split_whitespace().count()
    };
    let words: usize = texts.into_iter().map(count).sum();

    let ended = job.run().check();
    assert_eq!(ended.report()["map"]["words"], words);
}

#[test]
fn word_of_64_mib_is_one_word() {
    const LENGTH: usize = 64 << 20;
    let mut text = b"b ".to_vec();
    text.resize(2 + LENGTH, b'a');
    text.extend(b" c");
    let ended = TestJob::new().input(text).reduce_tasks(1).workers(2).run();

    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(ended.report()["map"]["words"], 3);
    let output = fs::read(ended.job.result("out/out-0")).unwrap();
    let (word, rest) = output.split_at(LENGTH);
    assert!(word.iter().all(|&byte| byte == b'a'));
    assert_eq!(rest, b" 1\nb 1\nc 1\n");
    // It belongs to the share in which it begins.
    let intermediate = fs::metadata(ended.job.result("intermediate/mr-0-0")).unwrap();
    assert_eq!(intermediate.len(), (LENGTH + 3) as u64);
}

#[test]
fn names_may_hold_any_bytes() {
    let odd = OsStr::from_bytes(b"not\xffUTF-8 \xe2");
    let mut job = TestJob::new().files(PathBuf::from("files of \n").join(odd));
    let names = [OsStr::new("a b"), OsStr::new("line\nfeed"), OsStr::new("-n"), odd];
    for (index, name) in names.into_iter().enumerate() {
        let text = format!("text of {index} in a folder");
        job = job.file(PathBuf::from("inputs").join(name).join(name), text);
        job = job.file(name, format!("{index} by its name")).reading(name);
    }
    job.reading("inputs").workers(2).run().check();
}

#[test]
fn links_are_followed_once_and_loops_end() {
    let job = TestJob::new().input("first").file("elsewhere/x", "else").file("inputs/d/y", "deep");
    symlink("000.txt", job.path("inputs/again")).unwrap();
    symlink("../elsewhere", job.path("inputs/away")).unwrap();
    symlink(".", job.path("inputs/self")).unwrap();
    symlink("..", job.path("inputs/d/up")).unwrap();
    symlink("../inputs/d", job.path("elsewhere/back")).unwrap();
    // It can be reached in two ways, and is found here first.
    symlink("y", job.path("inputs/d/link")).unwrap();

    let job = job.counting(&[
        "inputs/000.txt",
        "inputs/again",
        "inputs/away/back/y",
        "inputs/away/x",
        "inputs/d/link",
        "inputs/d/y",
    ]);
    job.workers(2).run().check();
}

#[test]
fn ten_thousand_small_files_are_one_job() {
    let mut job = TestJob::new();
    for index in 0..10_000_u32 {
        let digits = index.to_string();
        let text: Vec<u8> = digits.bytes().map(|digit| digit - b'0' + b'a').collect();
        job = job.file(format!("inputs/{}/{index}", index % 100), text);
    }
    let ended = job.workers(2).run().check();
    assert_eq!(ended.report()["input"]["files"], 10_000);
    assert_eq!(ended.report()["distinct_words"], 10_000);
}

#[test]
fn closed_pipe_on_stdout_is_no_failure() {
    let ended = TestJob::new().sample().run().check();

    // More than a pipe holds, and only the first line is read.
    let mut command = ended.job.command("top");
    let mut top = command.args(["-k", "1000000"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(top.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "the 8264\n");
    assert_eq!(top.wait().unwrap().code(), Some(0));

    // The other end is never read.
    let mut command = ended.job.job_command("run", &[]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(run.stdout.take());
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

#[test]
fn workers_may_be_started_before_their_driver() {
    // They try to reach a driver now and then. The job is over before the last of them has tried,
    // and that one has to end as well.
    let cluster = TestJob::new().sample().drive_after_workers(4);
    let ended = cluster.finish();
    assert_eq!(ended.report()["workers"], 4);
}

#[test]
fn driver_may_be_started_before_its_workers() {
    let mut cluster = TestJob::new().sample().drive();
    for _ in 0..2 {
        cluster.worker(&["--throttle", "1M"]);
    }
    let ended = cluster.finish();
    assert_eq!(ended.report()["workers"], 2);
}

#[test]
fn worker_that_joins_halfway_gets_tasks() {
    let mut cluster = TestJob::new().sample().map_tasks(12).drive();
    cluster.worker(&["--throttle", "1M"]);
    cluster.maps_committed(6);
    let late = cluster.worker(&[]);
    let ended = cluster.finish();

    assert!(ended.log.contains(&format!(" on w{late}\n")), "the late worker did nothing");
    assert_eq!(ended.attempts_lost(), 0);
}

#[test]
fn second_run_over_the_same_folder_says_so_and_leaves_the_same() {
    let first = TestJob::new().sample().map_tasks(7).reduce_tasks(5).run().check();
    assert!(!first.log.contains("earlier job"), "{}", first.log);
    let before = results(&first.job.result(""));

    let second = first.job.run().check();
    assert!(second.log.contains("holds the results of an earlier job; they will be replaced"));
    assert!(results(&second.job.result("")) == before);

    // Nothing is left of the larger job: `check` knows every name.
    second.job.map_tasks(3).reduce_tasks(2).run().check();
}

#[test]
fn worker_without_the_token_is_refused() {
    let token = "0123456789abcdef0123456789abcdef";
    let mut cluster = TestJob::new().sample().token(token).drive();
    let strangers = [("none", None), ("wrong", Some("fedcba9876543210fedcba9876543210"))];
    for (name, token) in strangers {
        let mut command = cluster.job.command("worker");
        command.env_remove("MAPMILL_TOKEN").args(["--driver", cluster.address()]);
        command.envs(token.map(|token| ("MAPMILL_TOKEN", token)));
        let mut stranger = cluster.job.start(name, command);

        assert_eq!(stranger.code(), 2, "{name}");
        let refusal = stranger.wait_for("cannot work for the driver");
        assert!(refusal.contains("requires a token"), "{refusal}");
    }
    cluster.worker(&[]);
    let ended = cluster.finish();
    assert_eq!(ended.report()["workers"], 1);
}

/// Of three jobs the second is interrupted. At last the worker finds no driver, or is interrupted.
#[test]
fn staying_worker_serves_one_driver_after_the_other() {
    let mut cluster = TestJob::new().sample().drive();
    let patient = cluster.worker(&["--stay", "--throttle", "2M"]);
    let waiting = cluster.worker(&["--stay", "--wait", "2", "--throttle", "2M"]);
    let over = |cluster: &mut Cluster, jobs: usize| {
        for worker in [patient, waiting] {
            cluster.workers[worker].wait_until("the end of a job", |log| {
                let ends = log.matches("waiting for the next driver at 127.0.0.1:").count();
                assert!(ends <= jobs, "{ends} ends of {jobs} jobs");
                (ends == jobs).then_some(())
            });
        }
    };
    assert_eq!(cluster.driver.code(), 0);
    over(&mut cluster, 1);

    cluster.start_driver_again(&[]);
    cluster.driver.wait_for("register w1");
    cluster.driver.signal(Signal::INT);
    assert_eq!(cluster.driver.code(), 130);
    over(&mut cluster, 2);

    cluster.start_driver_again(&[]);
    assert_eq!(cluster.driver.code(), 0);
    over(&mut cluster, 3);

    assert_eq!(cluster.workers[waiting].code(), 1);
    cluster.workers[waiting].wait_for("no driver has answered at");
    cluster.signal(patient, Signal::INT);
    assert_eq!(cluster.workers[patient].code(), 130);
    let log = cluster.workers[patient].log();
    assert_eq!(log.matches("the job is over").count(), 3, "{log}");
    assert!(log.ends_with("mapmill: stopped\n"), "{log}");
    cluster.end().0.check();
}

/// All processes hold the folder open, so its name is not needed before the report.
#[test]
fn results_folder_that_is_moved_while_the_job_runs_is_an_error_that_says_so() {
    for (quiet, replaced) in [(false, false), (true, false), (false, true)] {
        let job = TestJob::new().input("a b a ".repeat(500)).workers(1).map_tasks(1);
        let mut command = job.job_command("run", &["--throttle", "3K"]);
        if quiet {
            command = job.command("run");
            command.args(["--quiet", "--throttle", "3K", "-n", "1"]);
        }
        let mut run = job.start("run", command);
        let files = job.path("files");
        let hold = || job.path("files/.mapmill/staging").read_dir().ok()?.next().map(drop);
        poll(hold, || "a staged attempt".to_owned());
        fs::rename(&files, job.path("files.old")).unwrap();
        if replaced {
            let mut other = job.start("other", job.job_command("run", &["--ignore-case"]));
            assert_eq!(other.code(), 0, "{}", other.log());
        }

        assert_eq!(run.code(), 1);
        let files = files.display();
        let end = format!("{files} was moved or removed while the job ran\n");
        assert!(run.log().ends_with(&end), "{}", run.log());
    }
}

/// The claim is gone with the folder, and that is not another driver's doing.
#[test]
fn results_folder_that_is_removed_while_the_job_runs_is_an_error_that_says_so() {
    let job = TestJob::new().input("a b a ".repeat(5000)).workers(1).map_tasks(1);
    let mut run = job.start("run", job.job_command("run", &["--throttle", "3K"]));
    let files = job.path("files");
    let hold = || job.path("files/.mapmill/staging").read_dir().ok()?.next().map(drop);
    poll(hold, || "a staged attempt".to_owned());
    // The worker may create a file meanwhile.
    poll(|| fs::remove_dir_all(&files).ok(), || "the removal of the results".to_owned());

    assert_eq!(run.code(), 1);
    let files = files.display();
    let end = format!("{files} was moved or removed while the job ran\n");
    assert!(run.log().ends_with(&end), "{}", run.log());
}

#[test]
fn run_replaces_a_worker_process_that_is_killed() {
    let job = TestJob::new().sample().workers(2).flags(["--throttle", "400K"]);
    let job = job.flags(["--worker-timeout", "2", "--no-backup"]);
    let mut run = job.start_run();
    let line = run.wait_for("register w1");
    let pid =
        line.rsplit_once(':').and_then(|(_, pid)| pid.trim_end_matches([')', '"']).parse().ok());
    let pid = Pid::from_raw(pid.expect("a worker is named after its process")).unwrap();
    run.wait_for(" on w1");
    kill_process(pid, Signal::KILL).unwrap();

    run.wait_for(&format!(
        "worker process {pid} ended: killed by signal 9 (SIGKILL), probably out of memory (see --memory); starting another"
    ));
    run.wait_for(" on w2");
    run.wait();
    let ended = Ended::new(job, run).check();
    assert_eq!(ended.report()["workers"], 3);
    assert_eq!(ended.attempts_lost(), 1);
}
