//! The commands that start workers for this driver, ready to be copied.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::shell::quoted;

/// Where the credentials of a driver are.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Its certificate, if it has one.
    pub(crate) certificate: Option<PathBuf>,
    /// The file of its token; `FILE` if the token is in the environment.
    pub(crate) token: Option<PathBuf>,
}

/// The command that starts a worker for the driver at `address`, which the user typed as `listen`.
pub(crate) fn worker(listen: &str, address: SocketAddr, keys: &Keys) -> String {
    let command = format!("mapmill worker --driver {}", called(listen, address));
    // A driver with both admits a worker with either.
    let Some(certificate) = &keys.certificate else {
        let Some(token) = &keys.token else { return command };
        let is_exposed = !rpc::is_loopback(address.ip());
        let insecure = if is_exposed { " --insecure" } else { "" };
        return format!("{command} --token-file {}{insecure}", quoted(token));
    };
    // `mapmill certs init` makes a worker's folder beside the driver's.
    let beside = certificate.parent().map(|folder| folder.with_file_name("worker"));
    match beside.filter(|folder| folder.is_dir()) {
        Some(folder) => format!("{command} --tls {}", quoted(folder)),
        None => format!("{command} --tls DIR"),
    }
}

/// How to call the driver at `address`, which the user typed as `listen`.
pub(crate) fn called(listen: &str, address: SocketAddr) -> String {
    format!("{}:{}", host(listen), address.port())
}

/// The way out for a driver that would listen on a network without TLS: how to make keys, and how
/// to use them.
pub(crate) fn to_certificates(listen: &str) -> String {
    let (host, port) = (host(listen), listen.rsplit_once(':').map_or("", |(_, port)| port));
    // Without --host, keys are made for the name of this machine.
    let hosts = match is_everywhere(listen) {
        true => String::new(),
        false => format!(" --host {}", host.trim_matches(['[', ']'])),
    };
    format!(
        "make keys:         mapmill certs init{hosts}\n\
         start the driver:  mapmill driver ... --listen {listen} --tls certs/driver\n\
         start workers:     mapmill worker --driver {host}:{port} --tls certs/worker"
    )
}

/// The name by which other machines reach a driver that listens there.
fn host(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some((host, _)) if !is_everywhere(listen) => host.to_owned(),
        Some(_) | None => driver::host_name(),
    }
}

/// Whether `listen` stands for all addresses of this machine: no other machine can call it.
fn is_everywhere(listen: &str) -> bool {
    listen.parse().is_ok_and(|address: SocketAddr| address.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_call_the_host_that_was_typed_and_the_port_that_was_bound() {
        let check = |listen: &str, address: &str, command: &str| {
            let address = address.parse().expect("a literal");
            let found = worker(listen, address, &Keys::default());
            assert_eq!(found, format!("mapmill worker --driver {command}"));
        };
        check("127.0.0.1:0", "127.0.0.1:4711", "127.0.0.1:4711");
        check("node7:0", "10.0.0.7:4711", "node7:4711");
        check("[::1]:0", "[::1]:4711", "[::1]:4711");
        let here = format!("{}:4711", driver::host_name());
        check("0.0.0.0:0", "0.0.0.0:4711", &here);
        check("[::]:0", "[::]:4711", &here);
    }

    #[test]
    fn workers_present_the_token_of_the_driver() {
        let check = |address: &str, token: &str, flags: &str| {
            let keys = Keys { token: Some(token.into()), certificate: None };
            let command = worker(address, address.parse().expect("a literal"), &keys);
            assert_eq!(command, format!("mapmill worker --driver {address} {flags}"));
        };
        check("127.0.0.1:1", "my token", "--token-file 'my token'");
        check("10.0.0.7:1", "token", "--token-file token --insecure");
    }

    #[test]
    fn keys_are_made_for_the_host_that_was_typed() {
        assert!(to_certificates("10.0.0.7:1").contains("certs init --host 10.0.0.7\n"));
        assert!(to_certificates("[fd00::7]:1").contains("certs init --host fd00::7\n"));
        assert!(to_certificates("[fd00::7]:1").contains("--driver [fd00::7]:1 "));
        assert!(to_certificates("0.0.0.0:1").contains("certs init\n"));
    }
}
