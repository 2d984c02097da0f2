use std::path::Path;
use std::time::Duration;

use octroi_policy::address::AddressClass;

use super::*;

const FULL: &str = r#"
policy: { path: policy }
state: { path: state }
listeners:
  - { name: explicit, mode: explicit, address: "0.0.0.0:3128" }
  - { name: six, mode: explicit, address: "[::1]:3128" }
  - { name: balanced, mode: explicit, address: "0.0.0.0:3131", proxy_protocol: { trusted: [192.0.2.10, "2001:db8::/64"] } }
  - { name: secure, mode: explicit, address: "0.0.0.0:3129", tls: { certificate: tls/gate.pem, key: /run/gate.key, client_ca: tls/ca.pem, client_certificate: optional, client_crl: tls/crl.pem } }
dns: { servers: ["192.0.2.53", "[2001:db8::53]:5353"], timeout: 250ms, cache: 1000 }
upstream: { connect_timeout: 3s, forbid: [private, metadata], allow_internal: [10.0.0.0/8, 192.0.2.1] }
limits: { connections: 5000, per_source: 10, metric_series: 1000, flows: { per_source: 100, per_workload: none, ministries: { culture: 4000 }, workloads: { culture/bureautique: 2000, paie: none } }, new_flows: { per_ministry: 500, burst: 10s }, head: 16KiB, client_hello: 32KiB, handshake_timeout: 3s, head_timeout: 1s, hello_timeout: 2s, idle_timeout: 30m }
audit: { path: logs/audit.jsonl, client_address: keyed-hash, key: audit.key, on_failure: serve, rotate: 1GiB, keep: 180 }
drain_timeout: 30s
admin: { address: "127.0.0.1:0", token: admin.token, tls: { certificate: tls/admin.pem, key: /run/admin.key, client_ca: tls/watchers.pem } }
pac: { proxies: ["Proxy.example.:3128", "[2001:db8::1]:3128"], direct: [.rie.gouv.fr, "*.below.example", alone.example, 10.0.0.0/8, "2001:db8::7"] }
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("/etc/octroi/octroi.yaml"), text)
}

fn shown(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn every_key_is_read() {
    let config = parse(FULL).unwrap();
    assert_eq!(
        config.policy,
        PolicySource::Path("/etc/octroi/policy".into())
    );
    let directory = Some("/etc/octroi/state".into());
    assert_eq!(config.state, State { directory });
    assert_eq!(config.listeners[1].address, "[::1]:3128".parse().unwrap());
    assert_eq!(&*config.listeners[0].name, "explicit");
    assert_eq!(config.listeners[0].proxy_protocol, None);
    assert_eq!(config.listeners[0].tls, None);
    let tls = Tls {
        certificate: "/etc/octroi/tls/gate.pem".into(),
        key: "/run/gate.key".into(),
        clients: Some(ClientCertificates {
            authorities: "/etc/octroi/tls/ca.pem".into(),
            demand: Demand::Optional,
            revoked: Some("/etc/octroi/tls/crl.pem".into()),
        }),
    };
    assert_eq!(tls.paths().count(), 4);
    assert_eq!(config.listeners[3].tls, Some(tls));
    assert_eq!(config.limits.handshake_timeout, Duration::from_secs(3));
    let trusted = ["192.0.2.10/32", "2001:db8::/64"].map(|text| text.parse().unwrap());
    assert_eq!(
        config.listeners[2].proxy_protocol,
        Some(ProxyProtocol {
            trusted: trusted.to_vec()
        })
    );
    let servers = ["192.0.2.53:53", "[2001:db8::53]:5353"].map(|text| text.parse().unwrap());
    assert_eq!(config.dns.servers, Servers::Listed(servers.to_vec()));
    assert_eq!(config.dns.timeout, Duration::from_millis(250));
    assert_eq!(config.upstream.connect_timeout, Duration::from_secs(3));
    let verdict = |address: &str| config.upstream.forbid.verdict(address.parse().unwrap());
    assert_eq!(verdict("192.168.1.1"), Some(AddressClass::Private));
    assert_eq!(verdict("10.1.1.1"), None);
    assert_eq!(verdict("127.0.0.1"), None);
    assert_eq!(config.limits.connections, Connections::AtMost(5000));
    assert_eq!(
        (config.limits.head, config.limits.client_hello),
        (16 << 10, 32 << 10)
    );
    assert_eq!(config.limits.idle_timeout, Duration::from_secs(1800));
    let Shares {
        flows,
        new_flows,
        burst,
    } = &config.limits.shares;
    assert_eq!(
        (flows.per_source, flows.ministry("culture")),
        (Some(100), Some(4000))
    );
    assert_eq!(flows.workload("culture", "bureautique"), Some(2000));
    assert_eq!(
        (
            flows.ministry("finances"),
            flows.workload("finances", "paie")
        ),
        (None, None)
    );
    assert_eq!(new_flows.ministry("culture"), Some(500));
    assert_eq!(
        flows.to_string(),
        "per_source: 100, culture: 4000, culture/bureautique: 2000, paie: none"
    );
    assert_eq!(Figures::default().to_string(), "none");
    assert_eq!(*burst, Duration::from_secs(10));
    assert_eq!(
        config.audit.sink,
        Sink::File("/etc/octroi/logs/audit.jsonl".into())
    );
    let key = "/etc/octroi/audit.key".into();
    assert_eq!(
        config.audit.client_address,
        ClientAddress::KeyedHash { key }
    );
    let rotation = Rotation {
        size: 1 << 30,
        keep: 180,
    };
    assert_eq!(config.audit.rotation, Some(rotation));
    assert_eq!(config.audit.on_failure, OnFailure::Serve);
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    let admin = Admin {
        address: "127.0.0.1:0".parse().unwrap(),
        token: Some("/etc/octroi/admin.token".into()),
        tls: Some(Tls {
            certificate: "/etc/octroi/tls/admin.pem".into(),
            key: "/run/admin.key".into(),
            clients: Some(ClientCertificates {
                authorities: "/etc/octroi/tls/watchers.pem".into(),
                demand: Demand::Required,
                revoked: None,
            }),
        }),
    };
    assert!(admin.is_guarded());
    assert_eq!(config.admin, admin);
    let proxies: Vec<_> = config.pac.proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["proxy.example:3128", "[2001:db8::1]:3128"]);
    let direct: Vec<_> = config.pac.direct.iter().map(ToString::to_string).collect();
    let written = [
        ".rie.gouv.fr",
        "*.below.example",
        "alone.example",
        "10.0.0.0/8",
        "2001:db8::7/128",
    ];
    assert_eq!(direct, written);
}

#[test]
fn an_empty_file_is_all_defaults() {
    for text in ["", "# nothing\n", "{}", "dns: {}\nlimits: {}\n"] {
        let config = parse(text).unwrap();
        assert_eq!(config.limits, Limits::default(), "{text}");
        assert_eq!(config.dns, Dns::default());
        assert_eq!(config.audit, Audit::default());
        assert_eq!(config.listeners, [Listener::default()]);
        assert_eq!(config.policy, PolicySource::Embedded);
        assert_eq!(config.state.directory, None);
    }
}

#[test]
fn a_bogus_key_in_any_table_is_refused() {
    for table in [
        "policy: { path: p, bogus: 1 }",
        "state: { bogus: 1 }",
        "listeners: [{ name: a, mode: explicit, address: '127.0.0.1:1', bogus: 1 }]",
        "listeners: [{ name: a, mode: explicit, address: '127.0.0.1:1', tls: { certificate: c, key: k, bogus: 1 } }]",
        "listeners: [{ name: a, mode: explicit, address: '127.0.0.1:1', proxy_protocol: { trusted: [192.0.2.1], bogus: 1 } }]",
        "dns: { bogus: 1 }",
        "upstream: { bogus: 1 }",
        "limits: { bogus: 1 }",
        "limits: { flows: { bogus: 1 } }",
        "limits: { new_flows: { bogus: 1 } }",
        "audit: { bogus: 1 }",
        "upgrade: { bogus: 1 }",
        "admin: { bogus: 1 }",
        "admin: { tls: { certificate: c, key: k, bogus: 1 } }",
        "pac: { bogus: 1 }",
        "bogus: 1",
    ] {
        let text = shown(table);
        assert!(
            text.starts_with("error: unknown key `bogus`"),
            "{table}: {text}"
        );
        assert!(text.contains("the keys here are"), "{text}");
    }
}

#[test]
fn a_transparent_listener_says_how_it_is_reached() {
    let text = "listeners:\n  - { name: four, mode: transparent, address: '0.0.0.0:3130', capture: redirect }\n  \
        - { name: six, mode: transparent, address: '[::]:3130', capture: tproxy }\n  \
        - { name: explicit, mode: explicit, address: '127.0.0.1:3128' }";
    let modes: Vec<_> = parse(text)
        .unwrap()
        .listeners
        .iter()
        .map(|it| it.mode)
        .collect();
    let expected = [
        ListenerMode::Transparent(Capture::Redirect),
        ListenerMode::Transparent(Capture::Tproxy),
        ListenerMode::Explicit,
    ];
    assert_eq!(modes, expected);
    for (listener, told) in [
        (
            "mode: explicit, capture: redirect",
            "`capture` is for `mode: transparent` alone",
        ),
        (
            "mode: transparent",
            "a transparent listener needs a `capture`",
        ),
        (
            "mode: transparent, capture: dnat",
            "`dnat` is not a value of `capture`",
        ),
        ("mode: intercept", "`intercept` is not a value of `mode`"),
        (
            "mode: transparent, capture: redirect, tls: { certificate: a, key: b }",
            "a transparent listener has no `tls`",
        ),
        (
            "mode: transparent, capture: tproxy, proxy_protocol: { trusted: [192.0.2.1] }",
            "a transparent listener has no `proxy_protocol`",
        ),
    ] {
        let text = format!("listeners: [{{ name: a, address: '127.0.0.1:1', {listener} }}]");
        let shown = shown(&text);
        assert!(
            shown.starts_with(&format!("error: {told}")),
            "{text}: {shown}"
        );
    }
}

#[test]
fn whoever_may_name_clients_is_named_closely() {
    for (trusted, words) in [
        ("[]", "`trusted` is empty: nobody could connect"),
        ("[0.0.0.0/0]", "`0.0.0.0/0` is everybody"),
        ("['::/0']", "`::/0` is everybody"),
        ("[balancer.example]", "`balancer.example` is no network"),
    ] {
        let text = format!(
            "listeners: [{{ name: a, mode: explicit, address: '127.0.0.1:1', proxy_protocol: {{ trusted: {trusted} }} }}]"
        );
        let shown = shown(&text);
        assert!(shown.contains(words), "{shown}");
        assert!(shown.contains("octroi.yaml:1:"), "{shown}");
    }
    for text in ["{}", "v2", "true"] {
        let text = format!(
            "listeners: [{{ name: a, mode: explicit, address: '127.0.0.1:1', proxy_protocol: {text} }}]"
        );
        assert!(parse(&text).is_err(), "{text}");
    }
}

#[test]
fn clients_are_asked_for_a_certificate_only_with_an_authority() {
    let tls = |keys: &str| {
        format!(
            "listeners: [{{ name: a, mode: explicit, address: '127.0.0.1:1', tls: {{ certificate: c, key: k, {keys} }} }}]"
        )
    };
    let config = parse(&tls("client_ca: ca")).unwrap();
    let clients = config.listeners[0].tls.as_ref().unwrap().clients.as_ref();
    assert_eq!(clients.unwrap().demand, Demand::Required);
    for (keys, words) in [
        (
            "client_crl: crl",
            "`client_crl` is used only with a `client_ca`",
        ),
        (
            "client_certificate: optional",
            "`client_certificate` is used only with a `client_ca`",
        ),
        (
            "client_ca: ca, client_certificate: maybe",
            "`maybe` is not a value of `client_certificate`",
        ),
    ] {
        let shown = shown(&tls(keys));
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn a_key_and_its_use_are_written_together() {
    let words = |text: &str| shown(text).lines().next().unwrap().to_owned();
    assert_eq!(
        words("audit: { client_address: keyed-hash }"),
        "error: `client_address: keyed-hash` needs a `key`"
    );
    for text in [
        "audit: { key: audit.key }",
        "audit: { client_address: none, key: audit.key }",
    ] {
        assert_eq!(
            words(text),
            "error: `key` is used only with `client_address: keyed-hash`"
        );
    }
    let never = parse("audit: { rotate: none }").unwrap();
    assert_eq!(never.audit.rotation, None);
    for text in ["rotate: 1KiB", "rotate: 256", "keep: 0", "keep: all"] {
        assert!(parse(&format!("audit: {{ {text} }}")).is_err(), "{text}");
    }
}

#[test]
fn figures_are_whole_numbers_or_none() {
    for (limits, told) in [
        (
            "flows: { per_source: 0 }",
            "`0` is not a value of `per_source`",
        ),
        (
            "flows: { ministries: { culture: many } }",
            "`many` is not a value of `ministries`",
        ),
        (
            "flows: { workloads: { paie: -1 } }",
            "`-1` is not a value of `workloads`",
        ),
        (
            "new_flows: { per_ministry: 1.5 }",
            "`1.5` is not a value of `per_ministry`",
        ),
        ("new_flows: { burst: 5m }", "`5m` is not a value of `burst`"),
        ("flows: { burst: 5s }", "unknown key `burst`"),
        (
            "flows: { workloads: { paie: 1, paie: 2 } }",
            "the key `paie` is written twice",
        ),
        ("flows: { workloads: [paie] }", "expected mapping start"),
    ] {
        let shown = shown(&format!("limits: {{ {limits} }}"));
        assert!(
            shown.starts_with(&format!("error: {told}")),
            "{limits}: {shown}"
        );
    }
}

#[test]
fn every_problem_of_sense_is_told_with_its_place() {
    let text = "\
dns:
  timeout: 5
limits:
  head: 64KB
  per_source: none
listeners:
  - { name: a, mode: explicit, address: localhost:3128 }
  - { name: a, mode: forward, address: '127.0.0.1:3128' }
upstream: { forbid: [privat], allow_internal: [intranet] }
audit: { on_failure: hope }
pac:
  proxies: [proxy.example, 'a b:1', 'https://proxy.example:1']
  direct: [<b>, '10.0.0.0/33', 'a.*.example', '*']
";
    insta::assert_snapshot!(shown(text));
}

#[test]
fn shape_errors_have_a_place_and_no_rust_names() {
    for text in [
        "dns: [1]",
        "listeners: {}",
        "listeners: [{ name: a }]",
        "dns: { timeout: [5s] }",
        "dns: {",
        "drain_timeout: 1s\ndrain_timeout: 2s",
        "limits: 5",
        "policy: {}",
    ] {
        let shown = shown(text);
        assert!(
            shown.contains("octroi.yaml:1:") || shown.contains("octroi.yaml:2:"),
            "{text}: {shown}"
        );
        for rust in ["struct", "Option", "Typed", "u64", "String"] {
            assert!(!shown.contains(rust), "{text}: {shown}");
        }
    }
}

#[test]
fn a_yaml_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{before}]\n");
    }
    assert!(parse(&text).is_err());
    assert!(parse(&format!("dns: {}", "[".repeat(100_000))).is_err());
}

#[test]
fn a_missing_or_huge_file_is_told_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.yaml");
    let error = Config::load(&missing).unwrap_err();
    assert!(
        error.to_string().starts_with("error: cannot read `"),
        "{error}"
    );
    assert_eq!(error.exit_code(), 74);
    let huge = dir.path().join("huge.yaml");
    std::fs::write(&huge, "#".repeat(MAX_FILE as usize + 1)).unwrap();
    assert!(
        Config::load(&huge)
            .unwrap_err()
            .to_string()
            .contains("larger than 1MiB")
    );
}

#[test]
fn without_a_file_nothing_leaves_this_machine_unasked() {
    let config = Config::default_demo();
    assert!(
        config
            .listeners
            .iter()
            .all(|listener| listener.address.ip().is_loopback())
    );
    assert!(config.admin.address.ip().is_loopback() && !config.admin.is_guarded());
    assert_eq!(config.policy, PolicySource::Embedded);
}

#[test]
fn the_example_file_says_the_defaults() {
    let text = include_str!("../../../examples/octroi.yaml");
    let config = parse(text).unwrap();
    let demo = Config::default_demo();
    assert_eq!(config.listeners, demo.listeners);
    assert_eq!(config.dns, demo.dns);
    assert_eq!(config.limits, demo.limits);
    assert_eq!(
        config.upstream.connect_timeout,
        demo.upstream.connect_timeout
    );
    assert_eq!(
        format!("{:?}", config.upstream.forbid),
        format!("{:?}", demo.upstream.forbid)
    );
    assert_eq!(config.drain_timeout, demo.drain_timeout);
    assert_eq!(config.admin, demo.admin);
    assert_eq!(config.pac, demo.pac);
    let audit = Audit {
        sink: config.audit.sink.clone(),
        ..demo.audit
    };
    assert_eq!(config.audit, audit);
}
