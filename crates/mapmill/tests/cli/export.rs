//! `mapmill export`: all orders and formats, and what is refused.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::scratch::{Ended, Scratch, into_closed_pipe, into_full_device};

/// A finished job over this text, in `files`.
fn counted(text: impl AsRef<[u8]>) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("inputs/a", text);
    let job = ["run", "inputs", "-q", "-w", "1", "--words", "whitespace", "--format", "text"];
    scratch.run(&job).silent();
    scratch
}

fn export(scratch: &Scratch, args: &[&str]) -> Ended {
    scratch.run(&[&["export"], args].concat())
}

#[test]
fn words_are_sorted_by_their_bytes_or_by_count_and_then_by_their_bytes() {
    let scratch = counted("b b b a a c c c \u{e9} Z");
    assert_eq!(export(&scratch, &[]).silent(), "Z 1\na 2\nb 3\nc 3\n\u{e9} 1\n");
    let by_count = "b 3\nc 3\na 2\nZ 1\n\u{e9} 1\n";
    assert_eq!(export(&scratch, &["--sort", "count"]).silent(), by_count);
    assert_eq!(export(&scratch, &["--sort=count", "files"]).silent(), by_count);
}

#[test]
fn rare_words_are_left_out() {
    let scratch = counted("b b b a a c c c d Z");
    let kept = |args: &[&str]| export(&scratch, args).silent().replace('\n', ", ");
    assert_eq!(kept(&["--min-count", "2"]), "a 2, b 3, c 3, ");
    assert_eq!(kept(&["--min-count", "3", "--sort", "count"]), "b 3, c 3, ");
    assert_eq!(kept(&["--top", "1"]), "b 3, ");
    // The most frequent words, in the order of words.
    assert_eq!(kept(&["--top", "4"]), "Z 1, a 2, b 3, c 3, ");
    assert_eq!(kept(&["--top", "4", "--sort", "count"]), "b 3, c 3, a 2, Z 1, ");
    assert_eq!(kept(&["--top", "4", "--min-count", "2"]), "a 2, b 3, c 3, ");
    assert_eq!(kept(&["--min-count", "4"]), "");
    assert_eq!(kept(&["--top", "9"]), "Z 1, a 2, b 3, c 3, d 1, ");
}

#[test]
fn formats_hold_every_word_that_they_can() {
    let scratch = counted("\"x\" a,b \\ \u{e9} \u{1b}");
    let check = |format: &str, expected: &str| {
        assert_eq!(export(&scratch, &["--format", format]).silent(), expected, "{format}");
    };
    check("text", "\u{1b} 1\n\"x\" 1\n\\ 1\na,b 1\n\u{e9} 1\n");
    check("tsv", "\u{1b}\t1\n\"x\"\t1\n\\\t1\na,b\t1\n\u{e9}\t1\n");
    check("csv", "word,count\n\u{1b},1\n\"\"\"x\"\"\",1\n\\,1\n\"a,b\",1\n\u{e9},1\n");
    let lines = export(&scratch, &["--format", "jsonl"]).silent();
    let objects = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let words = ["\u{1b}", "\"x\"", "\\", "a,b", "\u{e9}"];
    let expected = words.map(|word| json!({ "word": word, "count": 1 }));
    assert_eq!(objects.collect::<Vec<_>>(), expected);
    assert!(lines.ends_with("{\"word\":\"\u{e9}\",\"count\":1}\n"), "{lines}");
}

#[test]
fn words_that_are_not_utf8_keep_their_bytes_or_are_counted() {
    let scratch = counted(b"a \xff\xfe b\xffb c");
    for (format, expected) in [
        ("text", &b"a 1\nb\xffb 1\nc 1\n\xff\xfe 1\n"[..]),
        ("tsv", b"a\t1\nb\xffb\t1\nc\t1\n\xff\xfe\t1\n"),
        ("csv", b"word,count\na,1\nb\xffb,1\nc,1\n\xff\xfe,1\n"),
    ] {
        let ended = export(&scratch, &["--format", format, "-o", "words"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(fs::read(scratch.path("words")).unwrap(), expected, "{format}");
    }
    let ended = export(&scratch, &["--format", "jsonl"]);
    let expected = "{\"word\":\"a\",\"count\":1}\n{\"word\":\"b\u{fffd}b\",\"count\":1}\n\
                    {\"word\":\"c\",\"count\":1}\n{\"word\":\"\u{fffd}\u{fffd}\",\"count\":1}\n";
    assert_eq!((ended.code, ended.stdout.as_str()), (0, expected));
    let warning = "mapmill: warning: 2 words are not UTF-8; what is not is written as U+FFFD \
                   (text, TSV and CSV keep the bytes)\n";
    assert_eq!(ended.stderr, warning);
    let ended = export(&scratch, &["-o", "words.jsonl", "--json"]);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["words_not_utf8"], 2);
}

#[test]
fn report_says_what_was_kept_and_left_out() {
    let scratch = counted("b b b a a c c c d Z");
    let ended = export(&scratch, &["-o", "words", "--min-count", "2"]);
    let line = "mapmill: wrote 3 distinct words, of 8 words, to words (12 B); left out 2 distinct \
                words, of 2 words\n";
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", line));
    assert_eq!(fs::read_to_string(scratch.path("words")).unwrap(), "a 2\nb 3\nc 3\n");

    let json = export(&scratch, &["-o", "words", "--top", "1", "--json"]).silent();
    let report: Value = serde_json::from_str(&json).expect("JSON");
    let expected = json!({
        "files": "files", "output": "words", "bytes": 4, "words_not_utf8": 0,
        "kept": { "words": 3, "distinct_words": 1 },
        "dropped": { "words": 7, "distinct_words": 4 },
    });
    assert_eq!(report, expected);
    let sentence = "--json prints to stdout, which has the words already; add -o FILE";
    scratch.refuses(scratch.command(&["export", "--json"]), sentence);
}

#[test]
fn format_is_that_of_the_name_unless_it_is_given() {
    let scratch = counted("a");
    for (args, expected) in [
        (&["-o", "a.csv"][..], "word,count\na,1\n"),
        (&["-o", "a.csv", "--format", "tsv"], "a\t1\n"),
        (&["-o", "a.tsv"], "a\t1\n"),
        (&["-o", "a.jsonl"], "{\"word\":\"a\",\"count\":1}\n"),
        (&["-o", "a.txt"], "a 1\n"),
    ] {
        assert_eq!(export(&scratch, args).code, 0);
        assert_eq!(fs::read_to_string(scratch.path(args[1])).unwrap(), expected, "{args:?}");
    }
}

/// With the feature, `.ci/run consumers` reads such a file with other programs.
#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_needs_a_build_with_it() {
    let scratch = counted("a");
    let sentence = "this program was built without Parquet; build it with `--features parquet`";
    scratch.refuses(scratch.command(&["export", "-o", "a.parquet"]), sentence);
    scratch.refuses(scratch.command(&["export", "--format", "parquet"]), sentence);
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_goes_to_a_file_or_to_stdout() {
    let scratch = counted("b a b");
    assert_eq!(export(&scratch, &["-o", "a.parquet"]).code, 0);
    let output = scratch.command(&["export", "--format", "parquet"]).output().unwrap();
    assert!(output.stdout.starts_with(b"PAR1") && output.stdout.ends_with(b"PAR1"));
    assert_eq!(fs::read(scratch.path("a.parquet")).unwrap(), output.stdout);
    let mut command = scratch.command(&["export", "--format", "parquet"]);
    assert_eq!(into_full_device(command), Some(1));
    command = scratch.command(&["export", "--format", "parquet"]);
    assert_eq!(into_closed_pipe(command), Some(0));
}

#[test]
fn little_memory_gives_the_same_words_and_leaves_no_file() {
    // Words of 2,000 letters: many megabytes, and counts in which most words are equal.
    let mut random = 1_u32;
    let mut counts = BTreeMap::new();
    let mut text = String::new();
    for number in 0..20_000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = format!("{:08x}{}", random, "x".repeat(2_000));
        let count = if number % 50 == 0 { 2 + random % 3 } else { 1 };
        *counts.entry(word.clone()).or_insert(0) += u64::from(count);
        text.extend((0..count).flat_map(|_| [word.as_str(), " "]));
    }
    let scratch = counted(text);
    let mut expected: Vec<_> = counts.into_iter().collect();
    let lines = |counts: &[(String, u64)]| {
        counts.iter().map(|(word, count)| format!("{word} {count}\n")).collect::<String>()
    };
    let args = ["--memory", "32MiB"];
    assert!(export(&scratch, &args).silent() == lines(&expected), "by word");
    expected.sort_by_key(|&(_, count)| Reverse(count));
    let by_count = [&args[..], &["--sort", "count"]].concat();
    // The words take 40 MB, and sorting gets 8 MB of the memory.
    assert!(export(&scratch, &by_count).silent() == lines(&expected), "by count, to stdout");
    let top = [&by_count[..], &["--top", "15000", "-o", "deep/words"]].concat();
    scratch.create("deep");
    assert_eq!(export(&scratch, &top).code, 0);
    let written = fs::read_to_string(scratch.path("deep/words")).unwrap();
    assert!(written == lines(&expected[..15_000]), "by count, to a file");
    assert_eq!(names(&scratch, "deep"), ["words"]);
    assert_eq!(names(&scratch, "files"), [".mapmill", "intermediate", "out"]);
}

#[test]
fn damaged_output_is_named_and_nothing_is_written() {
    let scratch = counted("a b c d e f g h");
    scratch.write("words", "older");
    let path = scratch.path("files/out/out-1");
    let output = fs::read_to_string(&path).unwrap();
    let no_words = ["words"];
    for (damage, sentence) in [
        (Some(output.replace('1', "2")), "out/out-1 is corrupt: "),
        (Some(format!("{output}x 1\n")), "out/out-1 has 12 bytes, expected 8"),
        (None, "out/out-1 is missing"),
    ] {
        match damage {
            Some(damage) => fs::write(&path, damage).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        for args in [&[][..], &["--sort", "count"], &["--top", "3"], &["-o", "words"]] {
            let ended = export(&scratch, args);
            assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{args:?}");
            let stderr = ended.stderr;
            assert!(stderr.contains(sentence), "{args:?}: {stderr}");
            assert!(stderr.contains("run the job again"), "{args:?}: {stderr}");
        }
        assert_eq!(fs::read_to_string(scratch.path("words")).unwrap(), "older");
        let names = names(&scratch, "");
        let words: Vec<_> = names.iter().filter(|name| name.contains("words")).collect();
        assert_eq!(words, no_words);
    }
}

#[test]
fn interrupted_export_says_that_no_file_has_changed() {
    let scratch = counted((0..1_000_000).map(|number| format!("w{number}\n")).collect::<String>());
    let mut command = scratch.command(&["export"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The pipe is full long before the last word, and the export waits for its reader.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1]).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "mapmill: interrupted; interrupt again to exit immediately\n");
    io::copy(&mut stdout, &mut io::sink()).unwrap();
    stderr.read_line(&mut line).unwrap();
    assert!(line.ends_with("the export was interrupted; no file has changed\n"), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn folder_without_a_finished_job_is_refused() {
    let scratch = counted("a b");
    scratch.create("empty");
    let sentence = "empty holds no journal of a job; name the folder given to --files";
    let refused = export(&scratch, &["empty"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains(sentence), "{}", refused.stderr);

    let journal = scratch.path("files/.mapmill/journal.jsonl");
    let whole = fs::read_to_string(&journal).unwrap();
    let (cut, _) = whole.trim_end().rsplit_once('\n').unwrap();
    fs::write(&journal, format!("{cut}\n")).unwrap();
    let refused = export(&scratch, &["-o", "words"]);
    assert_eq!(refused.code, 2);
    let sentence = "is not done: 6 of 6 map tasks and 4 of 4 reduce tasks are";
    assert!(refused.stderr.contains(sentence), "{}", refused.stderr);
    assert!(!scratch.path("words").exists());
}

#[test]
fn file_that_cannot_be_created_is_named() {
    let scratch = counted("a");
    let refuses = |path: &str, sentence: &str| {
        scratch.refuses(scratch.command(&["export", "-o", path]), sentence);
    };
    refuses("nowhere/words", "cannot write nowhere/words<cause>");
    refuses("in", "cannot write in<cause>");
}

#[test]
fn link_stays_and_the_file_behind_it_is_replaced() {
    let scratch = counted("a");
    scratch.write("real/words", "older");
    std::os::unix::fs::symlink("real/words", scratch.path("link")).unwrap();
    assert_eq!(export(&scratch, &["-o", "link"]).code, 0);
    assert_eq!(fs::read_to_string(scratch.path("real/words")).unwrap(), "a 1\n");
    assert!(scratch.path("link").is_symlink());
}

#[test]
fn pipe_with_a_name_is_written_to() {
    let scratch = counted("a");
    let script = "mkfifo pipe && { \"$mapmill\" export -o pipe 2>/dev/null & cat pipe; wait; }";
    assert_eq!(scratch.end(scratch.shell(script)).silent(), "a 1\n");
    assert_eq!(export(&scratch, &["-o", "/dev/null"]).code, 0);
}

#[test]
fn closed_pipe_is_success_and_a_full_device_is_not() {
    let scratch = counted("a");
    for args in [&["export"][..], &["export", "--sort", "count"]] {
        assert_eq!(into_closed_pipe(scratch.command(args)), Some(0));
        assert_eq!(into_full_device(scratch.command(args)), Some(1));
    }
}

#[test]
fn memory_below_the_minimum_is_refused() {
    let scratch = Scratch::new();
    let sentence = "invalid value '31MiB' for '--memory <BYTES>': an export needs at least 32.0 \
                    MiB (see <command> --help)";
    scratch.refuses(scratch.command(&["export", "--memory", "31MiB"]), sentence);
}

/// The names in a folder, sorted.
fn names(scratch: &Scratch, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(scratch.path(folder)).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("a name").file_name().into_string().expect("UTF-8")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}
