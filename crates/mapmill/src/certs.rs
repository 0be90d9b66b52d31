//! Keys and certificates, as files that only their owner can use.

pub(crate) mod finding;
mod folders;
mod show;

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use rpc::Token;
use rpc::certs::{
    AUTHORITY_FILE, Authority, CERTIFICATE_FILE, Certificate, Host, KEY_FILE, Pair, Role, Subject,
};

use crate::flags::{CertsCommand, CertsFlags, DAYS_MAX, DEFAULT_ADDRESS};
use crate::flags::{InitFlags, IssueFlags, TokenFlags};
use crate::messages::{self, Failure};
use crate::numbers::{unix_seconds, utc};
use folders::{Access, Content, Folder};

/// `mapmill certs`
pub(crate) fn certs(flags: &CertsFlags) -> Result<(), Failure> {
    match &flags.command {
        CertsCommand::Init(flags) => init(flags),
        CertsCommand::Issue(flags) => issue(flags),
        CertsCommand::Show(flags) => show::print(flags),
        CertsCommand::Token(flags) => token(flags),
    }
}

/// The folder of the authority, beside the credentials that it has issued.
const AUTHORITY: &str = "authority";

/// `mapmill certs init`
fn init(flags: &InitFlags) -> Result<(), Failure> {
    let now = SystemTime::now();
    let authority = Authority::new(now, DAYS_MAX).map_err(Failure::start)?;
    let mut folders =
        vec![Folder { name: AUTHORITY.to_owned(), contents: contents(authority.pair(), None) }];
    let mut ends = now;
    let hosts = or_this_machine(&flags.terms.hosts);
    for role in [Role::Driver, Role::Worker, Role::Viewer] {
        let hosts = if role == Role::Driver { hosts.clone() } else { Vec::new() };
        let name = role.to_string().parse().expect("the name of a role is a name");
        let subject = Subject { role, name, hosts };
        let pair =
            authority.issue(&subject, now, flags.terms.days.get()).map_err(Failure::start)?;
        ends = valid_until(&pair);
        folders.push(Folder {
            name: role.to_string(),
            contents: contents(&pair, Some(authority.pair())),
        });
    }
    folders::make(&flags.folder, &folders, folders::Purpose::Init).map_err(Failure::start)?;

    let folder = flags.folder.display();
    messages::say(format_args!(
        "{folder} holds an authority, and credentials for a driver ({}), workers and viewers, \
         until {}",
        listing(&hosts),
        utc(unix_seconds(ends))
    ));
    messages::say(format_args!(
        "copy {folder}/worker to the machines of the workers, and keep {folder}/authority \
         private: anyone who has its key can issue certificates"
    ));
    say_driver(&flags.folder.join("driver"));
    let for_others = if flags.terms.hosts.is_empty() { hosts.last() } else { hosts.first() };
    say_worker(&flags.folder.join("worker"), for_others);
    Ok(())
}

/// `mapmill certs issue`
fn issue(flags: &IssueFlags) -> Result<(), Failure> {
    let now = SystemTime::now();
    let IssueFlags { role, name, .. } = flags;
    let hosts = match role {
        Role::Driver => or_this_machine(&flags.terms.hosts),
        Role::Viewer | Role::Worker if flags.terms.hosts.is_empty() => Vec::new(),
        Role::Viewer | Role::Worker => {
            return Err(Failure::start(HostWithoutDriver { role: *role }));
        }
    };
    let authority = folders::authority(&flags.folder, AUTHORITY, now).map_err(|error| {
        let way_out = error.way_out();
        Failure::start(error).hint(way_out)
    })?;
    let subject = Subject { role: *role, name: name.clone(), hosts };
    let pair = authority.issue(&subject, now, flags.terms.days.get()).map_err(Failure::start)?;
    let new = Folder { name: name.to_string(), contents: contents(&pair, Some(authority.pair())) };
    folders::make(&flags.folder, &[new], folders::Purpose::Issue).map_err(Failure::start)?;

    let path = flags.folder.join(name.as_str());
    let folder = path.display();
    let until = utc(unix_seconds(valid_until(&pair)));
    let found = match role {
        Role::Driver => format!(" ({})", listing(&subject.hosts)),
        Role::Viewer | Role::Worker => String::new(),
    };
    messages::say(format_args!(
        "{folder} holds credentials for the {role} {name}{found}, until {until}"
    ));
    match role {
        Role::Driver => say_driver(&path),
        Role::Viewer => {}
        Role::Worker => say_worker(&path, None),
    }
    Ok(())
}

/// `mapmill certs token`
fn token(flags: &TokenFlags) -> Result<(), Failure> {
    let token = Token::random().map_err(Failure::start)?;
    let line = format!("{}\n", token.expose());
    let Some(path) = &flags.output else { return messages::data(line.as_bytes()) };
    folders::make_file(path, &line).map_err(Failure::start)?;
    let path = path.display();
    messages::say(format_args!(
        "{path} holds a token; start driver and workers with: --token-file {path}"
    ));
    Ok(())
}

/// The files of a credentials folder; of an authority's if `authority` is none.
fn contents(pair: &Pair, authority: Option<&Pair>) -> Vec<Content> {
    let content = |name, text: &str, access| Content { name, text: text.to_owned(), access };
    let mut contents = vec![
        content(KEY_FILE, &pair.key_pem, Access::Owner),
        content(CERTIFICATE_FILE, &pair.certificate_pem, Access::Public),
    ];
    if let Some(authority) = authority {
        contents.push(content(AUTHORITY_FILE, &authority.certificate_pem, Access::Public));
    }
    contents
}

/// The hosts of a driver on this machine, the public name last.
fn or_this_machine(hosts: &[Host]) -> Vec<Host> {
    if !hosts.is_empty() {
        return hosts.to_vec();
    }
    let mut hosts = ["localhost", "127.0.0.1", "::1"]
        .map(|host| host.parse().expect("these are hosts"))
        .to_vec();
    // The machine's name may not be a valid host name; then other machines cannot resolve it.
    let name = driver::host_name().parse().ok();
    hosts.extend(name.filter(|name| *name != hosts[0]));
    hosts
}

fn listing(hosts: &[Host]) -> String {
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    hosts.join(", ")
}

fn say_driver(folder: &Path) {
    messages::say(format_args!(
        "start a driver with: mapmill driver --listen 0.0.0.0:{} --tls {}",
        port(),
        folder.display()
    ));
}

fn say_worker(folder: &Path, driver: Option<&Host>) {
    let host = match driver {
        Some(Host::Address(address)) if address.is_ipv6() => format!("[{address}]"),
        Some(host) => host.to_string(),
        None => "HOST".to_owned(),
    };
    messages::say(format_args!(
        "start a worker with: mapmill worker --driver {host}:{} --tls {}",
        port(),
        folder.display()
    ));
}

/// The port on which a driver listens by default.
fn port() -> &'static str {
    DEFAULT_ADDRESS.rsplit(':').next().unwrap_or_default()
}

fn valid_until(pair: &Pair) -> SystemTime {
    let certificates = Certificate::from_pem(pair.certificate_pem.as_bytes());
    certificates.expect("a new certificate can be read")[0].valid_until
}

/// `--host` for a role to which no process connects.
#[derive(Debug)]
struct HostWithoutDriver {
    role: Role,
}

impl fmt::Display for HostWithoutDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "--host is only for a driver: no process connects to a {}; leave it out",
            self.role
        )
    }
}

impl Error for HostWithoutDriver {}
