use proptest::prelude::*;

use super::AddressClass as C;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn each_block_has_its_class() {
    for (given, expected) in [
        ("8.8.8.8", C::Global),
        ("9.255.255.255", C::Global),
        ("10.0.0.0", C::Private),
        ("10.255.255.255", C::Private),
        ("11.0.0.0", C::Global),
        ("172.15.255.255", C::Global),
        ("172.16.0.1", C::Private),
        ("172.32.0.0", C::Global),
        ("192.168.1.1", C::Private),
        ("127.0.0.1", C::Loopback),
        ("127.255.255.254", C::Loopback),
        ("169.254.1.1", C::LinkLocal),
        ("169.254.169.254", C::Metadata),
        ("168.63.129.16", C::Metadata),
        ("100.63.255.255", C::Global),
        ("100.64.0.0", C::Shared),
        ("100.100.100.200", C::Metadata),
        ("0.0.0.0", C::Unspecified),
        ("0.1.2.3", C::Unspecified),
        ("224.0.0.1", C::Multicast),
        ("240.0.0.1", C::Reserved),
        ("255.255.255.255", C::Broadcast),
        ("192.0.2.1", C::Documentation),
        ("198.19.0.1", C::Reserved),
        ("2606:4700::1111", C::Global),
        ("::", C::Unspecified),
        ("::1", C::Loopback),
        ("::7f00:1", C::Reserved),
        ("fe80::1", C::LinkLocal),
        ("fec0::1", C::Private),
        ("fd12::1", C::Private),
        ("fd00:ec2::254", C::Metadata),
        ("fd20:ce::254", C::Metadata),
        ("ff02::1", C::Multicast),
        ("2001:db8::1", C::Documentation),
        ("2001::1", C::Reserved),
        ("2001:200::1", C::Global),
        ("100::1", C::Reserved),
        ("64:ff9b::808:808", C::Global),
        ("64:ff9b:1::808:808", C::Private),
        ("::ffff:10.0.0.1", C::Private),
        ("::ffff:169.254.169.254", C::Metadata),
    ] {
        assert_eq!(C::of(ip(given)), expected, "{given}");
    }
}

#[test]
fn ipv4_inside_ipv6_is_found() {
    for (given, expected) in [
        ("::ffff:192.0.2.1", Some("192.0.2.1")),
        ("::192.0.2.1", Some("192.0.2.1")),
        ("64:ff9b::192.0.2.1", Some("192.0.2.1")),
        ("64:ff9b:1:ffff::192.0.2.1", Some("192.0.2.1")),
        ("64:ff9b:2::192.0.2.1", None),
        ("2002:c000:201::1", Some("192.0.2.1")),
        ("2001:0:c000:201::1", None),
        ("::", None),
        ("::1", None),
        ("2001:db8::1", None),
        ("192.0.2.1", None),
    ] {
        assert_eq!(
            carried_ipv4(ip(given)),
            expected.map(|e| e.parse().unwrap()),
            "{given}"
        );
    }
}

#[test]
fn the_default_dials_the_internet_only() {
    let forbid = Forbid::default();
    for (given, expected) in [
        ("8.8.8.8", None),
        ("192.0.2.1", None),
        ("2606:4700::1111", None),
        ("64:ff9b::808:808", None),
        ("2002:808:808::1", None),
        ("10.1.2.3", Some(C::Private)),
        ("100.64.1.1", Some(C::Shared)),
        ("240.0.0.1", Some(C::Reserved)),
        ("127.0.0.1", Some(C::Loopback)),
        ("169.254.1.1", Some(C::LinkLocal)),
        ("169.254.169.254", Some(C::Metadata)),
        ("fd00:ec2::254", Some(C::Metadata)),
        ("::ffff:127.0.0.1", Some(C::Loopback)),
        ("64:ff9b::10.1.2.3", Some(C::Private)),
        ("64:ff9b::169.254.169.254", Some(C::Metadata)),
        ("2002:7f00:1::", Some(C::Loopback)),
        ("2002:a9fe:a9fe::1", Some(C::Metadata)),
        ("::10.1.2.3", Some(C::Reserved)),
        ("0.0.0.0", Some(C::Unspecified)),
        ("64:ff9b::0.0.0.0", Some(C::Unspecified)),
    ] {
        assert_eq!(forbid.verdict(ip(given)), expected, "{given}");
    }
}

#[test]
fn allow_opens_exactly_what_it_names() {
    let nets = [
        "10.0.0.0/8",
        "127.0.0.2/32",
        "64:ff9b::/96",
        "224.0.0.0/4",
        "fd00::/8",
    ];
    let forbid = Forbid::new(Forbid::ALL, nets.map(|n| n.parse().unwrap()).to_vec());
    for (given, expected) in [
        ("10.1.2.3", None),
        ("::ffff:10.1.2.3", None),
        ("64:ff9b::10.1.2.3", None),
        ("127.0.0.2", None),
        ("127.0.0.1", Some(C::Loopback)),
        ("64:ff9b::192.168.0.1", Some(C::Private)),
        ("192.168.0.1", Some(C::Private)),
        ("224.0.0.1", Some(C::Multicast)),
        ("fd12::1", None),
    ] {
        assert_eq!(forbid.verdict(ip(given)), expected, "{given}");
    }
}

#[test]
fn only_what_is_named_is_forbidden() {
    let forbid = Forbid::new([C::Loopback], Vec::new());
    assert_eq!(forbid.verdict(ip("127.0.0.1")), Some(C::Loopback));
    assert_eq!(forbid.verdict(ip("10.0.0.1")), None);
    for always in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
        assert!(Forbid::none().verdict(ip(always)).is_some(), "{always}");
    }
    assert_eq!(Forbid::none().verdict(ip("127.0.0.1")), None);
}

proptest! {
    #[test]
    fn a_carried_address_is_no_way_round(bits in any::<u32>()) {
        let v4 = Ipv4Addr::from(bits);
        let low = u128::from(bits);
        let forbid = Forbid::default();
        if let Some(class) = forbid.verdict(v4.into()) {
            for carrier in [0xffff << 32, 0x64_ff9b << 96] {
                prop_assert_eq!(forbid.verdict(IpAddr::V6((carrier | low).into())), Some(class));
            }
            prop_assert!(forbid.verdict(IpAddr::V6((0x2002 << 112 | low << 80).into())).is_some());
        }
    }
}
