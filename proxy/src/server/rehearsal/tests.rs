use std::net::TcpListener;
use std::path::Path;

use super::*;

fn config(text: &str) -> Config {
    Config::parse(Path::new("/etc/octroi/octroi.yaml"), text).unwrap()
}

/// What advice says of a file, whatever the descriptors.
fn advised(text: &str, descriptors: usize) -> Vec<(Code, At)> {
    let found = advice(&config(text), descriptors);
    assert!(found.iter().all(|it| it.severity == Severity::Warning));
    found.into_iter().map(|it| (it.code, it.at)).collect()
}

fn codes(config: &Config) -> Vec<Code> {
    rehearse(config).iter().map(|it| it.code).collect()
}

#[test]
fn codes_are_words_and_each_is_another() {
    let words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for (at, word) in words.iter().enumerate() {
        assert!(
            word.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'),
            "{word}"
        );
        assert!(!words[..at].contains(word), "{word}");
    }
}

#[test]
fn what_starts_and_should_not_be_so_is_advice() {
    let key = |key: &str| At::key(key);
    let cases = [
        ("", 1 << 20, vec![]),
        ("limits: { connections: 5000 }", 12_000, vec![]),
        (
            "limits: { connections: 5000 }",
            1024,
            vec![(Code::TooManyConnections, key("limits.connections"))],
        ),
        (
            "admin: { address: '0.0.0.0:9128' }",
            1024,
            vec![(Code::AdminReachable, key("admin.address"))],
        ),
        ("admin: { address: '[::1]:9128' }", 1024, vec![]),
        ("admin: { token: t }", 1024, vec![]),
        (
            "admin: { address: '0.0.0.0:9128', token: t }",
            1024,
            vec![(Code::AdminTokenInClear, key("admin.token"))],
        ),
        (
            "admin: { address: '0.0.0.0:9128', token: t, tls: { certificate: c, key: k } }",
            1024,
            vec![],
        ),
        (
            "admin: { address: '0.0.0.0:9128', tls: { certificate: c, key: k } }",
            1024,
            vec![(Code::AdminReachable, key("admin.address"))],
        ),
        (
            "admin: { address: '0.0.0.0:9128', tls: { certificate: c, key: k, client_ca: a, client_certificate: optional } }",
            1024,
            vec![],
        ),
        (
            "pac: { proxies: ['proxy.example:3128', 'proxy.example:8080'] }",
            1024,
            vec![(Code::PacWithoutListener, key("pac.proxies[1]"))],
        ),
        (
            "upstream: { allow_internal: [10.0.0.0/8, 8.8.8.0/24, 127.0.0.0/8, 0.0.0.0/0] }",
            1024,
            vec![
                (Code::UselessException, key("upstream.allow_internal[1]")),
                (Code::OwnMachineOpen, key("upstream.allow_internal[2]")),
                (Code::OwnMachineOpen, key("upstream.allow_internal[3]")),
            ],
        ),
        (
            "upstream: { forbid: [metadata], allow_internal: [10.0.0.0/8, 169.254.0.0/16, '64:ff9b::a01:203/128'] }",
            1024,
            vec![
                (Code::UselessException, key("upstream.allow_internal[0]")),
                (Code::UselessException, key("upstream.allow_internal[2]")),
            ],
        ),
    ];
    for (text, descriptors, expected) in cases {
        assert_eq!(advised(text, descriptors), expected, "{text}");
    }
}

#[test]
fn a_log_and_a_key_that_cannot_be_used_are_found_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let file = path("audit.jsonl");
    let mut config = config(
        "admin: { address: '127.0.0.1:0' }\nlisteners: [{ name: a, mode: explicit, address: '127.0.0.1:0' }]",
    );
    let log = |config: &mut Config, to: &Path| {
        config.audit.sink = crate::config::Sink::File(to.to_owned())
    };
    log(&mut config, &file);
    assert_eq!(codes(&config), []);
    assert!(!file.exists(), "a rehearsal leaves nothing behind");
    std::fs::write(&file, "a line\n").unwrap();
    assert_eq!(codes(&config), []);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a line\n");
    for to in [
        path("none/audit.jsonl"),
        path("audit.jsonl/x"),
        dir.path().to_owned(),
    ] {
        log(&mut config, &to);
        let found = rehearse(&config);
        let [finding] = &found[..] else {
            panic!("{}: {found:?}", to.display())
        };
        assert_eq!(
            (finding.code, finding.severity),
            (Code::AuditUnwritable, Severity::Error)
        );
        assert!(
            finding.message.contains(&format!("`{}`", to.display())),
            "{}",
            finding.message
        );
        // The very words of the start.
        let opened = Ledger::open_books(&config.audit, 1000).unwrap_err();
        assert_eq!(finding.message, opened.to_string());
    }
    log(&mut config, &file);
    let key = path("key");
    std::fs::write(&key, [7; 31]).unwrap();
    config.audit.client_address = crate::config::ClientAddress::KeyedHash { key: key.clone() };
    assert_eq!(codes(&config), [Code::AuditKey, Code::KeyReadable]);
    std::fs::write(&key, [7; 32]).unwrap();
    assert_eq!(codes(&config), [Code::KeyReadable]);
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(codes(&config), []);
}

#[test]
fn certificates_state_and_upgrade_are_looked_at_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text = format!(
        "admin: {{ address: '127.0.0.1:0' }}
listeners: [{{ name: a, mode: explicit, address: '127.0.0.1:0', tls: {{ certificate: {0}/cert.pem, key: {0}/key.pem }} }}]
state: {{ path: {0}/state }}
upgrade: {{ path: {0}/upgrade }}",
        dir.path().display()
    );
    let config = config(&text);
    let signed = rcgen::generate_simple_self_signed(["gate.example".to_owned()]).unwrap();
    std::fs::write(path("cert.pem"), signed.cert.pem()).unwrap();
    let write_key = |text: &str| {
        std::fs::write(path("key.pem"), text).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path("key.pem"), private).unwrap();
    };
    write_key(&signed.signing_key.serialize_pem());
    assert_eq!(codes(&config), []);
    assert!(!path("state").exists() && !path("upgrade").exists());

    // A key of something else, in the words of the start, at its own key.
    let other = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
    write_key(&other.signing_key.serialize_pem());
    let [finding] = &rehearse(&config)[..] else {
        panic!("one finding")
    };
    assert_eq!(
        (finding.code, &finding.at),
        (Code::Certificate, &At::Listener("a".into(), "tls.key"))
    );
    assert!(
        finding.message.contains("is not that of"),
        "{}",
        finding.message
    );
    write_key(&signed.signing_key.serialize_pem());

    // Everybody may read the key: it works, and is said.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(path("key.pem"), open).unwrap();
    assert_eq!(codes(&config), [Code::CertificateDoubtful]);
    write_key(&signed.signing_key.serialize_pem());

    // A state from a later version is a warning; a directory that others enter stops the start.
    for name in ["state", "upgrade"] {
        let make = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o755)
            .create(path(name));
        make.unwrap();
    }
    std::fs::write(path("state/state.json"), r#"{ "format": 99 }"#).unwrap();
    let found = rehearse(&config);
    let found: Vec<_> = found.iter().map(|it| (it.code, it.severity)).collect();
    let expected = [
        (Code::State, Severity::Warning),
        (Code::UpgradePath, Severity::Error),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_port_that_is_taken_is_found_and_a_free_one_given_back() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!(
        "admin: {{ address: '127.0.0.1:0' }}\nlisteners: [{{ name: a, mode: explicit, address: '{address}' }}]"
    );
    let config = config(&text);
    let found = rehearse(&config);
    let [finding] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(finding.at, At::Listener("a".into(), "address"));
    assert!(finding.message.contains("in use"), "{}", finding.message);
    drop(taken);
    assert_eq!(codes(&config), []);
    assert_eq!(codes(&config), [], "the first rehearsal gave it back");
}

#[test]
fn each_way_to_fail_has_its_help() {
    for (errno, address, says) in [
        (libc_errno::EACCES, "0.0.0.0:80", "CAP_NET_BIND_SERVICE"),
        (libc_errno::EADDRNOTAVAIL, "192.0.2.1:3128", "no interface"),
    ] {
        let failed = BindError {
            lacks_right: false,
            address: address.parse().unwrap(),
            error: std::io::Error::from_raw_os_error(errno),
        };
        let finding = of_bind(At::key("admin.address"), failed);
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.help.contains(says), "{}", finding.help);
    }
}

/// Linux.
mod libc_errno {
    pub(super) const EACCES: i32 = 13;
    pub(super) const EADDRNOTAVAIL: i32 = 99;
}

#[test]
fn the_token_and_the_certificates_of_the_admin_listener_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text = format!(
        "admin: {{ address: '127.0.0.1:0', token: {0}/token }}
listeners: [{{ name: a, mode: explicit, address: '127.0.0.1:0' }}]",
        dir.path().display()
    );
    let mut config = config(&text);
    let token = path("token");
    let found = rehearse(&config);
    assert_eq!(
        (found[0].code, &found[0].at),
        (Code::AdminToken, &At::key("admin.token"))
    );
    assert!(found[0].message.contains("cannot read `"), "{found:?}");
    for (wrong, words) in [
        ("short\n".to_owned(), "holds 5 characters"),
        ("x".repeat(2000), "holds 1025 characters"),
        (format!("{} {}", "x".repeat(32), "x"), "in one line"),
        (format!("{}é", "x".repeat(32)), "ASCII"),
    ] {
        std::fs::write(&token, &wrong).unwrap();
        std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let found = rehearse(&config);
        assert_eq!(
            found.iter().map(|it| it.code).collect::<Vec<_>>(),
            [Code::AdminToken]
        );
        assert!(found[0].message.contains(words), "{found:?}");
        assert!(!found[0].message.contains("xxx"), "it is never shown");
        // The very words of the start.
        let failed = StartError::Token(crate::admin::Token::start(&token).unwrap_err());
        assert_eq!(failed.exit_code(), 78);
        assert_eq!(failed.to_string(), format!("error: {}", found[0].message));
    }
    std::fs::write(&token, format!("{}\n", "x".repeat(32))).unwrap();
    assert_eq!(codes(&config), []);
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(codes(&config), [Code::KeyReadable]);

    config.admin.token = None;
    config.admin.tls = Some(crate::config::Tls {
        certificate: path("none.pem"),
        key: path("none.key"),
        clients: None,
    });
    let found = rehearse(&config);
    assert_eq!(
        (found[0].code, &found[0].at),
        (Code::Certificate, &At::key("admin.tls.certificate"))
    );
}
