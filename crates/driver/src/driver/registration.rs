//! Who is let in: what the [gate](crate::admission) says is carried out here.

use std::path::PathBuf;

use rpc::message::{Caller, Register, RegisterAnswer, Registered};
use rpc::{Peer, Refusal};
use scheduler::{AttemptId, Time, WorkerId};

use super::Driver;
use crate::admission::{Admitted, Caught, Kind, Violation, shut_out};

impl Driver {
    pub(super) fn handle_register(
        &mut self,
        now: Time,
        peer: &Peer,
        register: Register,
    ) -> Result<RegisterAnswer, Refusal> {
        let greeted = self.admission.greet(now, peer, &register.name);
        greeted.map_err(|caught| self.carry_out(now, caught))?;
        if let Some(answer) = self.find_unfit(now, &register) {
            return Ok(answer);
        }
        let sched = &self.sched;
        let admitted =
            self.admission.admit(now, peer, register.instance, |worker| sched.knows(worker));
        let Admitted { worker, id } = admitted.map_err(|caught| self.carry_out(now, caught))?;
        self.roster.forget_strangers(|worker| self.sched.knows(worker));
        self.roster.enroll(worker, register.name);
        self.roster.hear(now, worker);
        if self.sched.outcome().is_some() {
            self.roster.tell_end(worker);
            return Ok(RegisterAnswer::Exit);
        }
        tracing::info!(worker = self.roster.describe(worker), "register {worker}");
        self.sched.handle_register(now, worker);
        Ok(RegisterAnswer::Registered(Registered {
            session: self.terms.session.clone(),
            worker: id,
            number: worker.0,
            heartbeat: self.terms.heartbeat,
            files: self.terms.files.clone(),
            rules: self.terms.rules,
            buckets: self.terms.reduce_tasks,
        }))
    }

    /// The answer to a worker that cannot take part, whoever it is.
    fn find_unfit(&mut self, now: Time, register: &Register) -> Option<RegisterAnswer> {
        let Register { protocol, build, name, roots, .. } = register;
        if *protocol != rpc::PROTOCOL {
            self.admission.warn(now, Kind::Version, |suppressed| {
                tracing::warn!(
                    protocol,
                    build,
                    name,
                    "refused a worker of another version{suppressed}"
                );
            });
            let build = rpc::BUILD.to_owned();
            return Some(RegisterAnswer::VersionMismatch { protocol: rpc::PROTOCOL, build });
        }
        let allowed = |folder: &PathBuf| {
            roots.is_empty() || roots.iter().any(|root| folder.starts_with(root))
        };
        let folder = self.terms.folders.iter().find(|folder| !allowed(folder))?;
        self.admission.warn(now, Kind::Roots, |suppressed| {
            tracing::warn!(name, folder = %folder.display(), "refused a worker without this root{suppressed}");
        });
        Some(RegisterAnswer::OutsideRoots { folder: folder.clone() })
    }

    /// The worker that calls, if it belongs to this session. It may have been taken for dead. What
    /// it `names` was given to it at some time, whatever became of it since.
    pub(super) fn member(
        &mut self,
        now: Time,
        peer: &Peer,
        caller: &Caller,
        names: Option<AttemptId>,
    ) -> Result<Option<WorkerId>, Refusal> {
        let identified = self.admission.identify(now, peer, caller.worker);
        let identified = identified.map_err(|caught| self.carry_out(now, caught))?;
        let Some(worker) = identified.filter(|_| caller.session == self.terms.session) else {
            return Ok(None);
        };
        if let Some(attempt) = names.filter(|&attempt| !self.was_given(worker, attempt)) {
            return Err(self.catch(now, worker, Violation::Attempt(attempt)));
        }
        self.roster.hear(now, worker);
        Ok(Some(worker))
    }

    fn was_given(&self, worker: WorkerId, attempt: AttemptId) -> bool {
        let record = self.sched.attempts(attempt.task).get(attempt.number as usize);
        record.is_some_and(|record| record.worker == worker)
    }

    /// `worker` was caught in a lie. Returns what it is told, if it is told of it.
    pub(super) fn catch(&mut self, now: Time, worker: WorkerId, violation: Violation) -> Refusal {
        let known = self.roster.describe(worker);
        let caught = self.admission.catch(now, worker, &known, violation);
        self.carry_out(now, caught)
    }

    fn carry_out(&mut self, now: Time, Caught { refusal, out }: Caught) -> Refusal {
        for worker in out {
            tracing::info!("leave {worker}");
            if let Some(poll) = self.polls.remove(&worker) {
                let _ = poll.send(Err(shut_out()));
            }
            // Nobody waits for it at the end.
            self.roster.tell_end(worker);
            self.sched.handle_leave(now, worker);
        }
        refusal
    }
}
