//! Who may read: on loopback everybody, unless something is asked for; beyond it whoever has the token, or a
//! certificate that the gate believes.
//!
//! A browser trades the token for a session: a cookie that holds no token, is good for twelve hours, for this process
//! and for the token in force, and is kept nowhere here. Those who signed out are remembered, [`MOST_ENDED`] of them.

mod token;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::sleep;

use super::Visitor;
use crate::config::Demand;
pub use token::{Token, TokenError};

/// How long a session lasts: a day's work.
const LIFE: Duration = Duration::from_hours(12);
/// Sessions that were ended before their time and are remembered as such.
const MOST_ENDED: usize = 1024;
/// Whoever brings a wrong token waits so long for the answer, one after another: four guesses a second in all.
const SLOW: Duration = Duration::from_millis(250);
/// Parts this use of the key from any other.
const PURPOSE: &[u8] = b"octroi console session";
const NONCE: usize = 16;
const MAC: usize = 32;

/// What somebody has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    Token,
    Certificate,
}

impl Needs {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Read.
    In,
    /// Nothing before this is shown.
    Out(Needs),
    /// Nothing before this was shown: what was shown is wrong.
    Wrong,
    /// Nothing at all: others reach the listener, and nobody is asked who they are.
    Shut,
}

/// Who may read.
#[derive(Debug)]
pub(super) struct Access {
    token: Option<Arc<Token>>,
    certificate: Option<Demand>,
    is_local: bool,
    sessions: Sessions,
    /// Held by the one who waits for having brought a wrong token.
    turn: tokio::sync::Mutex<()>,
}

impl Access {
    pub(super) fn new(
        is_local: bool,
        token: Option<Arc<Token>>,
        certificate: Option<Demand>,
    ) -> Self {
        Self {
            token,
            certificate,
            is_local,
            sessions: Sessions::new(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// What a visitor has to show. Where a certificate is required everybody has one, and is asked for the token beside
    /// it; where it is optional it stands in place of the token.
    pub(super) fn needs(&self, visitor: Visitor) -> Needs {
        match (&self.token, self.certificate) {
            (None, None) => Needs::Nothing,
            (None, Some(_)) => Needs::Certificate,
            (Some(_), Some(Demand::Optional)) if visitor.certified => Needs::Certificate,
            (Some(_), _) => Needs::Token,
        }
    }

    /// What a visitor may do, by all that it shows.
    pub(super) fn standing(&self, visitor: Visitor, headers: &HeaderMap) -> Standing {
        match self.needs(visitor) {
            Needs::Nothing if self.is_local => Standing::In,
            Needs::Nothing => Standing::Shut,
            Needs::Certificate if visitor.certified => Standing::In,
            Needs::Certificate => Standing::Out(Needs::Certificate),
            Needs::Token => self.by_token(visitor, headers),
        }
    }

    fn by_token(&self, visitor: Visitor, headers: &HeaderMap) -> Standing {
        let Some(token) = &self.token else {
            return Standing::Out(Needs::Token);
        };
        let cookie =
            cookie(headers, visitor).is_some_and(|text| self.sessions.is_good(text, &token.mark()));
        match bearer(headers) {
            _ if cookie => Standing::In,
            Some(brought) if token.is(brought) => Standing::In,
            Some(_) => Standing::Wrong,
            None => Standing::Out(Needs::Token),
        }
    }

    /// Begins a session for whoever brings the token; `None` if it is another.
    pub(super) fn sign_in(&self, brought: &[u8], visitor: Visitor) -> Option<String> {
        let token = self.token.as_ref()?;
        let brought = brought.trim_ascii();
        let session = token
            .is(brought)
            .then(|| self.sessions.begin(&token.mark()))??;
        Some(set_cookie(visitor, &session, LIFE))
    }

    /// Ends the session of a visitor, if it has one.
    pub(super) fn sign_out(&self, visitor: Visitor, headers: &HeaderMap) -> String {
        if let (Some(token), Some(cookie)) = (&self.token, cookie(headers, visitor)) {
            self.sessions.end(cookie, &token.mark());
        }
        set_cookie(visitor, "", Duration::ZERO)
    }

    /// Lets whoever brought a wrong token wait its turn.
    pub(super) async fn slow(&self) {
        let _turn = self.turn.lock().await;
        sleep(SLOW).await;
    }
}

/// What follows `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then_some(token.trim_ascii())
}

/// Over TLS a name that no page in clear, and no other host of the domain, can set.
fn cookie_name(visitor: Visitor) -> &'static str {
    match visitor.over_tls {
        true => "__Host-octroi",
        false => "octroi",
    }
}

fn cookie(headers: &HeaderMap, visitor: Visitor) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    let name = cookie_name(visitor);
    pairs.find_map(|(own, value)| (own == name).then_some(value))
}

fn set_cookie(visitor: Visitor, value: &str, life: Duration) -> String {
    let (name, age) = (cookie_name(visitor), life.as_secs());
    let secure = if visitor.over_tls { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

/// Sessions, of which none is kept but by its reader.
struct Sessions {
    /// Drawn when the process starts: no other gate's session is good here.
    key: Option<hmac::Key>,
    started: Instant,
    ended: Mutex<VecDeque<Session>>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions(***)")
    }
}

/// What is in a cookie beside its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    /// Seconds since the process started, so that no clock that is set lengthens it.
    until: u64,
    nonce: [u8; NONCE],
}

impl Sessions {
    fn new() -> Self {
        Self {
            // Without randomness nobody gets a session; the token itself is good still.
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            started: Instant::now(),
            ended: Mutex::default(),
        }
    }

    /// A cookie's value, for the token with this mark.
    fn begin(&self, mark: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let until = (self.started.elapsed() + LIFE).as_secs();
        let session = Session { until, nonce };
        let tag = hmac::sign(self.key.as_ref()?, &session.signed(mark));
        let value = [&until.to_be_bytes()[..], &nonce, tag.as_ref()].concat();
        Some(URL_SAFE_NO_PAD.encode(value))
    }

    fn is_good(&self, cookie: &str, mark: &[u8]) -> bool {
        let now = self.started.elapsed().as_secs();
        let session = self.read(cookie, mark);
        session.is_some_and(|session| session.until > now && !self.ended().contains(&session))
    }

    /// The session of a cookie that this process made.
    fn read(&self, cookie: &str, mark: &[u8]) -> Option<Session> {
        // Longer than any of ours.
        let cookie = Some(cookie).filter(|cookie| cookie.len() < 128)?;
        let value = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (until, rest) = value.split_first_chunk()?;
        let (nonce, tag) = rest.split_first_chunk()?;
        let session = Session {
            until: u64::from_be_bytes(*until),
            nonce: *nonce,
        };
        let is_ours = tag.len() == MAC
            && hmac::verify(self.key.as_ref()?, &session.signed(mark), tag).is_ok();
        is_ours.then_some(session)
    }

    fn end(&self, cookie: &str, mark: &[u8]) {
        let Some(session) = self.read(cookie, mark) else {
            return;
        };
        let now = self.started.elapsed().as_secs();
        let mut ended = self.ended();
        ended.retain(|session| session.until > now);
        if ended.len() >= MOST_ENDED {
            ended.pop_front();
        }
        if session.until > now && !ended.contains(&session) {
            ended.push_back(session);
        }
    }

    fn ended(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn signed(&self, mark: &[u8]) -> Vec<u8> {
        [PURPOSE, &self.until.to_be_bytes(), &self.nonce, mark].concat()
    }
}

#[cfg(test)]
mod tests;
