//! Generated from `proto/mapmill/v1/mapmill.proto`, which has the comments. Do not edit. Change the
//! `.proto`, run `REWRITE=1 cargo test -p rpc --test generated`, then change the code that uses it.

#![allow(
    unused_variables,
    dead_code,
    missing_docs,
    clippy::wildcard_imports,
    clippy::let_unit_value,
)]
use tonic::codegen::*;
use tonic::codegen::http::Uri;
#[derive(Debug, Clone)]
pub struct DriverClient<T> {
    inner: tonic::client::Grpc<T>,
}
impl<T> DriverClient<T>
where
    T: tonic::client::GrpcService<tonic::body::Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: Body<Data = Bytes> + std::marker::Send + 'static,
    <T::ResponseBody as Body>::Error: Into<StdError> + std::marker::Send,
{
    pub fn new(inner: T) -> Self {
        let inner = tonic::client::Grpc::new(inner);
        Self { inner }
    }
    pub fn with_origin(inner: T, origin: Uri) -> Self {
        let inner = tonic::client::Grpc::with_origin(inner, origin);
        Self { inner }
    }
    pub fn with_interceptor<F>(
        inner: T,
        interceptor: F,
    ) -> DriverClient<InterceptedService<T, F>>
    where
        F: tonic::service::Interceptor,
        T::ResponseBody: Default,
        T: tonic::codegen::Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<
                <T as tonic::client::GrpcService<tonic::body::Body>>::ResponseBody,
            >,
        >,
        <T as tonic::codegen::Service<
            http::Request<tonic::body::Body>,
        >>::Error: Into<StdError> + std::marker::Send + std::marker::Sync,
    {
        DriverClient::new(InterceptedService::new(inner, interceptor))
    }
    /// Compress requests with the given encoding.
    ///
    /// This requires the server to support it otherwise it might respond with an
    /// error.
    #[must_use]
    pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
        self.inner = self.inner.send_compressed(encoding);
        self
    }
    /// Enable decompressing responses.
    #[must_use]
    pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
        self.inner = self.inner.accept_compressed(encoding);
        self
    }
    /// Limits the maximum size of a decoded message.
    ///
    /// Default: `4MB`
    #[must_use]
    pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
        self.inner = self.inner.max_decoding_message_size(limit);
        self
    }
    /// Limits the maximum size of an encoded message.
    ///
    /// Default: `usize::MAX`
    #[must_use]
    pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
        self.inner = self.inner.max_encoding_message_size(limit);
        self
    }
    pub async fn register(
        &mut self,
        request: impl tonic::IntoRequest<super::RegisterRequest>,
    ) -> std::result::Result<
        tonic::Response<super::RegisterResponse>,
        tonic::Status,
    > {
        self.inner
            .ready()
            .await
            .map_err(|e| {
                tonic::Status::unknown(
                    format!("Service was not ready: {}", e.into()),
                )
            })?;
        let codec = tonic_prost::ProstCodec::default();
        let path = http::uri::PathAndQuery::from_static(
            "/mapmill.v1.Driver/Register",
        );
        let mut req = request.into_request();
        req.extensions_mut()
            .insert(GrpcMethod::new("mapmill.v1.Driver", "Register"));
        self.inner.unary(req, path, codec).await
    }
    pub async fn next_task(
        &mut self,
        request: impl tonic::IntoRequest<super::NextTaskRequest>,
    ) -> std::result::Result<
        tonic::Response<super::NextTaskResponse>,
        tonic::Status,
    > {
        self.inner
            .ready()
            .await
            .map_err(|e| {
                tonic::Status::unknown(
                    format!("Service was not ready: {}", e.into()),
                )
            })?;
        let codec = tonic_prost::ProstCodec::default();
        let path = http::uri::PathAndQuery::from_static(
            "/mapmill.v1.Driver/NextTask",
        );
        let mut req = request.into_request();
        req.extensions_mut()
            .insert(GrpcMethod::new("mapmill.v1.Driver", "NextTask"));
        self.inner.unary(req, path, codec).await
    }
    pub async fn heartbeat(
        &mut self,
        request: impl tonic::IntoRequest<super::HeartbeatRequest>,
    ) -> std::result::Result<
        tonic::Response<super::HeartbeatResponse>,
        tonic::Status,
    > {
        self.inner
            .ready()
            .await
            .map_err(|e| {
                tonic::Status::unknown(
                    format!("Service was not ready: {}", e.into()),
                )
            })?;
        let codec = tonic_prost::ProstCodec::default();
        let path = http::uri::PathAndQuery::from_static(
            "/mapmill.v1.Driver/Heartbeat",
        );
        let mut req = request.into_request();
        req.extensions_mut()
            .insert(GrpcMethod::new("mapmill.v1.Driver", "Heartbeat"));
        self.inner.unary(req, path, codec).await
    }
    pub async fn report(
        &mut self,
        request: impl tonic::IntoRequest<super::ReportRequest>,
    ) -> std::result::Result<tonic::Response<super::ReportResponse>, tonic::Status> {
        self.inner
            .ready()
            .await
            .map_err(|e| {
                tonic::Status::unknown(
                    format!("Service was not ready: {}", e.into()),
                )
            })?;
        let codec = tonic_prost::ProstCodec::default();
        let path = http::uri::PathAndQuery::from_static("/mapmill.v1.Driver/Report");
        let mut req = request.into_request();
        req.extensions_mut().insert(GrpcMethod::new("mapmill.v1.Driver", "Report"));
        self.inner.unary(req, path, codec).await
    }
    pub async fn leave(
        &mut self,
        request: impl tonic::IntoRequest<super::LeaveRequest>,
    ) -> std::result::Result<tonic::Response<super::LeaveResponse>, tonic::Status> {
        self.inner
            .ready()
            .await
            .map_err(|e| {
                tonic::Status::unknown(
                    format!("Service was not ready: {}", e.into()),
                )
            })?;
        let codec = tonic_prost::ProstCodec::default();
        let path = http::uri::PathAndQuery::from_static("/mapmill.v1.Driver/Leave");
        let mut req = request.into_request();
        req.extensions_mut().insert(GrpcMethod::new("mapmill.v1.Driver", "Leave"));
        self.inner.unary(req, path, codec).await
    }
    pub async fn status(
        &mut self,
        request: impl tonic::IntoRequest<super::StatusRequest>,
    ) -> std::result::Result<tonic::Response<super::StatusResponse>, tonic::Status> {
        self.inner
            .ready()
            .await
            .map_err(|e| {
                tonic::Status::unknown(
                    format!("Service was not ready: {}", e.into()),
                )
            })?;
        let codec = tonic_prost::ProstCodec::default();
        let path = http::uri::PathAndQuery::from_static("/mapmill.v1.Driver/Status");
        let mut req = request.into_request();
        req.extensions_mut().insert(GrpcMethod::new("mapmill.v1.Driver", "Status"));
        self.inner.unary(req, path, codec).await
    }
}
