//! What the console reads, and who may: the API of the admin listener, from outside.

mod access;

use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::harness::client::{Curled, Wire, client_hello, curl};
use crate::harness::hello::{Hello, sni};
use crate::harness::origin::http;
use crate::harness::proxy::octroi;
use crate::harness::tools::finish;
use crate::harness::world::World;

/// Attempts that a gate keeps.
const KEPT: usize = 1000;

/// curl straight to the admin listener.
fn admin(world: &World, path: &str, arguments: &[&str]) -> Curled {
    let url = format!("http://{}{path}", world.gate.admin());
    let arguments = [&["--noproxy", "*", "--globoff", &url], arguments].concat();
    curl("", world.block.ip(250), &arguments)
}

fn json(answer: &Curled) -> Value {
    serde_json::from_str(&answer.body)
        .unwrap_or_else(|e| panic!("{e}: {} {}", answer.status, answer.body))
}

fn attempts(world: &World, query: &str) -> Vec<Value> {
    let told = json(&admin(world, &format!("/api/v1/attempts{query}"), &[]));
    told["attempts"].as_array().unwrap().clone()
}

/// A stream of events, read as it comes.
struct Events {
    wire: Wire,
    text: String,
    /// The beginning of a letter.
    rest: Vec<u8>,
}

impl Events {
    /// Asks in HTTP/1.0, whose answer is the bare stream.
    fn open(world: &World, query: &str, fields: &str) -> Self {
        let mut wire = Wire::open(world.block.ip(250), world.gate.admin());
        wire.send(format!(
            "GET /api/v1/attempts/stream{query} HTTP/1.0\r\nHost: {}\r\n{fields}\r\n",
            world.gate.admin()
        ));
        let head = wire.head();
        assert_eq!(head.status, 200, "{}", head.text);
        assert_eq!(head.field("content-type"), Some("text/event-stream"));
        assert_eq!(head.field("cache-control"), Some("no-store"));
        let (text, rest) = (String::new(), Vec::new());
        let mut events = Self { wire, text, rest };
        events.until("retry: 1000\n\n");
        events
    }

    /// Reads once, for `what`.
    fn read(&mut self, what: &str) {
        let mut buffer = [0; 4096];
        let length = match self.wire.stream.read(&mut buffer) {
            Ok(0) => panic!("the stream ended before {what}: {}", self.text),
            Ok(length) => length,
            Err(e) => panic!("{e} before {what}: {}", self.text),
        };
        self.rest.extend(&buffer[..length]);
        // A letter may come in two pieces.
        let whole = match std::str::from_utf8(&self.rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let whole: Vec<u8> = self.rest.drain(..whole).collect();
        self.text += std::str::from_utf8(&whole).unwrap();
    }

    /// Reads until the stream holds `words`.
    fn until(&mut self, words: &str) -> &str {
        while !self.text.contains(words) {
            self.read(words);
        }
        &self.text
    }

    /// The first `count` attempts of the stream.
    fn attempts(&mut self, count: usize) -> Vec<Value> {
        while self.text.matches("event: attempt\n").count() < count || !self.text.ends_with("\n\n")
        {
            self.read("more attempts");
        }
        let blocks = self.text.split("\n\n");
        let of_attempts = blocks.filter_map(|block| block.strip_prefix("event: attempt\n"));
        let told = of_attempts.map(|block| {
            let (id, data) = block.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            let attempt: Value = serde_json::from_str(data).unwrap();
            assert_eq!(id, format!("id: {}", attempt["seq"]));
            attempt
        });
        told.collect()
    }

    /// Nothing more has come, but for what is on its way already.
    fn is_quiet(&mut self) -> bool {
        self.wire.stream.set_nonblocking(true).unwrap();
        let read = self.wire.stream.read(&mut [0; 1]);
        self.wire.stream.set_nonblocking(false).unwrap();
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// A plain HTTP request that the policy refuses; its attempt is decided when this returns.
fn refused(world: &World, from: Ipv4Addr) {
    let mut wire = world.wire(from);
    wire.send("GET http://outlook.office.com/ HTTP/1.1\r\nHost: outlook.office.com\r\nConnection: close\r\n\r\n");
    assert_eq!(wire.head().status, 403);
}

fn texts<'a>(attempts: &'a [Value], key: &str) -> Vec<&'a str> {
    let key = |attempt: &'a Value| attempt.pointer(key).and_then(Value::as_str).unwrap_or("-");
    attempts.iter().map(key).collect()
}

#[test]
fn attempts_are_seen_live_each_once_and_agree_with_the_counters() {
    let world = World::new();
    world.origin("outlook.office.com", 10, 80, http());
    world.origin("news.example", 11, 80, http());
    let (sensitive, ordinary) = (world.block.sensitive(), world.block.ordinary());
    let mut all = Events::open(&world, "", "");
    let mut observed = Events::open(&world, "?verdict=observed&ministry=culture", "");
    let asked = [
        (sensitive, "http://outlook.office.com/a", 403),
        (ordinary, "http://outlook.office.com/b", 200),
        (ordinary, "http://news.example/", 200),
        (world.block.stranger(), "http://news.example/", 403),
        (ordinary, "http://x.drop.example/", 403),
    ];
    for (from, url, status) in asked {
        assert_eq!(world.curl(from, &[url]).status, status, "{url}");
    }
    let told = all.attempts(asked.len());
    assert_eq!(told.len(), asked.len());
    let column = |key: &str| texts(&told, key).join(" ");
    assert_eq!(
        column("/ministry/id"),
        "interieur culture culture unassigned culture"
    );
    assert_eq!(column("/verdict"), "deny deny allow deny deny");
    assert_eq!(
        column("/mode"),
        "enforced observed enforced enforced enforced"
    );
    assert_eq!(
        column("/service/id"),
        "exchange-online exchange-online - - drop"
    );
    assert_eq!(
        column("/rule"),
        "r9-sensitive-data office-watch - - no-drop"
    );
    assert_eq!(column("/reason"), "deny deny - default deny");
    assert_eq!(
        column("/workload/id"),
        "paie bureautique bureautique unassigned bureautique"
    );
    assert_eq!(
        told[0]["ministry"]["name"]["en"],
        "Ministry of the Interior"
    );
    assert_eq!(told[0]["service"]["name"], "Exchange Online");
    assert_eq!(told[0]["client"], sensitive.to_string());
    assert_eq!(told[3]["ministry"]["name"], Value::Null);
    // The same in the list, the newest first, and in the log.
    let mut listed = attempts(&world, "");
    listed.reverse();
    assert_eq!(listed, told);
    for (attempt, line) in told.iter().zip(world.gate.decisions()) {
        assert_eq!(attempt["incident"], line.text("event.id"));
    }
    let counted = world.gate.metrics().by("octroi_attempts_total", "verdict");
    assert_eq!((counted["deny"], counted["allow"]), (4, 1));

    assert_eq!(
        texts(&observed.attempts(1), "/target"),
        ["outlook.office.com"]
    );
    assert!(observed.is_quiet(), "{}", observed.text);
    for (query, expected) in [
        ("?ministry=culture", 3),
        ("?workload=paie", 1),
        ("?service=unlisted", 2),
        ("?service=exchange-online&verdict=deny", 1),
        ("?verdict=allow", 1),
        ("?verdict=deny&limit=2", 2),
        ("?ministry=nobody", 0),
    ] {
        assert_eq!(attempts(&world, query).len(), expected, "{query}");
    }
}

#[test]
fn who_comes_back_goes_on_where_it_was_or_hears_how_much_it_missed() {
    let world = World::new();
    let sensitive = world.block.sensitive();
    (0..3).for_each(|_| refused(&world, sensitive));
    let told = attempts(&world, "");
    let first = told[2]["seq"].as_u64().unwrap();
    let resumed = format!("Last-Event-ID: {first}\r\n");
    let seqs = |events: &mut Events, count| -> Vec<u64> {
        let told = events.attempts(count);
        told.iter().map(|it| it["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(
        seqs(&mut Events::open(&world, "", &resumed), 2),
        [first + 1, first + 2]
    );
    assert_eq!(
        seqs(&mut Events::open(&world, &format!("?after={first}"), ""), 2),
        [first + 1, first + 2]
    );
    // Of another gate, or nothing at all: everything is new, or nothing is.
    assert_eq!(
        seqs(&mut Events::open(&world, "", "Last-Event-ID: 7\r\n"), 3).len(),
        3
    );
    assert!(Events::open(&world, "", "Last-Event-ID: x\r\n").is_quiet());

    (0..KEPT).for_each(|_| refused(&world, sensitive));
    let mut late = Events::open(&world, "", &resumed);
    late.until("event: missed\ndata: {\"count\":2}\n\n");
    let told = late.attempts(KEPT);
    assert_eq!(told.len(), KEPT);
    assert_eq!(told[0]["seq"], first + 3);
    let list = json(&admin(&world, "/api/v1/attempts?limit=1", &[]));
    assert_eq!(list["kept"], KEPT);
    assert_eq!(list["newest"], first + 2 + KEPT as u64);
}

#[test]
fn a_stream_ends_in_order_when_the_gate_stops() {
    let mut world = World::new();
    let mut events = Events::open(&world, "", "");
    refused(&world, world.block.sensitive());
    assert_eq!(events.attempts(1).len(), 1);
    world.gate.signal(rustix::process::Signal::TERM);
    assert_eq!(
        events.wire.rest(),
        b"",
        "nothing follows, and it is no reset"
    );
    assert_eq!(world.gate.exit(), Some(0));
}

/// The answer of the form, and what the command says of the same question.
fn explained(world: &World, pairs: &[(&str, &str)]) -> (Value, String) {
    let encode = |(name, value): &(&str, &str)| format!("{name}={value}");
    let fields: Vec<String> = pairs.iter().map(encode).collect();
    let mut arguments = vec!["--get"];
    arguments.extend(fields.iter().flat_map(|field| ["--data-urlencode", field]));
    let told = json(&admin(world, "/api/v1/explain", &arguments));
    let mut command = octroi();
    command
        .arg("explain")
        .arg("--config")
        .arg(world.dir.path().join("octroi.yaml"));
    for (name, value) in pairs {
        match *name {
            "url" => command.arg(value),
            "resolve" => command.arg("--no-resolve"),
            name => command.args([&format!("--{name}"), *value]),
        };
    }
    let (_, said) = finish(&mut command);
    let said: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("note: "))
        .collect();
    (told, said.join("\n"))
}

#[test]
fn explain_answers_in_the_words_of_the_command_and_of_the_wire() {
    let world = World::new();
    world
        .dns
        .alias("mail.vendor.example", "x.mail.protection.outlook.com");
    world
        .dns
        .v4("x.mail.protection.outlook.com", world.block.ip(10));
    world.dns.v4("news.example", world.block.ip(11));
    let (sensitive, ordinary) = (
        world.block.sensitive().to_string(),
        world.block.ordinary().to_string(),
    );
    let at = ("at", "2026-11-24");
    let (paie, office) = (("source", &*sensitive), ("source", &*ordinary));
    for (pairs, verdict, rule) in [
        (
            vec![paie, ("url", "https://mail.vendor.example/x?y=1&z")],
            "deny",
            "r9-sensitive-data",
        ),
        (vec![paie, ("url", "news.example")], "allow", ""),
        (
            vec![
                office,
                ("url", "http://outlook.office.com:80/"),
                ("resolve", "no"),
            ],
            "deny",
            "office-watch",
        ),
        (
            vec![office, ("url", "https://a.malware.example")],
            "deny",
            "cert-indicators",
        ),
        (
            vec![
                paie,
                ("url", "https://news.example"),
                ("sni", "outlook.office.com"),
            ],
            "deny",
            "r9-sensitive-data",
        ),
        (
            vec![
                paie,
                ("url", "https://a.example"),
                ("cname", "b.example"),
                ("cname", "outlook.office365.com"),
                ("address", "192.0.2.9"),
            ],
            "deny",
            "r9-sensitive-data",
        ),
        (
            vec![
                office,
                ("url", "https://écoles.example"),
                ("original", "203.0.113.9"),
                ("resolve", "no"),
            ],
            "",
            "",
        ),
    ] {
        let pairs = [&pairs[..], &[at]].concat();
        let (told, said) = explained(&world, &pairs);
        assert_eq!(told["text"], said, "{pairs:?}");
        if !verdict.is_empty() {
            assert_eq!(told["verdict"], verdict, "{told}");
            assert_eq!(told["rule"].as_str().unwrap_or(""), rule, "{told}");
        }
    }
    // A list's line is named, from the bundle on disk.
    let malware = explained(&world, &[office, ("url", "https://a.malware.example"), at]).0;
    let text = malware["text"].as_str().unwrap();
    assert!(text.contains("[lists/indicators.txt:1]"), "{text}");
    // What is denied by its name is not resolved, as on the wire.
    let asked = world.dns.asked("outlook.office.com");
    let told = explained(&world, &[paie, ("url", "https://outlook.office.com"), at]).0;
    assert_eq!(
        (&told["verdict"], &told["mode"]),
        (&"deny".into(), &"enforced".into())
    );
    assert_eq!(world.dns.asked("outlook.office.com"), asked);
    assert!(world.dns.asked("mail.vendor.example") > 0);
    // The gate's own door: the form knows where it listens.
    let own = world.gate.address().to_string();
    let told = explained(&world, &[office, ("url", &own), at]).0;
    assert_eq!(told["verdict"], "deny", "{told}");
    // It is an attempt of nobody's.
    assert_eq!(attempts(&world, "").len(), 0);
}

#[test]
fn the_last_day_and_the_policy_are_told_with_names() {
    let world = World::new();
    let (sensitive, stranger) = (world.block.sensitive(), world.block.stranger());
    (0..3).for_each(|_| refused(&world, sensitive));
    refused(&world, stranger);
    let told = json(&admin(&world, "/api/v1/history", &[]));
    assert_eq!(
        (&told["step_seconds"], &told["steps"]),
        (&300.into(), &288.into())
    );
    let ministries = told["ministries"].as_array().unwrap();
    assert_eq!(texts(ministries, "/id"), ["interieur", "unassigned"]);
    assert_eq!(ministries[0]["name"]["fr"], "Ministère de l'Intérieur");
    let sum = |row: &Value, key: &str| -> u64 {
        let steps = row[key].as_array().unwrap();
        assert_eq!(steps.len(), 288);
        // The tests may begin in one step and end in the next.
        steps[286..].iter().map(|it| it.as_u64().unwrap()).sum()
    };
    assert_eq!(
        (sum(&ministries[0], "deny"), sum(&ministries[0], "allow")),
        (3, 0)
    );
    let service = &told["services"][0];
    assert_eq!(
        (&service["id"], &service["name"]),
        (&"exchange-online".into(), &"Exchange Online".into())
    );
    assert_eq!(
        (&service["deny"], &service["machines"]),
        (&4.into(), &2.into())
    );

    let told = json(&admin(&world, "/api/v1/policy", &[]));
    let own = json(&admin(&world, "/-/policy", &[]));
    for key in ["name", "digest", "loaded_at", "from", "findings", "lists"] {
        assert_eq!(told[key], own[key], "{key}");
    }
    let rule = &told["rules"][0];
    assert_eq!(
        (&rule["id"], &rule["references"][0]),
        (&"r9-sensitive-data".into(), &"r9".into())
    );
    assert_eq!(
        told["references"][0]["title"]["en"],
        "Circular 6404/SG of 31 May 2023, rule R9"
    );
    assert_eq!(told["ministries"][1]["name"]["en"], "Ministry of Culture");
    let workload = &told["ministries"][0]["workloads"][0];
    assert_eq!(
        (&workload["id"], &workload["name"]["fr"]),
        (&"paie".into(), &"Paie".into())
    );
}

#[test]
fn what_a_client_says_stays_inside_its_string() {
    let world = World::new();
    world.origin("news.example", 11, 443, http());
    let mut events = Events::open(&world, "", "");
    for hostile in [
        "<script>alert(1)</script>",
        "a\ndata: x",
        "a\u{2028}b",
        "\"},{\"a\":\"",
        "a\rid: 1",
    ] {
        let mut wire = world.ordinary();
        let request = format!(
            "GET http://news.example/ HTTP/1.1\r\nHost: {hostile}\r\nUser-Agent: {hostile}\r\n\r\n"
        );
        wire.send(request);
        wire.rest();
        let mut wire = world.ordinary();
        wire.send(format!(
            "CONNECT {hostile}:443 HTTP/1.1\r\nHost: {hostile}\r\n\r\n"
        ));
        wire.rest();
        // Inside a tunnel.
        let mut wire = world.ordinary();
        assert_eq!(wire.connect("news.example:443").status, 200);
        wire.send(Hello::new().with(sni(&[hostile.as_bytes()])).bytes());
        wire.rest();
    }
    let mut wire = world.ordinary();
    assert_eq!(wire.connect("news.example:443").status, 200);
    wire.send(client_hello(Some("outlook.office.com")));
    let text = events.until("outlook.office.com").to_owned();
    let told = events.attempts(6);
    assert!(told.len() >= 6);
    for line in text.lines() {
        let known = [
            "event: attempt",
            "event: missed",
            "id: ",
            "data: {",
            "retry: ",
            ":",
        ];
        assert!(
            line.is_empty() || known.iter().any(|word| line.starts_with(word)),
            "{line}"
        );
    }
    assert!(!text.contains("script") && !text.contains('\u{2028}') && !text.contains('\r'));
    assert_eq!(texts(&told, "/sni").last(), Some(&"outlook.office.com"));
}
