//! Everything that can be called, by everybody: exactly what the table in `SECURITY.md` says, which
//! knows nothing of the driver's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use rpc::{Credentials, Role, Token};
use tonic::Code;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;

use crate::authority::{Authority, CLIENT, Says, good};
use crate::driver::{Server, in_time};
use crate::frames::{Wire, beginning, call, rest};
use crate::raw;

/// Where the table stands, for people and for this test.
const SECURITY: &str = include_str!("../../../../SECURITY.md");

/// The columns of the table, but for `anyone`.
const ALL: &[Who] = &[Who::Worker, Who::Viewer, Who::Bearer, Who::Driver, Who::Nobody];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Who {
    Worker,
    Viewer,
    Bearer,
    Driver,
    /// TLS, and nothing else.
    Nobody,
    /// Whoever calls a driver that asks for nothing.
    Anyone,
}

use Who::{Viewer, Worker};

/// Who may call what. A new method in a `.proto` file has to be thought about there.
fn table() -> BTreeMap<String, Vec<Who>> {
    let rows = SECURITY.lines().filter_map(|line| line.strip_prefix("| `/"));
    let columns = [Who::Worker, Who::Viewer, Who::Bearer, Who::Anyone, Who::Driver, Who::Nobody];
    let header = "| method | worker | viewer | bearer | anyone | driver | nobody |";
    assert!(SECURITY.contains(header), "the table has other columns");
    let row = |row: &str| {
        let mut cells = row.trim_end_matches('|').split('|').map(str::trim);
        let path = cells.next()?.trim_end_matches('`');
        let may = cells.zip(columns).filter_map(|(cell, who)| (cell == "yes").then_some(who));
        Some((format!("/{path}"), may.collect()))
    };
    rows.filter_map(row).collect()
}

/// As the services describe themselves.
fn methods() -> BTreeSet<String> {
    let descriptors = [
        &include_bytes!("../../src/wire/pb.bin")[..],
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut methods = BTreeSet::new();
    for descriptors in descriptors {
        let set = FileDescriptorSet::decode(descriptors).expect("they describe something");
        for file in set.file {
            for service in &file.service {
                methods.extend(service.method.iter().map(|method| {
                    format!("/{}.{}/{}", file.package(), service.name(), method.name())
                }));
            }
        }
    }
    methods
}

/// Whatever is written where a method would stand and is not exactly one.
fn odd_paths() -> Vec<String> {
    let mut odd = vec!["/".to_owned(), "/no.such.Service/Call".to_owned(), "/healthz".to_owned()];
    for path in table().keys() {
        let (service, method) = path.rsplit_once('/').expect("a path has two parts");
        odd.extend([
            format!("/{path}"),
            format!("{path}/"),
            format!("{service}//{method}"),
            format!("{path}?"),
            format!("{path}?a=b"),
            format!("{service}/./{method}"),
            format!("/x/..{path}"),
            format!("{service}%2F{method}"),
            path.replace('D', "%44").replace('H', "%48").replace('S', "%53"),
            path.to_lowercase(),
            path.to_uppercase(),
            format!("{path}x"),
            format!("{path}%00"),
            service.to_owned(),
        ]);
    }
    odd
}

struct Everybody {
    server: Server,
    channels: Vec<(Who, Channel)>,
    token: String,
}

impl Everybody {
    /// One server that wants a certificate or the token, and a connection of each.
    async fn start() -> Self {
        let authority = Authority::new("ours");
        let token = Token::random().expect("there are random numbers");
        let shown = format!("Bearer {}", token.expose());
        let driver = authority.credentials(Role::Driver, "d");
        let server = Server::start(Credentials { token: Some(token), ..driver }).await;
        let channels = ALL.iter().map(|&who| {
            let role = match who {
                Who::Nobody | Who::Bearer | Who::Anyone => None,
                Who::Driver => Some(Role::Driver),
                Who::Worker => Some(Role::Worker),
                Who::Viewer => Some(Role::Viewer),
            };
            let folder = role.map(|role| {
                // A driver's would not come through the handshake, which is another matter.
                let says = Says { usages: vec![CLIENT], ..good(role, "x") };
                authority.folder_of(&role.to_string(), &says)
            });
            let config = raw::config(&authority.certificate, folder.as_deref());
            (who, raw::channel(server.address, Some(Arc::clone(&config))))
        });
        let channels = channels.collect();
        Self { server, channels, token: shown }
    }

    async fn call(&self, who: Who, channel: &Channel, path: PathAndQuery) -> Result<(), String> {
        let header = (who == Who::Bearer).then_some(&*self.token);
        let answer = raw::call(channel, path, header).await;
        let Err(status) = answer else {
            return Ok(());
        };
        match (status.code(), who) {
            (Code::Unauthenticated, Who::Nobody) => Err(status.message().to_owned()),
            (Code::PermissionDenied, _) => Err(status.message().to_owned()),
            (Code::Unauthenticated, _) => panic!("{who:?} has shown who it is: {status}"),
            // It came through: it is the service that says this about the empty message.
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn every_method_is_for_those_of_the_table_and_nobody_else() {
    let table = table();
    let described = methods();
    for method in &described {
        let is_known = table.contains_key(method.as_str());
        assert!(is_known, "{method} is new: who may call it? See the table in SECURITY.md.");
    }
    let everybody = Everybody::start().await;

    for (path, may) in &table {
        for (who, channel) in &everybody.channels {
            let path: PathAndQuery = path.parse().unwrap();
            let called = everybody.call(*who, channel, path.clone()).await;
            assert_eq!(called.is_ok(), may.contains(who), "{who:?} calls {path}: {called:?}");
            if *who == Who::Nobody {
                assert!(called.unwrap_err().contains("--tls DIR"));
            }
        }
    }
}

#[tokio::test]
async fn driver_that_asks_for_nothing_answers_anyone_what_is_in_the_table() {
    let server = Server::start(Credentials::default()).await;
    let channel = raw::channel(server.address, None);
    for (path, may) in table() {
        let path: PathAndQuery = path.parse().unwrap();
        let answer = raw::call(&channel, path.clone(), None).await;
        let refused = answer.is_err_and(|status| status.code() == Code::PermissionDenied);
        assert_eq!(!refused, may.contains(&Who::Anyone), "anyone calls {path}");
    }
}

/// In the end, nothing of it may come to the driver that it should not answer.
#[tokio::test]
async fn odd_paths_are_for_nobody() {
    let everybody = Everybody::start().await;

    for path in odd_paths() {
        let Ok(path) = path.parse::<PathAndQuery>() else {
            continue;
        };
        for (who, channel) in &everybody.channels {
            let refused = everybody.call(*who, channel, path.clone()).await;
            assert!(refused.is_err(), "{who:?} calls {path}");
        }
    }
    assert_eq!(everybody.server.last_caller(), None);
}

/// Also those that no library sends.
#[tokio::test]
async fn paths_that_are_none_come_to_nothing() {
    let server = Server::start(Credentials::default()).await;
    let status = "/mapmill.v1.Driver/Status";
    // The empty message of a call that can be made, to show that the others fail for their paths.
    let empty = [0; 5];

    for path in ["", "mapmill.v1.Driver/Status", "*", "http://driver/mapmill.v1.Driver/Status", " "]
    {
        let mut wire = Wire::connect(server.address).await;
        let request = [beginning(), call(1, path), rest(1, &empty)].concat();
        assert!(wire.send(&request).await);
        let _ =
            in_time(async { while wire.next().await.is_some_and(|frame| !frame.is_answer()) {} })
                .await;
        assert_eq!(server.last_caller(), None, "{path:?}");
    }

    let mut wire = Wire::connect(server.address).await;
    assert!(wire.send(&[beginning(), call(1, status), rest(1, &empty)].concat()).await);
    while in_time(wire.next()).await.is_some_and(|frame| !frame.is_answer()) {}
    assert!(server.last_caller().is_some());
}

#[tokio::test]
async fn wrong_role_is_told_which_it_has_to_be() {
    let everybody = Everybody::start().await;
    let said = |who: Who, path: &'static str| {
        let (_, channel) = everybody.channels.iter().find(|(it, _)| *it == who).expect("it is one");
        let everybody = &everybody;
        let path = PathAndQuery::from_static(path);
        async move { everybody.call(who, channel, path).await.expect_err("it may not") }
    };

    assert_eq!(
        said(Viewer, "/mapmill.v1.Driver/Register").await,
        "a viewer's certificate (urn:mapmill:viewer:x) may not call Register; a worker's may: \
         mapmill certs issue worker --name NAME"
    );
    assert_eq!(
        said(Worker, "/mapmill.v1.Driver/Status").await,
        "a worker's certificate (urn:mapmill:worker:x) may not call Status; a viewer's may: \
         mapmill certs issue viewer --name NAME"
    );
    assert_eq!(
        said(Worker, "/mapmill.v1.Driver/Steal").await,
        "there is nothing to call at \"/mapmill.v1.Driver/Steal\""
    );
    crate::log::expect("refused a call: a viewer's certificate (urn:mapmill:viewer:x)").await;
}
