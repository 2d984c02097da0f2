//! This gate as the subject of the table, and what it says about itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::eventually;
use crate::harness::proxy::octroi;
use crate::harness::scrape::{Line, Scrape, request};
use crate::harness::tools::Running;
use crate::harness::world::repository;

/// Where the proxy under test listens: an address of the internet, so that nothing but its being
/// the gate's own stands against dialling it.
pub(super) const GATE: SocketAddr = at([51, 15, 0, 1], 3128);
/// Where captured connections come to.
pub(super) const CAPTURE: u16 = 3130;
const ADMIN: SocketAddr = at([51, 15, 0, 1], 9128);
/// Where its resolver listens, on port 53.
pub(super) const DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

const fn at([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

/// The limits are short, so that running into them is; no shorter than a busy machine needs.
fn octroi_yaml(dir: &Path) -> String {
    let policy = repository().join("tests/evasion/policy");
    format!(
        "policy: {{ path: {} }}
listeners:
  - {{ name: explicit, mode: explicit, address: \"{GATE}\" }}
  - {{ name: captured, mode: transparent, capture: redirect, address: \"0.0.0.0:{CAPTURE}\" }}
dns: {{ servers: [\"{DNS}:53\"], timeout: 1s }}
upstream: {{ connect_timeout: 1s }}
limits: {{ head_timeout: 1s, hello_timeout: 1s, inspect_delay: 200ms }}
audit: {{ path: {} }}
admin: {{ address: \"{ADMIN}\" }}
",
        policy.display(),
        audit(dir).display(),
    )
}

fn audit(dir: &Path) -> PathBuf {
    dir.join("audit.jsonl")
}

/// A running gate.
pub(super) struct Octroi {
    child: Running,
    dir: PathBuf,
    read: u64,
}

/// Counters that moved, by how much: `name{label="value",…}` with the labels in order.
pub(super) type Counts = BTreeMap<String, u64>;

impl Octroi {
    pub(super) fn start(dir: &Path) -> Self {
        let config = dir.join("octroi.yaml");
        std::fs::write(&config, octroi_yaml(dir)).unwrap();
        let log = File::create(dir.join("gate.log")).unwrap();
        let mut command = octroi();
        command.args(["run", "--config"]).arg(&config);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = Running(command.spawn().unwrap());
        eventually("the gate becomes ready", || {
            request(ADMIN, "GET", "/-/ready").filter(|ready| ready.status == 200)
        });
        Self {
            child,
            dir: dir.to_owned(),
            read: 0,
        }
    }

    /// Every counter of decisions and refusals.
    pub(super) fn counts(&self) -> Counts {
        let answer = request(ADMIN, "GET", "/metrics").expect("the admin listener answers");
        let samples = Scrape::parse(answer.body).samples.into_iter();
        let ours = samples.filter(|sample| is_watched(&sample.name));
        ours.map(|sample| {
            (
                series(&sample.name, &sample.labels),
                sample.value.round() as u64,
            )
        })
        .collect()
    }

    /// The complete lines of the audit log that were not read before.
    pub(super) fn lines(&mut self) -> Vec<Line> {
        let mut text = String::new();
        let mut file = File::open(audit(&self.dir)).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        file.read_to_string(&mut text).unwrap();
        let complete = text.rfind('\n').map_or("", |end| &text[..=end]);
        self.read += complete.len() as u64;
        complete.lines().map(Line::parse).collect()
    }

    /// Stops it, and gives the lines that it still had to write.
    pub(super) fn stop(mut self) -> Vec<Line> {
        kill_process(Pid::from_child(&self.child.0), Signal::TERM).unwrap();
        eventually("the gate stops", || self.child.0.try_wait().unwrap());
        self.lines()
    }

    /// Whether it lives.
    pub(super) fn is_running(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }
}

/// Counters that say what became of flows, not how much of something there was.
fn is_watched(name: &str) -> bool {
    let other = [
        "octroi_bytes_total",
        "octroi_dns_lookups_total",
        "octroi_policy_reloads_total",
    ];
    name.starts_with("octroi_") && name.ends_with("_total") && !other.contains(&name)
}

/// One series as text.
pub(super) fn series(name: &str, labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}
