//! What must be true of the folder when the job is done.

use store::layout;

use crate::oracle;
use crate::world::World;

/// Everything that is wrong with the results.
pub fn results(world: &World) -> Vec<String> {
    let plan = &world.plan;
    let (map_tasks, reduce_tasks) = (plan.map_tasks.get(), plan.reduce_tasks.get());
    let mut objects = world.shared_store.objects();
    let damaged = world.shared_store.damaged();
    let mut findings = Vec::new();
    let expected = oracle::buckets(&plan.texts, plan.rules, reduce_tasks);
    for (bucket, words) in (0..).zip(&expected) {
        let name = layout::output(bucket);
        match objects.remove(&name) {
            Some(bytes) if bytes == oracle::output(words) => {}
            Some(bytes) => findings.push(format!(
                "{name} is wrong:\n{}\ninstead of\n{}",
                String::from_utf8_lossy(&bytes),
                String::from_utf8_lossy(&oracle::output(words))
            )),
            None => findings.push(format!("{name} is missing")),
        }
        let mut emitted = Vec::new();
        let mut whole = true;
        for map in 0..map_tasks {
            let name = layout::intermediate(map, bucket);
            let bytes = objects.remove(&name);
            if damaged.contains(&name) {
                whole = false;
            } else if let Some(bytes) = bytes {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                emitted.extend(text.lines().map(str::to_owned));
            } else {
                findings.push(format!("{name} is missing"));
            }
        }
        emitted.sort_unstable();
        if whole && emitted != *words {
            findings.push(format!("the intermediates of bucket {bucket} are wrong: {emitted:?}"));
        }
    }
    let foreign = objects.into_keys().filter(|name| !damaged.contains(name));
    findings.extend(foreign.map(|name| format!("{name} is not of this job")));
    // A driver that was superseded leaves the folder to its successor, which may have ended.
    let left = world.shared_store.left_behind().into_iter();
    let left = left.filter(|staging| !may_be_superseded(world, staging));
    findings.extend(left.map(|staging| format!("{staging} was left behind")));
    findings
}

/// Attempts that were executed twice, as far as that can matter.
pub fn attempts(world: &World) -> Vec<String> {
    // A driver that was superseded may assign an attempt anew, and its successor has swept away
    // what showed that it had begun.
    let twice = world.shared_store.begun_twice().into_iter();
    let twice = twice.filter(|staging| !may_be_superseded(world, staging));
    twice.map(|staging| format!("{staging} was begun twice")).collect()
}

/// Whether an attempt may be of a driver that was superseded while it was alive.
fn may_be_superseded(world: &World, staging: &str) -> bool {
    let last = format!("-e{}/", world.claims.highest());
    world.plan.drivers.len() > 1 && !staging.contains(&last)
}
