//! Addresses that cannot be listened on at once, seen before the system refuses the second one.

use std::net::SocketAddr;

use super::Config;
use super::places::Places;
use super::problem::Problem;

/// One problem for each address that meets an earlier one; the very same address twice among
/// listeners is told with them.
pub(super) fn problems(config: &Config, places: &Places) -> Vec<Problem> {
    let mut found = Vec::new();
    let all = sockets(config, places);
    for (at, second) in all.iter().enumerate() {
        let meets = |first: &&Socket| meet(first.address, second.address);
        let Some(first) = all[..at].iter().find(meets) else {
            continue;
        };
        if first.address == second.address && second.is_listener {
            continue;
        }
        let message = format!(
            "{} of {} and {} of {} are one place: both cannot be listened on",
            second.address, second.what, first.address, first.what
        );
        let help = match places.line(&first.key) {
            0 => "give one of them another port".to_owned(),
            line => format!("the first one is on line {line}; give one of them another port"),
        };
        found.push(Problem::at(places.at(&second.key), message).help(help));
    }
    found
}

struct Socket {
    what: String,
    key: String,
    address: SocketAddr,
    is_listener: bool,
}

fn sockets(config: &Config, places: &Places) -> Vec<Socket> {
    let listeners = config.listeners.iter().map(|listener| Socket {
        what: format!("listener `{}`", listener.name),
        key: places.listener(&listener.name, "address"),
        address: listener.address,
        is_listener: true,
    });
    let admin = Socket {
        what: "`admin`".to_owned(),
        key: "admin.address".to_owned(),
        address: config.admin.address,
        is_listener: false,
    };
    listeners.chain([admin]).collect()
}

/// One socket a family: `[::]` is not `0.0.0.0`. Port 0 is another one each time.
pub(crate) fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let same_port = one.port() == other.port() && one.port() != 0;
    let (one, other) = (one.ip(), other.ip());
    let any = one.is_unspecified() || other.is_unspecified();
    same_port && one.is_ipv4() == other.is_ipv4() && (any || one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_meet_are_told_apart() {
        for (one, other, expected) in [
            ("0.0.0.0:3128", "127.0.0.1:3128", true),
            ("127.0.0.1:3128", "0.0.0.0:3128", true),
            ("127.0.0.1:3128", "127.0.0.1:3128", true),
            ("[::]:3128", "[::1]:3128", true),
            ("[::]:3128", "0.0.0.0:3128", false),
            ("127.0.0.1:3128", "127.0.0.2:3128", false),
            ("0.0.0.0:3128", "127.0.0.1:3129", false),
            ("0.0.0.0:0", "127.0.0.1:0", false),
        ] {
            let [one, other] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(meet(one, other), expected, "{one} {other}");
        }
    }
}
