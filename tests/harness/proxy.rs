//! The gate as a process: its files, its start, its words, its end.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::netns::Net;
use super::scrape::{Answer, Line, Sample, Scrape, request};
use super::tools::{Running, tool};
use super::{Block, DEADLINE, eventually};

/// The binary under test.
pub(crate) fn octroi() -> Command {
    octroi_at(None)
}

fn octroi_at(program: Option<&Path>) -> Command {
    let program = program.unwrap_or(Path::new(env!("CARGO_BIN_EXE_octroi")));
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null());
    command
}

/// What a test changes of the gate's own file.
pub(crate) struct Settings {
    pub(crate) block: Block,
    pub(crate) policy: PathBuf,
    /// More lines for the section named first, such as `("limits", "head_timeout: 1s")`.
    pub(crate) extra: Vec<(&'static str, String)>,
    /// Variables of the gate's environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// How many descriptors it may have, if that is not what the test may have.
    pub(crate) descriptors: Option<u32>,
    /// The program, if it is not the one under test.
    pub(crate) program: Option<PathBuf>,
    /// The networks on whose gateway it runs, if it is not this machine.
    pub(crate) net: Option<Arc<Net>>,
}

/// A running gate.
pub(crate) struct Gate {
    child: Running,
    block: Block,
    dir: PathBuf,
    net: Option<Arc<Net>>,
}

impl Gate {
    pub(crate) fn start(dir: &Path, settings: &Settings) -> Self {
        let gate = Self::spawn(dir, settings);
        eventually("the gate becomes ready", || {
            let ready = gate.hears("GET", "/-/ready")?;
            // Over TLS its tests ask themselves.
            (ready.status == 200 || ready.body.contains("this port speaks TLS")).then_some(())
        });
        gate
    }

    /// Starts without waiting for readiness.
    pub(crate) fn spawn(dir: &Path, settings: &Settings) -> Self {
        let config = dir.join("octroi.yaml");
        std::fs::write(&config, octroi_yaml(dir, settings)).unwrap();
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("gate.log"))
            .unwrap();
        let program = settings.program.as_deref();
        let mut command = match settings.descriptors {
            None => octroi_at(program),
            Some(most) => {
                let mut command = tool("prlimit");
                command.arg(format!("--nofile={most}:{most}"));
                command.arg(program.unwrap_or(Path::new(env!("CARGO_BIN_EXE_octroi"))));
                command
            }
        };
        command.envs(
            settings
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        );
        command
            .args(["run", "--config"])
            .arg(&config)
            .current_dir(dir);
        let environment = settings.environment.iter();
        command.envs(environment.map(|(name, value)| (name, value)));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let net = settings.net.clone();
        let mut start = || command.spawn().expect("the gate starts");
        let child = match &net {
            Some(net) => net.gateway.inside(start),
            None => start(),
        };
        Self {
            child: Running(child),
            block: settings.block,
            dir: dir.to_owned(),
            net,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (self.block.gate(), 3128).into()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        (self.block.gate(), 9128).into()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        let answer = self.hears(method, path);
        answer.expect("the admin listener answers")
    }

    /// What the admin listener answers, if it does.
    fn hears(&self, method: &str, path: &str) -> Option<Answer> {
        let asks = || request(self.admin(), method, path);
        match &self.net {
            Some(net) => net.gateway.inside(asks),
            None => asks(),
        }
    }

    pub(crate) fn metrics(&self) -> Scrape {
        Scrape::parse(self.ask("GET", "/metrics").body)
    }

    /// The value of a metric once it is at least `least`.
    pub(crate) fn counted(&self, name: &str, labels: &[(&str, &str)], least: u64) -> u64 {
        eventually(&format!("{name}{labels:?} reaches {least}"), || {
            let total = self.metrics().total(name, labels);
            (total >= least).then_some(total)
        })
    }

    /// Waits until so many of the places for connections are taken.
    pub(crate) fn has_taken(&self, places: u32, of: u32) {
        let wanted = f64::from(places) / f64::from(of);
        eventually(&format!("{places} of {of} places are taken"), || {
            let ratio = |s: &&Sample| {
                s.name == "octroi_limit_usage_ratio" && s.has(&[("limit", "connections")])
            };
            let metrics = self.metrics();
            let ratio = metrics.samples.iter().find(ratio)?.value;
            ((ratio - wanted).abs() < 1e-9).then_some(())
        });
    }

    /// Every complete line of the audit log so far.
    pub(crate) fn audit(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(self.audit_path()).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(Line::parse).collect()
    }

    pub(crate) fn audit_path(&self) -> PathBuf {
        self.dir.join("audit.jsonl")
    }

    /// The decision lines so far.
    pub(crate) fn decisions(&self) -> Vec<Line> {
        let of_decisions = |line: &Line| line.text("event.action") == "decision";
        self.audit().into_iter().filter(of_decisions).collect()
    }

    /// The last decision about a host, once it is written.
    pub(crate) fn decision(&self, host: &str) -> Line {
        eventually(&format!("a decision line about {host}"), || {
            let about = |line: &Line| line.text("url.domain") == host;
            self.decisions().into_iter().rev().find(about)
        })
    }

    /// The close line of the flow that a decision line began.
    pub(crate) fn close_of(&self, decision: &Line) -> Line {
        let flow = decision.text(FLOW_ID);
        assert!(
            !flow.is_empty(),
            "a decision line without {FLOW_ID}: {decision:?}"
        );
        eventually("the close line of a flow", || {
            let closes = |l: &Line| l.text("event.action") == "close" && l.text(FLOW_ID) == flow;
            self.audit().into_iter().find(closes)
        })
    }

    /// What the gate printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("gate.log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child.0);
        kill_process(pid, signal).expect("the gate is alive");
    }

    /// The exit code, once the process has ended.
    pub(crate) fn exit(&mut self) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < DEADLINE {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        panic!("the gate does not stop");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }
}

/// The field that joins the decision and close lines of a flow.
pub(crate) const FLOW_ID: &str = "event.id";

impl Drop for Gate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            let tail: String = tail.iter().rev().fold(String::new(), |mut all, line| {
                let _ = writeln!(all, "{line}");
                all
            });
            // As they stand: a line that is none must not hide what failed.
            let audit = std::fs::read_to_string(self.audit_path()).unwrap_or_default();
            let lines: Vec<&str> = audit.lines().rev().take(5).collect();
            eprintln!("--- the last audit lines\n{}", lines.join("\n"));
            eprintln!("--- the gate's last words\n{tail}---");
        }
    }
}

fn octroi_yaml(dir: &Path, settings: &Settings) -> String {
    let (gate, dns): (Ipv4Addr, Ipv4Addr) = (settings.block.gate(), settings.block.dns());
    let mut sections = vec![
        ("policy", format!("path: {}", settings.policy.display())),
        ("dns", format!("servers: [\"{dns}:53\"]")),
        ("upstream", "allow_internal: [127.0.0.0/8]".to_owned()),
        (
            "audit",
            format!("path: {}", dir.join("audit.jsonl").display()),
        ),
        ("admin", format!("address: \"{gate}:9128\"")),
    ];
    let mut text =
        format!("listeners:\n  - {{ name: explicit, mode: explicit, address: \"{gate}:3128\" }}\n");
    for (section, line) in &settings.extra {
        if *section == "listeners" {
            let _ = writeln!(text, "  - {line}");
            continue;
        }
        match sections.iter_mut().find(|(name, _)| name == section) {
            Some((_, lines)) => lines.push_str(&format!("\n  {line}")),
            None => sections.push((section, line.clone())),
        }
    }
    for (name, lines) in sections {
        let _ = write!(text, "{name}:\n  {lines}\n");
    }
    text
}
