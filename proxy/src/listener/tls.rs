//! TLS between the client and the gate: from the first byte to a connection that is read like any other.

use std::sync::Arc;

use bytes::BytesMut;
use octroi_wire::proxy_header::Transport;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::{Ssl, Stream};
use pingora::server::ShutdownWatch;
use rustls::ServerConfig;
use tokio::time::{Instant, timeout_at};

use super::wait::{More, more};
use super::{Client, TurnedAway};
use crate::certificate;
use crate::reply::Fault;

/// The first byte of a TLS connection: a handshake record (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;

const EXPECTED: Fault = Fault::new(
    400,
    "tls-expected",
    "tls_alert_received",
    "Ce port du mandataire (proxy) ne se joint que par TLS. Configurez-le comme proxy HTTPS : « https:// » devant son adresse.",
    "This port of the proxy is reached over TLS alone. Configure it as an HTTPS proxy: `https://` before its address.",
);

/// How a connection begins that is to be over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    /// With a handshake.
    Tls,
    /// As a request in clear does: whoever sent it can read an answer.
    Clear,
    /// With anything else.
    Otherwise,
    /// Not at all.
    Never,
}

/// Waits for the first byte and looks what it begins.
pub(crate) async fn first(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    deadline: Instant,
    shutdown: &ShutdownWatch,
) -> Begins {
    while buffer.is_empty() {
        match more(stream, buffer, deadline, shutdown).await {
            More::Bytes => {}
            More::End | More::Late | More::Leaving => return Begins::Never,
        }
    }
    match buffer.first() {
        Some(&HANDSHAKE) => Begins::Tls,
        Some(byte) if byte.is_ascii_uppercase() => Begins::Clear,
        _ => Begins::Otherwise,
    }
}

/// A handshake failed: a word of ours for it, and what the TLS library says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) reason: &'static str,
    pub(crate) detail: Option<String>,
}

/// Makes a connection one over TLS; `buffer` was read from it already. The client's certificate, in DER, comes with it,
/// verified, if it showed one.
pub(crate) async fn handshake(
    stream: Stream,
    buffer: &[u8],
    config: Arc<ServerConfig>,
    deadline: Instant,
) -> Result<(Stream, Option<Vec<u8>>), Failed> {
    let failed = |reason| Failed {
        reason,
        detail: None,
    };
    let socket = stream.into_any().downcast::<Socket>();
    let mut socket = socket.map_err(|_| failed("internal"))?;
    socket.rewind(buffer);
    let acceptor = Acceptor::from_server_config(config);
    let stream = match timeout_at(deadline, acceptor.tls_handshake(*socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(why(&error)),
        Err(_) => return Err(failed("tls-timeout")),
    };
    let shown = stream.get_ssl().and_then(|it| it.peer_certificate_der());
    let shown = shown.map(<[u8]>::to_vec);
    Ok((Box::new(stream), shown))
}

/// Waits for the first byte and looks whether it begins TLS; whether there was one.
pub(super) async fn begins(
    client: &mut Client,
    deadline: Instant,
    shutdown: &ShutdownWatch,
) -> Result<bool, TurnedAway> {
    match first(&mut client.stream, &mut client.buffer, deadline, shutdown).await {
        Begins::Tls => Ok(true),
        Begins::Never => Ok(false),
        Begins::Clear => Err(TurnedAway {
            reason: EXPECTED.reason,
            detail: None,
            answer: Some(EXPECTED),
        }),
        Begins::Otherwise => Err(silently(Failed {
            reason: "tls-malformed",
            detail: None,
        })),
    }
}

/// Makes the connection one over TLS; a verified certificate of the client's names it.
pub(super) async fn secure(
    client: Client,
    config: Arc<ServerConfig>,
    deadline: Instant,
) -> Result<Client, TurnedAway> {
    let Client {
        stream,
        buffer,
        address,
        mut source,
        balancer,
        local,
        original,
        listener,
        lane,
        visit,
        ..
    } = client;
    let secured = handshake(stream, &buffer, config, deadline).await;
    let (stream, shown) = secured.map_err(silently)?;
    source.certificate = shown.as_deref().map(certificate::names).unwrap_or_default();
    Ok(Client {
        stream,
        buffer: BytesMut::new(),
        address,
        source,
        balancer,
        local,
        original,
        transport: Transport::Tls,
        listener,
        lane,
        visit,
    })
}

/// What TLS has to say of its failures has been said in alerts.
fn silently(Failed { reason, detail }: Failed) -> TurnedAway {
    TurnedAway {
        reason,
        detail,
        answer: None,
    }
}

/// Pingora hands on the text of a failure and drops the error itself, so it is the text that is told
/// apart; the test below holds each word to what rustls says today.
fn why(error: &pingora::Error) -> Failed {
    let text = error.to_string();
    let told = text.rsplit("tls connect error: ").next().unwrap_or(&text);
    Failed {
        reason: class(told),
        detail: Some(told.to_owned()),
    }
}

/// What rustls says, and the word for it in logs and metrics; the first that fits.
const CLASSES: [(&str, &str); 12] = [
    ("peer sent no certificates", "tls-certificate-missing"),
    ("certificate: Expired", "tls-certificate-expired"),
    (
        "certificate: certificate expired",
        "tls-certificate-expired",
    ),
    ("certificate: NotValidYet", "tls-certificate-expired"),
    (
        "certificate: certificate not valid yet",
        "tls-certificate-expired",
    ),
    ("certificate: Revoked", "tls-certificate-revoked"),
    (
        "certificate: UnknownRevocationStatus",
        "tls-certificate-unchecked",
    ),
    ("certificate: UnknownIssuer", "tls-certificate-unknown"),
    ("invalid peer certificate", "tls-certificate-invalid"),
    ("peer is incompatible", "tls-incompatible"),
    (
        "peer doesn't support any known protocol",
        "tls-incompatible",
    ),
    ("received fatal alert", "tls-alert"),
];

fn class(told: &str) -> &'static str {
    let fits = |(words, _): &&(&str, &str)| told.contains(words);
    if let Some((_, class)) = CLASSES.iter().find(fits) {
        return class;
    }
    // Not TLS's doing: the connection ended, or broke.
    if told.contains("handshake eof") || told.contains("os error") {
        "tls-cut"
    } else {
        "tls-malformed"
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::UnixTime;
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

    use super::*;

    #[test]
    fn each_failure_has_its_class() {
        let (time, not_before) = (UnixTime::now(), UnixTime::now());
        let not_after = not_before;
        for (error, expected) in [
            (Error::NoCertificatesPresented, "tls-certificate-missing"),
            (CertificateError::Expired.into(), "tls-certificate-expired"),
            (
                CertificateError::ExpiredContext { time, not_after }.into(),
                "tls-certificate-expired",
            ),
            (
                CertificateError::NotValidYet.into(),
                "tls-certificate-expired",
            ),
            (
                CertificateError::NotValidYetContext { time, not_before }.into(),
                "tls-certificate-expired",
            ),
            (CertificateError::Revoked.into(), "tls-certificate-revoked"),
            (
                CertificateError::UnknownRevocationStatus.into(),
                "tls-certificate-unchecked",
            ),
            (
                CertificateError::UnknownIssuer.into(),
                "tls-certificate-unknown",
            ),
            (
                CertificateError::BadSignature.into(),
                "tls-certificate-invalid",
            ),
            (Error::NoApplicationProtocol, "tls-incompatible"),
            (
                PeerIncompatible::NoCipherSuitesInCommon.into(),
                "tls-incompatible",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "tls-alert",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidCcs),
                "tls-malformed",
            ),
        ] {
            assert_eq!(class(&error.to_string()), expected, "{error}");
        }
        assert_eq!(class("tls handshake eof"), "tls-cut");
        let reset = std::io::Error::from_raw_os_error(104).to_string();
        assert_eq!(class(&reset), "tls-cut");
    }
}
