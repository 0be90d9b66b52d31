//! Which races there are, over what, and how often.

use std::io;
use std::path::{Path, PathBuf};

use bench::say;
use bench::texts::Text;

use crate::contender::Contender;
use crate::corpora::Corpora;
use crate::flags::{Flags, RaceName};
use crate::race::{Entry, Race, all_agree};
use crate::tools::Tools;

/// Make every text that the races need.
pub(crate) fn make_texts(flags: &Flags, corpora: &Corpora) -> io::Result<()> {
    let size = flags.size;
    let wanted = [
        (Text::Prose, size, [RaceName::Books, RaceName::Sizes, RaceName::Workers].as_slice()),
        (Text::Prose, size, &[RaceName::Growth, RaceName::Tls]),
        (Text::Prose, size / 4, &[RaceName::Scripts, RaceName::Shapes, RaceName::Growth]),
        (Text::Prose, size / 16, &[RaceName::Growth]),
        (Text::Prose, size / 64, &[RaceName::Growth]),
        (Text::Wide, size * 2, &[RaceName::Wide]),
        (Text::Cyrillic, size / 4, &[RaceName::Scripts]),
        (Text::Cjk, size / 4, &[RaceName::Scripts]),
        (Text::Clauses, size / 4, &[RaceName::Scripts]),
        (Text::Mix, size / 4, &[RaceName::Scripts]),
        (Text::Newlines, size / 4, &[RaceName::Shapes]),
        (Text::Tokens, size / 4, &[RaceName::Shapes]),
    ];
    for (text, bytes, races) in wanted {
        if races.iter().any(|race| flags.wants(*race)) {
            corpora.make(text, bytes)?;
        }
    }
    corpora.make(Text::Wide, AGREED_BYTES)?;
    if flags.wants(RaceName::Books) || flags.wants(RaceName::Tls) {
        corpora.books(size)?;
    }
    if flags.wants(RaceName::Source) {
        corpora.source(size / 4)?;
    }
    Ok(())
}

/// Before all races: checks that all contenders find the same words where their rules agree.
pub(crate) fn check(corpora: &Corpora, tools: &Tools) -> io::Result<()> {
    let text = corpora.path(Text::Wide, AGREED_BYTES);
    let contenders = [MAPMILL, Contender::Polars, Contender::TrMawk, Contender::TrSortUniq];
    all_agree(&contenders, &text, tools)
}

/// Every race that was asked for. First those that make many files, before any are removed: see
/// `crate::results`.
pub(crate) fn races(flags: &Flags, corpora: &Corpora, tools: &Tools) -> io::Result<Vec<Race>> {
    let plan = Plan { flags, corpora, tools };
    let mut races = Vec::new();
    for name in ALL {
        if !flags.wants(name) {
            continue;
        }
        let race = match name {
            RaceName::Books => Some(plan.books()?),
            RaceName::Growth => Some(plan.growth()),
            RaceName::Loops => None,
            RaceName::Scripts => Some(plan.scripts()),
            RaceName::Shapes => Some(plan.shapes()),
            RaceName::Sizes => Some(plan.sizes()),
            RaceName::Source => plan.source()?,
            RaceName::Start => Some(plan.start()?),
            RaceName::Tls => Some(plan.tls()?),
            RaceName::Wide => Some(plan.wide()),
            RaceName::Workers => Some(plan.workers()),
        };
        races.extend(race);
    }
    Ok(races)
}

const ALL: [RaceName; 10] = [
    RaceName::Start,
    RaceName::Books,
    RaceName::Source,
    RaceName::Wide,
    RaceName::Scripts,
    RaceName::Shapes,
    RaceName::Sizes,
    RaceName::Workers,
    RaceName::Tls,
    RaceName::Growth,
];

struct Plan<'flags> {
    flags: &'flags Flags,
    corpora: &'flags Corpora,
    tools: &'flags Tools,
}

impl Plan<'_> {
    fn books(&self) -> io::Result<Race> {
        let size = self.flags.size;
        let books = self.corpora.books(size)?;
        let text = if books.is_some() { "English books, repeated" } else { "made prose" };
        let path = books.unwrap_or_else(|| self.corpora.path(Text::Prose, size));
        let mut race = Draft::new(self, RaceName::Books, &format!("{text}, {}", mib(size)), 9);
        for contender in [MAPMILL, Contender::Cp, Contender::Wc] {
            race.add(&path, size, contender);
        }
        Ok(race.done())
    }

    fn tls(&self) -> io::Result<Race> {
        let size = self.flags.size;
        let books = self.corpora.books(size)?;
        let text = if books.is_some() { "English books, repeated" } else { "made prose" };
        let path = books.unwrap_or_else(|| self.corpora.path(Text::Prose, size));
        let title = format!("A driver and two workers: {text}, {}", mib(size));
        let mut race = Draft::new(self, RaceName::Tls, &title, 21);
        for tls in [false, true] {
            race.add(&path, size, Contender::Cluster { tls });
        }
        Ok(race.done())
    }

    fn source(&self) -> io::Result<Option<Race>> {
        let size = self.flags.size / 4;
        let Some(path) = self.corpora.source(size)? else { return Ok(None) };
        let title = format!("Sources of Linux 6.1, {}", mib(size));
        let mut race = Draft::new(self, RaceName::Source, &title, 5);
        for contender in
            [MAPMILL, Contender::Cp, Contender::Wc, Contender::Polars, Contender::TrMawk]
        {
            race.add(&path, size, contender);
        }
        Ok(Some(race.done()))
    }

    fn wide(&self) -> Race {
        let size = self.flags.size * 2;
        let path = self.corpora.path(Text::Wide, size);
        let million = 20.0 * size as f64 / (2_u64 << 30) as f64;
        let title = format!("{million:.1} million different words, {}", mib(size));
        let mut race = Draft::new(self, RaceName::Wide, &title, 3);
        if self.tools.has_memory_flag {
            for memory in [Some("512MiB"), Some("64MiB")] {
                race.add(&path, size, Contender::Mapmill { workers: 2, reduce_tasks: 4, memory });
            }
        } else {
            say::note("no `--memory` in `mapmill run --help`: measured without");
            race.add(&path, size, MAPMILL);
        }
        race.add(&path, size, Contender::Polars);
        race.done()
    }

    fn scripts(&self) -> Race {
        let size = self.flags.size / 4;
        let title = format!("One script and another, {} each", mib(size));
        let texts = [Text::Prose, Text::Cyrillic, Text::Cjk, Text::Clauses, Text::Mix];
        self.texts(RaceName::Scripts, &title, &texts)
    }

    fn shapes(&self) -> Race {
        let size = self.flags.size / 4;
        let title = format!("Odd texts, {} each", mib(size));
        self.texts(RaceName::Shapes, &title, &[Text::Prose, Text::Newlines, Text::Tokens])
    }

    fn texts(&self, name: RaceName, title: &str, texts: &[Text]) -> Race {
        let size = self.flags.size / 4;
        let mut race = Draft::new(self, name, title, 7);
        for text in texts {
            let inputs = vec![self.corpora.path(*text, size)];
            race.add_as(text.name(), inputs, size, MAPMILL, 0);
        }
        race.done()
    }

    fn sizes(&self) -> Race {
        let size = self.flags.size;
        let path = self.corpora.path(Text::Prose, size);
        let title = format!("Prose once, twice, and more often: {} and up", mib(size));
        let mut race = Draft::new(self, RaceName::Sizes, &title, 3);
        for times in [1, 2, 4, 8] {
            // Each is compared with itself over the file once.
            for (base, contender) in [MAPMILL, Contender::Cp].into_iter().enumerate() {
                // The same file several times is as many inputs.
                let inputs = vec![path.clone(); times as usize];
                race.add_as(&label(&contender), inputs, size * times, contender, base);
            }
        }
        race.done()
    }

    fn workers(&self) -> Race {
        let size = self.flags.size;
        let path = self.corpora.path(Text::Prose, size);
        let title = format!("Prose of {}, -m 8, by so many workers", mib(size));
        let mut race = Draft::new(self, RaceName::Workers, &title, 5);
        for workers in [1, 2, 4] {
            let contender = Contender::Mapmill { workers, reduce_tasks: 8, memory: None };
            let label = if workers == 1 { "1 worker".into() } else { format!("{workers} workers") };
            race.add_as(&label, vec![path.clone()], size, contender, 0);
        }
        race.done()
    }

    fn start(&self) -> io::Result<Race> {
        let mut race = Draft::new(self, RaceName::Start, "What a job costs before it has work", 20);
        let byte = self.flags.folder.join("texts/one-byte");
        std::fs::write(&byte, "a")?;
        let sample = bench::top().join("inputs").canonicalize()?;
        let run = ["run", "--quiet", "--workers", "2", "--files", "{}"];
        let thousand = ["-n", "1000", "-m", "4"];
        for (label, arguments, inputs) in [
            ("--version", vec!["--version"], vec![]),
            ("run, one byte", run.to_vec(), vec![byte]),
            ("run, sample, -n 1000 -m 4", [&run[..], &thousand[..]].concat(), vec![sample]),
        ] {
            let arguments = arguments.into_iter().map(str::to_owned).collect();
            race.add_as(label, inputs, 0, Contender::MapmillCommand { arguments }, 0);
        }
        Ok(race.done())
    }

    fn growth(&self) -> Race {
        let mut race = Draft::new(self, RaceName::Growth, "Prose of growing size", 3);
        for share in [64, 16, 4, 1] {
            let size = self.flags.size / share;
            let path = self.corpora.path(Text::Prose, size);
            let base = race.race.entries.len();
            for contender in [MAPMILL, Contender::Cp, Contender::Wc, Contender::Polars] {
                let label = label(&contender);
                race.add_as(&label, vec![path.clone()], size, contender, base);
            }
            // A minute and more for each run at the largest size would show nothing new.
            let slow: &[Contender] = match share {
                1 => &[Contender::TrMawk],
                _ => &[Contender::TrMawk, Contender::TrSortUniq],
            };
            for contender in slow {
                race.add_as(&label(contender), vec![path.clone()], size, contender.clone(), base);
            }
        }
        race.done()
    }
}

/// A race that is being put together.
struct Draft<'plan> {
    race: Race,
    rounds: u32,
    plan: &'plan Plan<'plan>,
}

impl<'plan> Draft<'plan> {
    fn new(plan: &'plan Plan<'plan>, name: RaceName, title: &str, rounds: u32) -> Self {
        let race = Race { name, title: title.to_owned(), entries: Vec::new() };
        Self { race, rounds: plan.flags.runs.unwrap_or(rounds), plan }
    }

    fn add(&mut self, path: &Path, bytes: u64, contender: Contender) {
        self.add_as(&label(&contender), vec![path.to_owned()], bytes, contender, 0);
    }

    /// Leaves out contenders that are not installed.
    fn add_as(
        &mut self,
        label: &str,
        inputs: Vec<PathBuf>,
        bytes: u64,
        contender: Contender,
        base: usize,
    ) {
        if let Some(reason) = contender.lacks(self.plan.tools) {
            say::note(format!("without {label}: {reason}"));
            return;
        }
        let rounds = if contender.is_slow() { self.rounds.min(SLOW_ROUNDS) } else { self.rounds };
        let label = label.to_owned();
        self.race.entries.push(Entry { label, contender, inputs, bytes, rounds, base });
    }

    fn done(self) -> Race {
        self.race
    }
}

/// Its label in the tables.
fn label(contender: &Contender) -> String {
    match contender {
        Contender::Cluster { tls: false } => "without TLS".to_owned(),
        Contender::Cluster { tls: true } => "with TLS".to_owned(),
        Contender::Cp => "cp".to_owned(),
        Contender::Mapmill { memory: None, .. } | Contender::MapmillCommand { .. } => {
            "mapmill".to_owned()
        }
        Contender::Mapmill { memory: Some(bytes), .. } => format!("mapmill --memory {bytes}"),
        Contender::Polars => "Polars".to_owned(),
        Contender::TrMawk => "tr, mawk".to_owned(),
        Contender::TrSortUniq => "tr, sort, uniq".to_owned(),
        Contender::Wc => "wc -w".to_owned(),
    }
}

/// As tables write a size.
pub(crate) fn mib(bytes: u64) -> String {
    match bytes {
        0 => "-".to_owned(),
        bytes if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        bytes if bytes < 1 << 20 => format!("{} KiB", bytes >> 10),
        bytes => format!("{} MiB", bytes >> 20),
    }
}

const MAPMILL: Contender = Contender::Mapmill { workers: 2, reduce_tasks: 4, memory: None };
const SLOW_ROUNDS: u32 = 3;
const AGREED_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use clap::{Parser, ValueEnum};

    use crate::results::Results;

    use super::*;

    fn raced(only: &str) -> Vec<Race> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let folder = folder.path();
        let mut flags = Flags::parse_from(["bench", "--only", only]);
        flags.folder = folder.to_owned();
        let corpora = Corpora::new(folder).expect("a folder can be made");
        let results = Results::below(folder).expect("a folder can be made");
        let tools = Tools { mapmill: PathBuf::new(), python: None, has_memory_flag: true, results };
        races(&flags, &corpora, &tools).expect("these need no texts from elsewhere")
    }

    #[test]
    fn many_files_are_made_before_any_are_removed() {
        let names: Vec<_> =
            raced("wide,sizes,workers,start,growth").iter().map(|race| race.name).collect();
        assert_eq!((names.len(), names[0]), (5, RaceName::Start));
        assert_eq!(ALL[0], RaceName::Start);
        let all = RaceName::value_variants().iter().filter(|name| **name != RaceName::Loops);
        assert_eq!(all.filter(|name| ALL.contains(name)).count(), ALL.len());
    }

    #[test]
    fn every_size_is_copied_as_well() {
        let race = raced("sizes").pop().unwrap();
        let of = |label: &str| -> Vec<&Entry> {
            race.entries.iter().filter(|entry| entry.label == label).collect()
        };
        for label in ["mapmill", "cp"] {
            let gib: Vec<u64> = of(label).iter().map(|entry| entry.bytes >> 30).collect();
            assert_eq!(gib, [1, 2, 4, 8], "{label}");
            assert!(of(label).iter().all(|entry| race.entries[entry.base].label == label));
        }
        assert_eq!(race.entries.len(), 8);
    }
}
