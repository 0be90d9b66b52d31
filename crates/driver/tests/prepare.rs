//! Which jobs are refused, what `prepare` writes, and what one epoch leaves for the next.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use driver::{Config, Prepared, StartError, StoodBy, Waiting};
use journal::{Findings, JournalError, Log, Opening, Outcome, Record};
use rpc::message::WordRule;

mod folder;

use folder::{Folder, prepare};

#[test]
fn refused_job_leaves_the_disk_untouched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    type Spoil = Box<dyn Fn(&Path, &mut Config)>;
    let cases: Vec<(&str, Spoil)> = vec![
        (
            "does not exist",
            Box::new(|_, config| config.inputs.paths = vec!["/no/such/input".into()]),
        ),
        (
            "no input files",
            Box::new(|folder, config| {
                fs::create_dir(folder.join("empty")).unwrap();
                config.inputs.paths = vec![folder.join("empty")];
            }),
        ),
        (
            "is a file, but the results need a folder",
            Box::new(|folder, config| config.files = folder.join("inputs/a")),
        ),
        (
            "is in the results folder",
            Box::new(|folder, config| config.files = folder.join("inputs")),
        ),
        (
            "200000 map tasks are too many; at most 100000",
            Box::new(|_, config| config.map_tasks = NonZeroU32::new(200_000)),
        ),
        (
            "100000 map tasks times 101 reduce tasks make more than 10000000 intermediates",
            Box::new(|_, config| {
                config.map_tasks = NonZeroU32::new(100_000);
                config.reduce_tasks = NonZeroU32::new(101).unwrap();
            }),
        ),
        (
            "does not resolve",
            Box::new(|_, config| config.listen.address = "no-such-host.invalid:1".into()),
        ),
        ("does not resolve", Box::new(|_, config| config.listen.address = "127.0.0.1".into())),
        (
            "which could read everything and take part",
            Box::new(|_, config| config.listen.address = "0.0.0.0:0".into()),
        ),
        (
            "Address already in use",
            Box::new(move |_, config| config.listen.address = taken.clone()),
        ),
    ];
    for (expected, spoil) in cases {
        let folder = folder();
        let mut config = folder.config();
        spoil(folder.path(), &mut config);
        let before = tree(folder.path());

        let error = refusal(config);

        assert!(error.contains(expected), "{error}");
        assert_eq!(tree(folder.path()), before, "{expected}");
    }
}

#[test]
fn foreign_file_in_the_results_is_named_and_kept() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("files/out")).unwrap();
    fs::write(folder.path().join("files/out/thesis.txt"), "years of work").unwrap();
    let before = tree(folder.path());

    let error = refusal(folder.config());

    assert!(error.contains("out/thesis.txt is not a result of mapmill"), "{error}");
    assert_eq!(tree(folder.path()), before);
}

#[test]
fn world_writable_results_folder_is_refused_with_a_way_out() {
    let folder = folder();
    let files = folder.path().join("files");
    for below in ["", "out"] {
        let path = files.join(below);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let before = tree(folder.path());

        let error = refusal(folder.config());

        assert!(error.starts_with(files.to_str().unwrap()), "{error}");
        assert!(error.ends_with(" is world-writable; close it with `chmod o-w`"), "{error}");
        assert_eq!(tree(folder.path()), before);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    drop(prepare(folder.config()).unwrap());
}

/// A folder in which other users could plant links is refused, unless root runs the driver.
#[test]
fn links_planted_among_our_hidden_files_are_not_followed() {
    for (name, is_refused) in [("lock", true), ("journal.jsonl", true), ("journal.new", false)] {
        let folder = folder();
        let hidden = folder.path().join("files/.mapmill");
        fs::create_dir_all(&hidden).unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "years of work").unwrap();
        symlink(&victim, hidden.join(name)).unwrap();

        let prepared = prepare(folder.config());

        assert_eq!(prepared.is_err(), is_refused, "{name}");
        assert_eq!(fs::read(&victim).unwrap(), b"years of work");
    }
}

#[test]
fn damaged_journal_stops_the_driver_with_the_line_and_is_kept() {
    let folder = folder();
    drop(prepare(folder.config()).unwrap());
    let path = folder.path().join("files/.mapmill/journal.jsonl");
    let mut lines = fs::read(&path).unwrap();
    lines[20] ^= 1;
    fs::write(&path, &lines).unwrap();

    match prepare(folder.config()) {
        Err(StartError::Journal(JournalError::Damaged { line: 1, .. })) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a damaged journal was accepted"),
    }
    assert_eq!(fs::read(&path).unwrap(), lines);
}

/// The checksum of the line is right, but resuming from it would use an index out of range, or a
/// sum that overflows.
#[test]
fn line_that_no_driver_can_have_written_stops_the_driver() {
    let map = |task, buckets: &[(u64, u32, u64)]| {
        let (attempt, worker, findings) = (0, "w0".to_owned(), Findings::default());
        let buckets = buckets.iter().map(|&made| made.into()).collect();
        Record::Map { task, attempt, worker, span: None, buckets, findings }
    };
    let reduce = |task, words| {
        let (attempt, worker, bytes, crc32) = (0, "w0".to_owned(), 0, 0);
        Record::Reduce { task, attempt, worker, span: None, bytes, crc32, words, distinct_words: 1 }
    };
    let resume = |epoch| Record::Resume { epoch, build: String::new(), started_unix_seconds: 0 };
    for record in [
        map(6, &[(0, 0, 0); 4]),
        map(0, &[(0, 0, 0); 3]),
        map(0, &[(0, 0, 0), (0, 0, 0), (0, 0, 0), (3, 0, 2)]),
        map(0, &[(u64::MAX, 0, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0)]),
        reduce(4, 1),
        reduce(0, 0),
        resume(1),
        resume(u64::MAX),
    ] {
        let folder = folder();
        drop(prepare(folder.config()).unwrap());
        let mut log = folder.log();
        let recorded = log.read().unwrap();
        log.open(Opening::Resume { recorded: &recorded, resume: &record }).unwrap();

        match prepare(folder.config()) {
            Err(StartError::Journal(JournalError::Damaged { line: 3, .. })) => {}
            Err(error) => panic!("{record:?}: {error}"),
            Ok(_) => panic!("{record:?} was accepted"),
        }
        prepare(Config { fresh: true, ..folder.config() }).unwrap();
    }
}

#[test]
fn two_drivers_cannot_use_one_folder() {
    let folder = folder();
    let _first = prepare(folder.config()).unwrap();

    assert!(matches!(prepare(folder.config()), Err(StartError::Locked(_))));
}

#[test]
fn epoch_grows_with_every_start_and_is_on_disk_before_any_task() {
    let folder = folder();
    drop(prepare(folder.config()).unwrap());
    match &journal(&folder)[..] {
        [Record::Begin { epoch, map_tasks, .. }, Record::Input { path, bytes, .. }] => {
            assert_eq!((*epoch, *map_tasks, *bytes), (1, 6, 8));
            assert!(path.ends_with("inputs/a"));
        }
        records => panic!("{records:?}"),
    }
    for expected in 2..=3 {
        drop(prepare(folder.config()).unwrap());
        match journal(&folder).last() {
            Some(Record::Resume { epoch, .. }) => assert_eq!(*epoch, expected),
            record => panic!("{record:?}"),
        }
    }
}

/// Its committed tasks are kept until the user says otherwise.
#[test]
fn unfinished_job_that_differs_is_refused_with_the_difference_and_kept() {
    type Change = fn(&Folder, &mut Config);
    let changes: [(&str, Change); 7] = [
        ("map tasks: 6 then, 5 now", |_, config| config.map_tasks = NonZeroU32::new(5)),
        ("reduce tasks: 4 then, 5 now", |_, config| {
            config.reduce_tasks = NonZeroU32::new(5).unwrap();
        }),
        ("words: letters then, whitespace now", |_, config| {
            config.rules.rule = WordRule::Whitespace;
        }),
        ("case: significant then, ignored now", |_, config| config.rules.ignore_case = true),
        ("input changed: <folder>/inputs/a", |folder, _| {
            fs::write(folder.path().join("inputs/a"), "longer than before").unwrap();
        }),
        ("input added: <folder>/inputs/b", |folder, _| {
            fs::write(folder.path().join("inputs/b"), "").unwrap();
        }),
        (
            "map tasks: 6 then, 7 now; input added: <folder>/c; \
             input removed: <folder>/inputs/a",
            |folder, config| {
                fs::write(folder.path().join("c"), "one two\n").unwrap();
                config.inputs.paths = vec![folder.path().join("c")];
                config.map_tasks = NonZeroU32::new(7);
            },
        ),
    ];
    for (difference, change) in changes {
        let folder = folder();
        drop(prepare(folder.config()).unwrap());
        let mut config = folder.config();
        change(&folder, &mut config);
        let before = (tree(folder.path()), journal(&folder));

        let error = refusal(config.clone());

        let path = folder.path().to_str().unwrap();
        let difference = difference.replace("<folder>", path);
        let expected = format!(
            "{path}/files holds an unfinished job that differs from this one ({difference})"
        );
        assert_eq!(error, expected);
        assert_eq!((tree(folder.path()), journal(&folder)), before, "{error}");

        let prepared = prepare(Config { fresh: true, ..config }).unwrap();
        assert_eq!(prepared.resumes(), None, "{error}");
        // The refused driver had claimed the second epoch.
        assert!(matches!(journal(&folder)[0], Record::Begin { epoch: 3, .. }), "{error}");
    }
}

#[test]
fn unfinished_job_of_another_version_is_refused() {
    let folder = folder();
    drop(prepare(folder.config()).unwrap());
    let mut records = journal(&folder);
    if let Record::Begin { build, .. } = &mut records[0] {
        *build = "mapmill 0.0.1".to_owned();
    }
    folder.log().open(Opening::Begin(&records)).unwrap();

    let error = refusal(folder.config());

    let expected = format!("(program: mapmill 0.0.1 then, {} now)", rpc::BUILD);
    assert!(error.ends_with(&expected), "{error}");
}

#[test]
fn finished_job_that_differs_is_replaced() {
    let folder = folder();
    drop(prepare(folder.config()).unwrap());
    let mut records = journal(&folder);
    records.push(Record::End { outcome: Outcome::Done });
    folder.log().open(Opening::Begin(&records)).unwrap();

    let config = Config { map_tasks: NonZeroU32::new(5), ..folder.config() };
    assert_eq!(prepare(config).unwrap().resumes(), None);
    assert!(matches!(journal(&folder)[0], Record::Begin { epoch: 2, map_tasks: 5, .. }));
}

/// A driver of another machine holds epoch 1 until the standby waits; its job is in the journal.
fn stand_by_for(
    folder: &Folder,
    config: Config,
    mut waiting: impl FnMut(&Waiting),
) -> Result<StoodBy, StartError> {
    let claim = folder.files().join(".mapmill/claims/1");
    fs::rename(claim.join("released"), claim.join("beat-7")).unwrap();
    let is_holder = |path: &PathBuf| path.to_string_lossy().contains("holder-");
    let holder = tree(&claim).into_iter().find(is_holder).unwrap();
    let other_boot = fs::read_to_string(&holder).unwrap().replace("boot ", "boot x");
    fs::write(holder, other_boot).unwrap();
    driver::stand_by(config, |told| {
        if matches!(told, Waiting::Claim { .. }) && claim.join("beat-7").exists() {
            fs::rename(claim.join("beat-7"), claim.join("released")).unwrap();
        }
        waiting(told);
        ControlFlow::Continue(())
    })
}

#[test]
fn standby_of_another_job_replaces_nothing() {
    for is_done in [false, true] {
        let folder = folder();
        drop(prepare(folder.config()).unwrap());
        if is_done {
            let mut records = journal(&folder);
            records.push(Record::End { outcome: Outcome::Done });
            folder.log().open(Opening::Begin(&records)).unwrap();
        }
        let before = journal(&folder);
        let config = Config { map_tasks: NonZeroU32::new(5), ..folder.config() };

        let error = stand_by_for(&folder, config, |_| ()).err().expect("it is refused");

        let error = error.to_string();
        let ran = "the other driver ran a job in ";
        assert_eq!(error.starts_with(ran), is_done, "{error}");
        assert!(error.ends_with("(map tasks: 6 then, 5 now)"), "{error}");
        assert_eq!(journal(&folder), before);
        assert!(!folder.files().join(".mapmill/claims/2").exists(), "{error}");
    }
}

/// A frozen driver keeps its address, and its standby may be on the same machine.
#[test]
fn standby_waits_until_the_driver_before_it_releases_its_address() {
    let folder = folder();
    drop(prepare(folder.config()).unwrap());
    let frozen = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = frozen.local_addr().unwrap();
    let mut config = folder.config();
    config.listen.address = address.to_string();
    let mut frozen = Some(frozen);

    let stood_by = stand_by_for(&folder, config, |told| {
        if matches!(told, Waiting::Address { .. }) {
            frozen = None;
        }
    });

    let StoodBy::TookOver(prepared) = stood_by.unwrap() else { panic!("the job is not over") };
    assert_eq!(prepared.addresses(), [address]);
    assert!(frozen.is_none(), "it has waited");
}

#[test]
fn fresh_job_keeps_nothing_of_an_unfinished_one() {
    let folder = folder();
    drop(prepare(folder.config()).unwrap());

    let prepared = prepare(Config { fresh: true, ..folder.config() }).unwrap();

    assert_eq!(prepared.resumes(), None);
    assert!(matches!(journal(&folder)[0], Record::Begin { epoch: 2, .. }));
}

#[test]
fn damaged_journal_does_not_stop_a_fresh_start() {
    let folder = folder();
    drop(prepare(folder.config()).unwrap());
    let path = folder.path().join("files/.mapmill/journal.jsonl");
    let mut lines = fs::read(&path).unwrap();
    lines[3] ^= 1;
    fs::write(&path, lines).unwrap();

    assert!(matches!(prepare(folder.config()), Err(StartError::Journal(_))));
    prepare(Config { fresh: true, ..folder.config() }).unwrap();
}

#[test]
fn staging_of_a_dead_driver_is_swept() {
    let folder = folder();
    drop(prepare(folder.config()).unwrap());
    fs::create_dir_all(folder.path().join("files/.mapmill/staging/job/m0.a0")).unwrap();

    drop(prepare(folder.config()).unwrap());

    let staging = folder.path().join("files/.mapmill/staging");
    assert_eq!(fs::read_dir(staging).unwrap().count(), 0);
}

#[test]
fn folders_are_all_that_a_worker_needs_with_links_resolved() {
    let folder = folder();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("b"), "more").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("inputs/link")).unwrap();

    let prepared = prepare(folder.config()).unwrap();

    let mut expected = vec![
        folder.path().join("files"),
        folder.path().join("inputs"),
        fs::canonicalize(elsewhere.path()).unwrap(),
    ];
    expected.sort();
    assert_eq!(prepared.folders(), expected);
    assert_eq!((prepared.input_files(), prepared.input_bytes()), (2, 12));
}

#[test]
fn earlier_results_are_noticed() {
    let folder = folder();
    assert!(!prepare(folder.config()).unwrap().replaces_results());
    fs::write(folder.path().join("files/out/out-0"), "").unwrap();

    // A job that is resumed replaces only files of its own.
    assert!(!prepare(folder.config()).unwrap().replaces_results());
    assert!(prepare(Config { fresh: true, ..folder.config() }).unwrap().replaces_results());
}

#[test]
fn what_can_be_read_only_once_is_copied_until_the_job_is_over() {
    let folder = folder();
    let (config, fifo) = config_with_fifo(&folder);
    let writer = std::thread::spawn(move || fs::write(fifo, "three").unwrap());
    let prepared = driver::prepare(config, |_| ControlFlow::Continue(())).unwrap();
    writer.join().unwrap();

    assert_eq!((prepared.input_files(), prepared.input_bytes()), (2, 13));
    assert_eq!(prepared.folders(), [folder.path().join("files"), folder.path().join("inputs")]);
    assert!(!prepared.is_resumable());
    let claim = folder.files().join(".mapmill/claims/1");
    assert_eq!(copies(&claim).len(), 1);
    drop(prepared);
    assert_eq!(copies(&claim).len(), 0);
    assert!(claim.join("released").exists());

    // It is not in the way of another job, and itself begins anew.
    assert_eq!(prepare(folder.config()).unwrap().resumes(), None);
    assert_eq!(prepare(folder.config()).unwrap().resumes(), Some((0, 0)));
}

/// It would copy for hours, and then find that it may not begin.
#[test]
fn driver_that_is_superseded_stops_copying() {
    let folder = folder();
    let (config, fifo) = config_with_fifo(&folder);
    let mut writer = File::options().read(true).write(true).open(fifo).unwrap();
    writer.write_all(b"three").unwrap();
    let claims = folder.files().join(".mapmill/claims");
    let refused = driver::prepare(config, |waiting| {
        let has_copied = matches!(waiting, Waiting::Copy { bytes: 5, .. });
        if has_copied && !claims.join("2").exists() {
            fs::create_dir(claims.join("2")).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(refused, Err(StartError::InUse { .. })));
    assert_eq!(copies(&claims.join("1")).len(), 0);
}

/// A job over the folder's input and a FIFO.
fn config_with_fifo(folder: &Folder) -> (Config, PathBuf) {
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut config = folder.config();
    config.inputs.paths.push(fifo.clone());
    (config, fifo)
}

/// The copies of inputs in a claim.
fn copies(claim: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(claim).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| store::is_input_copy(path)).collect()
}

/// A folder whose input has eight bytes.
fn folder() -> Folder {
    Folder::new("one two\n")
}

/// All records of the journal in `folder`.
fn journal(folder: &Folder) -> Vec<Record> {
    folder.log().read().unwrap().records
}

#[track_caller]
fn refusal(config: Config) -> String {
    let refused: Result<Prepared, StartError> = prepare(config);
    match refused {
        Ok(_) => panic!("the job was not refused"),
        Err(error) => rpc::text::with_causes(&error),
    }
}

/// Every path below `folder`, sorted.
/// Without the claims, of which each driver makes one.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("claims") {
                continue;
            }
            if path.is_dir() {
                folders.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort();
    paths
}
