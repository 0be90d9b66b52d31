//! `mapmill top`: the most frequent words of finished jobs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::scratch::{Scratch, into_closed_pipe, into_full_device};
use super::terminal::stdout_on_terminal;

#[test]
fn words_are_sorted_by_count_and_ties_by_their_bytes() {
    let scratch = Scratch::new();
    scratch.write("out-0", "Zebra 5\napple 5\nfig 1\nthe 1024\nto 512\n\u{e9}t\u{e9} 5\n");
    let chart = "
  the    1,024  ████████████████████████████████████████
  to       512  ████████████████████
  Zebra      5  ▎
  apple      5  ▎
  \u{e9}t\u{e9}        5  ▎
  fig        1
";
    assert_eq!(stdout_on_terminal(scratch.command(&["top", "out-0"]), 80), chart[1..]);
}

#[test]
fn script_gets_lines_or_json_and_no_bars() {
    let scratch = Scratch::new();
    scratch.write("out-0", b"Zebra 5\napple 5\nfig 1\nn\xffo 7\nthe 1024\n");
    let mut command = scratch.command(&["top", "-k", "4", "out-0"]);
    // As a shell may set it.
    let output = command.env("COLUMNS", "80").output().expect("the program starts");
    assert_eq!(output.stdout, b"the 1024\nn\xffo 7\nZebra 5\napple 5\n");
    let json = scratch.run(&["top", "-k", "2", "--json", "out-0"]).silent();
    let top = json!([{ "word": "the", "count": 1024 }, { "word": "n\u{fffd}o", "count": 7 }]);
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), json!({ "top": top }));
    scratch.write("out-1", "");
    let none = scratch.run(&["top", "--json", "out-1"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, "{\"top\":[]}\n"));
}

#[test]
fn counts_of_several_outputs_are_added_up() {
    let scratch = Scratch::new();
    scratch.write("monday/out-0", "b 2\nd 1\n");
    scratch.write("monday/out-1", "a 1\nc 1\n");
    scratch.write("tuesday/out-0", "a 1\nb 2\n");
    scratch.write("tuesday/out-1", "");
    let lines = "b 4\na 2\n";
    let folders = ["top", "-k", "2", "monday", "tuesday"];
    assert_eq!(scratch.run(&folders).silent(), lines);
    let files = ["top", "--count=2", "tuesday/out-0", "monday/out-1", "monday/out-0"];
    assert_eq!(scratch.run(&files).silent(), lines);
    // An output named twice counts twice, as in `cat a a`.
    let twice = scratch.run(&["top", "-k1", "monday", "monday/out-0"]).silent();
    assert_eq!(twice, "b 4\n");
}

#[test]
fn ten_words_of_the_default_folder_are_shown() {
    let scratch = Scratch::new();
    let words: Vec<_> = ('a'..='z').map(|word| format!("{word} ").repeat(word as usize)).collect();
    scratch.write("in/b.txt", words.concat());
    scratch.run(&["run", "-q", "in"]).silent();

    let shown = scratch.run(&["top"]).silent();
    let words: String = shown.split_whitespace().step_by(2).collect();
    assert_eq!(words, "zyxwvutsrq");
    let all = scratch.run(&["top", "-k", "1000"]).silent();
    assert_eq!(all.lines().count(), 26);
}

#[test]
fn bars_are_aligned_whatever_the_script() {
    let scratch = Scratch::new();
    // Two columns a letter; letters that take none; a word that is too long to show; and words that
    // would steer the terminal.
    let long = "w".repeat(100);
    let words = ["\0", "\u{1b}[2J", &long, "नमस्ते", "日本語"];
    scratch.write("out-0", words.map(|word| format!("{word} 8\n")).concat());
    let chart = format!(
        "
  \\u{{0}}                                     8  |
  \\u{{1b}}[2J                                 8  |
  {}…  8  |
  नमस्ते                                      8  |
  日本語                                    8  |
",
        "w".repeat(39)
    );
    // All that 80 columns have left.
    let bar = "█".repeat(33);
    let shown = stdout_on_terminal(scratch.command(&["top", "out-0"]), 80);
    assert_eq!(shown, chart[1..].replace('|', &bar));
}

#[test]
fn no_words_are_no_lines_and_a_message() {
    let scratch = Scratch::new();
    scratch.write("out-0", "");
    let ended = scratch.run(&["top", "out-0"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert_eq!(ended.stderr, "mapmill: no words: the outputs are empty\n");
}

#[test]
fn folder_that_why_takes_is_taken_too() {
    let scratch = Scratch::new();
    scratch.run(&["run", "-q", "in", "-w", "1"]).silent();
    scratch.write("files/notes", "not an output");
    for folder in [&[][..], &["files"], &["files/out"]] {
        assert_eq!(scratch.run(&[&["top"], folder].concat()).silent(), "a 2\nb 1\n");
    }
    // As the sample of the repository, and results that were copied.
    fs::remove_file(scratch.path("files/notes")).unwrap();
    fs::remove_dir_all(scratch.path("files/.mapmill")).unwrap();
    assert_eq!(scratch.run(&["top"]).silent(), "a 2\nb 1\n");
}

#[test]
fn more_outputs_are_read_than_files_may_be_open_at_first() {
    let scratch = Scratch::new();
    scratch.run(&["run", "-q", "in", "-w", "1", "-n", "1", "-m", "64"]).silent();
    for verb in ["top", "export"] {
        let script = format!("ulimit -Sn 40 && \"$mapmill\" {verb}");
        let words = scratch.end(scratch.shell(&script)).silent();
        assert_eq!(words, "a 2\nb 1\n", "{verb}");
    }
}

#[test]
fn unfinished_job_is_refused_as_verify_does() {
    let scratch = Scratch::new();
    scratch.run(&["run", "-q", "in", "-w", "1"]).silent();
    let journal = scratch.path("files/.mapmill/journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let (cut, _) = whole.trim_end().rsplit_once('\n').unwrap();
    fs::write(&journal, format!("{cut}\n")).unwrap();
    let sentence = "the job in files is not done: 6 of 6 map tasks and 4 of 4 reduce tasks are; \
                    run it again with the same arguments";
    for verb in ["top", "verify", "export"] {
        scratch.refuses(scratch.command(&[verb]), sentence);
    }
}

#[test]
fn huge_counts_do_not_wrap() {
    let scratch = Scratch::new();
    scratch.write("out-0", format!("a {}\n", u64::MAX));
    let shown = stdout_on_terminal(scratch.command(&["top", "out-0", "out-0"]), 80);
    assert!(shown.starts_with("  a  18,446,744,073,709,551,615  █"), "{shown}");
}

#[test]
fn missing_file_is_named() {
    let scratch = Scratch::new();
    let check = |args: &[&str], path: &str| {
        let sentence =
            format!("{path} does not exist; run a job first, or name the outputs of one");
        scratch.refuses(scratch.command(&[&["top"], args].concat()), &sentence);
    };
    check(&[], "files");
    check(&["nope"], "nope");
}

#[test]
fn folder_without_outputs_is_named() {
    let scratch = Scratch::new();
    scratch.write("empty/.hidden", "a 1\n");
    let sentence =
        "empty holds no outputs of a job; name them, or the folder `out` that holds them";
    scratch.refuses(scratch.command(&["top", "empty"]), sentence);
}

#[test]
fn file_that_is_not_an_output_is_named_with_its_line() {
    let scratch = Scratch::new();
    for (text, line) in [
        ("words and more words\n", 1),
        ("a 1\nb\n", 2),
        ("a 1\nb 2", 2),
        ("a 1\nb -2\n", 2),
        ("a 1\nb +2\n", 2),
        ("a 1\nb \n", 2),
        ("a 1\nb 2 \n", 2),
        ("a 18446744073709551616\n", 1),
        ("\u{fffd}\n", 1),
        // Not in order, and not once each.
        ("b 1\na 1\n", 2),
        ("a 1\na 1\n", 2),
    ] {
        scratch.write("file", text);
        let sentence = format!(
            "file is not an output of a job (those are in its folder `out`): line {line} is not a \
             word and a count, or not in order"
        );
        scratch.refuses(scratch.command(&["top", "file"]), &sentence);
    }
}

#[test]
fn unreadable_output_is_named() {
    let scratch = Scratch::new();
    scratch.write("out/out-0", "a 1\n");
    fs::set_permissions(scratch.path("out/out-0"), Permissions::from_mode(0o000)).unwrap();
    scratch.refuses(scratch.unprivileged(&["top", "out"]), "cannot read out/out-0");
}

#[test]
fn count_has_limits() {
    let scratch = Scratch::new();
    let sentence = "invalid value '0' for '--count <COUNT>': expected a whole number from 1 to \
                    4,294,967,295 (see <command> --help)";
    scratch.refuses(scratch.command(&["top", "-k", "0"]), sentence);
}

#[test]
fn closed_pipe_is_success() {
    let scratch = Scratch::new();
    scratch.write("out-0", "a 1\n");
    assert_eq!(into_closed_pipe(scratch.command(&["top", "out-0"])), Some(0));
}

#[test]
fn full_device_is_not() {
    let scratch = Scratch::new();
    scratch.write("out-0", "a 1\n");
    assert_eq!(into_full_device(scratch.command(&["top", "out-0"])), Some(1));
}
