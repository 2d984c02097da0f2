//! Who listens where we would: by what Linux shows in `/proc`.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// State of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// Who has an address that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Another gate.
    Gate(u32),
    /// Another program.
    Other {
        /// Its name.
        name: String,
        /// Its process.
        pid: u32,
    },
    /// This user may not see it.
    Unknown,
}

impl Holder {
    pub(super) fn of(address: SocketAddr) -> Self {
        let inodes: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| listening(&table, address))
            .collect();
        let ours = name(std::process::id());
        let held = processes().find(|&pid| holds(pid, &inodes));
        match held.map(|pid| (pid, name(pid))) {
            Some((pid, name)) if name == ours => Self::Gate(pid),
            Some((pid, name)) => Self::Other {
                name: name.unwrap_or_else(|| "a program".to_owned()),
                pid,
            },
            None => Self::Unknown,
        }
    }
}

/// The inodes of the sockets in a table that keep `address` from being listened on.
fn listening(table: &str, address: SocketAddr) -> Vec<String> {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (&local, &state, &inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let at = socket(local)?;
        let any = at.ip().is_unspecified() || address.ip().is_unspecified();
        let meets = at.port() == address.port() && (any || at.ip() == address.ip());
        (state == LISTENS && meets).then(|| format!("socket:[{inode}]"))
    };
    table.lines().filter_map(of_line).collect()
}

/// An address as the kernel prints it: words of 32 bits in the machine's own order.
fn socket(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, port))
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| pid != std::process::id())
}

fn holds(pid: u32, inodes: &HashSet<String>) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    let mut open = open.into_iter().flatten().flatten();
    open.any(|descriptor| {
        let target = fs::read_link(descriptor.path()).ok();
        let target = target.as_ref().and_then(|path| path.to_str());
        target.is_some_and(|target| inodes.contains(target))
    })
}

fn name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:0C38 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 41 1 0 100 0 0 10 0\n\
            1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 42 1 0 100 0 0 10 0\n\
            2: 0100007F:0C38 0100007F:D431 01 00000000:00000000 00:00000000 00000000  0 0 43 1 0 100 0 0 10 0\n";
        let at = |address: &str| listening(table, address.parse().unwrap());
        assert_eq!(at("127.0.0.1:3128"), ["socket:[41]"]);
        assert_eq!(at("0.0.0.0:3128"), ["socket:[41]"]);
        assert_eq!(at("127.0.0.2:80"), ["socket:[42]"]);
        assert!(at("127.0.0.2:3128").is_empty() && at("127.0.0.1:3129").is_empty());
        let six = socket("B80D0120000000000000000001000000:0050").unwrap();
        assert_eq!(six, "[2001:db8::1]:80".parse().unwrap());
    }
}
