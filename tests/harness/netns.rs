//! Three networks of a test's own: clients, the gateway, and the internet behind it.
//!
//! They are network namespaces without names, held open by this process alone, so any number of tests use the
//! same addresses side by side, and nothing is left of them when the process ends, in whatever way it ends.
//!
//! ```text
//! client    eth0  192.0.2.201, 200, 202 2001:db8:c::201, 200, 202
//! gateway   lan0  192.0.2.1, .2         2001:db8:c::1, ::2     as in examples/nftables
//!           wan0  198.51.100.1          2001:db8:1::1
//! internet  eth0  198.51.100.2          2001:db8:1::2
//!           lo    203.0.113.10…29       2001:db8:f::10…29
//! ```
//! The gateway forwards and masks nothing, and the internet knows the way back to the clients: what a rule set
//! does not stop, arrives.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::tools::{Running, finish, tool};
use super::turn::Together;
use super::world::repository;

/// The last parts of the addresses that clients and origins have, alike in both families; the first client's
/// is where a program speaks from that names no source.
const CLIENTS: [u16; 3] = [201, 200, 202];
const ORIGINS: std::ops::RangeInclusive<u16> = 10..=29;

/// The addresses of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// An address of the clients' network, 200 to 202: as `Block` has it, a sensitive workload, an ordinary
    /// one, and nobody. A program that names no source speaks from the ordinary one.
    pub(crate) fn client(self, last: u16) -> IpAddr {
        self.at([192, 0, 2], 0xc, last)
    }

    /// The gateway as clients see it.
    pub(crate) fn gateway(self) -> IpAddr {
        self.client(1)
    }

    /// The gateway as origins see it.
    pub(crate) fn outside(self) -> IpAddr {
        self.at([198, 51, 100], 1, 1)
    }

    /// An address of the internet, 10 to 29.
    pub(crate) fn origin(self, last: u16) -> IpAddr {
        self.at([203, 0, 113], 0xf, last)
    }

    /// The last part is read alike in both: decimal there, hexadecimal here.
    fn at(self, network: [u8; 3], subnet: u16, last: u16) -> IpAddr {
        let [a, b, c] = network;
        match self {
            Self::V4 => Ipv4Addr::new(a, b, c, u8::try_from(last).unwrap()).into(),
            Self::V6 => {
                let last = u16::from_str_radix(&last.to_string(), 16).unwrap();
                Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, 0, last).into()
            }
        }
    }
}

/// How the gateway captures: which of the rule sets in `examples/nftables` it has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    Redirect,
    Tproxy,
}

impl Capture {
    pub(crate) const BOTH: [Self; 2] = [Self::Redirect, Self::Tproxy];

    /// The listeners' ports, as the rule sets name them.
    pub(crate) const PORT4: u16 = 3130;
    pub(crate) const PORT6: u16 = 3131;

    /// As `capture:` of a listener says it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Tproxy => "tproxy",
        }
    }

    /// The rule set as it is shipped.
    pub(crate) fn rules(self) -> PathBuf {
        shipped(&format!("{}.nft", self.word()))
    }
}

/// A file of `examples/nftables`.
pub(crate) fn shipped(name: &str) -> PathBuf {
    repository().join("examples/nftables").join(name)
}

/// A network namespace.
pub(crate) struct Space {
    name: &'static str,
    file: File,
}

impl Space {
    /// A network with nothing in it, not even a loopback that is up.
    pub(crate) fn new(name: &'static str) -> Self {
        let mut command = tool("unshare");
        command.args(["--net", "sh", "-c", "echo made; exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = Running(command.spawn().unwrap());
        let mut said = String::new();
        let output = holder.0.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut said).unwrap();
        assert_eq!(
            said, "made\n",
            "no network namespace for the {name}: run as root"
        );
        // The descriptor keeps it from here on.
        let file = File::open(format!("/proc/{}/ns/net", holder.0.id())).unwrap();
        Self { name, file }
    }

    /// Does something in this network, on a thread of its own: sockets that it binds, threads and processes
    /// that it starts stay in it for good.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap_or_else(|e| panic!("entering the {}: {e} (run as root)", self.name));
                work()
            });
            let result = worker.join();
            result.unwrap_or_else(|failed| std::panic::resume_unwind(failed))
        })
    }

    /// Runs a program to its end; its exit code and what it said.
    pub(crate) fn run(&self, command: &mut Command) -> (Option<i32>, String) {
        self.inside(|| finish(command))
    }

    /// Runs a program that is to succeed; what it said.
    pub(crate) fn succeed(&self, command: &mut Command) -> String {
        let (code, said) = self.run(command);
        assert_eq!(code, Some(0), "{}: {command:?}: {said}", self.name);
        said
    }

    /// Commands of `ip`, one a line.
    pub(crate) fn ip(&self, lines: &str) {
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), lines).unwrap();
        self.succeed(tool("ip").arg("-batch").arg(script.path()));
    }

    /// One command of `nft`; what it said.
    pub(crate) fn nft(&self, arguments: &[&str]) -> String {
        self.succeed(tool("nft").args(arguments))
    }

    /// A switch of the kernel, such as `net.ipv4.ip_forward`.
    pub(crate) fn switch(&self, name: &str, value: &str) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.inside(|| std::fs::write(&path, value))
            .unwrap_or_else(|e| panic!("{name} of the {}: {e}", self.name));
    }

    /// How `ip` names it, as long as it is held here.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    fn inode(&self) -> u64 {
        self.file.metadata().unwrap().ino()
    }
}

/// The three networks, joined. What still runs in them when they are dropped, is ended.
pub(crate) struct Net {
    pub(crate) client: Space,
    pub(crate) gateway: Space,
    pub(crate) internet: Space,
    /// Names the resolver on the gateway.
    resolv: tempfile::NamedTempFile,
    _keeper: Keeper,
    _turn: Together,
}

impl Net {
    pub(crate) fn new() -> Self {
        let turn = Together::take();
        let [client, gateway, internet] = ["client", "gateway", "internet"].map(Space::new);
        let keeper = Keeper::new(&[&client, &gateway, &internet]);
        for space in [&client, &gateway, &internet] {
            // Addresses are there at once, rather than after a second of asking whether somebody has them.
            for which in ["all", "default"] {
                space.switch(&format!("net.ipv6.conf.{which}.disable_ipv6"), "0");
                space.switch(&format!("net.ipv6.conf.{which}.accept_dad"), "0");
            }
        }
        for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
            gateway.switch(name, "1");
        }
        gateway.ip(&format!(
            "link add lan0 type veth peer name eth0 netns {}
link add wan0 type veth peer name eth0 netns {}
{}",
            client.path(),
            internet.path(),
            addresses("lan0", &Family::BOTH.map(Family::gateway), true)
                + &addresses("lan0", &Family::BOTH.map(|f| f.client(2)), true)
                + &addresses("wan0", &Family::BOTH.map(Family::outside), true)
        ));
        for family in Family::BOTH {
            client.ip(&addresses("eth0", &CLIENTS.map(|c| family.client(c)), true));
            let far = family.at([198, 51, 100], 1, 2);
            internet.ip(&addresses("eth0", &[far], true));
            let origins: Vec<IpAddr> = ORIGINS.map(|last| family.origin(last)).collect();
            internet.ip(&addresses("lo", &origins, false));
            let (via, source) = (family.gateway(), family.client(CLIENTS[0]));
            client.ip(&format!("route add default via {via} src {source}"));
            gateway.ip(&format!("route add default via {far}"));
            let (network, outside) = (family.client(0), family.outside());
            let length = length(network, true);
            internet.ip(&format!("route add {network}/{length} via {outside}"));
        }
        gateway.ip("link set lo up");
        client.ip("link set lo up");
        internet.succeed(tool("nft").arg(METER));
        let resolv = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(resolv.path(), "nameserver 192.0.2.2\n").unwrap();
        Self {
            client,
            gateway,
            internet,
            resolv,
            _keeper: keeper,
            _turn: turn,
        }
    }

    /// A program that asks the gateway for names, at 192.0.2.2, once it is run in the client's network. Arguments
    /// may still be added.
    pub(crate) fn resolving(&self, command: &Command) -> Command {
        let mut outer = tool("unshare");
        outer.args(["--mount", "sh", "-c", RESOLVING]);
        outer.arg(self.resolv.path()).arg(command.get_program());
        outer.args(command.get_args());
        let variables = command.get_envs();
        outer.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        outer
    }

    /// Loads a rule set as it is shipped, with the routes and switches that it asks for.
    pub(crate) fn captures(&self, by: Capture) -> &Self {
        self.gateway.succeed(tool("nft").arg("-f").arg(by.rules()));
        self.gateway.succeed(
            tool("sysctl")
                .args(["-q", "-p"])
                .arg(shipped("90-octroi.conf")),
        );
        if by == Capture::Tproxy {
            self.routes("up");
        }
        self
    }

    /// `tproxy-routes up` or `down`, as it is shipped.
    pub(crate) fn routes(&self, word: &str) {
        self.gateway
            .succeed(tool("sh").arg(shipped("tproxy-routes")).arg(word));
    }

    /// How many packets came to the internet that the gateway did not send in its own name: what went past.
    pub(crate) fn leaked(&self) -> u64 {
        let said = self
            .internet
            .nft(&["-j", "list", "table", "inet", "leaked"]);
        let listed: serde_json::Value = serde_json::from_str(&said).unwrap();
        let rules = listed["nftables"].as_array().unwrap().iter();
        let counters = rules.flat_map(|item| item["rule"]["expr"].as_array().into_iter().flatten());
        let counts = counters.filter_map(|part| part["counter"]["packets"].as_u64());
        counts.sum()
    }

    /// Something was sent, and each packet of it has been dealt with.
    pub(crate) fn assert_nothing_leaked(&self) {
        assert_eq!(self.leaked(), 0, "packets of clients came to the internet");
    }
}

/// Puts another resolver in place, for a program and nobody else.
const RESOLVING: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;

/// Counts in the internet what is not the gateway's own; neighbour discovery is.
const METER: &str = "
table inet leaked {
  chain seen {
    type filter hook prerouting priority raw; policy accept;
    iifname != eth0 accept
    ip saddr != 198.51.100.1 counter
    ip6 saddr != { 2001:db8:1::1, fe80::/10, :: } counter
  }
}";

/// Lines for `ip`: addresses of a link, which is then up. On a network, or each for itself.
fn addresses(link: &str, addresses: &[IpAddr], on_network: bool) -> String {
    let mut lines = String::new();
    for address in addresses {
        let length = length(*address, on_network);
        let _ = writeln!(lines, "address add {address}/{length} dev {link}");
    }
    lines + &format!("link set {link} up\n")
}

fn length(address: IpAddr, on_network: bool) -> u8 {
    match (address, on_network) {
        (IpAddr::V4(_), true) => 24,
        (IpAddr::V4(_), false) => 32,
        (IpAddr::V6(_), true) => 64,
        (IpAddr::V6(_), false) => 128,
    }
}

/// Waits for the end of this process, or to be dropped, and ends what then runs in the networks: a gate or a
/// browser that was left would keep them.
struct Keeper(Child);

/// Reads until its writer is gone, then looks for processes by their network.
const KEEP: &str = r#"
cat >/dev/null
while left=$(find /proc/[0-9]*/ns/net -maxdepth 0 \( "$@" \) -printf '%h\n' 2>/dev/null); [ -n "$left" ]; do
  for process in $left; do process=${process#/proc/}; kill -KILL "${process%/ns}"; done
done
"#;

impl Keeper {
    fn new(spaces: &[&Space]) -> Self {
        drop(tool("find"));
        let mut command = tool("bash");
        command.args(["-c", KEEP, "keeper"]);
        for (index, space) in spaces.iter().enumerate() {
            let links = format!("net:\\[{}\\]", space.inode());
            command.args(if index == 0 { &[][..] } else { &["-o"] });
            command.args(["-lname", &links]);
        }
        // Apart from the test's group: an interrupt at the keyboard is for the test alone.
        command.process_group(0).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
