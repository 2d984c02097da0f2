//! From a client's first hello to the second one, if its server asks for that: it must not say
//! something else.
//!
//! A gate that judges the first hello and then lets everything pass is walked around with a
//! second one: the server chooses by that (RFC 8446 §4.1.4). So between the two nothing of the
//! client passes but what a client of TLS 1.3 may send there: early data, change_cipher_spec
//! (RFC 8446 §4.2.10, §D.4) and alerts. A handshake message is held back until the server has
//! answered; if it asks for another hello, until that one is read whole and says the same.
//!
//! A [`SecondHello`] only looks: the bytes stay with the caller, who sends on what may pass.

use crate::client_hello::{ClientHello, Ech, HelloReader, Malformed, Peek, Sni};
use crate::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, Place};
use crate::server_hello::{ServerReader, ServerSays};

/// The last version without a HelloRetryRequest: TLS 1.2.
const LAST_WITHOUT_RETRY: u16 = 0x0303;

/// What may become of the client's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// So many of them go on, at least one.
    On(usize),
    /// None before the server has answered.
    AwaitsServer,
    /// None before more has come from the client.
    AwaitsClient,
}

/// Why a second hello is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It has another server name, or one where there was none, or none where there was one.
    #[error("the second hello has another server name")]
    OtherName,
    /// It hides a hello where the first did not, or the other way round, or for another server.
    #[error("the second hello has another encrypted hello")]
    OtherEch,
    /// It cannot be read to the end.
    #[error("the second hello cannot be read: {0}")]
    Malformed(Malformed),
    /// Something else stands where it should.
    #[error("something else stands where the second hello should")]
    NotAHello,
    /// The client ended in the middle of it.
    #[error("the second hello is cut short")]
    CutShort,
}

impl Refused {
    /// The word for logs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::OtherName => "other-name",
            Self::OtherEch => "other-ech",
            Self::Malformed(malformed) => malformed.reason(),
            Self::NotAHello => "not-a-hello",
            Self::CutShort => "cut-short",
        }
    }
}

/// Watches a connection from its first hello until there is none to come.
#[derive(Debug)]
pub struct SecondHello {
    first: Said,
    limit: usize,
    /// Where the client's stream stands, as far as it has passed.
    place: Place,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The server has not answered.
    Unanswered(ServerReader),
    /// It has asked for another hello.
    Asked(HelloReader),
    /// No other hello comes, or it has come.
    Over,
}

/// What both hellos have to say alike.
#[derive(Debug)]
struct Said {
    sni: Sni,
    /// KDF, AEAD and configuration; the key is left out the second time, and the rest is
    /// encrypted anew (RFC 9849 §6.1.5).
    ech: Option<(u16, u16, u8)>,
}

impl Said {
    fn of(hello: &ClientHello) -> Self {
        let ech = |ech: Ech| (ech.kdf, ech.aead, ech.config_id);
        Self {
            sni: hello.sni.clone(),
            ech: hello.ech.map(ech),
        }
    }

    fn is_said_again(&self, second: &ClientHello) -> Result<(), Refused> {
        let second = Self::of(second);
        if second.sni != self.sni {
            Err(Refused::OtherName)
        } else if second.ech != self.ech {
            Err(Refused::OtherEch)
        } else {
            Ok(())
        }
    }
}

impl SecondHello {
    /// Begins behind the first hello, which was `length` bytes long with its record headers;
    /// `None` if it offers no version in which a second one can be asked for.
    ///
    /// A second one of more than `limit` bytes is refused.
    #[must_use]
    pub fn after(first: &ClientHello, length: usize, limit: usize) -> Option<Self> {
        let offered = |&version: &u16| version > LAST_WITHOUT_RETRY;
        first.versions.iter().any(offered).then(|| Self {
            first: Said::of(first),
            limit,
            place: Place::before_the_end_of(length),
            stage: Stage::Unanswered(ServerReader::default()),
        })
    }

    /// Whether everything passes from now on.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether the server has asked for another hello, which has not come yet.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        matches!(self.stage, Stage::Asked(_))
    }

    /// Looks at what came from the server since the last call.
    pub fn from_server(&mut self, bytes: &[u8]) {
        let Stage::Unanswered(reader) = &mut self.stage else {
            return;
        };
        match reader.read(bytes) {
            ServerSays::NeedMore => {}
            ServerSays::Retry => self.stage = Stage::Asked(HelloReader::new(self.limit)),
            ServerSays::Other => self.stage = Stage::Over,
        }
    }

    /// The server will say nothing more, so it will not ask either.
    pub fn server_ended(&mut self) {
        if matches!(self.stage, Stage::Unanswered(_)) {
            self.stage = Stage::Over;
        }
    }

    /// Looks at the client's bytes that have not passed: those of the last call that did not,
    /// and what came since.
    ///
    /// # Errors
    /// [`Refused`]: none of them may ever pass.
    pub fn from_client(&mut self, held: &[u8]) -> Result<Passing, Refused> {
        if held.is_empty() {
            return Ok(Passing::AwaitsClient);
        }
        if self.is_over() {
            return Ok(Passing::On(held.len()));
        }
        match (self.harmless(held), &mut self.stage) {
            (0, Stage::Unanswered(_)) => Ok(Passing::AwaitsServer),
            (0, Stage::Asked(reader)) => match reader.read(held) {
                Peek::NeedMore => Ok(Passing::AwaitsClient),
                Peek::NotTls => Err(Refused::NotAHello),
                Peek::Malformed(malformed) => Err(Refused::Malformed(malformed)),
                Peek::Hello(second) => {
                    self.first.is_said_again(&second)?;
                    self.stage = Stage::Over;
                    Ok(Passing::On(held.len()))
                }
            },
            (passing, _) => Ok(Passing::On(passing)),
        }
    }

    /// How many of the bytes belong to records that may pass whatever the server answers. A
    /// record that may not is held from its first byte.
    fn harmless(&mut self, bytes: &[u8]) -> usize {
        let mut passing = 0;
        while let Some(&byte) = bytes.get(passing) {
            let passes = matches!(byte, CHANGE_CIPHER_SPEC | ALERT | APPLICATION_DATA);
            if self.place.is_between() && !passes {
                break;
            }
            passing += match self.place.skip(bytes.len() - passing) {
                0 => {
                    self.place.next(byte);
                    1
                }
                skipped => skipped,
            };
        }
        passing
    }

    /// The client will say nothing more; these of its bytes have not passed.
    ///
    /// # Errors
    /// [`Refused`] if they are the beginning of a second hello.
    pub fn client_ended(&self, held: &[u8]) -> Result<(), Refused> {
        if self.is_asked_for() && !held.is_empty() {
            Err(Refused::CutShort)
        } else {
            Ok(())
        }
    }
}
