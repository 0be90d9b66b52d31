//! The worker's end: one call at a time, each with a deadline.

mod dialer;
mod network;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response};

use self::dialer::Place;
use self::network::{Link, Network};
use super::pb::driver_client::DriverClient;
use super::{
    Malformed, order, pb, register_answer, report_answer, report_request, status, task_answer,
};
use crate::addresses::Addresses;
use crate::credentials::Credentials;
use crate::denial::Denial;
use crate::limits;
use crate::message::{
    Attempt, Caller, Order, Outcome, Register, RegisterAnswer, Running, Status, TaskAnswer, Verdict,
};
use crate::other_server::OtherServer;

/// Not an address of a driver.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` is not an address; expected HOST:PORT, such as 127.0.0.1:50051")]
pub struct AddressError {
    address: String,
    source: Option<tonic::transport::Error>,
}

/// A call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// One side does not accept the other. Trying again does not help.
    #[error(transparent)]
    Denied(Denial),
    /// No driver answers, but another server does. A driver may be started there later.
    #[error("{0}")]
    OtherServer(OtherServer),
    /// One side breaks the protocol. Trying again does not help.
    #[error("driver and worker do not understand each other: {message}")]
    Protocol {
        /// What is wrong.
        message: String,
    },
    /// No connection, no answer in time, or a driver that is ending. Trying again may help.
    #[error("{message}")]
    Unreachable {
        /// What was seen.
        message: String,
    },
}

impl CallError {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::OtherServer(_) | Self::Unreachable { .. } => true,
            Self::Denied(_) | Self::Protocol { .. } => false,
        }
    }
}

impl From<Malformed> for CallError {
    fn from(malformed: Malformed) -> Self {
        Self::Protocol { message: malformed.to_string() }
    }
}

impl From<tonic::Status> for CallError {
    fn from(status: tonic::Status) -> Self {
        let message = || match std::error::Error::source(&status) {
            Some(source) => seen(innermost(source)),
            None => status.message().to_owned(),
        };
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                Self::Denied(Denial::Refused { message: message() })
            }
            // A deadline of ours arrives as Cancelled, a dead connection as Unknown (tonic 0.14).
            Code::Aborted
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::ResourceExhausted
            | Code::Unavailable
            | Code::Unknown => Self::Unreachable { message: message() },
            Code::AlreadyExists
            | Code::DataLoss
            | Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::NotFound
            | Code::Ok
            | Code::OutOfRange
            | Code::Unimplemented => Self::Protocol { message: message() },
        }
    }
}

/// Whether the status is one that tonic derives from an HTTP status, for an answer without gRPC's.
fn is_without_grpc(status: &tonic::Status) -> bool {
    status.message().starts_with("grpc-status header missing")
}

/// `connection refused`, `timeout`: what a user needs to know of an error below a call.
fn seen(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<std::io::Error>()
        && error.raw_os_error().is_some()
    {
        return error.kind().to_string();
    }
    match error.is::<tonic::TimeoutExpired>() {
        true => "timeout".to_owned(),
        false => error.to_string(),
    }
}

/// The most specific cause: "connection refused" rather than "transport error".
fn innermost<'a>(
    mut error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// A connection to a driver, made when it is first needed and remade when it breaks.
///
/// Cloning is cheap and shares the connection.
#[derive(Clone, Debug)]
pub struct Client {
    inner: DriverClient<InterceptedService<Channel, TokenHeader>>,
    link: Arc<Link>,
}

/// Adds the token, if there is one, to the headers of every call.
#[derive(Clone, Debug)]
struct TokenHeader(Option<MetadataValue<Ascii>>);

impl Interceptor for TokenHeader {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Client {
    /// A client of the driver at `address` (`HOST:PORT`). Does not connect yet; must be called
    /// within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When `address` cannot be one.
    pub fn new(address: &str, credentials: &Credentials) -> Result<Self, AddressError> {
        Self::to_any(&address.into(), credentials)
    }

    /// As [`new`](Self::new), of the driver at one of `addresses`. They are tried in turn, whenever
    /// there is no connection.
    ///
    /// # Errors
    ///
    /// When one of them cannot be an address.
    pub fn to_any(addresses: &Addresses, credentials: &Credentials) -> Result<Self, AddressError> {
        let link = Arc::new(Link::default());
        let all = addresses.all().iter().map(|address| endpoint(address));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        let places = all.iter().filter_map(|endpoint| Place::of(endpoint.uri().authority()?));
        let network = Network::new(places.collect(), credentials.clone(), Arc::clone(&link));
        let endpoint = all[0].clone().connect_timeout(CONNECTION_DEADLINE);
        Ok(Self::over(endpoint.connect_with_connector_lazy(network), credentials, link))
    }

    /// As [`new`](Self::new), over the connection that `connect` makes to the address, without TLS:
    /// a simulated network has no sockets of the operating system.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn connected_by<IO, Connecting>(
        address: &str,
        credentials: &Credentials,
        connect: impl Fn(String) -> Connecting + Send + 'static,
    ) -> Result<Self, AddressError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        Connecting: Future<Output = io::Result<IO>> + Send + 'static,
    {
        let connector = Connector { address: address.to_owned(), connect };
        let channel = endpoint(address)?.connect_with_connector_lazy(connector);
        Ok(Self::over(channel, credentials, Arc::default()))
    }

    fn over(channel: Channel, credentials: &Credentials, link: Arc<Link>) -> Self {
        let token = credentials.token.as_ref().map(|token| {
            let mut header: MetadataValue<Ascii> =
                token.header().parse().expect("a token is printable ASCII, see Token::parse");
            header.set_sensitive(true);
            header
        });
        let inner = DriverClient::with_interceptor(channel, TokenHeader(token))
            .max_decoding_message_size(limits::RESPONSE_BYTES_MAX);
        Self { inner, link }
    }

    /// The answer, or why there is none.
    fn heard<T>(&self, answer: Result<Response<T>, tonic::Status>) -> Result<T, CallError> {
        let status = match answer {
            Ok(answer) => {
                self.link.set_answered();
                return Ok(answer.into_inner());
            }
            Err(status) => status,
        };
        if is_without_grpc(&status)
            || (status.code() == Code::Unimplemented && !self.link.has_answered())
        {
            return Err(CallError::OtherServer(OtherServer::Http2));
        }
        match CallError::from(status) {
            error @ CallError::Unreachable { .. } => Err(self.link.explain(error)),
            error @ (CallError::Denied(_)
            | CallError::OtherServer(_)
            | CallError::Protocol { .. }) => Err(error),
        }
    }

    /// The `HOST:PORT` of the last connection, as it was given; `None` before the first, and on a
    /// simulated network.
    pub fn connected_to(&self) -> Option<Arc<str>> {
        self.link.connected_to()
    }

    /// The server that seems to answer in place of a driver, if any. Also known while a call waits.
    pub fn other_server(&self) -> Option<OtherServer> {
        self.link.other_server()
    }

    /// Registers this worker.
    pub async fn register(&mut self, register: &Register) -> Result<RegisterAnswer, CallError> {
        let request = within(limits::CALL_DEADLINE, register.into())?;
        let answer = self.inner.register(request).await;
        Ok(register_answer(self.heard(answer)?)?)
    }

    /// Asks for a task; the driver may take [`limits::NEXT_TASK_WAIT`] to answer.
    pub async fn next_task(&mut self, caller: &Caller) -> Result<TaskAnswer, CallError> {
        let message =
            pb::NextTaskRequest { session: caller.session.0.clone(), worker: caller.worker };
        let request = within(limits::NEXT_TASK_DEADLINE, message)?;
        let answer = self.inner.next_task(request).await;
        Ok(task_answer(self.heard(answer)?)?)
    }

    /// Sends a heartbeat: this worker is alive, and its progress.
    pub async fn heartbeat(
        &mut self,
        caller: &Caller,
        running: Option<Running>,
    ) -> Result<Order, CallError> {
        let message = pb::HeartbeatRequest {
            session: caller.session.0.clone(),
            worker: caller.worker,
            running: running.map(Into::into),
        };
        let request = within(limits::CALL_DEADLINE, message)?;
        let answer = self.inner.heartbeat(request).await;
        Ok(order(&self.heard(answer)?)?)
    }

    /// Reports how an attempt ended.
    pub async fn report(
        &mut self,
        caller: &Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<Verdict, CallError> {
        let message = report_request(caller, attempt, outcome, false);
        let request = within(limits::REPORT_DEADLINE, message)?;
        let answer = self.inner.report(request).await;
        let (verdict, _) = report_answer(self.heard(answer)?)?;
        Ok(verdict)
    }

    /// As [`report`](Self::report) and [`next_task`](Self::next_task) in one call, which does not
    /// wait until the attempt is published and recorded. `None`: the driver has answered the
    /// report alone; call [`next_task`](Self::next_task).
    pub async fn report_and_ask(
        &mut self,
        caller: &Caller,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<(Verdict, Option<TaskAnswer>), CallError> {
        let message = report_request(caller, attempt, outcome, true);
        let request = within(limits::REPORT_DEADLINE, message)?;
        let answer = self.inner.report(request).await;
        Ok(report_answer(self.heard(answer)?)?)
    }

    /// Tells the driver that this worker leaves for good.
    pub async fn leave(&mut self, caller: &Caller) -> Result<(), CallError> {
        let message = pb::LeaveRequest { session: caller.session.0.clone(), worker: caller.worker };
        let request = within(limits::LEAVE_DEADLINE, message)?;
        let answer = self.inner.leave(request).await;
        self.heard(answer).map(|pb::LeaveResponse {}| ())
    }

    /// Asks for the job's status.
    pub async fn status(&mut self) -> Result<Status, CallError> {
        let request = within(limits::CALL_DEADLINE, pb::StatusRequest {})?;
        let answer = self.inner.status(request).await;
        Ok(status(self.heard(answer)?)?)
    }
}

/// The URI of a driver at `address`.
fn endpoint(address: &str) -> Result<Endpoint, AddressError> {
    let bad = |source| AddressError { address: address.to_owned(), source };
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|source| bad(Some(source)))?;
    // Without a port it would be that of web servers, and the worker would wait for ever.
    let authority = endpoint.uri().authority();
    if !authority.is_some_and(|it| it.as_str() == address && it.port_u16().is_some()) {
        return Err(bad(None));
    }
    Ok(endpoint
        .connect_timeout(limits::CONNECT_DEADLINE)
        .http2_keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// How long a connection may take with all that comes before its first call.
const CONNECTION_DEADLINE: Duration = limits::RESOLVE_DEADLINE
    .saturating_add(limits::CONNECT_DEADLINE)
    .saturating_add(limits::HANDSHAKE_DEADLINE);

/// Makes a connection whenever there is none.
struct Connector<Connect> {
    address: String,
    connect: Connect,
}

impl<IO, Connect, Connecting> Service<Uri> for Connector<Connect>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    Connect: Fn(String) -> Connecting,
    Connecting: Future<Output = io::Result<IO>> + Send + 'static,
{
    type Response = TokioIo<IO>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = (self.connect)(self.address.clone());
        Box::pin(async { Ok(TokioIo::new(connecting.await?)) })
    }
}

/// A request with a deadline, if the driver takes messages of its size. Checked here, because an
/// error of tonic's own limit on encoding looks like a broken connection, and the call would be
/// repeated for ever.
fn within<T: prost::Message>(deadline: Duration, message: T) -> Result<Request<T>, CallError> {
    let (bytes, most) = (message.encoded_len(), limits::REQUEST_BYTES_MAX);
    if bytes > most {
        let message = format!("a message of {bytes} bytes; at most {most} are taken");
        return Err(CallError::Protocol { message });
    }
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    Ok(request)
}
