//! The admin listener: metrics, health, the policy in force, reload, and the console with its API.
//!
//! One router answers everything, whole or as a stream. On loopback nobody is asked who they are, but for the name by
//! which they come; beyond it a token or a client's certificate is asked for, or next to nothing is served. What a
//! client sends comes back in an answer only as a string of JSON.

mod access;
mod answer;
mod api;
mod console;
mod door;
mod health;
mod history;
mod origin;
mod policy;
mod query;
pub(crate) mod refused;
mod route;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header};
use jiff::Timestamp;
use octroi_policy::Forbid;
use pingora::http::RequestHeader;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::services::listening::Service;
use tokio::sync::Semaphore;

use crate::addr::OwnAddrs;
use crate::certificate::Certificates;
use crate::config::Demand;
use crate::dns::Resolver;
use crate::ledger::{Ledger, metrics};
use crate::reload::{Handle, Outcome};
use crate::server::Pulse;
use access::{Access, Needs, Standing};
pub use access::{Token, TokenError};
use answer::Answer;
use api::attempts;
use api::explain::Explainer;
use api::stream::{self, Live};
pub use door::Door;
use history::{History, Keeper};
use query::{Query, Unreadable};
use refused::Refused;
use route::{Openness, Route};

/// What is served.
#[derive(Debug)]
pub struct Admin {
    policy: Handle,
    ledger: Ledger,
    pulse: Pulse,
    /// Bound to loopback: names other than this machine's own are then a rebinding attack.
    is_local: bool,
    access: Access,
    history: Arc<History>,
    explainer: Explainer,
    streams: Arc<Semaphore>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Visitor {
    over_tls: bool,
    /// It showed a certificate, and that was good.
    certified: bool,
}

/// What a request gets.
enum Reply {
    Whole(Answer),
    Live(Box<Live>),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Whole(answer)
    }
}

/// What the admin listener looks at.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The policy in force.
    pub policy: Handle,
    /// What was decided.
    pub ledger: Ledger,
    /// Whether the gate works.
    pub pulse: Pulse,
    /// Whom the gate asks for names.
    pub resolver: Resolver,
    /// What it never dials.
    pub forbid: Forbid,
    /// Where it listens itself.
    pub own: OwnAddrs,
}

impl Admin {
    /// What is served at `address` to those who have the `token` or the `certificate` that is asked for.
    #[must_use]
    pub fn new(
        address: SocketAddr,
        (token, certificate): (Option<Arc<Token>>, Option<Demand>),
        sight: Sight,
    ) -> Arc<Self> {
        let Sight {
            policy,
            ledger,
            pulse,
            resolver,
            forbid,
            own,
        } = sight;
        let is_local = address.ip().is_loopback();
        Arc::new(Self {
            policy,
            ledger,
            pulse,
            is_local,
            access: Access::new(is_local, token, certificate),
            history: Arc::new(History::new(Timestamp::now())),
            explainer: Explainer::new(resolver, forbid, own),
            streams: Arc::new(Semaphore::new(stream::MOST)),
        })
    }

    /// Keeps the history of the last day, as a service of its own.
    #[must_use]
    pub fn keeper(&self) -> Keeper {
        Keeper::new(&self.history, &self.ledger)
    }
}

/// The listener as a service of the server; over TLS if there are certificates.
#[must_use]
pub fn service(
    address: SocketAddr,
    admin: Arc<Admin>,
    certificates: Option<Arc<Certificates>>,
) -> Service<Door> {
    let door = Door::new(admin, certificates);
    let mut service = Service::new("admin".to_owned(), door);
    let listener = ListenerConfig::tcp(address.to_string());
    // What a read buffer holds would be lost to TLS, which takes the bare socket over.
    service.add_listener(listener.l4_buffer(L4BufferSettings::default().read(0)));
    service.threads = Some(1);
    service
}

const UNGUARDED: &str = "beyond loopback this is served only with `admin.token` or `admin.tls.client_ca` in octroi.yaml";
const CERTIFICATE: &str = "a client's certificate is needed";
const TOKEN: &str = "the token is needed: sign in, or send it as `Authorization: Bearer`";
const WRONG: &str = "this is not the token";

impl Admin {
    /// Counts what is not served.
    fn count(&self, refused: Refused) {
        self.ledger.metrics().admin_refused(refused.as_str());
    }

    /// Answers a request.
    async fn reply(&self, head: &RequestHeader, body: &[u8], visitor: Visitor) -> Reply {
        let (method, path) = (&head.method, head.uri.path());
        if let Some((refused, answer)) = self.refused(method, path, &head.headers, visitor) {
            self.count(refused);
            return answer.into();
        }
        let Some(route) = Route::of(path) else {
            return Answer::refusal(path, StatusCode::NOT_FOUND, "not found").into();
        };
        let methods = route.methods();
        if !methods.split(", ").any(|one| one == method.as_str()) {
            let refusal =
                Answer::refusal(path, StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
            return refusal.with(header::ALLOW, methods).into();
        }
        if let Some(answer) = self.stopped(route, path, &head.headers, visitor).await {
            return answer.into();
        }
        match self.serve(route, head, body, visitor).await {
            Ok(reply) => reply,
            Err(Unreadable { param, detail }) => {
                let param = (!param.is_empty()).then_some(&*param);
                Answer::problem(StatusCode::BAD_REQUEST, &detail, param).into()
            }
        }
    }

    /// A browser that some page elsewhere has led here.
    fn refused(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        visitor: Visitor,
    ) -> Option<(Refused, Answer)> {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        if self.is_local && host.is_some_and(|host| !is_this_machine(host)) {
            let status = StatusCode::MISDIRECTED_REQUEST;
            let answer = Answer::refusal(path, status, "this listener has no such name");
            return Some((Refused::Name, answer));
        }
        if origin::is_elsewhere(method, path, headers, visitor) {
            let answer = Answer::refusal(path, StatusCode::FORBIDDEN, "not from another page");
            return Some((Refused::Page, answer));
        }
        None
    }

    /// What somebody is told who may not have this.
    async fn stopped(
        &self,
        route: Route,
        path: &str,
        headers: &HeaderMap,
        visitor: Visitor,
    ) -> Option<Answer> {
        let standing = self.access.standing(visitor, headers);
        let (refused, status, detail) = match (standing, route.openness()) {
            (Standing::In, _) | (_, Openness::Health) | (Standing::Shut, Openness::Figures) => {
                return None;
            }
            (Standing::Shut, _) => (Refused::Unguarded, StatusCode::FORBIDDEN, UNGUARDED),
            (_, Openness::Door) => return None,
            (Standing::Out(Needs::Certificate), _) => {
                (Refused::Stranger, StatusCode::FORBIDDEN, CERTIFICATE)
            }
            (Standing::Out(_), _) => (Refused::Stranger, StatusCode::UNAUTHORIZED, TOKEN),
            (Standing::Wrong, _) => {
                self.access.slow().await;
                (Refused::Token, StatusCode::UNAUTHORIZED, WRONG)
            }
        };
        self.count(refused);
        let answer = Answer::refusal(path, status, detail);
        Some(match status {
            StatusCode::UNAUTHORIZED => {
                answer.with(header::WWW_AUTHENTICATE, "Bearer realm=\"octroi\"")
            }
            _ => answer,
        })
    }

    /// Who has a session, begins one or ends it.
    async fn session(&self, head: &RequestHeader, body: &[u8], visitor: Visitor) -> Answer {
        let needs = self.access.needs(visitor);
        match (&head.method, needs) {
            (&Method::DELETE, _) => {
                let cookie = self.access.sign_out(visitor, &head.headers);
                Answer::empty(StatusCode::NO_CONTENT).with(header::SET_COOKIE, &cookie)
            }
            (&Method::POST, Needs::Token) => match self.access.sign_in(body, visitor) {
                Some(cookie) => {
                    Answer::empty(StatusCode::NO_CONTENT).with(header::SET_COOKIE, &cookie)
                }
                None => {
                    self.access.slow().await;
                    self.count(Refused::Token);
                    Answer::problem(StatusCode::FORBIDDEN, WRONG, None)
                }
            },
            (&Method::POST, _) => Answer::empty(StatusCode::NO_CONTENT),
            _ => {
                let standing = self.access.standing(visitor, &head.headers);
                let open = standing == Standing::In;
                Answer::json(&serde_json::json!({ "needs": needs.as_str(), "open": open }))
            }
        }
    }

    async fn serve(
        &self,
        route: Route,
        head: &RequestHeader,
        body: &[u8],
        visitor: Visitor,
    ) -> Result<Reply, Unreadable> {
        let query = || Query::parse(head.uri.query().unwrap_or_default());
        Ok(match route {
            Route::Metrics => Answer::new(
                StatusCode::OK,
                metrics::CONTENT_TYPE,
                self.ledger.metrics().text(),
            ),
            Route::Healthy => Answer::text(StatusCode::OK, "healthy\n"),
            Route::Ready => {
                let is_writable = self.ledger.is_writable();
                health::ready(&self.policy, self.pulse.has_started(), is_writable)
            }
            Route::PolicyFull => policy::tell(&self.policy).await,
            Route::Reload => self.reload().await,
            Route::File(position) => console::serve(position, &head.headers),
            Route::Session => self.session(head, body, visitor).await,
            Route::Attempts => attempts::tell(&query()?, &self.policy, &self.ledger)?,
            Route::Policy => api::policy::tell(&self.policy).await,
            Route::History => api::history::tell(&self.history, &self.policy, &self.ledger).await,
            Route::Explain => self.explainer.tell(&query()?, &self.policy).await?,
            Route::Stream => return self.stream(&query()?, &head.headers),
        }
        .into())
    }

    fn stream(&self, query: &Query, headers: &HeaderMap) -> Result<Reply, Unreadable> {
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            self.count(Refused::Full);
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let detail = format!("{} streams are read already", stream::MOST);
            let answer = Answer::problem(status, &detail, None);
            return Ok(answer.with(header::RETRY_AFTER, "10").into());
        };
        let live = Live::new(query, headers, (&self.policy, &self.ledger), place)?;
        Ok(Reply::Live(Box::new(live)))
    }

    async fn reload(&self) -> Answer {
        match self.policy.reload().await {
            Outcome::Swapped { digest } => {
                Answer::text(StatusCode::OK, format!("in force: {digest}\n"))
            }
            Outcome::Unchanged { digest } => {
                Answer::text(StatusCode::OK, format!("unchanged: {digest}\n"))
            }
            Outcome::Rejected(rejected) => {
                Answer::text(StatusCode::UNPROCESSABLE_ENTITY, rejected.as_str())
            }
        }
    }
}

/// Whether a Host header names this machine by address or as `localhost`.
fn is_this_machine(host: &str) -> bool {
    let bare = match host.parse::<SocketAddr>() {
        Ok(socket) => return socket.ip().is_loopback(),
        Err(_) => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests;
