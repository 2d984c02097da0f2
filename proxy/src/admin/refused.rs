//! Why a request to the admin listener is not served, as counted.

/// A label of `octroi_admin_refused_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No room for another connection, or another stream.
    Full,
    /// The handshake failed, or there was none.
    Tls,
    /// The head or the body is none, is too long, or came too late.
    Malformed,
    /// By a name that is not this machine's: a rebinding attack.
    Name,
    /// From a page elsewhere.
    Page,
    /// Beyond loopback, and nobody is asked who they are.
    Unguarded,
    /// Without a token, a session or a certificate.
    Stranger,
    /// With a token that is not the one.
    Token,
}

impl Refused {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Full,
        Self::Tls,
        Self::Malformed,
        Self::Name,
        Self::Page,
        Self::Unguarded,
        Self::Stranger,
        Self::Token,
    ];

    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Tls => "tls",
            Self::Malformed => "malformed",
            Self::Name => "name",
            Self::Page => "page",
            Self::Unguarded => "unguarded",
            Self::Stranger => "stranger",
            Self::Token => "token",
        }
    }
}
