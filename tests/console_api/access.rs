//! Who may read: on loopback, beyond it, with a token, a session, a certificate; and what has a limit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Events, admin, json as read};
use crate::harness::client::{Curled, Wire, curl};
use crate::harness::eventually;
use crate::harness::manager::Manager;
use crate::harness::pki::{Identity, Pki};
use crate::harness::proxy::octroi;
use crate::harness::tools::finish;
use crate::harness::world::{Plan, World};

const SECRET: &str = "a-token-of-thirty-two-characters";

/// Everything that only who may read gets.
const GUARDED: [(&str, &str); 8] = [
    ("GET", "/-/policy"),
    ("POST", "/-/reload"),
    ("GET", "/api/v1/attempts"),
    ("GET", "/api/v1/attempts/stream"),
    ("GET", "/api/v1/history"),
    ("GET", "/api/v1/policy"),
    (
        "GET",
        "/api/v1/explain?source=192.0.2.1&url=a.example&resolve=no",
    ),
    ("HEAD", "/api/v1/policy"),
];

/// A token that only the owner reads.
fn write_token(path: &Path, token: &str) {
    fs::write(path, format!("{token}\n")).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// curl from another machine.
fn far(world: &World, scheme: &str, method: &str, path: &str, arguments: &[&str]) -> Curled {
    let url = format!("{scheme}://{}{path}", world.gate.admin());
    let mut all = vec!["--noproxy", "*", "--max-time", "5"];
    match method {
        "HEAD" => all.push("--head"),
        method => all.extend(["-X", method]),
    }
    all.extend(arguments);
    all.push(&url);
    let net = world.net.as_ref().unwrap();
    net.client.inside(|| curl("", world.block.ordinary(), &all))
}

fn refusals(world: &World, token: &str, reason: &str) -> u64 {
    let bearer = format!("Authorization: Bearer {token}");
    let text = far(world, "http", "GET", "/metrics", &["-H", &bearer]).body;
    let line = format!("octroi_admin_refused_total{{reason=\"{reason}\"}} ");
    let line = text.lines().find_map(|own| own.strip_prefix(&*line));
    line.unwrap().parse().unwrap()
}

#[test]
fn beyond_loopback_nothing_but_figures_and_health_is_served_unasked() {
    let world = Plan::on_gateway().start();
    for path in ["/metrics", "/-/healthy", "/-/ready"] {
        assert_eq!(far(&world, "http", "GET", path, &[]).status, 200, "{path}");
    }
    let more = [
        ("GET", "/"),
        ("GET", "/api/v1/session"),
        ("POST", "/api/v1/session"),
    ];
    for (method, path) in GUARDED.into_iter().chain(more) {
        let answer = far(&world, "http", method, path, &[]);
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
        if method != "HEAD" {
            assert!(
                answer
                    .body
                    .contains("`admin.token` or `admin.tls.client_ca`"),
                "{}",
                answer.body
            );
        }
    }
    assert_eq!(refusals(&world, "", "unguarded"), 11);
    assert!(
        world
            .gate
            .log()
            .contains("only /metrics, /-/healthy and /-/ready are served"),
        "{}",
        world.gate.log()
    );
}

#[test]
fn a_token_lets_in_who_brings_it_and_nobody_else() {
    let plan = Plan::on_gateway();
    let path = plan.path("admin.token");
    write_token(&path, SECRET);
    let world = plan
        .set("admin", format!("token: {}", path.display()))
        .start();
    let warned = world.gate.log();
    assert!(
        warned.contains("in clear") && !warned.contains(SECRET),
        "{warned}"
    );
    let ask = |method, path, arguments: &[&str]| far(&world, "http", method, path, arguments);
    let bearer = format!("Authorization: Bearer {SECRET}");

    for path in ["/-/healthy", "/-/ready", "/"] {
        assert_eq!(ask("GET", path, &[]).status, 200, "{path}");
    }
    for (method, path) in GUARDED.into_iter().chain([("GET", "/metrics")]) {
        let answer = ask(method, path, &[]);
        assert_eq!(answer.status, 401, "{method} {path}");
        assert!(
            answer.heads.contains("Bearer realm=\"octroi\""),
            "{}",
            answer.heads
        );
        if !path.contains("stream") {
            assert_eq!(
                ask(method, path, &["-H", &bearer]).status,
                200,
                "{method} {path}"
            );
        }
    }
    let session = |arguments: &[&str]| read(&ask("GET", "/api/v1/session", arguments));
    assert_eq!(session(&[]), json!({ "needs": "token", "open": false }));
    assert_eq!(
        session(&["-H", &bearer]),
        json!({ "needs": "token", "open": true })
    );

    // Wrong ones wait.
    let began = Instant::now();
    let wrong = format!("Authorization: Bearer {}", SECRET.replace('a', "b"));
    let answer = ask("GET", "/api/v1/attempts", &["-H", &wrong]);
    assert_eq!(answer.status, 401);
    assert_eq!(
        ask("POST", "/api/v1/session", &["--data-raw", "no"]).status,
        403
    );
    assert!(began.elapsed() >= Duration::from_millis(500));
    assert_eq!(refusals(&world, SECRET, "token"), 2);

    // A browser: the token once, then a session that is none.
    let origin = format!("Origin: http://{}", world.gate.admin());
    let signed_in = ask(
        "POST",
        "/api/v1/session",
        &[
            "--data-raw",
            SECRET,
            "-H",
            &origin,
            "-H",
            "Content-Type: text/plain",
        ],
    );
    assert_eq!(signed_in.status, 204, "{}", signed_in.body);
    let cookie = signed_in
        .heads
        .lines()
        .find_map(|line| line.split_once("et-Cookie: "))
        .unwrap()
        .1;
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains(SECRET),
        "{cookie}"
    );
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let with = ["-H", &*cookie];
    assert_eq!(session(&with), json!({ "needs": "token", "open": true }));
    assert_eq!(ask("GET", "/api/v1/history", &with).status, 200);
    // With the session a page elsewhere gets nowhere.
    for fields in [
        ["-H", "Origin: http://evil.example"],
        ["-H", "Origin: null"],
        ["-H", "Sec-Fetch-Site: cross-site"],
    ] {
        for (method, path) in [
            ("POST", "/-/reload"),
            ("POST", "/api/v1/session"),
            ("DELETE", "/api/v1/session"),
        ] {
            let answer = ask(method, path, &[&with[..], &fields].concat());
            assert_eq!(answer.status, 403, "{method} {path} {fields:?}");
        }
    }
    assert_eq!(
        ask("POST", "/-/reload", &[&with[..], &["-H", &origin]].concat()).status,
        200
    );
    assert_eq!(ask("DELETE", "/api/v1/session", &with).status, 204);
    assert_eq!(
        ask("GET", "/api/v1/history", &with).status,
        401,
        "signed out is out"
    );

    // Another token in the file: the old one is nobody's. One that is none changes nothing.
    write_token(&path, "short");
    eventually("the broken token is told", || {
        world
            .gate
            .log()
            .contains("the last good token of the admin listener stays")
            .then_some(())
    });
    assert_eq!(ask("GET", "/metrics", &["-H", &bearer]).status, 200);
    let next = SECRET.replace("thirty", "fourty");
    write_token(&path, &next);
    eventually("the new token is in force", || {
        let bearer = format!("Authorization: Bearer {next}");
        (ask("GET", "/metrics", &["-H", &bearer]).status == 200).then_some(())
    });
    assert_eq!(ask("GET", "/metrics", &["-H", &bearer]).status, 401);
    assert!(!world.gate.log().contains(&next));
}

/// A gate whose admin listener speaks TLS, and the authority of those who watch.
fn secured(keys: impl FnOnce(&Plan, &Pki) -> String) -> (World, Pki) {
    let plan = Plan::on_gateway();
    let dir = plan.path("tls");
    fs::create_dir(&dir).unwrap();
    let pki = Pki::named(&dir, "authority of the watchers");
    let Identity {
        certificate, key, ..
    } = pki.certify("admin", &["192.0.2.1"], |_| ());
    let more = keys(&plan, &pki);
    let tls = format!(
        "tls: {{ certificate: {}, key: {}, client_ca: {}{more} }}",
        certificate.display(),
        key.display(),
        pki.authority().display()
    );
    let world = plan.set("admin", tls).start();
    (world, pki)
}

/// What curl needs to trust the gate, and to show a certificate.
fn trusting<'a>(authority: &'a str, shown: Option<&'a (String, String)>) -> Vec<&'a str> {
    let mut arguments = vec!["--cacert", authority];
    if let Some((certificate, key)) = shown {
        arguments.extend(["--cert", certificate, "--key", key]);
    }
    arguments
}

fn paths(identity: &Identity) -> (String, String) {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    (text(&identity.certificate), text(&identity.key))
}

#[test]
fn a_certificate_lets_in_over_tls_and_without_one_there_is_no_talk() {
    let (world, pki) = secured(|_, _| String::new());
    let authority = pki.authority().to_str().unwrap().to_owned();
    let watcher = paths(&pki.certify("watcher", &["watcher.example"], |_| ()));
    let elsewhere = world.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let stranger = Pki::named(&elsewhere, "another authority");
    let stranger = paths(&stranger.certify("stranger", &["watcher.example"], |_| ()));
    let ask = |path, shown| far(&world, "https", "GET", path, &trusting(&authority, shown));
    eventually("the gate is ready", || {
        (ask("/-/ready", Some(&watcher)).status == 200).then_some(())
    });
    for path in ["/", "/metrics", "/-/policy", "/api/v1/attempts"] {
        assert_eq!(ask(path, Some(&watcher)).status, 200, "{path}");
        for shown in [None, Some(&stranger)] {
            let answer = ask(path, shown);
            assert_eq!(answer.status, 0, "{path}: {}", answer.body);
        }
    }
    let session = read(&ask("/api/v1/session", Some(&watcher)));
    assert_eq!(session, json!({ "needs": "certificate", "open": true }));
    let clear = far(&world, "http", "GET", "/metrics", &[]);
    assert_eq!(clear.status, 400);
    assert!(clear.body.contains("`https://`"), "{}", clear.body);
    // The certificate is replaced without a restart.
    let next = pki.certify("admin", &["192.0.2.1"], |_| ());
    eventually("the new certificate is shown", || {
        let said = ask("/metrics", Some(&watcher)).body;
        let swapped = "octroi_certificate_reloads_total{listener=\"/admin\",result=\"swapped\"} ";
        let count = said.lines().find_map(|line| line.strip_prefix(swapped))?;
        (count != "0").then_some(())
    });
    assert!(next.certificate.exists());
}

#[test]
fn a_certificate_that_may_be_absent_stands_in_place_of_the_token() {
    let mut token = None;
    let (world, pki) = secured(|plan, _| {
        let path = plan.path("admin.token");
        write_token(&path, SECRET);
        token = Some(path.display().to_string());
        format!(
            ", client_certificate: optional }}\n  token: {}\n  #",
            path.display()
        )
    });
    let authority = pki.authority().to_str().unwrap().to_owned();
    let watcher = paths(&pki.certify("watcher", &["watcher.example"], |_| ()));
    let bearer = ["-H", &*format!("Authorization: Bearer {SECRET}")].map(str::to_owned);
    let ask = |method, path, shown, more: &[&str]| {
        far(
            &world,
            "https",
            method,
            path,
            &[&trusting(&authority, shown)[..], more].concat(),
        )
    };
    eventually("the gate is ready", || {
        (ask("GET", "/-/ready", None, &[]).status == 200).then_some(())
    });
    let bearer = [&*bearer[0], &*bearer[1]];
    for (shown, more, needs, status) in [
        (None, &[][..], "token", 401),
        (None, &bearer[..], "token", 200),
        (Some(&watcher), &[][..], "certificate", 200),
    ] {
        let session = read(&ask("GET", "/api/v1/session", shown, more));
        assert_eq!(session, json!({ "needs": needs, "open": status == 200 }));
        for path in ["/metrics", "/api/v1/attempts", "/-/policy"] {
            assert_eq!(
                ask("GET", path, shown, more).status,
                status,
                "{path} {needs}"
            );
        }
    }
    let signed_in = ask("POST", "/api/v1/session", None, &["--data-raw", SECRET]);
    assert_eq!(signed_in.status, 204);
    assert!(
        signed_in.heads.contains("__Host-octroi=") && signed_in.heads.contains("; Secure"),
        "{}",
        signed_in.heads
    );
}

#[test]
fn heads_and_bodies_have_a_limit_and_a_deadline() {
    let world = World::new();
    let at = world.gate.admin();
    let open = || Wire::open(world.block.ip(250), at);
    let answer = |request: String| {
        let mut wire = open();
        wire.send(request);
        let head = wire.head();
        assert!(
            head.field("content-security-policy").is_some(),
            "{}",
            head.text
        );
        let body = wire.body(&head);
        (head.status, body)
    };
    let field = |size| {
        format!(
            "GET /-/healthy HTTP/1.1\r\nHost: {at}\r\nX: {}\r\n\r\n",
            "x".repeat(size)
        )
    };
    assert_eq!(answer(field(15_000)).0, 200);
    assert_eq!(answer(field(17_000)).0, 431);
    assert_eq!(
        answer(format!("GET /{} HTTP/1.1\r\n", "x".repeat(17_000))).0,
        414
    );
    let post = |size: usize| {
        format!(
            "POST /api/v1/session HTTP/1.1\r\nHost: {at}\r\nContent-Length: {size}\r\n\r\n{}",
            "x".repeat(size)
        )
    };
    assert_eq!(answer(post(8192)).0, 204);
    assert_eq!(answer(post(8193)).0, 413);
    for (request, status) in [
        ("GET /-/healthy\r\n\r\n".to_owned(), 400),
        (format!("GET /-/healthy HTTP/1.1\nHost: {at}\n\n"), 400),
        ("GET /-/healthy HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            format!("GET /-/healthy HTTP/2.0\r\nHost: {at}\r\n\r\n"),
            505,
        ),
        (
            format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: {at}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
            400,
        ),
        (
            format!("PUT /api/v1/attempts HTTP/1.1\r\nHost: {at}\r\nContent-Length: 0\r\n\r\n"),
            405,
        ),
        (
            "GET /-/healthy HTTP/1.1\r\nHost: gate.example\r\n\r\n".to_owned(),
            421,
        ),
    ] {
        assert_eq!(answer(request.clone()).0, status, "{request}");
    }
    // Two requests at once are answered in turn; a name in a chunked body is a token like another.
    let mut wire = open();
    let one = format!("GET /-/healthy HTTP/1.1\r\nHost: {at}\r\n\r\n");
    wire.send(format!("{one}POST /api/v1/session HTTP/1.1\r\nHost: {at}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{one}"));
    for status in [200, 204, 200] {
        let head = wire.head();
        assert_eq!(head.status, status, "{}", head.text);
        wire.body(&head);
    }
    // Who drips is told, and does not keep others from being served.
    let (mut head, mut body) = (open(), open());
    head.send("GET /-/hea");
    body.send(post(100).split_at(90).0);
    assert_eq!(answer(field(1)).0, 200);
    assert_eq!(head.head().status, 408);
    assert_eq!(body.head().status, 408);
    let counted = world.gate.metrics();
    assert!(counted.total("octroi_admin_refused_total", &[("reason", "malformed")]) >= 8);
    assert_eq!(
        counted.total("octroi_admin_refused_total", &[("reason", "name")]),
        1
    );
}

#[test]
fn a_page_elsewhere_gets_nothing_from_the_open_listener() {
    let world = World::new();
    let own = format!("Origin: http://{}", world.gate.admin());
    for (path, method, field, status) in [
        ("/-/reload", "POST", "Origin: https://evil.example", 403),
        ("/-/reload", "POST", "Sec-Fetch-Site: cross-site", 403),
        ("/-/reload", "POST", &*own, 200),
        (
            "/api/v1/explain?source=192.0.2.4&url=leak.example",
            "GET",
            "Sec-Fetch-Site: cross-site",
            403,
        ),
        (
            "/api/v1/attempts",
            "GET",
            "Origin: https://evil.example",
            403,
        ),
        (
            "/api/v1/attempts",
            "GET",
            "Sec-Fetch-Site: same-origin",
            200,
        ),
        ("/", "GET", "Sec-Fetch-Site: cross-site", 200),
        ("/", "GET", "Host: rebound.example", 421),
        ("/api/v1/attempts", "GET", "Host: rebound.example:9128", 421),
    ] {
        let answer = admin(&world, path, &["-X", method, "-H", field]);
        assert_eq!(answer.status, status, "{method} {path} {field}");
        assert!(
            !answer.heads.to_lowercase().contains("access-control"),
            "{}",
            answer.heads
        );
    }
    assert_eq!(world.dns.asked("leak.example"), 0);
}

/// An upgraded gate serves the console at the same door, over TLS too; who watched comes back to it.
#[test]
fn an_upgrade_takes_the_console_over() {
    let plan = Plan::new();
    let (gate, dir) = (plan.block().gate().to_string(), plan.path("tls"));
    fs::create_dir(&dir).unwrap();
    let pki = Pki::named(&dir, "authority of the gate");
    let identity = pki.certify("admin", &[&gate], |_| ());
    let (certificate, key) = paths(&identity);
    let manager = Manager::in_directory(&plan.path(""));
    let run = plan.path("run");
    let world = plan
        .environment("NOTIFY_SOCKET", &manager.name)
        .environment("RUNTIME_DIRECTORY", run.to_str().unwrap())
        .set(
            "admin",
            format!("tls: {{ certificate: {certificate}, key: {key} }}"),
        )
        .start();
    let authority = pki.authority().to_str().unwrap().to_owned();
    let url = format!("https://{}", world.gate.admin());
    let ask = |path: &str, more: &[&str]| {
        let url = format!("{url}{path}");
        let arguments = [&["--noproxy", "*", "--cacert", &authority, &url], more].concat();
        curl("", world.block.ip(250), &arguments)
    };
    eventually("the gate is ready", || {
        (ask("/-/ready", &[]).status == 200).then_some(())
    });
    super::refused(&world, world.block.sensitive());
    let newest = |answer: &Curled| read(answer)["newest"].as_u64().unwrap();
    let before = newest(&ask("/api/v1/attempts", &[]));
    let config = world.dir.path().join("upgrade.yaml");
    fs::write(&config, format!("upgrade: {{ path: {} }}\n", run.display())).unwrap();
    let (exit, said) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| ask("/api/v1/attempts/stream", &["--http1.1"]));
        eventually("the stream is read", || {
            // One of the 32 is taken as soon as it is; what is asked does not show it, so the upgrade itself ends it.
            (ask("/-/healthy", &[]).status == 200).then_some(())
        });
        let upgraded = finish(octroi().args(["upgrade", "--config"]).arg(&config));
        let watched = watching.join().unwrap();
        assert_eq!(
            (watched.exit, watched.status),
            (0, 200),
            "it ends in order: {}",
            watched.said
        );
        assert!(
            watched.body.starts_with("retry: 1000\n\n"),
            "{}",
            watched.body
        );
        upgraded
    });
    assert_eq!(exit, Some(0), "{said}");
    // The new gate's memory is its own, and its numbers go on rising.
    let told = read(&ask("/api/v1/attempts", &[]));
    assert_eq!(told["attempts"], Value::Array(Vec::new()));
    assert!(told["newest"].as_u64().unwrap() > before);
    let pid = said
        .split("process ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Attempts of the gate are told over the stream to whoever has the token, and the stream asks for it too.
#[test]
fn a_token_is_asked_for_on_loopback_too_where_one_is_set() {
    let plan = Plan::new();
    let path = plan.path("admin.token");
    write_token(&path, SECRET);
    let world = plan
        .set("admin", format!("token: {}", path.display()))
        .start();
    assert!(
        !world.gate.log().contains("in clear"),
        "{}",
        world.gate.log()
    );
    assert_eq!(admin(&world, "/api/v1/attempts/stream", &[]).status, 401);
    let mut events = Events::open(&world, "", &format!("Authorization: Bearer {SECRET}\r\n"));
    super::refused(&world, world.block.sensitive());
    assert_eq!(events.attempts(1).len(), 1);
}
