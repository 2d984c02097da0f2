//! The README's transcript is what the gate says: its commands are run here, with our own DNS and
//! origins, and compared. `OCTROI_UPDATE_README=1` writes what they say into the README instead.

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::client::{Wire, client_hello, with_ech};
use crate::harness::eventually;
use crate::harness::origin::{echo, http, retries};
use crate::harness::pki::Pki;
use crate::harness::tools::tool;
use crate::harness::world::{Plan, World, repository};

const OPEN: &str = "<!-- transcript: written and compared by tests/readme.rs -->\n```console\n";
const CLOSE: &str = "```\n";

/// The transcripts of a text: (start, end) of what is between the fences.
fn transcripts(readme: &str) -> Vec<(usize, usize)> {
    let starts = readme.match_indices(OPEN).map(|(at, _)| at + OPEN.len());
    starts
        .map(|start| (start, start + readme[start..].find(CLOSE).unwrap()))
        .collect()
}

#[test]
fn the_readme_shows_what_the_gate_says() {
    let _turn = turn();
    let readme = readme();
    let world = Plan::example().start();
    world.tls_origin("outlook.office.com", 10, http());
    world
        .dns
        .alias("mail.vendor.example", "contoso.mail.protection.outlook.com");
    world
        .dns
        .v4("contoso.mail.protection.outlook.com", world.block.ip(11));
    let mut made = readme.clone();
    let places = transcripts(&readme);
    assert!(!places.is_empty(), "the README has no transcript");
    let said: Vec<String> = places
        .iter()
        .map(|&(a, b)| play(&world, &readme[a..b]))
        .collect();
    for (&(start, end), said) in places.iter().zip(&said).rev() {
        made.replace_range(start..end, said);
    }
    compare(&readme, made);
}

/// Both tests of this file may rewrite the README: one after the other.
static README: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// For another file's test of the README.
pub(crate) fn turn() -> std::sync::MutexGuard<'static, ()> {
    README.lock().unwrap_or_else(|e| e.into_inner())
}

pub(crate) fn readme() -> String {
    std::fs::read_to_string(repository().join("README.md")).unwrap()
}

pub(crate) fn compare(readme: &str, made: String) {
    if std::env::var_os("OCTROI_UPDATE_README").is_some() {
        std::fs::write(repository().join("README.md"), made).unwrap();
    } else {
        assert!(made == readme, "{}", first_difference(readme, &made));
    }
}

fn first_difference(old: &str, new: &str) -> String {
    let pairs = old.lines().zip(new.lines());
    let differing = pairs.filter(|(a, b)| a != b).take(5);
    let shown: Vec<String> = differing.map(|(a, b)| format!("- {a}\n+ {b}")).collect();
    let advice = "OCTROI_UPDATE_README=1 cargo test -p octroi --test e2e -- readme people";
    format!(
        "the README says something else ({advice}):\n{}",
        shown.join("\n")
    )
}

/// Runs the commands of a transcript, one after the other, and gives the transcript anew.
fn play(world: &World, transcript: &str) -> String {
    let mut made = String::new();
    for line in transcript
        .lines()
        .filter(|l| l.starts_with("$ ") || l.starts_with("# "))
    {
        made.push_str(line);
        made.push('\n');
        if let Some(command) = line.strip_prefix("$ ") {
            let said = normalise(world, &shell(world, command));
            made.push_str(&said);
            if !said.is_empty() && !said.ends_with('\n') {
                made.push('\n');
            }
        }
    }
    made
}

fn shell(world: &World, command: &str) -> String {
    let local = command
        .replace("127.0.0.1:3128", &world.gate.address().to_string())
        .replace("127.0.0.1:9128", &world.gate.admin().to_string());
    let binary = Path::new(env!("CARGO_BIN_EXE_octroi")).parent().unwrap();
    let mut bash = tool("bash");
    bash.args(["-c", &format!("exec 2>&1; {local}")])
        .current_dir(repository());
    bash.env("PATH", format!("{}:/usr/bin:/bin", binary.display()));
    bash.env("CURL_CA_BUNDLE", world.pki.authority());
    let output = bash.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Addresses of the test become those of the quick start; what differs each time is left out.
fn normalise(world: &World, said: &str) -> String {
    let said = said
        .replace("\r\n", "\n")
        .replace(&world.gate.address().to_string(), "127.0.0.1:3128")
        .replace(&world.gate.admin().to_string(), "127.0.0.1:9128");
    let lines: Vec<String> = said
        .lines()
        .map(|line| mask(line, is_incident, "7ZQ4-0M1K-TXBE-93RA"))
        .collect();
    let mut text = lines.join("\n");
    if said.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Replaces each word of a line that looks like `is`.
fn mask(line: &str, is: fn(&str) -> bool, by: &str) -> String {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let found: Vec<&str> = words.filter(|word| is(word)).collect();
    found
        .iter()
        .fold(line.to_owned(), |line, word| line.replace(word, by))
}

/// Four groups of four letters in Crockford's base 32.
fn is_incident(word: &str) -> bool {
    let groups: Vec<&str> = word.split('-').collect();
    let fits = |g: &&str| {
        g.len() == 4
            && g.bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    groups.len() == 4 && groups.iter().all(fits)
}

const TABLE: &str = "| metric | labels | says |\n| --- | --- | --- |\n";

/// The table of metrics is what a gate exposes once everything has happened to it.
#[test]
fn the_readme_lists_every_metric() {
    let _turn = turn();
    let readme = readme();
    let start = readme.find(TABLE).expect("the table of metrics") + TABLE.len();
    let rows = readme[start..]
        .lines()
        .take_while(|line| line.starts_with('|'));
    let end = start + rows.map(|line| line.len() + 1).sum::<usize>();
    let plan = Plan::example().set("limits", "flows: { per_source: 9 }");
    let dir = plan.path("tls");
    std::fs::create_dir(&dir).unwrap();
    let gate = Pki::new(&dir).issue(&["gate.example"]);
    let (certificate, key) = (gate.certificate.display(), gate.key.display());
    let tls = format!("tls: {{ certificate: {certificate}, key: {key} }}");
    let world = plan.listener("secure", 3129, &tls).start();
    everything_happens(&world);
    let rows: String = families(&world)
        .into_iter()
        .map(|(name, (labels, help))| {
            let labels = labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect::<Vec<_>>();
            format!("| `{name}` | {} | {help} |\n", labels.join(", "))
        })
        .collect();
    let mut made = readme.clone();
    made.replace_range(start..end, &rows);
    compare(&readme, made);
}

/// One flow for each family that has no series before its first event.
fn everything_happens(world: &World) {
    let from = [127, 0, 0, 2].into();
    world.origin("news.example", 10, 443, echo());
    let mut wire = world.wire(from);
    assert_eq!(wire.connect("news.example:443").status, 200);
    let hello = with_ech(&client_hello(Some("news.example")));
    wire.send(&hello);
    wire.exactly(hello.len());
    drop(wire);
    assert_eq!(world.wire(from).connect("nowhere.example:443").status, 502);
    assert_eq!(world.wire(from).connect("no..name:443").status, 400);
    // 127.0.0.3 has a derogation for Exchange Online, and none for that port.
    world.origin("contoso.mail.protection.outlook.com", 11, 443, echo());
    world
        .dns
        .alias("outlook.office.com", "contoso.mail.protection.outlook.com");
    let mut refused = world.wire([127, 0, 0, 3].into());
    assert_eq!(refused.connect("outlook.office.com:8443").status, 403);
    let mut lifted = world.wire([127, 0, 0, 3].into());
    assert_eq!(lifted.connect("outlook.office.com:443").status, 200);
    lifted.send(client_hello(Some("outlook.office.com")));
    drop(lifted);
    world.curl([127, 0, 0, 1].into(), &["http://outlook.office.com/"]);
    // An indicator ends a tunnel to it.
    world.origin("soon.example", 12, 443, echo());
    let mut revoked = world.wire(from);
    assert_eq!(revoked.connect("soon.example:443").status, 200);
    let hello = client_hello(Some("soon.example"));
    revoked.send(&hello);
    revoked.exactly(hello.len());
    let list = world.policy.join("lists/indicators.txt");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, format!("{text}soon.example\n")).unwrap();
    assert!(revoked.rest().is_empty());
    // A server asks for another hello, and gets another name.
    world.origin("retry.example", 13, 443, retries());
    let mut other = world.wire(from);
    assert_eq!(other.connect("retry.example:443").status, 200);
    let names = ["retry.example", "news.example"].map(|name| client_hello(Some(name)));
    other.send(names.concat());
    other.rest();
    // More flows of one machine than it may have.
    let mut held: Vec<_> = (0..10).map(|_| world.wire(from)).collect();
    let ask = |wire: &mut Wire| wire.connect("news.example:443").status;
    assert!(held.iter_mut().any(|wire| ask(wire) == 503));
    drop(held);
    eventually("every flow is closed", || {
        let metrics = world.gate.metrics();
        let families = [
            "octroi_bytes_total",
            "octroi_certificate_reloads_total",
            "octroi_derogation_after_refusal_total",
            "octroi_derogation_uses_total",
            "octroi_found_behind_total",
            "octroi_second_hellos_refused_total",
            "octroi_tunnels_revoked_total",
        ];
        let counted = |family: &&str| metrics.total(family, &[]) > 0;
        families.iter().all(counted).then_some(())
    });
}

/// The families of ours: labels, help.
fn families(world: &World) -> BTreeMap<String, (Vec<String>, String)> {
    let metrics = world.gate.metrics();
    let helps = metrics
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP octroi_"));
    let family = |line: &str| {
        let (name, help) = line.split_once(' ').unwrap();
        let name = format!("octroi_{name}");
        let of_it = |s: &&crate::harness::scrape::Sample| s.name.starts_with(&name);
        let sample = metrics.samples.iter().find(of_it);
        let labels = sample.map(|s| s.labels.keys().filter(|l| *l != "le").cloned().collect());
        (name, (labels.unwrap_or_default(), help.to_owned()))
    };
    helps.map(family).collect()
}

/// The codemap names every module of the three crates.
#[test]
fn the_codemap_names_every_module() {
    let readme = readme();
    let map = &readme[readme.find("## The code").unwrap()..];
    let mut missing = Vec::new();
    for crate_dir in ["policy/src", "proxy/wire/src", "proxy/src", "proxy/src/cli"] {
        let files = std::fs::read_dir(repository().join(crate_dir)).unwrap();
        for file in files.map(|f| f.unwrap().path()).filter(|p| p.is_file()) {
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            if !map.contains(&format!("`{stem}`")) {
                missing.push(format!("{crate_dir}/{stem}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "not in the README's codemap: {missing:?}"
    );
}

/// What the README points at is there: files, and its own headings.
#[test]
fn the_readme_points_at_what_exists() {
    let readme = readme();
    let headings = readme.lines().filter_map(|line| {
        let below = line.strip_prefix("##")?;
        below.strip_prefix('#').unwrap_or(below).strip_prefix(' ')
    });
    let anchors: Vec<String> = headings
        .map(|h| format!("#{}", h.to_lowercase().replace(' ', "-")))
        .collect();
    let targets = readme.match_indices("](").map(|(at, _)| &readme[at + 2..]);
    let targets = targets.map(|rest| &rest[..rest.find(')').unwrap()]);
    let mut seen = 0;
    for target in targets.filter(|target| !target.starts_with("https://")) {
        seen += 1;
        let known = anchors.iter().any(|anchor| anchor == target);
        assert!(
            known || repository().join(target).exists(),
            "nothing at `{target}`"
        );
    }
    assert!(seen > 5, "only {seen} links found");
}
