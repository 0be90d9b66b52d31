//! Third-party callers: any TLS configuration, and calls of any path.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tonic::client::Grpc;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::driver::in_time;

/// Of a caller that trusts the authority, with a certificate or without.
pub fn config(authority: &str, folder: Option<&Path>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.expect("it is one")).expect("it is an authority's");
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("ring has TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match folder {
        None => config.with_no_client_auth(),
        Some(folder) => {
            let (chain, key) = files(folder);
            config.with_client_auth_cert(chain, key).expect("the key is to the certificate")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

fn files(folder: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem"));
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"));
    (vec![certificate.expect("it is one")], key.expect("it is one"))
}

/// A connection after the handshake.
pub async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

/// The alert that a driver sends to a caller it refuses in the handshake.
pub async fn alert(address: SocketAddr, config: &Arc<ClientConfig>) -> String {
    let refused = async {
        let mut stream = connect(address, config).await?;
        let mut first = [0; 1 << 10];
        loop {
            if stream.read(&mut first).await? == 0 {
                return Ok("nothing".to_owned());
            }
        }
    };
    in_time(refused).await.unwrap_or_else(|error: io::Error| error.to_string())
}

/// A driver with any certificate. It answers no call.
pub async fn serve(folder: &Path) -> SocketAddr {
    let (chain, key) = files(folder);
    let provider = Arc::new(crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("ring has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key is to the certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut unread = [0; 1 << 10];
                while stream.read(&mut unread).await.is_ok_and(|bytes| bytes > 0) {}
            }
        }
    });
    address
}

/// Calls over TLS, or over none.
pub fn channel(address: SocketAddr, config: Option<Arc<ClientConfig>>) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("it is an address");
    match config {
        None => endpoint.connect_lazy(),
        Some(config) => endpoint.connect_with_connector_lazy(Connector { address, config }),
    }
}

/// The result of a call of any path, with an empty message: its headers are enough. Retried when
/// its connection breaks, as an idle one is evicted after a while.
pub async fn call(
    channel: &Channel,
    path: PathAndQuery,
    header: Option<&str>,
) -> Result<(), Status> {
    let mut answer = call_once(channel, path.clone(), header).await;
    for _ in 0..5 {
        // A driver's answer has no cause on this side.
        if answer.as_ref().is_err_and(|status| status.source().is_some()) {
            answer = call_once(channel, path.clone(), header).await;
        }
    }
    answer
}

async fn call_once(
    channel: &Channel,
    path: PathAndQuery,
    header: Option<&str>,
) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let mut request = Request::new(());
    if let Some(header) = header {
        request.metadata_mut().insert("authorization", header.parse().expect("it is ASCII"));
    }
    let codec = ProstCodec::<(), ()>::default();
    in_time(grpc.server_streaming(request, path, codec)).await.map(|_answer| ())
}

struct Connector {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (address, config) = (self.address, Arc::clone(&self.config));
        Box::pin(async move { Ok(TokioIo::new(connect(address, &config).await?)) })
    }
}
