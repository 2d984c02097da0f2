//! Names into evidence: the chain of aliases and every address, for A and AAAA alike.
//!
//! What a lookup returns is what is judged and what is dialled: nothing else in the gate resolves
//! a name. Hosts files and search lists are not used; every name is absolute.

mod cache;
mod servers;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use octroi_policy::DomainName;
use octroi_wire::dns::{Answer, AnswerError, MAX_HOPS, answer};
use thiserror::Error;

use crate::config::Dns;
pub use cache::AnswerFrom;
use cache::{Cache, Ttl};
use servers::{Records, Servers};

/// What a name resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The names behind the one asked for, in order; empty if it is no alias.
    pub chain: Vec<DomainName>,
    /// Its addresses, IPv6 and IPv4 in turn, IPv6 first (RFC 8305 section 4); never empty.
    pub addresses: Vec<IpAddr>,
    /// When it is asked for again.
    pub expires: Instant,
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DnsError {
    /// There is no such name (RFC 8020).
    #[error("the name does not exist")]
    NxDomain,
    /// The name exists and has no address.
    #[error("the name has no address")]
    NoData,
    /// The servers could not find out.
    #[error("the name servers failed")]
    ServFail,
    /// The servers will not say.
    #[error("the name servers refuse to answer")]
    Refused,
    /// No server answered in time.
    #[error("no name server answered in time")]
    Timeout,
    /// No server could be spoken to.
    #[error("no name server can be reached")]
    Unreachable,
    /// The answer breaks the rules of the protocol.
    #[error("the answer is malformed")]
    Malformed,
    /// The answer is well-formed and contradicts itself.
    #[error("the answer is no evidence: {0}")]
    Answer(AnswerError),
}

impl DnsError {
    /// The word for logs, metrics and `Proxy-Status`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            DnsError::NxDomain => "dns-nxdomain",
            DnsError::NoData => "dns-no-data",
            DnsError::ServFail => "dns-servfail",
            DnsError::Refused => "dns-refused",
            DnsError::Timeout => "dns-timeout",
            DnsError::Unreachable => "dns-unreachable",
            DnsError::Malformed => "dns-malformed",
            DnsError::Answer(AnswerError::Loop) => "dns-alias-loop",
            DnsError::Answer(AnswerError::TooManyHops) => "dns-too-many-hops",
            DnsError::Answer(AnswerError::TooManyAddresses) => "dns-too-many-addresses",
            DnsError::Answer(_) => "dns-contradiction",
        }
    }

    /// The zone says so: not a failure on the way.
    fn is_definite(self) -> bool {
        matches!(self, DnsError::NxDomain | DnsError::NoData)
    }
}

/// A failed half: why, and how long the zone says that it holds.
#[derive(Clone, Copy, Debug)]
struct Failure {
    error: DnsError,
    ttl: Option<u32>,
}

impl From<DnsError> for Failure {
    fn from(error: DnsError) -> Self {
        Self { error, ttl: None }
    }
}

/// Resolves names, each at most once at a time; cheap to clone.
#[derive(Clone, Debug)]
pub struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    servers: Servers,
    cache: Cache,
    ttl: Ttl,
}

impl Resolver {
    /// Sets a resolver up; nothing is asked yet.
    ///
    /// # Errors
    /// When the machine's own configuration is to be used and cannot be read.
    pub fn new(dns: &Dns) -> io::Result<Self> {
        Self::with_ttl(dns, Ttl::default())
    }

    fn with_ttl(dns: &Dns, ttl: Ttl) -> io::Result<Self> {
        let servers = Servers::new(dns)?;
        let cache = Cache::new(dns.cache);
        Ok(Self {
            shared: Arc::new(Shared {
                servers,
                cache,
                ttl,
            }),
        })
    }

    /// The names and addresses behind `name`.
    ///
    /// # Errors
    /// [`DnsError`], if it has no address or none could be found out.
    pub async fn resolve(&self, name: &DomainName) -> Result<Arc<Resolution>, DnsError> {
        self.resolve_from(name).await.0
    }

    /// As [`Resolver::resolve`], with where the answer came from.
    pub async fn resolve_from(
        &self,
        name: &DomainName,
    ) -> (Result<Arc<Resolution>, DnsError>, AnswerFrom) {
        let shared = &*self.shared;
        shared.cache.get(name, || shared.lookup(name)).await
    }
}

impl Shared {
    async fn lookup(&self, name: &DomainName) -> cache::Found {
        let found = match special(name) {
            Some(found) => found,
            None => {
                let halves = async {
                    tokio::join!(
                        self.half(name, RecordType::AAAA),
                        self.half(name, RecordType::A)
                    )
                };
                match tokio::time::timeout(self.servers.patience(), halves).await {
                    Ok((six, four)) => join(six, four),
                    Err(_) => Err(DnsError::Timeout.into()),
                }
            }
        };
        self.keep(found)
    }

    /// Follows aliases as far as the answers go, asking again where one ends in an alias.
    async fn half(&self, name: &DomainName, kind: RecordType) -> Result<Answer, Failure> {
        let mut records = Vec::new();
        let mut asked = name.clone();
        for _ in 0..=MAX_HOPS {
            let Records {
                answers,
                ends,
                negative_ttl,
            } = self.servers.ask(&asked, kind).await?;
            records.extend(answers);
            let answer = answer(name, &records).map_err(DnsError::Answer)?;
            let last = answer.chain.last().unwrap_or(name);
            if let Some(error) = ends.filter(|error| *error == DnsError::NxDomain) {
                return Err(Failure {
                    error,
                    ttl: negative_ttl,
                });
            }
            if !answer.addresses.is_empty() || ends.is_some() || *last == asked {
                return Ok(Answer {
                    ttl: answer.ttl.or(negative_ttl),
                    ..answer
                });
            }
            asked = last.clone();
        }
        Err(DnsError::Answer(AnswerError::TooManyHops).into())
    }

    fn keep(&self, found: Result<(Answer, bool), Failure>) -> cache::Found {
        let now = Instant::now();
        match found {
            Ok((answer, whole)) => {
                let expires = now + self.ttl.positive(answer.ttl, whole);
                let resolution = Resolution {
                    chain: answer.chain,
                    addresses: answer.addresses,
                    expires,
                };
                cache::Found {
                    result: Ok(Arc::new(resolution)),
                    expires,
                }
            }
            Err(Failure { error, ttl }) => {
                let holds = if error.is_definite() {
                    self.ttl.negative(ttl)
                } else {
                    self.ttl.failure
                };
                cache::Found {
                    result: Err(error),
                    expires: now + holds,
                }
            }
        }
    }
}

/// Names that are answered without asking anybody: RFC 6761 sections 6.3 and 6.4, RFC 7686.
fn special(name: &DomainName) -> Option<Result<(Answer, bool), Failure>> {
    match name.labels().next_back()? {
        "localhost" => {
            let addresses = vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
            Some(Ok((
                Answer {
                    addresses,
                    ..Answer::default()
                },
                true,
            )))
        }
        "invalid" | "onion" => Some(Err(DnsError::NxDomain.into())),
        _ => None,
    }
}

/// Both halves as one, and whether both are known. One that failed does not lose the other.
fn join(
    six: Result<Answer, Failure>,
    four: Result<Answer, Failure>,
) -> Result<(Answer, bool), Failure> {
    let whole = six.is_ok() && four.is_ok();
    let (six, four) = match (six, four) {
        (Ok(six), Ok(four)) => (six, four),
        (Ok(six), Err(failure)) if six.addresses.is_empty() => return Err(failure),
        (Err(failure), Ok(four)) if four.addresses.is_empty() => return Err(failure),
        (Ok(six), Err(_)) => (six, Answer::default()),
        (Err(_), Ok(four)) => (Answer::default(), four),
        // What the zone says tells more than what went wrong on the way.
        (Err(six), Err(four)) if six.error.is_definite() => {
            return Err(if four.error == DnsError::NxDomain {
                four
            } else {
                six
            });
        }
        (Err(_), Err(four)) => return Err(four),
    };
    let addresses = interleave(&six.addresses, &four.addresses);
    let (six, four) = (
        without_negative_ttl(six, &addresses),
        without_negative_ttl(four, &addresses),
    );
    let both = six.merge(four).map_err(DnsError::Answer)?;
    if addresses.is_empty() {
        return Err(Failure {
            error: DnsError::NoData,
            ttl: both.ttl,
        });
    }
    Ok((Answer { addresses, ..both }, whole))
}

/// That there is no AAAA says nothing about how long the A holds.
fn without_negative_ttl(half: Answer, addresses: &[IpAddr]) -> Answer {
    let ttl = half
        .ttl
        .filter(|_| addresses.is_empty() || !half.addresses.is_empty());
    Answer { ttl, ..half }
}

/// One of each in turn, each once, the first of `first` first.
fn interleave(first: &[IpAddr], second: &[IpAddr]) -> Vec<IpAddr> {
    let mut all = Vec::with_capacity(first.len() + second.len());
    for at in 0..first.len().max(second.len()) {
        for address in [first.get(at), second.get(at)].into_iter().flatten() {
            if !all.contains(address) {
                all.push(*address);
            }
        }
    }
    all
}

impl Ttl {
    /// A name is remembered no shorter than this: an origin with a TTL of 0 is asked for once
    /// every few seconds, not once a request.
    const FLOOR: Duration = Duration::from_secs(5);
    /// And no longer: a name that moved is followed within the hour.
    const CEILING: Duration = Duration::from_hours(1);
    /// While one half could not be found out.
    const PARTIAL: Duration = Duration::from_secs(30);
    /// That a name does not exist: a new one is there within a minute.
    const NEGATIVE: Duration = Duration::from_mins(1);
    /// That something went wrong: long enough that a crowd asks once, too short to be noticed.
    const FAILURE: Duration = Duration::from_secs(1);
}

impl Default for Ttl {
    fn default() -> Self {
        Self {
            floor: Self::FLOOR,
            ceiling: Self::CEILING,
            partial: Self::PARTIAL,
            negative: Self::NEGATIVE,
            failure: Self::FAILURE,
        }
    }
}

#[cfg(test)]
mod tests;
