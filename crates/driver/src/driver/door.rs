//! Who is let in: what the [gate](crate::gate) says is carried out here.

use std::path::PathBuf;

use rpc::message::{Caller, Register, RegisterAnswer, Registered};
use rpc::{Peer, Refusal};
use scheduler::{AttemptId, Time, WorkerId};

use super::Driver;
use crate::gate::{Admitted, Caught, Kind, Lie, shut_out};

impl Driver {
    pub(super) fn handle_register(
        &mut self,
        now: Time,
        peer: &Peer,
        register: Register,
    ) -> Result<RegisterAnswer, Refusal> {
        let greeted = self.gate.greet(now, peer, &register.name);
        greeted.map_err(|caught| self.carry_out(now, caught))?;
        if let Some(answer) = self.find_unfit(now, &register) {
            return Ok(answer);
        }
        let sched = &self.sched;
        let admitted = self.gate.admit(now, peer, register.instance, |worker| sched.knows(worker));
        let Admitted { worker, id } = admitted.map_err(|caught| self.carry_out(now, caught))?;
        self.crew.forget_strangers(|worker| self.sched.knows(worker));
        self.crew.enroll(worker, register.name);
        self.crew.hear(now, worker);
        if self.sched.outcome().is_some() {
            self.crew.tell_end(worker);
            return Ok(RegisterAnswer::Exit);
        }
        tracing::info!(worker = self.crew.describe(worker), "register {worker}");
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
            self.gate.warn(now, Kind::Version, |unsaid| {
                tracing::warn!(
                    protocol,
                    build,
                    name,
                    "refused a worker of another version{unsaid}"
                );
            });
            let build = rpc::BUILD.to_owned();
            return Some(RegisterAnswer::VersionMismatch { protocol: rpc::PROTOCOL, build });
        }
        let allowed = |folder: &PathBuf| {
            roots.is_empty() || roots.iter().any(|root| folder.starts_with(root))
        };
        let folder = self.terms.folders.iter().find(|folder| !allowed(folder))?;
        self.gate.warn(now, Kind::Roots, |unsaid| {
            tracing::warn!(name, folder = %folder.display(), "refused a worker without this root{unsaid}");
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
        let identified = self.gate.identify(now, peer, caller.worker);
        let identified = identified.map_err(|caught| self.carry_out(now, caught))?;
        let Some(worker) = identified.filter(|_| caller.session == self.terms.session) else {
            return Ok(None);
        };
        if let Some(attempt) = names.filter(|&attempt| !self.was_given(worker, attempt)) {
            return Err(self.catch(now, worker, Lie::Attempt(attempt)));
        }
        self.crew.hear(now, worker);
        Ok(Some(worker))
    }

    fn was_given(&self, worker: WorkerId, attempt: AttemptId) -> bool {
        let record = self.sched.attempts(attempt.task).get(attempt.number as usize);
        record.is_some_and(|record| record.worker == worker)
    }

    /// `worker` was caught in a lie. Returns what it is told, if it is told of it.
    pub(super) fn catch(&mut self, now: Time, worker: WorkerId, lie: Lie) -> Refusal {
        let known = self.crew.describe(worker);
        let caught = self.gate.catch(now, worker, &known, lie);
        self.carry_out(now, caught)
    }

    fn carry_out(&mut self, now: Time, Caught { refusal, out }: Caught) -> Refusal {
        for worker in out {
            tracing::info!("leave {worker}");
            if let Some(poll) = self.polls.remove(&worker) {
                let _ = poll.send(Err(shut_out()));
            }
            // Nobody waits for it at the end.
            self.crew.tell_end(worker);
            self.sched.handle_leave(now, worker);
        }
        refusal
    }
}
