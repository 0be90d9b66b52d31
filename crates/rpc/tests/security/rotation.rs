//! A running driver and its callers load new files, and keep the old ones when the new are broken.

use std::fs;
use std::time::{Duration, Instant};

use rpc::{Credentials, Identity, Role};

use crate::authority::{Authority, load, with_tls, write};
use crate::driver::Server;
use crate::log;

#[tokio::test]
async fn new_certificates_are_loaded_without_a_restart() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let driver = old.folder(Role::Driver, "d");
    let server = Server::start(with_tls(load(&driver, Role::Driver).unwrap())).await;
    let worker = old.folder(Role::Viewer, "eve");
    let eve = with_tls(load(&worker, Role::Viewer).unwrap());
    server.status(&eve).await.unwrap();
    // Active all the time: its connection stays open.
    let mut busy = server.client(&eve);
    busy.status().await.unwrap();

    // First both trust both authorities, then both use the new one, as in practice.
    let both = old.certificate.clone() + &new.certificate;
    write(&driver.join("ca.pem"), &both, 0o644);
    write(&worker.join("ca.pem"), &both, 0o644);
    let mallory = new.folder(Role::Viewer, "mallory");
    write(&mallory.join("ca.pem"), &both, 0o644);
    let mallory = with_tls(load(&mallory, Role::Viewer).unwrap());
    until_it_works(&server, &mallory).await;

    let fresh = new.folder(Role::Viewer, "eve-2");
    for file in ["cert.pem", "key.pem"] {
        let text = fs::read_to_string(fresh.join(file)).unwrap();
        write(&worker.join(file), &text, 0o600);
    }
    until_it_works_as(&server, &eve, "eve-2").await;

    assert_eq!(eve.tls.as_ref().unwrap().name(), "eve-2");
    busy.status().await.unwrap();
    assert!(log::take().contains("took new certificates"));
}

#[tokio::test]
async fn files_that_cannot_be_used_change_nothing() {
    let authority = Authority::new("ours");
    let driver = authority.folder(Role::Driver, "d");
    let server = Server::start(with_tls(load(&driver, Role::Driver).unwrap())).await;
    let eve = authority.credentials(Role::Viewer, "eve");
    server.status(&eve).await.unwrap();
    log::take();

    // Half of a change: a key without its certificate.
    let key = authority.folder(Role::Driver, "d2").join("key.pem");
    write(&driver.join("key.pem"), &fs::read_to_string(key).unwrap(), 0o600);

    let mut logged = String::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !logged.contains("keeping the certificates") && Instant::now() < deadline {
        server.status(&eve).await.unwrap();
        logged += &log::take();
    }
    assert!(logged.contains("key.pem is not the key to"), "{logged}");
    // Checked again, and not logged again.
    let again = Instant::now() + rpc::limits::CERTIFICATE_LOOK_INTERVAL.mul_f32(1.2);
    while Instant::now() < again {
        server.status(&eve).await.unwrap();
    }
    assert_eq!(log::take(), "");
}

async fn until_it_works(server: &Server, credentials: &Credentials) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match server.status(credentials).await {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

async fn until_it_works_as(server: &Server, credentials: &Credentials, name: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = server.status(credentials).await;
        let caller = server.last_caller();
        let is_it = matches!(&caller, Some(Identity::Certified { name: it, .. }) if it == name);
        if answer.is_ok() && is_it {
            return;
        }
        assert!(Instant::now() < deadline, "{answer:?} {caller:?}");
    }
}
