//! What old and new gate, and `octroi upgrade`, say to each other: one JSON object a line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

/// The version of the hand-over: another one is refused, and the old gate goes on.
pub const PROTOCOL: u32 = 1;

/// The socket that a gate listens on.
const CONTROL: &str = "control.sock";
/// The socket that Pingora passes descriptors over.
const SOCKETS: &str = "sockets.sock";
/// The longest line taken, far beyond the longest that is said.
const MAX_LINE: u64 = 64 << 10;

/// Where a gate listens for [`Message`]s.
#[must_use]
pub fn control(directory: &Path) -> PathBuf {
    directory.join(CONTROL)
}

/// Where descriptors are passed.
pub(super) fn sockets(directory: &Path) -> PathBuf {
    directory.join(SOCKETS)
}

/// What is said. New words come with a new [`PROTOCOL`]; a word that is not known ends the talk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum Message {
    /// An operator: hand over.
    Upgrade,
    /// To the operator: another process serves.
    Upgraded {
        /// Its id.
        pid: u32,
        /// Its version.
        version: String,
    },
    /// To the operator: nothing has changed.
    NotUpgraded {
        /// Why.
        why: String,
    },
    /// The new gate: here I am.
    Hello {
        /// The hand-over that it knows.
        protocol: u32,
        /// Its version.
        version: String,
    },
    /// The old gate: these are open.
    Sockets {
        /// The listening sockets.
        sockets: Vec<OpenSocket>,
    },
    /// The new gate: everything but the sockets is ready, pass them.
    Take,
    /// The new gate: I serve.
    Serving,
    /// The old gate: then the service is yours.
    Yours,
    /// Either: I cannot.
    Failed {
        /// Why.
        why: String,
    },
}

/// Ends the name of a socket that takes connections to any address (`capture: tproxy`): it is no socket for another
/// kind of listener. No listener of the file can have such a name.
pub const TAKES_ALL: &str = "/tproxy";

/// Whether the name is that of a socket that takes connections to any address.
pub(super) fn takes_all(name: &str) -> bool {
    name.ends_with(TAKES_ALL)
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSocket {
    /// The listener it serves, by its name in the file; see [`TAKES_ALL`].
    pub name: String,
    /// What the file says.
    pub configured: SocketAddr,
    /// Where it really is: another port if the file left that to the system.
    pub address: SocketAddr,
}

fn line(message: &Message) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

fn message(line: &[u8]) -> io::Result<Message> {
    match line {
        [] => Err(io::ErrorKind::UnexpectedEof.into()),
        [line @ .., b'\n'] => serde_json::from_slice(line)
            .map_err(|_| io::Error::other("it says something else than a gate")),
        _ => Err(io::Error::other("its words are cut")),
    }
}

/// The talk as seen by the one who called: it has no runtime yet.
#[derive(Debug)]
pub struct Caller {
    stream: BufReader<UnixStream>,
}

impl Caller {
    /// Calls the gate that listens in a directory, and waits at most `patience` for each answer.
    ///
    /// # Errors
    /// When no gate listens there.
    pub fn call(directory: &Path, patience: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(control(directory))?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Says something.
    ///
    /// # Errors
    /// When the other is gone.
    pub fn say(&mut self, message: &Message) -> io::Result<()> {
        self.stream.get_mut().write_all(&line(message)?)
    }

    /// Waits for what the other says.
    ///
    /// # Errors
    /// When it is gone, silent, or no gate.
    pub fn hear(&mut self) -> io::Result<Message> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MAX_LINE);
        limited.read_until(b'\n', &mut line)?;
        message(&line)
    }
}

/// The talk as seen by the gate that was called.
#[derive(Debug)]
pub(super) struct Called {
    stream: tokio::io::BufReader<tokio::net::UnixStream>,
}

impl Called {
    pub(super) fn new(stream: tokio::net::UnixStream) -> Self {
        Self {
            stream: tokio::io::BufReader::new(stream),
        }
    }

    /// The process at the other end, by the kernel's word; the user must be ours or root.
    pub(super) fn peer(&self) -> io::Result<Option<i32>> {
        let peer = self.stream.get_ref().peer_cred()?;
        let own = rustix::process::geteuid().as_raw();
        if peer.uid() != own && peer.uid() != 0 {
            return Err(io::Error::other("it belongs to another user"));
        }
        Ok(peer.pid())
    }

    pub(super) async fn say(&mut self, message: &Message) -> io::Result<()> {
        self.stream.get_mut().write_all(&line(message)?).await
    }

    pub(super) async fn hear(&mut self) -> io::Result<Message> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MAX_LINE);
        limited.read_until(b'\n', &mut line).await?;
        message(&line)
    }

    /// Waits until the other is gone.
    pub(super) async fn gone(&mut self) {
        while self.hear().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let socket = OpenSocket {
            name: "explicit".to_owned(),
            configured: "127.0.0.1:0".parse().unwrap(),
            address: "127.0.0.1:31280".parse().unwrap(),
        };
        for said in [
            Message::Upgrade,
            Message::Hello {
                protocol: 7,
                version: "9.9".to_owned(),
            },
            Message::Sockets {
                sockets: vec![socket],
            },
            Message::Failed {
                why: "two\nlines".to_owned(),
            },
        ] {
            let line = line(&said).unwrap();
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
            assert_eq!(message(&line).unwrap(), said);
        }
    }

    #[test]
    fn a_later_hello_is_understood_as_far_as_needed() {
        let line = br#"{"say":"hello","protocol":2,"version":"2.0","colour":"red"}
"#;
        let version = "2.0".to_owned();
        let protocol = 2;
        let expect = Message::Hello { protocol, version };
        assert_eq!(message(line).unwrap(), expect);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for line in [
            &b""[..],
            b"{\"say\":\"take\"}",
            b"take\n",
            b"{}\n",
            b"\xff\n",
        ] {
            assert!(message(line).is_err(), "{line:?}");
        }
    }
}
