//! What kind of address this is, and which kinds the gate never dials.
//!
//! A name of the internet that resolves to `10.1.2.3` or to a metadata service turns the gate
//! into the way *in*; so every address is classed before it is dialled, together with the IPv4
//! address an IPv6 address may carry.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The kind of an address, from the IANA special-purpose registries (RFC 6890) and the clouds'
/// own documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AddressClass {
    /// An address of the internet.
    Global,
    /// RFC 1918, unique local (RFC 4193), site-local (RFC 3879), local NAT64 (RFC 8215).
    Private,
    /// 127.0.0.0/8 and ::1.
    Loopback,
    /// 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291 §2.5.6).
    LinkLocal,
    /// The metadata service of a cloud, which hands out credentials to whoever can ask.
    Metadata,
    /// 100.64.0.0/10, shared by carriers and their customers (RFC 6598).
    Shared,
    /// 0.0.0.0/8, "this host on this network" (RFC 1122 §3.2.1.3), and ::.
    Unspecified,
    /// 224.0.0.0/4 and ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// The documentation blocks (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// Benchmarking, protocol assignments, IPv4-compatible, Teredo, class E and the like: never
    /// an origin of the internet.
    Reserved,
    /// Where this gate itself listens: dialling it would go round in circles. No address is of this class by
    /// itself; the gate says so in [`Flow::ours`](crate::flow::Flow::ours).
    Gate,
}

/// The metadata services that are not all inside 169.254.0.0/16, and those that are.
///
/// - 169.254.169.254: AWS, Azure, Google, OpenStack, OVHcloud, Oracle. AWS, *Use the Instance
///   Metadata Service*, also gives fd00:ec2::254.
/// - 169.254.170.2: AWS, *Amazon ECS task metadata endpoint*, which hands out task credentials.
/// - fd20:ce::254: Google, *About VM metadata*, IPv6-only instances.
/// - 168.63.129.16: Azure, *What is IP address 168.63.129.16*, the WireServer.
/// - 100.100.100.200: Alibaba Cloud, *Instance metadata*.
/// - 169.254.42.42, fd00:42::42: Scaleway, *Instance metadata* (`scw-userdata`).
const METADATA: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
];

impl AddressClass {
    /// The class of `address`; an IPv4-mapped address has that of its IPv4 address. The IPv4
    /// address inside a NAT64 or 6to4 address is not looked at: see [`carried_ipv4`].
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        match address {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }

    /// The word used in `upstream.forbid`, in the log and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::Shared => "shared",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Reserved => "reserved",
            Self::Gate => "gate",
        }
    }

    /// The class that `upstream.forbid` must name for this one to be forbidden, if any does:
    /// `private` stands for every network that is not of the internet.
    fn switch(self) -> Option<Self> {
        match self {
            Self::Private | Self::Shared | Self::Reserved => Some(Self::Private),
            Self::Loopback | Self::LinkLocal | Self::Metadata => Some(self),
            Self::Global | Self::Documentation | Self::Gate => None,
            Self::Unspecified | Self::Multicast | Self::Broadcast => None,
        }
    }

    fn is_never_dialled(self) -> bool {
        matches!(self, Self::Unspecified | Self::Multicast | Self::Broadcast)
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn of_v4(v4: Ipv4Addr) -> AddressClass {
    use AddressClass as C;
    match v4.octets() {
        [255, 255, 255, 255] => C::Broadcast,
        [0, ..] => C::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => C::Private,
        [127, ..] => C::Loopback,
        [169, 254, ..] => C::LinkLocal,
        [100, 64..=127, ..] => C::Shared,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => C::Documentation,
        // RFC 6890 protocol assignments, RFC 7526 6to4 relays, RFC 2544 benchmarking.
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => C::Reserved,
        [224..=239, ..] => C::Multicast,
        [240..=255, ..] => C::Reserved,
        _ => C::Global,
    }
}

fn of_v6(v6: Ipv6Addr) -> AddressClass {
    use AddressClass as C;
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => C::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => C::Loopback,
        [0xff00..=0xffff, ..] => C::Multicast,
        [0xfe80..=0xfebf, ..] => C::LinkLocal,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => C::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => C::Documentation,
        // 2001::/23 holds Teredo, ORCHID and benchmarking; of it only the anycast blocks that
        // RFC 7723, RFC 7535 and RFC 7450 carve out are of the internet, and none is an origin.
        [0x2001, 0..=0x1ff, ..] => C::Reserved,
        // RFC 8215 apart, 64:ff9b::/96 (RFC 6052) and 2002::/16 (RFC 3056) are judged by what they carry.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => C::Global,
        // Only 2000::/3 has ever been handed out (RFC 4291 §2.4); the rest holds IPv4-compatible
        // addresses, the discard block 100::/64 (RFC 6666) and segment routing (RFC 9602).
        [0x2000..=0x3fff, ..] => C::Global,
        _ => C::Reserved,
    }
}

/// The IPv4 address that an IPv6 address carries and that a translator on the way would dial:
/// IPv4-mapped and IPv4-compatible (RFC 4291 §2.5.5), NAT64 64:ff9b::/96 (RFC 6052 §2.1) and
/// 64:ff9b:1::/48 (RFC 8215, with a /96 inside it: the last 32 bits), 6to4 2002::/16 (RFC 3056 §2).
///
/// Teredo (RFC 4380) is left out: what it carries is a UDP endpoint behind a NAT, not a host
/// that TCP reaches, and the whole block is [`AddressClass::Reserved`] anyway.
#[must_use]
pub fn carried_ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let last = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(last(high, low)),
        _ => None,
    }
}

/// Which addresses the gate does not dial, whatever the policy says (`upstream.forbid` and
/// `upstream.allow_internal`).
///
/// Unspecified, multicast and broadcast addresses are always forbidden. `private` covers the
/// other networks that are not of the internet too: shared and reserved.
#[derive(Clone, Debug)]
pub struct Forbid {
    classes: Vec<AddressClass>,
    allow: Vec<IpNet>,
}

impl Forbid {
    /// Every class that can be forbidden: the default of `upstream.forbid`.
    pub const ALL: [AddressClass; 4] = [
        AddressClass::Private,
        AddressClass::Loopback,
        AddressClass::LinkLocal,
        AddressClass::Metadata,
    ];

    /// Forbids `classes` (of [`Forbid::ALL`]; others have no switch) except inside `allow`.
    #[must_use]
    pub fn new(classes: impl IntoIterator<Item = AddressClass>, allow: Vec<IpNet>) -> Self {
        Self {
            classes: classes.into_iter().collect(),
            allow,
        }
    }

    /// The networks inside which nothing is forbidden by its class.
    #[must_use]
    pub fn exceptions(&self) -> &[IpNet] {
        &self.allow
    }

    /// The same classes, without exceptions.
    #[must_use]
    pub fn without_exceptions(&self) -> Self {
        Self::new(self.classes.iter().copied(), Vec::new())
    }

    /// Forbids only what nobody can dial: unspecified, multicast, broadcast.
    #[must_use]
    pub fn none() -> Self {
        Self::new([], Vec::new())
    }

    /// The class that forbids dialling `address`, or nothing if it may be dialled.
    ///
    /// The IPv4 address it carries is judged on its own: an `allow` network that holds the
    /// NAT64 prefix does not open the private networks behind it.
    #[must_use]
    pub fn verdict(&self, address: IpAddr) -> Option<AddressClass> {
        let address = address.to_canonical();
        let carried = carried_ipv4(address).map(IpAddr::V4);
        std::iter::once(address)
            .chain(carried)
            .find_map(|address| self.one(address))
    }

    fn one(&self, address: IpAddr) -> Option<AddressClass> {
        let class = AddressClass::of(address);
        let forbidden = class.is_never_dialled()
            || class
                .switch()
                .is_some_and(|switch| self.classes.contains(&switch))
                && !self.allow.iter().any(|net| net.contains(&address));
        forbidden.then_some(class)
    }
}

impl Default for Forbid {
    fn default() -> Self {
        Self::new(Self::ALL, Vec::new())
    }
}
