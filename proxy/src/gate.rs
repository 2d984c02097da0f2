//! What every connection shares.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::dns::Resolver;
use crate::ledger::Ledger;
use crate::limits::Admission;
use crate::refusals::Refusals;
use crate::relay::Stop;
use crate::reload::Handle;
use crate::shares::Shares;
use crate::tunnels::Tunnels;
use crate::upstream::Dialler;

/// The shared state of the gate.
#[derive(Debug)]
pub struct Gate {
    /// What the operator configured.
    pub config: Config,
    /// The policy in force; replaced as a whole.
    pub policy: Handle,
    /// Names to addresses.
    pub resolver: Resolver,
    /// Where everything is recorded.
    pub ledger: Ledger,
    /// What was refused to whom of late.
    pub refusals: Refusals,
    /// The way out.
    pub dialler: Dialler,
    /// The way in.
    pub admission: Arc<Admission>,
    /// What each source, workload and ministry may use of it.
    pub shares: Arc<Shares>,
    /// The tunnels that are open.
    pub tunnels: Arc<Tunnels>,
    /// Tells all of them to end.
    pub stop: watch::Sender<Option<Stop>>,
}

impl Gate {
    /// Waits until live tunnels have to end; says why.
    pub fn stopped(&self) -> impl Future<Output = Stop> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            let told = stop.wait_for(Option::is_some).await;
            // The sender lives as long as the gate; without it the gate is gone.
            told.ok().and_then(|stop| *stop).unwrap_or(Stop::Shutdown)
        }
    }
}
