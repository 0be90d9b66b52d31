//! Servers that are no drivers: a caller learns what answers there, and may call again later.

use std::net::SocketAddr;

use rpc::{Addresses, CallError, Client, Credentials, OtherServer, Role, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::authority::Authority;
use crate::driver::{Server, in_time};
use crate::frames::not_found;

#[tokio::test]
async fn server_of_another_protocol_is_told_from_a_driver() {
    for (answer, expected) in [
        ("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", OtherServer::Http1),
        ("<!DOCTYPE HTML>\n<html lang=\"en\">", OtherServer::Other),
        ("SSH-2.0-OpenSSH_9.2\r\n", OtherServer::Other),
    ] {
        let address = serve(answer.into()).await;
        for credentials in with_and_without_tls() {
            assert_eq!(other(address, &credentials).await, expected, "{answer}");
        }
    }
}

#[tokio::test]
async fn server_that_sends_nothing_is_told_from_a_driver() {
    let address = serve(Vec::new()).await;

    for credentials in with_and_without_tls() {
        let began = Instant::now();
        assert_eq!(other(address, &credentials).await, OtherServer::Silent);
        assert!(began.elapsed() < limits::CALL_DEADLINE * 2, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn server_that_closes_connections_is_told_from_a_driver() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Without a reset, which a network may cause too.
            tokio::spawn(async move {
                let _ = stream.shutdown().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });

    for credentials in with_and_without_tls() {
        assert_eq!(other(address, &credentials).await, OtherServer::Closing);
    }
}

/// As `openssl s_server`, with a certificate of the same authority.
#[tokio::test]
async fn server_that_sends_nothing_after_the_handshake_of_tls_is_told_from_a_driver() {
    let ours = Authority::new("ours");
    let address = crate::raw::serve(&ours.folder(Role::Driver, "other")).await;

    let credentials = ours.credentials(Role::Viewer, "eve");
    assert_eq!(other(address, &credentials).await, OtherServer::Silent);
}

#[tokio::test]
async fn server_of_other_http_2_is_told_from_a_driver() {
    let address = serve(not_found()).await;

    assert_eq!(other(address, &Credentials::default()).await, OtherServer::Http2);
}

/// The client is the same: what it has learned of the server is forgotten.
#[tokio::test]
async fn driver_that_is_started_in_the_place_of_another_server_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = Client::new(&address.to_string(), &Credentials::default()).unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.0 400 Bad\r\n\r\n").await.unwrap();
        // Until the client has read it and hangs up.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        listener
    };
    let (answer, listener) = in_time(async { tokio::join!(client.status(), serve) }).await;
    assert!(matches!(answer, Err(CallError::OtherServer(OtherServer::Http1))), "{answer:?}");

    let _driver = Server::start_on(listener, Credentials::default());

    in_time(client.status()).await.unwrap();
    assert_eq!(client.other_server(), None);
}

/// The kernel accepts connections for a driver that is frozen: a standby has another address.
#[tokio::test]
async fn driver_is_found_behind_an_address_that_accepts_and_sends_nothing() {
    let ours = Authority::new("ours");
    let with_tls =
        (ours.credentials(Role::Viewer, "eve"), ours.credentials(Role::Driver, "standby"));
    for (credentials, of_driver) in [with_tls, Default::default()] {
        let frozen = serve(Vec::new()).await;
        let driver = Server::start(of_driver).await;
        // The certificate is for both hosts.
        let standby = format!("localhost:{}", driver.address.port());
        let addresses = Addresses::new(frozen.to_string(), [standby]);
        let mut client = Client::to_any(&addresses, &credentials).unwrap();

        let first = in_time(client.status()).await.unwrap_err();
        assert!(first.is_transient(), "{first}");
        let found = async { while client.status().await.is_err() {} };
        in_time(found).await;

        assert_eq!(client.other_server(), None);
        driver.stop().await;
    }
}

/// A standby does not listen before it takes over.
#[tokio::test]
async fn driver_is_found_behind_addresses_that_refuse_and_names_that_are_unknown() {
    let driver = Server::start(Credentials::default()).await;
    // No program listens at port 1.
    let others = ["unknown.invalid:1".to_owned(), driver.address.to_string()];
    let addresses = Addresses::new("127.0.0.1:1".to_owned(), others);
    let mut client = Client::to_any(&addresses, &Credentials::default()).unwrap();

    in_time(client.status()).await.unwrap();
}

fn with_and_without_tls() -> [Credentials; 2] {
    [Credentials::default(), Authority::new("ours").credentials(Role::Viewer, "eve")]
}

async fn other(address: SocketAddr, credentials: &Credentials) -> OtherServer {
    let mut client = Client::new(&address.to_string(), credentials).unwrap();
    let error = in_time(client.status()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    match error {
        CallError::OtherServer(other) => other,
        CallError::Denied(_) | CallError::Protocol { .. } | CallError::Unreachable { .. } => {
            panic!("{error:?}")
        }
    }
}

/// A server that sends `answer` when a client has sent something, and reads on.
async fn serve(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut read = [0; 1 << 10];
                let mut is_answered = answer.is_empty();
                while stream.read(&mut read).await.is_ok_and(|bytes| bytes > 0) {
                    if !is_answered && stream.write_all(&answer).await.is_err() {
                        return;
                    }
                    is_answered = true;
                }
            });
        }
    });
    address
}
