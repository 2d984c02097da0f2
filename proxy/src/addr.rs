//! Addresses by the part they play, so that one is never taken for another.

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// An address and a port that play one part.
macro_rules! part {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(SocketAddr);

        impl $name {
            /// IPv4-mapped forms are folded: an IPv4 client of a dual-stack listener is an IPv4 client.
            #[must_use]
            pub fn new(address: SocketAddr) -> Self {
                Self(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }

            /// The address alone; never IPv4-mapped.
            #[must_use]
            pub fn ip(self) -> IpAddr {
                self.0.ip()
            }

            /// The port.
            #[must_use]
            pub fn port(self) -> u16 {
                self.0.port()
            }

            /// Address and port.
            #[must_use]
            pub fn socket(self) -> SocketAddr {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

part! {
    /// Where a client speaks from: the other end of an accepted connection.
    ClientAddr
}

part! {
    /// Where we were reached: our own end of an accepted connection.
    LocalAddr
}

part! {
    /// Where a captured connection was on its way to when the firewall brought it here.
    OriginalDst
}

/// The addresses that this process listens on, so that it never dials itself.
#[derive(Clone, Debug, Default)]
pub struct OwnAddrs(Vec<SocketAddr>);

impl OwnAddrs {
    /// From what the listeners are bound to; `0.0.0.0` and `[::]` stand for every address of the machine.
    #[must_use]
    pub fn new(bound: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(bound.into_iter().collect())
    }

    /// Whether a connection to `address` would come back to us.
    #[must_use]
    pub fn contains(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.0.iter().any(|own| {
            own.port() == address.port()
                && (own.ip().to_canonical() == ip || (own.ip().is_unspecified() && is_ours(ip)))
        })
    }
}

/// Whether `ip` belongs to this machine: the kernel lets us bind to it. (With
/// `net.ipv4.ip_nonlocal_bind` it lets us bind to anything, and we dial nobody on our own ports.)
fn is_ours(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_mapped_client_is_an_ipv4_client() {
        let client = ClientAddr::new(socket("[::ffff:192.0.2.7]:5000"));
        assert_eq!(client.ip(), "192.0.2.7".parse::<IpAddr>().unwrap());
        assert_eq!(client.to_string(), "192.0.2.7:5000");
    }

    #[test]
    fn our_own_addresses_are_known_in_every_spelling() {
        let own = OwnAddrs::new([
            socket("0.0.0.0:3128"),
            socket("127.0.0.1:9128"),
            socket("[::]:3129"),
        ]);
        for (address, is_own) in [
            ("127.0.0.1:3128", true),
            ("127.8.8.8:3128", true),
            ("[::ffff:127.0.0.1]:3128", true),
            ("0.0.0.0:3128", true),
            ("[::1]:3129", true),
            ("127.0.0.1:9128", true),
            ("[::ffff:127.0.0.1]:9128", true),
            ("127.0.0.2:9128", false),
            ("127.0.0.1:443", false),
            ("192.0.2.1:3128", false),
            ("[2001:db8::1]:3129", false),
        ] {
            assert_eq!(own.contains(socket(address)), is_own, "{address}");
        }
    }
}
