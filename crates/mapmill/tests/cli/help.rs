//! Help, versions, manual pages and completions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::scratch::{Scratch, into_closed_pipe};

const COMMANDS: [&str; 12] = [
    "run",
    "driver",
    "worker",
    "status",
    "top",
    "export",
    "verify",
    "clean",
    "why",
    "certs",
    "completions",
    "man",
];

/// The commands of `mapmill certs`.
const CERTS: [&str; 4] = ["init", "issue", "show", "token"];

#[test]
fn help_is_data_and_fits_the_width() {
    let scratch = Scratch::new();
    for columns in [None, Some(80), Some(100), Some(300)] {
        for args in help_requests() {
            let mut command = scratch.command(&args);
            command.env_remove("COLUMNS");
            command.envs(columns.map(|columns: usize| ("COLUMNS", columns.to_string())));
            let help = scratch.end(command).silent();
            let width = help.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(width <= columns.unwrap_or(100).min(100), "{args:?} has a line of {width}");
            assert!(help.contains("Usage: mapmill"), "{args:?}: {help}");
        }
    }
}

#[test]
fn short_help_fits_a_screen_and_long_help_says_more() {
    let scratch = Scratch::new();
    for name in ["run", "driver", "worker"] {
        let short = scratch.run(&[name, "-h"]).silent();
        let long = scratch.run(&[name, "--help"]).silent();
        assert!(short.lines().count() <= 40, "{name} -h has {} lines", short.lines().count());
        assert!(long.len() > short.len());
        assert!(long.contains("Exit codes: 0 "), "{long}");
    }
}

#[test]
fn help_without_a_command_says_how_to_start() {
    let scratch = Scratch::new();
    let help = scratch.run(&["-h"]).silent();
    for name in COMMANDS {
        assert!(help.contains(&format!("\n  {name} ")), "{name} in {help}");
    }
    assert!(help.contains("Start here:\n  mapmill run books "), "{help}");
}

#[test]
fn help_mentions_the_defaults() {
    let scratch = Scratch::new();
    let check = |command: &str, flag: &str, default: &str| {
        let mut wide = scratch.command(&[command, "-h"]);
        wide.env("COLUMNS", "100");
        let help = scratch.end(wide).silent();
        // From its flag to the next one.
        let (_, from_flag) = help.split_once(flag).expect(flag);
        let end = from_flag.find("\n  -").or(from_flag.find("\n      --"));
        let text = from_flag[..end.unwrap_or(from_flag.len())].split_whitespace();
        let text: Vec<_> = text.collect();
        let default = format!("[default: {default}");
        assert!(text.join(" ").contains(&default), "{command} {flag}: {text:?}");
    };
    for command in ["run", "driver"] {
        check(command, "[INPUT]...  ", "inputs]");
        check(command, "--map-tasks <N>", "6");
        check(command, "--reduce-tasks <M>", "4]");
        check(command, "--files <DIR>", "files]");
        check(command, "--words <RULE>", "letters]");
        check(command, "--task-timeout <SECS>", "10]");
        check(command, "--worker-timeout <SECS>", "10]");
        check(command, "--attempts <COUNT>", "4]");
    }
    check("run", "--workers <W>", "one for each core]");
    check("driver", "--listen <ADDR>", "127.0.0.1:50051]");
    check("worker", "--driver <ADDR>", "127.0.0.1:50051]");
    check("status", "--driver <ADDR>", "127.0.0.1:50051]");
    check("worker", "--driver-timeout <SECS>", "30]");
    check("worker", "--wait <SECS>", "wait forever]");
    check("worker", "--root <DIR>", "the current folder]");
    check("top", "[FILES]...  ", "files]");
    check("top", "--count <COUNT>", "10]");
}

#[test]
fn help_of_every_command_has_an_example_and_a_command_of_its_own() {
    let scratch = Scratch::new();
    let certs = CERTS.map(|name| vec!["certs", name]);
    for name in COMMANDS.map(|name| vec![name]).into_iter().chain(certs) {
        let help = scratch.run(&[name.as_slice(), &["--help"]].concat()).silent();
        let command = format!("Example:\n  mapmill {}", name.join(" "));
        assert!(help.contains(&command), "{name:?}: {help}");
        // With certs, its own command.
        let same = [&name[..name.len() - 1], &["help", name[name.len() - 1]]].concat();
        assert_eq!(scratch.run(&same).silent(), help, "{same:?}");
    }
    assert_eq!(scratch.run(&["help"]).silent(), scratch.run(&["--help"]).silent());
    let ended = scratch.run(&["help", "rum"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
}

/// Lines break where the terminal ends, not where the source does.
#[test]
fn exit_codes_are_one_paragraph() {
    let scratch = Scratch::new();
    for args in help_requests() {
        let mut command = scratch.command(&args);
        command.env("COLUMNS", "60");
        let help = scratch.end(command).silent();
        let Some(begin) = help.find("Exit codes: ") else { continue };
        let lines: Vec<_> = help[begin..].trim_end().lines().collect();
        for pair in lines.windows(2) {
            let word = pair[1].split(' ').next().unwrap_or_default();
            assert!(pair[0].len() + 1 + word.len() > 60, "{args:?}: {pair:?}");
        }
    }
}

#[test]
fn version_is_data() {
    let version = Scratch::new().run(&["--version"]).silent();
    assert_eq!(version, format!("mapmill {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn no_command_at_all_gets_help_and_is_an_error() {
    let scratch = Scratch::new();
    let help = scratch.run(&["-h"]).silent();
    let ended = scratch.run(&[] as &[&str]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert_eq!(ended.stderr, help);
}

#[test]
fn closed_pipe_is_not_an_error() {
    let scratch = Scratch::new();
    for args in [&["--help"][..], &["--version"], &["man"], &["completions", "zsh"]] {
        assert_eq!(into_closed_pipe(scratch.command(args)), Some(0), "{args:?}");
    }
}

/// `REWRITE=1` rewrites the pages.
#[test]
fn committed_manual_pages_are_those_of_the_program() {
    let scratch = Scratch::new();
    scratch.run(&["man", "pages"]).silent();
    let pages = read_folder(&scratch.path("pages"));
    assert_eq!(pages.len(), COMMANDS.len() + CERTS.len() + 1);

    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man");
    if std::env::var_os("REWRITE").is_some() {
        fs::create_dir_all(&committed).unwrap();
        for name in read_folder(&committed).into_keys() {
            fs::remove_file(committed.join(name)).unwrap();
        }
        for (name, page) in &pages {
            fs::write(committed.join(name), page).unwrap();
        }
    }
    let found = read_folder(&committed);
    let names = |pages: &BTreeMap<PathBuf, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&pages), "docs/man is not up to date; run with REWRITE=1");
    for (name, page) in &pages {
        let name = name.display();
        assert!(found.values().any(|found| found == page), "{name} is old; run with REWRITE=1");
    }
}

#[test]
fn manual_page_is_printed_where_no_folder_is_named() {
    let scratch = Scratch::new();
    scratch.run(&["man", "pages"]).silent();
    let page = fs::read_to_string(scratch.path("pages/mapmill.1")).unwrap();
    assert_eq!(scratch.run(&["man"]).silent(), page);
}

#[test]
fn completions_know_all_commands() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = scratch.run(&["completions", shell]).silent();
        for name in COMMANDS.iter().chain(&CERTS).chain(&["--map-tasks", "--driver-timeout"]) {
            // fish writes `-l map-tasks`.
            let name = name.trim_start_matches('-');
            assert!(script.contains(name), "{name} for {shell}");
        }
    }
}

/// Every way to ask for help.
fn help_requests() -> Vec<Vec<&'static str>> {
    let commands = COMMANDS.iter().flat_map(|name| [vec![*name, "-h"], vec![*name, "--help"]]);
    let certs =
        CERTS.iter().flat_map(|name| [vec!["certs", *name, "-h"], vec!["certs", *name, "--help"]]);
    [vec!["-h"], vec!["--help"]].into_iter().chain(commands).chain(certs).collect()
}

fn read_folder(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.expect("a folder of pages can be read");
        let page = fs::read_to_string(entry.path()).expect("pages are text");
        files.insert(entry.file_name().into(), page);
    }
    files
}
