//! The oracle: the same answers by asking every entry in turn.

use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::canonical;
use crate::name::DomainName;
use crate::pattern::Pattern;

/// The values of the patterns that match `name` and to which no matching one is preferred.
#[must_use]
pub fn best_names<V: Copy>(entries: &[(Pattern, V)], name: &DomainName) -> Vec<V> {
    let matching = || entries.iter().filter(|(pattern, _)| pattern.matches(name));
    let top = matching().map(|(pattern, _)| pattern.specificity()).max();
    matching()
        .filter(|(p, _)| Some(p.specificity()) == top)
        .map(|&(_, value)| value)
        .collect()
}

/// The values of every pattern that matches `name`.
#[must_use]
pub fn all_names<V: Copy>(entries: &[(Pattern, V)], name: &DomainName) -> Vec<V> {
    entries
        .iter()
        .filter(|(p, _)| p.matches(name))
        .map(|&(_, value)| value)
        .collect()
}

/// The values of the longest prefix that holds `address`.
#[must_use]
pub fn best_addresses<V: Copy>(entries: &[(IpNet, V)], address: IpAddr) -> Vec<V> {
    let matching = || holding(entries, address);
    let top = matching().map(|(net, _)| net.prefix_len()).max();
    matching()
        .filter(|(net, _)| Some(net.prefix_len()) == top)
        .map(|(_, v)| v)
        .collect()
}

/// The values of every prefix that holds `address`.
#[must_use]
pub fn all_addresses<V: Copy>(entries: &[(IpNet, V)], address: IpAddr) -> Vec<V> {
    holding(entries, address).map(|(_, value)| value).collect()
}

fn holding<V: Copy>(
    entries: &[(IpNet, V)],
    address: IpAddr,
) -> impl Iterator<Item = (IpNet, V)> + '_ {
    let address = address.to_canonical();
    entries
        .iter()
        .map(|&(net, value)| (canonical(net), value))
        .filter(move |(net, _)| net.contains(&address))
}
