//! From a configuration to a running gate: everything that can fail fails here, before a client
//! is served, and says which file or port it is about.

use std::io;
use std::sync::Arc;

use octroi_policy::catalogue::Id;
use pingora::services::background::background_service;
use thiserror::Error;
use tokio::sync::watch;

use super::{BindError, Extra, Listen, OnOpen};
use crate::addr::OwnAddrs;
use crate::admin;
use crate::certificate::{self, CertificateError, Certificates};
use crate::config::{Config, Connections, Listener, PolicySource};
use crate::dns::Resolver;
use crate::gate::Gate;
use crate::ledger::metrics::LimitUsage;
use crate::ledger::{Ledger, LedgerError};
use crate::limits::{Admission, connections_for, raise_descriptors};
use crate::listener::Bound;
use crate::refusals::Refusals;
use crate::reload::{self, Rejected, Watch};
use crate::shares::Shares;
use crate::upstream::Dialler;

/// Why the gate does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The policy cannot be read at all.
    #[error("error: cannot read the policy `{path}`: {error}")]
    PolicyUnreadable {
        /// Where it should be.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The policy does not pass.
    #[error(
        "{0}\nerror: the policy does not pass, and there is no earlier one: the gate does not start"
    )]
    Policy(Rejected),
    /// The ledger cannot be opened.
    #[error("error: {0}")]
    Ledger(#[from] LedgerError),
    /// The machine's resolver configuration cannot be read.
    #[error("error: cannot set the resolver up: {0}")]
    Resolver(io::Error),
    /// A port cannot be listened on.
    #[error("error: {0}")]
    Bind(#[from] BindError),
    /// The certificate files of a listener cannot be used.
    #[error("error: the listener `{listener}` cannot speak TLS: {error}")]
    Certificate {
        /// The listener.
        listener: Id,
        /// Why.
        error: CertificateError,
    },
}

impl StartError {
    /// The exit code: sysexits' `EX_CONFIG` for what is written, `EX_IOERR` for what is there.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Policy(_) => 78,
            Self::Certificate { error, .. } => error.exit_code(),
            Self::PolicyUnreadable { .. } | Self::Ledger(_) | Self::Resolver(_) | Self::Bind(_) => {
                74
            }
        }
    }
}

/// Starts the gate and serves until the process is told to stop; then the process ends.
///
/// # Errors
/// [`StartError`], if it cannot serve.
pub fn start(config: Config) -> Result<(), StartError> {
    readable(&config.policy)?;
    let descriptors = raise_descriptors();
    let ledger = Ledger::open_books(&config.audit, config.limits.metric_series)?;
    let policy =
        reload::Handle::start(config.policy.clone(), ledger.clone()).map_err(StartError::Policy)?;
    let resolver = Resolver::new(&config.dns).map_err(StartError::Resolver)?;

    let admin = Listen::bind(config.admin.address)?;
    let (bound, sockets) = listen(&config, &ledger)?;
    let own = sockets.iter().chain([&admin]).map(Listen::address);
    let dialler = Dialler {
        connect_timeout: config.upstream.connect_timeout,
        own: OwnAddrs::new(own),
    };

    let connections = connections(&config, descriptors);
    announce(&bound, &admin, connections, &config);
    let admission = Admission::new(connections, config.limits.per_source);
    let shares = Shares::new(config.limits.shares.clone());
    let usage = limits_usage(&admission, &shares);
    ledger
        .metrics()
        .show_limits(usage)
        .map_err(LedgerError::from)?;
    let mut extras: Vec<Extra> = vec![
        Box::new(OnOpen::new(
            admin::service(admin.address(), policy.clone(), ledger.clone()),
            vec![admin],
        )),
        Box::new(background_service("reload", Watch::new(policy.clone()))),
    ];
    let shown: Vec<_> = bound
        .iter()
        .filter_map(|it| it.certificates.clone())
        .collect();
    if !shown.is_empty() {
        let watch = certificate::Watch::new(shown);
        extras.push(Box::new(background_service("certificates", watch)));
    }
    let (stop, _) = watch::channel(None);
    let gate = Gate {
        config,
        policy,
        resolver,
        ledger,
        refusals: Refusals::default(),
        dialler,
        admission,
        shares,
        tunnels: Arc::default(),
        stop,
    };
    super::run(Arc::new(gate), bound, sockets, extras);
    Ok(())
}

/// How near each limit is, for the metrics.
fn limits_usage(
    admission: &Arc<Admission>,
    shares: &Arc<Shares>,
) -> impl Fn() -> Vec<LimitUsage> + Send + Sync + 'static {
    let (admission, shares) = (Arc::clone(admission), Arc::clone(shares));
    move || {
        let (connections, of_source) = admission.usage();
        let whole = |limit, ratio| LimitUsage {
            limit,
            holder: None,
            ratio,
        };
        let mut all = vec![
            whole("connections", connections),
            whole("source-connections", of_source),
        ];
        all.extend(shares.usage().into_iter().map(LimitUsage::from));
        all
    }
}

fn readable(policy: &PolicySource) -> Result<(), StartError> {
    let PolicySource::Path(path) = policy else {
        return Ok(());
    };
    let found = std::fs::metadata(path).map(drop);
    found.map_err(|error| StartError::PolicyUnreadable {
        path: path.display().to_string(),
        error,
    })
}

fn listen(config: &Config, ledger: &Ledger) -> Result<(Vec<Bound>, Vec<Listen>), StartError> {
    let mut bound = Vec::new();
    let mut sockets = Vec::new();
    for listener in &config.listeners {
        let certificates = certificates(listener, ledger)?;
        let socket = Listen::bind(listener.address)?;
        bound.push(Bound {
            listener: listener.clone(),
            address: socket.address(),
            certificates,
        });
        sockets.push(socket);
    }
    Ok((bound, sockets))
}

fn certificates(
    listener: &Listener,
    ledger: &Ledger,
) -> Result<Option<Arc<Certificates>>, StartError> {
    let Some(tls) = &listener.tls else {
        return Ok(None);
    };
    let name = &listener.name;
    let shown = Certificates::start(name.clone(), tls.clone(), ledger.clone());
    shown.map(Some).map_err(|error| StartError::Certificate {
        listener: name.clone(),
        error,
    })
}

/// What the operator asks for, and no more than the descriptor limit carries: beyond it, nobody
/// would be served, and the gate could not even be asked how it is.
fn connections(config: &Config, descriptors: usize) -> usize {
    let carried = connections_for(descriptors);
    match config.limits.connections {
        Connections::Auto => carried,
        Connections::AtMost(most) => {
            if most > carried {
                tracing::warn!(
                    limit = most,
                    carried,
                    descriptors,
                    "`limits.connections` is more than the descriptor limit carries, which is served: raise LimitNOFILE or write `auto`"
                );
            }
            most.min(carried)
        }
    }
}

fn announce(bound: &[Bound], admin: &Listen, connections: usize, config: &Config) {
    for Bound {
        listener, address, ..
    } in bound
    {
        let tls = listener.tls.is_some();
        let behind_balancer = listener.proxy_protocol.is_some();
        tracing::info!(listener = %listener.name, %address, tls, behind_balancer, "listening");
    }
    tracing::info!(address = %admin.address(), "administration: /metrics, /-/healthy, /-/ready, /-/reload");
    let limits = &config.limits;
    tracing::info!(
        connections,
        per_source = limits.per_source,
        head = limits.head,
        client_hello = limits.client_hello,
        handshake_timeout = ?limits.handshake_timeout,
        head_timeout = ?limits.head_timeout,
        hello_timeout = ?limits.hello_timeout,
        idle_timeout = ?limits.idle_timeout,
        drain_timeout = ?config.drain_timeout,
        flows = %limits.shares.flows,
        new_flows = %limits.shares.new_flows,
        burst = ?limits.shares.burst,
        "limits"
    );
}
