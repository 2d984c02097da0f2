//! A passage that has become a tunnel: what is left of it is its evidence and its entry.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::Passage;
use crate::gate::Gate;
use crate::ledger::{Close, CloseReason, ClosedBy, Entry};
use crate::limits::Engaged;
use crate::relay::{End, Relayed, Side, Stop};
use crate::shares::Place;
use crate::tunnels::{Member, judge_again};

/// A tunnel from its first relayed byte to its line in the ledger; among [`Gate::tunnels`] meanwhile.
#[derive(Debug)]
pub struct Tunnel {
    gate: Arc<Gate>,
    member: Member,
    entry: Entry,
    /// Held until the tunnel is closed.
    _place: Place,
    _engaged: Engaged,
}

impl Passage {
    /// Records that the origin is connected and the flow permitted, and takes the tunnel among the
    /// live ones.
    #[must_use]
    pub fn into_tunnel(mut self, origin: Option<IpAddr>) -> Tunnel {
        self.entry.established(origin);
        let Self {
            gate,
            evidence,
            round,
            entry,
            place,
            engaged,
            ..
        } = self;
        let member = gate.tunnels.enter(evidence, round, |evidence| {
            judge_again(&gate, &gate.policy.policy(), evidence, Timestamp::now())
        });
        Tunnel {
            gate,
            member,
            entry,
            _place: place,
            _engaged: engaged,
        }
    }
}

impl Tunnel {
    /// Waits until we have to end it ourselves; says why.
    pub async fn stopped(&self) -> Stop {
        tokio::select! {
            stop = self.gate.stopped() => stop,
            () = self.member.revoked() => Stop::Revoked,
        }
    }

    /// Ends it.
    pub fn close(self, relayed: &Relayed) {
        let Self {
            member,
            mut entry,
            _place,
            _engaged,
            ..
        } = self;
        let detail = match relayed.end {
            End::SecondHello(word) => Some(word),
            _ => None,
        };
        let (reason, by) = match relayed.end {
            End::Closed(side) => (CloseReason::Finished, side.into()),
            End::Broken(side, _) => (CloseReason::Reset, side.into()),
            End::Idle => (CloseReason::IdleTimeout, ClosedBy::Gate),
            End::SecondHello(_) => (CloseReason::SecondHello, ClosedBy::Gate),
            End::Stopped(Stop::Shutdown) => (CloseReason::Drained, ClosedBy::Gate),
            End::Stopped(Stop::Revoked) => {
                if let Some(revocation) = member.revocation() {
                    entry.revoked(revocation.clone());
                }
                (CloseReason::Revoked, ClosedBy::Gate)
            }
        };
        entry.close(Close {
            reason,
            detail,
            by,
            bytes_up: relayed.up,
            bytes_down: relayed.down,
        });
    }
}

impl From<Side> for ClosedBy {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => ClosedBy::Client,
            Side::Origin => ClosedBy::Upstream,
        }
    }
}
