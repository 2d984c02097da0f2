//! Pages that live, as somebody uses them: Chromium, led by `tests/browser/console.mjs` one step after the other.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use super::tools::{Running, tool};
use super::world::repository;

/// A browser; its pages have nothing in common.
pub(crate) struct Browser {
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    pages: RefCell<u32>,
    _child: Running,
}

/// One page of it. Every step waits for what it needs, and fails the test at a deadline.
pub(crate) struct Page<'a> {
    browser: &'a Browser,
    name: String,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let bench = repository().join("tests/browser");
        assert!(
            bench.join("node_modules/axe-core").is_dir(),
            "tests/browser/node_modules is missing: `npm ci` in tests/browser (tests/run does it)"
        );
        drop((tool("chromium"), tool("node")));
        let mut command = tool("timeout");
        command
            .args(["300", "node", "console.mjs"])
            .current_dir(bench)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let browser = Self {
            pipes: RefCell::new((input, output)),
            pages: RefCell::new(0),
            _child: Running(child),
        };
        browser.say(&json!({ "chromium": "/usr/bin/chromium" }));
        browser
    }

    /// Opens a page; `more` is what the bench takes beside the address.
    pub(crate) fn open(&self, url: &str, more: Value) -> Page<'_> {
        let mut count = self.pages.borrow_mut();
        *count += 1;
        let page = Page {
            browser: self,
            name: count.to_string(),
        };
        let mut with = more;
        with["url"] = url.into();
        let status = page.asks("open", with);
        assert_eq!(status, 200, "{url}");
        page
    }

    fn say(&self, command: &Value) {
        let (input, _) = &mut *self.pipes.borrow_mut();
        writeln!(input, "{command}").expect("the bench listens");
        input.flush().unwrap();
    }

    fn hear(&self) -> Value {
        let mut line = String::new();
        let (_, output) = &mut *self.pipes.borrow_mut();
        output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("the bench ended: {e}: `{line}`"))
    }
}

impl Page<'_> {
    /// One command of the bench.
    pub(crate) fn asks(&self, what: &str, mut with: Value) -> Value {
        if with.is_null() {
            with = json!({});
        }
        with["page"] = self.name.clone().into();
        with["do"] = what.into();
        self.browser.say(&with);
        let mut answer = self.browser.hear();
        if let Some(why) = answer["failed"].as_str() {
            panic!(
                "{why}\n--- findings {}\n--- the page\n{}",
                answer["findings"],
                answer["shown"].as_str().unwrap_or_default()
            );
        }
        answer["is"].take()
    }

    pub(crate) fn goes(&self, url: &str) {
        self.asks("goto", json!({ "url": url }));
    }

    pub(crate) fn clicks(&self, place: &str) {
        self.asks("click", json!({ "where": place }));
    }

    pub(crate) fn fills(&self, place: &str, text: &str) {
        self.asks("fill", json!({ "where": place, "with": text }));
    }

    pub(crate) fn presses(&self, key: &str) {
        self.asks("press", json!({ "key": key }));
    }

    pub(crate) fn types(&self, text: &str) {
        self.asks("type", json!({ "text": text }));
    }

    /// Presses Tab until the focus is there.
    pub(crate) fn tabs_to(&self, place: &str) {
        self.asks("tab", json!({ "where": place }));
    }

    pub(crate) fn selects(&self, place: &str, value: &str) {
        self.asks("select", json!({ "where": place, "value": value }));
    }

    /// Waits until it is seen.
    pub(crate) fn sees(&self, place: &str) {
        self.asks("wait", json!({ "where": place }));
    }

    /// Waits until it is not seen.
    pub(crate) fn misses(&self, place: &str) {
        self.asks("wait", json!({ "where": place, "state": "hidden" }));
    }

    /// Waits until so many of them (CSS) are there.
    pub(crate) fn counts_to(&self, place: &str, count: u64) {
        self.asks("waitCount", json!({ "where": place, "count": count }));
    }

    pub(crate) fn count(&self, place: &str) -> u64 {
        let count = self.asks("count", json!({ "where": place }));
        count.as_u64().unwrap()
    }

    pub(crate) fn text(&self, place: &str) -> String {
        let text = self.asks("text", json!({ "where": place }));
        text.as_str().unwrap().to_owned()
    }

    pub(crate) fn value(&self, place: &str) -> String {
        let value = self.asks("value", json!({ "where": place }));
        value.as_str().unwrap().to_owned()
    }

    pub(crate) fn address(&self) -> String {
        self.asks("address", Value::Null)
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What has the focus, and whether that is seen.
    pub(crate) fn focus(&self) -> Value {
        self.asks("focused", Value::Null)
    }

    /// Fails with what the checks found.
    pub(crate) fn passes(&self, checks: &[&str]) {
        clean(&self.asks("check", json!({ "names": checks })), self);
    }

    /// Nothing was caught: no error, no violation of the security policy, no request to elsewhere.
    pub(crate) fn is_clean(&self) {
        clean(&self.asks("caught", Value::Null), self);
    }

    pub(crate) fn shoots(&self, name: &str) {
        if let Some(folder) = std::env::var_os("OCTROI_SHOTS") {
            let path = std::path::Path::new(&folder).join(format!("{name}.png"));
            self.asks("shoot", json!({ "path": path, "whole": true }));
        }
    }

    pub(crate) fn closes(self) {
        self.asks("close", Value::Null);
    }
}

fn clean(findings: &Value, page: &Page<'_>) {
    let findings = findings.as_array().unwrap();
    let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        told.is_empty(),
        "{}: {} findings\n{}",
        page.address(),
        told.len(),
        told.join("\n")
    );
}
