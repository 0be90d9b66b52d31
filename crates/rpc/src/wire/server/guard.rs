//! Admission of calls: which role may call which method. In front of every service, so that none
//! can forget it.
//!
//! A method that is not in [`CALLS`] is refused for every role, however its path is written: paths
//! are compared byte by byte with those of the table, before anything else reads them.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderValue, Request, Response};

use super::connection::Connection;
use super::message::InTime;
use super::refusals::{Cause, Refusals};
use super::services::{Answered, Services};
use crate::credentials::Credentials;
use crate::peer::{Identity, Peer, Role};
use crate::wire::printable;

/// A method of a service.
struct Call {
    path: &'static str,
    /// The roles that may call it by certificate. The token grants all of them.
    roles: &'static [Role],
    messages: Messages,
}

/// How many messages a caller sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Messages {
    /// With the call.
    One,
    /// At any time.
    Stream,
}

/// Everything that can be called.
const CALLS: &[Call] = &[
    one("/mapmill.v1.Driver/Register", &[Role::Worker]),
    one("/mapmill.v1.Driver/NextTask", &[Role::Worker]),
    one("/mapmill.v1.Driver/Heartbeat", &[Role::Worker]),
    one("/mapmill.v1.Driver/Report", &[Role::Worker]),
    one("/mapmill.v1.Driver/Leave", &[Role::Worker]),
    one("/mapmill.v1.Driver/Status", &[Role::Viewer]),
    one("/grpc.health.v1.Health/Check", &[Role::Viewer, Role::Worker]),
    one("/grpc.health.v1.Health/Watch", &[Role::Viewer]),
    stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &[Role::Viewer]),
    stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &[Role::Viewer]),
];

const fn one(path: &'static str, roles: &'static [Role]) -> Call {
    Call { path, roles, messages: Messages::One }
}

const fn stream(path: &'static str, roles: &'static [Role]) -> Call {
    Call { path, roles, messages: Messages::Stream }
}

/// Passes only permitted calls on to the services.
#[derive(Clone)]
pub(super) struct Guard {
    services: Services,
    credentials: Arc<Credentials>,
    refusals: Arc<Refusals>,
}

/// Why a call is refused: for the log, and for the caller.
struct Refused {
    cause: Cause,
    status: Status,
}

impl Guard {
    pub(super) fn new(
        services: Services,
        credentials: Arc<Credentials>,
        refusals: Arc<Refusals>,
    ) -> Self {
        Self { services, credentials, refusals }
    }

    /// Admits the call, or says why not. Removes the token from it, valid or not, so that no later
    /// code has to hide it.
    fn admit<B>(&self, request: &mut Request<B>) -> Result<Messages, Status> {
        let shown = request.headers_mut().remove("authorization");
        // A connection of a simulated network says nothing about its peer.
        let connection = request.extensions().get::<Connection>().cloned().unwrap_or_default();
        let path = match request.uri().query() {
            None => request.uri().path(),
            Some(_) => "a path with a query",
        };
        let admitted = self
            .identify(&connection, shown.as_ref())
            .and_then(|identity| Ok((may_call(&identity, path)?, identity)));
        match admitted {
            Ok((messages, identity)) => {
                connection.set_admitted();
                let address = connection.address();
                request.extensions_mut().insert(Peer { identity, address });
                Ok(messages)
            }
            Err(Refused { cause, status }) => {
                let what = format_args!("a call: {}", status.message());
                self.refusals.log(cause, connection.address(), what);
                Err(status)
            }
        }
    }

    /// The caller's identity, as far as this driver requires one.
    fn identify(
        &self,
        connection: &Connection,
        shown: Option<&HeaderValue>,
    ) -> Result<Identity, Refused> {
        let token = self.credentials.token.as_ref();
        // If both are presented, both must be valid. The certificate says more.
        if let (Some(token), Some(shown)) = (token, shown)
            && !token.admits(shown.as_bytes())
        {
            return Err(self.unauthenticated("has another token"));
        }
        match (connection.certified(), token, shown) {
            (Some(Ok((role, name))), _, _) => {
                Ok(Identity::Certified { role: *role, name: name.clone() })
            }
            (Some(Err(error)), _, _) => Err(Refused {
                cause: Cause::Certificate,
                status: Status::permission_denied(error.to_string()),
            }),
            (None, Some(_), Some(_)) => Ok(Identity::Bearer),
            (None, Some(_), None) => Err(self.unauthenticated("has none")),
            (None, None, _) if self.credentials.tls.is_some() => {
                Err(self.unauthenticated("has none"))
            }
            (None, None, _) => Ok(Identity::Anyone),
        }
    }

    /// What this driver requires of a call, which `has` something else.
    fn unauthenticated(&self, has: &str) -> Refused {
        let Credentials { token, tls, .. } = &*self.credentials;
        let required = match (tls.is_some(), token.is_some()) {
            (true, true) => "a certificate of its authority or a token",
            (true, false) => "a certificate of its authority",
            (false, _) => "a token",
        };
        let message = format!("this driver requires {required}, and the call {has}");
        Refused { cause: Cause::Token, status: Status::unauthenticated(message) }
    }
}

/// The method of this path, if there is one.
fn may_call(identity: &Identity, path: &str) -> Result<Messages, Refused> {
    let Some(call) = CALLS.iter().find(|call| call.path == path) else {
        let path = printable(path, PATH_BYTES_SHOWN);
        let status = Status::permission_denied(format!("there is nothing to call at {path:?}"));
        return Err(Refused { cause: Cause::Path, status });
    };
    let (role, name) = match identity {
        Identity::Anyone | Identity::Bearer => return Ok(call.messages),
        Identity::Certified { role, .. } if call.roles.contains(role) => return Ok(call.messages),
        Identity::Certified { role, name } => (role, name),
    };
    let method = call.path.rsplit('/').next().unwrap_or_default();
    // All entries but one have a single role.
    let wanted = call.roles.first().unwrap_or(&Role::Worker);
    let status = Status::permission_denied(format!(
        "a {role}'s certificate (urn:mapmill:{role}:{name}) may not call {method}; a {wanted}'s may"
    ));
    Err(Refused { cause: Cause::Role, status })
}

impl Service<Request<Body>> for Guard {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answered;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Answered {
        match self.admit(&mut request) {
            Ok(Messages::One) => {
                self.services.answer(request.map(|body| Body::new(InTime::new(body))))
            }
            Ok(Messages::Stream) => self.services.answer(request),
            Err(status) => Box::pin(std::future::ready(Ok(status.into_http()))),
        }
    }
}

/// Bytes of a path without a method that the log and the caller are shown.
const PATH_BYTES_SHOWN: usize = 100;
