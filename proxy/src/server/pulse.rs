//! Whether the gate works: its services stand, and the threads that move bytes answer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long a question to a runtime sleeps, so that its timers are asked as well.
const NAP: Duration = Duration::from_millis(1);

/// The services that clients depend on; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    members: Mutex<Vec<Arc<Member>>>,
    changed: Notify,
}

/// One of them.
#[derive(Debug)]
struct Member {
    name: String,
    /// The runtime it serves on, once it does.
    runtime: OnceLock<Handle>,
    ended: OnceLock<()>,
}

/// Why the gate is not taken to work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stuck {
    /// A service has ended, or never began.
    #[error("the service `{0}` does not run")]
    Ended(String),
    /// The threads of a service do not answer.
    #[error("the threads of the service `{0}` do not answer")]
    Silent(String),
}

impl Pulse {
    /// Takes a service in, which is to be run by [`Seat::run`].
    pub fn seat(&self, name: &str) -> Seat {
        let member = Arc::new(Member {
            name: name.to_owned(),
            runtime: OnceLock::new(),
            ended: OnceLock::new(),
        });
        let mut members = self.locked();
        members.push(Arc::clone(&member));
        Seat {
            member,
            pulse: self.clone(),
        }
    }

    /// Waits until every service stands.
    pub async fn started(&self) {
        self.all(|member| member.runtime.get().is_some()).await;
    }

    /// Whether every service stands.
    #[must_use]
    pub fn has_started(&self) -> bool {
        let members = self.locked();
        members.iter().all(|member| member.runtime.get().is_some())
    }

    /// Waits until every service has ended: nothing is listened on any more.
    pub async fn ended(&self) {
        self.all(|member| member.ended.get().is_some()).await;
    }

    async fn all(&self, is_so: impl Fn(&Member) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            let mut changed = pin!(changed);
            // Registered before the look, so that no change in between is missed.
            changed.as_mut().enable();
            let all = self.members();
            if all.iter().all(|member| is_so(member)) {
                return;
            }
            changed.await;
        }
    }

    /// Asks every service whether it works.
    ///
    /// # Errors
    /// [`Stuck`] names the first that does not, within `patience`.
    pub async fn answers(&self, patience: Duration) -> Result<(), Stuck> {
        if let Some(gone) = self.members().iter().find(|m| m.ended.get().is_some()) {
            return Err(Stuck::Ended(gone.name.clone()));
        }
        self.threads_answer(patience).await
    }

    /// Asks only the threads: services end one by one while the gate drains.
    ///
    /// # Errors
    /// [`Stuck`] names the first that does not, within `patience`.
    pub async fn threads_answer(&self, patience: Duration) -> Result<(), Stuck> {
        for member in self.members() {
            let Some(runtime) = member.runtime.get() else {
                return Err(Stuck::Ended(member.name.clone()));
            };
            let asked = runtime.spawn(sleep(NAP));
            if !matches!(timeout(patience, asked).await, Ok(Ok(()))) {
                return Err(Stuck::Silent(member.name.clone()));
            }
        }
        Ok(())
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.locked().clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Member>>> {
        let members = self.shared.members.lock();
        members.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A service's place in the pulse.
#[derive(Debug)]
pub struct Seat {
    member: Arc<Member>,
    pulse: Pulse,
}

impl Seat {
    /// Runs the service. It stands once it waits for the first time: its listeners are built then.
    pub async fn run(&self, service: impl Future<Output = ()>) {
        let mut service = pin!(service);
        let first = poll_fn(|context| Poll::Ready(service.as_mut().poll(context))).await;
        if first.is_pending() {
            let _ = self.member.runtime.set(Handle::current());
            self.pulse.shared.changed.notify_waiters();
            service.await;
        }
        let _ = self.member.ended.set(());
        self.pulse.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn runtime() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn threads_that_are_held_up_do_not_answer() {
        let (data, asking) = (runtime(), runtime());
        let pulse = Pulse::default();
        let seat = pulse.seat("gate");
        data.spawn(async move { seat.run(std::future::pending()).await });
        asking.block_on(pulse.started());
        assert_eq!(asking.block_on(pulse.answers(PATIENCE)), Ok(()));

        let (release, held) = mpsc::channel::<()>();
        let (begun, begins) = oneshot::channel();
        data.spawn(async move {
            begun.send(()).unwrap();
            held.recv()
        });
        asking.block_on(begins).unwrap();
        let silent = Err(Stuck::Silent("gate".to_owned()));
        assert_eq!(asking.block_on(pulse.answers(PATIENCE)), silent);
        release.send(()).unwrap();
        let patience = Duration::from_secs(20);
        assert_eq!(asking.block_on(pulse.answers(patience)), Ok(()));
    }

    #[tokio::test]
    async fn a_service_that_ends_is_missed_until_the_gate_drains() {
        let pulse = Pulse::default();
        let seat = pulse.seat("admin");
        let (end, ended) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let service = async { ended.await.unwrap_or_default() };
            seat.run(service).await;
        });
        pulse.started().await;
        assert!(pulse.has_started());
        end.send(()).unwrap();
        serving.await.unwrap();
        pulse.ended().await;
        let ended = Err(Stuck::Ended("admin".to_owned()));
        assert_eq!(pulse.answers(PATIENCE).await, ended);
        assert_eq!(pulse.threads_answer(Duration::from_secs(20)).await, Ok(()));
    }

    #[tokio::test]
    async fn nothing_has_started_while_one_has_not() {
        let pulse = Pulse::default();
        let (_first, second) = (pulse.seat("a"), pulse.seat("b"));
        tokio::spawn(async move { second.run(std::future::pending()).await });
        assert!(timeout(PATIENCE, pulse.started()).await.is_err());
        assert!(!pulse.has_started());
        let missing = Err(Stuck::Ended("a".to_owned()));
        assert_eq!(pulse.answers(PATIENCE).await, missing);
    }
}
