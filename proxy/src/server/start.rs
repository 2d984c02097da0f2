//! From a configuration to a running gate: everything that can fail fails here, before a client
//! is served, and says which file or port it is about.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use octroi_policy::catalogue::Id;
use pingora::services::background::background_service;
use thiserror::Error;
use tokio::sync::watch;

use super::rehearsal::{self, Finding};
use super::upgrade::wire::{OpenSocket, TAKES_ALL};
use super::upgrade::{Arrival, ArrivalError, DoorError, Inherited, Place};
use super::{BindError, Extra, Listen, OnOpen, Process};
use crate::addr::OwnAddrs;
use crate::admin::{self, Admin, Sight, Token, TokenError};
use crate::certificate::{CertificateError, Certificates};
use crate::config::{Config, Connections, Listener, Tls};
use crate::dns::Resolver;
use crate::gate::Gate;
use crate::ledger::metrics::LimitUsage;
use crate::ledger::{Ledger, LedgerError};
use crate::limits::{Admission, connections_for, raise_descriptors};
use crate::listener::Bound;
use crate::refusals::Refusals;
use crate::reload::on_disk::{self, OnDisk};
use crate::reload::{self, Fault, NoPolicy, Origin, Rejected, Watch};
use crate::shares::Shares;
use crate::state::State;
use crate::systemd::Notifier;
use crate::upstream::Dialler;

/// Why the gate does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no policy to start with.
    #[error("{0}")]
    Policy(NoPolicy),
    /// The policy does not pass, and the gate that runs has a good one: no reason to fall back.
    #[error("{0}\nerror: the policy does not pass: the gate that runs goes on")]
    OnlyAnEarlierPolicy(Rejected),
    /// The ledger cannot be opened.
    #[error("error: {0}")]
    Ledger(#[from] LedgerError),
    /// The machine's resolver configuration cannot be read.
    #[error("error: cannot set the resolver up: {0}")]
    Resolver(io::Error),
    /// A port cannot be listened on.
    #[error("error: {0}")]
    Bind(#[from] BindError),
    /// There is no safe place for an upgrade.
    #[error("error: {0}")]
    Door(#[from] DoorError),
    /// The gate that runs does not hand over.
    #[error("error: {0}")]
    Arrival(#[from] ArrivalError),
    /// The token of the admin listener cannot be used.
    #[error("error: cannot use the token of the admin listener: {0}")]
    Token(#[from] TokenError),
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
            Self::Policy(none) if none.rejected.fault() == Fault::Bundle => 78,
            Self::OnlyAnEarlierPolicy(rejected) if rejected.fault() == Fault::Bundle => 78,
            Self::Certificate { error, .. } => error.exit_code(),
            Self::Token(error) => error.exit_code(),
            Self::Policy(_)
            | Self::OnlyAnEarlierPolicy(_)
            | Self::Ledger(_)
            | Self::Resolver(_)
            | Self::Bind(_)
            | Self::Door(_)
            | Self::Arrival(_) => 74,
        }
    }
}

/// Starts the gate and serves until the process is told to stop; then the process ends. With an
/// `arrival` it takes over from the gate that runs, which hears of whatever goes wrong.
///
/// # Errors
/// [`StartError`], if it cannot serve.
pub fn start(config: Config, mut arrival: Option<Arrival>) -> Result<(), StartError> {
    match assemble(config, &mut arrival) {
        Ok(ready) => {
            ready.run(arrival);
            Ok(())
        }
        Err(error) => {
            if let Some(arrival) = arrival {
                arrival.fail(&error.to_string());
            }
            Err(error)
        }
    }
}

/// A gate that is ready to run.
struct Ready {
    gate: Gate,
    process: Process,
    bound: Vec<Bound>,
    sockets: Vec<Listen>,
    extras: Vec<Extra>,
}

impl Ready {
    fn run(self, arrival: Option<Arrival>) {
        let process = Process {
            arrival,
            ..self.process
        };
        let gate = Arc::new(self.gate);
        super::run(gate, process, self.bound, self.sockets, self.extras);
    }
}

/// Everything that can fail. What a gate that runs has open is taken over last.
fn assemble(config: Config, arrival: &mut Option<Arrival>) -> Result<Ready, StartError> {
    let mut process = Process {
        notifier: Notifier::from_env(),
        place: Place::open(&config.upgrade, arrival.is_some())?,
        ..Process::default()
    };
    if arrival.is_some() {
        // Not yet the service.
        process.notifier.mute();
    }
    let Prepared {
        ledger,
        policy,
        certificates,
        of_admin,
        token,
        resolver,
        connections,
    } = prepare(&config)?;
    if let (Some(_), Some(rejected)) = (&arrival, from_state(&policy)) {
        return Err(StartError::OnlyAnEarlierPolicy(rejected));
    }
    let taken = arrival.as_mut().map(Arrival::take).transpose()?;
    let mut inherited = taken.unwrap_or_else(Inherited::none);
    let admin = open(&mut inherited, ADMIN, config.admin.address, false)?;
    let (bound, sockets) = listen(&config, certificates, &mut inherited)?;
    process.sockets = described(&config, &bound, &admin);
    let claimed: Vec<_> = process.sockets.iter().map(|s| s.address).collect();
    inherited.close_others(&claimed);
    let own = sockets.iter().chain([&admin]).map(Listen::address);
    let dialler = Dialler {
        connect_timeout: config.upstream.connect_timeout,
        own: OwnAddrs::new(own),
    };

    announce(&bound, &admin, connections, &config);
    let admission = Admission::new(connections, config.limits.per_source);
    let shares = Shares::new(config.limits.shares.clone());
    let usage = limits_usage(&admission, &shares);
    ledger
        .metrics()
        .show_limits(usage)
        .map_err(LedgerError::from)?;
    let sight = Sight {
        policy: policy.clone(),
        ledger: ledger.clone(),
        pulse: process.pulse.clone(),
        resolver: resolver.clone(),
        forbid: config.upstream.forbid.clone(),
        own: dialler.own.clone(),
    };
    let asked_for = (token.clone(), config.admin.client_certificate());
    let watching = Admin::new(admin.address(), asked_for, sight);
    let mut extras: Vec<Extra> = vec![
        Box::new(background_service("history", watching.keeper())),
        Box::new(OnOpen::new(
            admin::service(admin.address(), watching, of_admin.clone()),
            vec![admin],
            process.pulse.seat("admin"),
        )),
        Box::new(background_service(
            "reload",
            Watch::new(policy.clone(), process.notifier.clone()),
        )),
    ];
    let shown = bound.iter().filter_map(|it| it.certificates.clone());
    let shown = shown.chain(of_admin).map(|it| it as Arc<dyn OnDisk>);
    let secrets = token.map(|it| it as Arc<dyn OnDisk>);
    let files: Vec<_> = shown.chain(secrets).collect();
    if !files.is_empty() {
        let watch = on_disk::Watch::new(files);
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
    Ok(Ready {
        gate,
        process,
        bound,
        sockets,
        extras,
    })
}

/// What is wrong with the bundle named, if the policy in force is the last good one instead.
fn from_state(policy: &reload::Handle) -> Option<Rejected> {
    let status = policy.status();
    let (_, rejected) = status.rejected?;
    matches!(status.origin, Origin::State { .. }).then_some(rejected)
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

/// What does not depend on sockets.
struct Prepared {
    ledger: Ledger,
    policy: reload::Handle,
    /// Those of each listener, in their order.
    certificates: Vec<Option<Arc<Certificates>>>,
    /// Those of the admin listener.
    of_admin: Option<Arc<Certificates>>,
    /// The token of those who may read there.
    token: Option<Arc<Token>>,
    resolver: Resolver,
    /// Client connections at once.
    connections: usize,
}

/// Everything that can fail before a socket is taken; `octroi check` tries the same, in
/// [`rehearsal`].
fn prepare(config: &Config) -> Result<Prepared, StartError> {
    let descriptors = raise_descriptors();
    let ledger = Ledger::open_books(&config.audit, config.limits.metric_series)?;
    let state = config.state.directory.as_deref();
    let state = state.map(|path| State::open(path, &ledger));
    let policy = reload::Handle::start(config.policy.clone(), state, ledger.clone())
        .map_err(StartError::Policy)?;
    let shown = config.listeners.iter();
    let shown = shown.map(|it| certificates(&it.name, it.tls.as_ref(), &ledger));
    let of_admin = certificates(&Id::from(ADMIN), config.admin.tls.as_ref(), &ledger)?;
    let certificates = shown.collect::<Result<_, _>>()?;
    let token = config
        .admin
        .token
        .as_deref()
        .map(Token::start)
        .transpose()?;
    let resolver = Resolver::new(&config.dns).map_err(StartError::Resolver)?;
    for Finding { message, help, .. } in rehearsal::advice(config, descriptors) {
        tracing::warn!(help, "{message}");
    }
    Ok(Prepared {
        ledger,
        policy,
        certificates,
        of_admin,
        token,
        resolver,
        connections: connections(config, descriptors),
    })
}

/// The admin listener among the sockets: no listener of the file can have this name.
pub(super) const ADMIN: &str = "/admin";

/// The socket that the gate before this one has, else a new one.
fn open(
    inherited: &mut Inherited,
    name: &str,
    address: SocketAddr,
    takes_all: bool,
) -> Result<Listen, BindError> {
    match inherited.claim(name, address) {
        Some((fd, address)) => Ok(Listen::inherited(fd, address)),
        None => Listen::bind(address, takes_all),
    }
}

/// A listener among the sockets. One that takes all connections is no socket for another kind of listener, and the
/// other way round.
fn socket_name(listener: &Listener) -> String {
    match listener.takes_all() {
        true => format!("{}{TAKES_ALL}", listener.name),
        false => listener.name.to_string(),
    }
}

/// All sockets, as the next gate is told of them.
fn described(config: &Config, bound: &[Bound], admin: &Listen) -> Vec<OpenSocket> {
    let listeners = bound.iter().map(|bound| OpenSocket {
        name: socket_name(&bound.listener),
        configured: bound.listener.address,
        address: bound.address,
    });
    let admin = OpenSocket {
        name: ADMIN.to_owned(),
        configured: config.admin.address,
        address: admin.address(),
    };
    listeners.chain([admin]).collect()
}

fn listen(
    config: &Config,
    certificates: Vec<Option<Arc<Certificates>>>,
    inherited: &mut Inherited,
) -> Result<(Vec<Bound>, Vec<Listen>), BindError> {
    let mut bound = Vec::new();
    let mut sockets = Vec::new();
    for (listener, certificates) in config.listeners.iter().zip(certificates) {
        let (name, takes_all) = (socket_name(listener), listener.takes_all());
        let socket = open(inherited, &name, listener.address, takes_all)?;
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
    name: &Id,
    tls: Option<&Tls>,
    ledger: &Ledger,
) -> Result<Option<Arc<Certificates>>, StartError> {
    let Some(tls) = tls else {
        return Ok(None);
    };
    let shown = Certificates::start(name.clone(), tls.clone(), ledger.clone());
    shown.map(Some).map_err(|error| StartError::Certificate {
        listener: name.clone(),
        error,
    })
}

/// What the operator asks for, and no more than the descriptor limit carries: beyond it, nobody
/// would be served, and the gate could not even be asked how it is.
fn connections(config: &Config, descriptors: usize) -> usize {
    match config.limits.connections {
        Connections::Auto => connections_for(descriptors),
        Connections::AtMost(most) => most.min(connections_for(descriptors)),
    }
}

fn announce(bound: &[Bound], admin: &Listen, connections: usize, config: &Config) {
    for Bound {
        listener, address, ..
    } in bound
    {
        let tls = listener.tls.is_some();
        let behind_balancer = listener.proxy_protocol.is_some();
        let mode = listener.mode.as_str();
        tracing::info!(listener = %listener.name, %address, mode, tls, behind_balancer, "listening");
    }
    let tls = config.admin.tls.is_some();
    let asks = config.admin.is_guarded();
    tracing::info!(address = %admin.address(), tls, asks, "administration: the console at /, /metrics, /-/healthy, /-/ready, /-/policy, /-/reload");
    let limits = &config.limits;
    tracing::info!(
        connections,
        per_source = limits.per_source,
        head = limits.head,
        client_hello = limits.client_hello,
        handshake_timeout = ?limits.handshake_timeout,
        head_timeout = ?limits.head_timeout,
        hello_timeout = ?limits.hello_timeout,
        inspect_delay = ?limits.inspect_delay,
        idle_timeout = ?limits.idle_timeout,
        drain_timeout = ?config.drain_timeout,
        flows = %limits.shares.flows,
        new_flows = %limits.shares.new_flows,
        burst = ?limits.shares.burst,
        "limits"
    );
}
