//! What a job looks like on a terminal, on one that can only append, and in a file.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::scratch::Scratch;
use crate::util::process::{PATIENCE, stamp_of};

/// A job of a second and a half, whose progress can be seen.
const SLOW: [&str; 10] = ["run", "in", "-n", "3", "-m", "1", "-w", "1", "--throttle", "20K"];

fn slow_job() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("in/a.txt", "word ".repeat(6_000));
    scratch
}

#[test]
fn lines_of_a_log_have_a_time_and_name_the_process() {
    let scratch = Scratch::new();
    let mut job = scratch.start(scratch.command(&["run", "in", "-v", "-w", "1"]));
    assert_eq!(job.code(), 0);
    let log = job.raw_log();
    let mut processes = Vec::new();
    for line in log.lines().filter(|line| !line.starts_with("  ") && !line.is_empty()) {
        let stamp = line.strip_prefix("mapmill: ").and_then(|line| line.split_once(": "));
        let process = stamp.and_then(|(stamp, _)| stamp_of(stamp));
        processes.push(process.unwrap_or_else(|| panic!("no stamp in {line:?} of\n{log}")));
    }
    assert!(processes.contains(&"driver") && processes.contains(&"w0"), "{log}");
    assert!(log.contains(" driver: start m0.a0 on w0\n"), "{log}");
    assert!(log.contains(" w0: map task 0"), "{log}");
}

#[test]
fn progress_in_a_file_is_a_line_each_tenth_without_escapes() {
    let scratch = slow_job();
    let mut job = scratch.start(scratch.command(&SLOW));
    assert_eq!(job.code(), 0);
    let log = job.raw_log();
    let lines = log.lines().filter(|line| line.contains(" driver: map ") && line.contains(" %: "));
    assert!((1..=9).contains(&lines.count()), "{log}");
    assert!(!log.contains(['\r', '\u{1b}']), "{log:?}");
}

#[test]
fn dumb_terminal_gets_whole_lines() {
    let scratch = slow_job();
    let mut command = scratch.command(&SLOW);
    command.env("TERM", "dumb");
    let shown = on_terminal(command, 80);
    assert!(shown.contains(" %: "), "{shown}");
    // The terminal itself puts a carriage return before each line feed.
    assert!(!shown.replace("\r\n", "\n").contains(['\r', '\u{1b}']), "{shown:?}");
}

#[test]
fn progress_on_a_terminal_fits_its_width() {
    let scratch = slow_job();
    for (columns, no_color) in [(120, false), (40, true)] {
        let mut command = scratch.command(&SLOW);
        command.env("TERM", "xterm-256color").envs(no_color.then_some(("NO_COLOR", "1")));
        let shown = on_terminal(command, columns);
        let mut drawn = 0;
        for line in shown.split("\r\u{1b}[K").filter(|line| line.contains('%')) {
            let line = line.trim_start_matches("\r\n");
            if line.contains('\n') {
                continue;
            }
            drawn += 1;
            assert!(line.chars().count() < columns.into(), "{columns}: {line:?}");
            assert!(line.contains(" lost"), "{columns}: {line:?}");
        }
        assert!(drawn > 3, "{shown:?}");
        // No colours, and nothing else that steers the terminal.
        assert!(!shown.replace("\u{1b}[K", "").contains('\u{1b}'), "{shown:?}");
        // A message has no time where its reader sees when it comes.
        assert!(shown.contains("mapmill: done in "), "{shown:?}");
        assert!(shown.ends_with('\n'), "the line is cleared at the end: {shown:?}");
    }
}

/// What is typed is echoed, and a line that changes in place would be in the way.
#[test]
fn standard_input_that_is_typed_has_a_hint_and_no_progress_line() {
    let scratch = Scratch::new();
    let mut command = scratch.command(&["run", "-", "-w", "1"]);
    command.env("TERM", "xterm-256color");
    let shown = with_typed(command, 80, Some("b a b\n\u{4}"));
    assert!(shown.starts_with("b a b"), "the terminal echoes: {shown:?}");
    assert!(shown.contains("mapmill: reading standard input; Ctrl-D ends it\r\n"), "{shown:?}");
    assert!(shown.contains("mapmill: copied standard input into "), "{shown:?}");
    assert!(!shown.contains("copying"), "{shown:?}");
    assert!(shown.contains("b  2"), "{shown:?}");
}

#[test]
fn progress_of_copying_is_a_line_that_changes() {
    let scratch = Scratch::new();
    let mut command = scratch.shell("{ printf 'a b'; sleep 0.5; printf a; } | $mapmill run - -w 1");
    command.env("TERM", "xterm-256color");
    let shown = on_terminal(command, 80);
    assert!(shown.contains("\r\u{1b}[Kcopying standard input: 3 B in "), "{shown:?}");
    let copied = "\r\u{1b}[Kmapmill: copied standard input into ";
    assert!(shown.contains(copied), "{shown:?}");
}

#[test]
fn tables_fit_the_width() {
    let scratch = Scratch::new();
    scratch.write("in/a.txt", format!("{} b b b c", "w".repeat(100)));
    scratch.run(&["run", "-q", "in", "-w", "1"]).silent();
    for args in [&["top"][..], &["why"], &["why", "files", "m0"]] {
        for columns in [40, 60] {
            let mut command = scratch.command(args);
            command.env("COLUMNS", columns.to_string());
            let shown = stdout_on_terminal(command, 80);
            for line in shown.lines() {
                let is_one_word = line.split_whitespace().count() == 1;
                assert!(line.chars().count() <= columns || is_one_word, "{columns}: {line:?}");
            }
        }
    }
    let mut wide = scratch.command(&["top"]);
    wide.env("COLUMNS", "120");
    let bar = "█".repeat(120 - 2 - 60 - 2 - 1 - 2);
    assert!(stdout_on_terminal(wide, 80).contains(&bar));
}

/// What `command` writes to a terminal of so many columns, until it succeeds.
#[track_caller]
fn on_terminal(command: Command, columns: u16) -> String {
    with_typed(command, columns, None)
}

/// The same, with this terminal as stdin too if something is typed.
#[track_caller]
fn with_typed(command: Command, columns: u16, typed: Option<&str>) -> String {
    show(command, columns, typed, false)
}

/// What `command` writes to stdout and stderr on a terminal of so many columns, until it succeeds.
#[track_caller]
pub fn stdout_on_terminal(command: Command, columns: u16) -> String {
    show(command, columns, None, true).replace("\r\n", "\n")
}

#[track_caller]
fn show(mut command: Command, columns: u16, typed: Option<&str>, shows_stdout: bool) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("ours");
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&slave, size).expect("a terminal has a size");
    let stdin = typed.map(|_| slave.try_clone().expect("it is open"));
    command.stdin(stdin.map_or_else(Stdio::null, Stdio::from));
    let stdout = shows_stdout.then(|| slave.try_clone().expect("it is open"));
    command.stdout(stdout.map_or_else(Stdio::null, Stdio::from)).stderr(slave);
    if let Some(typed) = typed {
        rustix::io::write(&master, typed.as_bytes()).expect("a terminal holds a line");
    }
    let mut child = command.spawn().expect("the program under test can be started");
    // Only the child holds the other side: the end of the reading is its end.
    drop(command);
    let (sender, shown) = mpsc::channel();
    thread::spawn(move || {
        let (mut file, mut shown) = (File::from(master), Vec::new());
        // The system reports an error when no process has the terminal open any more.
        let _ = file.read_to_end(&mut shown);
        let _ = sender.send(shown);
    });
    let shown = shown.recv_timeout(PATIENCE.max(Duration::from_secs(1)));
    if shown.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().expect("our own child can be waited for");
    let shown = shown.expect("the command ends");
    assert!(status.success(), "{status}");
    String::from_utf8(shown).expect("messages are text")
}
