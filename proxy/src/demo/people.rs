//! Who works in the demonstration's ministries, and what their machines ask for in a day.

use std::net::{IpAddr, Ipv4Addr};

use octroi_policy::Policy;
use octroi_policy::ministry::Sensitivity;

use super::chance::Chance;
use super::errand::{Errand, Words};
use super::hello::{Hello, Wish};
use super::month::{DAYS, Day, Minute};

/// Machines of a workload that holds data of particular sensitivity, and of another.
const SENSITIVE: u8 = 7;
const STANDARD: u8 = 14;

/// What workstations ask for, and how often.
const OFFICE: &[(&str, u32)] = &[
    ("outlook.office.com", 10),
    ("teams.microsoft.com", 6),
    ("login.microsoftonline.com", 5),
    ("economie.sharepoint.com", 4),
    ("www.office.com", 3),
    ("chatgpt.com", 6),
    ("gemini.google.com", 3),
    ("claude.ai", 2),
    ("chat.mistral.ai", 2),
    ("www.deepl.com", 2),
    ("huggingface.co", 1),
    ("visio.numerique.gouv.fr", 6),
    ("docs.numerique.gouv.fr", 6),
    ("matrix.agent.interieur.tchap.gouv.fr", 5),
    ("francetransfert.numerique.gouv.fr", 3),
    ("github.com", 3),
    ("wetransfer.com", 2),
    ("www.dropbox.com", 2),
    ("zoom.us", 2),
    ("web.whatsapp.com", 2),
    ("web.telegram.org", 1),
    ("www.linkedin.com", 3),
    ("x.com", 1),
    ("www.teamviewer.com", 1),
    ("dns.google", 1),
    ("www.legifrance.gouv.fr", 5),
    ("www.service-public.fr", 5),
    ("www.mairie.example", 6),
    ("www.fournisseur.example", 4),
    ("panne.fournisseur.example", 1),
    ("disparu.fournisseur.example", 1),
    ("portail.region.example", 2),
    ("www.parapheur.hexagone.example", 2),
    ("www.messagerie.hexagone.example", 1),
    (
        "http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/authrootstl.cab",
        4,
    ),
    ("http://ocsp.digicert.com/", 2),
];

/// What machines with sensitive data ask for.
const GUARDED: &[(&str, u32)] = &[
    ("matrix.agent.interieur.tchap.gouv.fr", 8),
    ("visio.numerique.gouv.fr", 6),
    ("docs.numerique.gouv.fr", 5),
    ("www.proconnect.gouv.fr", 4),
    ("www.legifrance.gouv.fr", 5),
    ("http://deb.debian.org/debian/dists/trixie/InRelease", 4),
    ("fe2.update.microsoft.com", 4),
    ("outlook.office.com", 3),
    ("chatgpt.com", 2),
    ("wetransfer.com", 1),
    ("courrier.prefecture.example", 1),
    ("www.parapheur.hexagone.example", 1),
];

/// The workloads with a part of their own in the story: see [`super::story`].
const CULTURE: (&str, &str) = ("culture", "bureautique");
const RETRYING: (&str, &str) = ("interieur", "paie");
const LAWFUL: [((&str, &str), u16); 2] = [
    (("education", "examens"), 587),
    (("economie", "fiscal"), 443),
];

/// Servers, at which nobody sits: their share of the gate is told by [`super::story`] alone.
const SERVERS: (&str, &str) = ("dinum", "hebergement");

/// A workload and its machines.
#[derive(Clone, Debug)]
pub(super) struct Office {
    ministry: String,
    workload: String,
    sensitivity: Sensitivity,
    machines: Vec<Ipv4Addr>,
}

/// The offices of the policy: workloads that are told by a range of loopback addresses.
pub(super) fn offices(policy: &Policy) -> Vec<Office> {
    let model = policy.model();
    let office = |workload: &octroi_policy::ministry::Workload| {
        let ministry = &model.ministries[workload.ministry?.at()].id;
        let ranges = workload
            .sources
            .iter()
            .filter(|range| range.prefix_len() == 24);
        let IpAddr::V4(first) = ranges.map(ipnet::IpNet::network).next()? else {
            return None;
        };
        let [a, b, c, _] = first.octets();
        let many = match workload.sensitivity {
            Sensitivity::Sensitive => SENSITIVE,
            Sensitivity::Standard => STANDARD,
        };
        (a == 127).then(|| Office {
            ministry: ministry.to_string(),
            workload: workload.id.to_string(),
            sensitivity: workload.sensitivity,
            machines: (1..=many).map(|d| Ipv4Addr::new(a, b, c, d)).collect(),
        })
    };
    let offices = model.workloads.iter().filter_map(office);
    offices.filter(|office| !office.is(SERVERS)).collect()
}

impl Office {
    fn is(&self, (ministry, workload): (&str, &str)) -> bool {
        self.ministry == ministry && self.workload == workload
    }

    /// What its machines ask for on a day, and when.
    pub(super) fn day(&self, day: Day, chance: &mut Chance) -> Vec<(Minute, Errand)> {
        let mut asked = Vec::new();
        for &machine in &self.machines {
            let (share, menu) = match self.sensitivity {
                Sensitivity::Standard => (55, OFFICE),
                Sensitivity::Sensitive => (40, GUARDED),
            };
            let share = if day.is_weekend() { share / 12 } else { share };
            for _ in 0..2 {
                if chance.percent(share) {
                    let errand = self.errand(machine, menu, chance);
                    asked.push((day.at(working_minute(chance)), errand));
                }
            }
            asked.extend(self.habits(machine, day, chance));
        }
        asked
    }

    fn errand(&self, machine: Ipv4Addr, menu: &[(&str, u32)], chance: &mut Chance) -> Errand {
        let mut target = choose(menu, chance);
        if self.is(CULTURE) && is_microsoft(target) {
            // What it may of that is told in the story.
            target = "docs.numerique.gouv.fr";
        }
        if target.starts_with("http://") {
            return Errand::page(machine, target);
        }
        let size = u16::try_from(200 + chance.below(12_000)).unwrap_or_default();
        Errand::tunnel(machine, target, words(target, size, chance))
    }

    /// What the machines of some workloads do besides, each working day.
    fn habits(&self, machine: Ipv4Addr, day: Day, chance: &mut Chance) -> Vec<(Minute, Errand)> {
        if day.is_weekend() {
            return Vec::new();
        }
        let visit = |minute, target: &str| (day.at(minute), Errand::visit(machine, target, 4000));
        if self.is(RETRYING) {
            // Desktop Office, which nobody uninstalled, tries all day long.
            let tries =
                (0..3).map(|n| visit(560 + 150 * n + chance.below(120), "outlook.office.com"));
            return tries.collect();
        }
        if self.is(CULTURE) && day.number != super::story::ENDS && !day.is_in(super::story::LIMBO) {
            let minute = working_minute(chance);
            return vec![
                visit(minute, "outlook.office.com"),
                visit(minute + 5, "culture-my.sharepoint.com"),
            ];
        }
        let lawful = LAWFUL.iter().find(|(who, _)| self.is(*who));
        lawful
            .filter(|_| chance.percent(25))
            .map(|(_, port)| {
                let mut errand = Errand::visit(machine, "outlook.office365.com", 2500);
                if let super::errand::What::Tunnel { port: to, .. } = &mut errand.what {
                    *to = *port;
                }
                (day.at(working_minute(chance)), errand)
            })
            .into_iter()
            .collect()
    }
}

/// What is said first to a target: most programs say its name; browsers add an encrypted hello, some of them under the name of the
/// network in front of it.
fn words(target: &str, size: u16, chance: &mut Chance) -> Words {
    let wish = Wish::Bytes(size);
    let drawn = chance.below(100);
    let is_behind_front = matches!(target, "chatgpt.com" | "www.deepl.com");
    let (sni, ech) = match drawn {
        0..40 => (Some(target.to_owned()), false),
        40..97 if is_behind_front && drawn < 60 => (Some("cloudflare-ech.com".to_owned()), true),
        40..97 => (Some(target.to_owned()), true),
        97 => (None, false),
        98 if target == "www.fournisseur.example" || target == "www.mairie.example" => {
            (Some("cache.relais.example".to_owned()), false)
        }
        98 => (Some(target.to_owned()), false),
        _ => return Words::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n"),
    };
    Words::Hello(Hello { sni, ech, wish })
}

fn is_microsoft(target: &str) -> bool {
    [
        "office.com",
        "sharepoint.com",
        "microsoft.com",
        "microsoftonline.com",
    ]
    .iter()
    .any(|end| target.ends_with(end))
}

/// From nine to six, few at lunch.
fn working_minute(chance: &mut Chance) -> u32 {
    let drawn = 540 + (chance.below(540) + chance.below(540)) / 2;
    let is_lunch = (735..825).contains(&drawn);
    if is_lunch && chance.percent(70) {
        return drawn - 150;
    }
    drawn
}

fn choose<'a>(menu: &[(&'a str, u32)], chance: &mut Chance) -> &'a str {
    let mut drawn = chance.below(menu.iter().map(|(_, weight)| weight).sum());
    for &(target, weight) in menu {
        if drawn < weight {
            return target;
        }
        drawn -= weight;
    }
    ""
}

/// All that is asked for in a month, in its order.
pub(super) fn month(offices: &[Office], chance: &Chance) -> Vec<(Minute, Errand)> {
    let mut asked = Vec::new();
    for day in (1..=DAYS).map(Day::new) {
        for (at, office) in offices.iter().enumerate() {
            let number = u64::from(day.number) * 1000 + at as u64;
            asked.extend(office.day(day, &mut chance.part(number)));
        }
    }
    asked.sort_by_key(|(minute, _)| *minute);
    asked
}
