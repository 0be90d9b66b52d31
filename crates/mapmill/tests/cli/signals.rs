//! SIGINT and SIGTERM end every wait, whatever the other threads of the process do.

use std::fs::{self, File};
use std::io::{PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};

use super::scratch::{Ended, Scratch};
use crate::util::process::poll;

/// A driver that died in the middle of its claim, perhaps on another machine. Only after 10 s
/// without a renewal it counts as dead.
#[test]
fn interrupt_ends_the_wait_for_the_claim_of_another_driver() {
    for (command, signal) in [("run", Signal::INT), ("run", Signal::TERM), ("driver", Signal::INT)]
    {
        let scratch = Scratch::new();
        scratch.write("files/.mapmill/claims/5/beat-3", "");
        let mut waiting = match command {
            "run" => scratch.start(scratch.command(&["run", "in"])),
            _ => scratch.start(scratch.driver(&["in"])),
        };
        waiting.wait_for(
            "another driver has not released the results folder; waiting up to 10 s to see \
             whether it is alive",
        );
        waiting.signal(signal);

        let ended = Ended::of(waiting);
        assert_eq!(ended.code, 130, "{command}: {}", ended.stderr);
        let lines: Vec<&str> = ended.stderr.lines().skip(1).collect();
        let expected =
            ["mapmill: interrupted; interrupt again to exit immediately", "mapmill: interrupted"];
        assert_eq!(lines, expected, "{command}: the job began");
    }
}

/// Every write to stderr blocks: also that of the interrupt.
#[test]
fn second_interrupt_ends_a_process_whose_stderr_is_a_full_pipe() {
    let scratch = Scratch::new();
    let (reader, writer) = std::io::pipe().expect("the system has pipes");
    fill(&writer);
    let mut command = scratch.command(&["run", "in"]);
    command.stdout(Stdio::null()).stderr(writer);
    let mut run = Killed(command.spawn().expect("the program can be started"));
    let status = format!("/proc/{}/status", run.0.id());
    let catches_signals = || {
        let status = fs::read_to_string(&status).expect("the process has not ended");
        let (_, caught) = status.split_once("SigCgt:").expect("Linux lists what is caught");
        let caught = caught.split_whitespace().next().unwrap_or_default();
        let caught = u64::from_str_radix(caught, 16).expect("it is a mask");
        let signals = [Signal::INT, Signal::TERM];
        let is_caught = |signal: &Signal| caught >> (signal.as_raw() - 1) & 1 == 1;
        signals.iter().all(is_caught).then_some(())
    };
    poll(catches_signals, || "a process that catches signals".to_owned());

    let pid = Pid::from_raw(run.0.id().try_into().expect("process ids are small"));
    let pid = pid.expect("no process has the id 0");
    let interrupt = || {
        let ended = run.0.try_wait().expect("our own child can be waited for");
        if ended.is_none() {
            kill_process(pid, Signal::INT).expect("our own child takes signals");
        }
        ended
    };
    let status = poll(interrupt, || "the end of a process that was interrupted".to_owned());
    assert_eq!(status.code(), Some(130), "{status}");
    drop(reader);
}

/// Writes until the pipe is full, through a handle of its own: the other one still blocks.
fn fill(pipe: &PipeWriter) {
    let path = format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let again = rustix::fs::open(path, flags, Mode::empty()).expect("Linux opens it again");
    let mut again = File::from(again);
    for block in [&[b'x'; 4096][..], b"x"] {
        while again.write(block).is_ok_and(|written| written > 0) {}
    }
}

/// Its workers end with it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
