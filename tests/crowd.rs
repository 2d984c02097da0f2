//! Connections that want nothing but to be in the way: they make room, are slow on their own account, and cost what
//! is stated.

use std::time::{Duration, Instant};

use crate::harness::client::{Wire, client_hello};
use crate::harness::crowd::{Crowd, Manner, Sink};
use crate::harness::eventually;
use crate::harness::ledger::Became;
use crate::harness::origin::{echo, http};
use crate::harness::pki::Pki;
use crate::harness::scrape::{Line, request};
use crate::harness::world::{Plan, World};

/// Not a port on which a ClientHello is awaited: a tunnel to it stands as long as it is held.
const TARGET: &str = "news.example:8443";
const GET: &str = "GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n\r\n";

/// Who has waited less is not sent away.
const GRACE: Duration = Duration::from_millis(500);

fn assert_lives(wire: &mut Wire) {
    wire.send("ping");
    assert_eq!(wire.exactly(4), "ping");
}

fn tunnel(mut wire: Wire) -> Wire {
    assert_eq!(wire.connect(TARGET).status, 200);
    assert_lives(&mut wire);
    wire
}

fn passes(what: &str, time: Duration) {
    let began = Instant::now();
    eventually(what, || (began.elapsed() > time).then_some(()));
}

fn rejects(world: &World, reason: &str) -> Vec<Line> {
    let of_reason =
        |line: &Line| line.text("event.action") == "reject" && line.text("event.reason") == reason;
    world.gate.audit().into_iter().filter(of_reason).collect()
}

/// The threat: a whole prefix connects, none of them says a word, and the gate is full.
#[test]
fn a_crowd_that_says_nothing_makes_room_for_whoever_asks() {
    let world = Plan::new().set("limits", "connections: 40").start();
    world.origin("news.example", 10, 8443, echo());
    let mut crowd: Vec<_> = (0..40)
        .map(|n| world.wire(world.block.ip(100 + n)))
        .collect();
    world.gate.has_taken(40, 40);
    passes("they have had the time to speak", GRACE);
    for path in ["/-/healthy", "/metrics"] {
        assert_eq!(
            request(world.gate.admin(), "GET", path).unwrap().status,
            200
        );
    }
    let began = Instant::now();
    let mut asks = tunnel(world.ordinary());
    let took = began.elapsed();
    eprintln!("served after {took:?}");
    assert!(
        took < Duration::from_secs(3),
        "{took:?}: it waited for others to leave"
    );

    // One went, without a word; the others are where they were.
    let lines = eventually("it is recorded", || {
        let lines = rejects(&world, "displaced");
        (!lines.is_empty()).then_some(lines)
    });
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(line.text("octroi.listener"), "explicit");
    assert!(line.get("http").is_none(), "it was told nothing");
    let address: std::net::Ipv4Addr = line.text("source.ip").parse().unwrap();
    let at = usize::from(address.octets()[3] - 100);
    assert!(crowd.remove(at).rest().is_empty());
    for wire in &mut crowd {
        assert_eq!(wire.connect("www.drop.example:443").status, 403);
    }
    assert_lives(&mut asks);
    let errors = world
        .gate
        .metrics()
        .by("octroi_client_errors_total", "reason");
    assert_eq!(
        errors.into_iter().collect::<Vec<_>>(),
        [("displaced".to_owned(), 1)]
    );
}

/// Flows keep their places, whoever comes; what is idle between two requests gives its own up, and a head that drips
/// is no flow.
#[test]
fn a_flow_under_way_makes_room_for_nobody() {
    let world = Plan::new().set("limits", "connections: 4").start();
    world.origin("news.example", 10, 8443, echo());
    world.origin("news.example", 10, 80, http());
    let mut tunnels = [tunnel(world.ordinary()), tunnel(world.ordinary())];
    let mut idle = world.ordinary();
    idle.send(GET);
    let head = idle.head();
    assert_eq!(head.status, 200);
    idle.body(&head);
    let mut half = world.ordinary();
    half.send(&GET[..20]);
    world.gate.has_taken(4, 4);
    passes("they have had the time to speak", GRACE);
    let third = tunnel(world.wire(world.block.ip(203)));
    assert!(
        idle.rest().is_empty(),
        "an idle connection ends as after its time"
    );
    half.send(&GET[20..30]);
    let fourth = tunnel(world.wire(world.block.ip(203)));
    assert!(half.rest().is_empty());
    // Nobody waits now: what comes is told so.
    let mut fifth = world.ordinary();
    fifth.send(GET);
    assert_eq!(fifth.head().status, 503);
    tunnels.iter_mut().for_each(assert_lives);
    drop((third, fourth));
    for reason in ["displaced", "displaced-idle", "connection-limit"] {
        let labels = [("reason", reason)];
        assert_eq!(
            world.gate.counted("octroi_client_errors_total", &labels, 1),
            1,
            "{reason}"
        );
    }
}

/// What waits before its first request waits as well: a handshake over TLS, the header of a balancer.
#[test]
fn a_handshake_and_a_balancers_header_make_room_too() {
    let plan = Plan::new().set("limits", "connections: 2");
    let trusted = format!("proxy_protocol: {{ trusted: [{}] }}", plan.block().ip(50));
    let files = plan.path("tls");
    std::fs::create_dir(&files).unwrap();
    let pki = Pki::new(&files);
    let gate = plan.block().gate().to_string();
    let shown = pki.certify("gate", &[&gate], |_| ());
    let (certificate, key) = (shown.certificate.display(), shown.key.display());
    let tls = format!("tls: {{ certificate: {certificate}, key: {key} }}");
    let plan = plan
        .listener("balanced", 3131, &trusted)
        .listener("secure", 3132, &tls);
    let world = plan.start();
    world.origin("news.example", 10, 8443, echo());
    let at = |port: u16| (world.block.gate(), port).into();
    let mut header = Wire::open(world.block.ip(50), at(3131));
    header.send("PROXY TCP4 ");
    world.gate.has_taken(1, 2);
    let mut handshake = Wire::open(world.block.ordinary(), at(3132));
    handshake.send(&client_hello(Some("gate.example"))[..40]);
    world.gate.has_taken(2, 2);
    passes("they have had the time to speak", GRACE);
    let _first = tunnel(world.ordinary());
    assert!(header.rest().is_empty());
    let _second = tunnel(world.ordinary());
    assert!(handshake.rest().is_empty());
    let displaced = [("reason", "displaced")];
    world
        .gate
        .counted("octroi_client_errors_total", &displaced, 2);
    let sources: Vec<_> = eventually("both are recorded", || {
        let lines = rejects(&world, "displaced");
        (lines.len() == 2).then(|| lines.iter().map(|it| it.text("source.ip")).collect())
    });
    let (balancer, client) = (world.block.ip(50), world.block.ordinary());
    assert_eq!(sources, [balancer.to_string(), client.to_string()]);
}

/// More are displaced than lines are written: the log says how many, the counter counts all.
#[test]
fn a_flood_that_is_displaced_does_not_flood_the_log() {
    let world = Plan::new().set("limits", "connections: 100").start();
    let one = |n: u8| world.wire(world.block.ip(20 + n));
    let _first: Vec<_> = (0..100).map(one).collect();
    world.gate.has_taken(100, 100);
    passes("they have had the time to speak", GRACE);
    let _second: Vec<_> = (0..100).map(one).collect();
    let displaced = [("reason", "displaced")];
    world
        .gate
        .counted("octroi_client_errors_total", &displaced, 100);
    passes("another second begins", Duration::from_secs(1));
    let _third = one(150);
    world
        .gate
        .counted("octroi_client_errors_total", &displaced, 101);
    let told = |line: &Line| {
        let detail = line.text("octroi.detail");
        detail.split(' ').next().unwrap().parse().unwrap_or(0)
    };
    let lines = eventually("the last one tells of the others", || {
        let lines = rejects(&world, "displaced");
        let unwritten: usize = lines.iter().map(told).sum();
        (unwritten + lines.len() == 101).then_some(lines)
    });
    eprintln!("{} lines for 101", lines.len());
    // Twenty in each second that it took on a busy machine.
    assert!(lines.len() < 101, "{}", lines.len());
}

/// Kilobytes of memory that the gate holds.
fn resident(world: &World) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.gate.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How long it takes another source to get a tunnel and an echo: the median and the 95th of a hundred.
fn latency(world: &World, rounds: usize) -> (Duration, Duration) {
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            drop(tunnel(world.ordinary()));
            began.elapsed()
        })
        .collect();
    times.sort();
    (times[rounds / 2], times[rounds * 95 / 100])
}

const ENDLESS: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n";
const HUNDREDS: usize = 300;

/// A world with a place that never ends its answers and one that only holds connections.
fn crowded(plan: Plan) -> (World, [Sink; 3]) {
    let world = plan.start();
    world.origin("news.example", 10, 8443, echo());
    for name in ["endless.example", "hoard.example"] {
        world.dns.v4(name, world.block.ip(20)).ttl(name, 3600);
    }
    let at = |port: u16| (world.block.ip(20), port).into();
    let sinks = [
        Sink::start(at(80), Some(ENDLESS)),
        Sink::start(at(8443), Some(ENDLESS)),
        Sink::start(at(443), None),
    ];
    (world, sinks)
}

fn reads_nothing() -> [Manner; 2] {
    let plain = "GET http://endless.example/ HTTP/1.1\r\nHost: endless.example\r\n\r\n";
    [plain, "CONNECT endless.example:8443"].map(|request| Manner::ReadsNothing {
        request: request.to_owned(),
    })
}

/// Shows 4: five thousand connections of one source, half open or slow, each in one of the ways there are.
#[test]
fn five_thousand_slow_connections_of_one_source_delay_nobody_else() {
    let plan = Plan::new().alone();
    let plan = plan.set("limits", "per_source: 10000");
    let plan = plan.set("limits", "head_timeout: 5m");
    let plan = plan.set("limits", "hello_timeout: 5m");
    let (world, _sinks) = crowded(plan);
    latency(&world, 50);
    let (before, memory) = (latency(&world, HUNDREDS), resident(&world));

    let mut crowd = Crowd::new(world.block.ip(203), world.gate.address());
    let mut join = |what: &str, many: usize, manner: &Manner| {
        let before = resident(&world);
        crowd.grow(many, manner);
        latency(&world, 50);
        let each = (resident(&world) - before) as f64 / many as f64;
        eprintln!("{many} {what}: {each:.1} kB each");
    };
    join("silent", 2000, &Manner::Silent);
    let (head, hello) = (GET.as_bytes(), client_hello(Some("hoard.example")));
    let field = "\r\nX-Slow: ".as_bytes();
    join(
        "half a head",
        1500,
        &Manner::Drips {
            at_once: [&head[..head.len() - 4], field].concat(),
            then: b"slow".to_vec(),
        },
    );
    join(
        "half a hello",
        1000,
        &Manner::DripsInside {
            target: "hoard.example:443".to_owned(),
            then: hello,
        },
    );
    let [plain, inside] = reads_nothing();
    join("plain, reading nothing", 250, &plain);
    join("tunnels, reading nothing", 250, &inside);
    let (during, held) = (latency(&world, HUNDREDS), resident(&world));
    assert_eq!(crowd.gone(), 0, "all of them are there");
    let each = (held - memory) as f64 / 5000.0;
    eprintln!("tunnel and echo, median and 95th: {before:?} alone, {during:?} beside 5,000");
    eprintln!("memory: {memory} kB before, {held} kB with 5,000: {each:.1} kB each");
    let noise = |time: Duration| time * 5 + Duration::from_millis(10);
    assert!(during.0 < noise(before.0), "{during:?} after {before:?}");
    assert!(during.1 < noise(before.1), "{during:?} after {before:?}");
    assert!(each < 128.0, "{each} kB a connection");

    drop(crowd);
    let left = eventually("their places are free", || {
        let labels = [("ministry", "culture")];
        let open = world.gate.metrics().total("octroi_tunnels_active", &labels);
        (open == 0).then(|| resident(&world))
    });
    eprintln!("memory: {left} kB after they left");
    assert!(left <= held + 4096, "{left} kB after {held} kB");
    assert_eq!(
        world
            .gate
            .metrics()
            .total("octroi_client_errors_total", &[("reason", "displaced")]),
        0
    );
    world.recorded("hoard.example", "culture", Became::Refused);
}

/// What is on its way to somebody who does not read is one block in a tunnel, some ten of them in the engine for plain
/// HTTP; and no more comes from the origin.
#[test]
fn slow_readers_hold_so_many_blocks_and_no_more() {
    let (world, _sinks) = crowded(Plan::new().alone());
    latency(&world, 50);
    let [plain, inside] = reads_nothing();
    for (what, manner, most) in [("tunnel", inside, 192.0), ("plain HTTP", plain, 1024.0)] {
        let before = resident(&world);
        let mut crowd = Crowd::new(world.block.ip(203), world.gate.address());
        crowd.grow(HUNDREDS, &manner);
        passes("the origin goes on sending", Duration::from_secs(2));
        latency(&world, 50);
        let each = (resident(&world) - before) as f64 / HUNDREDS as f64;
        eprintln!("{what}: {each:.0} kB each for {HUNDREDS} that read nothing");
        assert!(each < most, "{what}: {each} kB each");
        assert_eq!(crowd.gone(), 0);
    }
}

/// A head of `fields` fields of so many bytes each.
fn head_of(fields: usize, bytes: usize) -> Vec<u8> {
    let mut head = b"GET http://news.example/ HTTP/1.1\r\nHost: news.example\r\n".to_vec();
    for n in 0..fields {
        head.extend(format!("X-{n}: {}\r\n", "x".repeat(bytes)).into_bytes());
    }
    head
}

/// Too many fields, and fields without end: each is answered at once, the answer is small, and so is what is kept.
#[test]
fn a_flood_of_header_fields_is_answered_fast_and_kept_small() {
    let world = Plan::new().alone().start();
    world.origin("news.example", 10, 8443, echo());
    latency(&world, 50);
    let (before, memory) = (latency(&world, 100), resident(&world));
    let floods = [
        [head_of(150, 10), b"\r\n".to_vec()].concat(),
        head_of(20, 4000),
    ];
    let mut wires: Vec<_> = (0..HUNDREDS)
        .map(|_| world.wire(world.block.ip(203)))
        .collect();
    let mut slowest = Duration::ZERO;
    for (n, wire) in wires.iter_mut().enumerate() {
        let began = Instant::now();
        wire.send(&floods[n % floods.len()]);
        assert_eq!(wire.head().status, 431);
        slowest = slowest.max(began.elapsed());
    }
    let (during, held) = (latency(&world, 100), resident(&world));
    eprintln!(
        "431 after {slowest:?} at the latest; {memory} kB before, {held} kB after {HUNDREDS}"
    );
    eprintln!("tunnel and echo, median and 95th: {before:?} before, {during:?} during");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(held - memory < 32 * 1024, "{memory} kB, then {held} kB");
    let total = HUNDREDS as u64;
    let errors = world
        .gate
        .metrics()
        .by("octroi_client_errors_total", "reason");
    assert_eq!(errors.values().sum::<u64>(), total, "{errors:?}");
}
