//! A service manager that only listens: what the gate says to `NOTIFY_SOCKET`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::eventually;

/// What was said, and when.
type Heard = Arc<Mutex<Vec<(Instant, String)>>>;

pub(crate) struct Manager {
    heard: Heard,
    /// What `NOTIFY_SOCKET` is to say.
    pub(crate) name: String,
}

impl Manager {
    /// Listens in a directory.
    pub(crate) fn in_directory(dir: &Path) -> Self {
        let path: PathBuf = dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::new(socket, path.to_str().unwrap().to_owned())
    }

    /// Listens in the abstract name space.
    pub(crate) fn abstractly(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        Self::new(
            UnixDatagram::bind_addr(&address).unwrap(),
            format!("@{name}"),
        )
    }

    fn new(socket: UnixDatagram, name: String) -> Self {
        let heard = Heard::default();
        let ours = Arc::clone(&heard);
        // Ends with the test's process: nobody waits for it.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
                ours.lock().unwrap().push((Instant::now(), said));
            }
        });
        Self { heard, name }
    }

    /// All that was said so far, one datagram each.
    pub(crate) fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(_, said)| said.clone()).collect()
    }

    /// How often something was said so far.
    pub(crate) fn times(&self, what: &str) -> usize {
        self.heard().iter().filter(|said| *said == what).count()
    }

    /// The first datagram that begins like this, once it is said.
    pub(crate) fn waits_for(&self, beginning: &str) -> String {
        eventually(&format!("the manager hears {beginning}"), || {
            self.heard()
                .into_iter()
                .find(|said| said.starts_with(beginning))
        })
    }

    /// The pauses between sayings of this.
    pub(crate) fn pauses(&self, what: &str) -> Vec<Duration> {
        let heard = self.heard.lock().unwrap();
        let said = heard.iter().filter(|(_, said)| said == what);
        let times: Vec<Instant> = said.map(|(at, _)| *at).collect();
        times.windows(2).map(|two| two[1] - two[0]).collect()
    }
}
