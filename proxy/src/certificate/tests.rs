use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, SanType, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

use super::*;
use crate::config::{Audit, ClientCertificates, Demand, Sink};

/// Files of a listener, made by an authority of the test's own.
struct Files {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Self {
            dir: tempfile::tempdir().unwrap(),
            issuer,
        };
        files.write("ca.pem", files.issuer.pem());
        files.write("crl.pem", files.revocations(2050));
        files.issue(2020, 2050);
        files
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// A new certificate and key between the first days of two years.
    fn issue(&self, from: i32, to: i32) {
        let mut params = CertificateParams::new(vec!["gate.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write("gate.pem", certificate.pem());
        self.write("gate.key", key.serialize_pem());
    }

    fn revocations(&self, next: i32) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(next, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn tls(&self) -> Tls {
        let path = |name: &str| self.dir.path().join(name);
        Tls {
            certificate: path("gate.pem"),
            key: path("gate.key"),
            clients: Some(ClientCertificates {
                authorities: path("ca.pem"),
                demand: Demand::Required,
                revoked: Some(path("crl.pem")),
            }),
        }
    }

    fn start(&self) -> Arc<Certificates> {
        Certificates::start("secure".into(), self.tls(), ledger()).unwrap()
    }
}

fn ledger() -> Ledger {
    let audit = Audit {
        sink: Sink::Off,
        ..Audit::default()
    };
    Ledger::open_books(&audit, 1000).unwrap()
}

fn day(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

fn cut(text: &str, parts: usize) -> String {
    text[..text.len() * (parts - 1) / parts].to_owned()
}

/// What is done to which file, and what is said of it.
type Broken = (&'static str, fn(&Files) -> String, &'static str);

const BROKEN: &[Broken] = &[
    ("gate.pem", |_| String::new(), "holds no whole certificate"),
    (
        "gate.pem",
        |_| "no PEM\n".into(),
        "holds no whole certificate",
    ),
    (
        "gate.pem",
        |files| cut(&files.read("gate.pem"), 2),
        "holds no whole certificate",
    ),
    (
        "gate.pem",
        |files| {
            files
                .read("gate.pem")
                .replace("-----END CERTIFICATE-----", "-----END CERT")
        },
        "holds no whole certificate",
    ),
    (
        "gate.pem",
        |files| files.read("gate.pem") + "-----BEGIN CERTIFI",
        "holds no whole certificate",
    ),
    (
        "gate.pem",
        |files| files.read("gate.pem") + "-----BEGIN CERTIFICATE-----\nMIIB\n",
        "holds no whole certificate",
    ),
    (
        "gate.pem",
        |files| files.read("gate.key"),
        "holds no whole certificate",
    ),
    (
        "gate.pem",
        |_| "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
        "cannot be used",
    ),
    (
        "gate.pem",
        |files| files.issuer.pem(),
        "is not that of the certificate",
    ),
    ("gate.key", |_| String::new(), "holds no whole private key"),
    (
        "gate.key",
        |files| cut(&files.read("gate.key"), 2),
        "holds no whole private key",
    ),
    (
        "gate.key",
        |files| files.read("gate.pem"),
        "holds no whole private key",
    ),
    (
        "gate.key",
        |_| "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into(),
        "cannot be used",
    ),
    (
        "gate.key",
        |_| KeyPair::generate().unwrap().serialize_pem(),
        "is not that of the certificate",
    ),
    (
        "gate.key",
        |files| files.read("gate.key") + &files.read("gate.key"),
        "more than one key",
    ),
    (
        "gate.key",
        |_| "x".repeat((1 << 20) + 1),
        "larger than any such file",
    ),
    ("ca.pem", |_| String::new(), "holds no whole certificate"),
    (
        "ca.pem",
        |files| cut(&files.read("ca.pem"), 3),
        "holds no whole certificate",
    ),
    (
        "ca.pem",
        |_| "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
        "cannot be used",
    ),
    (
        "crl.pem",
        |_| String::new(),
        "holds no whole list of revocations",
    ),
    (
        "crl.pem",
        |files| cut(&files.read("crl.pem"), 2),
        "holds no whole list of revocations",
    ),
    (
        "crl.pem",
        |files| files.read("ca.pem"),
        "holds no whole list of revocations",
    ),
    (
        "crl.pem",
        |_| "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".into(),
        "cannot be used",
    ),
];

#[test]
fn what_cannot_be_used_is_told_with_its_file() {
    for (name, broken, words) in BROKEN {
        let files = Files::new();
        let text = broken(&files);
        files.write(name, text);
        let error = load(&files.tls()).err().expect(words);
        let said = error.to_string();
        assert!(
            said.contains(words) && said.contains(name),
            "{name}: {said}"
        );
        assert!(!said.ends_with('.'), "{said}");
    }
    for name in ["gate.pem", "gate.key", "ca.pem", "crl.pem"] {
        let files = Files::new();
        std::fs::remove_file(files.dir.path().join(name)).unwrap();
        let error = load(&files.tls()).err().unwrap();
        assert!(error.to_string().starts_with("cannot read `"), "{error}");
        assert_eq!(error.exit_code(), 74);
    }
}

#[test]
fn whatever_comes_the_last_good_one_stays() {
    let files = Files::new();
    let shown = files.start();
    let first = shown.config();
    let good = ["gate.pem", "gate.key", "ca.pem", "crl.pem"].map(|name| (name, files.read(name)));
    let now = day("2026-11-24");
    for (name, broken, words) in BROKEN {
        let text = broken(&files);
        files.write(name, text);
        assert_eq!(shown.reload(now), Outcome::Rejected, "{name}: {words}");
        assert!(Arc::ptr_eq(&first, &shown.config()), "{name}: {words}");
        for (name, text) in &good {
            files.write(name, text);
        }
        assert_eq!(shown.reload(now), Outcome::Unchanged, "{name}: {words}");
    }
    let metrics = shown.ledger.metrics().text();
    let rejected = format!(
        "octroi_certificate_reloads_total{{listener=\"secure\",result=\"rejected\"}} {}",
        BROKEN.len()
    );
    assert!(metrics.contains(&rejected), "{metrics}");
    files.issue(2021, 2051);
    assert_eq!(shown.reload(now), Outcome::Swapped);
    assert!(!Arc::ptr_eq(&first, &shown.config()));
    let ends = format!("{{listener=\"secure\"}} {}", day("2051-01-01").as_second());
    assert!(shown.ledger.metrics().text().contains(&ends));
}

#[test]
fn one_out_of_date_is_not_put_in_force_until_its_day_comes() {
    let files = Files::new();
    let shown = files.start();
    let first = shown.config();
    let now = day("2026-11-24");
    files.issue(2020, 2026);
    assert_eq!(shown.reload(now), Outcome::Rejected);
    assert!(!shown.is_due(day("2049-01-01")));
    files.issue(2027, 2055);
    assert_eq!(shown.reload(now), Outcome::Rejected);
    assert!(Arc::ptr_eq(&first, &shown.config()));
    assert!(!shown.is_due(day("2026-12-31")));
    assert!(shown.is_due(day("2027-01-01")));
    assert_eq!(shown.reload(day("2027-01-01")), Outcome::Swapped);
    assert!(!shown.is_due(day("2027-01-01")));
}

#[test]
fn a_start_takes_what_there_is() {
    let files = Files::new();
    files.issue(2020, 2021);
    let shown = files.start();
    let ended = format!("{{listener=\"secure\"}} {}", day("2021-01-01").as_second());
    assert!(shown.ledger.metrics().text().contains(&ended));
    files.write("gate.key", "");
    assert!(Certificates::start("secure".into(), files.tls(), ledger()).is_err());
}

#[test]
fn what_is_worth_a_word_gets_one() {
    use std::os::unix::fs::PermissionsExt;
    let files = Files::new();
    let mode = |mode| {
        let key = files.dir.path().join("gate.key");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let found = |now: &str| {
        load(&files.tls())
            .ok()
            .unwrap()
            .findings(day(now))
            .join("\n")
    };
    mode(0o600);
    assert_eq!(found("2026-11-24"), "");
    assert!(found("2049-12-25").contains("ends soon"));
    mode(0o644);
    assert!(found("2026-11-24").contains("everybody on this machine can read the key"));
    mode(0o640);
    files.write("crl.pem", files.revocations(2025));
    assert!(found("2026-11-24").contains("a newer list of revocations"));
}

/// The names of a certificate made out to these.
fn named(names: Vec<SanType>) -> Vec<String> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let common = rcgen::DnType::CommonName;
    params.distinguished_name.push(common, "common.example");
    params.subject_alt_names = names;
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    names_of(certificate.der())
}

fn names_of(der: &[u8]) -> Vec<String> {
    let names = names(der);
    names.iter().map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn clients_are_told_by_the_names_their_certificate_is_made_out_to() {
    let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
    assert_eq!(
        named(vec![dns("PC1.Managed.example")]),
        ["pc1.managed.example"]
    );
    assert_eq!(
        named(vec![dns("a.example"), dns("b.example")]),
        ["a.example", "b.example"]
    );
    assert!(named(vec![dns("*.managed.example"), dns("a b")]).is_empty());
    let uri = SanType::URI("spiffe://a.example/Paie".try_into().unwrap());
    let email = SanType::Rfc822Name("jean@A.example".try_into().unwrap());
    assert_eq!(
        named(vec![uri, email]),
        ["spiffe://a.example/Paie", "jean@a.example"]
    );
    assert!(named(vec![SanType::IpAddress("192.0.2.1".parse().unwrap())]).is_empty());
    assert!(named(Vec::new()).is_empty());
    for junk in [&b""[..], b"\x30\x82", &[0x30; 300]] {
        assert!(names_of(junk).is_empty());
    }
    let many = (0..100).map(|n| dns(&format!("n{n}.example"))).collect();
    assert_eq!(named(many).len(), 64);
}

#[test]
fn a_link_that_leads_elsewhere_is_a_change() {
    use crate::reload::fingerprint::Fingerprint;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let point = |to: &str| {
        let fresh = at("fresh");
        std::os::unix::fs::symlink(to, &fresh).unwrap();
        std::fs::rename(&fresh, at("gate.pem")).unwrap();
    };
    for name in ["first", "second"] {
        std::fs::write(at(name), name).unwrap();
    }
    let look = || Fingerprint::of_all([&at("gate.pem")]);
    point("first");
    let first = look();
    assert_eq!(look(), first);
    point("second");
    assert_ne!(look(), first);
}
