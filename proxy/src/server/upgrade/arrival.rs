//! The new gate's side: it does everything that can fail, then takes the sockets, serves, and says so.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pingora::server::Fds;
use thiserror::Error;

use super::wire::{self, Caller, Message, OpenSocket, PROTOCOL};

/// How long the old gate may take to answer: it goes on with its own work meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a gate that was to take over does not.
#[derive(Debug, Error)]
pub enum ArrivalError {
    /// The talk broke off.
    #[error("cannot talk to the gate that runs: {0}")]
    Talk(#[from] io::Error),
    /// It does not hand over.
    #[error("the gate that runs does not hand over: {0}")]
    Refused(String),
    /// The sockets did not come.
    #[error("the sockets of the gate that runs do not come: {0}")]
    Sockets(String),
}

/// A gate that is to take over from the one that runs.
#[derive(Debug)]
pub struct Arrival {
    caller: Caller,
    directory: PathBuf,
    sockets: Vec<OpenSocket>,
}

impl Arrival {
    /// Calls the gate that listens in `directory`, and hears which sockets it has.
    ///
    /// # Errors
    /// [`ArrivalError`], if it is gone or does not hand over.
    pub fn greet(directory: &Path) -> Result<Self, ArrivalError> {
        let mut caller = Caller::call(directory, PATIENCE)?;
        caller.say(&Message::Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })?;
        match caller.hear()? {
            Message::Sockets { sockets } => Ok(Self {
                caller,
                directory: directory.to_owned(),
                sockets,
            }),
            other => Err(refused(other)),
        }
    }

    /// Tells the old gate that it goes on alone, and why.
    pub fn fail(mut self, why: &str) {
        let why = why.trim().to_owned();
        // If it is gone, nobody is left to be told.
        let _ = self.caller.say(&Message::Failed { why });
    }

    /// Takes copies of the old gate's sockets; both accept on them from now on.
    ///
    /// # Errors
    /// [`ArrivalError::Sockets`], if they do not come.
    pub(in crate::server) fn take(&mut self) -> Result<Inherited, ArrivalError> {
        self.caller.say(&Message::Take)?;
        let path = wire::sockets(&self.directory);
        let path = path.to_str().unwrap_or_default();
        let mut fds = Fds::new();
        fds.get_from_sock(path)
            .map_err(|error| ArrivalError::Sockets(error.to_string()))?;
        let sockets = std::mem::take(&mut self.sockets);
        if let Some(missing) = sockets
            .iter()
            .find(|socket| fds.get(&key(socket)).is_none())
        {
            let missing = format!("the one of {} is missing", missing.address);
            return Err(ArrivalError::Sockets(missing));
        }
        Ok(Inherited { sockets, fds })
    }

    /// Says that this gate serves, and waits until the service is its own.
    ///
    /// # Errors
    /// [`ArrivalError`], if the old gate did not say so; it has ended, or it goes on and ends this one.
    pub(in crate::server) fn serving(mut self) -> Result<(), ArrivalError> {
        self.caller.say(&Message::Serving)?;
        match self.caller.hear()? {
            Message::Yours => Ok(()),
            other => Err(refused(other)),
        }
    }
}

fn refused(message: Message) -> ArrivalError {
    ArrivalError::Refused(match message {
        Message::Failed { why } => why,
        other => format!("it says {other:?}"),
    })
}

/// Pingora's name for a socket.
fn key(socket: &OpenSocket) -> String {
    socket.address.to_string()
}

/// The old gate's sockets, of which each is claimed once or closed.
pub(in crate::server) struct Inherited {
    sockets: Vec<OpenSocket>,
    fds: Fds,
}

impl Inherited {
    /// Nothing: a start like any other.
    pub(in crate::server) fn none() -> Self {
        Self {
            sockets: Vec::new(),
            fds: Fds::new(),
        }
    }

    /// The socket for a listener: the one at its address or, where the system chose the port, the
    /// one that the listener of that name has.
    pub(in crate::server) fn claim(
        &mut self,
        name: &str,
        wanted: SocketAddr,
    ) -> Option<(RawFd, SocketAddr)> {
        let at = self.sockets.iter().position(|socket| match wanted.port() {
            0 => socket.name == name && socket.configured == wanted,
            _ => socket.address == wanted && wire::takes_all(&socket.name) == wire::takes_all(name),
        })?;
        let fd = *self.fds.get(&key(&self.sockets[at]))?;
        Some((fd, self.sockets.swap_remove(at).address))
    }

    /// Closes what the new configuration does not want any more; `claimed` are the addresses it does.
    pub(in crate::server) fn close_others(mut self, claimed: &[SocketAddr]) {
        let keep: HashSet<String> = claimed.iter().map(SocketAddr::to_string).collect();
        for address in self.fds.close_unclaimed(&keep) {
            tracing::info!(%address, "no longer listened on: the new configuration does not name it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(name: &str, configured: &str, address: &str) -> OpenSocket {
        OpenSocket {
            name: name.to_owned(),
            configured: configured.parse().unwrap(),
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn a_listener_gets_the_socket_at_its_address_whatever_its_name() {
        let sockets = vec![
            socket("a", "127.0.0.1:1", "127.0.0.1:1"),
            socket("b", "127.0.0.1:0", "127.0.0.1:2"),
            socket("c", "127.0.0.1:0", "127.0.0.1:3"),
        ];
        let mut fds = Fds::new();
        for (fd, socket) in sockets.iter().enumerate() {
            // Numbers of no descriptor: nothing here closes or uses them.
            fds.add(key(socket), 1_000_000 + RawFd::try_from(fd).unwrap());
        }
        let mut inherited = Inherited { sockets, fds };
        for (name, wanted, expect) in [
            ("renamed", "127.0.0.1:1", Some((1_000_000, "127.0.0.1:1"))),
            ("again", "127.0.0.1:1", None),
            ("a", "127.0.0.1:0", None),
            ("c", "0.0.0.0:0", None),
            ("c", "127.0.0.1:0", Some((1_000_002, "127.0.0.1:3"))),
            ("b", "127.0.0.1:2", Some((1_000_001, "127.0.0.1:2"))),
            ("d", "[::1]:1", None),
        ] {
            let found = inherited.claim(name, wanted.parse().unwrap());
            let expect = expect.map(|(fd, address)| (fd, address.parse().unwrap()));
            assert_eq!(found, expect, "{name} {wanted}");
        }
    }
}
