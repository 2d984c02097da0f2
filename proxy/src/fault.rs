//! Everything but the policy that ends a request, with the words for it in log, header and page.

use octroi_wire::head::HeadError;

use crate::dns::DnsError;
pub use crate::reply::Fault;
use crate::upstream::DialError;

/// The request head did not come in time.
pub const HEAD_TIMEOUT: Fault = Fault::new(
    408,
    "head-timeout",
    "http_request_error",
    "La requête n’est pas arrivée en entier dans le temps imparti.",
    "The request did not arrive in whole within the time allowed.",
);

/// The client left in the middle of a head.
pub const HEAD_CUT: Fault = Fault::new(
    400,
    "head-cut",
    "http_request_error",
    "La requête s’arrête au milieu de son en-tête.",
    "The request stops in the middle of its head.",
);

/// A request in origin form: this is a proxy, not a web server.
pub const ORIGIN_FORM: Fault = Fault::new(
    421,
    "origin-form",
    "http_request_error",
    "Cette adresse est celle d’un mandataire (proxy), pas d’un site. Configurez-la comme proxy HTTP.",
    "This is the address of a proxy, not of a site. Configure it as your HTTP proxy.",
);

/// `GET https://…`: the client must ask for a tunnel.
pub const HTTPS_WITHOUT_TUNNEL: Fault = Fault::new(
    400,
    "https-without-tunnel",
    "http_request_error",
    "Une adresse https se demande par un tunnel (méthode CONNECT), pour que le chiffrement aille jusqu’au site.",
    "An https address is asked for through a tunnel (method CONNECT), so that encryption reaches the site.",
);

/// A captured connection asks for a proxy: what would pass inside could not be judged.
pub const FOREIGN_PROXY: Fault = Fault::new(
    403,
    "foreign-proxy",
    "http_request_denied",
    "Cette connexion s’adresse à un mandataire (proxy) étranger. Le réseau n’en laisse utiliser aucun autre que le sien.",
    "This connection speaks to a foreign proxy. The network lets no proxy be used but its own.",
);

/// A captured request that says of itself that it belongs elsewhere than where it was on its way to.
pub const MISDIRECTED: Fault = Fault::new(
    421,
    "misdirected-request",
    "http_request_error",
    "La requête nomme un autre serveur que celui auquel la connexion s’adresse.",
    "The request names another server than the one that the connection is for.",
);

/// `OPTIONS *`: a question about the proxy itself.
pub const ASTERISK_FORM: Fault = Fault::new(
    400,
    "asterisk-form",
    "http_request_error",
    "La requête ne nomme aucun site.",
    "The request names no site.",
);

/// TRACE, which would show a client what others add to its requests.
pub const METHOD: Fault = Fault::new(
    501,
    "method-not-served",
    "http_request_error",
    "La passerelle ne sert pas cette méthode.",
    "The gate does not serve this method.",
);

/// The request has been here before (RFC 9110 section 7.6.3).
pub const VIA_LOOP: Fault = Fault::new(
    502,
    "via-loop",
    "proxy_loop_detected",
    "La requête est déjà passée par cette passerelle : elle tourne en rond.",
    "The request came through this gate before: it goes round in circles.",
);

/// The audit log cannot be written, and the operator chose to refuse what cannot be recorded.
pub const UNRECORDED: Fault = Fault::new(
    503,
    "audit-unwritable",
    "proxy_internal_error",
    "La passerelle ne peut pas tenir son journal en ce moment, et ne laisse rien passer sans l’inscrire.",
    "The gate cannot keep its log at the moment, and lets nothing through unrecorded.",
);

/// Something that should not be able to happen.
pub const INTERNAL: Fault = Fault::new(
    500,
    "internal",
    "proxy_internal_error",
    "La passerelle a rencontré une erreur interne.",
    "The gate met an internal error.",
);

/// The origin closed before its response was whole.
pub const ORIGIN_CLOSED: Fault = Fault::new(
    502,
    "origin-closed",
    "connection_terminated",
    "Le serveur demandé a fermé la connexion sans répondre.",
    "The server closed the connection without an answer.",
);

/// The origin fell silent.
pub const ORIGIN_TIMEOUT: Fault = Fault::new(
    504,
    "origin-timeout",
    "connection_read_timeout",
    "Le serveur demandé n’a pas répondu à temps.",
    "The server did not answer in time.",
);

/// The origin's response is no HTTP.
pub const ORIGIN_PROTOCOL: Fault = Fault::new(
    502,
    "origin-protocol",
    "http_protocol_error",
    "La réponse du serveur demandé est illisible.",
    "The server's answer cannot be read.",
);

/// The body of a request is not framed as announced.
pub const BODY: Fault = Fault::new(
    400,
    "body-malformed",
    "http_request_error",
    "Le corps de la requête n’a pas la forme annoncée.",
    "The body of the request is not what its head announces.",
);

/// The body of a request stopped coming.
pub const BODY_TIMEOUT: Fault = Fault::new(
    408,
    "body-timeout",
    "http_request_error",
    "La suite de la requête n’est pas arrivée à temps.",
    "The rest of the request did not arrive in time.",
);

/// The fault for a head that is refused.
#[must_use]
pub fn of_head(error: HeadError) -> Fault {
    let (french, english) = match error.status() {
        414 | 431 => (
            "L’en-tête de la requête dépasse la taille permise.",
            "The head of the request is larger than allowed.",
        ),
        417 => (
            "La requête attend quelque chose que la passerelle ne sait pas faire (Expect).",
            "The request expects something that the gate cannot do (Expect).",
        ),
        501 => (
            "La requête emploie un schéma ou un codage que la passerelle ne connaît pas.",
            "The request uses a scheme or coding that the gate does not know.",
        ),
        505 => (
            "La passerelle parle HTTP/1.0 et HTTP/1.1.",
            "The gate speaks HTTP/1.0 and HTTP/1.1.",
        ),
        _ => (
            "La requête est mal formée ou ambiguë ; la passerelle ne devine pas.",
            "The request is malformed or ambiguous; the gate does not guess.",
        ),
    };
    Fault::new(
        error.status(),
        error.reason(),
        "http_request_error",
        french,
        english,
    )
}

/// The fault for an origin that cannot be reached.
#[must_use]
pub fn of_dial(error: DialError) -> Fault {
    let (french, english) = match error {
        DialError::Refused => (
            "Le serveur demandé refuse la connexion.",
            "The server refuses the connection.",
        ),
        DialError::Unreachable => (
            "Aucune route ne mène au serveur demandé.",
            "There is no route to the server.",
        ),
        DialError::Timeout => (
            "Le serveur demandé ne répond pas.",
            "The server does not answer.",
        ),
        DialError::Reset => (
            "Le serveur demandé a rompu la connexion.",
            "The server broke the connection.",
        ),
        DialError::Loop => (
            "L’adresse demandée est celle de la passerelle elle-même.",
            "The address asked for is the gate's own.",
        ),
        DialError::Forbidden | DialError::Exhausted | DialError::Other => (
            "La passerelle n’a pas pu ouvrir de connexion vers le serveur demandé.",
            "The gate could not open a connection to the server.",
        ),
    };
    Fault::new(
        error.status(),
        error.reason(),
        error.proxy_error(),
        french,
        english,
    )
}

/// The fault for a name that does not resolve.
#[must_use]
pub fn of_dns(error: DnsError) -> Fault {
    let (status, proxy_error) = match error {
        DnsError::Timeout => (504, "dns_timeout"),
        _ => (502, "dns_error"),
    };
    let (french, english) = match error {
        DnsError::NxDomain => ("Ce nom n’existe pas.", "This name does not exist."),
        DnsError::NoData => ("Ce nom n’a pas d’adresse.", "This name has no address."),
        DnsError::Answer(_) | DnsError::Malformed => (
            "La réponse du service de noms est incohérente.",
            "The answer of the name service contradicts itself.",
        ),
        DnsError::ServFail | DnsError::Refused | DnsError::Timeout | DnsError::Unreachable => (
            "Le service de noms n’a pas pu dire où se trouve ce site.",
            "The name service could not say where this site is.",
        ),
    };
    Fault::new(status, error.reason(), proxy_error, french, english)
}
