//! Plain lists: one name or range a line, in the formats that people already have.
//!
//! | format | line | means |
//! | --- | --- | --- |
//! | plain | `example.org`, `.example.org`, `*.example.org`, `a.*.example.org` | as in [`crate::pattern`] |
//! | Squid `dstdomain` | `.example.org` | the same |
//! | hosts file | `0.0.0.0 example.org` | that name alone |
//! | UT1 `domains` (first line `#!format: ut1`) | `example.org` | it and everything below; addresses as they are |
//!
//! `#` begins a comment at the start of a line or after a blank. Nothing is dropped in silence: a line
//! is an entry, blank, a comment, or broken.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::pattern::{Pattern, PatternError};

/// Bytes of one line; names have at most 253.
const MAX_LINE: usize = 1_024;

/// Names that a hosts file gives to the machine itself: they say nothing about other machines.
const HOSTS_OWN: [&str; 11] = [
    "localhost",
    "localhost.localdomain",
    "local",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-allhosts",
];

/// What a list is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    /// Names: a plain one is that name alone.
    Names,
    /// Suffixes: a plain name is it and everything below.
    Suffixes,
    /// Addresses and ranges.
    Addresses,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A name.
    Name(Pattern),
    /// A range.
    Range(IpNet),
}

/// Why a line or value is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryError {
    /// It is longer than any entry.
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// It is no pattern.
    #[error(transparent)]
    Name(#[from] PatternError),
    /// It covers a top-level domain or more.
    #[error("the pattern covers a whole top-level domain or more")]
    TooWide,
    /// An address stands where a name should.
    #[error("an address stands where a name is expected")]
    AddressAmongNames,
    /// It is a URL.
    #[error("a URL stands where a name is expected")]
    Url,
    /// It is no address.
    #[error("not an address or a range")]
    Address,
    /// It is a range with bits beyond its prefix; the range itself is given.
    #[error("the range has bits set beyond its prefix length")]
    HostBits(IpNet),
    /// It covers every address.
    #[error("the range covers every address")]
    Everything,
    /// A hosts file gives a name to another machine.
    #[error("a hosts-file line with an address that is not 0.0.0.0, 127.0.0.1, :: or ::1")]
    HostsAddress,
    /// Several words on one line.
    #[error("more than one entry on the line")]
    Several,
    /// `#!format:` names a format that is not known.
    #[error("the format is not known")]
    Format,
}

/// One word of a list: where it is and what it is.
pub(crate) struct Item {
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
    /// The entry, or why it is none.
    pub(crate) entry: Result<Entry, EntryError>,
}

/// Reads a list line by line and hands each entry, or what is wrong with it, to `sink`.
pub(crate) fn read(text: &str, reading: Reading, mut sink: impl FnMut(Item)) {
    let text = text.trim_start_matches('\u{feff}');
    let mut reading = reading;
    let mut ut1 = false;
    for (line, raw) in (1..).zip(text.lines()) {
        if line == 1
            && let Some(format) = raw.strip_prefix("#!format:")
        {
            match format.trim() {
                "ut1" => {
                    ut1 = reading != Reading::Addresses;
                    reading = if ut1 { Reading::Suffixes } else { reading };
                }
                "plain" | "hosts" | "dstdomain" => {}
                _ => sink(Item {
                    line,
                    column: 11,
                    entry: Err(EntryError::Format),
                }),
            }
            continue;
        }
        if raw.len() > MAX_LINE {
            sink(Item {
                line,
                column: 1,
                entry: Err(EntryError::TooLong),
            });
            continue;
        }
        read_line(raw, reading, ut1, |byte, entry| {
            let column = u32::try_from(raw[..byte].chars().count() + 1).unwrap_or(u32::MAX);
            sink(Item {
                line,
                column,
                entry,
            });
        });
    }
}

/// Hands over each entry of a line with the byte it begins at.
fn read_line(
    raw: &str,
    reading: Reading,
    ut1: bool,
    mut sink: impl FnMut(usize, Result<Entry, EntryError>),
) {
    let mut words = words(raw);
    let Some((at, first)) = words.next() else {
        return;
    };
    let Some((second_at, second)) = words.next() else {
        let entry = match entry(first, reading) {
            Err(EntryError::AddressAmongNames) if ut1 => range(first).map(Entry::Range),
            entry => entry,
        };
        return sink(at, entry);
    };
    let Ok(address) = first.parse::<IpAddr>() else {
        return sink(second_at, Err(EntryError::Several));
    };
    if reading == Reading::Addresses {
        return sink(second_at, Err(EntryError::Several));
    }
    if !(address.is_unspecified() || address.is_loopback()) {
        return sink(at, Err(EntryError::HostsAddress));
    }
    for (at, name) in std::iter::once((second_at, second)).chain(words) {
        if !HOSTS_OWN.contains(&name) && name != first {
            sink(at, entry(name, Reading::Names));
        }
    }
}

/// The words of a line before any comment, each with the byte it begins at.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let base = line.as_ptr() as usize;
    line.split_whitespace()
        .take_while(|word| !word.starts_with('#'))
        .map(move |word| (word.as_ptr() as usize - base, word))
}

/// Reads one entry, of a list or of YAML.
pub(crate) fn entry(word: &str, reading: Reading) -> Result<Entry, EntryError> {
    let pattern = match reading {
        Reading::Addresses => return range(word).map(Entry::Range),
        Reading::Names => Pattern::parse(word),
        Reading::Suffixes => Pattern::suffix(word),
    };
    match pattern {
        Ok(pattern) if pattern.is_too_wide() => Err(EntryError::TooWide),
        Ok(pattern) => Ok(Entry::Name(pattern)),
        Err(_) if address(word).is_some() => Err(EntryError::AddressAmongNames),
        Err(_) if word.contains("://") || word.contains('/') => Err(EntryError::Url),
        Err(error) => Err(error.into()),
    }
}

/// An address or range, without judging its width.
fn address(word: &str) -> Option<IpNet> {
    word.parse::<IpNet>()
        .ok()
        .or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Reads an address or a range.
pub(crate) fn range(word: &str) -> Result<IpNet, EntryError> {
    let range = address(word).ok_or(EntryError::Address)?;
    if range.prefix_len() == 0 {
        Err(EntryError::Everything)
    } else if range.addr() == range.network() {
        Ok(fold(range))
    } else {
        Err(EntryError::HostBits(range.trunc()))
    }
}

/// `::ffff:192.0.2.0/120` is `192.0.2.0/24`.
fn fold(range: IpNet) -> IpNet {
    if let IpNet::V6(v6) = range
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
        && let Ok(folded) = ipnet::Ipv4Net::new(v4, length)
    {
        return folded.into();
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, reading: Reading) -> Vec<String> {
        let mut all = Vec::new();
        read(text, reading, |item| {
            let what = match item.entry {
                Ok(Entry::Name(pattern)) => pattern.to_string(),
                Ok(Entry::Range(range)) => range.to_string(),
                Err(error) => format!("! {error}"),
            };
            all.push(format!("{}:{} {what}", item.line, item.column));
        });
        all
    }

    #[test]
    fn every_named_format_loads() {
        let plain = "\u{feff}# head\r\nexample.org\r\n.below.example.org # note\r\n\r\n  *.only.example.org\r\na*.x.example.org";
        assert_eq!(
            shown(plain, Reading::Names),
            [
                "2:1 example.org",
                "3:1 .below.example.org",
                "5:3 *.only.example.org",
                "6:1 a*.x.example.org"
            ]
        );
        let hosts = "127.0.0.1 localhost\n0.0.0.0 0.0.0.0\n0.0.0.0 ads.example.org tracker.example.org # x\n::1 ip6-localhost\n10.0.0.1 inside.example.org";
        assert_eq!(
            shown(hosts, Reading::Names)[..2],
            ["3:9 ads.example.org", "3:25 tracker.example.org"]
        );
        assert!(shown(hosts, Reading::Names)[2].starts_with("5:1 ! a hosts-file line"));
        let ut1 = "#!format: ut1\nexample.org\n192.0.2.7";
        assert_eq!(
            shown(ut1, Reading::Names),
            ["2:1 .example.org", "3:1 192.0.2.7/32"]
        );
        assert_eq!(
            shown("outlook.com", Reading::Suffixes),
            ["1:1 .outlook.com"]
        );
        assert_eq!(
            shown("192.0.2.0/24\n2001:db8::1", Reading::Addresses),
            ["1:1 192.0.2.0/24", "2:1 2001:db8::1/128"]
        );
        assert_eq!(
            shown("::ffff:192.0.2.0/120", Reading::Addresses),
            ["1:1 192.0.2.0/24"]
        );
        assert_eq!(
            shown("#!format: ut1\n::ffff:192.0.2.7", Reading::Names),
            ["2:1 192.0.2.7/32"]
        );
    }

    #[test]
    fn every_broken_line_is_said() {
        let long = "a".repeat(2_000);
        for (given, reading, expected) in [
            ("exa mple.org", Reading::Names, "more than one entry"),
            ("*.fr", Reading::Names, "top-level domain"),
            ("*", Reading::Names, "top-level domain"),
            ("192.0.2.1", Reading::Names, "address stands where"),
            ("https://example.org/x", Reading::Names, "URL stands"),
            ("exa..mple.org", Reading::Names, "empty label"),
            (&long, Reading::Names, "longer than 1024 bytes"),
            ("#!format: json", Reading::Names, "format is not known"),
            ("192.0.2.1/24", Reading::Addresses, "beyond its prefix"),
            ("0.0.0.0/0", Reading::Addresses, "every address"),
            (
                "#!format: ut1\n192.0.2.1/24",
                Reading::Names,
                "beyond its prefix",
            ),
            ("#!format: ut1\n0.0.0.0/0", Reading::Names, "every address"),
            ("example.org", Reading::Addresses, "not an address"),
            (
                "192.0.2.1 192.0.2.2",
                Reading::Addresses,
                "more than one entry",
            ),
        ] {
            let all = shown(given, reading);
            assert!(
                all.len() == 1 && all[0].contains(expected),
                "{given}: {all:?}"
            );
        }
    }
}
