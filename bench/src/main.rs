//! One command: makes texts, lets Mapmill and others count them in turn, and prints the ratios.
//!
//! `cargo run --release -p bench -- --help` says what can be chosen; `BENCHMARKS.md` what came out.

use std::fs;
use std::io;
use std::process::{Command, ExitCode};

use bench::{say, top};
use clap::{Parser, ValueEnum};

use crate::corpora::Corpora;
use crate::flags::Flags;
use crate::process::output;
use crate::race::Outcome;

mod acceptance;
mod contender;
mod corpora;
mod flags;
mod machine;
mod paper;
mod plan;
mod plot;
mod process;
mod race;
mod results;
mod table;

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
    // Contenders run elsewhere, and are given the texts that lie in it.
    flags.folder = flags.folder.canonicalize()?;
    let flags = &flags;
    let corpora = Corpora::new(&flags.folder)?;
    if flags.texts {
        plan::make_texts(flags, &corpora)?;
        return Ok(ExitCode::SUCCESS);
    }
    // By a process of its own: making texts takes memory, and what this one once had, its children
    // are said to have had.
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--texts")
        .status()?;
    if !status.success() {
        return Err(io::Error::other("the texts could not be made"));
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
    let wishes = acceptance::wishes(&outcomes);
    let list = acceptance::list(&wishes);
    say::out(&list);
    let whole = flags.only.is_empty();
    let loops = if flags.loops || (flags.write && whole) { Some(loops()?) } else { None };
    keep(flags, &outcomes, &machine, &list, loops.as_deref())?;

    let missed = wishes.iter().filter(|wish| wish.is_missed()).count();
    if missed > 0 {
        say::note(format!("{missed} limits are missed"));
    }
    Ok(if flags.check && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the benchmarks of the hot loops print.
fn loops() -> io::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    say::note("the hot loops, by themselves");
    let printed =
        output(Command::new(cargo).args(["bench", "--package", "bench"]).current_dir(top()))?;
    say::out(&printed);
    Ok(printed)
}

/// Leave samples and plots beside the texts, or in the repository.
fn keep(
    flags: &Flags,
    outcomes: &[Outcome],
    machine: &str,
    list: &str,
    loops: Option<&str>,
) -> io::Result<()> {
    // A part of the samples would look like all of them.
    let whole = flags.write && flags.only.is_empty();
    let folder = if whole { top().join("docs/bench") } else { flags.folder.clone() };
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("samples.json"), paper::samples(outcomes, machine))?;
    for (name, svg) in plot::plots(outcomes) {
        fs::write(folder.join(format!("{name}.svg")), svg)?;
    }
    say::note(format!("samples and plots are in {}", folder.display()));
    if !flags.write {
        return Ok(());
    }
    let mut parts: Vec<(String, String)> = outcomes
        .iter()
        .map(|outcome| {
            let name = outcome.name.to_possible_value().map(|value| value.get_name().to_owned());
            (name.unwrap_or_default(), table::table(outcome))
        })
        .collect();
    parts.push(("machine".to_owned(), machine.to_owned()));
    if whole {
        parts.push(("limits".to_owned(), list.to_owned()));
    }
    parts.extend(loops.map(|printed| ("loops".to_owned(), format!("```text\n{printed}\n```"))));
    paper::write(&parts)
}
