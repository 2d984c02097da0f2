//! Who may look: whoever has the token, and nobody else.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{at, furnished, tries};
use crate::harness::viewer::Browser;
use crate::harness::world::{Plan, World};

const TOKEN: &str = "a-token-of-the-security-team-0123456789";

fn guarded() -> World {
    let plan = Plan::new();
    let path = plan.path("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    furnished(plan.set("admin", format!("token: {}", path.display())))
}

#[test]
fn the_token_opens_the_console() {
    let world = guarded();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#policy"), json!({ "language": "en" }));
    page.sees("h1 >> text=Access to the console");
    page.misses("#nav");
    page.passes(&["axe", "structure", "reflow", "zoom"]);
    page.tabs_to("#token");
    page.types("not the token");
    page.presses("Enter");
    page.sees("#sign-in-error >> text=That token is not the right one.");
    assert_eq!(page.focus()["id"], "token");
    page.passes(&["axe"]);
    page.types(TOKEN);
    page.presses("Enter");
    // There where the address said.
    page.sees("#policy-rules >> text=r9-sensitive-data");
    page.clicks("#to-live");
    page.sees("#live-state.live");
    tries(&world, world.block.sensitive(), "outlook.office.com:443");
    page.sees("tr.attempt >> text=outlook.office.com:443");

    // A session outlives a reload, is out of reach of scripts, and ends when it is ended.
    page.goes(&at(&world, "?again#live"));
    page.sees("tr.attempt");
    assert_eq!(page.asks("cookies", json!(null)), "");
    page.clicks("#sign-out");
    page.sees("h1 >> text=Access to the console");
    page.goes(&at(&world, "?and-again#live"));
    page.sees("#sign-in-form");
    assert_eq!(page.count("tr.attempt"), 0);
    page.is_clean();
}

#[test]
fn a_session_that_ends_elsewhere_is_noticed() {
    let world = guarded();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#derogations"), json!({ "language": "fr" }));
    page.fills("#token", TOKEN);
    page.clicks("#sign-in-form button");
    page.sees("#derogations-in-force");
    page.asks("forget", json!(null));
    page.clicks("#to-day");
    page.sees("h1 >> text=Accès à la console");
    page.misses("#view-day");
    page.fills("#token", TOKEN);
    page.clicks("#sign-in-form button");
    page.sees("h1 >> text=Les dernières 24 heures");
    page.sees(".lane");
}
