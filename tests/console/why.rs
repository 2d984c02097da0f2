//! *Why*: from an attempt to its explanation, which is that of `octroi explain`.

use serde_json::json;

use super::{at, tries, world};
use crate::harness::client::client_hello;
use crate::harness::origin::echo;
use crate::harness::proxy::octroi;
use crate::harness::tools::finish;
use crate::harness::viewer::{Browser, Page};
use crate::harness::world::World;

/// What the command says of the same question at the instant that the page's answer names.
fn command_says(world: &World, page: &Page<'_>, arguments: &[&str]) {
    let shown = page.text("#explain-answer pre");
    let asked = shown.lines().find(|line| line.starts_with("asked"));
    let (_, instant) = asked.and_then(|line| line.rsplit_once(" at ")).unwrap();
    let mut command = octroi();
    command
        .args(["explain", "--at", instant, "--config"])
        .arg(world.dir.path().join("octroi.yaml"))
        .args(arguments);
    let (_, said) = finish(&mut command);
    assert_eq!(shown.trim_end(), said.trim_end());
}

#[test]
fn an_attempt_leads_to_its_explanation() {
    let world = world();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({}));
    page.sees("#live-state.live");
    let from = world.block.sensitive();
    assert_eq!(tries(&world, from, "mail.vendor.example:443"), 403);
    page.sees("tr.attempt.deny >> text=alias DNS → contoso.mail.protection.outlook.com");
    page.clicks("tr.attempt .opener");
    page.sees("tr.opened");
    let told = page.text("tr.opened");
    let line = world.gate.decision("mail.vendor.example");
    for expected in [
        "Refusé",
        "Données sensibles : offre qualifiée SecNumCloud ou de l'État.",
        "Circulaire n° 6404/SG du 31 mai 2023, règle R9",
        "mail.vendor.example:443 (tunnel)",
        "paie (sensible)",
        "dissimulé",
        &line.text("event.id"),
    ] {
        assert!(told.contains(expected), "no `{expected}` in {told}");
    }
    page.clicks("text=Expliquer cette décision");
    page.sees("#explain-answer .answer.deny");
    assert_eq!(page.value("#explain-source"), from.to_string());
    assert_eq!(page.value("#explain-url"), "mail.vendor.example:443");
    assert_eq!(
        page.value("#explain-cname"),
        "contoso.mail.protection.outlook.com"
    );
    assert!(page.text("#explain-answer h2").contains("Refusé"));
    let from = from.to_string();
    let arguments = [
        "--source",
        &from,
        "--cname",
        "contoso.mail.protection.outlook.com",
        "mail.vendor.example:443",
    ];
    command_says(&world, &page, &arguments);
    page.is_clean();
}

#[test]
fn the_form_answers_as_the_command_does() {
    let world = world();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#explain"), json!({ "language": "en" }));
    let ask = |url: &str, from: &str| {
        page.fills("#explain-url", url);
        page.fills("#explain-source", from);
        page.clicks("#explain-submit");
    };
    let ordinary = world.block.ordinary().to_string();
    ask("https://outlook.office.com/mail", &ordinary);
    page.sees("#explain-answer .answer.observed >> text=Would be refused");
    page.sees("#explain-answer >> text=office-watch");
    command_says(
        &world,
        &page,
        &["--source", &ordinary, "https://outlook.office.com/mail"],
    );

    ask("http://news.example/", &ordinary);
    page.sees("#explain-answer .answer.allow >> text=Allowed");
    command_says(
        &world,
        &page,
        &["--source", &ordinary, "http://news.example/"],
    );

    // The address is the question: sent to somebody else, it is answered there.
    let other = browser.open(&page.address(), json!({}));
    other.sees("#explain-answer .answer.allow");
    assert_eq!(other.value("#explain-url"), "http://news.example/");

    // More is asked than a name.
    page.clicks("#explain-more summary");
    page.fills("#explain-sni", "www.drop.example");
    page.fills("#explain-address", "192.0.2.77");
    page.fills("#explain-at", "2026-11-24T11:30:00");
    ask("https://news.example/", &ordinary);
    page.sees("#explain-answer .answer.deny");
    let shown = page.text("#explain-answer pre");
    assert!(shown.contains("at 2026-11-24T10:30:00Z"), "{shown}");
    let arguments = [
        "--source",
        &ordinary,
        "--sni",
        "www.drop.example",
        "--address",
        "192.0.2.77",
        "https://news.example/",
    ];
    command_says(&world, &page, &arguments);
    page.is_clean();
}

#[test]
fn a_question_that_is_none_is_told_at_its_field() {
    let world = world();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#explain"), json!({ "language": "en" }));
    let told = |field: &str, words: &str| {
        let error = format!("#explain-{field}-error");
        page.sees(&format!("{error} >> text={words}"));
        page.sees(&format!(
            "#explain-{field}[aria-invalid=true][aria-describedby~=explain-{field}-error]"
        ));
        assert_eq!(page.focus()["id"], format!("explain-{field}"));
    };
    page.clicks("#explain-submit");
    told("url", "Say what is asked for");
    page.fills("#explain-url", "https://outlook.office.com/");
    page.clicks("#explain-submit");
    told("source", "Say who asks");
    page.misses("#explain-url-error");
    page.fills("#explain-source", "somebody");
    page.clicks("#explain-submit");
    told("source", "write an address");
    page.fills("#explain-source", "192.0.2.1");
    page.fills("#explain-url", "https://a..b/");
    page.clicks("#explain-submit");
    told("url", "");
    page.fills("#explain-url", "https://news.example/");
    // A field that is out of sight is brought into it.
    page.clicks("#explain-more summary");
    page.fills("#explain-cname", "not a..name");
    page.clicks("#explain-more summary");
    page.clicks("#explain-submit");
    told("cname", "");
    page.passes(&["axe"]);
}

#[test]
fn a_name_in_a_hello_decides_and_is_told() {
    let world = world();
    let _origin = world.origin("news.example", 13, 443, echo());
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({ "language": "en" }));
    page.sees("#live-state.live");
    let mut wire = world.wire(world.block.ordinary());
    assert_eq!(wire.connect("news.example:443").status, 200);
    wire.send(client_hello(Some("www.drop.example")));
    wire.rest();
    page.sees("tr.attempt.deny >> text=TLS name → www.drop.example");
}
