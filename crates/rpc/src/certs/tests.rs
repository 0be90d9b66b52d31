//! Certificates have the contents that were asked for, and every malformed one is refused by name.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, KeyPair,
    SanType,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// A day in 2027: tests read no clock.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * 20_900
}

fn authority() -> Authority {
    Authority::new(now(), 3650).expect("the system has random numbers")
}

#[track_caller]
fn subject(role: Role, name: &str, hosts: &[&str]) -> Subject {
    let hosts = hosts.iter().map(|host| host.parse().expect("a host")).collect();
    Subject { role, name: name.parse().expect("a name"), hosts }
}

#[track_caller]
fn read(pair: &Pair) -> Certificate {
    let mut certificates =
        Certificate::from_pem(pair.certificate_pem.as_bytes()).expect("we have made it");
    assert_eq!(certificates.len(), 1);
    certificates.remove(0)
}

/// A self-signed certificate with these URIs among its names, as bytes.
#[track_caller]
fn with_uris(uris: &[&str]) -> Vec<u8> {
    let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("URIs are ASCII")));
    signed(CertificateParams::default(), uris.collect())
}

#[track_caller]
fn signed(mut params: CertificateParams, names: Vec<SanType>) -> Vec<u8> {
    params.subject_alt_names = names;
    let key = KeyPair::generate().expect("the system has random numbers");
    params.self_signed(&key).expect("it can be signed").der().to_vec()
}

#[test]
fn certificates_have_the_contents_that_were_asked_for() {
    let authority = authority();
    let ends = [
        (Role::Driver, Usage::Server, &["driver.example", "10.0.0.1", "::1"][..]),
        (Role::Viewer, Usage::Client, &[]),
        (Role::Worker, Usage::Client, &[]),
    ];
    for (role, usage, hosts) in ends {
        let pair = authority.issue(&subject(role, "a-1", hosts), now(), 90).unwrap();
        let certificate = read(&pair);

        assert_eq!(certificate.role, Ok((role, "a-1".to_owned())));
        assert_eq!(role_of(&certificate.der), certificate.role);
        assert_eq!(certificate.name, "a-1");
        assert_eq!(certificate.hosts, hosts);
        assert_eq!(certificate.usages, [usage]);
        assert_eq!(certificate.valid_from, now() - Duration::from_secs(300));
        assert_eq!(certificate.valid_until, now() + DAY * 90);
        assert!(!certificate.is_authority);
        assert_eq!(certificate.issuer, read(authority.pair()).name);
        assert!(certificate.is_signed_by(&read(authority.pair())));
        assert!(certificate.has_key(&pair.key_pem).unwrap());
    }
}

#[test]
fn authority_signs_certificates_and_no_further_authorities() {
    let certificate = read(authority().pair());

    assert!(certificate.is_authority && certificate.is_signed_by(&certificate));
    assert_eq!(certificate.valid_until, now() + DAY * 3650);
    assert_eq!(certificate.role, Err(RoleError::None));
    let (_, parsed) = X509Certificate::from_der(&certificate.der).unwrap();
    let constraints = parsed.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.path_len_constraint == Some(0));
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert_eq!(usage.flags, 1 << 5 | 1 << 6, "certificates and lists of revoked ones: {usage}");
}

#[test]
fn no_two_are_alike() {
    let (one, other) = (authority(), authority());
    let worker = subject(Role::Worker, "w", &[]);
    let [first, second, foreign] =
        [&one, &one, &other].map(|authority| authority.issue(&worker, now(), 90).unwrap());

    assert_ne!(read(one.pair()).name, read(other.pair()).name);
    assert_ne!(read(&first).fingerprint, read(&second).fingerprint);
    assert!(!read(&first).has_key(&second.key_pem).unwrap());
    assert!(!read(&foreign).is_signed_by(&read(one.pair())));
    // A worker is not an authority, whatever it signs.
    assert!(!read(&first).is_signed_by(&read(&first)));
}

#[test]
fn authority_by_name_alone_is_not_trusted() {
    let genuine = authority();
    let worker = genuine.issue(&subject(Role::Worker, "w", &[]), now(), 90).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, read(genuine.pair()).name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let namesake = Certificate::from_der(&signed(params, vec![])).unwrap();

    assert!(namesake.is_authority && namesake.name == read(genuine.pair()).name);
    assert!(!read(&worker).is_signed_by(&namesake));
}

#[test]
fn loaded_authority_continues_issuing() {
    let authority = authority();
    let loaded = Authority::load(authority.pair().clone(), now() + DAY).unwrap();
    let pair = loaded.issue(&subject(Role::Worker, "w", &[]), now() + DAY, 90).unwrap();

    assert!(read(&pair).is_signed_by(&read(authority.pair())));
}

#[test]
fn certificates_do_not_outlive_their_authority() {
    let authority = authority();
    let late = now() + DAY * 3649;
    let pair = authority.issue(&subject(Role::Worker, "w", &[]), late, 90).unwrap();

    assert_eq!(read(&pair).valid_until, read(authority.pair()).valid_until);
}

#[test]
fn only_authorities_issue_certificates() {
    let authority = authority();
    let own = authority.pair().clone();
    let worker = authority.issue(&subject(Role::Worker, "w7", &[]), now(), 90).unwrap();
    let check = |certificate_pem: &str, key_pem: &str, now| {
        let pair = Pair { certificate_pem: certificate_pem.into(), key_pem: key_pem.into() };
        Authority::load(pair, now).map(|_| ()).map_err(|error| error.to_string())
    };

    assert_eq!(check(&own.certificate_pem, &own.key_pem, now()), Ok(()));
    let wrong = [
        (
            check(&worker.certificate_pem, &worker.key_pem, now()),
            "`w7` is not that of an authority",
        ),
        (check(&own.certificate_pem, &worker.key_pem, now()), "belongs to another certificate"),
        (check(&own.certificate_pem, "", now()), "the private key cannot be read"),
        (check(&own.key_pem, &own.key_pem, now()), "something else than a certificate in it"),
        (check("", &own.key_pem, now()), "there is no certificate in it"),
        (check(&own.certificate_pem.repeat(2), &own.key_pem, now()), "there are 2 certificates"),
        (check(&own.certificate_pem, &own.key_pem, now() + DAY * 3650), "has expired"),
    ];
    for (result, sentence) in wrong {
        let error = result.expect_err(sentence);
        assert!(error.contains(sentence), "{error}, and not {sentence}");
    }
}

#[test]
fn role_is_read_from_the_one_uri_of_ours() {
    let role = |uris: &[&str]| role_of(&with_uris(uris)).map_err(|error| error.to_string());
    let longest = "x".repeat(64);

    assert_eq!(role(&["urn:mapmill:viewer:a"]), Ok((Role::Viewer, "a".to_owned())));
    let others = ["https://example.org/", "urn:mapmill:driver:Db-1_2.x", "spiffe://example/w"];
    assert_eq!(role(&others), Ok((Role::Driver, "Db-1_2.x".to_owned())));
    let longest_urn = format!("urn:mapmill:worker:{longest}");
    assert_eq!(role(&[&longest_urn]), Ok((Role::Worker, longest)));

    let no_role = "the certificate names no role: it has no URI urn:mapmill:ROLE:NAME";
    for uris in [&[][..], &["https://example.org/"], &["urn:mapmil:worker:w"], &[" urn:mapmill:"]] {
        assert_eq!(role(uris), Err(no_role.to_owned()), "{uris:?}");
    }
    let two = "the certificate names 2 roles, where one is allowed";
    for second in ["urn:mapmill:viewer:w", "urn:mapmill:worker:w", "URN:Mapmill:worker:w"] {
        assert_eq!(role(&["urn:mapmill:worker:w", second]), Err(two.to_owned()));
        assert_eq!(role(&[second, "urn:mapmill:worker:w"]), Err(two.to_owned()));
    }
    for urn in [
        "urn:mapmill:admin:w",
        "urn:mapmill:Worker:w",
        "URN:mapmill:worker:w",
        "urn:mapmill:worker",
        "urn:mapmill::w",
        "urn:mapmill:",
    ] {
        let unknown = format!("the certificate names an unknown role: {urn:?}");
        assert_eq!(role(&[urn]), Err(unknown));
    }
    let too_long = "x".repeat(65);
    for name in ["", "a/b", "a:b", "a b", "a\n", "\u{1b}[2J", &too_long] {
        let error = role(&[&format!("urn:mapmill:worker:{name}")]).unwrap_err();
        let start = format!("the certificate names its bearer {name:?}; a name is 1 to 64 of ");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn certificate_that_can_be_read_in_two_ways_is_refused() {
    let good = with_uris(&["urn:mapmill:worker:w"]);
    let mut longer = good.clone();
    longer.push(0);
    // A second list of alternative names, with the viewer `w` in it.
    let urn = b"urn:mapmill:viewer:w";
    let length = u8::try_from(urn.len()).unwrap();
    let names = [&[0x30, length + 2, 0x86, length], &urn[..]].concat();
    let mut params = CertificateParams::default();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
    let uri = SanType::URI("urn:mapmill:worker:w".try_into().unwrap());
    let twice = signed(params.clone(), vec![uri]);
    // A URI that is not text.
    let names = vec![0x30, 4, 0x86, 2, b'u', 0xff];
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
    let no_text = signed(params.clone(), vec![]);

    assert!(role_of(&good).is_ok());
    let wrong: [(&[u8], &str); 5] = [
        (&longer, "there is more behind it"),
        (&good[..good.len() - 1], ""),
        (b"", ""),
        (&twice, "duplicate extensions"),
        (&no_text, "an alternative name is no text"),
    ];
    for (der, detail) in wrong {
        let error = role_of(der).unwrap_err().to_string();
        assert!(error.starts_with("the certificate cannot be read: "), "{error}");
        assert!(error.contains(detail), "{error}, and not {detail}");
    }
    // The same list once is accepted: the way it was made is not what is refused.
    let once = [&[0x30, length + 2, 0x86, length], &urn[..]].concat();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], once)];
    assert_eq!(role_of(&signed(params, vec![])), Ok((Role::Viewer, "w".to_owned())));
}

#[test]
fn keys_reach_no_log() {
    let authority = authority();
    let logged = format!("{:?} {authority:?}", authority.pair());
    let secret = authority.pair().key_pem.lines().nth(1).unwrap();

    assert!(!logged.contains(secret), "{logged}");
    let key = KeyPair::from_pem(&authority.pair().key_pem).unwrap();
    let bytes = format!("{:?}", key.serialized_der());
    assert!(!logged.contains(bytes.trim_matches(['[', ']'])), "{logged}");
}

#[test]
fn hosts_are_names_or_addresses_and_nothing_else() {
    for text in ["localhost", "node-7.rack_2.example", "7-up.example", "10.0.0.1", "::1", "a"] {
        assert_eq!(text.parse::<Host>().unwrap().to_string(), text);
    }
    let words = ["", ".", "a.", ".a", "a..b", "-a", "a-", "a b", "a:1", "[::1]", "10.0.0.256", "7"];
    let more = ["10.0.0.1:80", "*.example", "http://a", "fe80::1%eth0", "naïve", "a/b", "\n"];
    for text in words.into_iter().chain(more) {
        assert_eq!(text.parse::<Host>(), Err(HostError), "{text:?}");
    }
    assert!("x".repeat(63).parse::<Host>().is_ok() && "x".repeat(64).parse::<Host>().is_err());
    assert!("x.".repeat(127).parse::<Host>().is_err());
}
