//! For everybody: two languages, two schemes, any width, no mouse, a reader of screens.

use serde_json::json;

use super::{at, furnished, origins, tries, world};
use crate::harness::viewer::{Browser, Page};
use crate::harness::world::{Plan, World};

/// The places of the console, and what is seen there once it is drawn.
fn places(world: &World) -> [(String, &'static str); 5] {
    let question = format!(
        "#explain?url=https://outlook.office.com/&source={}",
        world.block.sensitive()
    );
    [
        ("#live".to_owned(), "tr.attempt"),
        ("#day".to_owned(), ".lane"),
        ("#derogations".to_owned(), "#derogations-in-force tbody tr"),
        ("#policy".to_owned(), "#policy-rules tbody tr"),
        (question, "#explain-answer .answer"),
    ]
}

/// A gate where every view has something to show: some of each verdict, derogations, findings.
fn busy() -> World {
    let plan = Plan::new().prepare(|_, policy| {
        let rows = "derogations:\n  - { id: D-1, ministry: culture, services: [drop], from: 2020-01-01, until: 2099-12-31, approved_by: A, reference: B }\n  \
             - { id: D-2, ministry: interieur, services: [drop], from: 2020-01-01, until: 2020-12-31, approved_by: A, reference: B }\n";
        std::fs::write(policy.join("derogations.yaml"), rows).unwrap();
    });
    let world = furnished(plan);
    let origins = origins(&world);
    let (sensitive, ordinary) = (world.block.sensitive(), world.block.ordinary());
    for (from, target) in [
        (sensitive, "outlook.office.com:443"),
        (sensitive, "mail.vendor.example:443"),
        (ordinary, "outlook.office.com:443"),
        (ordinary, "news.example:443"),
        (world.block.stranger(), "news.example:443"),
    ] {
        tries(&world, from, target);
    }
    drop(origins);
    world
}

#[test]
fn every_view_is_for_everybody() {
    let world = busy();
    let browser = Browser::start();
    for (language, scheme) in [
        ("fr", "light"),
        ("en", "dark"),
        ("fr", "dark"),
        ("en", "light"),
    ] {
        for (place, seen) in places(&world) {
            let more = json!({ "language": language, "scheme": scheme });
            let page = browser.open(&at(&world, &place), more);
            page.sees(seen);
            if place == "#live" {
                page.clicks("tr.attempt.deny .opener");
                page.sees("tr.opened");
            }
            page.passes(&["axe", "structure", "reflow", "zoom"]);
            page.asks("resize", json!({ "width": 320, "height": 640 }));
            page.passes(&["axe", "structure"]);
            let name = place.trim_start_matches('#').split('?').next().unwrap();
            page.shoots(&format!("console-{name}-{language}-{scheme}-narrow"));
            page.asks("resize", json!({ "width": 1920, "height": 1080 }));
            page.shoots(&format!("console-{name}-{language}-{scheme}-wide"));
            page.is_clean();
            page.closes();
        }
    }
}

#[test]
fn a_change_of_language_changes_every_word() {
    let world = busy();
    let browser = Browser::start();
    for (place, seen) in places(&world) {
        let page = browser.open(&at(&world, &place), json!({ "language": "fr" }));
        page.sees(seen);
        if place == "#live" {
            page.clicks("tr.attempt.deny .opener");
        }
        for summary in [
            "#day-table",
            "#day-ministries-table",
            "#explain-more",
            "#derogations-over",
        ] {
            if page.count(&format!("{summary}:not([open]) > summary:visible")) > 0 {
                page.clicks(&format!("{summary} > summary"));
            }
        }
        for language in ["en", "fr", "en"] {
            // Chosen, or already there.
            page.clicks(&format!("#language-{language}"));
            page.sees(&format!("html[lang={language}]"));
            let strangers = page.asks("strangers", json!(null));
            assert_eq!(strangers, json!([]), "{place} in {language}");
        }
        // The choice is kept, whatever the browser's own language.
        page.goes(&at(&world, &format!("?again{place}")));
        page.sees("html[lang=en]");
        page.closes();
    }
}

/// The focus is where it is to be, and can be seen.
fn focused(page: &Page<'_>, expected: &str) {
    let focus = page.focus();
    assert_eq!(focus["id"], expected, "{focus}");
    assert!(focus["outline"].as_f64().unwrap() >= 2.0, "{focus}");
    assert_ne!(focus["style"], "none", "{focus}");
}

#[test]
fn the_main_tasks_need_no_mouse() {
    let world = world();
    let _origins = origins(&world);
    let browser = Browser::start();
    let page = browser.open(&at(&world, ""), json!({ "language": "en" }));
    page.sees("#live-state.live");
    for target in ["outlook.office.com:443", "mail.vendor.example:443"] {
        tries(&world, world.block.sensitive(), target);
    }
    tries(&world, world.block.ordinary(), "news.example:443");
    page.counts_to("tr.attempt", 3);

    // Past the navigation at once.
    page.presses("Tab");
    focused(&page, "skip");
    page.presses("Enter");
    assert_eq!(page.focus()["id"], "title");
    // What was refused alone: arrows choose among the verdicts.
    page.tabs_to("#filter-verdict input");
    page.presses("ArrowRight");
    page.counts_to("tr.attempt", 2);
    page.sees(".tile.deny input:checked");
    page.tabs_to("#filter-ministry");
    focused(&page, "filter-ministry");
    page.tabs_to("#pause");
    page.presses("Space");
    page.sees("#live-state.paused");
    page.presses("Enter");
    page.sees("#live-state.live");
    // Into the list, down it, and into a line.
    page.tabs_to(".opener");
    page.presses("ArrowDown");
    assert!(
        page.focus()["text"]
            .as_str()
            .unwrap()
            .contains("outlook.office.com:443")
    );
    page.presses("Home");
    assert!(
        page.focus()["text"]
            .as_str()
            .unwrap()
            .contains("mail.vendor.example:443")
    );
    page.presses("Enter");
    page.sees(".opener[aria-expanded=true]");
    page.tabs_to("tr.opened a.button");
    page.presses("Enter");
    page.sees("#explain-answer .answer.deny");
    // The view is announced by its title, which has the focus.
    assert_eq!(page.focus()["text"], "Explain a decision");
    page.tabs_to("#explain-source");
    page.presses("Control+A");
    page.types(&world.block.ordinary().to_string());
    page.presses("Enter");
    page.sees("#explain-answer >> text=culture/bureautique");
    for (link, title) in [
        ("to-policy", "Policy in force"),
        ("to-derogations", "Derogations"),
        ("to-day", "The last 24 hours"),
    ] {
        page.asks("tab", json!({ "where": format!("#{link}"), "back": true }));
        focused(&page, link);
        page.presses("Enter");
        page.sees(&format!("h1 >> text={title}"));
        page.sees(&format!("#{link}[aria-current=page]"));
    }
    page.asks("tab", json!({ "where": "#language-fr", "back": true }));
    page.presses("Enter");
    page.sees("html[lang=fr]");
    focused(&page, "language-fr");
    page.is_clean();
}

#[test]
fn what_comes_is_said_in_one_sentence() {
    let world = world();
    let browser = Browser::start();
    let page = browser.open(&at(&world, "#live"), json!({ "language": "en" }));
    page.sees("#live-state.live");
    for _ in 0..30 {
        tries(&world, world.block.sensitive(), "outlook.office.com:443");
    }
    page.counts_to("tr.attempt", 30);
    // The list is no live region; the one that is says it once, when some seconds have passed.
    assert_eq!(page.count("[aria-live]:has(tr.attempt), [role=log]"), 0);
    page.asks(
        "wait",
        json!({ "where": "#live-spoken[role=status] >> text=30 new attempts, 30 refused", "state": "attached" }),
    );
}

#[test]
fn the_readers_own_colours_and_stillness_are_kept() {
    let world = busy();
    let browser = Browser::start();
    let more = json!({ "forced": true, "reduced": true });
    let page = browser.open(&at(&world, "#live"), more);
    page.sees("tr.attempt.deny svg.shape");
    page.passes(&["axe", "structure"]);
    let moving = page.asks("moving", json!(null));
    assert_eq!(moving, json!([]));
    page.shoots("console-live-forced");
}
