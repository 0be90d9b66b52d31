//! What a driver finds that was frozen after it had claimed the results folder.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]

use std::cell::Cell;
use std::fs;

use rpc::message::WordRule;
use store::ClaimState;

use super::*;
use crate::claim::memory::MemoryClaims;

#[test]
fn standby_frozen_with_its_claim_finds_the_job_that_another_driver_has_done_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (input, files) = (folder.path().join("input"), folder.path().join("files"));
    fs::write(&input, "a word").unwrap();
    let config = config(input, files);
    let Checked { plan, files, .. } = Checked::of(&config, Vec::new(), Copies::default()).unwrap();
    let (store, _) = claimable(&files).unwrap();
    let claims = Arc::new(MemoryClaims::default());
    let was_frozen = Cell::new(false);
    let keep = |hold: Hold| {
        if !was_frozen.replace(true) {
            // It holds epoch 1; epoch 2 was another driver's meanwhile, and its job is done.
            claims.remove(1).unwrap();
            claims.set(2, ClaimState::Released);
            let mut log = FileLog::in_folder(&files);
            log.open(Opening::Begin(&asked(&config, &plan).describe(2, "job", 0))).unwrap();
            log.append(&[Record::End { outcome: Outcome::Done }]).unwrap();
        }
        Ok(Arc::new(hold))
    };
    let folder = Unclaimed {
        files: &files,
        claims: Arc::clone(&claims) as Arc<dyn Claims>,
        store: &store,
        log: FileLog::in_folder(&files),
        clock: &MachineClock,
    };
    let holder = Holder::default();
    let waiting = &mut |_: &Waiting| ControlFlow::Continue(());
    let ask = Ask { waiting, is_wanted: &mut |_| Ok(()) };
    let taking = Taking { holder, on_conflict: OnConflict::StandBy, ask };

    let opened = taking.open(folder, &config, keep).unwrap();

    assert_eq!(opened.claimed.epoch(), 3);
    assert_eq!(opened.ended_meanwhile(&config, &plan), Some(Outcome::Done));
}

fn config(input: PathBuf, files: PathBuf) -> Config {
    Config {
        inputs: vec![input].into(),
        files,
        map_tasks: None,
        reduce_tasks: NonZeroU32::MIN,
        rules: WordRules { rule: WordRule::Letters, ignore_case: false },
        limits: Limits::default(),
        listen: Listen::default(),
        worker_wait: None,
        fresh: false,
        drop_intermediates: false,
        reading: Reading::default(),
    }
}
