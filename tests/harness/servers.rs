//! Real servers from Debian: nginx and `openssl s_server` as origins, HAProxy as a balancer.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::eventually;
use super::pki::Identity;
use super::tools::{Running, finish, tool};

/// nginx with one site, plain and TLS, over a directory of its own.
pub(crate) struct Nginx {
    _child: Running,
    dir: PathBuf,
}

impl Nginx {
    pub(crate) fn start(dir: &Path, address: Ipv4Addr, identity: &Identity) -> Self {
        let dir = dir.join("nginx");
        std::fs::create_dir_all(dir.join("site")).unwrap();
        std::fs::write(dir.join("site/index.html"), "<p>nginx is here</p>\n").unwrap();
        let config = dir.join("nginx.conf");
        std::fs::write(&config, nginx_conf(&dir, address, identity)).unwrap();
        let mut command = tool("nginx");
        command
            .arg("-e")
            .arg(dir.join("error.log"))
            .arg("-c")
            .arg(&config);
        let child = Running(command.stdout(Stdio::null()).spawn().unwrap());
        eventually("nginx listens", || TcpStream::connect((address, 443)).ok());
        Self { _child: child, dir }
    }

    pub(crate) fn site(&self) -> PathBuf {
        self.dir.join("site")
    }

    /// The requests it served so far.
    pub(crate) fn served(&self) -> String {
        std::fs::read_to_string(self.dir.join("access.log")).unwrap_or_default()
    }
}

fn nginx_conf(dir: &Path, address: Ipv4Addr, identity: &Identity) -> String {
    let (dir, certificate, key) = (
        dir.display(),
        identity.certificate.display(),
        identity.key.display(),
    );
    format!(
        "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {dir}/access.log;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  types {{ text/html html; }} default_type application/octet-stream;
  server {{
    listen {address}:80; listen {address}:443 ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    root {dir}/site;
  }}
}}
"
    )
}

/// HAProxy in front of a listener of the gate.
pub(crate) struct Haproxy {
    _child: Running,
}

impl Haproxy {
    /// Listens on `address` and connects from it: one port a front, given as its port, what stands behind
    /// `bind`, and what stands behind the gate's address on the `server` line.
    pub(crate) fn start(
        dir: &Path,
        address: Ipv4Addr,
        gate: SocketAddr,
        fronts: &[(u16, &str, &str)],
    ) -> Self {
        use std::fmt::Write as _;
        let mut text = "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n".to_owned();
        for (port, bind, server) in fronts {
            let _ = write!(
                text,
                "listen front{port}\n  bind {address}:{port} {bind}\n  source {address}\n  server gate {gate} check inter 100ms {server}\n"
            );
        }
        let config = dir.join("haproxy.cfg");
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(dir.join("haproxy.log")).unwrap();
        let mut command = tool("haproxy");
        command.args(["-db", "-f"]).arg(&config);
        let child = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        eventually("HAProxy listens", || {
            TcpStream::connect((address, fronts[0].0)).ok()
        });
        Self { _child: child }
    }
}

/// `openssl s_server`, answering HTTP with a page about the connection.
pub(crate) struct SServer(#[expect(dead_code, reason = "held so that it lives")] Running);

impl SServer {
    pub(crate) fn start(address: Ipv4Addr, identity: &Identity) -> Self {
        let at = SocketAddr::from((address, 443));
        let mut command = tool("openssl");
        command.args(["s_server", "-quiet", "-www", "-accept", &at.to_string()]);
        command
            .arg("-cert")
            .arg(&identity.certificate)
            .arg("-key")
            .arg(&identity.key);
        let child = Running(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        eventually("s_server listens", || TcpStream::connect(at).ok());
        Self(child)
    }
}

/// A bare repository with one commit, served by any file server.
pub(crate) fn bare_repository(at: &Path) {
    let work = tempfile::tempdir().unwrap();
    let git = |dir: &Path, arguments: &[&str]| {
        let mut command = tool("git");
        command
            .current_dir(dir)
            .args(["-c", "user.name=t", "-c", "user.email=t@example"]);
        command
            .args(["-c", "init.defaultBranch=main"])
            .args(arguments)
            .env("HOME", dir);
        let (code, said) = finish(&mut command);
        assert_eq!(code, Some(0), "git {arguments:?}: {said}");
    };
    git(work.path(), &["init", "-q"]);
    std::fs::write(work.path().join("README"), "through the gate\n").unwrap();
    git(work.path(), &["add", "."]);
    git(work.path(), &["commit", "-q", "-m", "first"]);
    let (from, to) = (work.path().display().to_string(), at.display().to_string());
    git(work.path(), &["clone", "-q", "--bare", &from, &to]);
    git(at, &["update-server-info"]);
}
