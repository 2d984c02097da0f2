//! Longest prefix by binary search.
//!
//! The prefixes of one family nest or are disjoint, so they cut the address space into intervals
//! with one innermost prefix each. An address is found by its interval; the wider prefixes that
//! hold it are the chain of parents. At most two intervals a prefix, whatever its length.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Values attached to address prefixes.
///
/// IPv4-mapped addresses and prefixes are folded to IPv4, here as everywhere.
#[derive(Clone, Debug)]
pub struct AddressMatcher<V> {
    v4: Table<u32, V>,
    v6: Table<u128, V>,
}

impl<V: Copy> AddressMatcher<V> {
    /// Compiles the entries; the same prefix may come with several values.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (IpNet, V)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (net, value) in entries {
            match canonical(net) {
                IpNet::V4(net) => v4.push((Prefix::v4(net), value)),
                IpNet::V6(net) => v6.push((Prefix::v6(net), value)),
            }
        }
        Self {
            v4: Table::new(v4),
            v6: Table::new(v6),
        }
    }

    /// Every value at the longest prefix that holds `address`, in the order they were given.
    #[must_use]
    pub fn best(&self, address: IpAddr) -> &[V] {
        self.longest(address).map_or(&[], |(_, values)| values)
    }

    /// As [`AddressMatcher::best`], with the length of that prefix in bits.
    #[must_use]
    pub fn longest(&self, address: IpAddr) -> Option<(u8, &[V])> {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.holding(u32::from(v4)).next(),
            IpAddr::V6(v6) => self.v6.holding(u128::from(v6)).next(),
        }
    }

    /// Gives `found` every value of every prefix that holds `address`, longest prefix first.
    pub fn all(&self, address: IpAddr, found: &mut impl FnMut(V)) {
        let mut give = |(_, values): (u8, &[V])| values.iter().copied().for_each(&mut *found);
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.holding(u32::from(v4)).for_each(&mut give),
            IpAddr::V6(v6) => self.v6.holding(u128::from(v6)).for_each(&mut give),
        }
    }

    /// Is there no entry at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.values.is_empty() && self.v6.values.is_empty()
    }
}

/// The prefix without host bits, IPv4-mapped ones folded to IPv4.
pub(super) fn canonical(net: IpNet) -> IpNet {
    match net.trunc() {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(IpNet::V6(v6), IpNet::V4),
            None => IpNet::V6(v6),
        },
        net => net,
    }
}

/// A prefix as the first and last address it holds, its length beside them.
#[derive(Clone, Copy, PartialEq)]
struct Prefix<A> {
    first: A,
    last: A,
    bits: u8,
}

impl Prefix<u32> {
    fn v4(net: Ipv4Net) -> Self {
        Self {
            first: net.network().into(),
            last: net.broadcast().into(),
            bits: net.prefix_len(),
        }
    }
}

impl Prefix<u128> {
    fn v6(net: Ipv6Net) -> Self {
        Self {
            first: net.network().into(),
            last: net.broadcast().into(),
            bits: net.prefix_len(),
        }
    }
}

/// An index that stands for "no prefix".
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Table<A, V> {
    /// Where an interval begins, ascending; it ends where the next one begins.
    starts: Vec<A>,
    /// The innermost prefix of each interval: an index into `nodes`, or `NONE`.
    owners: Vec<u32>,
    nodes: Vec<Node>,
    /// The values of the nodes, one run a node.
    values: Vec<V>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The next wider prefix, or `NONE`.
    parent: u32,
    /// Where its values end; they begin where those of the node before it end.
    values_end: u32,
    bits: u8,
}

impl<A: Copy + Ord + Next, V: Copy> Table<A, V> {
    fn new(mut entries: Vec<(Prefix<A>, V)>) -> Self {
        // Wider before narrower at the same start, so that a parent always comes first.
        entries.sort_by_key(|(prefix, _)| (prefix.first, prefix.bits));
        let mut table = Self {
            starts: Vec::new(),
            owners: Vec::new(),
            nodes: Vec::new(),
            values: Vec::new(),
        };
        let mut open: Vec<(u32, A)> = Vec::new();
        for run in entries.chunk_by(|(a, _), (b, _)| a == b) {
            let Some(&(prefix, _)) = run.first() else {
                continue;
            };
            table.close_before(&mut open, Some(prefix.first));
            let index = table.nodes.len() as u32;
            table.values.extend(run.iter().map(|&(_, value)| value));
            let parent = open.last().map_or(NONE, |&(parent, _)| parent);
            let values_end = table.values.len() as u32;
            table.nodes.push(Node {
                parent,
                values_end,
                bits: prefix.bits,
            });
            table.begin(prefix.first, index);
            open.push((index, prefix.last));
        }
        table.close_before(&mut open, None);
        table.shrink();
        table
    }

    /// Ends the open prefixes that end before `next`; what follows each belongs to its parent.
    fn close_before(&mut self, open: &mut Vec<(u32, A)>, next: Option<A>) {
        while let Some(&(_, last)) = open.last() {
            if next.is_some_and(|next| next <= last) {
                return;
            }
            open.pop();
            if let Some(after) = last.next() {
                self.begin(after, open.last().map_or(NONE, |&(parent, _)| parent));
            }
        }
    }

    /// An interval of `owner` begins at `start`; an empty one before it is dropped.
    fn begin(&mut self, start: A, owner: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.owners.pop();
        }
        self.starts.push(start);
        self.owners.push(owner);
    }

    fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.owners.shrink_to_fit();
        self.nodes.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    /// The prefixes that hold `address`, from the longest, with their lengths and values.
    fn holding(&self, address: A) -> impl Iterator<Item = (u8, &[V])> {
        let after = self.starts.partition_point(|start| *start <= address);
        let innermost = after
            .checked_sub(1)
            .map_or(NONE, |index| self.owners[index]);
        let mut next = innermost;
        std::iter::from_fn(move || {
            let index = next as usize;
            let node = self.nodes.get(index)?;
            next = node.parent;
            let start = index
                .checked_sub(1)
                .map_or(0, |before| self.nodes[before].values_end);
            Some((
                node.bits,
                &self.values[start as usize..node.values_end as usize],
            ))
        })
    }
}

/// The address after this one, if there is one.
trait Next: Sized {
    fn next(self) -> Option<Self>;
}

impl Next for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Next for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}
