//! The admin listener: metrics, health, the policy in force, reload. It asks nobody who they are, so it belongs on
//! loopback or behind something that does; nothing a client sends comes back in an answer.

mod health;
mod policy;

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, header};
use pingora::apps::http_app::{HttpServer, ServeHttp};
use pingora::protocols::http::ServerSession;
use pingora::services::listening::Service;

use crate::ledger::{Ledger, metrics};
use crate::reload::{Handle, Outcome};
use crate::server::Pulse;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What is served.
#[derive(Clone, Debug)]
pub struct Admin {
    policy: Handle,
    ledger: Ledger,
    pulse: Pulse,
    /// Bound to loopback: names other than this machine's own are then a rebinding attack.
    is_local: bool,
}

/// The listener as a service of the server.
#[must_use]
pub fn service(
    address: SocketAddr,
    policy: Handle,
    ledger: Ledger,
    pulse: Pulse,
) -> Service<HttpServer<Admin>> {
    let admin = Admin {
        policy,
        ledger,
        pulse,
        is_local: address.ip().is_loopback(),
    };
    let mut service = Service::new("admin".to_owned(), HttpServer::new_app(admin));
    service.add_tcp(&address.to_string());
    service.threads = Some(1);
    service
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let answer = match self.refused(&method, &head.headers) {
            Some(refusal) => refusal,
            None => self.answer(&method, &path).await,
        };
        answer.into_response(&method)
    }
}

impl Admin {
    /// A browser that some page elsewhere has led here.
    fn refused(&self, method: &Method, headers: &HeaderMap) -> Option<Answer> {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        if self.is_local && host.is_some_and(|host| !is_this_machine(host)) {
            return Some(Answer::text(
                StatusCode::MISDIRECTED_REQUEST,
                "this listener has no such name\n",
            ));
        }
        if *method == Method::POST && headers.contains_key(header::ORIGIN) {
            return Some(Answer::text(
                StatusCode::FORBIDDEN,
                "not from another page\n",
            ));
        }
        None
    }

    async fn answer(&self, method: &Method, path: &str) -> Answer {
        let allowed = match path {
            "/metrics" | "/-/healthy" | "/-/ready" | "/-/policy" => "GET, HEAD",
            "/-/reload" => "POST",
            _ => return Answer::text(StatusCode::NOT_FOUND, "not found\n"),
        };
        if !allowed.split(", ").any(|one| one == method.as_str()) {
            let refusal = Answer::text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            return Answer {
                allow: Some(allowed),
                ..refusal
            };
        }
        match path {
            "/metrics" => Answer::new(
                StatusCode::OK,
                metrics::CONTENT_TYPE,
                self.ledger.metrics().text(),
            ),
            "/-/healthy" => Answer::text(StatusCode::OK, "healthy\n"),
            "/-/ready" => {
                let is_writable = self.ledger.is_writable();
                health::ready(&self.policy, self.pulse.has_started(), is_writable)
            }
            "/-/policy" => policy::tell(&self.policy).await,
            _ => self.reload().await,
        }
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

struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    allow: Option<&'static str>,
}

impl Answer {
    fn new(status: StatusCode, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            allow: None,
        }
    }

    fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self::new(status, TEXT, body.into())
    }

    fn into_response(self, method: &Method) -> Response<Vec<u8>> {
        let length = self.body.len();
        let body = if *method == Method::HEAD {
            Vec::new()
        } else {
            self.body
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let word = http::HeaderValue::from_static;
        headers.insert(header::CONTENT_TYPE, word(self.content_type));
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(header::CACHE_CONTROL, word("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, word("nosniff"));
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, word(allow));
        }
        response
    }
}

#[cfg(test)]
mod tests;
