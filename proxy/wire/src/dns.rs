//! A DNS answer turned into evidence: the chain of names from the one asked for, and the
//! addresses at its end.
//!
//! Only records on the chain count: whatever else a server puts into the answer section is out
//! of bailiwick and ignored. A chain that cannot be followed without a choice is an error.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use hickory_proto::rr::{DNSClass, RData, Record};
use octroi_policy::{DomainName, NameError};

/// The longest chain of aliases that is followed.
pub const MAX_HOPS: usize = 16;
/// The most addresses an answer may hold.
pub const MAX_ADDRESSES: usize = 128;

/// What a name resolves to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The names behind the one asked for, in order; empty if it is no alias.
    pub chain: Vec<DomainName>,
    /// The addresses in the order of the answer, each once, IPv4-mapped ones folded; empty if
    /// the name has none of the type asked for.
    pub addresses: Vec<IpAddr>,
    /// How long it holds, in seconds: the least of the records used; `None` if none was.
    pub ttl: Option<u32>,
}

/// Why an answer is not evidence; in every case the zone or the resolver is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// An alias that leads back to a name before it.
    #[error("the aliases form a loop")]
    Loop,
    /// More than [`MAX_HOPS`] aliases.
    #[error("more than {MAX_HOPS} aliases")]
    TooManyHops,
    /// More than [`MAX_ADDRESSES`] addresses.
    #[error("more than {MAX_ADDRESSES} addresses")]
    TooManyAddresses,
    /// An alias to something that is no host name.
    #[error("an alias leads to a name that is not valid: {0}")]
    HopName(NameError),
    /// Two aliases at one name (RFC 1034 §3.6.2: there can be one).
    #[error("a name has two aliases")]
    TwoAliases,
    /// An alias and an address at one name (RFC 1034 §3.6.2: an alias stands alone).
    #[error("a name has an alias and an address")]
    AliasAndAddress,
}

impl AnswerError {
    /// The word for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Loop => "alias-loop",
            Self::TooManyHops => "too-many-hops",
            Self::TooManyAddresses => "too-many-addresses",
            Self::HopName(_) => "hop-name",
            Self::TwoAliases => "two-aliases",
            Self::AliasAndAddress => "alias-and-address",
        }
    }
}

/// Follows the chain from `asked` through the records of an answer section. The response code
/// and truncation are the caller's to judge.
///
/// # Errors
/// [`AnswerError`], if the records on the chain do not say one thing.
pub fn answer(asked: &DomainName, records: &[Record]) -> Result<Answer, AnswerError> {
    let records = Owned::read(records);
    let mut answer = Answer::default();
    let mut at = asked.clone();
    loop {
        let here = || records.iter().filter(|record| record.owner == at);
        let alias = one_alias(here())?;
        for record in here() {
            answer.use_ttl(record.ttl);
            if let Data::Address(address) = &record.data {
                answer.add(*address)?;
            }
        }
        let Some(alias) = alias else {
            return Ok(answer);
        };
        if !answer.addresses.is_empty() {
            return Err(AnswerError::AliasAndAddress);
        }
        if alias == *asked || answer.chain.contains(&alias) {
            return Err(AnswerError::Loop);
        }
        if answer.chain.len() == MAX_HOPS {
            return Err(AnswerError::TooManyHops);
        }
        answer.chain.push(alias.clone());
        at = alias;
    }
}

impl Answer {
    /// Joins the halves for A and AAAA: every name and address of both, ours first, each once.
    ///
    /// The halves may have gone through different aliases; all of them are evidence.
    ///
    /// # Errors
    /// [`AnswerError::TooManyAddresses`] if together they hold too many.
    pub fn merge(mut self, other: Self) -> Result<Self, AnswerError> {
        for name in other.chain {
            if !self.chain.contains(&name) {
                self.chain.push(name);
            }
        }
        for address in other.addresses {
            self.add(address)?;
        }
        if let Some(ttl) = other.ttl {
            self.use_ttl(ttl);
        }
        Ok(self)
    }

    fn add(&mut self, address: IpAddr) -> Result<(), AnswerError> {
        if self.addresses.contains(&address) {
            return Ok(());
        }
        if self.addresses.len() == MAX_ADDRESSES {
            return Err(AnswerError::TooManyAddresses);
        }
        self.addresses.push(address);
        Ok(())
    }

    fn use_ttl(&mut self, ttl: u32) {
        self.ttl = Some(self.ttl.map_or(ttl, |least| least.min(ttl)));
    }
}

/// A record we can use, its owner in canonical form.
struct Owned {
    owner: DomainName,
    ttl: u32,
    data: Data,
}

enum Data {
    Alias(Result<DomainName, NameError>),
    Address(IpAddr),
}

impl Owned {
    /// A record whose owner is no host name cannot be on the chain, nor one of another class.
    fn read(records: &[Record]) -> Vec<Self> {
        let internet = records
            .iter()
            .filter(|record| record.dns_class == DNSClass::IN);
        internet
            .filter_map(|record| {
                let data = match &record.data {
                    RData::A(a) => Data::Address(a.0.into()),
                    RData::AAAA(aaaa) => Data::Address(IpAddr::V6(aaaa.0).to_canonical()),
                    RData::CNAME(cname) => Data::Alias(DomainName::parse(&cname.0.to_ascii())),
                    _ => return None,
                };
                let owner = DomainName::parse(&record.name.to_ascii()).ok()?;
                // RFC 2181 §8: a TTL with the top bit set is zero.
                let ttl = if record.ttl > u32::MAX / 2 {
                    0
                } else {
                    record.ttl
                };
                Some(Self { owner, ttl, data })
            })
            .collect()
    }
}

/// The alias among the records of one name; the same one twice is one.
fn one_alias<'a>(
    records: impl Iterator<Item = &'a Owned>,
) -> Result<Option<DomainName>, AnswerError> {
    let mut found: Option<&DomainName> = None;
    for record in records {
        let Data::Alias(alias) = &record.data else {
            continue;
        };
        let alias = alias
            .as_ref()
            .map_err(|fault| AnswerError::HopName(*fault))?;
        if found.is_some_and(|before| before != alias) {
            return Err(AnswerError::TwoAliases);
        }
        found = Some(alias);
    }
    Ok(found.cloned())
}
