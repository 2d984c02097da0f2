//! Questions as clients may put them, drawn by a die that falls alike in every run.

use super::*;

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

/// Splitmix64: the same flows in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % sides
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn some(&mut self, most: usize, of: &[&str]) -> Vec<String> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.one(of).to_owned()).collect()
    }
}

const NAMES: [&str; 12] = [
    "a.mail.example",
    "twin.example",
    "sso.login.example",
    "www.post.example",
    "x.big.example",
    "app.cloud.example",
    "cdn.edge.example",
    "c2.bad.example",
    "chatter.example",
    "www.unlisted.example",
    "xn--coles-9ra.example",
    "_dmarc.unlisted.example",
];
const ADDRESSES: [&str; 8] = [
    "198.51.100.3",
    "192.0.2.200",
    "203.0.113.66",
    "203.0.113.9",
    "10.1.2.3",
    "2001:db8::7",
    "::ffff:10.1.2.3",
    "169.254.169.254",
];
const CLIENTS: [&str; 5] = [
    "192.0.2.4",
    "192.0.2.70",
    "192.0.2.71",
    "10.9.9.9",
    "2001:db8::1",
];

/// One of every kind that there is.
pub(super) fn question(dice: &mut Dice) -> Question {
    let target = if dice.below(6) == 0 {
        Host::from(dice.one(&ADDRESSES).parse::<IpAddr>().unwrap())
    } else {
        Host::parse(dice.one(&NAMES)).unwrap()
    };
    let hello = match dice.below(9) {
        0 => None,
        1 => Some(Hello::NotExpected),
        2 => Some(Hello::Absent),
        3 => Some(Hello::NotTls),
        4 => Some(Hello::Malformed),
        5 => Some(Hello::Timeout),
        _ => Some(Hello::Name {
            name: match target.name() {
                Some(name) if dice.below(2) == 0 => name.clone(),
                _ => name(dice.one(&NAMES)),
            },
            ech: dice.below(2) == 0,
        }),
    };
    let is_resolved = dice.below(3) > 0 || target.address().is_some();
    let (hops, found) = if is_resolved && target.name().is_some() {
        (dice.some(3, &NAMES), dice.some(3, &ADDRESSES))
    } else {
        Default::default()
    };
    let addresses: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
    let certificate = [
        "pc.office.culture.example",
        "spiffe://culture.example/pc",
        "poste@culture.example",
    ];
    Question {
        asker: Asker::Address,
        source: Source {
            certificate: dice
                .some(2, &certificate)
                .iter()
                .filter_map(|text| CertificateName::parse(text))
                .collect(),
            listener: (dice.below(2) == 0).then(|| "explicit".into()),
            ..Source::from_address(dice.one(&CLIENTS).parse().unwrap())
        },
        protocol: [Protocol::Connect, Protocol::Http, Protocol::Captured][dice.below(3)],
        original: (dice.below(3) == 0).then(|| dice.one(&ADDRESSES).parse().unwrap()),
        target,
        port: [443, 443, 80, 25, 8443][dice.below(5)],
        host: (dice.below(4) == 0).then(|| Host::parse(dice.one(&NAMES)).unwrap()),
        hello,
        chain: hops.iter().map(|text| name(text)).collect(),
        ours: addresses
            .iter()
            .copied()
            .filter(|_| dice.below(8) == 0)
            .collect(),
        addresses,
        resolved: is_resolved,
    }
}
