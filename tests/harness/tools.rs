//! Programs from Debian; a missing one fails the test and says what to install.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Which Debian package brings which program.
const PACKAGES: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("nginx", "nginx-light"),
    ("openssl", "openssl"),
    ("chromium", "chromium"),
    ("git", "git"),
    ("node", "nodejs"),
    ("haproxy", "haproxy"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("prometheus-alertmanager", "prometheus-alertmanager"),
    ("amtool", "prometheus-alertmanager"),
    ("bash", "bash"),
    ("timeout", "coreutils"),
    ("sleep", "coreutils"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("nsenter", "util-linux"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("sysctl", "procps"),
    ("find", "findutils"),
    ("sh", "dash"),
    ("jq", "jq"),
    ("prlimit", "util-linux"),
    ("faketime", "faketime"),
    ("cc", "gcc"),
    ("systemd-analyze", "systemd"),
];

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command with a scrubbed environment.
pub(crate) fn tool(name: &str) -> Command {
    let package = PACKAGES.iter().find(|(program, _)| *program == name);
    let package = package.map_or(name, |(_, package)| package);
    let found = PATH.split(':').map(|dir| Path::new(dir).join(name));
    let program = found.into_iter().find(|path| path.is_file());
    let program = program.unwrap_or_else(|| {
        panic!("`{name}` is missing: apt-get install {package} (tests/run does it)")
    });
    clean(Command::new(program))
}

/// The Python that has `requests`, whichever it is.
pub(crate) fn python() -> Command {
    python_with("requests")
}

/// The Python that has a module of the Debian package `python3-MODULE`, whichever it is.
pub(crate) fn python_with(module: &str) -> Command {
    let inherited = std::env::var("PATH").unwrap_or_default();
    let dirs = std::iter::once("/usr/bin").chain(inherited.split(':'));
    let candidates = dirs.map(|dir| Path::new(dir).join("python3"));
    let python = candidates
        .into_iter()
        .find(|python| imports(python, module));
    let python = python.unwrap_or_else(|| {
        panic!("no python3 with `{module}`: apt-get install python3-{module} (tests/run does it)")
    });
    let mut command = clean(Command::new(python));
    // Version managers look for themselves in these.
    for name in ["HOME", "PYENV_ROOT", "PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

fn imports(python: &PathBuf, module: &str) -> bool {
    let mut command = Command::new(python);
    command
        .args(["-c", &format!("import {module}")])
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn clean(mut command: Command) -> Command {
    command
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null());
    command
}

/// Runs to the end and gives standard output and error as one text with the exit status.
pub(crate) fn finish(command: &mut Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    let text = [
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    ]
    .concat();
    (status.code(), text)
}

/// A child that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
