//! One command: makes texts, lets Mapmill and others count them in turn, and prints the ratios.
//!
//! `cargo run --profile dist -p bench -- --help` lists the flags; `BENCHMARKS.md` has the results.

use std::fs;
use std::io;
use std::process::{Command, ExitCode};

use bench::{say, top};
use clap::Parser;

use crate::corpora::Corpora;
use crate::flags::{Flags, RaceName};
use crate::paper::Findings;

mod acceptance;
mod cluster;
mod contender;
mod corpora;
mod flags;
mod hot;
mod machine;
mod paper;
mod plan;
mod plot;
mod process;
mod race;
mod results;
mod sample;
mod table;
mod tools;

fn main() -> ExitCode {
    match run(Flags::parse().settled()) {
        Ok(code) => code,
        Err(error) => {
            say::note(error);
            ExitCode::FAILURE
        }
    }
}

fn run(mut flags: Flags) -> io::Result<ExitCode> {
    fs::create_dir_all(&flags.folder)?;
    // Contenders run in another folder, and are given the texts in this one.
    flags.folder = flags.folder.canonicalize()?;
    let flags = &flags;
    let corpora = Corpora::new(&flags.folder)?;
    if flags.texts {
        plan::make_texts(flags, &corpora)?;
        return Ok(ExitCode::SUCCESS);
    }
    // By a process of its own: making texts takes memory, and the peak of this process would be
    // counted as the peak of its children.
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--texts")
        .status()?;
    if !status.success() {
        return Err(io::Error::other("cannot make the texts"));
    }
    let tools = machine::tools(flags)?;
    let machine = machine::description(&tools);
    say::out(&machine);

    plan::check(&corpora, &tools)?;
    let mut outcomes = Vec::new();
    for race in plan::races(flags, &corpora, &tools)? {
        let outcome = race.run(&tools)?;
        table::print(&outcome);
        outcomes.push(outcome);
    }
    let criteria = acceptance::criteria(&outcomes);
    if !outcomes.is_empty() {
        say::out(acceptance::list(&criteria, ""));
    }
    // Should they not build, the results of the races are kept first.
    let loops = flags.wants(RaceName::Loops).then(hot::loops).transpose();

    let missed = criteria.iter().filter(|criterion| criterion.is_missed()).count();
    let findings =
        Findings { machine, outcomes, criteria, loops: loops.as_ref().ok().cloned().flatten() };
    if flags.write {
        findings.write(&top())?;
    } else {
        findings.leave(&flags.folder)?;
    }
    if let Some(loops) = loops? {
        say::out(loops);
    }
    if missed > 0 {
        say::note(format!("{missed} limits are missed"));
    }
    Ok(if flags.check && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
