//! Handshakes: a peer with the wrong credentials is told why, and the driver logs it too.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rpc::{CallError, Client, Credentials, Identity, Role, Token};
use tokio::time::Instant;

use crate::authority::{Authority, CLIENT, HOUR, SERVER, Says, good, load, with_tls, write};
use crate::driver::{Server, denied, in_time};
use crate::{log, raw};

#[tokio::test]
async fn callers_are_identified_by_their_certificates() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;

    let viewer = authority.credentials(Role::Viewer, "eve");
    assert_eq!(viewer.tls.as_ref().unwrap().name(), "eve");
    server.status(&viewer).await.unwrap();

    let name = "eve".to_owned();
    let eve = Identity::Certified { role: Role::Viewer, name };
    assert_eq!(server.last_caller(), Some(eve));
    // Names, too.
    let address = format!("localhost:{}", server.address.port());
    Client::new(&address, &viewer).unwrap().status().await.unwrap();
    assert_eq!(log::take(), "");
}

#[tokio::test]
async fn caller_without_a_certificate_is_refused() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;

    let alert = raw::alert(server.address, &raw::config(&authority.certificate, None)).await;

    assert!(alert.contains("CertificateRequired"), "{alert}");
    log::expect("refused a handshake: no certificate was shown").await;
    assert_eq!(server.last_caller(), None);
}

#[tokio::test]
async fn with_a_token_configured_either_is_enough() {
    let authority = Authority::new("ours");
    let token = Token::random().unwrap();
    let driver = authority.credentials(Role::Driver, "d");
    let server = Server::start(Credentials { token: Some(token.clone()), ..driver }).await;
    let channel = raw::channel(server.address, Some(raw::config(&authority.certificate, None)));
    let status = || "/mapmill.v1.Driver/Status".parse().unwrap();
    let bearer = |text: &str| format!("Bearer {text}");

    raw::call(&channel, status(), Some(&bearer(token.expose()))).await.unwrap();
    assert_eq!(server.last_caller(), Some(Identity::Bearer));
    server.status(&authority.credentials(Role::Viewer, "eve")).await.unwrap();
    assert!(matches!(server.last_caller(), Some(Identity::Certified { role: Role::Viewer, .. })));
    assert_eq!(log::take(), "");

    // Nothing, an empty token, another, and a part of it.
    for header in [None, Some(""), Some("Bearer "), Some(&*bearer(&token.expose()[1..]))] {
        let refused = raw::call(&channel, status(), header).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        let wanted = "requires a certificate of its authority or a token";
        assert!(refused.message().contains(wanted), "{refused}");
    }
    log::expect("refused a call: this driver requires a certificate").await;
}

#[tokio::test]
async fn wrong_token_is_refused_despite_a_valid_certificate() {
    let authority = Authority::new("ours");
    let driver = authority.credentials(Role::Driver, "d");
    let token = Some(Token::random().unwrap());
    let server = Server::start(Credentials { token: token.clone(), ..driver }).await;
    let viewer = authority.credentials(Role::Viewer, "eve");

    let wrong = Credentials { token: Some(Token::random().unwrap()), ..viewer.clone() };
    let refused = server.denied(&wrong).await;
    assert!(refused.contains("the call has another token"), "{refused}");
    log::expect("the call has another token").await;

    // The right one is accepted, and grants no more than the certificate.
    let right = Credentials { token, ..viewer };
    server.status(&right).await.unwrap();
    assert!(matches!(server.last_caller(), Some(Identity::Certified { role: Role::Viewer, .. })));
}

#[tokio::test]
async fn callers_of_another_authority_are_refused_by_the_driver() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = Server::start(ours.credentials(Role::Driver, "d")).await;
    // They trust both, so that the driver refuses first.
    let folder = theirs.folder(Role::Viewer, "eve");
    write(&folder.join("ca.pem"), &(ours.certificate.clone() + &theirs.certificate), 0o644);

    let refused = server.denied(&with_tls(load(&folder, Role::Viewer).unwrap())).await;

    assert!(refused.contains("is of another authority than its own: use a folder"), "{refused}");
    log::expect("refused a handshake: the certificate that was shown was made by another").await;
}

/// Its name is the same, as for all that were made before names had digests.
#[tokio::test]
async fn authority_of_the_same_name_is_another() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("ours"));
    let server = Server::start(ours.credentials(Role::Driver, "d")).await;

    let refused = server.denied(&theirs.credentials(Role::Viewer, "eve")).await;

    assert!(refused.contains("certificate was made by another authority than"), "{refused}");
}

#[tokio::test]
async fn driver_of_another_authority_is_refused_by_its_callers() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = Server::start(theirs.credentials(Role::Driver, "d")).await;

    let refused = server.denied(&ours.credentials(Role::Viewer, "eve")).await;

    assert!(refused.contains("certificate was made by another authority than"), "{refused}");
    assert!(refused.contains("ca.pem"), "{refused}");
    log::expect("the other end refused this driver's certificate (UnknownCA)").await;
}

#[tokio::test]
async fn certificate_that_expires_is_refused_from_then_on() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;
    let end = SystemTime::now() + Duration::from_secs(2);
    let folder = authority.folder_of("eve", &Says { until: end, ..good(Role::Viewer, "eve") });
    // Loaded while it is good, as by a worker that has run for long.
    let viewer = with_tls(load(&folder, Role::Viewer).unwrap());
    server.status(&viewer).await.unwrap();
    log::take();

    let refused = until(|| server.status(&viewer), |answer| answer.is_err()).await;

    let refused = denied(refused);
    assert!(refused.contains("has expired or is not yet valid; it is valid from"), "{refused}");
    assert!(refused.contains("and here it is"), "{refused}");
    log::expect("the certificate that was shown has expired: it was valid until").await;
    let error = load(&folder, Role::Viewer).unwrap_err().to_string();
    assert!(error.contains("cert.pem expired on"), "{error}");
}

#[tokio::test]
async fn certificate_that_is_not_yet_valid_is_refused() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;
    let tomorrow = |role| Says {
        from: SystemTime::now() + HOUR,
        until: SystemTime::now() + 2 * HOUR,
        ..good(role, "early")
    };
    let folder = authority.folder_of("early", &tomorrow(Role::Viewer));

    let config = raw::config(&authority.certificate, Some(&folder));
    let alert = raw::alert(server.address, &config).await;
    assert!(alert.contains("CertificateExpired"), "{alert}");
    log::expect("the certificate that was shown is not yet valid: it is from").await;
    let error = load(&folder, Role::Viewer).unwrap_err().to_string();
    assert!(error.contains("is valid from") && error.contains("and here it is"), "{error}");

    // And the driver's.
    let driver = raw::serve(&authority.folder_of("early-d", &tomorrow(Role::Driver))).await;
    let viewer = authority.credentials(Role::Viewer, "eve");
    let refused = denied(Client::new(&driver.to_string(), &viewer).unwrap().status().await);
    assert!(refused.contains("is not yet valid: it is from"), "{refused}");
    assert!(refused.contains("and here it is"), "{refused}");
}

#[tokio::test]
async fn certificates_are_valid_for_one_end_only() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;

    // The driver's as a caller's.
    let folder = authority.folder(Role::Driver, "d2");
    let config = raw::config(&authority.certificate, Some(&folder));
    let alert = raw::alert(server.address, &config).await;
    assert!(alert.contains("UnsupportedCertificate"), "{alert}");
    log::expect("that was shown is not for this end of a connection").await;
    // A caller's as a driver's.
    let imposter = raw::serve(
        &authority.folder_of("w", &Says { hosts: vec!["127.0.0.1"], ..good(Role::Worker, "w") }),
    )
    .await;
    let viewer = authority.credentials(Role::Viewer, "eve");
    let refused = denied(Client::new(&imposter.to_string(), &viewer).unwrap().status().await);
    assert!(refused.contains("is not for this end of a connection"), "{refused}");
}

/// The role is checked even where the key usages would allow everything.
#[tokio::test]
async fn roles_are_checked_where_usages_allow_everything() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;
    let both = |role, name| Says {
        usages: vec![CLIENT, SERVER],
        hosts: vec!["127.0.0.1"],
        ..good(role, name)
    };

    // A driver's certificate may call nothing, not even another driver.
    let folder = authority.folder_of("d2", &both(Role::Driver, "d2"));
    let refused = server.denied(&with_tls(load(&folder, Role::Driver).unwrap())).await;
    assert!(
        refused.contains("a driver's certificate (urn:mapmill:driver:d2) may not"),
        "{refused}"
    );
    log::expect("refused a call: a driver's certificate (urn:mapmill:driver:d2)").await;

    // And a worker's certificate is not a driver's.
    let imposter = raw::serve(&authority.folder_of("w", &both(Role::Worker, "w"))).await;
    let viewer = authority.credentials(Role::Viewer, "eve");
    let refused = denied(Client::new(&imposter.to_string(), &viewer).unwrap().status().await);
    assert!(refused.contains("the certificate of the worker w, not a driver's"), "{refused}");
}

#[tokio::test]
async fn certificate_without_exactly_one_role_is_refused() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;
    for (name, uris, cause) in [
        ("none", vec![], "names no role"),
        ("two", vec!["urn:mapmill:viewer:a", "urn:mapmill:worker:a"], "names 2 roles"),
        ("odd", vec!["urn:mapmill:owner:a"], "names an unknown role"),
        ("nameless", vec!["urn:mapmill:viewer:"], "names its bearer \"\""),
        ("case", vec!["URN:mapmill:viewer:a"], "names an unknown role"),
        ("path", vec!["urn:mapmill:viewer:../a"], "names its bearer \"../a\""),
    ] {
        let uris = uris.into_iter().map(str::to_owned).collect();
        let says = Says { uris, ..good(Role::Viewer, name) };
        let folder = authority.folder_of(name, &says);
        let config = raw::config(&authority.certificate, Some(&folder));
        let channel = raw::channel(server.address, Some(config));

        let path = "/mapmill.v1.Driver/Status".parse().unwrap();
        let refused = raw::call(&channel, path, None).await.unwrap_err();

        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{name}");
        assert!(refused.message().contains(cause), "{refused}");
        let error = load(&folder, Role::Viewer).unwrap_err().to_string();
        assert!(error.contains(cause), "{error}");
    }
    log::expect("refused a call: the certificate names no role").await;
}

#[tokio::test]
async fn driver_must_be_called_by_a_name_of_its_certificate() {
    let authority = Authority::new("ours");
    let says = Says { hosts: vec!["driver.example.org", "10.0.0.7"], ..good(Role::Driver, "d") };
    let folder = authority.folder_of("d", &says);
    let server = Server::start(with_tls(load(&folder, Role::Driver).unwrap())).await;

    let refused = server.denied(&authority.credentials(Role::Viewer, "eve")).await;

    let wanted = "is for driver.example.org, 10.0.0.7, not for 127.0.0.1";
    assert!(refused.contains(wanted), "{refused}");
    log::expect("the other end refused this driver's certificate (BadCertificate)").await;
}

#[tokio::test]
async fn driver_with_tls_is_not_reached_without_it() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;

    let refused = server.denied(&Credentials::default()).await;

    assert!(refused.contains("the server there requires TLS"), "{refused}");
    log::expect("refused a handshake: the other end does not speak TLS").await;
}

#[tokio::test]
async fn driver_without_tls_is_not_reached_with_it() {
    let server = Server::start(Credentials::default()).await;

    let refused = server.denied(&Authority::new("ours").credentials(Role::Viewer, "eve")).await;

    assert!(refused.contains("the server there does not speak TLS"), "{refused}");
    log::expect("refused a connection with TLS, which this driver was not started with").await;
}

/// New certificates do not reach all sides at once: a worker that was connected keeps retrying.
#[tokio::test]
async fn driver_that_has_answered_before_is_retried() {
    let authority = Authority::new("ours");
    let server = Server::start(authority.credentials(Role::Driver, "d")).await;
    let mut client = server.client(&authority.credentials(Role::Viewer, "eve"));
    client.status().await.unwrap();

    let address = server.address;
    drop(server);
    let listener = until(|| std::future::ready(TcpListener::bind(address)), |bound| bound.is_ok());
    let listener = listener.await.unwrap();
    listener.set_nonblocking(true).unwrap();
    let other = Authority::new("other").credentials(Role::Driver, "d");
    let other = Server::start_on(tokio::net::TcpListener::from_std(listener).unwrap(), other);
    let is_of_tls = |answer: &Result<_, CallError>| {
        answer.as_ref().is_err_and(|error| error.to_string().contains("another authority"))
    };
    let mut seen;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        seen = client.status().await;
        if is_of_tls(&seen) || Instant::now() > deadline {
            break;
        }
    }

    assert!(is_of_tls(&seen), "{seen:?}");
    assert!(seen.unwrap_err().is_transient());
    drop(other);
}

#[tokio::test]
async fn token_is_not_sent_unencrypted_to_another_machine() {
    let Some(address) = elsewhere() else {
        return;
    };
    let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
    let token = Token::random().unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::start_on(listener, Some(token.clone()).into());

    let shy = Credentials { token: Some(token), ..Credentials::default() };
    let refused = server.denied(&shy).await;
    assert!(refused.contains(&format!("the token would go to {address}")), "{refused}");
    assert_eq!(server.last_caller(), None);

    let bold = Credentials { send_token_unencrypted: true, ..shy };
    server.status(&bold).await.unwrap();
    assert_eq!(server.last_caller(), Some(Identity::Bearer));
}

#[test]
fn files_that_cannot_be_used_are_named_with_a_way_out() {
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let folder = authority.folder(Role::Worker, "w7");
    let error = |folder: &Path| load(folder, Role::Worker).unwrap_err().to_string();
    let strange = other.folder(Role::Worker, "w8");
    let copy = |from: &Path, file: &str| {
        fs::copy(from.join(file), folder.join(file)).unwrap();
    };
    load(&folder, Role::Worker).unwrap();

    copy(&strange, "ca.pem");
    let said = error(&folder);
    assert!(said.contains("was not made by the authority of"), "{said}");
    copy(&strange, "key.pem");
    let said = error(&folder);
    assert!(said.contains("key.pem is not the key to"), "{said}");
    let folder = authority.folder(Role::Worker, "w7");
    fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = error(&folder);
    assert!(said.contains("(mode 644): chmod 600 "), "{said}");
    write(&folder.join("key.pem"), "no key", 0o600);
    let said = error(&folder);
    assert!(said.contains("key.pem has none, and a private key"), "{said}");
    write(&folder.join("cert.pem"), "-----BEGIN CERTIFICATE-----\n!", 0o600);
    let said = error(&folder);
    assert!(said.contains("cert.pem has a damaged one"), "{said}");
    fs::remove_file(folder.join("cert.pem")).unwrap();
    let said = error(&folder);
    assert!(said.contains("cannot read"), "{said}");

    let said = error(&authority.folder(Role::Viewer, "eve"));
    assert!(said.contains("has role viewer (name eve); role worker is needed"), "{said}");
    let says = Says { usages: vec![SERVER], ..good(Role::Worker, "w9") };
    let said = error(&authority.folder_of("w9", &says));
    assert!(said.contains("is not for this end of a connection"), "{said}");
}

#[test]
fn key_is_not_shown_by_debug_output() {
    let authority = Authority::new("ours");
    let folder = authority.folder(Role::Worker, "w7");
    let shown = format!("{:?}", with_tls(load(&folder, Role::Worker).unwrap()));

    assert!(shown.contains("w7") && shown.contains("key.pem"), "{shown}");
    let key = fs::read_to_string(folder.join("key.pem")).unwrap();
    assert!(!shown.contains(key.lines().nth(1).unwrap()));
    assert!(shown.len() < 500, "{shown}");
}

/// An address of this machine that is not of the loopback, if it has one.
fn elsewhere() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Sends nothing: finds the address that the route would use.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// The awaited result, or the last one.
async fn until<T, Work: Future<Output = T>>(
    mut work: impl FnMut() -> Work,
    is_it: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let brought = in_time(work()).await;
        if is_it(&brought) || Instant::now() > deadline {
            return brought;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
