//! The gRPC services of a driver: a call goes to the one that its path names.
//!
//! Our own rather than tonic's router, which is a web framework: four names need none.

use std::convert::Infallible;
use std::sync::Arc;

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

pub(super) type Answered = BoxFuture<Response<Body>, Infallible>;

/// Cloning is cheap and shares the services.
#[derive(Clone, Default)]
pub(super) struct Services(Vec<(&'static str, Arc<dyn Answers>)>);

/// A service without its type.
trait Answers: Send + Sync {
    fn answer(&self, request: Request<Body>) -> Answered;
}

impl<S> Answers for S
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answered>,
    S: Clone + Send + Sync,
{
    fn answer(&self, request: Request<Body>) -> Answered {
        // Generated services are always ready.
        self.clone().call(request)
    }
}

impl Services {
    #[expect(private_bounds, reason = "generated services are named, and answer")]
    pub(super) fn with<S: Answers + NamedService + 'static>(mut self, service: S) -> Self {
        self.0.push((S::NAME, Arc::new(service)));
        self
    }

    pub(super) fn answer(&self, request: Request<Body>) -> Answered {
        let name = request.uri().path().split('/').nth(1).unwrap_or_default();
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, service)) => service.answer(request),
            None => Box::pin(async { Ok(Status::unimplemented("no such service").into_http()) }),
        }
    }
}
