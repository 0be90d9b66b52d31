//! Mistyped and contradictory flags.

use super::scratch::Scratch;

#[test]
fn number_of_map_tasks_has_limits_and_names_them() {
    for value in ["0", "100001", "x", "1.5", "99999999999", ""] {
        check_value("-n", value, "--map-tasks <N>", "expected a whole number from 1 to 100,000");
    }
}

#[test]
fn number_of_reduce_tasks_has_limits_and_names_them() {
    for value in ["0", "10001", "x"] {
        check_value("-m", value, "--reduce-tasks <M>", "expected a whole number from 1 to 10,000");
    }
}

#[test]
fn negative_numbers_are_out_of_range_and_not_flags() {
    check_value("-n", "-1", "--map-tasks <N>", "expected a whole number from 1 to 100,000");
    check_value("-m", "-4", "--reduce-tasks <M>", "expected a whole number from 1 to 10,000");
}

#[test]
fn number_of_workers_has_limits_and_names_them() {
    let scratch = Scratch::new();
    for value in ["0", "1025", "many", "-2"] {
        let sentence = format!(
            "invalid value '{value}' for '--workers <W>': expected a whole number from 1 to 1,024 \
             (see mapmill run --help)"
        );
        scratch.refuses(scratch.command(&["run", "in", "-w", value]), &sentence);
    }
}

#[test]
fn times_are_seconds_within_limits() {
    for value in ["0", "soon", "10s", "nan", "1e9"] {
        let expected = "expected seconds, from 0.01 to 604800";
        check_value("--task-timeout", value, "--task-timeout <SECS>", expected);
        check_value("--worker-timeout", value, "--worker-timeout <SECS>", expected);
    }
}

#[test]
fn number_of_attempts_has_limits_and_names_them() {
    let expected = "expected a whole number from 1 to 1,000";
    check_value("--attempts", "0", "--attempts <COUNT>", expected);
    check_value("--attempts", "1001", "--attempts <COUNT>", expected);
}

#[test]
fn throttle_is_in_bytes() {
    let scratch = Scratch::new();
    for (value, command) in [("0", "run"), ("fast", "run"), ("1X", "worker"), ("1.5M", "worker")] {
        let sentence = format!(
            "invalid value '{value}' for '--throttle <BYTES>': expected bytes, such as 1000000, \
             500K, or 20MiB (see <command> --help)"
        );
        scratch.refuses(scratch.command(&[command, "--throttle", value]), &sentence);
    }
}

#[test]
fn unknown_word_rule_gets_a_list_of_the_known_ones() {
    let scratch = Scratch::new();
    let sentence = "invalid value 'sounds' for '--words <RULE>'; possible values: letters, \
                    whitespace (see <command> --help)";
    scratch.refuses_job(&["in", "--words", "sounds"], sentence);
    let sentence = "invalid value 'letter' for '--words <RULE>'; possible values: letters, \
                    whitespace; a similar value exists: 'letters' (see <command> --help)";
    scratch.refuses_job(&["in", "--words", "letter"], sentence);
}

#[test]
fn unknown_flag_gets_the_nearest_one_suggested() {
    let scratch = Scratch::new();
    let check = |flag: &str, nearest: &str| {
        let sentence = format!(
            "unexpected argument '{flag}' found; a similar argument exists: '{nearest}' (see \
             <command> --help)"
        );
        scratch.refuses_job(&["in", flag, "x"], &sentence);
    };
    check("--map-task", "--map-tasks");
    check("--filse", "--files");
    check("--ignorecase", "--ignore-case");
}

#[test]
fn unknown_flag_without_a_near_one_gets_the_list() {
    let scratch = Scratch::new();
    let sentence = "unexpected argument '--zzz' found; to pass '--zzz' as a value, use '-- --zzz' \
                    (see <command> --help)";
    scratch.refuses_job(&["in", "--zzz"], sentence);
    scratch.refuses(
        scratch.command(&["worker", "in"]),
        "unexpected argument 'in' found (see mapmill worker --help)",
    );
}

#[test]
fn unknown_command_gets_the_nearest_one_suggested() {
    let scratch = Scratch::new();
    let sentence = "unrecognized subcommand 'rum'; a similar subcommand exists: 'run' (see mapmill \
                    --help)";
    scratch.refuses(scratch.command(&["rum", "in"]), sentence);
    let sentence = "unrecognized subcommand 'in' (see mapmill --help)";
    scratch.refuses(scratch.command(&["in"]), sentence);
}

#[test]
fn flag_without_its_value_is_named() {
    let scratch = Scratch::new();
    let check = |typed: &[&str], flag: &str| {
        let sentence = format!(
            "a value is required for '{flag}' but none was supplied (see <command> --help)"
        );
        scratch.refuses(scratch.command(typed), &sentence);
    };
    for command in ["run", "driver"] {
        check(&[command, "in", "-n"], "--map-tasks <N>");
        check(&[command, "in", "--reduce-tasks"], "--reduce-tasks <M>");
        check(&[command, "in", "--files"], "--files <DIR>");
        check(&[command, "in", "--files="], "--files <DIR>");
        check(&[command, "in", "--task-timeout"], "--task-timeout <SECS>");
    }
    check(&["driver", "in", "--listen"], "--listen <ADDR>");
    check(&["worker", "--driver"], "--driver <ADDR>");
    check(&["worker", "--root"], "--root <DIR>");
    check(&["top", "-k"], "--count <COUNT>");
}

#[test]
fn flags_that_contradict_each_other_are_named() {
    let scratch = Scratch::new();
    scratch.refuses_job(
        &["in", "-q", "-v"],
        "the argument '--quiet' cannot be used with '--verbose...' (see <command> --help)",
    );
    scratch.refuses_job(
        &["in", "-n", "3", "-n", "4"],
        "the argument '--map-tasks <N>' cannot be used multiple times (see <command> --help)",
    );
}

#[test]
fn value_cannot_break_the_line() {
    let scratch = Scratch::new();
    let sentence = "invalid value 'a; b' for '--words <RULE>'; possible values: letters, \
                    whitespace (see <command> --help)";
    scratch.refuses_job(&["in", "--words", "a\nb"], sentence);
}

#[test]
fn unknown_shell_gets_a_list_of_the_known_ones() {
    let scratch = Scratch::new();
    let sentence = "invalid value 'tcsh' for '<SHELL>'; possible values: bash, elvish, fish, \
                    powershell, zsh; a similar value exists: 'zsh' (see <command> --help)";
    scratch.refuses(scratch.command(&["completions", "tcsh"]), sentence);
    let sentence =
        "the following required arguments were not provided: <SHELL> (see <command> --help)";
    scratch.refuses(scratch.command(&["completions"]), sentence);
}

#[test]
fn manual_pages_are_not_written_into_a_file() {
    let scratch = Scratch::new();
    let sentence = "cannot write manual pages into in/a.txt";
    scratch.refuses(scratch.command(&["man", "in/a.txt"]), sentence);
}

/// `run` and `driver` refuse `value`, and say what they expected.
#[track_caller]
fn check_value(flag: &str, value: &str, name: &str, expected: &str) {
    let scratch = Scratch::new();
    let sentence =
        format!("invalid value '{value}' for '{name}': {expected} (see <command> --help)");
    scratch.refuses_job(&["in", flag, value], &sentence);
}
