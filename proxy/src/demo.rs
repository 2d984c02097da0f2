//! `octroi demo`: the real gate, and around it a world that is made up.
//!
//! The gate is assembled and run by the code of `octroi run`, on files in a temporary directory: listeners, DNS, judgement, dial, relay,
//! ledger, reload, state, admin. Around it, in the same process and on loopback alone: ministries whose machines ask for things
//! (`people`, `errand`, `crowd`), a name server that answers with addresses that providers publish (`names`), an origin that
//! answers in place of all others (`origin`), and a month at speed in which things happen (`month`, `story`). What is counted and
//! recorded is what the gate counts and records.
//!
//! One thing is not real: what the gate dials. It judges and permits the addresses of the providers, and is led to the
//! demonstration's origin instead, by a [`Detour`] that only this module can make.

mod authority;
mod chance;
mod crowd;
mod detour;
mod errand;
mod hello;
mod month;
mod names;
mod origin;
mod people;
mod place;
mod screen;
mod story;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{MissedTickBehavior, interval, sleep};

pub use detour::Detour;
pub use screen::Screen;

use crate::config::{Config, ConfigError};
use crate::reload;
use crate::server::start::Ready;
use crate::server::{LastAct, Listen, Pulse, StartError};
use authority::Authority;
use chance::Chance;
use crowd::Crowd;
use month::{Clock, DAYS};
use names::{NameServer, Names};
use origin::Origin;
use place::{Addresses, Desk, Place};
use story::{Stage, Turn};

/// How often the line at the bottom is written anew.
const REFRESH: Duration = Duration::from_millis(250);

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect: loopback, IPv4; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where the gate is watched.
    pub admin: SocketAddr,
    /// How long a month takes.
    pub month: Duration,
    /// How many months there are; `None` = until the process is told to stop.
    pub months: Option<u32>,
    /// What chance is drawn from.
    pub seed: u64,
}

/// Why there is no demonstration.
#[derive(Debug, Error)]
pub enum DemoError {
    /// A file or socket of its world.
    #[error("error: cannot prepare the demonstration: {0}")]
    Io(#[from] io::Error),
    /// Its certificates.
    #[error("error: cannot make certificates: {0}")]
    Certificates(#[from] rcgen::Error),
    /// Its own `octroi.yaml`, or the addresses chosen.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The gate does not start.
    #[error("{0}")]
    Start(#[from] StartError),
}

impl DemoError {
    /// A port is taken.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Start(StartError::Bind(bind)) if bind.error.kind() == io::ErrorKind::AddrInUse)
    }
}

/// Runs the demonstration until the process is told to stop, or its months are over; then the process ends.
///
/// # Errors
/// [`DemoError`], if it cannot begin; nothing is left of it.
pub fn run(options: Options, screen: Screen) -> Result<(), DemoError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // From here on a signal does not end the process on the spot: there will be something to tidy up.
    let told = runtime.block_on(async { Told::watch() })?;
    // Before there is anything to tidy up; the gate opens them in earnest.
    for address in [options.listen, options.admin] {
        drop(Listen::bind(address, false).map_err(StartError::from)?);
    }
    let place = Place::make()?;
    let authority = Arc::new(Authority::make()?);
    let names = Names::parse(place::file("names.txt")).map_err(io::Error::other)?;
    let world = runtime.block_on(async {
        let origin = Origin::open(&authority).await?;
        let names = NameServer::open(names).await?;
        io::Result::Ok(World { origin, names })
    })?;
    place.fill(Addresses {
        listen: options.listen,
        admin: options.admin,
        dns: world.names.address()?,
    })?;
    let tls = place.root().join("tls");
    std::fs::create_dir(&tls)?;
    authority.write(&tls)?;
    let config = Config::load(&place.root().join("octroi.yaml"))?;
    let ready = Ready::for_demo(config, Detour::to(world.origin.port()?))?;
    let play = Play::new(options, &ready, &place, screen);
    play.introduce(&ready, &place);
    let root = place.root().to_owned();
    let pulse = ready.pulse().clone();
    // Its end is no longer that of this function.
    std::mem::forget(place);
    std::thread::spawn(move || perform(&runtime, world, play, told, &pulse));
    ready.run_until(LastAct::new(move || place::remove(&root)));
    Ok(())
}

/// Who answers the gate.
struct World {
    origin: Origin,
    names: NameServer,
}

/// SIGINT and SIGTERM.
struct Told {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Told {
    fn watch() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Has the gate stop that was told before it heeded signals.
async fn tell_again(pulse: &Pulse) {
    if !pulse.has_started() {
        pulse.started().await;
        stop();
    }
}

/// Tells this process to stop, as Ctrl-C would.
fn stop() {
    let _ = kill_process(getpid(), Signal::TERM);
}

/// The thread of everything that is not the gate. When it is told to stop, all connections of its world end, and the gate, which
/// is told as well, has nobody to wait for.
fn perform(runtime: &Runtime, world: World, play: Play, mut told: Told, pulse: &Pulse) {
    runtime.block_on(async {
        tokio::spawn(world.origin.serve());
        tokio::spawn(world.names.serve());
        let screen = play.screen.clone();
        let months = async {
            pulse.started().await;
            play.months().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = told.stop() => {}
            () = months => {}
            () = refresh(&screen) => {}
        }
        screen.end();
        tell_again(pulse).await;
    });
}

async fn refresh(screen: &Screen) {
    let mut tick = interval(REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        screen.refresh();
    }
}

/// The months to come.
struct Play {
    options: Options,
    gate: SocketAddr,
    desk: Desk,
    policy: reload::Handle,
    screen: Screen,
}

impl Play {
    fn new(options: Options, ready: &Ready, place: &Place, screen: Screen) -> Self {
        let gate = ready.gate();
        screen.follow(gate.ledger.clone());
        Self {
            gate: ready.addresses().first().copied().unwrap_or(options.listen),
            desk: Desk::new(place),
            policy: gate.policy.clone(),
            options,
            screen,
        }
    }

    /// Says where to look.
    fn introduce(&self, ready: &Ready, place: &Place) {
        let addresses = ready.addresses();
        let admin = addresses.last().copied().unwrap_or(self.options.admin);
        let secure = addresses.get(1).copied().unwrap_or(self.options.listen);
        let (gate, root) = (self.gate, place.root().display());
        self.screen.tell(&format!(
            "octroi demo: ministries, names and origins that are made up, and a real gate. All of it is on this machine, and gone when you stop it (Ctrl-C).

  console     http://{admin}/
  metrics     http://{admin}/metrics
  proxy       curl -k -x http://{gate} https://outlook.office.com/      refused: 127.0.0.1 is a sensitive workload
              curl -k -x http://{gate} --interface 127.0.0.2 https://outlook.office.com/      let through, and counted
  over TLS    https://{secure} (authority: {root}/tls/ca.pem)
  audit log   {root}/audit.jsonl
  policy      {root}/policy (edit it: it is reloaded)
  Prometheus  examples/watch starts it beside a demonstration, with the dashboards' rules
"
        ));
    }

    /// One month after the other.
    async fn months(&self) {
        let offices = people::offices(&self.policy.policy_to_keep());
        let mut month = 0;
        while self.options.months.is_none_or(|months| month < months) {
            month += 1;
            if let Err(error) = self.month(month, &offices).await {
                self.screen
                    .tell(&format!("error: the month is cut short: {error}"));
                // What is wrong may last, as a folder that was removed: not one month a millisecond then.
                sleep(self.options.month).await;
            }
        }
        let months = if month == 1 { "month" } else { "months" };
        let table = self.screen.table();
        self.screen
            .tell(&format!("after {month} {months}: {table}"));
        stop();
    }

    async fn month(&self, number: u32, offices: &[people::Office]) -> io::Result<()> {
        let chance = Chance::new(self.options.seed).part(u64::from(number));
        let asked = people::month(offices, &chance);
        let crowd = Crowd::new(self.gate);
        let clock = Clock::start(self.options.month);
        let mut stage = Stage {
            crowd: crowd.clone(),
            desk: self.desk.clone(),
            policy: self.policy.clone(),
            screen: self.screen.clone(),
            clock,
            chance: chance.part(u64::MAX),
            standing: Vec::new(),
        };
        self.screen.tell(&format!("month {number} begins"));
        stage.open().await?;
        let mut turns = story::turns().into_iter().peekable();
        let stays = clock.days(1) / 4;
        for (minute, errand) in asked {
            while let Some((when, turn)) = turns.next_if(|(when, _)| *when <= minute) {
                self.turn(&mut stage, number, when, turn).await?;
            }
            clock.until(minute).await;
            self.screen.at(number, minute);
            crowd.send(errand, stays).await;
        }
        for (when, turn) in turns {
            self.turn(&mut stage, number, when, turn).await?;
        }
        clock.until(month::Day::new(DAYS + 1).at(0)).await;
        crowd.settle().await;
        Ok(())
    }

    async fn turn(
        &self,
        stage: &mut Stage,
        month: u32,
        when: month::Minute,
        turn: Turn,
    ) -> io::Result<()> {
        stage.clock.until(when).await;
        self.screen.at(month, when);
        stage.turn(when, turn).await
    }
}

#[cfg(test)]
mod tests;
