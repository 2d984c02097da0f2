//! The README as three people use it: every shell block of it is run, in its order, in a fresh copy of
//! the repository, on a machine of its own: namespaces where ports are free, /etc, /var and /usr/local
//! may be written, and nothing leads outside. `OCTROI_UPDATE_README=1` writes what commands say into it.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::dns::Dns;
use crate::harness::origin::{Origin, http};
use crate::harness::prometheus::Prometheus;
use crate::harness::scrape::{Line, Scrape, request};
use crate::harness::tools::{Running, tool};
use crate::harness::world::{copy, repository};
use crate::harness::{DEADLINE, eventually, within};
use crate::readme::{compare, readme, turn};

/// Who reads a section and runs its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Person {
    /// Tries the program on one machine.
    Newcomer,
    Administrator,
    Author,
    Security,
}

/// The sections that hold shell blocks.
const SECTIONS: [(&str, Person); 4] = [
    ("Quick start", Person::Newcomer),
    ("Install", Person::Administrator),
    ("Write a policy", Person::Author),
    ("Watch", Person::Security),
];

/// A fenced block of the README that is run.
#[derive(Debug)]
struct Block {
    person: Person,
    language: String,
    /// Where its content stands in the text.
    start: usize,
    end: usize,
    /// Another test plays it, in a world of its own.
    is_transcript: bool,
}

/// The shell blocks in their order. Panics at one that nobody would run.
fn blocks(text: &str) -> Vec<Block> {
    let (mut section, mut marker, mut at) = ("", "", 0);
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    for line in text.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        match (line.trim_end().strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some((language, end)),
            (Some(_), Some((language, from))) => {
                found.extend(block(section, marker, language, from..start));
            }
            (None, Some(inside)) => open = Some(inside),
            (None, None) => section = line.strip_prefix("## ").map_or(section, str::trim_end),
        }
        if open.is_none() {
            marker = line;
        }
    }
    found
}

fn block(
    section: &str,
    marker: &str,
    language: &str,
    content: std::ops::Range<usize>,
) -> Option<Block> {
    if matches!(language, "text" | "yaml" | "json") {
        return None;
    }
    assert!(
        matches!(language, "sh" | "console"),
        "a block of `{language}` under {section}: text, yaml, json, or sh and console, which are run"
    );
    let owner = SECTIONS.iter().find(|(name, _)| *name == section);
    let (_, person) = owner.unwrap_or_else(|| panic!("nobody runs the block of {section}"));
    Some(Block {
        person: *person,
        language: language.to_owned(),
        start: content.start,
        end: content.end,
        is_transcript: marker.starts_with("<!-- transcript:"),
    })
}

#[test]
fn every_shell_block_has_somebody_who_runs_it() {
    let all = blocks(&readme());
    for (section, person) in SECTIONS {
        assert!(
            all.iter().any(|block| block.person == person),
            "no shell block under {section}"
        );
    }
    let odd = "## Install\n```sh\ntrue\n```\n## Elsewhere\n```bash\ntrue\n```\n";
    let refused = std::panic::catch_unwind(|| blocks(odd));
    assert!(refused.is_err(), "a block that nobody runs is found");
}

const INSIDE: &str = "OCTROI_INSIDE";

/// Makes the machine, then runs what follows in it. The shell stays beside it, as the one that reaps.
const MACHINE: &str = r#"
set -e
mount -t tmpfs tmpfs "$1"
for dir in etc var usr/local; do
  mkdir -p "$1/$dir/upper" "$1/$dir/work"
  mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$1/$dir/upper,workdir=$1/$dir/work" "/$dir"
done
mount -t tmpfs tmpfs /run
rm -f /etc/resolv.conf
echo 'nameserver 127.0.0.53' >/etc/resolv.conf
ip link set lo up
ip address add 203.0.113.10/32 dev lo
shift
"$@" && exit
"#;

#[test]
fn three_people_do_their_jobs_from_the_readme_alone() {
    if std::env::var_os(INSIDE).is_some() {
        return README_DAY.run();
    }
    let _turn = turn();
    let layers = tempfile::tempdir().unwrap();
    let name = "people::three_people_do_their_jobs_from_the_readme_alone";
    let mut command = tool("timeout");
    command.args(["300", "unshare", "--net", "--mount", "--pid", "--fork"]);
    command.args([
        "--kill-child",
        "--mount-proc",
        "bash",
        "-c",
        MACHINE,
        "bash",
    ]);
    command
        .arg(layers.path())
        .arg(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1");
    if let Some(update) = std::env::var_os("OCTROI_UPDATE_README") {
        command.env("OCTROI_UPDATE_README", update);
    }
    let (code, said) = crate::harness::tools::finish(&mut command);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 passed"), "nothing was run: {said}");
}

const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9128);

/// The day on which the three meet the README.
struct Day {
    /// Names and addresses of the world outside.
    names: [(&'static str, [u8; 4]); 3],
}

const README_DAY: Day = Day {
    names: [
        ("www.partner.example", [203, 0, 113, 10]),
        ("www.pastebin.example", [203, 0, 113, 10]),
        ("outlook.office.com", [203, 0, 113, 10]),
    ],
};

impl Day {
    fn run(&self) {
        let dns = Dns::start([127, 0, 0, 53].into());
        for (name, address) in self.names {
            dns.v4(name, address.into());
        }
        let origin = Origin::tcp([203, 0, 113, 10], 80, http());
        let desks: Vec<(Person, Desk)> = SECTIONS.map(|(_, person)| (person, Desk::new())).into();
        let text = readme();
        let mut made = text.clone();
        let mut said = Vec::new();
        let all = blocks(&text);
        for block in all.iter().filter(|block| !block.is_transcript) {
            let content = &text[block.start..block.end];
            let (_, desk) = desks
                .iter()
                .find(|(person, _)| *person == block.person)
                .unwrap();
            said.push((block, desk.work(block, content)));
        }
        for (block, content) in said.iter().rev() {
            made.replace_range(block.start..block.end, content);
        }
        compare(&text, made);
        assert!(
            origin.connections() > 0,
            "what was allowed reached its origin"
        );
        both_attempts_are_everywhere();
    }
}

/// What the security team was to see: both attempts under the right ministry, in the metrics, in the
/// log, and in the dashboard's own query.
fn both_attempts_are_everywhere() {
    let metrics = request(ADMIN, "GET", "/metrics")
        .expect("the gate runs")
        .body;
    let metrics = Scrape::parse(metrics);
    let of = |workload: &str, verdict: &str| {
        let labels = [
            ("ministry", "essai"),
            ("workload", workload),
            ("verdict", verdict),
        ];
        metrics.total("octroi_attempts_total", &labels)
    };
    let (denied, allowed) = (of("essai-ordinaire", "deny"), of("essai-ferme", "allow"));
    assert!(denied > 0 && allowed > 0, "{}", metrics.text);
    let log = std::fs::read_to_string("/var/log/octroi/audit.jsonl").unwrap();
    let lines: Vec<Line> = log.lines().map(Line::parse).collect();
    let logged = |host: &str, verdict: &str| {
        let fits = |line: &&Line| {
            line.text("event.action") == "decision"
                && line.text("url.domain") == host
                && line.text("octroi.verdict") == verdict
        };
        let found: Vec<&Line> = lines.iter().filter(fits).collect();
        assert!(
            found
                .iter()
                .all(|line| line.text("octroi.ministry") == "essai")
        );
        found.len() as u64
    };
    assert_eq!(logged("www.pastebin.example", "deny"), denied, "{log}");
    assert_eq!(logged("www.partner.example", "allow"), allowed, "{log}");
    dashboard_shows_both();
}

/// Panels show what was recorded in steps of a minute, up to 10 seconds ago.
const TWO_STEPS: Duration = Duration::from_secs(140);

/// The dashboard's panels of what was refused and what was allowed, asked of the Prometheus that the
/// security team started, move with new tries.
fn dashboard_shows_both() {
    let prometheus = Prometheus::at(([127, 0, 0, 1], 9090).into());
    let refused = panel("Refused and observed, by ministry and service", "\"deny\"");
    let allowed = panel("Allowed, observed, refused", "\"allow\"");
    let tries = [
        (refused, "127.0.0.2", "http://www.pastebin.example/"),
        (allowed, "127.0.0.4", "http://www.partner.example/"),
    ];
    for (expression, from, url) in tries {
        within(TWO_STEPS, &format!("the panel moves: {expression}"), || {
            let mut curl = tool("curl");
            curl.args(["-s", "-o", "/dev/null", "-x", "http://127.0.0.1:3128"]);
            curl.args(["--interface", from, url]).status().unwrap();
            let values = prometheus.query(&expression).unwrap();
            values.iter().any(|value| *value > 0.0).then_some(())
        });
    }
}

/// The query of a panel that asks for a verdict, for the ministry of the two.
fn panel(title: &str, verdict: &str) -> String {
    let file = repository().join("dashboards/overview.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let panel = panels.iter().find(|panel| panel["title"] == title).unwrap();
    let queries = panel["targets"].as_array().unwrap().iter();
    let mut queries = queries.map(|target| target["expr"].as_str().unwrap());
    let query = queries.find(|query| query.contains(verdict)).unwrap();
    let query = query
        .replace("$ministry", "essai")
        .replace("$service", ".*");
    query.replace("$__range", "5m").replace("$__interval", "2m")
}

/// Where blocks are run.
struct Desk {
    dir: tempfile::TempDir,
    path: String,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for part in ["examples", "dashboards"] {
            copy(&repository().join(part), &dir.path().join(part));
        }
        let quickstart = "examples/quickstart";
        let mode = std::fs::metadata(repository().join(quickstart))
            .unwrap()
            .permissions();
        std::fs::set_permissions(dir.path().join(quickstart), mode).unwrap();
        let path = format!(
            "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            tools(dir.path()).display()
        );
        Self { dir, path }
    }

    /// Runs a block; its content as it would stand in the README.
    fn work(&self, block: &Block, content: &str) -> String {
        eprintln!("--- {:?}\n{content}", block.person);
        match (block.person, &*block.language) {
            (Person::Newcomer, _) => self.until_interrupted(content),
            (_, "sh") => {
                let (code, said) = self.shell(content, &["-euo", "pipefail"]);
                assert_eq!(code, Some(0), "{content}\n{said}");
            }
            _ => return self.play(content),
        }
        content.to_owned()
    }

    /// A program in the foreground: ready at some time, and gone after Ctrl-C.
    fn until_interrupted(&self, content: &str) {
        let mut command = self.bash(&["-c", &format!("exec {}", content.trim())]);
        let log = self.dir.path().join("foreground.log");
        command
            .stdout(File::create(&log).unwrap())
            .stderr(File::create(&log).unwrap());
        let mut child = Running(command.spawn().unwrap());
        eventually("the gate of the quick start is ready", || {
            let ready = request(ADMIN, "GET", "/-/ready")?;
            (ready.status == 200).then_some(())
        });
        let pid = rustix::process::Pid::from_child(&child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        eventually("Ctrl-C stops it", || child.0.try_wait().unwrap());
    }

    /// Each command of a console block with what it says; one that only asks is asked again until it
    /// says what is written, for what it asks about may come a moment later.
    fn play(&self, content: &str) -> String {
        let mut made = String::new();
        for (line, expected) in dialogue(content) {
            made.push_str(line);
            made.push('\n');
            if let Some(command) = line.strip_prefix("$ ") {
                made.push_str(&self.answer(command, &expected));
            }
        }
        made
    }

    fn answer(&self, command: &str, expected: &str) -> String {
        let is_update = std::env::var_os("OCTROI_UPDATE_README").is_some();
        let patience = if is_update {
            Duration::from_secs(3)
        } else {
            DEADLINE
        };
        let asks = ["jq ", "promtool ", "curl -s http://127.0.0.1:9128"];
        let asks = asks.iter().any(|start| command.starts_with(start));
        let begun = Instant::now();
        loop {
            let (_, said) = self.shell(command, &[]);
            let said = if said.is_empty() || said.ends_with('\n') {
                said
            } else {
                said + "\n"
            };
            let patience = if said.trim().is_empty() {
                DEADLINE
            } else {
                patience
            };
            if said == expected || !asks || begun.elapsed() > patience {
                return said;
            }
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// Waits for the shell alone: what it leaves in the background goes on.
    fn shell(&self, script: &str, options: &[&str]) -> (Option<i32>, String) {
        let said = self.dir.path().join("said.txt");
        let mut command = self.bash(options);
        command.args(["-c", script]);
        let file = File::create(&said).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let status = command.status().unwrap();
        (status.code(), std::fs::read_to_string(said).unwrap())
    }

    fn bash<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = tool("bash");
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("PATH", &self.path);
        command.env("HOME", self.dir.path()).stdin(Stdio::null());
        command
    }
}

/// The lines that begin with `$ ` or `# `, each with the lines after it.
fn dialogue(content: &str) -> Vec<(&str, String)> {
    let mut turns: Vec<(&str, String)> = Vec::new();
    for line in content.lines() {
        match turns.last_mut() {
            Some((_, said)) if !line.starts_with("$ ") && !line.starts_with("# ") => {
                said.push_str(line);
                said.push('\n');
            }
            _ => turns.push((line, String::new())),
        }
    }
    turns
}

/// A folder with two programs in place of what this machine lacks: a `cargo` that leaves the program
/// where a build would (it was built a moment ago, by the same toolchain, and is what these tests are
/// about), and a `systemctl` that runs the unit's command as its user.
fn tools(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let tools = dir.join(".tools");
    std::fs::create_dir(&tools).unwrap();
    let cargo = format!(
        "#!/bin/sh\n[ \"$*\" = 'build --release --locked -p octroi' ] || exit 64\nmkdir -p target/release && cp '{}' target/release/octroi\n",
        env!("CARGO_BIN_EXE_octroi")
    );
    let systemctl = include_str!("people/systemctl").to_owned();
    for (name, script) in [("cargo", cargo), ("systemctl", systemctl)] {
        let path = tools.join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    tools
}
