//! Debian's Prometheus, scraping one gate, with the rules that are shipped.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::scrape::request;
use super::tools::{Running, tool};
use super::world::repository;
use super::{Block, eventually};

pub(crate) struct Prometheus {
    _child: Option<Running>,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts, with rules in whose times a minute is a second, and waits until the gate has been scraped.
    pub(crate) fn start(
        dir: &Path,
        block: Block,
        gate: SocketAddr,
        alertmanager: SocketAddr,
    ) -> Self {
        let config = dir.join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}
rule_files: [\"rules/*.yaml\"]
alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: [\"{alertmanager}\"] }}] }}] }}
scrape_configs:
  - job_name: octroi
    static_configs: [{{ targets: [\"{gate}\"] }}]
"
        );
        std::fs::write(&config, text).unwrap();
        let address = SocketAddr::from((block.ip(3), 9090));
        let mut command = tool("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            dir.join("tsdb").display()
        ));
        command
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = Running(command.spawn().unwrap());
        let pid = rustix::process::Pid::from_child(&child.0);
        let prometheus = Self {
            _child: Some(child),
            address,
        };
        eventually("Prometheus has scraped the gate", || {
            let up = prometheus.query("up{job=\"octroi\"} == 1").ok()?;
            (!up.is_empty()).then_some(())
        });
        // Not before: to rules in a hurry, a gate that is not scraped for five seconds is down.
        std::fs::create_dir(dir.join("rules")).unwrap();
        for (path, rules) in rules() {
            let name = path.file_name().unwrap();
            std::fs::write(dir.join("rules").join(name), hurried(&rules)).unwrap();
        }
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        eventually("Prometheus has read the rules", || {
            (!prometheus.rules().is_empty()).then_some(())
        });
        prometheus
    }

    /// One that somebody else started.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            _child: None,
            address,
        }
    }

    /// The values that an instant query gives, or Prometheus' own words about it.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<f64>, String> {
        let json = self.ask(&format!("query?query={}", percent(expression)))?;
        let result = json["result"].as_array().cloned().unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        Ok(result.iter().filter_map(value).collect())
    }

    /// The values that a label has in an instant query.
    pub(crate) fn labels(&self, expression: &str, label: &str) -> BTreeSet<String> {
        let json = self.ask(&format!("query?query={}", percent(expression)));
        let json = json.unwrap_or_else(|e| panic!("{expression}: {e}"));
        let series = json["result"].as_array().unwrap().iter();
        let of = series.filter_map(|s| Some(s["metric"][label].as_str()?.to_owned()));
        of.collect()
    }

    /// Rules that have been evaluated, by name, each with what went wrong.
    pub(crate) fn rules(&self) -> Vec<(String, Option<String>)> {
        let json = self.ask("rules").unwrap();
        let groups = json["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|g| g["rules"].as_array().unwrap());
        let evaluated = rules.filter(|rule| rule["health"] != "unknown");
        let each = evaluated.map(|rule| {
            let wrong = rule["lastError"].as_str().map(str::to_owned);
            (rule["name"].as_str().unwrap().to_owned(), wrong)
        });
        each.collect()
    }

    fn ask(&self, what: &str) -> Result<Value, String> {
        let path = format!("/api/v1/{what}");
        let answer = request(self.address, "GET", &path).ok_or("no answer")?;
        let json: Value = serde_json::from_str(&answer.body).map_err(|e| e.to_string())?;
        if json["status"] != "success" {
            return Err(json["error"].as_str().unwrap_or("error").to_owned());
        }
        Ok(json["data"].clone())
    }
}

/// The files of rules that are shipped, and what they say.
pub(crate) fn rules() -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(repository().join("dashboards/rules")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    yaml.map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    })
    .collect()
}

/// Rules in whose ranges, offsets, intervals and waits a minute is a second.
fn hurried(rules: &str) -> String {
    const BEFORE: [&str; 4] = ["[", "offset ", "interval: ", "for: "];
    let (mut made, mut rest) = (String::new(), rules);
    let next = |text: &str| {
        BEFORE
            .iter()
            .filter_map(|b| Some(text.find(b)? + b.len()))
            .min()
    };
    while let Some(at) = next(rest) {
        made.push_str(&rest[..at]);
        rest = &rest[at..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit = match rest.as_bytes().get(digits) {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            Some(b'd') => 86_400,
            Some(b'w') => 7 * 86_400,
            _ => continue,
        };
        if let Ok(number) = rest[..digits].parse::<u64>() {
            let _ = write!(made, "{}ms", number * unit * 1000 / 60);
            rest = &rest[digits + 1..];
        }
    }
    made + rest
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "%{byte:02X}");
        all
    })
}
