//! Admission: which caller is which worker, rate and count limits, and what a protocol violation
//! costs.
//!
//! Plain data and rules. The loop asks here before it handles a call, reports the violations it
//! finds, and carries out what follows: what is refused, and which workers are excluded.
//!
//! A *protocol violation* is what no correct worker sends, however late, often, or out of order its
//! messages arrive. These are not violations: an unknown id (the worker may have been evicted); a
//! report from another session, or about an attempt that was this worker's own and is lost,
//! superseded, or committed long ago; staged files that are missing (a worker that is told to stop
//! discards what it has just reported) or have lost a bit (the disk may have). The simulation
//! checks this: none of its workers ever violates the protocol.
//!
//! Violations count for the certificate, if there is one. Staged files of another length count for
//! the one worker alone: its machine may be broken, and all machines of a fleet may show the same
//! certificate.
//!
//! A caller without a certificate can return as a new worker, and is counted anew. An address is
//! never excluded: behind it may be a whole fleet (containers, a gateway), and on loopback all
//! callers have the same.
//!
//! # Invariants
//!
//! * `by_id` and `by_instance` have one entry for each of `registrations`, and
//!   `standings[i].workers` counts those of identity `i`.
//! * An id that is in `by_id` is not issued again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rpc::{Identity, LogLimit, Peer, Refusal, Suppressed};
use scheduler::{AttemptId, Time, WorkerId};

/// Draws numbers that cannot be guessed; none if the system has none.
pub(crate) type IdSource = Box<dyn FnMut() -> Option<u64> + Send>;

pub(crate) struct Admission {
    ids: IdSource,
    /// By the id that the worker calls with.
    by_id: BTreeMap<u64, WorkerId>,
    by_instance: BTreeMap<[u8; 16], WorkerId>,
    registrations: BTreeMap<WorkerId, Registration>,
    /// Of every identity that ever registered, or violated the protocol. With certificates as many
    /// as were issued.
    standings: BTreeMap<Identity, Standing>,
    /// The number of the next new worker.
    next: WorkerId,
    /// When departed workers were last looked for.
    swept: Option<Time>,
    violations: u64,
    log_limits: BTreeMap<RefusalKind, LogLimit>,
}

/// What is known of a worker.
struct Registration {
    id: u64,
    instance: [u8; 16],
    identity: Identity,
    /// Those that count for this worker alone.
    violations: u32,
    /// Attempts that it may yet hand back before it has begun them.
    handed_back: RateLimit,
}

/// What is known of an identity, over all workers that have shown it.
struct Standing {
    workers: usize,
    /// For [`Identity::Certified`] alone.
    violations: u32,
    registrations: RateLimit,
}

/// A worker that may take part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Admitted {
    pub(crate) worker: WorkerId,
    /// What it calls with.
    pub(crate) id: u64,
}

/// The answer to a refused call, and what else follows from it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) refusal: Refusal,
    /// The workers that are excluded because of it: their tasks are reassigned.
    pub(crate) excluded: Vec<WorkerId>,
}

/// What no correct worker sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Violation {
    /// The worker names an attempt that was never assigned to it.
    Attempt(AttemptId),
    /// The caller uses the id of another worker.
    Id,
    /// It registers as a worker process that another identity has registered.
    Instance,
    /// It registers under a name that its certificate does not grant.
    Name(String),
    /// The worker staged something else than it reported, as this sentence says.
    Staged(AttemptId, String),
    /// It reported what its task does not ask for, or what is impossible.
    Report(AttemptId),
}

/// Why a call is refused. Each kind has a rate limit of its own in the log.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum RefusalKind {
    Attempt,
    HandedBack,
    Id,
    Instance,
    Name,
    Report,
    Roots,
    ShutOut,
    Staged,
    /// The limits on registrations and on workers.
    TooMany,
    Version,
}

impl Violation {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::Attempt(_) => RefusalKind::Attempt,
            Self::Id => RefusalKind::Id,
            Self::Instance => RefusalKind::Instance,
            Self::Name(_) => RefusalKind::Name,
            Self::Staged(..) => RefusalKind::Staged,
            Self::Report(_) => RefusalKind::Report,
        }
    }

    /// Whether a correct worker on a broken machine can cause it.
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
            Self::Attempt(attempt) => write!(f, "{attempt} was never assigned to this worker"),
            Self::Id => f.write_str("the worker id in the call belongs to another worker"),
            Self::Instance => f.write_str("another caller has registered as this worker process"),
            Self::Name(name) => write!(f, "`{name}` is not a name that its certificate grants"),
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
    pub(crate) fn new(ids: IdSource) -> Self {
        Self {
            ids,
            by_id: BTreeMap::new(),
            by_instance: BTreeMap::new(),
            registrations: BTreeMap::new(),
            standings: BTreeMap::new(),
            next: WorkerId(0),
            swept: None,
            violations: 0,
            log_limits: BTreeMap::new(),
        }
    }

    /// Of all callers.
    pub(crate) fn violations(&self) -> u64 {
        self.violations
    }

    /// Whether `peer` may present itself as `name`.
    pub(crate) fn check_name(
        &mut self,
        now: Time,
        peer: &Peer,
        name: &str,
    ) -> Result<(), Rejection> {
        let is_own = match &peer.identity {
            Identity::Anyone | Identity::Bearer => true,
            Identity::Certified { name: own, .. } => name
                .strip_prefix(own.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':')),
        };
        if self.standing(now, &peer.identity).violations >= VIOLATIONS_MAX {
            Err(self.deny_excluded(now, peer))
        } else if is_own {
            Ok(())
        } else {
            Err(self.note_violation_of_peer(now, peer, Violation::Name(name.to_owned())))
        }
    }

    /// The worker process `instance` of `peer`, whose name was checked: the worker that it is, or a
    /// new one. `is_alive` tells which earlier workers are not dead.
    pub(crate) fn admit(
        &mut self,
        now: Time,
        peer: &Peer,
        instance: [u8; 16],
        is_alive: impl Fn(WorkerId) -> bool,
    ) -> Result<Admitted, Rejection> {
        if let Some(&worker) = self.by_instance.get(&instance) {
            let known = &self.registrations[&worker];
            return if known.identity != peer.identity {
                Err(self.note_violation_of_peer(now, peer, Violation::Instance))
            } else if known.violations >= VIOLATIONS_MAX {
                Err(self.deny_excluded(now, peer))
            } else {
                Ok(Admitted { worker, id: known.id })
            };
        }
        self.evict_departed(now, &peer.identity, is_alive);
        let is_full = self.registrations.len() >= WORKERS_MAX;
        let standing = self.standing(now, &peer.identity);
        if is_full || standing.workers >= WORKERS_OF_ONE_IDENTITY_MAX {
            return Err(self.defer(now, peer, "there are too many workers already"));
        }
        if !standing.registrations.take(now, REGISTRATIONS_BURST, REGISTRATIONS_A_SECOND) {
            return Err(self.defer(now, peer, "too many new workers register at once"));
        }
        let Some(id) = self.draw_id() else {
            return Err(self.defer(now, peer, "there are no random numbers for its id"));
        };
        let worker = self.next;
        self.next = WorkerId(worker.0 + 1);
        self.by_id.insert(id, worker);
        self.by_instance.insert(instance, worker);
        let identity = peer.identity.clone();
        self.standing(now, &identity).workers += 1;
        let handed_back = RateLimit::full(now, HANDED_BACK_BURST);
        let registration = Registration { id, instance, identity, violations: 0, handed_back };
        self.registrations.insert(worker, registration);
        Ok(Admitted { worker, id })
    }

    /// The worker that `peer` calls as with `id`; `None` if no worker has it, or has
    /// it any more.
    pub(crate) fn identify(
        &mut self,
        now: Time,
        peer: &Peer,
        id: u64,
    ) -> Result<Option<WorkerId>, Rejection> {
        let worker = self.by_id.get(&id).copied();
        let known = worker.and_then(|worker| self.registrations.get(&worker));
        let is_foreign = known.is_some_and(|known| known.identity != peer.identity);
        let is_excluded = known.is_some_and(|known| known.violations >= VIOLATIONS_MAX);
        if is_excluded || self.standing(now, &peer.identity).violations >= VIOLATIONS_MAX {
            Err(self.deny_excluded(now, peer))
        } else if is_foreign {
            Err(self.note_violation_of_peer(now, peer, Violation::Id))
        } else {
            Ok(worker)
        }
    }

    /// The worker that registered as this process.
    pub(crate) fn worker_of(&self, instance: [u8; 16]) -> Option<WorkerId> {
        self.by_instance.get(&instance).copied()
    }

    /// `worker`, which people know as `known_as`, has violated the protocol.
    pub(crate) fn note_violation(
        &mut self,
        now: Time,
        worker: WorkerId,
        known_as: &str,
        violation: Violation,
    ) -> Rejection {
        let Some(registration) = self.registrations.get_mut(&worker) else {
            // It reported, departed, and was evicted.
            return self.deny(now, known_as, &violation, None, Vec::new());
        };
        let identity = registration.identity.clone();
        if is_certified(&identity) && !violation.may_be_the_machine() {
            return self.note_violation_of_identity(now, &identity, known_as, violation);
        }
        registration.violations += 1;
        let count = registration.violations;
        let excluded = if count == VIOLATIONS_MAX { vec![worker] } else { Vec::new() };
        self.deny(now, known_as, &violation, Some(count), excluded)
    }

    /// `worker` handed back an attempt that it had not begun: it left, or took no answer.
    pub(crate) fn note_handed_back(&mut self, now: Time, worker: WorkerId) {
        if let Some(registration) = self.registrations.get_mut(&worker) {
            registration.handed_back.take(now, HANDED_BACK_BURST, HANDED_BACK_A_SECOND);
        }
    }

    /// Whether `worker` may be given an attempt. A worker that asks and has disconnected when it is
    /// answered, again and again, costs the driver memory, and its journal a line each time.
    pub(crate) fn check_rate(&mut self, now: Time, worker: WorkerId) -> Result<(), Refusal> {
        let known = self.registrations.get_mut(&worker);
        if known
            .is_none_or(|known| known.handed_back.has(now, HANDED_BACK_BURST, HANDED_BACK_A_SECOND))
        {
            return Ok(());
        }
        let reason = "this worker hands back too many tasks that it has not begun";
        self.warn(now, RefusalKind::HandedBack, |suppressed| {
            tracing::warn!("refused {worker} a task: {reason}{suppressed}");
        });
        Err(Refusal::Busy { reason: reason.to_owned() })
    }

    /// Calls `log`, unless many lines of this kind were logged just now.
    pub(crate) fn warn(&mut self, now: Time, kind: RefusalKind, log: impl FnOnce(Suppressed)) {
        if let Some(suppressed) = self.log_limits.entry(kind).or_default().say(now.0) {
            log(suppressed);
        }
    }

    fn standing(&mut self, now: Time, identity: &Identity) -> &mut Standing {
        let new = || Standing {
            workers: 0,
            violations: 0,
            registrations: RateLimit::full(now, REGISTRATIONS_BURST),
        };
        self.standings.entry(identity.clone()).or_insert_with(new)
    }

    fn draw_id(&mut self) -> Option<u64> {
        loop {
            let id = (self.ids)()?;
            if !self.by_id.contains_key(&id) {
                return Some(id);
            }
        }
    }

    /// The caller is not yet a worker, or calls as another one.
    fn note_violation_of_peer(
        &mut self,
        now: Time,
        peer: &Peer,
        violation: Violation,
    ) -> Rejection {
        let known_as = peer.to_string();
        match is_certified(&peer.identity) {
            true => self.note_violation_of_identity(now, &peer.identity, &known_as, violation),
            false => self.deny(now, &known_as, &violation, None, Vec::new()),
        }
    }

    fn note_violation_of_identity(
        &mut self,
        now: Time,
        identity: &Identity,
        known_as: &str,
        violation: Violation,
    ) -> Rejection {
        let standing = self.standing(now, identity);
        standing.violations += 1;
        let count = standing.violations;
        let own = |(&worker, known): (&WorkerId, &Registration)| {
            (known.identity == *identity).then_some(worker)
        };
        let excluded = match count == VIOLATIONS_MAX {
            true => self.registrations.iter().filter_map(own).collect(),
            false => Vec::new(),
        };
        self.deny(now, known_as, &violation, Some(count), excluded)
    }

    /// Counts and logs a violation, which is number `count` of its worker or certificate.
    fn deny(
        &mut self,
        now: Time,
        known_as: &str,
        violation: &Violation,
        count: Option<u32>,
        excluded: Vec<WorkerId>,
    ) -> Rejection {
        self.violations += 1;
        let of_max = count
            .map(|count| format!(" (violation {count} of {VIOLATIONS_MAX})"))
            .unwrap_or_default();
        self.warn(now, violation.kind(), |suppressed| {
            tracing::warn!("refused {known_as}: {violation}{of_max}{suppressed}");
        });
        if count == Some(VIOLATIONS_MAX) {
            tracing::error!("excluded {known_as} after {VIOLATIONS_MAX} protocol violations");
        }
        Rejection { refusal: Refusal::Denied { reason: violation.to_string() }, excluded }
    }

    /// `peer` calls although it is excluded.
    fn deny_excluded(&mut self, now: Time, peer: &Peer) -> Rejection {
        self.warn(now, RefusalKind::ShutOut, |suppressed| {
            tracing::warn!("refused a call of {peer}, which is excluded{suppressed}");
        });
        Rejection { refusal: exclusion(), excluded: Vec::new() }
    }

    /// Tells a new worker of `peer` to retry later.
    fn defer(&mut self, now: Time, peer: &Peer, reason: &str) -> Rejection {
        self.warn(now, RefusalKind::TooMany, |suppressed| {
            tracing::warn!("turned away a worker of {peer}: {reason}{suppressed}");
        });
        Rejection { refusal: Refusal::Busy { reason: reason.to_owned() }, excluded: Vec::new() }
    }

    /// Evicts departed workers, if there are too many workers: a call of theirs is answered
    /// "register". At most once a second, because it looks at each registration.
    fn evict_departed(
        &mut self,
        now: Time,
        identity: &Identity,
        is_alive: impl Fn(WorkerId) -> bool,
    ) {
        let of_one = self.standings.get(identity).map_or(0, |standing| standing.workers);
        let is_crowded =
            self.registrations.len() >= WORKERS_MAX || of_one >= WORKERS_OF_ONE_IDENTITY_MAX;
        let is_due = self.swept.is_none_or(|swept| now.0.saturating_sub(swept.0) >= SWEEP_EVERY);
        if !is_crowded || !is_due {
            return;
        }
        self.swept = Some(now);
        let Self { by_id, by_instance, registrations, standings, .. } = self;
        registrations.retain(|&worker, known| {
            let stays = is_alive(worker);
            if !stays {
                by_id.remove(&known.id);
                by_instance.remove(&known.instance);
                if let Some(standing) = standings.get_mut(&known.identity) {
                    standing.workers -= 1;
                }
            }
            stays
        });
    }
}

/// The answer to every call of a worker that is excluded.
pub(crate) fn exclusion() -> Refusal {
    let reason = format!(
        "excluded from this job after {VIOLATIONS_MAX} protocol violations: calls or reports that \
         no correct worker sends, or staged files that differ from the report; the driver's log \
         has the details"
    );
    Refusal::Denied { reason }
}

fn is_certified(identity: &Identity) -> bool {
    match identity {
        Identity::Anyone | Identity::Bearer => false,
        Identity::Certified { .. } => true,
    }
}

/// A rate limit (token bucket): a number in a burst, and a number a second in the long run.
#[derive(Clone, Copy, Debug)]
struct RateLimit {
    left: u32,
    as_of: Time,
}

impl RateLimit {
    fn full(now: Time, burst: u32) -> Self {
        Self { left: burst, as_of: now }
    }

    /// Takes one, if there is one.
    fn take(&mut self, now: Time, burst: u32, a_second: u32) -> bool {
        let has = self.has(now, burst, a_second);
        self.left = self.left.saturating_sub(1);
        has
    }

    fn has(&mut self, now: Time, burst: u32, a_second: u32) -> bool {
        let millis = now.0.saturating_sub(self.as_of.0).as_millis();
        let earned = u32::try_from(millis * u128::from(a_second) / 1000).unwrap_or(u32::MAX);
        if earned > 0 {
            *self = Self { left: self.left.saturating_add(earned).min(burst), as_of: now };
        }
        self.left > 0
    }
}

/// As `SECURITY.md` promises.
const VIOLATIONS_MAX: u32 = 3;

/// Workers that are registered at the same time, dead or alive. Ten thousand with names of 255
/// bytes take 8.3 MB of the driver, all together: these take some 42 MB. Departed workers are
/// evicted before a new one is turned away.
const WORKERS_MAX: usize = 50_000;

/// The same of one identity, which may be that of a whole fleet: twice the largest that Mapmill is
/// made for, for a fleet that is killed and restarted before its dead workers are detected.
const WORKERS_OF_ONE_IDENTITY_MAX: usize = 20_000;

/// New workers of one identity in a burst: the same.
const REGISTRATIONS_BURST: u32 = 20_000;

/// And in the long run: a fleet of 10,000 may start anew every two minutes. A worker above the
/// limit is told to retry, and is not lost.
const REGISTRATIONS_A_SECOND: u32 = 100;

/// Attempts that one worker may hand back before it has begun them, in a burst and in the long run.
/// A correct one does so when its connection breaks while it is answered, at most once a second.
const HANDED_BACK_BURST: u32 = 100;
const HANDED_BACK_A_SECOND: u32 = 1;

/// How often departed workers are looked for, at most: each registration is looked at. Chosen by
/// eye.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
