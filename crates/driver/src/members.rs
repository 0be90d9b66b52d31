//! The workers of a session: admission, and the roster of those that were admitted.
//!
//! The loop asks here which worker a call is from. What follows for tasks that a worker holds is
//! the scheduler's business: a [`Rejection`] names the workers that are excluded, and the loop
//! tells it.

use journal::Death;
use rpc::message::{Caller, Register, RegisterAnswer, Session};
use rpc::{Peer, Refusal};
use scheduler::{Time, WorkerId};

use crate::admission::{Admission, Admitted, IdSource, RefusalKind, Rejection, Violation};
use crate::roster::Roster;
use crate::spec::JobSpec;

pub(crate) struct Members {
    admission: Admission,
    pub(crate) roster: Roster,
}

/// Why a worker that registers does not take part.
pub(crate) enum NotAdmitted {
    Denied(Rejection),
    /// It cannot do this job, which is no violation.
    Unfit(RegisterAnswer),
}

impl Members {
    pub(crate) fn new(ids: IdSource) -> Self {
        Self { admission: Admission::new(ids), roster: Roster::default() }
    }

    /// Protocol violations so far.
    pub(crate) fn violations(&self) -> u64 {
        self.admission.violations()
    }

    /// A worker process registers, perhaps again. `is_alive` tells which workers the scheduler
    /// knows.
    pub(crate) fn register(
        &mut self,
        now: Time,
        peer: &Peer,
        register: Register,
        spec: &JobSpec,
        is_alive: impl Fn(WorkerId) -> bool,
    ) -> Result<Admitted, NotAdmitted> {
        self.admission.check_name(now, peer, &register.name).map_err(NotAdmitted::Denied)?;
        self.check_fitness(now, &register, spec).map_err(NotAdmitted::Unfit)?;
        let admitted = self.admission.admit(now, peer, register.instance, &is_alive);
        let admitted = admitted.map_err(NotAdmitted::Denied)?;
        self.roster.evict_idle(is_alive);
        self.roster.add(admitted.worker, register.name);
        self.roster.note_call(now, admitted.worker);
        Ok(admitted)
    }

    /// Whether a worker can do this job at all: it speaks our protocol, and may use our folders.
    fn check_fitness(
        &mut self,
        now: Time,
        register: &Register,
        spec: &JobSpec,
    ) -> Result<(), RegisterAnswer> {
        let Register { protocol, build, name, .. } = register;
        if *protocol != rpc::PROTOCOL {
            self.admission.warn(now, RefusalKind::Version, |suppressed| {
                tracing::warn!(
                    protocol,
                    build,
                    name,
                    "refused a worker of another version{suppressed}"
                );
            });
            let build = rpc::BUILD.to_owned();
            return Err(RegisterAnswer::VersionMismatch { protocol: rpc::PROTOCOL, build });
        }
        let mut outside = spec.folders_outside(register);
        let Some(folder) = outside.next() else { return Ok(()) };
        self.admission.warn(now, RefusalKind::Roots, |suppressed| {
            tracing::warn!(name, folder = %folder.display(), "refused a worker without this root{suppressed}");
        });
        let more = outside.take(MORE_FOLDERS_MAX).cloned().collect();
        Err(RegisterAnswer::OutsideRoots { folder: folder.clone(), more })
    }

    /// The worker that `peer` calls as, if it belongs to `session`. It may be considered dead.
    pub(crate) fn identify(
        &mut self,
        now: Time,
        peer: &Peer,
        caller: &Caller,
        session: &Session,
    ) -> Result<Option<WorkerId>, Rejection> {
        let identified = self.admission.identify(now, peer, caller.worker)?;
        Ok(identified.filter(|_| caller.session == *session))
    }

    /// `worker` has violated the protocol.
    pub(crate) fn note_violation(
        &mut self,
        now: Time,
        worker: WorkerId,
        violation: Violation,
    ) -> Rejection {
        let known_as = self.roster.describe(worker);
        self.admission.note_violation(now, worker, &known_as, violation)
    }

    /// `worker` has handed back an attempt that it has not begun.
    pub(crate) fn note_handed_back(&mut self, now: Time, worker: WorkerId) {
        self.admission.note_handed_back(now, worker);
    }

    /// The worker process that registered as `instance` has died. Returns its worker, unless it
    /// never registered or was evicted.
    pub(crate) fn note_death(&mut self, instance: [u8; 16], death: Death) -> Option<WorkerId> {
        let worker = self.admission.worker_of(instance)?;
        self.roster.note_death(worker, death);
        Some(worker)
    }

    /// Whether `worker` may be given an attempt.
    pub(crate) fn check_rate(&mut self, now: Time, worker: WorkerId) -> Result<(), Refusal> {
        self.admission.check_rate(now, worker)
    }
}

/// Folders that a refusal names besides the first, at most. The `.proto` promises it.
const MORE_FOLDERS_MAX: usize = 100;
