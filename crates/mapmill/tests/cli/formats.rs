//! Files that are not plain text: read if they can be, and else refused before anything starts.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::scratch::Scratch;

/// What a program such as `gzip` makes of `text`.
fn filtered(program: &str, args: &[&str], text: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(program);
    let mut stdin = child.stdin.take().expect("it is piped");
    let text = text.to_owned();
    let feeding = std::thread::spawn(move || stdin.write_all(&text));
    let output = child.wait_with_output().expect(program);
    feeding.join().expect("no panic").expect("the program reads all of its input");
    assert!(output.status.success(), "{program}: {:?}", output.status);
    output.stdout
}

fn gzip(text: &[u8]) -> Vec<u8> {
    filtered("gzip", &["-c"], text)
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

impl Scratch {
    /// All words that a job over the folder `in` counts, with their counts.
    #[track_caller]
    fn counts(&self, flags: &[&str]) -> String {
        let ended = self.run(&[&["run", "in", "-m", "1", "--fresh"], flags].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        fs::read_to_string(self.path("files/out/out-0")).expect("the job is done")
    }
}

#[test]
fn compressed_files_are_counted_as_what_they_hold() {
    let scratch = Scratch::new();
    scratch.write("in/a.txt.gz", [gzip(b"to be or"), gzip(b" not to be")].concat());
    scratch.write("in/marked.txt", utf_16("\u{FEFF}naïve 中文"));
    assert_eq!(scratch.counts(&[]), "a 2\nb 1\nbe 2\nnaïve 1\nnot 1\nor 1\nto 2\n中文 1\n");
    let stderr = scratch.run(&["run", "in"]).stderr;
    let line = "reading 1 file: UTF-16LE; 1 file: gzip; 1 file: text\n";
    assert!(stderr.contains(line), "{stderr}");
    let json = scratch.run(&["why", "--json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["formats"], serde_json::json!({"UTF-16LE": 1, "gzip": 1, "text": 1}));
    assert_eq!(json["documents"], 3);
}

#[test]
fn records_are_documents() {
    let scratch = Scratch::new();
    scratch.write("in/a.txt", "{\"text\":\"to b\"}\n{\"text\":\"e\"}\n{\"text\":null}\n");
    scratch.write("in/b.gz", gzip(b"{\"a\":{},\"text\":\"x\\u00e9\"}\n"));
    assert_eq!(scratch.counts(&["--field", "text"]), "b 1\ne 1\nto 1\nxé 1\n");
    let scratch = Scratch::new();
    scratch.write("in/a.txt", "id,text\n1,\"a\nb\"\n2,a\n");
    assert_eq!(scratch.counts(&["--column", "text"]), "a 2\nb 1\n");
    assert_eq!(scratch.counts(&["--column", "2"]), "a 2\nb 1\ntext 1\n");
    let scratch = Scratch::new();
    scratch.write("in/a.txt", "id\ttext\n1\ta b\n");
    assert_eq!(scratch.counts(&["--column", "text", "--format", "tsv"]), "a 1\nb 1\n");
    let scratch = Scratch::new();
    let record = "WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 3\r\n\r\na b\r\n\r\n";
    scratch.write("in/a.txt", record);
    assert_eq!(scratch.counts(&[]), "a 1\nb 1\n");
    let scratch = Scratch::new();
    scratch.write("in/a.txt", b"na\xEFve");
    assert_eq!(scratch.counts(&["--encoding", "latin1"]), "naïve 1\n");
}

#[test]
fn what_is_not_text_is_refused_by_name() {
    let tar = {
        let mut tar = vec![0; 1024];
        tar[257..262].copy_from_slice(b"ustar");
        tar
    };
    let leave = |glob: &str| format!("leave such files out with `--exclude {glob}`");
    let text = |command: &str, glob: &str| {
        format!("count its text with `{command} | mapmill run -`, {}, {AS_IT_IS}", leave(glob))
    };
    for refused in [
        (
            "a.zip",
            b"PK\x03\x04\0".to_vec(),
            "holds zip, not text",
            text("unzip -p <file>", "'*.zip'"),
        ),
        (
            "a.pdf",
            b"%PDF-1.4".to_vec(),
            "holds pdf, not text",
            text("pdftotext <file> -", "'*.pdf'"),
        ),
        (
            "a.tar.gz",
            gzip(&tar),
            "holds gzip of tar, not text",
            text("tar -xOf <file>", "'*.tar.gz'"),
        ),
        (
            "a.png",
            b"\x89PNG\r\n\x1A\n\0".to_vec(),
            "holds png, not text",
            format!("{}, {AS_IT_IS}", leave("'*.png'")),
        ),
        (
            "a.bin",
            b"a\0b".to_vec(),
            "holds binary data, not text",
            format!("{}, {AS_IT_IS}", leave("'*.bin'")),
        ),
    ] {
        check_refused(refused);
    }
}

#[test]
fn text_that_needs_a_word_of_the_user_is_refused_with_it() {
    for refused in [
        (
            "a.txt",
            utf_16("to be or not"),
            "looks like UTF-16LE without a byte order mark",
            "count it with `--encoding utf-16le` or \
             `iconv -f UTF-16LE -t UTF-8 <file> | mapmill run -`"
                .to_owned(),
        ),
        (
            "a.txt",
            b"\xE4\xF6\xFC".to_vec(),
            "is not UTF-8 in 100 % of its first bytes",
            format!("say how it is encoded, such as `--encoding windows-1252`, {AS_IT_IS}"),
        ),
        (
            "a.gz",
            b"text".to_vec(),
            "does not hold gzip, as its name says",
            format!("rename it, {AS_IT_IS}"),
        ),
        (
            "a.jsonl",
            b"{\"id\":1,\"body\":\"x\"}\n".to_vec(),
            "holds JSON lines, and no field is chosen; its first record has: id, body",
            format!("choose one, such as `--field id`, {AS_IT_IS}"),
        ),
        (
            "a.warc",
            b"WARC/1.0\r\nWARC-Type: response\r\n\r\n".to_vec(),
            "holds WARC records of web pages, not of text",
            format!("use the WET file of the same pages, {AS_IT_IS}"),
        ),
    ] {
        check_refused(refused);
    }
}

/// A file of this name, the sentence, and the way out.
#[track_caller]
fn check_refused((name, head, what, way_out): (&str, Vec<u8>, &str, String)) {
    let scratch = Scratch::new();
    fs::remove_file(scratch.path("in/a.txt")).expect("it is there");
    scratch.write(format!("in/{name}"), head);
    let file = format!("<scratch>/in/{name}");
    let sentence = format!("input {file} {what}; {}", way_out.replace("<file>", &file));
    scratch.refuses_job(&["in"], &sentence);
}

const AS_IT_IS: &str = "or count its bytes as they are with `--format text`";

#[test]
fn several_files_that_are_no_text_are_counted() {
    let scratch = Scratch::new();
    scratch.write("in/b.pdf", "%PDF-");
    scratch.write("in/c.bin", "\0");
    scratch.write("in/d.bin", "\0");
    let ended = scratch.run(&["run", "in"]);
    let named = "in/b.pdf holds pdf, not text (and 2 more inputs are not text); ";
    assert!(ended.stderr.contains(named), "{}", ended.stderr);
    assert_eq!(ended.code, 2);
    let counts = scratch.counts(&["--exclude", "*.pdf", "--exclude", "*.bin"]);
    assert_eq!(counts, "a 2\nb 1\n");
    // As it is: letters between bytes that are none.
    assert_eq!(scratch.counts(&["--format", "text"]), "PDF 1\na 2\nb 1\n");
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let scratch = Scratch::new();
    let needs = |flag| format!("this --format needs {flag} to say what is text");
    scratch.refuses_job(&["in", "--format", "jsonl"], &needs("--field"));
    scratch.refuses_job(&["in", "--format", "csv"], &needs("--column"));
    let useless = "this --format has no --field; leave one of them out";
    scratch.refuses_job(&["in", "--format", "wet", "--field", "a"], useless);
    let alone = "--bad-records-max needs --on-bad-record skip: \
                 without it the first bad record ends the job";
    scratch.refuses_job(&["in", "--bad-records-max", "1"], alone);
    let column = "input <scratch>/in/a.txt has no column `x`; its columns are: a b a; \
                  choose one of its columns with --column";
    scratch.refuses_job(&["in", "--column", "x"], column);
}

#[test]
fn damage_ends_the_job_at_the_first_attempt_and_says_where() {
    let scratch = Scratch::new();
    let file = gzip(&b"to be or not to be\n".repeat(20_000));
    scratch.write("in/a.txt.gz", &file[..file.len() - 7]);
    let ended = scratch.run(&["run", "in", "-n", "1", "-w", "1"]);
    assert_eq!(ended.code, 1);
    let stderr = scratch.mask(&ended.stderr);
    let bytes = file.len() - 7;
    let damaged = format!(
        "input <scratch>/in/a.txt.gz is damaged: an early end \
         (at byte {bytes} of the file, byte 380000 of its text)"
    );
    assert!(stderr.contains(&damaged), "{stderr}");
    let json = scratch.run(&["why", "--json", "m0"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["attempts"].as_array().unwrap().len(), 1, "{json}");
}

#[test]
fn bad_records_are_skipped_up_to_a_limit() {
    let scratch = Scratch::new();
    scratch.write("in/a.txt", "{\"text\":\"a\"}\n{\"text\":1}\nx\n{\"text\":\"b\"}\n");
    let flags = ["run", "in", "--field", "text", "-n", "1", "-w", "1"];
    let ended = scratch.run(&flags);
    assert_eq!(ended.code, 1);
    let bad = "in/a.txt is damaged: bad record: the field is not text (record 2, at byte 13)";
    assert!(ended.stderr.contains(bad), "{}", ended.stderr);

    let skip = |max| [&flags[..], &["--on-bad-record", "skip", "--bad-records-max", max]].concat();
    let ended = scratch.run(&skip("1"));
    assert_eq!(ended.code, 1);
    let many = "2 bad records, and 1 are allowed; the first: record 2 of ";
    assert!(ended.stderr.contains(many), "{}", ended.stderr);
    let ended = scratch.run(&skip("2"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let stderr = scratch.mask(&ended.stderr);
    let summary = "  skipped   2 bad records\n            \
                   record 2 of <scratch>/in/a.txt: the field is not text\n            \
                   record 3 of <scratch>/in/a.txt: not a JSON object\n";
    assert!(stderr.contains(summary), "{stderr}");
}

/// A field that no record has would count nothing, and exit with 0.
#[test]
fn field_that_is_nowhere_and_lines_that_are_no_json_are_refused() {
    let scratch = Scratch::new();
    scratch.write("in/a.txt", "{\"id\":1,\"text\":\"to be\"}\n{\"id\":2}\n");
    let refused = |flags: &[&str], sentence: &str| {
        let ended = scratch.run(&[&["run", "in", "--fresh"], flags].concat());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(sentence), "{}", ended.stderr);
    };
    let sentence = "has no field `txt` in its first records; the first has: id, text; choose one \
                    of its fields with --field, or say that it may be missing with `--format jsonl`";
    refused(&["--field", "txt"], sentence);
    refused(&["--field", "txt.body"], "has no field `txt.body` in its first records");
    assert_eq!(scratch.counts(&["--field", "txt", "--format", "jsonl"]), "");
    assert_eq!(scratch.counts(&["--field", "text"]), "be 1\nto 1\n");

    scratch.write("in/a.txt", "to be\nor not to be\n");
    refused(&["--field", "text"], "is not JSON lines: none of its first lines is an object");
    // One bad line is a bad record, and may be skipped.
    scratch.write("in/a.txt", "#\n{\"text\":\"to be\"}\n");
    let skip = ["--field", "text", "--on-bad-record", "skip", "--bad-records-max", "1"];
    assert_eq!(scratch.counts(&skip), "be 1\nto 1\n");
}

/// What `export` writes is read again: each word of it is a document.
#[cfg(feature = "parquet")]
#[test]
fn columns_of_parquet_are_counted() {
    let scratch = Scratch::new();
    scratch.write("in/a.txt", "to be or not to be, that is the question\n");
    assert_eq!(scratch.run(&["run", "in", "-q"]).code, 0);
    assert_eq!(scratch.run(&["export", "-o", "words.parquet"]).code, 0);
    fs::remove_file(scratch.path("in/a.txt")).expect("it is there");
    fs::rename(scratch.path("words.parquet"), scratch.path("in/words.parquet")).expect("it is");
    let expected = "be 1\nis 1\nnot 1\nor 1\nquestion 1\nthat 1\nthe 1\nto 1\n";
    for column in ["word", "1"] {
        assert_eq!(scratch.counts(&["--column", column, "-n", "3"]), expected);
    }
    let json = scratch.run(&["why", "--json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["documents"], 8);
    let way_out = "choose one, such as `--column word`";
    let sentence = "holds Parquet, and no column is chosen; its columns of text are: word";
    let ended = scratch.run(&["run", "in", "--fresh"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains(sentence) && ended.stderr.contains(way_out), "{}", ended.stderr);
    let ended = scratch.run(&["run", "in", "--fresh", "--column", "count"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("has no column `count`; its columns are: word"),
        "{}",
        ended.stderr
    );
}
