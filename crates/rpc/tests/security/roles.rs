//! Every method called with every role: exactly what the table in `SECURITY.md` says, which is
//! independent of the driver's own.

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

/// The file with the table, for people and for this test.
const SECURITY: &str = include_str!("../../../../SECURITY.md");

/// The columns of the table, but for `anyone`.
const ALL: &[Caller] =
    &[Caller::Worker, Caller::Viewer, Caller::Bearer, Caller::Driver, Caller::Nobody];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Caller {
    Worker,
    Viewer,
    Bearer,
    Driver,
    /// TLS, and nothing else.
    Nobody,
    /// Any caller of a driver that requires no credentials.
    Anyone,
}

use Caller::{Viewer, Worker};

/// Which role may call which method. A new method in a `.proto` file needs a row there.
fn table() -> BTreeMap<String, Vec<Caller>> {
    let rows = SECURITY.lines().filter_map(|line| line.strip_prefix("| `/"));
    let columns = [
        Caller::Worker,
        Caller::Viewer,
        Caller::Bearer,
        Caller::Anyone,
        Caller::Driver,
        Caller::Nobody,
    ];
    let header = "| method | worker | viewer | bearer | anyone | driver | nobody |";
    assert!(SECURITY.contains(header), "the table has other columns");
    let row = |row: &str| {
        let mut cells = row.trim_end_matches('|').split('|').map(str::trim);
        let path = cells.next()?.trim_end_matches('`');
        let may = cells.zip(columns).filter_map(|(cell, caller)| (cell == "yes").then_some(caller));
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

/// Paths that are almost, but not exactly, a method's.
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

struct AllRoles {
    server: Server,
    channels: Vec<(Caller, Channel)>,
    token: String,
}

impl AllRoles {
    /// One server that requires a certificate or the token, and a connection with each.
    async fn start() -> Self {
        let authority = Authority::new("ours");
        let token = Token::random().expect("there are random numbers");
        let shown = format!("Bearer {}", token.expose());
        let driver = authority.credentials(Role::Driver, "d");
        let server = Server::start(Credentials { token: Some(token), ..driver }).await;
        let channels = ALL.iter().map(|&caller| {
            let role = match caller {
                Caller::Nobody | Caller::Bearer | Caller::Anyone => None,
                Caller::Driver => Some(Role::Driver),
                Caller::Worker => Some(Role::Worker),
                Caller::Viewer => Some(Role::Viewer),
            };
            let folder = role.map(|role| {
                // A driver's certificate fails in the handshake, which is another test.
                let says = Says { usages: vec![CLIENT], ..good(role, "x") };
                authority.folder_of(&role.to_string(), &says)
            });
            let config = raw::config(&authority.certificate, folder.as_deref());
            (caller, raw::channel(server.address, Some(Arc::clone(&config))))
        });
        let channels = channels.collect();
        Self { server, channels, token: shown }
    }

    async fn call(
        &self,
        caller: Caller,
        channel: &Channel,
        path: PathAndQuery,
    ) -> Result<(), String> {
        let header = (caller == Caller::Bearer).then_some(&*self.token);
        let answer = raw::call(channel, path, header).await;
        let Err(status) = answer else {
            return Ok(());
        };
        match (status.code(), caller) {
            (Code::Unauthenticated, Caller::Nobody) => Err(status.message().to_owned()),
            (Code::PermissionDenied, _) => Err(status.message().to_owned()),
            (Code::Unauthenticated, _) => panic!("{caller:?} is authenticated: {status}"),
            // It was admitted: this is the service's answer to the empty message.
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn every_method_is_for_the_roles_of_the_table_only() {
    let table = table();
    let described = methods();
    for method in &described {
        let is_known = table.contains_key(method.as_str());
        assert!(is_known, "{method} is new: add its roles to the table in SECURITY.md.");
    }
    let roles = AllRoles::start().await;

    for (path, may) in &table {
        for (caller, channel) in &roles.channels {
            let path: PathAndQuery = path.parse().unwrap();
            let called = roles.call(*caller, channel, path.clone()).await;
            assert_eq!(called.is_ok(), may.contains(caller), "{caller:?} calls {path}: {called:?}");
            if *caller == Caller::Nobody {
                assert!(called.unwrap_err().contains("requires a certificate"));
            }
        }
    }
}

#[tokio::test]
async fn driver_without_credentials_answers_any_caller_what_is_in_the_table() {
    let server = Server::start(Credentials::default()).await;
    let channel = raw::channel(server.address, None);
    for (path, may) in table() {
        let path: PathAndQuery = path.parse().unwrap();
        let answer = raw::call(&channel, path.clone(), None).await;
        let refused = answer.is_err_and(|status| status.code() == Code::PermissionDenied);
        assert_eq!(!refused, may.contains(&Caller::Anyone), "anyone calls {path}");
    }
}

/// None of these calls may reach the driver's service.
#[tokio::test]
async fn odd_paths_are_refused_for_every_role() {
    let roles = AllRoles::start().await;

    for path in odd_paths() {
        let Ok(path) = path.parse::<PathAndQuery>() else {
            continue;
        };
        for (caller, channel) in &roles.channels {
            let refused = roles.call(*caller, channel, path.clone()).await;
            assert!(refused.is_err(), "{caller:?} calls {path}");
        }
    }
    assert_eq!(roles.server.last_caller(), None);
}

/// Also those that no library sends.
#[tokio::test]
async fn malformed_paths_are_refused() {
    let server = Server::start(Credentials::default()).await;
    let status = "/mapmill.v1.Driver/Status";
    // A permitted call with the same empty message, to show that the others fail for their paths.
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
async fn wrong_role_is_told_which_role_is_required() {
    let roles = AllRoles::start().await;
    let said = |caller: Caller, path: &'static str| {
        let (_, channel) = roles.channels.iter().find(|(it, _)| *it == caller).expect("it is one");
        let roles = &roles;
        let path = PathAndQuery::from_static(path);
        async move { roles.call(caller, channel, path).await.expect_err("it may not") }
    };

    assert_eq!(
        said(Viewer, "/mapmill.v1.Driver/Register").await,
        "a viewer's certificate (urn:mapmill:viewer:x) may not call Register; a worker's may"
    );
    assert_eq!(
        said(Worker, "/mapmill.v1.Driver/Status").await,
        "a worker's certificate (urn:mapmill:worker:x) may not call Status; a viewer's may"
    );
    assert_eq!(
        said(Worker, "/mapmill.v1.Driver/Steal").await,
        "there is nothing to call at \"/mapmill.v1.Driver/Steal\""
    );
    crate::log::expect("refused a call: a viewer's certificate (urn:mapmill:viewer:x)").await;
}
