//! What happens in a month besides people at work: edits of the policy, dates that pass, an attack.

use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::crowd::Crowd;
use super::errand::{Errand, Open, Words};
use super::hello::{Hello, Wish};
use super::month::{Clock, DAYS, Day, Minute};
use super::place::{DEROGATIONS, Desk, day_after, shipped, with_end};
use super::screen::Screen;
use crate::reload;

/// The derogation that ends in the middle of each month and is renewed.
const DEROGATION: &str = "D-2026-014";
/// Days on which nobody uses it: its end is set, and comes.
pub(super) const LIMBO: Range<u32> = 11..15;
/// The day on which it ends.
pub(super) const ENDS: u32 = 15;
/// How long it holds once renewed, in days of the real calendar.
const RENEWED: i64 = 60;
/// An end is so far ahead at least, whatever the speed: a bundle has to be read first.
const AHEAD: Duration = Duration::from_secs(2);
/// How long the gate may take to notice an edit, or to end tunnels.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

const INDICATORS: &str = "lists/indicators.txt";
const DENIED: &str = "lists/denied-names.txt";
const RULES: &str = "policy.yaml";

/// What comes at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    NightlyTransfer,
    NameForbidden,
    ListEmptied,
    ListShortened,
    ListRestored,
    EndIsSet,
    DerogationEnds,
    Renewed,
    RuleMisspelt,
    Attack,
    Mended,
    Week,
}

/// All of them, in their order.
pub(super) fn turns() -> Vec<(Minute, Turn)> {
    use Turn as T;
    let at = |day, hour: u32| Day::new(day).at(hour * 60);
    let mut turns = vec![
        (at(2, 8), T::NameForbidden),
        (at(3, 8), T::ListEmptied),
        (at(4, 7), T::ListShortened),
        (at(11, 7), T::ListRestored),
        (at(11, 8), T::EndIsSet),
        (at(13, 20), T::Attack),
        (at(ENDS, 8), T::DerogationEnds),
        (at(18, 8), T::Renewed),
        (at(19, 8), T::RuleMisspelt),
        (at(29, 8), T::Mended),
    ];
    turns.extend((1..=DAYS).map(|day| (at(day, 2), T::NightlyTransfer)));
    turns.extend([7, 14, 21, 28].map(|day| (at(day, 23), T::Week)));
    turns.sort_by_key(|(minute, _)| *minute);
    turns
}

/// What turns happen with.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) crowd: Crowd,
    pub(super) desk: Desk,
    pub(super) policy: reload::Handle,
    pub(super) screen: Screen,
    pub(super) clock: Clock,
    pub(super) chance: Chance,
    /// Tunnels that stand until something ends them.
    pub(super) standing: Vec<Open>,
}

impl Stage {
    /// Makes something happen.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) async fn turn(&mut self, minute: Minute, turn: Turn) -> io::Result<()> {
        if turn != Turn::NightlyTransfer {
            self.crowd.settle().await;
        }
        let told = match turn {
            Turn::NightlyTransfer => return self.nightly_transfer().await,
            Turn::NameForbidden => self.name_forbidden().await?,
            Turn::ListEmptied => self.list_emptied().await?,
            Turn::ListShortened => self.list_shortened().await?,
            Turn::ListRestored => self.list_restored().await?,
            Turn::EndIsSet => self.end_is_set().await?,
            Turn::DerogationEnds => self.derogation_ends().await,
            Turn::Renewed => self.renewed().await?,
            Turn::RuleMisspelt => self.rule_misspelt().await?,
            Turn::Attack => self.attack().await,
            Turn::Mended => self.mended().await?,
            Turn::Week => self.screen.tally(),
        };
        self.screen.tell(&format!("{minute}  {told}"));
        Ok(())
    }

    /// Everything as the month finds it: what the month before left undone is done.
    pub(super) async fn open(&mut self) -> io::Result<()> {
        let now = Timestamp::now();
        let mut text = self.desk.read(DEROGATIONS)?;
        for (id, days) in [(DEROGATION, RENEWED), ("D-2026-021", 20), ("D-2026-033", 5)] {
            text = with_end(&text, id, &day_after(now, days));
        }
        if text != self.desk.read(DEROGATIONS)? {
            let before = self.digest();
            self.desk.save(DEROGATIONS, &text)?;
            self.swapped(&before).await;
        }
        Ok(())
    }

    /// Of nine transfers at once six are in its share; sequential, so that it is always the same three.
    async fn nightly_transfer(&mut self) -> io::Result<()> {
        let mut open = Vec::new();
        for machine in 1..=3 {
            for _ in 0..3 {
                let source = Ipv4Addr::new(127, 22, 1, machine);
                let errand = Errand::visit(source, "sauvegarde.numerique.gouv.fr", 16_000);
                open.extend(self.crowd.ask(&errand).await);
            }
        }
        Ok(())
    }

    async fn name_forbidden(&mut self) -> io::Result<String> {
        let site = "www.jeux-en-ligne.example";
        for machine in 1..=3 {
            let errand = Errand::visit(Ipv4Addr::new(127, 19, 2, machine), site, 9000);
            self.standing.extend(self.crowd.ask(&errand).await);
        }
        let text = self.desk.read(DENIED)? + ".jeux-en-ligne.example\n";
        self.edit(DENIED, &text).await?;
        let ended = self.all_ended().await;
        for machine in 1..=3 {
            let errand = Errand::visit(Ipv4Addr::new(127, 19, 2, machine), site, 9000);
            self.crowd.ask(&errand).await;
        }
        Ok(format!(
            "policy edited: .jeux-en-ligne.example is forbidden; {ended} open tunnels to it ended, new ones are refused"
        ))
    }

    async fn list_emptied(&mut self) -> io::Result<String> {
        self.desk.save(INDICATORS, "# source: octroi demo\n")?;
        self.rejected().await;
        Ok(
            "the list of indicators is saved empty: rejected, the last good policy stays in force"
                .to_owned(),
        )
    }

    async fn list_shortened(&mut self) -> io::Result<String> {
        let text = shipped(INDICATORS);
        let head = text.lines().filter(|line| line.starts_with('#'));
        let few = text.lines().filter(|line| !line.starts_with('#')).take(3);
        let text: String = head.chain(few).map(|line| format!("{line}\n")).collect();
        self.edit(INDICATORS, &text).await?;
        Ok("saved again with three of its lines: it passes, and the alert OctroiListEmptied tells of it".to_owned())
    }

    async fn list_restored(&mut self) -> io::Result<String> {
        self.edit(INDICATORS, shipped(INDICATORS)).await?;
        Ok("the list of indicators is whole again".to_owned())
    }

    async fn end_is_set(&mut self) -> io::Result<String> {
        for machine in 1..=4 {
            let source = Ipv4Addr::new(127, 18, 1, machine);
            let errand = Errand::visit(source, "outlook.office.com", 12_000);
            self.standing.extend(self.crowd.ask(&errand).await);
        }
        let ahead = self.clock.days(ENDS - LIMBO.start).max(AHEAD);
        let ahead = SignedDuration::try_from(ahead).unwrap_or(SignedDuration::from_secs(2));
        let before = self.digest();
        self.desk
            .end_derogation(DEROGATION, Timestamp::now() + ahead)?;
        self.swapped(&before).await;
        let open = self.standing.len();
        Ok(format!(
            "the end of {DEROGATION} is set to the {ENDS}th; {open} tunnels of the Culture stand on it"
        ))
    }

    async fn derogation_ends(&mut self) -> String {
        let ended = self.all_ended().await;
        for machine in 1..=4 {
            let source = Ipv4Addr::new(127, 18, 1, machine);
            let errand = Errand::visit(source, "outlook.office.com", 12_000);
            self.crowd.ask(&errand).await;
        }
        format!("{DEROGATION} ends: {ended} open tunnels with it, the next tries are refused")
    }

    async fn renewed(&mut self) -> io::Result<String> {
        let before = self.digest();
        let text = self.desk.read(DEROGATIONS)?;
        let end = day_after(Timestamp::now(), RENEWED);
        let text = with_end(&text, DEROGATION, &end);
        self.desk.save(DEROGATIONS, &text)?;
        self.swapped(&before).await;
        Ok(format!(
            "{DEROGATION} is renewed: machines that were refused are let through"
        ))
    }

    async fn rule_misspelt(&mut self) -> io::Result<String> {
        let text = self.desk.read(RULES)?;
        let text = text.replace("{ sensitivity: sensitive,", "{ sensitivity: sensitiv,");
        self.desk.save(RULES, &text)?;
        self.rejected().await;
        Ok("a rule is saved with `sensitivity: sensitiv`: rejected, the last good policy stays in force".to_owned())
    }

    async fn mended(&mut self) -> io::Result<String> {
        self.desk.restore(RULES)?;
        let text = shipped(DENIED);
        self.edit(DENIED, text).await?;
        Ok("the rule is mended, and .jeux-en-ligne.example is permitted again".to_owned())
    }

    /// One machine has caught something: names of its masters, names that nobody has, hellos that are none, a server name that is not
    /// the target, another one in the second hello; and a machine that nobody declared.
    async fn attack(&mut self) -> String {
        let (ill, stranger) = (Ipv4Addr::new(127, 16, 2, 200), Ipv4Addr::new(127, 99, 0, 1));
        let mut errands = Vec::new();
        for _ in 0..120 {
            let name = format!("{}.panel.bievre-c2.example", self.chance.word(12));
            errands.push(Errand::visit(ill, &name, 0));
            errands.push(Errand::visit(
                ill,
                &format!("{}.test", self.chance.word(16)),
                0,
            ));
        }
        for n in 0..40 {
            let words = match n % 4 {
                0 => Words::Bytes(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff"),
                1 => Words::Bytes(b"\x16\x09\x09\x00\x04\x01\x00\x00\x00"),
                2 => Words::Hello(Hello::to("relais.fournisseur.example", 0)),
                _ => switch(),
            };
            errands.push(Errand::tunnel(ill, "www.fournisseur.example", words));
        }
        errands.extend((0..30).map(|_| Errand::visit(ill, "no..name", 0)));
        errands.extend((0..25).map(|_| Errand::visit(stranger, "www.mairie.example", 0)));
        let many = errands.len();
        for errand in errands {
            self.crowd.send(errand, Duration::ZERO).await;
        }
        self.crowd.settle().await;
        format!(
            "attack: {many} tries of {ill} and {stranger} (names of a botnet, random names, broken and false hellos)"
        )
    }

    fn digest(&self) -> String {
        self.policy.status().digest.to_string()
    }

    /// Saves a file, and waits until what it says is in force.
    async fn edit(&self, name: &str, text: &str) -> io::Result<()> {
        let before = self.digest();
        self.desk.save(name, text)?;
        self.swapped(&before).await;
        Ok(())
    }

    async fn swapped(&self, before: &str) {
        self.noticed(|status| status.rejected.is_none() && *status.digest != *before)
            .await;
    }

    async fn rejected(&self) {
        self.noticed(|status| status.rejected.is_some()).await;
    }

    async fn noticed(&self, is_so: impl Fn(&reload::Status) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(&self.policy.status()) {
            if Instant::now() > until {
                self.screen
                    .tell("the gate has not noticed an edit of its policy");
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until the gate has ended every tunnel that stands; how many there were.
    async fn all_ended(&mut self) -> usize {
        let standing = std::mem::take(&mut self.standing);
        let many = standing.len();
        let longest = self.clock.days(ENDS - LIMBO.start).max(AHEAD) + PATIENCE;
        for open in standing {
            open.stay(longest).await;
        }
        many
    }
}

/// A server asks for another hello, and gets one for another name.
fn switch() -> Words {
    let hello = |name| Hello {
        wish: Wish::AnotherHello,
        ..Hello::to(name, 0)
    };
    Words::Switch {
        first: hello("www.fournisseur.example"),
        then: hello("www.mairie.example"),
    }
}
