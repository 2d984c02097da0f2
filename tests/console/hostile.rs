//! Whatever a client or a policy says: text.

use serde_json::json;

use super::{at, tries};
use crate::harness::client::client_hello;
use crate::harness::origin::echo;
use crate::harness::viewer::Browser;
use crate::harness::world::Plan;

const IMAGE: &str = "<img src=x onerror=alert(1)>";
const SCRIPT: &str = "\"><script>alert(2)</script>";

#[test]
fn markup_is_shown_as_text() {
    let plan = Plan::new().prepare(|_, policy| {
        let edit = |file: &str, from: &str, to: &str| {
            let text = std::fs::read_to_string(policy.join(file)).unwrap();
            assert!(text.contains(from), "{file}: {from}");
            std::fs::write(policy.join(file), text.replace(from, to)).unwrap();
        };
        edit(
            "services/services.yaml",
            "name: Drop",
            &format!("name: '{IMAGE}'"),
        );
        edit("policy.yaml", "No drop boxes.", "</td><script>alert(3)</script>");
        edit("policy.yaml", "https://legifrance.example/6404", "javascript:alert(4)");
        let rows = format!(
            "derogations:\n  - {{ id: D-1, ministry: finances, services: [exchange-online], from: 2020-01-01, until: 2099-12-31, \
             approved_by: '{IMAGE}', reference: '{IMAGE}', ticket: 'javascript:alert(5)' }}\n"
        );
        std::fs::write(policy.join("derogations.yaml"), rows).unwrap();
    });
    let world = plan.start();
    let _origin = world.origin("news.example", 13, 443, echo());
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({ "language": "en" }));
    page.sees("#live-state.live");

    let from = world.block.ordinary();
    // A hello with a name full of markup, and one that is none of a listed service.
    let honest = client_hello(Some("abcdefghijklmnopqrstuvwx.example"));
    let mut wire = world.wire(from);
    assert_eq!(wire.connect("news.example:443").status, 200);
    wire.send(replaced(
        &honest,
        b"abcdefghijklmnopqrstuvwx.example",
        b"<img/src=x onerror=alert(6)>.abc",
    ));
    wire.rest();
    // Host, path, fields: one at a time, as no client should send them.
    for (line, host) in [
        (format!("GET http://www.drop.example/{SCRIPT} HTTP/1.1").replace(' ', "\u{20}"), "www.drop.example"),
        ("GET http://www.drop.example/ HTTP/1.1".to_owned(), IMAGE),
        (format!("GET http://{IMAGE}/ HTTP/1.1"), "www.drop.example"),
        (format!("CONNECT {IMAGE}:443 HTTP/1.1"), IMAGE),
        ("GET http://www.drop.example/%3Cscript%3Ealert(7)%3C/script%3E?q=<svg/onload=alert(8)> HTTP/1.1".to_owned(), "www.drop.example"),
    ] {
        let mut wire = world.wire(from);
        wire.send(format!(
            "{line}\r\nHost: {host}\r\nUser-Agent: {IMAGE}\r\nReferer: {SCRIPT}\r\nX-Forwarded-For: {IMAGE}\r\n\r\n"
        ));
        let status = wire.head().status;
        assert!([400, 403].contains(&status), "{line}: {status}");
    }
    assert_eq!(tries(&world, from, "www.drop.example:443"), 403);
    page.sees("tr.attempt >> text=www.drop.example:443");
    // The service's name is shown for what it is: characters.
    page.sees(&format!("tr.attempt >> text={IMAGE}"));
    page.clicks("tr.attempt.deny .opener");
    page.sees("tr.opened >> text=</td><script>alert(3)</script>");

    page.clicks("#to-day");
    page.sees(&format!("#day-services >> text={IMAGE}"));
    page.clicks("#to-policy");
    page.sees("#policy-rules >> text=</td><script>alert(3)</script>");
    assert_eq!(page.count("a[href^='javascript' i]"), 0);
    page.clicks("#to-derogations");
    page.sees(&format!("#derogations-in-force >> text={IMAGE}"));
    page.sees("#derogations-in-force >> text=javascript:alert(5)");
    assert_eq!(page.count("a[href^='javascript' i]"), 0);

    // What an address of the page says is text too.
    let place = "#explain?url=%22%3E%3Cscript%3Ealert(9)%3C/script%3E&source=%3Cimg%20src=x%20onerror=alert(10)%3E&cname=%3Csvg%20onload=alert(11)%3E";
    page.goes(&at(&world, place));
    page.sees("#explain-form .error:visible, #explain-answer .error:visible");
    assert_eq!(
        page.value("#explain-source"),
        "<img src=x onerror=alert(10)>"
    );
    page.goes(&at(
        &world,
        &format!("#live?ministry={IMAGE}&service={SCRIPT}&verdict={SCRIPT}"),
    ));
    page.sees("#live-empty");
    assert_eq!(
        page.count("main img, main script, main iframe, main object, main [onerror], main [onload], main style, main [style*=url]"),
        0
    );
    page.is_clean();
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    [&bytes[..at], to, &bytes[at + to.len()..]].concat()
}
