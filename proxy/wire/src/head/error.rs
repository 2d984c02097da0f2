//! Why a head is refused: one word, one status each.

use octroi_policy::NameError;

/// Why a head is refused; in every case the client is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The first byte begins no method: a TLS hello, a PROXY header, a blank line, …
    #[error("this is not an HTTP request")]
    NotHttp,
    /// A line that ends in LF alone, or a CR inside a line.
    #[error("a line does not end in CR LF")]
    LineEnd,
    /// A control character.
    #[error("the head has a control character")]
    Control,
    /// A request line that is not method, target and version with one blank between each.
    #[error("the request line is not method, target and version")]
    Syntax,
    /// A field name with a blank or a byte that no name has; a folded line.
    #[error("a header field is not a name, a colon and a value")]
    Field,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    #[error("the HTTP version is not 1.0 or 1.1")]
    Version,
    /// Longer than the limit.
    #[error("the head is longer than the limit")]
    TooLong,
    /// The request line alone is longer than the limit.
    #[error("the request target is longer than the limit")]
    TargetTooLong,
    /// More than [`super::MAX_FIELDS`] header fields.
    #[error("the head has too many header fields")]
    TooManyFields,
    /// A target that fits no form of RFC 9112 §3.2, or not that of the method.
    #[error("the request target has none of the forms allowed for its method")]
    Target,
    /// The host of the target is no host.
    #[error("the host of the request target is not valid: {0}")]
    TargetHost(NameError),
    /// CONNECT without a port.
    #[error("the target of a CONNECT has no port")]
    ConnectPort,
    /// A scheme other than http and https.
    #[error("the scheme of the request target is not http or https")]
    Scheme,
    /// HTTP/1.1 without a Host field.
    #[error("the Host field is missing")]
    HostMissing,
    /// More than one Host field.
    #[error("there is more than one Host field")]
    HostTwice,
    /// The Host field is no host.
    #[error("the Host field is not valid: {0}")]
    Host(NameError),
    /// A Content-Length that is not one plain number.
    #[error("the Content-Length is not one number")]
    ContentLength,
    /// Both Content-Length and Transfer-Encoding.
    #[error("there are both a Content-Length and a Transfer-Encoding")]
    LengthAndEncoding,
    /// Transfer-Encoding where `chunked` is not once and last, or in HTTP/1.0.
    #[error("the Transfer-Encoding is not `chunked`, once")]
    TransferEncoding,
    /// A transfer coding other than `chunked`: answered 501 (RFC 9112 section 6.1).
    #[error("the transfer coding is not known")]
    TransferCoding,
    /// CONNECT with a body.
    #[error("a CONNECT has no body")]
    ConnectBody,
    /// An expectation other than `100-continue`.
    #[error("the expectation is not `100-continue`")]
    Expectation,
    /// Max-Forwards of an OPTIONS that is not one plain number.
    #[error("the Max-Forwards is not one number")]
    MaxForwards,
    /// CONNECT and `https` have no origin form to send on in clear.
    #[error("the request cannot be sent on to an origin")]
    NotForwardable,
}

impl HeadError {
    /// The status code of the answer (RFC 9110 §15).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::TooLong | Self::TooManyFields => 431,
            Self::TransferCoding | Self::Scheme => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    /// The word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotHttp => "not-http",
            Self::LineEnd => "line-end",
            Self::Control => "control-character",
            Self::Syntax => "request-line",
            Self::Field => "header-field",
            Self::Version => "http-version",
            Self::TooLong => "head-too-long",
            Self::TargetTooLong => "target-too-long",
            Self::TooManyFields => "too-many-fields",
            Self::Target => "target-form",
            Self::TargetHost(_) => "target-host",
            Self::ConnectPort => "connect-port",
            Self::Scheme => "scheme",
            Self::HostMissing => "host-missing",
            Self::HostTwice => "host-twice",
            Self::Host(_) => "host",
            Self::ContentLength => "content-length",
            Self::LengthAndEncoding => "length-and-encoding",
            Self::TransferEncoding => "transfer-encoding",
            Self::TransferCoding => "transfer-coding",
            Self::ConnectBody => "connect-body",
            Self::Expectation => "expectation",
            Self::MaxForwards => "max-forwards",
            Self::NotForwardable => "not-forwardable",
        }
    }
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        use httparse::Error as E;
        match error {
            E::HeaderName | E::HeaderValue => Self::Field,
            E::NewLine => Self::LineEnd,
            E::TooManyHeaders => Self::TooManyFields,
            E::Version => Self::Version,
            E::Status | E::Token => Self::Syntax,
        }
    }
}
