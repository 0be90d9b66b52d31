//! Both ends over a real socket: messages arrive, malformed ones are refused, and no call waits
//! longer than its deadline for a peer that is gone.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rpc::message::{
    Attempt, AttemptCounts, Bucket, Caller, Digest, Findings, Format, JobState, Order, Outcome,
    Phase, PhaseStatus, Register, RegisterAnswer, Registered, Running, Session, Split, Status,
    Stranded, Task, TaskAnswer, Verdict, WordRule, WordRules, Work,
};
use rpc::{
    Ability, CallError, Client, Credentials, Driver, OtherServer, Peer, Refusal, ServeError, Token,
    limits, serve,
};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::{self, StreamExt};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb as health;
use tonic_prost as codec;
use tonic_reflection::pb as reflection;

const SERVICE: &str = "mapmill.v1.Driver";

#[tokio::test]
async fn every_call_arrives_and_is_answered() {
    let server = Server::start(None).await;
    let mut client = Client::new(&server.address(), &Credentials::default()).unwrap();

    let answer = client.register(&registration()).await.unwrap();
    assert_eq!(answer, registered());
    assert_eq!(client.next_task(&caller()).await.unwrap(), TaskAnswer::Task(task()));
    assert_eq!(client.heartbeat(&caller(), Some(running())).await.unwrap(), Order::Abandon);
    assert_eq!(client.heartbeat(&caller(), None).await.unwrap(), Order::Continue);
    let verdict = client.report(&caller(), ATTEMPT, outcome()).await.unwrap();
    assert_eq!(verdict, Verdict::Accepted);
    let (verdict, next) = client.report_and_ask(&caller(), ATTEMPT, outcome()).await.unwrap();
    assert_eq!((verdict, next), (Verdict::Accepted, Some(TaskAnswer::Task(task()))));
    client.leave(&caller()).await.unwrap();
    assert_eq!(client.status().await.unwrap(), status());

    server.stop().await;
}

#[tokio::test]
async fn nothing_is_answered_without_the_right_token() {
    let token = Token::random().unwrap();
    let server = Server::start(Some(token.clone())).await;
    let wrong = Token::random().unwrap();
    for shown in [None, Some(&wrong)] {
        let mut client = Client::new(&server.address(), &shown.cloned().into()).unwrap();
        assert_denied(client.register(&registration()).await);
        assert_denied(client.next_task(&caller()).await);
        assert_denied(client.heartbeat(&caller(), None).await);
        assert_denied(client.report(&caller(), ATTEMPT, outcome()).await);
        assert_denied(client.leave(&caller()).await);
        assert_denied(client.status().await);

        for path in [
            "/mapmill.v1.Driver/Status",
            "/mapmill.v1.Driver/Status/",
            "//mapmill.v1.Driver/Status",
            "/mapmill.v1.driver/Status",
            "/mapmill.v1.Driver/NoSuchCall",
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/no.such.Service/Call",
            "/",
        ] {
            let code = call(&server, path, shown).await;
            assert_eq!(code, Code::Unauthenticated, "{path}");
        }
    }

    let mut client = Client::new(&server.address(), &Some(token.clone()).into()).unwrap();
    assert_eq!(client.status().await.unwrap(), status());
    assert_eq!(call(&server, "/grpc.health.v1.Health/Check", Some(&token)).await, Code::Ok);
    server.stop().await;
}

#[tokio::test]
async fn ordinary_grpc_tools_work() {
    let server = Server::start(None).await;

    let mut client = health::health_client::HealthClient::new(server.channel());
    for service in ["", SERVICE] {
        let request = health::HealthCheckRequest { service: service.to_owned() };
        let answer = client.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), health::health_check_response::ServingStatus::Serving);
    }

    use reflection::v1::server_reflection_request::MessageRequest;
    use reflection::v1::server_reflection_response::MessageResponse;
    let mut client =
        reflection::v1::server_reflection_client::ServerReflectionClient::new(server.channel());
    let request = reflection::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&SERVICE), "{names:?}");
    server.stop().await;
}

#[tokio::test]
async fn message_above_the_limit_is_refused_before_it_is_sent() {
    let server = Server::start(None).await;
    let mut client = Client::new(&server.address(), &Credentials::default()).unwrap();
    let large = Register { name: "x".repeat(limits::REQUEST_BYTES_MAX), ..registration() };

    let refused = client.register(&large).await.unwrap_err();

    assert!(matches!(refused, CallError::Protocol { .. }), "{refused:?}");
    // And the connection is still usable.
    assert_eq!(client.status().await.unwrap(), status());
    server.stop().await;
}

#[tokio::test]
async fn task_of_many_files_fits() {
    let split = Split { path: "/data/".repeat(22).into(), ..split() };
    let splits = vec![split; 200_000];
    let work = Work::Map { splits };
    let driver = Fake { work: Some(work.clone()), ..Fake::default() };
    let server = Server::start_with(driver, None).await;
    let mut client = Client::new(&server.address(), &Credentials::default()).unwrap();

    let answer = client.next_task(&caller()).await.unwrap();

    assert!(answer == TaskAnswer::Task(Task { work, ..task() }));
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn call_that_is_not_answered_in_time_may_be_retried() {
    let server = Server::start_with(Fake { is_deaf: true, ..Fake::default() }, None).await;
    let mut client = Client::new(&server.address(), &Credentials::default()).unwrap();
    let began = Instant::now();

    assert_unreachable(client.heartbeat(&caller(), None).await);
    assert_within(began, limits::CALL_DEADLINE);

    // The connection is alive: its pings were answered all the time.
    let began = Instant::now();
    assert_unreachable(client.report(&caller(), ATTEMPT, outcome()).await);
    assert_within(began, limits::REPORT_DEADLINE);
}

/// A half-open connection: the peer's machine has failed without closing it.
#[tokio::test(start_paused = true)]
async fn peer_that_stops_answering_is_noticed_by_its_pings() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client =
        Client::new(&listener.local_addr().unwrap().to_string(), &Credentials::default()).unwrap();
    let began = Instant::now();

    // Its deadline is 40 seconds away. The kernel accepts, and no process reads.
    let answer = client.next_task(&caller()).await;
    assert!(matches!(answer, Err(CallError::OtherServer(OtherServer::Silent))), "{answer:?}");

    assert_within(began, limits::KEEP_ALIVE_INTERVAL + limits::KEEP_ALIVE_TIMEOUT);
}

#[tokio::test]
async fn driver_that_is_unreachable_may_start_later() {
    let server = Server::start(None).await;
    let address = server.address();
    let mut client = Client::new(&address, &Credentials::default()).unwrap();
    client.status().await.unwrap();
    server.stop().await;

    let error = client.status().await.unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("onnection refused"), "{error}");

    // The same client finds the new one.
    let listener = TcpListener::bind(&address).await.unwrap();
    let server = Server::start_on(listener, Fake::default(), None);
    assert_eq!(in_time(client.status()).await.unwrap(), status());
    server.stop().await;
}

#[tokio::test]
async fn server_that_ends_finishes_the_calls_in_flight() {
    let driver = Fake { is_deaf: true, ..Fake::default() };
    let (arrived, gone) = (Arc::clone(&driver.arrived), Arc::clone(&driver.gone));
    let server = Server::start_with(driver, None).await;
    let mut client = Client::new(&server.address(), &Credentials::default()).unwrap();
    let waiting = tokio::spawn(async move { client.next_task(&caller()).await });
    in_time(arrived.notified()).await;

    let stopped = tokio::spawn(server.stop());
    gone.notify_one();

    let error = in_time(waiting).await.unwrap().unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("has ended"), "{error}");
    in_time(stopped).await.unwrap();
}

#[tokio::test]
async fn address_without_a_port_or_with_more_is_refused() {
    for address in ["", "localhost", "127.0.0.1", "[::1]", "host:", "host:1/path", "a b:1", "::1:7"]
    {
        assert!(Client::new(address, &Credentials::default()).is_err(), "{address}");
    }
    for address in ["localhost:1", "127.0.0.1:50051", "[::1]:50051", "driver.example.org:443"] {
        assert!(Client::new(address, &Credentials::default()).is_ok(), "{address}");
    }
}

const ATTEMPT: Attempt = Attempt { phase: Phase::Map, task: 3, number: 1 };

fn registration() -> Register {
    Register {
        protocol: rpc::PROTOCOL,
        build: rpc::BUILD.to_owned(),
        instance: [7; 16],
        name: "host:1".to_owned(),
        roots: vec!["/data".into()],
        abilities: BTreeSet::from([Ability::Xz]),
    }
}

fn registered() -> RegisterAnswer {
    RegisterAnswer::Registered(Registered {
        session: Session("s".to_owned()),
        worker: 9,
        number: 9,
        heartbeat: Duration::from_millis(1500),
        files: "/data/files".into(),
        rules: WordRules { rule: WordRule::Letters, ignore_case: true },
        buckets: 4,
        skip_bad_records: false,
    })
}

fn caller() -> Caller {
    Caller { session: Session("s".to_owned()), worker: 9 }
}

fn split() -> Split {
    Split {
        path: "/data/a".into(),
        start: 1,
        end: 5,
        file_bytes: 8,
        modified_seconds: 1,
        modified_nanos: 2,
        format: Format::default(),
    }
}

fn task() -> Task {
    let work = Work::Map { splits: vec![split()] };
    Task { attempt: ATTEMPT, staging: "hidden/m3.a1".to_owned(), work }
}

fn running() -> Running {
    Running { attempt: ATTEMPT, progress: 1, bytes: 2, words: 3 }
}

fn outcome() -> Outcome {
    let bucket = Bucket { digest: Digest { bytes: 4, crc32: u32::MAX }, words: 2 };
    Outcome::Mapped {
        buckets: vec![bucket; 4],
        findings: Findings { invalid_bytes: 1, ..Findings::default() },
    }
}

fn status() -> Status {
    Status {
        session: Session("s".to_owned()),
        state: JobState::Running,
        map: PhaseStatus { tasks: 6, ..PhaseStatus::default() },
        reduce: PhaseStatus::default(),
        workers: 1,
        attempts: AttemptCounts { started: 2, failed: 3, lost: 4 },
        stale_reports: 5,
        violations: 6,
        stranded: vec![Stranded {
            abilities: vec!["gzip".to_owned(), "zpaq".to_owned()],
            tasks: 3,
        }],
    }
}

/// Gives the expected answers to the expected calls.
#[derive(Default)]
struct Fake {
    /// Replaces the usual work.
    work: Option<Work>,
    /// Answers only `Status`, until `gone` is notified.
    is_deaf: bool,
    arrived: Arc<Notify>,
    gone: Arc<Notify>,
}

impl Fake {
    async fn answer<T>(&self, answer: T) -> Result<T, Refusal> {
        self.arrived.notify_one();
        if self.is_deaf {
            self.gone.notified().await;
            return Err(Refusal::Gone);
        }
        Ok(answer)
    }
}

impl Driver for Fake {
    async fn register(&self, _: Peer, register: Register) -> Result<RegisterAnswer, Refusal> {
        assert_eq!(register, registration());
        self.answer(registered()).await
    }

    async fn next_task(&self, _: Peer, from: Caller) -> Result<TaskAnswer, Refusal> {
        assert_eq!(from, caller());
        let work = self.work.clone().unwrap_or_else(|| task().work);
        self.answer(TaskAnswer::Task(Task { work, ..task() })).await
    }

    async fn heartbeat(
        &self,
        _: Peer,
        from: Caller,
        beat: Option<Running>,
    ) -> Result<Order, Refusal> {
        assert_eq!(from, caller());
        let order = match beat {
            Some(beat) => {
                assert_eq!(beat, running());
                Order::Abandon
            }
            None => Order::Continue,
        };
        self.answer(order).await
    }

    async fn report(
        &self,
        _: Peer,
        from: Caller,
        attempt: Attempt,
        reported: Outcome,
    ) -> Result<Verdict, Refusal> {
        assert_eq!((from, attempt, reported), (caller(), ATTEMPT, outcome()));
        self.answer(Verdict::Accepted).await
    }

    async fn leave(&self, _: Peer, from: Caller) -> Result<(), Refusal> {
        assert_eq!(from, caller());
        self.answer(()).await
    }

    async fn status(&self, _: Peer) -> Result<Status, Refusal> {
        Ok(status())
    }
}

struct Server {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    async fn start(token: Option<Token>) -> Self {
        Self::start_with(Fake::default(), token).await
    }

    async fn start_with(driver: Fake, token: Option<Token>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, driver, token)
    }

    fn start_on(listener: TcpListener, driver: Fake, token: Option<Token>) -> Self {
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let served = tokio::spawn(serve(vec![listener], Arc::new(driver), token.into(), async {
            ended.await.expect("the test holds the other end");
        }));
        Self { address, end, served }
    }

    fn address(&self) -> String {
        self.address.to_string()
    }

    fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }

    async fn stop(self) {
        self.end.send(()).unwrap();
        in_time(self.served).await.unwrap().unwrap();
    }
}

/// The result of a call of any path with an empty message.
async fn call(server: &Server, path: &str, token: Option<&Token>) -> Code {
    let mut grpc = tonic::client::Grpc::new(server.channel());
    grpc.ready().await.unwrap();
    let mut request = Request::new(());
    if let Some(token) = token {
        let shown = format!("Bearer {}", token.expose()).parse().unwrap();
        request.metadata_mut().insert("authorization", shown);
    }
    let path: PathAndQuery = path.parse().unwrap();
    let answer = grpc.unary(request, path, codec::ProstCodec::<(), ()>::default()).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[track_caller]
fn assert_denied<T: std::fmt::Debug>(answer: Result<T, CallError>) {
    assert!(matches!(answer, Err(CallError::Denied { .. })), "{answer:?}");
}

#[track_caller]
fn assert_unreachable<T: std::fmt::Debug>(answer: Result<T, CallError>) {
    assert!(matches!(answer, Err(CallError::Unreachable { .. })), "{answer:?}");
}

#[track_caller]
fn assert_within(began: Instant, expected: Duration) {
    let took = began.elapsed();
    let slack = Duration::from_millis(500);
    assert!((expected - slack..=expected + slack).contains(&took), "{took:?}");
}

/// A test that would hang fails instead.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it waits for ever")
}
