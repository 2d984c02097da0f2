//! Keeps the shares in step with the policy in force.

use std::sync::Arc;

use async_trait::async_trait;
use octroi_policy::Policy;
use pingora::server::ShutdownWatch;
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use tokio::sync::watch;

use super::Shares;
use crate::gate::Gate;

/// Counts for whoever is in the policy, after each swap.
#[must_use]
pub fn service(gate: Arc<Gate>) -> GenBackgroundService<Follow> {
    let swaps = gate.policy.swaps();
    background_service("shares", Follow { gate, swaps })
}

/// The service.
pub struct Follow {
    gate: Arc<Gate>,
    swaps: watch::Receiver<()>,
}

#[async_trait]
impl BackgroundService for Follow {
    async fn start(&self, _: ShutdownWatch) {
        let mut swaps = self.swaps.clone();
        loop {
            follow(&self.gate.shares, &self.gate.policy.policy());
            if swaps.changed().await.is_err() {
                return;
            }
        }
    }
}

fn follow(shares: &Shares, policy: &Policy) {
    for missing in shares.follow(policy) {
        tracing::warn!(policy = %policy.name(), "`limits` in octroi.yaml: {missing}: the figure holds for nobody");
    }
}
