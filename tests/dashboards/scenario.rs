//! A gate at which everything happens that dashboards show and alerts tell of.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::harness::Block;
use crate::harness::client::{Wire, client_hello, with_ech};
use crate::harness::origin::{echo, retries};
use crate::harness::pki::Pki;
use crate::harness::world::{Plan, World};

/// The alerts that it must raise, and no other.
pub(super) const RAISED: [&str; 8] = [
    "OctroiDerogationEndsIn30Days",
    "OctroiDerogationEndsIn7Days",
    "OctroiEvidenceCloakedOrRehosted",
    "OctroiGateSaturated",
    "OctroiListEmptied",
    "OctroiRefusedThenDerogated",
    "OctroiReloadFailing",
    "OctroiSensitiveWorkloadTriesProhibitedService",
];

const INDICATORS: &str = "lists/indicators.txt";
const HIDDEN: &str = "contoso.mail.protection.outlook.com";

/// Derogations near and far, a rate that is soon reached, a TLS listener, a state.
pub(super) fn world() -> World {
    let plan = Plan::new();
    let dir = plan.path("tls");
    std::fs::create_dir(&dir).unwrap();
    let gate = Pki::new(&dir).issue(&["gate.example"]);
    let (certificate, key) = (gate.certificate.display(), gate.key.display());
    let tls = format!("tls: {{ certificate: {certificate}, key: {key} }}");
    let state = format!("path: {}", plan.path("state").display());
    let plan = plan.listener("secure", 3129, &tls).set("state", state).set(
        "limits",
        "new_flows: { workloads: { finances/postes: 1 }, burst: 1s }",
    );
    let world = plan.prepare(write_policy).start();
    for (name, last) in [("steady.example", 10), (HIDDEN, 11), ("soon.example", 12)] {
        world.origin(name, last, 443, echo());
    }
    world.origin("www.drop.example", 13, 443, echo());
    world.origin("retry.example", 14, 443, retries());
    for name in ["outlook.office.com", "www.messagerie.example"] {
        world.dns.alias(name, HIDDEN);
    }
    world
}

fn write_policy(block: Block, root: &Path) {
    let date = |days: i64| {
        let then = Timestamp::now() + SignedDuration::from_hours(24 * days);
        then.to_string()[.."2026-11-24".len()].to_owned()
    };
    let derogation = |id: &str, ministry: &str, services: &str, until: &str| {
        format!(
            "  - {{ id: {id}, ministry: {ministry}, services: [{services}], from: 2026-01-01, until: {until}, approved_by: A, reference: B }}\n"
        )
    };
    let derogations = [
        "derogations:\n".to_owned(),
        derogation("D-far", "culture", "drop", "2099-12-31"),
        derogation("D-month", "culture", "messagerie", &date(20)),
        derogation("D-week", "interieur", "messagerie", &date(5)),
    ];
    std::fs::write(root.join("derogations.yaml"), derogations.concat()).unwrap();
    std::fs::write(root.join(INDICATORS), indicators(40)).unwrap();
    let ministries = root.join("ministries/ministries.yaml");
    let text = std::fs::read_to_string(&ministries).unwrap();
    let one = format!("\"{}/32\"", block.sensitive());
    let more = format!("{one}, \"{}/29\"", block.ip(208));
    std::fs::write(&ministries, text.replace(&one, &more)).unwrap();
}

fn indicators(count: usize) -> String {
    (0..count).fold(String::new(), |all, n| {
        format!("{all}.malware{n}.example\n")
    })
}

/// A tunnel that is allowed and in use.
pub(super) fn tunnel(world: &World, name: &str) -> Wire {
    let hello = with_ech(&client_hello(Some(name)));
    let mut wire = world.ordinary();
    assert_eq!(wire.connect(&format!("{name}:443")).status, 200);
    wire.send(&hello);
    wire.exactly(hello.len());
    wire
}

/// One round of everything.
pub(super) fn traffic(world: &World) {
    // More than its rate allows, to a name that does not exist.
    for _ in 0..3 {
        world
            .wire([127, 0, 0, 1].into())
            .connect("nowhere.example:443");
    }
    world.ordinary().connect("no..name:443");
    drop(tunnel(world, "steady.example"));
    // Prohibited, from several machines with sensitive data; watched, from an ordinary one.
    for last in 208..214 {
        let mut wire = world.wire(world.block.ip(last));
        assert_eq!(wire.connect("outlook.office.com:443").status, 403);
    }
    drop(tunnel(world, "outlook.office.com"));
    // A listed service that is Exchange underneath.
    drop(tunnel(world, "www.messagerie.example"));
    // Refused for its port, then let through by a derogation.
    assert_eq!(world.ordinary().connect("www.drop.example:444").status, 403);
    drop(tunnel(world, "www.drop.example"));
    world
        .wire(world.block.sensitive())
        .connect("www.drop.example:443");
    // A server asks for another hello, and gets another name.
    let mut other = world.ordinary();
    assert_eq!(other.connect("retry.example:443").status, 200);
    let names = ["retry.example", "steady.example"].map(|name| client_hello(Some(name)));
    other.send(names.concat());
    other.rest();
}

/// A list of indicators is replaced by one of a few lines, one of which ends `open`.
pub(super) fn shrink_list(world: &World, mut open: Wire) {
    let few = format!("soon.example\n{}", indicators(4));
    std::fs::write(world.policy.join(INDICATORS), few).unwrap();
    assert!(open.rest().is_empty(), "an indicator ends its tunnel");
}

/// From now on the bundle does not pass.
pub(super) fn break_policy(world: &World) {
    std::fs::write(world.policy.join("policy.yaml"), "version: [").unwrap();
}
