//! The driver's end: calls come in, a [`Driver`] answers them in our own types.

mod connection;
mod guard;
mod incoming;
mod message;
mod refusals;
mod services;
mod simulated;

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::StreamExt;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response};
use tonic_health::ServingStatus;

use self::guard::Guard;
use self::incoming::Acceptor;
use self::refusals::{Cause, Refusals};
use self::services::Services;
use self::simulated::Simulated;
use super::pb::driver_server::{self, DriverServer};
use super::{DESCRIPTORS, Malformed, caller, outcome, pb, register, report_response, running};
use crate::credentials::Credentials;
use crate::limits;
use crate::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Running, Status, TaskAnswer, Verdict,
};
use crate::peer::{Peer, Refusal};

/// Answers calls. Every method is idempotent: a call may arrive twice, late, or after its attempt
/// is over.
///
/// A call whose caller is gone is dropped at any await: no method may rely on completing.
pub trait Driver: Send + Sync + 'static {
    /// A worker registers.
    fn register(
        &self,
        peer: Peer,
        register: Register,
    ) -> impl Future<Output = Result<RegisterAnswer, Refusal>> + Send;

    /// A worker asks for a task; waits up to [`limits::NEXT_TASK_WAIT`] for one.
    fn next_task(
        &self,
        peer: Peer,
        caller: Caller,
    ) -> impl Future<Output = Result<TaskAnswer, Refusal>> + Send;

    /// A worker is alive, and perhaps executing an attempt.
    fn heartbeat(
        &self,
        peer: Peer,
        caller: Caller,
        running: Option<Running>,
    ) -> impl Future<Output = Result<Order, Refusal>> + Send;

    /// An attempt has ended.
    fn report(
        &self,
        peer: Peer,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> impl Future<Output = Result<Verdict, Refusal>> + Send;

    /// An attempt has ended, and its worker asks for its next task in the same call. The answer
    /// need not wait until the attempt is recorded. It has no task if nothing of the attempt
    /// counts.
    ///
    /// By default the two calls are made one after the other: enough for a driver that records
    /// nothing, such as those of the tests.
    fn report_and_ask(
        &self,
        peer: Peer,
        caller: Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> impl Future<Output = Result<(Verdict, Option<TaskAnswer>), Refusal>> + Send {
        async move {
            let verdict = self.report(peer.clone(), caller.clone(), attempt, outcome).await?;
            let next = match verdict {
                Verdict::Accepted | Verdict::Taken => Some(self.next_task(peer, caller).await?),
                Verdict::Stale => None,
            };
            Ok((verdict, next))
        }
    }

    /// A worker leaves for good.
    fn leave(&self, peer: Peer, caller: Caller)
    -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A viewer asks for the status.
    fn status(&self, peer: Peer) -> impl Future<Output = Result<Status, Refusal>> + Send;
}

/// The server had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors for the reflection service are damaged: a defect of the build.
    #[error("the compiled .proto does not describe itself")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("serving gRPC calls")]
    Transport(#[source] tonic::transport::Error),
}

/// Answers calls on all `listeners` until `ended` is ready, then finishes the calls in flight.
///
/// [`guard`] decides which callers with the right `credentials` may call which method. With TLS
/// every connection is encrypted; new files are loaded without a restart. Beside
/// [`Driver`] there are the standard health service (`mapmill.v1.Driver` is serving) and server
/// reflection, so that ordinary gRPC tools work.
///
/// # Errors
///
/// When the transport fails. Broken connections and malformed calls are not errors of the server.
pub async fn serve(
    listeners: Vec<TcpListener>,
    driver: Arc<impl Driver>,
    credentials: Credentials,
    ended: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let refusals = Arc::new(Refusals::new());
    let acceptor = Acceptor {
        tls: credentials.tls.clone(),
        is_certificate_optional: credentials.token.is_some(),
        refusals: Arc::clone(&refusals),
    };
    // One is enough: tonic accepts them at once.
    let (ready, incoming) = mpsc::channel(1);
    let guard = guarded_services(driver, credentials, refusals).await?;
    let answering =
        server().serve_with_incoming_shutdown(guard, ReceiverStream::new(incoming), ended);
    // Ends with the server, which drops the receiver of connections.
    let accepting = incoming::accept(listeners, acceptor, ready);
    let (answered, ()) = tokio::join!(answering, accepting);
    answered.map_err(ServeError::Transport)
}

/// As [`serve`], on the connections of a simulated network, which has no sockets of the operating
/// system. Ends when it is dropped, without notifying its connections: tonic would do so in an
/// order that it leaves to chance, which no seed can reproduce.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_on<IO>(
    connections: mpsc::Receiver<IO>,
    driver: Arc<impl Driver>,
    credentials: Credentials,
) -> Result<(), ServeError>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let incoming =
        ReceiverStream::new(connections).map(|accepted| io::Result::Ok(Simulated(accepted)));
    let guard = guarded_services(driver, credentials, Arc::new(Refusals::new())).await?;
    server().serve_with_incoming(guard, incoming).await.map_err(ServeError::Transport)
}

/// All services, behind their guard.
async fn guarded_services(
    driver: Arc<impl Driver>,
    credentials: Credentials,
    refusals: Arc<Refusals>,
) -> Result<Guard, ServeError> {
    let service = DriverServer::new(Adapter { driver, refusals: Arc::clone(&refusals) })
        .max_decoding_message_size(limits::REQUEST_BYTES_MAX)
        .max_encoding_message_size(limits::RESPONSE_BYTES_MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status(driver_server::SERVICE_NAME, ServingStatus::Serving).await;
    let services = Services::default()
        .with(service)
        .with(health_service)
        .with(reflection().build_v1().map_err(ServeError::Reflection)?)
        .with(reflection().build_v1alpha().map_err(ServeError::Reflection)?);
    Ok(Guard::new(services, Arc::new(credentials), refusals))
}

/// HTTP/2 within its limits.
fn server() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(limits::KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEP_ALIVE_TIMEOUT))
        .http2_max_header_list_size(limits::HEADER_BYTES_MAX)
        .http2_max_local_error_reset_streams(Some(limits::BROKEN_STREAMS_MAX))
        .http2_max_pending_accept_reset_streams(Some(limits::RESET_STREAMS_MAX))
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .max_concurrent_streams(limits::STREAMS_MAX)
        .max_frame_size(limits::FRAME_BYTES_MAX)
}

impl From<Malformed> for tonic::Status {
    fn from(malformed: Malformed) -> Self {
        Self::invalid_argument(malformed.to_string())
    }
}

impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy { reason } => Self::resource_exhausted(reason),
            Refusal::Denied { reason } => Self::permission_denied(reason),
            Refusal::Gone => Self::unavailable("this driver has ended"),
        }
    }
}

/// The caller of an admitted call.
fn peer<T>(request: &Request<T>) -> Peer {
    let peer = request.extensions().get::<Peer>();
    peer.expect("the guard puts the peer into every admitted call").clone()
}

struct Adapter<D> {
    driver: Arc<D>,
    refusals: Arc<Refusals>,
}

impl<D> Adapter<D> {
    /// The message that was read from `peer`; a malformed one is logged and refused.
    fn understood<T>(&self, peer: &Peer, read: Result<T, Malformed>) -> Result<T, tonic::Status> {
        read.map_err(|malformed| {
            let what = format_args!("a call of {peer}: {malformed}");
            self.refusals.log(Cause::Malformed(malformed), None, what);
            malformed.into()
        })
    }
}

#[tonic::async_trait]
impl<D: Driver> pb::driver_server::Driver for Adapter<D> {
    async fn register(
        &self,
        request: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, tonic::Status> {
        let peer = peer(&request);
        let register = self.understood(&peer, register(request.into_inner()))?;
        let answer = self.driver.register(peer, register).await?;
        Ok(Response::new(answer.into()))
    }

    async fn next_task(
        &self,
        request: Request<pb::NextTaskRequest>,
    ) -> Result<Response<pb::NextTaskResponse>, tonic::Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let answer = self.driver.next_task(peer, caller(request.session, request.worker)).await?;
        Ok(Response::new(answer.into()))
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatResponse>, tonic::Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let running = self.understood(&peer, request.running.map(running).transpose())?;
        let order =
            self.driver.heartbeat(peer, caller(request.session, request.worker), running).await?;
        Ok(Response::new(pb::HeartbeatResponse { order: pb::Order::from(order).into() }))
    }

    async fn report(
        &self,
        request: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportResponse>, tonic::Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let attempt = self.understood(&peer, super::attempt(request.attempt))?;
        let outcome = self.understood(&peer, outcome(request.outcome))?;
        let caller = caller(request.session, request.worker);
        let (verdict, next) = match request.ask_next {
            true => self.driver.report_and_ask(peer, caller, attempt, outcome).await?,
            false => (self.driver.report(peer, caller, attempt, outcome).await?, None),
        };
        Ok(Response::new(report_response(verdict, next)))
    }

    async fn leave(
        &self,
        request: Request<pb::LeaveRequest>,
    ) -> Result<Response<pb::LeaveResponse>, tonic::Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        self.driver.leave(peer, caller(request.session, request.worker)).await?;
        Ok(Response::new(pb::LeaveResponse {}))
    }

    async fn status(
        &self,
        request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, tonic::Status> {
        Ok(Response::new(self.driver.status(peer(&request)).await?.into()))
    }
}
