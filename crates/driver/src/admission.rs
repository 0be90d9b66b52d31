//! Who may call as which worker, how many may come, and what becomes of those who lie.
//!
//! Plain data and rules. The loop asks here before it listens to a call, tells what it caught
//! somebody in, and carries out what follows: what is refused, and who is shut out.
//!
//! A *lie* is what no honest worker says, however late, often, or out of order its messages arrive.
//! So an id that is not known is none (the worker may have been forgotten), nor is a report from
//! another session, or about an attempt that was this worker's own and is lost, superseded, or
//! committed long ago; nor are staged files that are not there (a worker that is told to stop
//! discards what it has just reported) or have lost a bit (so does a disk that all workers share).
//! The simulation holds to that: none of its workers is ever caught in a lie.
//!
//! Lies count for the certificate, if there is one. Staged files of another length count for the
//! one worker alone: its machine may be broken, which should do no more here, and all machines of a
//! fleet may show the same certificate.
//!
//! Whoever shows no certificate can come back as a new worker, and is counted anew. An address is
//! never shut out: behind it may be a whole fleet (containers, a gateway), and on loopback
//! everybody has the same.
//!
//! # Invariants
//!
//! * `by_id` and `by_instance` have one entry for each of `members`, and `standings[i].members`
//!   counts those of identity `i`.
//! * An id is never given out twice as long as it is in `by_id`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rpc::{Identity, LogLimit, Peer, Refusal, Suppressed};
use scheduler::{AttemptId, Time, WorkerId};

/// Gives numbers that nobody can guess, unless the system has none.
pub(crate) type Chance = Box<dyn FnMut() -> Option<u64> + Send>;

pub(crate) struct Admission {
    chance: Chance,
    /// By what it calls with.
    by_id: BTreeMap<u64, WorkerId>,
    by_instance: BTreeMap<[u8; 16], WorkerId>,
    members: BTreeMap<WorkerId, Member>,
    /// Of everybody who ever registered, or lied. With certificates as many as were issued.
    standings: BTreeMap<Identity, Standing>,
    /// The number of the next new worker.
    next: WorkerId,
    /// When those that are gone were last looked for.
    swept: Option<Time>,
    lies: u64,
    log_limits: BTreeMap<Kind, LogLimit>,
}

struct Member {
    id: u64,
    instance: [u8; 16],
    identity: Identity,
    /// Those that count for this worker alone.
    lies: u32,
    /// Attempts that it may yet give back untouched.
    waste: Allowance,
}

/// What is known of an identity, over all workers that have shown it.
struct Standing {
    members: usize,
    /// For [`Identity::Certified`] alone.
    lies: u32,
    newcomers: Allowance,
}

/// A worker that may take part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Admitted {
    pub(crate) worker: WorkerId,
    /// What it calls with.
    pub(crate) id: u64,
}

/// What somebody was caught in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Violation {
    /// It names an attempt that was never given to it.
    Attempt(AttemptId),
    /// It calls with the id of another.
    Id,
    /// It registers as a process that another has registered.
    Instance,
    /// It registers under a name that its certificate does not give it.
    Name(String),
    /// What it staged is not what it reported, in this sentence.
    Staged(AttemptId, String),
    /// It reported what its task does not ask for, or what cannot be.
    Report(AttemptId),
}

/// Why a call is refused or a lie told of; each kind has a log of its own that it can fill.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Attempt,
    Crowd,
    Id,
    Instance,
    Name,
    Roots,
    ShutOut,
    Staged,
    Report,
    Version,
    Waste,
}

impl Violation {
    fn kind(&self) -> Kind {
        match self {
            Self::Attempt(_) => Kind::Attempt,
            Self::Id => Kind::Id,
            Self::Instance => Kind::Instance,
            Self::Name(_) => Kind::Name,
            Self::Staged(..) => Kind::Staged,
            Self::Report(_) => Kind::Report,
        }
    }

    /// Whether a program that means well comes to it on a machine that is broken.
    fn may_be_the_machine(&self) -> bool {
        match self {
            Self::Staged(..) => true,
            Self::Attempt(_) | Self::Id | Self::Instance | Self::Name(_) | Self::Report(_) => false,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(attempt) => write!(f, "{attempt} was never given to this worker"),
            Self::Id => f.write_str("the worker id in the call was given to another"),
            Self::Instance => f.write_str("another has registered as this worker process"),
            Self::Name(name) => write!(f, "`{name}` is not a name that its certificate gives it"),
            Self::Staged(attempt, sentence) => {
                write!(f, "{attempt} staged something else than it reported: {sentence}")
            }
            Self::Report(attempt) => {
                write!(f, "{attempt} reported something else than its task asks for")
            }
        }
    }
}

impl Admission {
    pub(crate) fn new(chance: Chance) -> Self {
        Self {
            chance,
            by_id: BTreeMap::new(),
            by_instance: BTreeMap::new(),
            members: BTreeMap::new(),
            standings: BTreeMap::new(),
            next: WorkerId(0),
            swept: None,
            lies: 0,
            log_limits: BTreeMap::new(),
        }
    }

    /// All that anybody was caught in.
    pub(crate) fn lies(&self) -> u64 {
        self.lies
    }

    /// Whether `peer` may present itself as `name`.
    pub(crate) fn greet(&mut self, now: Time, peer: &Peer, name: &str) -> Result<(), Caught> {
        let is_own = match &peer.identity {
            Identity::Anyone | Identity::Bearer => true,
            Identity::Certified { name: own, .. } => name
                .strip_prefix(own.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':')),
        };
        if self.standing(now, &peer.identity).lies >= LIES_MAX {
            Err(self.keep_out(now, peer))
        } else if is_own {
            Ok(())
        } else {
            Err(self.catch_peer(now, peer, Violation::Name(name.to_owned())))
        }
    }

    /// The worker process `instance` of `peer`, which was greeted: the worker that it is, or a new
    /// one. `is_alive` tells of those who came before.
    pub(crate) fn admit(
        &mut self,
        now: Time,
        peer: &Peer,
        instance: [u8; 16],
        is_alive: impl Fn(WorkerId) -> bool,
    ) -> Result<Admitted, Caught> {
        if let Some(&worker) = self.by_instance.get(&instance) {
            let member = &self.members[&worker];
            return if member.identity != peer.identity {
                Err(self.catch_peer(now, peer, Violation::Instance))
            } else if member.lies >= LIES_MAX {
                Err(self.keep_out(now, peer))
            } else {
                Ok(Admitted { worker, id: member.id })
            };
        }
        self.sweep_if_crowded(now, &peer.identity, is_alive);
        let is_full = self.members.len() >= MEMBERS_MAX;
        let standing = self.standing(now, &peer.identity);
        if is_full || standing.members >= MEMBERS_OF_ONE_MAX {
            return Err(self.turn_away(now, peer, "there are too many workers already"));
        }
        if !standing.newcomers.take(now, NEWCOMERS_AT_ONCE, NEWCOMERS_A_SECOND) {
            return Err(self.turn_away(now, peer, "too many new workers come at once"));
        }
        let Some(id) = self.draw() else {
            return Err(self.turn_away(now, peer, "there are no random numbers for its id"));
        };
        let worker = self.next;
        self.next = WorkerId(worker.0 + 1);
        self.by_id.insert(id, worker);
        self.by_instance.insert(instance, worker);
        let identity = peer.identity.clone();
        self.standing(now, &identity).members += 1;
        let waste = Allowance::full(now, WASTE_AT_ONCE);
        self.members.insert(worker, Member { id, instance, identity, lies: 0, waste });
        Ok(Admitted { worker, id })
    }

    /// The worker that `peer` calls as with `id`; `None` if nobody has it (any more).
    pub(crate) fn identify(
        &mut self,
        now: Time,
        peer: &Peer,
        id: u64,
    ) -> Result<Option<WorkerId>, Caught> {
        let worker = self.by_id.get(&id).copied();
        let member = worker.and_then(|worker| self.members.get(&worker));
        let is_foreign = member.is_some_and(|member| member.identity != peer.identity);
        let is_out = member.is_some_and(|member| member.lies >= LIES_MAX);
        if is_out || self.standing(now, &peer.identity).lies >= LIES_MAX {
            Err(self.keep_out(now, peer))
        } else if is_foreign {
            Err(self.catch_peer(now, peer, Violation::Id))
        } else {
            Ok(worker)
        }
    }

    /// `worker` was caught in a lie, as `known` describes it.
    pub(crate) fn catch(
        &mut self,
        now: Time,
        worker: WorkerId,
        known: &str,
        violation: Violation,
    ) -> Caught {
        let Some(member) = self.members.get_mut(&worker) else {
            // It reported, is gone, and somebody else needed its room.
            return self.tell_of(now, known, &violation, None, Vec::new());
        };
        let identity = member.identity.clone();
        if is_certified(&identity) && !violation.may_be_the_machine() {
            return self.catch_identity(now, &identity, known, violation);
        }
        member.lies += 1;
        let lies = member.lies;
        let out = if lies == LIES_MAX { vec![worker] } else { Vec::new() };
        self.tell_of(now, known, &violation, Some(lies), out)
    }

    /// `worker` gave an attempt back untouched: it did not take the answer, or left.
    pub(crate) fn note_waste(&mut self, now: Time, worker: WorkerId) {
        if let Some(member) = self.members.get_mut(&worker) {
            member.waste.take(now, WASTE_AT_ONCE, WASTE_A_SECOND);
        }
    }

    /// Whether `worker` may be given an attempt. One that asks and is gone when it is answered,
    /// again and again, costs the driver memory, and its journal a line each time.
    pub(crate) fn may_be_given(&mut self, now: Time, worker: WorkerId) -> Result<(), Refusal> {
        let member = self.members.get_mut(&worker);
        if member.is_none_or(|member| member.waste.has(now, WASTE_AT_ONCE, WASTE_A_SECOND)) {
            return Ok(());
        }
        let reason = "this worker gives too many tasks back untouched";
        self.warn(now, Kind::Waste, |suppressed| {
            tracing::warn!("refused {worker} a task: {reason}{suppressed}");
        });
        Err(Refusal::Busy { reason: reason.to_owned() })
    }

    /// Has `say` tell of something in the log, unless much of its kind was told just now.
    pub(crate) fn warn(&mut self, now: Time, kind: Kind, say: impl FnOnce(Suppressed)) {
        if let Some(suppressed) = self.log_limits.entry(kind).or_default().say(now.0) {
            say(suppressed);
        }
    }

    fn standing(&mut self, now: Time, identity: &Identity) -> &mut Standing {
        let new =
            || Standing { members: 0, lies: 0, newcomers: Allowance::full(now, NEWCOMERS_AT_ONCE) };
        self.standings.entry(identity.clone()).or_insert_with(new)
    }

    fn draw(&mut self) -> Option<u64> {
        loop {
            let id = (self.chance)()?;
            if !self.by_id.contains_key(&id) {
                return Some(id);
            }
        }
    }

    /// A lie of somebody who is no worker yet, or calls as one that it is not.
    fn catch_peer(&mut self, now: Time, peer: &Peer, violation: Violation) -> Caught {
        let known = peer.to_string();
        match is_certified(&peer.identity) {
            true => self.catch_identity(now, &peer.identity, &known, violation),
            false => self.tell_of(now, &known, &violation, None, Vec::new()),
        }
    }

    fn catch_identity(
        &mut self,
        now: Time,
        identity: &Identity,
        known: &str,
        violation: Violation,
    ) -> Caught {
        let standing = self.standing(now, identity);
        standing.lies += 1;
        let lies = standing.lies;
        let own = |(&worker, member): (&WorkerId, &Member)| {
            (member.identity == *identity).then_some(worker)
        };
        let out = match lies == LIES_MAX {
            true => self.members.iter().filter_map(own).collect(),
            false => Vec::new(),
        };
        self.tell_of(now, known, &violation, Some(lies), out)
    }

    fn tell_of(
        &mut self,
        now: Time,
        known: &str,
        violation: &Violation,
        lies: Option<u32>,
        out: Vec<WorkerId>,
    ) -> Caught {
        self.lies += 1;
        let count =
            lies.map(|lies| format!(" (violation {lies} of {LIES_MAX})")).unwrap_or_default();
        self.warn(now, violation.kind(), |suppressed| {
            tracing::warn!("refused {known}: {violation}{count}{suppressed}");
        });
        if lies == Some(LIES_MAX) {
            tracing::error!("shut out {known} after {LIES_MAX} lies");
        }
        Caught { refusal: Refusal::Denied { reason: violation.to_string() }, out }
    }

    /// `peer` is shut out, and calls all the same.
    fn keep_out(&mut self, now: Time, peer: &Peer) -> Caught {
        self.warn(now, Kind::ShutOut, |suppressed| {
            tracing::warn!("refused a call of {peer}, who is shut out{suppressed}");
        });
        Caught { refusal: shut_out(), out: Vec::new() }
    }

    fn turn_away(&mut self, now: Time, peer: &Peer, reason: &str) -> Caught {
        self.warn(now, Kind::Crowd, |suppressed| {
            tracing::warn!("turned away a worker of {peer}: {reason}{suppressed}");
        });
        Caught { refusal: Refusal::Busy { reason: reason.to_owned() }, out: Vec::new() }
    }

    /// Forgets those who are gone, when they are many: a call of theirs is answered "register". Not
    /// more often than once a second, for it looks at everybody.
    fn sweep_if_crowded(
        &mut self,
        now: Time,
        identity: &Identity,
        is_alive: impl Fn(WorkerId) -> bool,
    ) {
        let of_one = self.standings.get(identity).map_or(0, |standing| standing.members);
        let is_crowded = self.members.len() >= MEMBERS_MAX || of_one >= MEMBERS_OF_ONE_MAX;
        let is_due = self.swept.is_none_or(|swept| now.0.saturating_sub(swept.0) >= SWEEP_EVERY);
        if !is_crowded || !is_due {
            return;
        }
        self.swept = Some(now);
        let Self { by_id, by_instance, members, standings, .. } = self;
        members.retain(|&worker, member| {
            let stays = is_alive(worker);
            if !stays {
                by_id.remove(&member.id);
                by_instance.remove(&member.instance);
                if let Some(standing) = standings.get_mut(&member.identity) {
                    standing.members -= 1;
                }
            }
            stays
        });
    }
}

/// What a call gets that is not listened to, and what else follows from it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Caught {
    pub(crate) refusal: Refusal,
    /// Who is shut out because of it: what they hold goes to others.
    pub(crate) out: Vec<WorkerId>,
}

/// What whoever is shut out is told, whatever it asks.
pub(crate) fn shut_out() -> Refusal {
    let reason = format!(
        "shut out of this job: {LIES_MAX} times it said what cannot be true, or staged other files \
         than it reported; the driver's log has the details"
    );
    Refusal::Denied { reason }
}

fn is_certified(identity: &Identity) -> bool {
    match identity {
        Identity::Anyone | Identity::Bearer => false,
        Identity::Certified { .. } => true,
    }
}

/// So many at once, and so many a second in the long run.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: u32,
    as_of: Time,
}

impl Allowance {
    fn full(now: Time, at_once: u32) -> Self {
        Self { left: at_once, as_of: now }
    }

    /// Takes one, if there is one.
    fn take(&mut self, now: Time, at_once: u32, a_second: u32) -> bool {
        let has = self.has(now, at_once, a_second);
        self.left = self.left.saturating_sub(1);
        has
    }

    fn has(&mut self, now: Time, at_once: u32, a_second: u32) -> bool {
        let millis = now.0.saturating_sub(self.as_of.0).as_millis();
        let earned = u32::try_from(millis * u128::from(a_second) / 1000).unwrap_or(u32::MAX);
        if earned > 0 {
            *self = Self { left: self.left.saturating_add(earned).min(at_once), as_of: now };
        }
        self.left > 0
    }
}

/// As the user's contract has it.
const LIES_MAX: u32 = 3;

/// Workers that are known at once, dead or alive. Ten thousand with names of 255 bytes take 8.3 MB
/// of the driver, all together: these take some 42 MB. Those that are gone are forgotten before
/// anybody is turned away.
const MEMBERS_MAX: usize = 50_000;

/// The same of one identity, which may be that of a whole fleet: twice the largest that Mapmill is
/// made for, for a fleet that is killed and comes back before its dead are known.
const MEMBERS_OF_ONE_MAX: usize = 20_000;

/// New workers of one identity at once: the same.
const NEWCOMERS_AT_ONCE: u32 = 20_000;

/// And for ever: a fleet of 10,000 may start anew every two minutes. Who comes above it waits and
/// asks again, and is not lost.
const NEWCOMERS_A_SECOND: u32 = 100;

/// Attempts that one worker may give back untouched, at once and for ever. An honest one does so
/// when its connection breaks while it is answered, at most once a second.
const WASTE_AT_ONCE: u32 = 100;
const WASTE_A_SECOND: u32 = 1;

/// How often those who are gone are looked for, at most: everybody is looked at. Chosen by eye.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
