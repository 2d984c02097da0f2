//! A small bundle: a fixed cast, of which each part may be there or not.

use std::collections::BTreeMap;

use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// A bundle in parts, so that one part can be left out.
#[derive(Clone, Debug)]
pub(super) struct World {
    head: String,
    catalogue: String,
    rules: Vec<Rule>,
    layer: String,
    layer_rules: Vec<Rule>,
    derogations: String,
}

#[derive(Clone, Debug)]
struct Rule {
    text: String,
    effect: &'static str,
    observes: bool,
}

impl World {
    pub(super) fn any(u: &mut Unstructured<'_>) -> Result<Self> {
        let default = *u.choose(&["allow", "deny"])?;
        let mut rules = Vec::new();
        for index in 0..u.int_in_range(0..=5)? {
            rules.push(Rule::any(
                u,
                index,
                &["block", "deny", "deny", "deny", "allow", "allow"],
            )?);
        }
        let mut layer_rules = Vec::new();
        let layer = any_layer(u)?;
        for index in 10..u.int_in_range(10..=12)? {
            layer_rules.push(Rule::any(u, index, &["block", "deny", "deny"])?);
        }
        Ok(Self {
            head: format!(
                "version: 1\nname: world\ndefault: {default}\nderogation_ceiling: 12 months\ntested_at: 2026-11-23\n{}",
                any_people(u)?
            ),
            catalogue: any_catalogue(u)?,
            derogations: any_derogations(u)?,
            rules,
            layer,
            layer_rules,
        })
    }

    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let rules = |rules: &[Rule]| match rules {
            [] => String::new(),
            rules => {
                "rules:\n".to_owned()
                    + &rules
                        .iter()
                        .map(|rule| rule.text.as_str())
                        .collect::<String>()
            }
        };
        let policy = [
            &*self.head,
            &self.catalogue,
            &rules(&self.rules),
            &self.derogations,
        ]
        .concat();
        let own = self.layer.clone() + &rules(&self.layer_rules);
        let mut files = vec![("policy.yaml".to_owned(), policy.into_bytes())];
        if !own.is_empty() {
            files.push(("ministries/m/own.yaml".to_owned(), own.into_bytes()));
        }
        files
    }

    /// The change that `super::compare` names.
    pub(super) fn changed(&self, change: u8) -> Self {
        let mut world = self.clone();
        match change {
            0 => world.rules.reverse(),
            1 => (world.layer, world.layer_rules) = (String::new(), Vec::new()),
            2 => world.keep(|rule| !rule.observes),
            3 => world.derogations = String::new(),
            4 => world.keep(|rule| rule.effect != "allow"),
            5 => world.keep(|rule| rule.effect == "allow"),
            _ => {}
        }
        world
    }

    fn keep(&mut self, keep: impl Fn(&Rule) -> bool) {
        self.rules.retain(&keep);
        self.layer_rules.retain(&keep);
    }
}

impl Rule {
    fn any(u: &mut Unstructured<'_>, index: u8, effects: &[&'static str]) -> Result<Self> {
        let effect = *u.choose(effects)?;
        let observes = effect != "allow" && u.ratio(1, 3)?;
        let mode = if observes { ", mode: observe" } else { "" };
        let when = any_condition(u)?;
        let unless = match u.int_in_range(0..=3)? {
            0 if effect != "block" => format!(", unless: [ {{ {} }} ]", u.choose(&UNLESS)?),
            _ => String::new(),
        };
        let text =
            format!("  - {{ id: r{index}, effect: {effect}{mode}, when: {{ {when} }}{unless} }}\n");
        Ok(Self {
            text,
            effect,
            observes,
        })
    }
}

const WHAT: [&str; 13] = [
    "service: s0",
    "service: [s1, s2]",
    "service: s4",
    "category: mail",
    "category: [iaas, paas]",
    "category: office",
    "provider: p0",
    "provider: [p1, p2]",
    "provider: p2, fronts: true",
    "provider_jurisdiction: US",
    "domains: [.bad.example, unlisted.example]",
    "domains: ['*.p1.example']",
    "addresses: [198.51.100.0/26, 203.0.113.0/28]",
];
const WHO: [&str; 5] = [
    "ministry: m",
    "workload: w1",
    "sensitivity: sensitive",
    "ports: [443, 8443]",
    "ports: 25",
];
const UNLESS: [&str; 4] = [
    "qualification: secnumcloud",
    "operated_by: state",
    "service: s1",
    "sensitivity: standard",
];

fn any_condition(u: &mut Unstructured<'_>) -> Result<String> {
    let what = *u.choose(&WHAT)?;
    Ok(if u.arbitrary()? {
        format!("{what}, {}", u.choose(&WHO)?)
    } else {
        what.to_owned()
    })
}

/// Each part of a text, or not.
fn perhaps(u: &mut Unstructured<'_>, text: &str) -> Result<String> {
    Ok(if u.arbitrary()? {
        text.to_owned()
    } else {
        String::new()
    })
}

fn any_catalogue(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::from("providers:\n");
    for (index, jurisdiction) in [
        (0, ", jurisdiction: US"),
        (1, ""),
        (2, ", jurisdiction: US"),
    ] {
        let jurisdiction = perhaps(u, jurisdiction)?;
        let role = *u.choose(&["", ", role: platform", ", role: front"])?;
        let low = index * 64;
        text += &format!(
            "  - {{ id: p{index}{jurisdiction}, suffixes: [ {{ names: [p{index}.example]{role} }} ], addresses: [ {{ prefixes: [198.51.100.{low}/26]{role} }} ] }}\n"
        );
    }
    text += "services:\n";
    for index in 0..5 {
        let owner = u.int_in_range(0..=2)?;
        let provider = perhaps(u, &format!(", provider: p{owner}"))?;
        let category = *u.choose(&["mail", "office", "iaas", "infrastructure", "mail, office"])?;
        let requires = if index < 4 {
            perhaps(u, &format!(", requires: [s{}]", index + 1))?
        } else {
            String::new()
        };
        let hosted = match u.int_in_range(0..=3)? {
            0 => ", hosted_on: [ { provider: p2, since: 2026-01-01 } ]",
            1 => {
                ", hosted_on: [ { provider: p0, since: 2026-01-01, until: 2026-12-31, accepted_by: A, reference: B } ]"
            }
            _ => "",
        };
        let qualified = perhaps(
            u,
            ", qualification: [ { scheme: secnumcloud, since: 2026-01-01, until: 2026-12-31 } ]",
        )?;
        let shared = perhaps(u, ", shared: true")?;
        let operated = perhaps(u, ", operated_by: state")?;
        let extra = if index == 4 { ", s4.p1.example" } else { "" };
        let low = if u.ratio(1, 4)? { 0 } else { index * 16 };
        let addresses = perhaps(u, &format!(", addresses: [203.0.113.{low}/28]"))?;
        text += &format!(
            "  - {{ id: s{index}, name: S{index}, category: [{category}], domains: [.s{index}.example{extra}]{provider}{requires}{hosted}{qualified}{shared}{operated}{addresses} }}\n"
        );
    }
    Ok(text)
}

const ACTIONS: [&str; 10] = [
    "fronted: allow",
    "mismatch: allow",
    "absent: allow",
    "not_tls: observe",
    "ech_outer: deny",
    "cloaked: deny",
    "cloaked: allow",
    "rehosted: deny",
    "masked: observe",
    "unknown: deny",
];

fn any_on(u: &mut Unstructured<'_>) -> Result<String> {
    let mut words: BTreeMap<&str, &str> = BTreeMap::new();
    for _ in 0..u.int_in_range(0..=4)? {
        words.extend(u.choose(&ACTIONS)?.split_once(": "));
    }
    let words: Vec<_> = words
        .into_iter()
        .map(|(key, action)| format!("{key}: {action}"))
        .collect();
    Ok(match words[..] {
        [] => String::new(),
        _ => format!("on: {{ {} }}", words.join(", ")),
    })
}

fn any_people(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::from("ministries:\n  - id: m\n    name: M\n    workloads:\n");
    for (index, low) in [(0, 0), (1, 64), (2, 128)] {
        let sensitivity = *u.choose(&["sensitive", "standard"])?;
        let mut keys = String::new();
        for key in ["default: deny", "connect_ports: any", "http_ports: any"] {
            if u.ratio(1, 3)? {
                keys += &format!(", {key}");
            }
        }
        let on = any_on(u)?;
        let on = if on.is_empty() { on } else { format!(", {on}") };
        text += &format!(
            "      - {{ id: w{index}, sensitivity: {sensitivity}, sources: [192.0.2.{low}/26]{keys}{on} }}\n"
        );
    }
    Ok(text)
}

fn any_layer(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = perhaps(u, "default: deny\n")?;
    let on = any_on(u)?;
    if !on.is_empty() {
        text += &format!("{on}\n");
    }
    text += &perhaps(
        u,
        "services:\n  - { id: own, name: Own, category: [mail], domains: [.local.example] }\n",
    )?;
    Ok(text)
}

fn any_derogations(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 3)? {
        return Ok(String::new());
    }
    let services = *u.choose(&["s0", "s1, s2", "s4"])?;
    let workloads = perhaps(u, ", workloads: [w0, w1]")?;
    let ports = perhaps(u, ", ports: [25, 443]")?;
    Ok(format!(
        "derogations:\n  - {{ id: D-1, ministry: m{workloads}, services: [{services}]{ports}, from: 2026-09-01, until: 2027-02-28, offer_available_since: 2026-04-01, approved_by: A }}\n"
    ))
}
