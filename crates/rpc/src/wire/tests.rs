//! Every message round-trips, and no malformed one is accepted.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response};

use super::client::CallError;
use super::*;
use crate::credentials::Credentials;
use crate::message::{BadRecord, Column, Findings, Records};
use crate::peer::{Peer, Refusal};

const ATTEMPT: Attempt = Attempt { phase: Phase::Reduce, task: 3, number: 1 };
const DIGEST: Digest = Digest { bytes: u64::MAX, crc32: 0xDEAD_BEEF };

fn odd_path() -> PathBuf {
    path(b"/data/\xFF\n -x".to_vec())
}

fn registration() -> Register {
    Register {
        protocol: 1,
        build: "mapmill 0.1.0".to_owned(),
        instance: [7; 16],
        name: "host:1".to_owned(),
        roots: vec![odd_path(), "/".into()],
        abilities: BTreeSet::from([Ability::Gzip, Ability::JsonLines]),
    }
}

#[test]
fn registrations_round_trip() {
    let sent = registration();
    assert_eq!(register((&sent).into()), Ok(sent));
}

/// Names and causes are shown to people, and come from any caller.
#[test]
fn text_for_people_cannot_steer_their_terminal() {
    let name = format!("\x1b[2J{}é", "a".repeat(300));
    let request = pb::RegisterRequest { instance: vec![0; 16], name, ..Default::default() };
    let registered = register(request).unwrap();
    assert!(registered.name.starts_with("\\u{1b}[2Jaaa"), "{}", registered.name);
    assert_eq!(registered.name.len(), crate::limits::NAME_BYTES_MAX);

    let told = failure(Failure::Panicked { message: "left: 1\nright: 2".to_owned() }.into());
    assert_eq!(told, Ok(Failure::Panicked { message: "left: 1\\nright: 2".to_owned() }));

    // A path is kept as it is, for it names something; it is shown in another way.
    let told = failure(Failure::InputMissing { path: "/a\n\x1b[2Jjob done\u{9b}".into() }.into());
    let shown = r"input /a\n\u{1b}[2Jjob done\u{9b} disappeared during the job";
    assert_eq!(told.unwrap().to_string(), shown);
}

#[test]
fn texts_of_a_worker_are_cut_at_their_limit() {
    use crate::limits::{ABILITIES_MAX, PATH_BYTES_MAX, ROOTS_MAX, TEXT_BYTES_MAX};
    let message = "é".repeat(TEXT_BYTES_MAX);
    let told = failure(Failure::Panicked { message: message.clone() }.into());
    assert_eq!(told, Ok(Failure::Panicked { message: message[..TEXT_BYTES_MAX].to_owned() }));

    let path = |bytes| PathBuf::from("x".repeat(bytes));
    let missing = |bytes| failure(Failure::InputMissing { path: path(bytes) }.into());
    assert!(missing(PATH_BYTES_MAX).is_ok());
    assert_eq!(missing(PATH_BYTES_MAX + 1), Err(Malformed("a path of more than 4096 bytes")));

    let roots =
        |count| register((&Register { roots: vec!["/a".into(); count], ..registration() }).into());
    assert!(roots(ROOTS_MAX).is_ok());
    assert_eq!(roots(ROOTS_MAX + 1), Err(Malformed("more than 1000 roots")));

    let abilities = |count| {
        let abilities = vec!["gzip".to_owned(); count];
        register(pb::RegisterRequest { abilities, ..(&registration()).into() })
    };
    assert_eq!(abilities(ABILITIES_MAX).unwrap().abilities, BTreeSet::from([Ability::Gzip]));
    assert_eq!(abilities(ABILITIES_MAX + 1), Err(Malformed("more than 100 abilities")));
}

#[test]
fn abilities_of_later_versions_are_ignored() {
    let abilities = ["zpaq", "zstd", "Zstd", "", "csv"].map(str::to_owned).to_vec();
    let read = register(pb::RegisterRequest { abilities, ..(&registration()).into() });
    assert_eq!(read.unwrap().abilities, BTreeSet::from([Ability::Csv, Ability::Zstd]));
}

/// A format that needs nothing would be given to workers that count its bytes as text.
#[test]
fn every_format_but_plain_text_needs_an_ability() {
    let needs = |format: &Format| format.needs().collect::<Vec<_>>();
    assert_eq!(needs(&Format::default()), []);
    let compression = Some("lz4".to_owned());
    assert_eq!(needs(&Format { compression, ..Format::default() }), [Ability::Lz4]);
    let encoding = Some("UTF-16LE".to_owned());
    assert_eq!(needs(&Format { encoding, ..Format::default() }), [Ability::Encodings]);
    let csv = Records::Csv { column: Column::Number(1), delimiter: b',' };
    let lines = Records::JsonLines { field: "text".to_owned() };
    let parquet = Records::Parquet { column: "text".to_owned() };
    for (records, ability) in [
        (csv, Ability::Csv),
        (lines, Ability::JsonLines),
        (parquet, Ability::Parquet),
        (Records::Wet, Ability::Wet),
    ] {
        let (plain, gzip) = (None, Some("gzip".to_owned()));
        let format = Format { compression: plain, encoding: None, records };
        assert_eq!(needs(&format), [ability]);
        assert_eq!(needs(&Format { compression: gzip, ..format }), [Ability::Gzip, ability]);
    }
    for ability in Ability::ALL {
        assert_eq!(Ability::from_name(ability.name()), Some(ability));
    }
}

#[test]
fn lists_longer_than_any_job_are_malformed() {
    use crate::limits::{MAP_TASKS_MAX, REDUCE_TASKS_MAX};
    let mapped = |count| {
        let bucket = Bucket { digest: DIGEST, words: 1 };
        outcome(Some(
            Outcome::Mapped { buckets: vec![bucket; count], findings: Findings::default() }.into(),
        ))
    };
    assert!(mapped(REDUCE_TASKS_MAX as usize).is_ok());
    let more = Malformed("more buckets than a job has reduce tasks");
    assert_eq!(mapped(REDUCE_TASKS_MAX as usize + 1), Err(more));

    let reduce = |count| work(Some(Work::Reduce { intermediates: vec![DIGEST; count] }.into()));
    assert!(reduce(MAP_TASKS_MAX as usize).is_ok());
    let more = Malformed("more intermediates than a job has map tasks");
    assert_eq!(reduce(MAP_TASKS_MAX as usize + 1), Err(more));
}

#[test]
fn register_answers_round_trip() {
    let registered = Registered {
        session: Session("s".to_owned()),
        worker: 9,
        number: 3,
        heartbeat: Duration::from_millis(1500),
        files: odd_path(),
        rules: WordRules { rule: WordRule::Whitespace, ignore_case: true },
        buckets: 26,
        skip_bad_records: true,
    };
    for answer in [
        RegisterAnswer::Exit,
        RegisterAnswer::OutsideRoots { folder: odd_path(), more: vec!["/a".into(), odd_path()] },
        RegisterAnswer::Registered(registered),
        RegisterAnswer::VersionMismatch { protocol: 2, build: "other".to_owned() },
    ] {
        assert_eq!(register_answer(answer.clone().into()), Ok(answer));
    }
}

#[test]
fn task_answers_round_trip() {
    let split = Split {
        path: odd_path(),
        start: 1,
        end: 5,
        file_bytes: 5,
        modified_seconds: -1,
        modified_nanos: 999_999_999,
        format: Format::default(),
    };
    let format = Format { compression: Some("gzip".to_owned()), ..Format::default() };
    let task =
        |work| TaskAnswer::Task(Task { attempt: ATTEMPT, staging: "hidden/a".to_owned(), work });
    for answer in [
        TaskAnswer::Exit,
        TaskAnswer::Register,
        TaskAnswer::Wait,
        task(Work::Map { splits: vec![split.clone()] }),
        task(Work::Map { splits: vec![Split { format, ..split }] }),
        task(Work::Map { splits: vec![] }),
        task(Work::Reduce { intermediates: vec![DIGEST, Digest { bytes: 0, crc32: 0 }] }),
    ] {
        assert_eq!(task_answer(answer.clone().into()), Ok(answer));
    }
}

#[test]
fn outcomes_round_trip() {
    for sent in [
        Outcome::Mapped {
            buckets: vec![Bucket { digest: DIGEST, words: 4 }],
            findings: Findings { invalid_bytes: 2, ..Findings::default() },
        },
        Outcome::Mapped { buckets: vec![], findings: many_findings() },
        Outcome::Reduced { output: DIGEST, words: 12, distinct_words: 3 },
    ] {
        assert_eq!(outcome(Some(sent.clone().into())), Ok(sent));
    }
}

/// What the scheduler does depends on the case of a failure: none may arrive as another.
#[test]
fn failures_round_trip() {
    for sent in failures() {
        assert_eq!(failure(sent.clone().into()), Ok(sent));
    }
}

/// The journal keeps these names: they are those that a worker in another language reads.
#[test]
fn failures_are_named_as_their_fields_are() {
    for sent in failures() {
        let (name, _) = sent.about();
        let field = format!("{:?}", pb::Failure::from(sent).cause.unwrap());
        // Such as `DiskFull(Io { .. })`.
        let field = field.split('(').next().unwrap().to_owned();
        assert_eq!(name.replace('_', ""), field.to_lowercase());
    }
}

/// A name that is no path is not called an input.
#[test]
fn every_failure_about_an_input_can_name_it() {
    let mut named = Vec::new();
    for sent in failures() {
        let name = "standard input";
        let shown = sent.clone().naming_input(|_| name.into());
        let is_about_an_input = shown != sent;
        assert_eq!(is_about_an_input, shown.about().1 == Some(std::path::Path::new(name)));
        if is_about_an_input {
            let sentence = shown.to_string();
            assert!(sentence.contains(name) && !sentence.contains("input standard"), "{sentence}");
            named.push(shown.about().0);
        }
    }
    named.sort_unstable();
    named.dedup();
    let about_inputs =
        ["format_unknown", "input_changed", "input_damaged", "input_missing", "input_unreadable"];
    assert_eq!(named, about_inputs);
}

/// As many as a report has, of the largest numbers.
fn many_findings() -> Findings {
    let bad_record = BadRecord {
        split: u32::MAX,
        offset: u64::MAX,
        number: Some(u64::MAX),
        problem: "x".repeat(limits::TEXT_BYTES_MAX),
    };
    Findings {
        invalid_bytes: u64::MAX,
        invalid_splits: vec![(u32::MAX, u64::MAX); limits::FINDINGS_MAX],
        documents: u64::MAX,
        bad_records: u64::MAX,
        first_bad_records: vec![bad_record; limits::FINDINGS_MAX],
    }
}

#[test]
fn formats_round_trip() {
    let csv = |column| Records::Csv { column, delimiter: b'\t' };
    for records in [
        Records::WholeText,
        csv(Column::Name(String::new())),
        csv(Column::Number(7)),
        Records::JsonLines { field: "a.b".to_owned() },
        Records::Parquet { column: "a.b".to_owned() },
        Records::Wet,
    ] {
        for name in [None, Some("gzip".to_owned())] {
            let (compression, encoding) = (name.clone(), name);
            let sent = Format { compression, encoding, records: records.clone() };
            assert_eq!(input::format(Some(sent.clone().into())), Ok(sent));
        }
    }
    assert_eq!(input::format(None), Ok(Format::default()));
}

#[test]
fn formats_that_cannot_be_are_malformed() {
    use pb::format::Records as Wire;
    let records = |records| input::format(Some(pb::Format { records, ..pb::Format::default() }));
    assert!(records(None).is_err());
    let name = |name: &str| Some(pb::csv::Column::Name(name.to_owned()));
    for (column, delimiter, is_good) in [
        (name("a"), 44, true),
        (name("a"), 128, false),
        (name("a"), 300, false),
        (Some(pb::csv::Column::Number(0)), 44, false),
        (None, 44, false),
    ] {
        let csv = Wire::Csv(pb::Csv { column, delimiter });
        assert_eq!(records(Some(csv)).is_ok(), is_good);
    }
}

#[test]
fn more_findings_than_a_report_has_are_malformed() {
    let sent = many_findings();
    let (mut invalid_splits, first_bad_records) = input::lists(&sent);
    let done = pb::MapDone { invalid_splits: invalid_splits.clone(), ..pb::MapDone::default() };
    assert!(input::findings(&done).is_ok());
    invalid_splits.extend(invalid_splits.clone());
    assert!(input::findings(&pb::MapDone { invalid_splits, ..done.clone() }).is_err());
    let first_bad_records = [first_bad_records.clone(), first_bad_records].concat();
    assert!(input::findings(&pb::MapDone { first_bad_records, ..done }).is_err());
}

fn failures() -> Vec<Failure> {
    let (operation, detail) = ("open".to_owned(), "permission denied".to_owned());
    vec![
        Failure::DiskFull { path: odd_path(), os_error: 28, detail: detail.clone() },
        Failure::ForeignStaging { path: odd_path() },
        Failure::FormatUnknown { path: odd_path(), detail: detail.clone() },
        Failure::InputChanged { path: odd_path(), then_bytes: 1, now_bytes: 2 },
        Failure::InputDamaged {
            path: odd_path(),
            offset: 1,
            text_offset: 2,
            record: Some(3),
            detail: detail.clone(),
        },
        Failure::InputMissing { path: odd_path() },
        Failure::InputUnreadable {
            path: odd_path(),
            operation: operation.clone(),
            os_error: 13,
            detail: detail.clone(),
            users: Some(Users { worker: 0, owner: 1000 }),
        },
        Failure::IntermediateCorrupt {
            map: 7,
            expected: DIGEST,
            found: Digest { bytes: 0, ..DIGEST },
        },
        Failure::IntermediateMissing { map: 7 },
        Failure::Io {
            path: odd_path(),
            operation: operation.clone(),
            os_error: 5,
            detail: detail.clone(),
            users: None,
        },
        Failure::Io {
            path: odd_path(),
            operation,
            os_error: 13,
            detail: detail.clone(),
            users: Some(Users { worker: 65_534, owner: 0 }),
        },
        Failure::OutsideRoots { folder: odd_path() },
        Failure::Panicked { message: "index out of bounds".to_owned() },
        Failure::StagingDamaged { path: odd_path(), detail: detail.clone() },
        Failure::StagingExists,
        Failure::Tampered { path: odd_path(), detail },
        Failure::TooManyLongWords { words_max: 1024, word_bytes: 65_536 },
    ]
}

#[test]
fn orders_and_verdicts_round_trip() {
    for sent in [Order::Abandon, Order::Continue, Order::Exit, Order::Register] {
        let response = pb::HeartbeatResponse { order: pb::Order::from(sent).into() };
        assert_eq!(order(&response), Ok(sent));
    }
    for verdict in [Verdict::Accepted, Verdict::Stale, Verdict::Taken] {
        for next in [None, Some(TaskAnswer::Wait), Some(TaskAnswer::Exit)] {
            let response = report_response(verdict, next.clone());
            assert_eq!(report_answer(response), Ok((verdict, next)));
        }
    }
}

#[test]
fn statuses_round_trip() {
    let phase = |tasks| PhaseStatus {
        tasks,
        running: 1,
        committed: 2,
        bytes_total: 3,
        bytes_done: 4,
        words: 5,
    };
    for state in [JobState::Cancelled, JobState::Done, JobState::Failed, JobState::Running] {
        let sent = Status {
            session: Session("s".to_owned()),
            state,
            map: phase(6),
            reduce: phase(7),
            workers: 8,
            attempts: AttemptCounts { started: 9, failed: 10, lost: 11 },
            stale_reports: 12,
            violations: 13,
            stranded: vec![Stranded {
                abilities: vec!["gzip".to_owned(), "zpaq".to_owned()],
                tasks: 3,
            }],
        };
        assert_eq!(status(sent.clone().into()), Ok(sent));
    }
}

#[test]
fn missing_parts_are_malformed() {
    assert!(attempt(None).is_err());
    assert!(attempt(Some(pb::Attempt::default())).is_err());
    assert!(work(None).is_err());
    assert!(outcome(None).is_err());
    assert!(failure(pb::Failure::default()).is_err());
    assert!(running(pb::Running::default()).is_err());
    assert!(order(&pb::HeartbeatResponse::default()).is_err());
    assert!(order(&pb::HeartbeatResponse { order: 99 }).is_err());
    assert!(report_answer(pb::ReportResponse::default()).is_err());
    let next = Some(pb::NextTaskResponse::default());
    assert!(
        report_answer(pb::ReportResponse { next, ..report_response(Verdict::Taken, None) })
            .is_err()
    );
    assert!(register(pb::RegisterRequest::default()).is_err());
    assert!(register_answer(pb::RegisterResponse::default()).is_err());
    assert!(task_answer(pb::NextTaskResponse::default()).is_err());
    assert!(status(pb::StatusResponse::default()).is_err());
}

#[test]
fn lists_of_unequal_length_are_malformed() {
    let done = pb::MapDone {
        bucket_bytes: vec![1, 2],
        bucket_crc32: vec![1],
        bucket_words: vec![1, 2],
        ..pb::MapDone::default()
    };
    assert!(outcome(Some(pb::report_request::Outcome::MapDone(done))).is_err());
    assert!(digests(&[1], &[]).is_err());
}

/// With every number at its longest, half of the limit is left for later fields.
#[test]
fn messages_of_the_largest_job_are_below_the_limit() {
    use crate::limits::{MAP_TASKS_MAX, REDUCE_TASKS_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};
    let bucket = Bucket { digest: DIGEST, words: u64::MAX };
    let buckets = vec![bucket; REDUCE_TASKS_MAX as usize];
    let report = pb::ReportRequest {
        session: "s".repeat(100),
        worker: u64::MAX,
        attempt: Some(ATTEMPT.into()),
        outcome: Some(Outcome::Mapped { buckets, findings: many_findings() }.into()),
        ask_next: true,
    };
    assert!(report.encoded_len() < REQUEST_BYTES_MAX / 2, "{} bytes", report.encoded_len());

    let work = Work::Reduce { intermediates: vec![DIGEST; MAP_TASKS_MAX as usize] };
    let task = Task { attempt: ATTEMPT, staging: "s".repeat(100), work };
    let answer = pb::NextTaskResponse::from(TaskAnswer::Task(task));
    assert!(answer.encoded_len() < RESPONSE_BYTES_MAX / 2, "{} bytes", answer.encoded_len());
}

#[test]
fn a_split_outside_its_file_is_malformed() {
    let good = pb::Split { start: 0, end: 5, file_bytes: 5, ..pb::Split::default() };
    assert!(split(good.clone()).is_ok());
    assert!(split(pb::Split { end: 6, ..good.clone() }).is_err());
    assert!(split(pb::Split { start: 5, ..good.clone() }).is_err());
    assert!(split(pb::Split { modified_nanos: 1_000_000_000, ..good }).is_err());
}

#[tokio::test]
async fn calls_with_malformed_answers_are_not_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let hollow = pb::driver_server::DriverServer::new(Hollow);
    let incoming = TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder().serve_with_incoming(hollow, incoming);
    tokio::spawn(server);
    let mut client = client::Client::new(&address, &Credentials::default()).unwrap();
    let caller = caller("s".to_owned(), 0);
    let failed = Outcome::Failed(Failure::StagingExists);

    let errors = [
        client.register(&registration()).await.unwrap_err(),
        client.next_task(&caller).await.unwrap_err(),
        client.heartbeat(&caller, None).await.unwrap_err(),
        client.report(&caller, ATTEMPT, failed).await.unwrap_err(),
        client.status().await.unwrap_err(),
    ];

    for error in errors {
        assert!(matches!(error, CallError::Protocol { .. }), "{error:?}");
        assert!(error.to_string().contains("malformed message"), "{error}");
    }
}

#[tokio::test]
async fn malformed_and_oversized_requests_are_refused_with_a_code() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::serve(
        vec![listener],
        Arc::new(Never),
        Credentials::default(),
        std::future::pending(),
    ));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut raw = pb::driver_client::DriverClient::new(endpoint.connect().await.unwrap());

    let codes = [
        raw.register(pb::RegisterRequest::default()).await.unwrap_err().code(),
        raw.heartbeat(pb::HeartbeatRequest {
            running: Some(pb::Running::default()),
            ..Default::default()
        })
        .await
        .unwrap_err()
        .code(),
        raw.report(pb::ReportRequest::default()).await.unwrap_err().code(),
        raw.report(pb::ReportRequest { attempt: Some(ATTEMPT.into()), ..Default::default() })
            .await
            .unwrap_err()
            .code(),
    ];
    assert_eq!(codes, [Code::InvalidArgument; 4]);

    let name = "x".repeat(crate::limits::REQUEST_BYTES_MAX + 1);
    let large = pb::RegisterRequest { name, ..(&registration()).into() };
    assert_eq!(raw.register(large).await.unwrap_err().code(), Code::OutOfRange);
}

/// A driver that no malformed message may reach.
struct Never;

impl server::Driver for Never {
    async fn register(&self, _: Peer, _: Register) -> Result<RegisterAnswer, Refusal> {
        unreachable!()
    }

    async fn next_task(&self, _: Peer, _: Caller) -> Result<TaskAnswer, Refusal> {
        unreachable!()
    }

    async fn heartbeat(&self, _: Peer, _: Caller, _: Option<Running>) -> Result<Order, Refusal> {
        unreachable!()
    }

    async fn report(&self, _: Peer, _: Caller, _: Attempt, _: Outcome) -> Result<Verdict, Refusal> {
        unreachable!()
    }

    async fn leave(&self, _: Peer, _: Caller) -> Result<(), Refusal> {
        unreachable!()
    }

    async fn status(&self, _: Peer) -> Result<crate::message::Status, Refusal> {
        unreachable!()
    }
}

/// A peer that violates the protocol: every answer is empty.
struct Hollow;

#[tonic::async_trait]
impl pb::driver_server::Driver for Hollow {
    async fn register(
        &self,
        _: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, tonic::Status> {
        Ok(Response::new(Default::default()))
    }

    async fn next_task(
        &self,
        _: Request<pb::NextTaskRequest>,
    ) -> Result<Response<pb::NextTaskResponse>, tonic::Status> {
        Ok(Response::new(Default::default()))
    }

    async fn heartbeat(
        &self,
        _: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatResponse>, tonic::Status> {
        Ok(Response::new(Default::default()))
    }

    async fn report(
        &self,
        _: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportResponse>, tonic::Status> {
        Ok(Response::new(Default::default()))
    }

    async fn leave(
        &self,
        _: Request<pb::LeaveRequest>,
    ) -> Result<Response<pb::LeaveResponse>, tonic::Status> {
        Ok(Response::new(Default::default()))
    }

    async fn status(
        &self,
        _: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, tonic::Status> {
        Ok(Response::new(Default::default()))
    }
}
