//! Any proxy under the policy of this suite, judged by what leaks and what it serves, and by nothing else.

use std::fs::File;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::case::{Case, Leak, Way};
use super::comes_true;
use super::internet::{Came, Internet, network};
use super::octroi::{DNS, GATE, Octroi};
use super::open;
use super::play::{Heard, probe};
use super::stage::publish;
use crate::harness::dns::Dns;
use crate::harness::tools::Running;
use crate::harness::turn::Together;
use crate::harness::world::repository;

/// How long origins may take to end after a group.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is judged.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// This gate.
    Octroi,
    /// A proxy without a policy.
    Open,
    /// Another proxy: the program that starts it in the foreground.
    Peer(PathBuf),
}

#[expect(dead_code, reason = "held so that it lives")]
enum Alive {
    Octroi(Octroi),
    Peer(Running),
    /// Threads of this process.
    Open,
}

impl Subject {
    /// The one that `OCTROI_EVASION_SUBJECT` names: `squid`, `envoy`, or a program of one's own.
    pub(super) fn named() -> Self {
        let Some(name) = std::env::var_os("OCTROI_EVASION_SUBJECT") else {
            return Self::Octroi;
        };
        let ours = repository()
            .join("tests/evasion/peers")
            .join(&name)
            .join("start");
        Self::Peer(if ours.is_file() { ours } else { name.into() })
    }

    fn start(&self, dir: &std::path::Path) -> Alive {
        let program = match self {
            Self::Octroi => return Alive::Octroi(Octroi::start(dir)),
            Self::Open => {
                open::serve();
                return Alive::Open;
            }
            Self::Peer(program) => program,
        };
        let log = File::create(dir.join("log")).unwrap();
        let mut command = Command::new(program);
        command
            .env("LISTEN", GATE.to_string())
            .env("DNS", DNS.to_string())
            .env("RUN", dir);
        command.env("POLICY", repository().join("tests/evasion/policy"));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut running = Running(command.spawn().unwrap());
        let serves = comes_true(Duration::from_secs(30), || {
            TcpStream::connect(GATE).is_ok() || running.0.try_wait().unwrap().is_some()
        });
        let ended = running.0.try_wait().unwrap();
        let said = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        assert!(
            serves && ended.is_none(),
            "{} does not serve: {said}",
            program.display()
        );
        Alive::Peer(running)
    }
}

/// What came of a group.
#[derive(Debug, Default)]
pub(super) struct Score {
    pub(super) attacks: usize,
    pub(super) controls: usize,
    /// The attacks of which something got out.
    pub(super) leaked: Vec<String>,
    /// The controls that were not served.
    pub(super) broken: Vec<String>,
}

/// Plays a group against a subject in a world of its own.
pub(super) fn score(subject: &Subject, cases: &[Case]) -> Score {
    network().inside(|| play_all(subject, cases))
}

fn play_all(subject: &Subject, cases: &[Case]) -> Score {
    let _turn = Together::take();
    let dir = tempfile::tempdir().unwrap();
    let (internet, dns) = (Internet::start(), Dns::start(DNS));
    let _alive = subject.start(dir.path());
    // What comes to origins is a case's if it came before the next case began.
    let mut played = Vec::new();
    let is_asked = |case: &&Case| case.leak != Leak::Ours && case.way == Way::Explicit;
    for case in cases.iter().filter(is_asked) {
        publish(&dns, case);
        for (address, behaviour) in &case.origins {
            internet.behave(*address, behaviour.clone());
        }
        let first = internet.count();
        let heard = probe(case, case.cast.source(case.who), GATE);
        played.push((case, first, internet.count(), heard));
    }
    comes_true(PATIENCE, || internet.is_quiet(0));
    let came = internet.since(0);
    let mut score = Score::default();
    for (case, first, end, heard) in played {
        score.add(case, &came[first..end], &heard);
    }
    score
}

impl Score {
    fn add(&mut self, case: &Case, came: &[Came], heard: &Heard) {
        if case.leak == Leak::Served {
            self.controls += 1;
            if !is_served(case, came, heard) {
                self.broken.push(format!("{}: {}", case.name, heard.told()));
            }
            return;
        }
        self.attacks += 1;
        if leaks(case, came) {
            self.leaked.push(case.name.clone());
        }
    }
}

fn is_served(case: &Case, came: &[Came], heard: &Heard) -> bool {
    let answered = heard.answers.ends_with(&case.expect.answers);
    let got = case
        .expect
        .origins
        .iter()
        .all(|(to, _)| came.iter().any(|came| came.to == Some(*to)));
    answered && got && heard.tail == case.expect.tail
}

fn leaks(case: &Case, came: &[Came]) -> bool {
    let mut said = came.iter().filter(|came| !came.bytes.is_empty());
    match &case.leak {
        Leak::Elsewhere => said.any(|came| {
            let to = came.to.map(|to| to.ip());
            to.is_some_and(|to| !case.cast.may_reach(case.who, to))
        }),
        Leak::AnyByte => said.next().is_some(),
        Leak::At(address) => said.any(|came| came.to.map(|to| to.ip()) == Some(*address)),
        Leak::Beyond(most) => said.any(|came| came.bytes.len() > *most),
        Leak::Texts(texts) => said.any(|came| holds_all(&came.bytes, texts)),
        Leak::Served | Leak::Ours => false,
    }
}

fn holds_all(bytes: &[u8], texts: &[String]) -> bool {
    let said = String::from_utf8_lossy(bytes).to_lowercase();
    texts.iter().all(|text| said.contains(&text.to_lowercase()))
}
