//! Debian's Prometheus, scraping one gate.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::scrape::request;
use super::tools::{Running, tool};
use super::{Block, eventually};

pub(crate) struct Prometheus {
    _child: Option<Running>,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts, and waits until the gate has been scraped.
    pub(crate) fn start(dir: &Path, block: Block) -> Self {
        let config = dir.join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n  - job_name: octroi\n    static_configs: [{{ targets: [\"{}:9128\"] }}]\n",
            block.gate()
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
        let prometheus = Self {
            _child: Some(Running(command.spawn().unwrap())),
            address,
        };
        eventually("Prometheus has scraped the gate", || {
            let up = prometheus.query("up{job=\"octroi\"} == 1").ok()?;
            (!up.is_empty()).then_some(())
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
        let path = format!("/api/v1/query?query={}", percent(expression));
        let answer = request(self.address, "GET", &path).ok_or("no answer")?;
        let json: Value = serde_json::from_str(&answer.body).map_err(|e| e.to_string())?;
        if json["status"] != "success" {
            return Err(json["error"].as_str().unwrap_or("error").to_owned());
        }
        let result = json["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let value = |series: &Value| series["value"][1].as_str()?.parse().ok();
        Ok(result.iter().filter_map(value).collect())
    }
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "%{byte:02X}");
        all
    })
}
