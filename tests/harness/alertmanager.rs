//! Debian's Alertmanager, as the example configures it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::scrape::request;
use super::tools::{Running, tool};
use super::world::repository;
use super::{Block, eventually};

pub(crate) struct Alertmanager {
    _child: Running,
    address: SocketAddr,
}

/// One alert that was received.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Alertmanager {
    /// Starts with `examples/prometheus/alertmanager.yml`, and waits until it answers.
    pub(crate) fn start(dir: &Path, block: Block) -> Self {
        let address = SocketAddr::from((block.ip(4), 9093));
        let config = repository().join("examples/prometheus/alertmanager.yml");
        let mut command = tool("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.join("alerts").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let alertmanager = Self {
            _child: Running(command.spawn().unwrap()),
            address,
        };
        eventually("Alertmanager is ready", || {
            let answer = request(address, "GET", "/-/ready")?;
            (answer.status == 200).then_some(())
        });
        alertmanager
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has been told of and holds for true.
    pub(crate) fn alerts(&self) -> Vec<Alert> {
        let answer = request(self.address, "GET", "/api/v2/alerts").unwrap();
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        let texts = |value: &Value| serde_json::from_value(value.clone()).unwrap();
        let alert = |alert: &Value| Alert {
            labels: texts(&alert["labels"]),
            annotations: texts(&alert["annotations"]),
        };
        json.as_array().unwrap().iter().map(alert).collect()
    }
}
