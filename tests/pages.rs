//! The pages for the person refused, in a real browser: read, printed, by keyboard, by a screen reader.

use serde_json::{Value, json};

use crate::harness::browser::{READING, Seen, visit};
use crate::harness::client::client_hello;
use crate::harness::origin::echo;
use crate::harness::world::{Plan, World};

/// The two languages and the two colour schemes, once each.
const READERS: [(&str, &str); 4] = [
    ("fr", "light"),
    ("en", "dark"),
    ("fr", "dark"),
    ("en", "light"),
];

/// A visit of a page that is read, by each of the readers.
fn read_by_all(name: &str, url: &str, more: &Value) -> Vec<Value> {
    let one = |(language, scheme): (&str, &str)| {
        let mut visit = json!({
            "name": format!("{name}-{language}-{scheme}"),
            "url": url,
            "language": language,
            "scheme": scheme,
            "checks": READING,
        });
        for (key, value) in more.as_object().unwrap() {
            visit[key] = value.clone();
        }
        visit
    };
    READERS.map(one).to_vec()
}

fn without(check: &str) -> Vec<&'static str> {
    READING.into_iter().filter(|one| *one != check).collect()
}

fn all_clean(seen: &[Seen], status: u64) {
    for page in seen {
        page.is_clean();
        assert_eq!(page.status, status, "{}", page.name);
        // An automatic check that never ran found nothing either.
        let ran = page.facts["axe"].as_array().map_or(0, Vec::len);
        assert!(ran > 15, "{}: axe ran {ran} rules", page.name);
    }
}

/// The gate with the example policy, where the browser of this machine is a sensitive workload.
fn world() -> World {
    let world = Plan::example().start();
    world
        .dns
        .alias("mail.vendor.example", "contoso.mail.protection.outlook.com");
    world
        .dns
        .v4("contoso.mail.protection.outlook.com", world.block.ip(11));
    world
}

#[test]
fn a_refusal_is_a_page_for_everybody() {
    let world = world();
    let kept = json!({ "kept": ["r9-sensitive-data", "outlook.office.com:80"] });
    let mut visits = read_by_all("refusal", "http://outlook.office.com/mail/", &kept);
    let marked = json!({ "marked": [["La Suite numérique", "fr"]] });
    visits.extend(read_by_all("alias", "http://mail.vendor.example/", &marked));
    visits.extend(read_by_all(
        "address",
        "http://169.254.169.254/latest/",
        &json!({}),
    ));
    let seen = visit(&world.gate.url(), &visits);
    all_clean(&seen, 403);

    let french = &seen[0];
    assert_eq!(
        french.title,
        "Accès refusé\u{a0}: Exchange Online / Outlook"
    );
    for expected in [
        "Données d'une sensibilité particulière",
        "À la place, vous pouvez utiliser",
        "La Suite numérique: Messagerie",
        "Demander une dérogation",
        "validation du Premier ministre",
        "Circulaire n° 6404/SG du 31 mai 2023",
        "essai@octroi.example",
        "outlook.office.com:80",
    ] {
        french.says(expected);
    }
    seen[1].says("Data of particular sensitivity");
    // What helps stands before what explains.
    let at = |text: &str| french.text.find(text).unwrap();
    assert!(at("À la place") < at("Numéro d’incident"));
    assert!(at("Numéro d’incident") < at("Textes applicables"));
    assert!(
        seen.iter()
            .all(|page| page.facts["sheets"].as_u64() <= Some(2)),
        "{seen:?}"
    );
    // The incident number on the page is the one in the log.
    let incident = seen[7].facts["incident"].as_str().unwrap();
    assert_eq!(
        world.gate.decision("mail.vendor.example").text("event.id"),
        incident
    );
}

#[test]
fn ones_own_refusals_are_a_page_for_everybody() {
    let world = world();
    let page = format!("{}/", world.gate.url());
    let empty = json!({ "direct": true, "checks": without("incident") });
    let seen = visit(&world.gate.url(), &read_by_all("own-empty", &page, &empty));
    all_clean(&seen, 200);
    seen[0].says("n’a rien refusé à ce poste");
    seen[1].says("refused nothing to this machine");

    let from = [127, 0, 0, 1].into();
    for url in [
        "https://outlook.office.com/",
        "http://mail.vendor.example/",
        "http://169.254.169.254/",
    ] {
        world.curl(from, &[url]);
    }
    let filled = json!({ "direct": true, "kept": ["mail.vendor.example:80"], "marked": [["La Suite numérique", "fr"]] });
    let mut visits = read_by_all("own", &page, &filled);
    // Whoever cannot read one language takes the other, whatever the browser says.
    let choice = format!("{page}?lang=en");
    visits.push(json!({
        "name": "own-choice", "url": page, "direct": true, "language": "en",
        "steps": [{ "click": "nav a[hreflang=en]" }, { "wait": "html[lang=en]" }], "checks": ["structure", "axe"],
    }));
    visits[4]["url"] = format!("{page}?lang=fr").into();
    visits.push(json!({ "name": "own-jump", "url": choice, "direct": true, "language": "en",
        "steps": [{ "click": "article a[href='#derogation']" }, { "wait": "#derogation:target" }], "checks": ["structure"] }));
    let seen = visit(&world.gate.url(), &visits);
    for page in &seen {
        page.is_clean();
    }
    seen[0].says("Vos derniers refus");
    seen[0].says("UTC, ");
    seen[4].says("Your last refusals");
    assert_eq!(seen[0].facts["levels"], json!([1, 2, 2, 3, 3, 2, 3, 3, 2]));
}

#[test]
fn a_fault_is_a_page_for_everybody() {
    let world = world();
    let mut visits = read_by_all("fault", "http://nowhere.example/", &json!({}));
    world.dns.v4("dead.example", world.block.ip(12));
    visits.extend(read_by_all("dead", "http://dead.example/", &json!({})));
    let seen = visit(&world.gate.url(), &visits);
    all_clean(&seen, 502);
    seen[0].says("Ce nom n’existe pas.");
    seen[0].says("nowhere.example:80");
    seen[0].says("essai@octroi.example");
    seen[1].says("This name does not exist.");
    seen[1].says("not a refusal");
    seen[4].says("refuse la connexion");
}

#[test]
fn a_full_gate_says_so_on_a_page() {
    let world = Plan::new().set("limits", "per_source: 2").start();
    let from = [127, 0, 0, 1].into();
    let _held = [world.wire(from), world.wire(from)];
    let visits = [json!({ "name": "full", "url": "http://news.example/", "checks": READING })];
    let seen = visit(&world.gate.url(), &visits);
    all_clean(&seen, 503);
    seen[0].says("Réessayez dans quelques instants");
}

const MARKUP: &str = "<img src=x onerror=alert(1)>";

/// Whatever clients send and whoever writes the policy: text.
#[test]
fn markup_is_shown_as_text() {
    let plan = Plan::new();
    let policy = plan.path("policy");
    let edit = |file: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(policy.join(file)).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        std::fs::write(policy.join(file), text.replace(from, to)).unwrap();
    };
    edit(
        "services/services.yaml",
        "name: Drop",
        &format!("name: '{MARKUP}'"),
    );
    edit(
        "policy.yaml",
        "fr: \"Dépôt interdit.\"",
        "fr: '</p><script>alert(2)</script>'",
    );
    edit(
        "ministries/ministries.yaml",
        "name: { fr: \"Ministère des Finances\", en: \"Ministry of Finance\" }",
        "name: { fr: '</title><svg onload=alert(3)>' }\n    contact: 'javascript:alert(4)'",
    );
    let world = plan.start();
    world.origin("news.example", 10, 443, echo());
    let from = [127, 0, 0, 1].into();
    // Names of every kind: in the hello of a tunnel, in the request, in its fields.
    let honest = client_hello(Some("abcdefghijklmnopqrstuvwx.example"));
    let hello = replaced(
        &honest,
        b"abcdefghijklmnopqrstuvwx.example",
        b"<img/src=x onerror=alert(5)>.abc",
    );
    let mut wire = world.wire(from);
    assert_eq!(wire.connect("news.example:443").status, 200);
    wire.send(hello);
    wire.rest();
    for field in ["User-Agent", "Referer", "X-Forwarded-For", "Accept"] {
        let mut wire = world.wire(from);
        wire.send(format!(
            "GET http://www.drop.example/{MARKUP} HTTP/1.1\r\nHost: www.drop.example\r\n{field}: {MARKUP}\r\n\r\n"
        ).replace("<img src=x onerror=alert(1)> HTTP", "<img/src=x/onerror=alert(1)> HTTP"));
        assert!([400, 403].contains(&wire.head().status));
    }
    let page = format!("{}/", world.gate.url());
    let hostile = format!("http://www.drop.example/?q=\"><script>alert(6)</script>#{MARKUP}");
    let checks = [
        "structure",
        "axe",
        "reflow",
        "print",
        "keyboard",
        "incident",
    ];
    let visits = [
        json!({ "name": "hostile", "url": hostile, "agent": MARKUP, "checks": checks }),
        json!({ "name": "hostile-own", "url": format!("{page}?lang=fr&{MARKUP}"), "direct": true, "agent": MARKUP, "checks": checks }),
    ];
    let seen = visit(&world.gate.url(), &visits);
    for page in &seen {
        page.is_clean();
        page.says(MARKUP);
        page.says("</p><script>alert(2)</script>");
        page.says("</title><svg onload=alert(3)>");
        page.says("javascript:alert(4)");
        assert_eq!(
            page.facts["controls"],
            if page.name == "hostile" { 0 } else { 3 }
        );
    }
    assert!(seen[0].title.contains(MARKUP), "{}", seen[0].title);
    seen[1].says("news.example:443");
    assert!(!seen[1].text.contains("alert(5)"), "{}", seen[1].text);
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    [&bytes[..at], to, &bytes[at + to.len()..]].concat()
}
