//! A driver without a job, which records its callers.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc::message::{
    Attempt, AttemptCounts, Caller, JobState, Order, Outcome, PhaseStatus, Register,
    RegisterAnswer, Running, Session, Status, TaskAnswer, Verdict,
};
use rpc::{CallError, Client, Credentials, Driver, Identity, Peer, Refusal, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Serves until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    callers: Arc<Mutex<Vec<Peer>>>,
    end: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Server {
    pub async fn start(credentials: Credentials) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are free ports");
        Self::start_on(listener, credentials)
    }

    pub fn start_on(listener: TcpListener, credentials: Credentials) -> Self {
        crate::log::keep();
        let address = listener.local_addr().expect("it is bound");
        let driver = Fake::default();
        let callers = Arc::clone(&driver.callers);
        let (end, ended) = oneshot::channel();
        let served = tokio::spawn(async move {
            let ended = async { ended.await.expect("a server is not dropped while it ends") };
            serve(vec![listener], Arc::new(driver), credentials, ended).await.expect("it can end");
        });
        Self { address, callers, end: Some(end), served }
    }

    /// Finishes the calls in flight.
    pub async fn stop(mut self) {
        let end = self.end.take().expect("it ends once");
        end.send(()).expect("it serves until then");
        in_time(&mut self.served).await.expect("it does not panic");
    }

    pub fn client(&self, credentials: &Credentials) -> Client {
        Client::new(&self.address.to_string(), credentials).expect("the address is one")
    }

    /// The result of a call with these credentials.
    pub async fn status(&self, credentials: &Credentials) -> Result<Status, CallError> {
        in_time(self.client(credentials).status()).await
    }

    /// Why such a call fails for good.
    pub async fn denied(&self, credentials: &Credentials) -> String {
        denied(self.status(credentials).await)
    }

    /// The identity of the last admitted caller.
    pub fn last_caller(&self) -> Option<Identity> {
        let callers = self.callers.lock().expect("nothing panics while it is held");
        callers.last().map(|peer| peer.identity.clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.served.abort();
    }
}

#[track_caller]
pub fn denied<T: std::fmt::Debug>(answer: Result<T, CallError>) -> String {
    match answer {
        Err(CallError::Denied(denial)) => denial.to_string(),
        other => panic!("not denied: {other:?}"),
    }
}

/// A test that would hang fails instead.
pub async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("it waits for ever")
}

#[derive(Default)]
struct Fake {
    callers: Arc<Mutex<Vec<Peer>>>,
}

impl Fake {
    fn called<T>(&self, peer: Peer, answer: T) -> Result<T, Refusal> {
        assert!(peer.address.is_some(), "{peer:?} has no address");
        self.callers.lock().expect("nothing panics while it is held").push(peer);
        Ok(answer)
    }
}

impl Driver for Fake {
    async fn register(&self, peer: Peer, _: Register) -> Result<RegisterAnswer, Refusal> {
        self.called(peer, RegisterAnswer::Exit)
    }

    async fn next_task(&self, peer: Peer, _: Caller) -> Result<TaskAnswer, Refusal> {
        self.called(peer, TaskAnswer::Wait)
    }

    async fn heartbeat(&self, peer: Peer, _: Caller, _: Option<Running>) -> Result<Order, Refusal> {
        self.called(peer, Order::Continue)
    }

    async fn report(
        &self,
        peer: Peer,
        _: Caller,
        _: Attempt,
        _: Outcome,
    ) -> Result<Verdict, Refusal> {
        self.called(peer, Verdict::Stale)
    }

    async fn leave(&self, peer: Peer, _: Caller) -> Result<(), Refusal> {
        self.called(peer, ())
    }

    async fn status(&self, peer: Peer) -> Result<Status, Refusal> {
        let status = Status {
            session: Session("s".to_owned()),
            state: JobState::Running,
            map: PhaseStatus::default(),
            reduce: PhaseStatus::default(),
            workers: 0,
            attempts: AttemptCounts { started: 0, failed: 0, lost: 0 },
            stale_reports: 0,
            violations: 0,
            stranded: Vec::new(),
        };
        self.called(peer, status)
    }
}
