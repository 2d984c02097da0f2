//! Clients that reach the gate over TLS: what they are shown, what it says of them, and what changes
//! while it runs.

mod clients;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rcgen::date_time_ymd;
use rustix::process::Signal;
use serde_json::json;

use crate::harness::client::{Curled, SecureWire, Wire, chromium, client_hello, curl};
use crate::harness::eventually;
use crate::harness::ledger::Became;
use crate::harness::origin::{echo, http};
use crate::harness::pki::{Identity, Pki};
use crate::harness::scrape::Line;
use crate::harness::servers::Haproxy;
use crate::harness::tools::{finish, python, tool};
use crate::harness::world::{Plan, World};

const PORT: u16 = 3129;
const AUTHORITY: &str = "authority of the gate and its clients";

/// A plan and an authority for the gate's own certificates and those of clients.
struct Secured {
    plan: Plan,
    pki: Pki,
    gate: Identity,
}

impl Secured {
    fn new() -> Self {
        let plan = Plan::new();
        let dir = plan.path("tls");
        std::fs::create_dir(&dir).unwrap();
        // Not the name of the origins' authority: clients trust both.
        let pki = Pki::named(&dir, AUTHORITY);
        let names = [plan.block().gate(), plan.block().ip(50)].map(|ip| ip.to_string());
        let gate = pki.certify("gate", &names.each_ref().map(String::as_str), |_| ());
        Self { plan, pki, gate }
    }

    /// The listener, with more keys in its `tls`.
    fn start(self, keys: &str) -> (World, Pki) {
        let tls = tls(&self.gate.certificate, &self.gate.key, keys);
        let world = self.plan.listener("secure", PORT, &tls).start();
        (world, self.pki)
    }
}

fn tls(certificate: &Path, key: &Path, keys: &str) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    format!("tls: {{ certificate: {certificate}, key: {key}, {keys} }}")
}

fn listener(world: &World) -> SocketAddr {
    (world.block.gate(), PORT).into()
}

/// curl through the TLS listener, both authorities trusted.
fn through(world: &World, pki: &Pki, from: Ipv4Addr, arguments: &[&str]) -> Curled {
    let authority = pki.authority();
    let origins = world.pki.authority();
    let trust = [
        "--proxy-cacert",
        authority.to_str().unwrap(),
        "--cacert",
        origins.to_str().unwrap(),
    ];
    let proxy = format!("https://{}", listener(world));
    curl(&proxy, from, &[&trust[..], arguments].concat())
}

fn rejected(world: &World, reason: &str) -> Line {
    world
        .gate
        .counted("octroi_client_errors_total", &[("reason", reason)], 1);
    eventually(&format!("a reject line for {reason}"), || {
        let audit = world.gate.audit().into_iter().rev();
        let mut rejects = audit.filter(|line| line.text("event.action") == "reject");
        rejects.find(|line| line.text("event.reason") == reason)
    })
}

fn reloads(world: &World, result: &str) -> u64 {
    let labels = [("listener", "secure"), ("result", result)];
    world
        .gate
        .metrics()
        .total("octroi_certificate_reloads_total", &labels)
}

#[test]
fn curl_python_and_openssl_speak_to_the_gate_over_tls() {
    let (world, pki) = Secured::new().start("");
    let outlook = world.origin("outlook.office.com", 10, 443, http());
    world.tls_origin("news.example", 11, http());
    world.origin("plain.example", 12, 80, http());
    let (sensitive, ordinary) = (world.block.sensitive(), world.block.ordinary());

    let answer = through(&world, &pki, ordinary, &["https://news.example/"]);
    assert_eq!(
        (answer.connect, answer.status),
        (200, 200),
        "{}",
        answer.said
    );
    world.recorded("news.example", "culture", Became::Allowed);
    let answer = through(&world, &pki, ordinary, &["http://plain.example/a"]);
    assert_eq!(answer.status, 200, "{}", answer.said);
    let refused = through(&world, &pki, sensitive, &["https://outlook.office.com/"]);
    assert_eq!(refused.connect, 403, "{}", refused.said);
    assert!(
        refused.heads.contains("Proxy-Status: octroi;"),
        "{}",
        refused.heads
    );
    let refused = through(&world, &pki, sensitive, &["http://outlook.office.com/"]);
    assert_eq!(refused.status, 403);
    assert!(
        refused.body.contains("r9-sensitive-data"),
        "{}",
        refused.body
    );
    outlook.assert_untouched();

    let authority = pki.authority();
    let page = |path: &str| {
        let url = format!("https://{}{path}", listener(&world));
        let arguments = [
            "--noproxy",
            "*",
            "--cacert",
            authority.to_str().unwrap(),
            &url,
        ];
        curl("", sensitive, &arguments)
    };
    let own = page("/");
    assert!(
        own.body.contains("outlook.office.com"),
        "{} {}",
        own.said,
        own.body
    );
    let pac = page("/proxy.pac").body;
    assert!(
        pac.contains(&format!("\"HTTPS {}\"", listener(&world))),
        "{pac}"
    );

    let both = world.dir.path().join("both.pem");
    let authorities =
        [pki.authority(), world.pki.authority()].map(|it| std::fs::read_to_string(it).unwrap());
    std::fs::write(&both, authorities.concat()).unwrap();
    let script = format!(
        "import requests\nproxy = 'https://{}'\nanswer = requests.get('https://news.example/', proxies={{'https': proxy}}, verify='{}', timeout=20)\nprint(answer.status_code)",
        listener(&world),
        both.display()
    );
    // Python has no say in its source address: 127.0.0.1 is an ordinary workload as well.
    let (code, said) = finish(python().args(["-c", &script]));
    assert!(code == Some(0) && said.contains("200"), "{said}");

    let openssl = |arguments: &[&str]| {
        let mut command = tool("openssl");
        command.args(["s_client", "-connect", &listener(&world).to_string()]);
        finish(command.arg("-CAfile").arg(&authority).args(arguments)).1
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let said = openssl(&[version, "-alpn", "h2,http/1.1"]);
        assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    }
    openssl(&["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"]);
    rejected(&world, "tls-incompatible");
    openssl(&["-alpn", "h2"]);
    let reason = [("reason", "tls-incompatible")];
    world.gate.counted("octroi_client_errors_total", &reason, 2);
}

#[test]
fn a_browser_goes_through_the_gate_over_tls() {
    let (world, _) = Secured::new().start("");
    world.origin("news.example", 10, 80, http());
    let text = chromium(
        &format!("https://{}", listener(&world)),
        "http://news.example/by-tls",
    );
    assert!(text.contains("GET /by-tls"), "{text}");
    let line = world.recorded("news.example", "finances", Became::Allowed);
    assert_eq!(line.text("octroi.question.listener"), "secure");
}

#[test]
fn what_is_no_tls_is_told_apart_and_never_floods_the_log() {
    let secured = Secured::new();
    let plan = secured.plan.set("limits", "handshake_timeout: 700ms");
    let (world, pki) = Secured { plan, ..secured }.start("");
    let from = world.block.ordinary();
    let mut plain = Wire::open(from, listener(&world));
    plain.send("CONNECT news.example:443 HTTP/1.1\r\nHost: news.example:443\r\n\r\n");
    let head = plain.head();
    assert_eq!(head.status, 400, "{}", head.text);
    let body = plain.body(&head);
    assert!(body.contains("https://"), "{body}");
    rejected(&world, "tls-expected");

    let hello = client_hello(Some("gate.example"));
    let half = &hello[..hello.len() / 2];
    let mut cut = Wire::open(from, listener(&world));
    cut.send(half);
    cut.finish();
    cut.rest();
    rejected(&world, "tls-cut");
    let mut late = Wire::open(from, listener(&world));
    late.send(half);
    late.rest();
    rejected(&world, "tls-timeout");
    let mut silent = Wire::open(from, listener(&world));
    assert!(silent.rest().is_empty());

    // A client that does not know the authority says so.
    let proxy = format!("https://{}", listener(&world));
    let unknown = curl(&proxy, from, &["https://news.example/"]);
    assert_ne!(unknown.exit, 0);
    rejected(&world, "tls-alert");

    let quiet = world.gate.log().len();
    for _ in 0..200 {
        let mut wire = Wire::open(from, listener(&world));
        wire.send(b"\x16\x03\x01\x00\x05hello");
        wire.finish();
        wire.rest();
        let mut wire = Wire::open(from, listener(&world));
        wire.send(b"\x80garbage");
        wire.rest();
    }
    let reason = [("reason", "tls-malformed")];
    world
        .gate
        .counted("octroi_client_errors_total", &reason, 400);
    assert_eq!(world.gate.log().len(), quiet, "{}", world.gate.log());
    assert!(world.gate.decisions().is_empty());
    // It serves as before.
    let answer = through(&world, &pki, from, &["http://nowhere.example/"]);
    assert_eq!(answer.status, 502, "{}", answer.said);
}

/// A tunnel over TLS that echoes.
fn tunnel(world: &World, pki: &Pki) -> SecureWire {
    let from = world.block.ordinary();
    let mut wire = SecureWire::open(from, listener(world), &pki.authority());
    wire.send("CONNECT news.example:8443 HTTP/1.1\r\nHost: news.example:8443\r\n\r\n");
    assert_eq!(wire.status(), 200);
    wire
}

fn echoes(wire: &mut SecureWire) {
    wire.send("still here");
    assert_eq!(wire.exactly(10), b"still here");
}

/// What a new client is shown.
fn shown(world: &World, pki: &Pki) -> Vec<u8> {
    let mut wire = SecureWire::open(world.block.ordinary(), listener(world), &pki.authority());
    wire.send("HEAD /proxy.pac HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.status(), 200);
    wire.shown()
}

#[test]
fn certificates_change_under_live_tunnels() {
    let secured = Secured::new();
    let gate = secured.plan.block().gate().to_string();
    let certificate = secured.plan.path("live.crt");
    let key = secured.plan.path("live.key");
    // As certbot lays them out: links that are replaced.
    let point = |to: &Identity| {
        for (link, file) in [(&certificate, &to.certificate), (&key, &to.key)] {
            let fresh = link.with_extension("fresh");
            symlink(file, &fresh).unwrap();
            std::fs::rename(&fresh, link).unwrap();
        }
    };
    point(&secured.gate);
    let (plan, pki, first) = (secured.plan, secured.pki, secured.gate);
    let plan = plan.listener("secure", PORT, &tls(&certificate, &key, ""));
    let world = plan.start();
    world.origin("news.example", 10, 8443, echo());
    let mut old = tunnel(&world, &pki);
    assert_eq!(old.shown(), first.der);
    echoes(&mut old);

    let second = pki.certify("second", &[&gate], |_| ());
    point(&second);
    eventually("the second is shown", || {
        (shown(&world, &pki) == second.der).then_some(())
    });
    assert!(reloads(&world, "swapped") >= 1);
    echoes(&mut old);
    let ends = || {
        world.gate.metrics().total(
            "octroi_certificate_expires_timestamp_seconds",
            &[("listener", "secure")],
        )
    };
    let of_second = ends();

    // Bad ones, each by itself: out of date, another's key, half written, gone.
    let expired = pki.certify("expired", &[&gate], |it| {
        it.not_after = date_time_ymd(2025, 1, 1)
    });
    let other = pki.certify("other", &[&gate], |_| ());
    let pem = std::fs::read_to_string(&second.certificate).unwrap();
    let half = world.dir.path().join("half.crt");
    std::fs::write(&half, &pem[..pem.len() / 2]).unwrap();
    let as_is = |certificate: &Path, key: &Path| Identity {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        der: Vec::new(),
        server: second.server.clone(),
    };
    for (bad, words) in [
        (as_is(&expired.certificate, &expired.key), "expired at"),
        (
            as_is(&second.certificate, &other.key),
            "is not that of the certificate",
        ),
        (as_is(&half, &second.key), "holds no whole certificate"),
        (
            as_is(&PathBuf::from("/nonexistent"), &second.key),
            "cannot read",
        ),
    ] {
        let before = reloads(&world, "rejected");
        point(&bad);
        eventually(words, || {
            (reloads(&world, "rejected") > before).then_some(())
        });
        eventually(words, || world.gate.log().contains(words).then_some(()));
        assert_eq!(shown(&world, &pki), second.der, "{words}");
        assert_eq!(ends(), of_second);
        point(&second);
        let unchanged = reloads(&world, "unchanged");
        world.gate.signal(Signal::HUP);
        eventually("SIGHUP is heard", || {
            (reloads(&world, "unchanged") > unchanged).then_some(())
        });
    }
    echoes(&mut old);
    let third = pki.certify("third", &[&gate], |_| ());
    point(&third);
    eventually("the third is shown", || {
        (shown(&world, &pki) == third.der).then_some(())
    });
    echoes(&mut old);
    echoes(&mut tunnel(&world, &pki));
}

#[test]
fn a_start_without_usable_files_says_which() {
    let start = |change: fn(&Secured) -> (PathBuf, PathBuf)| {
        let secured = Secured::new();
        let (certificate, key) = change(&secured);
        secured
            .plan
            .listener("secure", PORT, &tls(&certificate, &key, ""))
            .fails()
    };
    let (code, said) = start(|it| (PathBuf::from("/nonexistent/gate.pem"), it.gate.key.clone()));
    assert_eq!(code, Some(74), "{said}");
    assert!(
        said.contains(
            "the listener `secure` cannot speak TLS: cannot read `/nonexistent/gate.pem`"
        ),
        "{said}"
    );
    let (code, said) = start(|it| (it.gate.certificate.clone(), it.pki.issue(&["other"]).key));
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("is not that of the certificate"), "{said}");
    let (code, said) = start(|it| {
        std::fs::write(&it.gate.key, "half a").unwrap();
        (it.gate.certificate.clone(), it.gate.key.clone())
    });
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("holds no whole private key"), "{said}");

    // One that has expired is better than none, and is not passed over in silence.
    let secured = Secured::new();
    let gate = secured.plan.block().gate().to_string();
    let expired = secured.pki.certify("expired", &[&gate], |it| {
        it.not_after = date_time_ymd(2025, 1, 1)
    });
    let keys = tls(&expired.certificate, &expired.key, "");
    let world = secured.plan.listener("secure", PORT, &keys).start();
    assert!(
        world.gate.log().contains("expired at 2025-01-01T00:00:00Z"),
        "{}",
        world.gate.log()
    );
}

#[test]
fn a_balancer_passes_tls_on_as_it_is() {
    let secured = Secured::new();
    let balancer = secured.plan.block().ip(50);
    let keys = tls(&secured.gate.certificate, &secured.gate.key, "");
    let keys = format!("proxy_protocol: {{ trusted: [{balancer}] }}, {keys}");
    let world = secured.plan.listener("secure", PORT, &keys).start();
    world.tls_origin("news.example", 10, http());
    let fronts = [(8001, "", "send-proxy"), (8002, "", "send-proxy-v2")];
    let _haproxy = Haproxy::start(world.dir.path(), balancer, listener(&world), &fronts);
    let (authority, origins) = (secured.pki.authority(), world.pki.authority());
    let trust = [
        "--proxy-cacert",
        authority.to_str().unwrap(),
        "--cacert",
        origins.to_str().unwrap(),
    ];
    for (port, ..) in fronts {
        let proxy = format!("https://{balancer}:{port}");
        let url = format!("https://news.example/by-{port}");
        let answer = curl(
            &proxy,
            world.block.ordinary(),
            &[&trust[..], &[&url]].concat(),
        );
        assert_eq!(answer.connect, 200, "{}", answer.said);
        let line = world.recorded("news.example", "culture", Became::Allowed);
        assert_eq!(line.text("source.nat.ip"), balancer.to_string());
        let own = format!("{proxy}/proxy.pac");
        let arguments = [
            "--noproxy",
            "*",
            "--cacert",
            authority.to_str().unwrap(),
            &own,
        ];
        let pac = curl("", world.block.ordinary(), &arguments).body;
        assert!(
            pac.contains(&format!("\"HTTPS {balancer}:{port}\"")),
            "{pac}"
        );
    }
    // The header stands before TLS, and only the balancer may send it.
    let mut wire = Wire::open(world.block.ordinary(), listener(&world));
    let _ = std::io::Write::write_all(&mut wire.stream, &client_hello(Some("gate.example")));
    assert!(wire.rest().is_empty());
    rejected(&world, "proxy-untrusted");
    let mut wire = Wire::open(balancer, listener(&world));
    wire.send(client_hello(Some("gate.example")));
    assert!(wire.rest().is_empty());
    rejected(&world, "proxy-header-missing");
}
