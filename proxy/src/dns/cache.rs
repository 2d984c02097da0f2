//! What was found out, bounded, each name asked for by one caller at a time.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use octroi_policy::DomainName;
use quick_cache::sync;

use super::{DnsError, Resolution};

/// How long things are remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ttl {
    pub(super) floor: Duration,
    pub(super) ceiling: Duration,
    pub(super) partial: Duration,
    pub(super) negative: Duration,
    pub(super) failure: Duration,
}

impl Ttl {
    pub(super) fn positive(&self, seconds: Option<u32>, whole: bool) -> Duration {
        let stated = seconds.map_or(self.ceiling, |ttl| Duration::from_secs(ttl.into()));
        let most = if whole { self.ceiling } else { self.partial };
        stated.max(self.floor).min(most)
    }

    pub(super) fn negative(&self, seconds: Option<u32>) -> Duration {
        let stated = seconds.map_or(self.floor, |ttl| Duration::from_secs(ttl.into()));
        stated.max(self.floor).min(self.negative)
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFrom {
    /// It was remembered, or somebody else had just asked.
    Cache,
    /// The name servers.
    Servers,
}

impl AnswerFrom {
    /// As written in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AnswerFrom::Cache => "cache",
            AnswerFrom::Servers => "servers",
        }
    }
}

/// What was found out about a name.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) result: Result<Arc<Resolution>, DnsError>,
    pub(super) expires: Instant,
}

#[derive(Debug)]
pub(super) struct Cache {
    names: sync::Cache<DomainName, Found>,
}

impl Cache {
    pub(super) fn new(names: usize) -> Self {
        Self {
            names: sync::Cache::new(names),
        }
    }

    /// What is remembered of `name`, or what `lookup` finds out. Callers with the same name wait
    /// for the first one; if that one goes away in the middle, the next one asks.
    pub(super) async fn get<F: Future<Output = Found>>(
        &self,
        name: &DomainName,
        lookup: impl FnOnce() -> F,
    ) -> (Result<Arc<Resolution>, DnsError>, AnswerFrom) {
        let now = Instant::now();
        let guard = loop {
            match self.names.get_value_or_guard_async(name).await {
                Ok(found) if found.expires > now => return (found.result, AnswerFrom::Cache),
                Ok(_) => {
                    self.names.remove_if(name, |found| found.expires <= now);
                }
                Err(guard) => break guard,
            }
        };
        let found = lookup().await;
        let result = found.result.clone();
        if guard.insert(found).is_err() {
            tracing::debug!("a name was removed while it was looked up");
        }
        (result, AnswerFrom::Servers)
    }
}

#[cfg(test)]
impl Cache {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}
