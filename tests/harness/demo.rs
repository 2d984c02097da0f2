//! `octroi demo` as a child process: where it is, what it says, and that nothing is left of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::eventually;
use super::scrape::{Scrape, request};
use super::tools::{Running, tool};
use super::turn::Together;

/// Ports that the system chooses.
pub(crate) const ANYWHERE: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

pub(crate) struct Demo {
    child: Running,
    said: Arc<Mutex<Vec<String>>>,
    hearing: Option<JoinHandle<()>>,
    /// Where its temporary directory is made; nothing else is in it.
    pub(crate) temporary: TempDir,
    _turn: Together,
}

impl Demo {
    /// Starts on free ports.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_octroi"));
        command.env_clear().arg("demo").args(ANYWHERE);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts as nobody in a network of its own, of which only loopback is up.
    pub(crate) fn start_alone(arguments: &[&str]) -> Self {
        let mut command = tool("unshare");
        let script =
            "ip link set lo up && exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";
        command.args(["--net", "sh", "-c", script, "sh"]);
        command.arg(env!("CARGO_BIN_EXE_octroi")).arg("demo");
        command.args(arguments);
        drop((tool("ip"), tool("setpriv")));
        Self::spawn(command)
    }

    /// Whatever this runs, it says what a demonstration says.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let turn = Together::take();
        let temporary = tempfile::tempdir().unwrap();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(temporary.path(), everybody).unwrap();
        command.env("TMPDIR", temporary.path()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let hearing = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().unwrap().push(line);
            }
        });
        let child = Running(child);
        Self {
            child,
            said,
            hearing: Some(hearing),
            temporary,
            _turn: turn,
        }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// The first word behind what a line of the introduction begins with.
    fn place(&self, of: &str) -> String {
        eventually(
            &format!("it says where its {of} is: {}", self.said()),
            || {
                let said = self.said();
                let line = said.lines().find_map(|line| line.trim().strip_prefix(of))?;
                Some(line.split_whitespace().next()?.to_owned())
            },
        )
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        let url = self.place("console ");
        url["http://".len()..]
            .trim_end_matches('/')
            .parse()
            .unwrap()
    }

    pub(crate) fn proxy(&self) -> String {
        let said = self.place("proxy       curl -k -x");
        said["http://".len()..].to_owned()
    }

    pub(crate) fn directory(&self) -> PathBuf {
        PathBuf::from(self.place("audit log"))
            .parent()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.directory().join("audit.jsonl")
    }

    pub(crate) fn metrics(&self) -> Scrape {
        let answer = request(self.admin(), "GET", "/metrics").expect("it is watched");
        Scrape::parse(answer.body)
    }

    /// Waits until a part of the story has been told.
    pub(crate) fn tells(&mut self, what: &str) {
        let patience = std::time::Duration::from_secs(120);
        super::within(
            patience,
            &format!("it tells `{what}`: {}", self.said()),
            || {
                let ended = self.child.0.try_wait().unwrap();
                let said = self.said();
                assert!(ended.is_none() || said.contains(what), "it ended: {said}");
                said.contains(what).then_some(())
            },
        );
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child.0)
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end, and hears it out.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let status = eventually("it ends", || self.child.0.try_wait().unwrap());
        if let Some(hearing) = self.hearing.take() {
            hearing.join().unwrap();
        }
        status.code()
    }

    /// What is left of it on disk.
    pub(crate) fn remains(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.temporary.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}
