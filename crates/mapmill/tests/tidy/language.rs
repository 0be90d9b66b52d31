//! The language of the repository: idioms that must not come back, and how sentences begin.
//!
//! Comments, strings, names, help, manual pages, scripts, transcripts and papers are read as words,
//! so that a phrase is found across a line break, and not inside another word.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::source::Source;
use crate::tree::{File, Finding, NOWHERE, hold, lines, repository};

/// I21.
#[test]
fn language_is_that_of_the_field() {
    hold(&repository().iter().flat_map(idioms).collect::<Vec<_>>());
}

/// This file names what it forbids.
const THIS: &str = "crates/mapmill/tests/tidy/language.rs";

/// What is no prose, or not ours.
const SKIPPED: [&str; 7] =
    ["Cargo.lock", "LICENSE", "docs/bench/", "files/", "fuzz/seeds/", "inputs/", THIS];

/// An idiom, and what to say. Words are apart by one space; `|` separates forms of a word, `*` is
/// up to three words.
const IDIOMS: [(&str, &str); 27] = [
    ("anybody|everybody|somebody", "name the subject, or `world-writable`, `all users`"),
    ("at home", "`private`, or where it belongs"),
    ("be it", "`whether ... or ...`, `also when ...`"),
    ("believe|believed|believes|believing", "`accept` a record, `assume` a state"),
    ("beaten", "`superseded`"),
    ("came|come|comes|coming to nothing", "`fails`, `is refused`, `has no effect`"),
    ("for dead", "`considered dead`, `lost`"),
    ("gave|give|given|gives|giving * away", "`reassign` a task; `disclose` a secret"),
    ("get|gets|getting|got on", "`make progress`"),
    ("go|goes|gone|went on", "`resume` a job; `continue`"),
    ("going on with", "`resume`, `continue`"),
    ("in vain", "`without success`"),
    ("it wants", "`expected ...`, `needs`"),
    ("liar|liars", "`peer that violates the protocol`, `malicious worker`"),
    ("lain|lie|lied|lies|lying", "`(protocol) violation`; of a place: `is`, `stands`"),
    ("no telling", "`is not guaranteed`, `cannot be known`"),
    ("no use", "`does not help`, `has no effect`"),
    ("of tomorrow", "`not yet valid`"),
    ("of use", "`useful`, `valid`"),
    ("stand|standing|stands|stood still", "`pause`, `stop`, `make no progress`"),
    ("take|taken|takes|taking|took * back", "`revoke`, `undo`, `cancel`"),
    ("tell|telling|tells|told of", "`describe`, `report`, `inform about`"),
    ("those who", "`workers that`, `callers that`"),
    ("wanted any more", "`no longer needed`"),
    ("what others wrote", "`third-party code`"),
    ("whoever|whomever", "`any worker that`, `the caller`"),
    ("your own hands", "`yourself`"),
];

/// `who has` is no subject for a process or a file; people may be spoken of so.
const WHO: [&str; 5] = ["had", "has", "have", "is", "was"];
const PEOPLE: [&str; 9] =
    ["anyone", "attacker", "author", "everyone", "people", "person", "someone", "user", "users"];

/// Sentences do not begin with these: their subject would have to be guessed.
const OPENINGS: [&str; 5] = ["everybody", "nobody", "somebody", "who", "whoever"];

/// Everything in `file` that is said in a way that must not come back.
fn idioms(file: &File) -> Vec<Finding> {
    if SKIPPED.iter().any(|skipped| file.path.starts_with(skipped)) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for words in [prose(file), names(file)] {
        for at in 0..words.len() {
            findings.extend(advice(&words, at).map(|advice| file.finding(words[at].line, advice)));
        }
    }
    // Names in journals that were written before they changed.
    let alias = |line: usize| {
        file.text.lines().nth(line - 1).is_some_and(|line| line.contains("(alias = "))
    };
    findings.retain(|finding| !alias(finding.line));
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// What to say instead of the idiom that begins at `words[at]`.
fn advice(words: &[Word], at: usize) -> Option<String> {
    static IDIOMS_BY_FIRST: LazyLock<BTreeMap<&str, Vec<(&str, &str)>>> = LazyLock::new(|| {
        let mut idioms = BTreeMap::<_, Vec<_>>::new();
        for (idiom, better) in IDIOMS {
            for first in idiom.split(' ').next().into_iter().flat_map(|forms| forms.split('|')) {
                idioms.entry(first).or_default().push((idiom, better));
            }
        }
        idioms
    });
    let (word, rest) = (&words[at], &words[at..]);
    for (idiom, better) in IDIOMS_BY_FIRST.get(word.text.as_str()).into_iter().flatten() {
        let forms: Vec<_> = idiom.split(' ').collect();
        if let Some(length) = length(rest, &forms, true) {
            let said: Vec<_> = rest[..length].iter().map(|word| word.text.as_str()).collect();
            return Some(format!("`{}`: say {better}", said.join(" ")));
        }
    }
    let next = rest.get(1).filter(|next| !next.begins)?;
    let is_person = at > 0 && word.follows && PEOPLE.contains(&words[at - 1].text.as_str());
    if word.text == "who" && next.follows && WHO.contains(&next.text.as_str()) && !is_person {
        return Some(format!(
            "`who {}`: say `the worker that ...`; `anyone who` is for people",
            next.text
        ));
    }
    (word.begins && OPENINGS.contains(&word.text.as_str()))
        .then(|| format!("a sentence begins with `{}`: begin it with what acts", word.text))
}

/// How many words make up the idiom with which `words` begin, if they do.
fn length(words: &[Word], idiom: &[&str], is_first: bool) -> Option<usize> {
    let Some((forms, rest)) = idiom.split_first() else { return Some(0) };
    if *forms == "*" {
        let between = words.iter().take(3).take_while(|word| word.follows).count();
        return (0..=between)
            .find_map(|skipped| Some(skipped + length(&words[skipped..], rest, false)?));
    }
    let word = words.first().filter(|word| is_first || word.follows)?;
    let is_said = forms.split('|').any(|form| form == word.text);
    if is_said { Some(1 + length(&words[1..], rest, false)?) } else { None }
}

/// A word of a text.
#[derive(Debug)]
struct Word {
    line: usize,
    /// In lower case.
    text: String,
    /// Whether it begins a sentence.
    begins: bool,
    /// Whether nothing but white space is between it and the word before.
    follows: bool,
}

/// Takes words from lines that belong together, and knows where they do not.
#[derive(Default)]
struct Reader {
    words: Vec<Word>,
    /// What was between the last word and here; none where something new begins.
    gap: Option<String>,
}

impl Reader {
    /// The next words belong to another sentence than those before.
    fn part(&mut self) {
        self.gap = None;
    }

    fn read(&mut self, line: usize, text: &str) {
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let length = rest[start..].find(|c| !is_part(c)).unwrap_or(rest.len() - start);
            let gap = self.gap.take().map(|gap| gap + &rest[..start]);
            let closed = |gap: &String| {
                let gap: String = gap.chars().filter(|c| !"*`\")]".contains(*c)).collect();
                [". ", "! ", "? "].iter().any(|end| gap.contains(end))
            };
            self.words.push(Word {
                line,
                text: rest[start..start + length].to_lowercase(),
                begins: gap.as_ref().is_none_or(closed),
                follows: gap.is_some_and(|gap| gap.chars().all(char::is_whitespace)),
            });
            self.gap = Some(String::new());
            rest = &rest[start + length..];
        }
        if let Some(gap) = &mut self.gap {
            gap.push_str(rest);
            gap.push(' ');
        }
    }

    /// A line of running text: a list, a heading, a table and an empty line part it.
    fn read_line(&mut self, line: usize, text: &str) {
        let text = text.trim();
        let is_item = ["* ", "- ", "#", "```", "."].iter().any(|sign| text.starts_with(sign))
            || text.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if text.is_empty() || is_item {
            self.part();
        }
        if !text.starts_with('|') {
            self.read(line, text);
        }
        for cell in text.split('|').filter(|_| text.starts_with('|')) {
            self.part();
            self.read(line, cell);
            self.part();
        }
        if text.starts_with('#') || text.starts_with('.') {
            self.part();
        }
    }
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '\''
}

fn prose(file: &File) -> Vec<Word> {
    let mut reader = Reader::default();
    match &file.rust {
        Some(source) => read_rust(&mut reader, source),
        None => read_other(&mut reader, file),
    }
    reader.words
}

fn read_rust(reader: &mut Reader, source: &Source) {
    let mut last = (0, "");
    for (line, comment) in &source.comments {
        let sign = ["//!", "///", "//"].into_iter().find(|sign| comment.starts_with(sign));
        let sign = sign.unwrap_or("/*");
        if last != (line - 1, sign) {
            reader.part();
        }
        for (line, text) in (*line..).zip(comment[sign.len()..].lines()) {
            reader.read_line(line, text);
        }
        last = (*line, sign);
    }
    for (line, string) in &source.strings {
        reader.part();
        for (line, text) in (*line..).zip(string.lines()) {
            let joined = text.trim_end_matches('\\');
            for (index, piece) in joined.split("\\n").enumerate() {
                if index > 0 {
                    reader.part();
                }
                reader.read_line(line, piece);
            }
        }
    }
}

fn read_other(reader: &mut Reader, file: &File) {
    let sign = match file.path.rsplit_once('.').map_or("", |(_, kind)| kind) {
        "md" | "1" => "",
        "proto" | "rs" => "//",
        _ => "#",
    };
    let mut in_code = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        let line = line.trim();
        if sign.is_empty() && !in_code && !line.starts_with("```") {
            let line = ["\\fB", "\\fI", "\\fR"]
                .iter()
                .fold(line.to_owned(), |line, font| line.replace(font, ""));
            reader.read_line(number, &line);
        } else if let Some(comment) = line.strip_prefix(sign).filter(|_| !sign.is_empty()) {
            reader.read_line(number, comment);
        } else {
            // A line of code: its first word begins no sentence.
            in_code ^= sign.is_empty() && line.starts_with("```");
            reader.gap = Some(";".to_owned());
            reader.read(number, line);
            reader.part();
        }
    }
}

/// Names in Rust code, taken apart at their underscores; a function's name may begin a sentence.
fn names(file: &File) -> Vec<Word> {
    let mut reader = Reader::default();
    for (number, line) in file.rust.iter().flat_map(Source::lines) {
        let mut is_function = false;
        for name in line.split(|c| !is_part(c)).filter(|name| !name.is_empty()) {
            reader.part();
            reader.gap = (!is_function).then(|| ";".to_owned());
            reader.read(number, &name.replace('_', " "));
            is_function = name == "fn";
        }
    }
    reader.words
}

#[test]
fn idioms_are_found_wherever_they_stand() {
    let check = |path: &str, text: &str| lines(&idioms(&File::new(path, text)));

    let rust = "//! Fine.\n//! A worker that gets\n//! on.\n\nfn f() {\n    // It goes\n    // on \
                with it.\n    g(\"of \\\n       use\");\n    let liar = h.take_back();\n}\n";
    assert_eq!(check("a.rs", rust), [2, 6, 8, 10, 10]);
    assert_eq!(check("a.md", "It was tried in\nvain.\n\n* take the lease\n  back\n"), [1, 4]);
    assert_eq!(check("a.md", "| in | vain |\n\nin\n\nvain\n\nin *vain*\n"), NOWHERE);
    assert_eq!(check("a.proto", "// Those\n// who.\nmessage A {} // of use\n"), [1, 3]);
    assert_eq!(check(".ci/run", "# In\n# vain.\nsay \"in vain\"\n"), [1, 3]);
    assert_eq!(check("docs/man/a.1", ".SH GETS ON\nin\nvain\n\\fBin\\fR vain\n"), [1, 2, 4]);
    assert_eq!(check("crates/scheduler/tests/scenarios/a.txt", "# It lies.\nlies at 2s\n"), [1, 2]);
    assert_eq!(
        check("a.md", "Still, it relies on use, a useful lien, going on, targets on.\n"),
        NOWHERE
    );
    assert_eq!(check("inputs/a.txt", "in vain\n"), NOWHERE);
    assert_eq!(check(THIS, "// in vain\n"), NOWHERE);
}

#[test]
fn people_may_have_something_and_processes_may_not() {
    let check = |text: &str| lines(&idioms(&File::new("a.md", text)));

    assert_eq!(check("Anyone who has it can issue more; a user who is root too.\n"), NOWHERE);
    assert_eq!(check("The caller\nwho\nhas it; and who is it?\n"), [2, 3]);
}

#[test]
fn sentences_without_a_subject_are_found() {
    let check = |path: &str, text: &str| lines(&idioms(&File::new(path, text)));

    assert_eq!(check("a.md", "Nobody asks. Who asks\nis told. **Nobody** is.\n"), [1, 1, 2]);
    assert_eq!(check("a.md", "* Who calls\n\n## Who may call\n\n| who calls |\n"), [1, 3, 5]);
    assert_eq!(check("a.md", "It is clear who\nwaits, and that nobody\nwaits.\n"), NOWHERE);
    assert_eq!(check("a.rs", "//! A. Nobody\n//! asks.\n\n// Who asks.\n"), [1, 4]);
    assert_eq!(check("a.rs", "f(\"nobody asks\\nwho asks\");\n"), [1, 1]);
    assert_eq!(check("a.rs", "fn nobody_asks() {}\nfn f() { nobody_asks(); }\n"), [1]);
    assert_eq!(check(".ci/run", "# Nobody asks.\nwho am i\n"), [1]);
}
