//! What the service manager is told (`sd_notify(3)`): ready, reloading, stopping, still alive.
//!
//! Datagrams to the Unix socket that `NOTIFY_SOCKET` names, in the file system or abstract. Without
//! it, or once [muted](Notifier::mute), nothing is said. A manager that does not listen is no reason to stop.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a manager that is busy is waited for.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The way to the service manager; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    manager: Option<Arc<Manager>>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    muted: AtomicBool,
    failed: AtomicBool,
}

impl Notifier {
    /// The manager that the environment names, if any. What cannot be understood is said and
    /// ignored.
    #[must_use]
    pub fn from_env() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let watchdog = watchdog(
            env::var("WATCHDOG_USEC").ok().as_deref(),
            env::var("WATCHDOG_PID").ok().as_deref(),
            std::process::id(),
        );
        match Self::to(&name, watchdog) {
            Ok(notifier) => notifier,
            Err(error) => {
                tracing::warn!(%error, socket = ?name, "the service manager cannot be told anything");
                Self::default()
            }
        }
    }

    /// A notifier to the socket `name`, abstract if it begins with `@`; `watchdog` is how often the
    /// manager wants to hear of us at least.
    ///
    /// # Errors
    /// When `name` is neither an absolute path nor an abstract name, or too long for a socket.
    pub fn to(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                return Err(io::Error::other(
                    "it is neither a path nor an abstract name",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        let manager = Manager {
            socket,
            address,
            muted: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        };
        Ok(Self {
            manager: Some(Arc::new(manager)),
            watchdog,
        })
    }

    /// How often the manager wants to hear [`alive`](Self::alive) at least; `None` = never.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Everything that can fail has been done: clients are served.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// A reload begins; [`ready`](Self::ready) ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec.saturating_mul(1_000_000) + now.tv_nsec / 1000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    /// The end begins.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// The end takes at least this much longer.
    pub fn extend(&self, by: Duration) {
        self.say(&format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()));
    }

    /// The gate works.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// One line for people (`systemctl status`).
    pub fn status(&self, line: &str) {
        let mut text = "STATUS=".to_owned();
        for word in line.split_whitespace() {
            let _ = write!(text, "{word} ");
        }
        self.say(text.trim_end());
    }

    /// From now on the service is that process.
    pub fn main_pid(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}"));
    }

    /// Says nothing more: the service is another process, or not yet this one.
    pub fn mute(&self) {
        self.set_muted(true);
    }

    /// Speaks again.
    pub fn unmute(&self) {
        self.set_muted(false);
    }

    fn set_muted(&self, muted: bool) {
        if let Some(manager) = &self.manager {
            manager.muted.store(muted, Ordering::Release);
        }
    }

    fn say(&self, text: &str) {
        let Some(manager) = &self.manager else { return };
        if manager.muted.load(Ordering::Acquire) {
            return;
        }
        let sent = manager
            .socket
            .send_to_addr(text.as_bytes(), &manager.address);
        let failed = sent.is_err();
        let failed_before = manager.failed.swap(failed, Ordering::Relaxed);
        if let (Err(error), false) = (sent, failed_before) {
            tracing::warn!(%error, "the service manager does not listen");
        }
    }
}

/// The manager's interval, unless it is meant for another process.
fn watchdog(usec: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let interval = Duration::from_micros(usec?.parse().ok()?);
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    (ours && !interval.is_zero()).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        socket.set_read_timeout(Some(SEND_TIMEOUT)).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_word_is_one_datagram() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str(), None).unwrap();
        notifier.ready();
        assert_eq!(heard(&manager), "READY=1");
        notifier.status("two\nlines\tbecome  one");
        assert_eq!(heard(&manager), "STATUS=two lines become one");
        notifier.extend(Duration::from_secs(30));
        assert_eq!(heard(&manager), "EXTEND_TIMEOUT_USEC=30000000");
        notifier.main_pid(77);
        assert_eq!(heard(&manager), "MAINPID=77");
        notifier.stopping();
        assert_eq!(heard(&manager), "STOPPING=1");
        notifier.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1");
    }

    #[test]
    fn a_reload_carries_the_monotonic_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str(), None).unwrap();
        let before = clock_gettime(ClockId::Monotonic).tv_sec;
        notifier.reloading();
        let said = heard(&manager);
        let usec = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let seconds: i64 = usec.parse::<i64>().unwrap() / 1_000_000;
        assert!((before..=before + 1).contains(&seconds), "{said}");
    }

    #[test]
    fn an_abstract_socket_is_reached() {
        let name = format!("octroi-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}")), None).unwrap();
        notifier.ready();
        assert_eq!(heard(&manager), "READY=1");
    }

    #[test]
    fn the_muted_say_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str(), None).unwrap();
        notifier.mute();
        notifier.clone().stopping();
        notifier.unmute();
        notifier.ready();
        assert_eq!(heard(&manager), "READY=1");
    }

    #[test]
    fn names_that_are_no_socket_are_refused() {
        let long = format!("/{}", "a".repeat(200));
        for name in ["vsock:2:1", "relative", &long] {
            assert!(Notifier::to(OsStr::new(name), None).is_err(), "{name}");
        }
        // One that nobody listens on is said once, and nothing more comes of it.
        let nobody = Notifier::to(OsStr::new("/nonexistent/notify"), None).unwrap();
        nobody.ready();
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let second = Some(Duration::from_secs(1));
        for (usec, pid, expect) in [
            (Some("1000000"), None, second),
            (Some("1000000"), Some("7"), second),
            (Some("1000000"), Some("8"), None),
            (Some("1000000"), Some("x"), None),
            (Some("0"), None, None),
            (Some("-1"), None, None),
            (None, Some("7"), None),
        ] {
            assert_eq!(watchdog(usec, pid, 7), expect, "{usec:?} {pid:?}");
        }
    }
}
