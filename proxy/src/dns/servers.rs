//! The name servers: asked in order, the one that answered last first; over TCP where an answer
//! was cut short.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_resolver::config::{NameServerConfig, ResolverOpts, ServerOrderingStrategy};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError as Refusal, NetError};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig, system_conf};
use octroi_policy::DomainName;

use super::{DnsError, Failure};
use crate::config::{Dns, Servers as Configured};

/// How often a question is asked in all: with one server twice, with more each once up to this.
const MOST_TRIES: usize = 4;

/// Questions open at a time on one TCP connection to a server.
const ACTIVE_REQUESTS: usize = 4096;

/// One answer.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) answers: Vec<Record>,
    /// The server says that there is no more: the last name of the chain has no such record.
    pub(super) ends: Option<DnsError>,
    /// How long that holds, in seconds (RFC 2308 section 5).
    pub(super) negative_ttl: Option<u32>,
}

pub(super) struct Servers {
    /// One pool a server: in which order they are asked is decided here.
    pools: Vec<NameServerPool<TokioRuntimeProvider>>,
    /// The one that answered last.
    first: AtomicUsize,
    timeout: Duration,
    options: DnsRequestOptions,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Servers")
            .field("count", &self.pools.len())
            .finish_non_exhaustive()
    }
}

impl Servers {
    pub(super) fn new(dns: &Dns) -> io::Result<Self> {
        let configs = match &dns.servers {
            Configured::System => system()?,
            Configured::Listed(listed) => listed.iter().copied().map(config).collect(),
        };
        let pools = configs.into_iter().map(|config| pool(config, dns.timeout));
        let mut options = DnsRequestOptions::default();
        options.case_randomization = true;
        Ok(Self {
            pools: pools.collect::<Result<_, _>>().map_err(io::Error::other)?,
            first: AtomicUsize::new(0),
            timeout: dns.timeout,
            options,
        })
    }

    /// How long a name may take in all, however many questions it needs.
    pub(super) fn patience(&self) -> Duration {
        self.timeout * u32::try_from(self.tries() + 1).unwrap_or(2)
    }

    fn tries(&self) -> usize {
        self.pools.len().clamp(2, MOST_TRIES)
    }

    /// The records of `kind` at `name`, with what the server added of the chain.
    pub(super) async fn ask(
        &self,
        name: &DomainName,
        kind: RecordType,
    ) -> Result<Records, Failure> {
        let query = query(name, kind)?;
        let first = self.first.load(Ordering::Relaxed);
        let mut failure = DnsError::Unreachable;
        for step in 0..self.tries() {
            let at = (first + step) % self.pools.len();
            match self.ask_one(&self.pools[at], query.clone()).await {
                Ok(records) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(records);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure.into())
    }

    /// An error here is the server's own: another one may know better.
    async fn ask_one(
        &self,
        pool: &NameServerPool<TokioRuntimeProvider>,
        query: Query,
    ) -> Result<Records, DnsError> {
        let answer = pool.lookup(query, self.options).first_answer();
        let answer = tokio::time::timeout(self.timeout, answer).await;
        match answer.unwrap_or(Err(NetError::Timeout)) {
            Ok(response) => {
                let negative_ttl = response.negative_ttl();
                let ends = match response.response_code {
                    ResponseCode::NXDomain => Some(DnsError::NxDomain),
                    _ => negative_ttl.map(|_| DnsError::NoData),
                };
                Ok(Records {
                    ends,
                    negative_ttl,
                    answers: response.into_message().answers,
                })
            }
            Err(NetError::Dns(Refusal::NoRecordsFound(none))) => {
                let ends = match none.response_code {
                    ResponseCode::NXDomain => DnsError::NxDomain,
                    _ => DnsError::NoData,
                };
                Ok(Records {
                    answers: Vec::new(),
                    ends: Some(ends),
                    negative_ttl: none.negative_ttl,
                })
            }
            Err(error) => Err(class(&error)),
        }
    }
}

fn class(error: &NetError) -> DnsError {
    match error {
        NetError::Dns(Refusal::ResponseCode(ResponseCode::Refused)) => DnsError::Refused,
        NetError::Dns(_) => DnsError::ServFail,
        NetError::Timeout => DnsError::Timeout,
        NetError::Io(_) | NetError::NoConnections | NetError::Busy => DnsError::Unreachable,
        _ => DnsError::Malformed,
    }
}

fn query(name: &DomainName, kind: RecordType) -> Result<Query, DnsError> {
    let mut name = Name::from_ascii(name.as_str()).map_err(|_| DnsError::Malformed)?;
    name.set_fqdn(true);
    Ok(Query::query(name, kind))
}

fn system() -> io::Result<Vec<NameServerConfig>> {
    let (config, _) = system_conf::read_system_conf().map_err(io::Error::other)?;
    Ok(config.name_servers().to_vec())
}

fn config(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

fn pool(
    server: NameServerConfig,
    timeout: Duration,
) -> Result<NameServerPool<TokioRuntimeProvider>, NetError> {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options.num_concurrent_reqs = 1;
    options.max_active_requests = ACTIVE_REQUESTS;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.case_randomization = true;
    let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
    Ok(NameServerPool::from_config(
        [server],
        context,
        TokioRuntimeProvider::default(),
    ))
}
