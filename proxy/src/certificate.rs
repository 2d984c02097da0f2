//! What a TLS listener shows and whom it believes: certificate, key, authorities and revocations, read
//! from files and replaced as a whole when the files change.
//!
//! What cannot be used leaves the last good one in place, loudly: an error in the log, a metric. Open
//! connections keep what they were made with.

mod load;
mod names;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use octroi_policy::catalogue::Id;
use rustls::ServerConfig;

pub use load::{CertificateError, Loaded, load};
pub use names::names;

use crate::config::Tls;
use crate::ledger::Ledger;
use crate::reload::on_disk::OnDisk;

/// What is in force on one listener.
pub struct Certificates {
    listener: Id,
    files: Tls,
    ledger: Ledger,
    config: ArcSwap<ServerConfig>,
    status: Mutex<Status>,
}

struct Status {
    digest: load::Digest,
    not_after: Timestamp,
    /// The end of the one in force has been announced.
    announced: bool,
    /// When one that is on disk already becomes valid.
    due: Option<Timestamp>,
}

/// What became of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something new is in force.
    Swapped,
    /// The files are those in force.
    Unchanged,
    /// They cannot be used.
    Rejected,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Swapped, Self::Unchanged, Self::Rejected];

    /// The label of `octroi_certificate_reloads_total`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

impl Certificates {
    /// Reads the files of a listener. One that is out of date is used, loudly: at a start there is no
    /// other, and clients say what they think of it.
    ///
    /// # Errors
    /// [`CertificateError`] names the file.
    pub fn start(listener: Id, files: Tls, ledger: Ledger) -> Result<Arc<Self>, CertificateError> {
        let loaded = load(&files)?;
        let now = Timestamp::now();
        if let Err(error) = loaded.check_dates(&files, now) {
            tracing::error!(%listener, "{error}: clients will refuse it");
        }
        announce(&listener, &loaded, now);
        ledger
            .metrics()
            .certificate_in_force(&listener, loaded.not_after);
        Ok(Arc::new(Self {
            status: Mutex::new(Status {
                digest: loaded.digest,
                not_after: loaded.not_after,
                announced: loaded.not_after <= now,
                due: None,
            }),
            config: ArcSwap::new(loaded.config),
            listener,
            files,
            ledger,
        }))
    }

    /// Reads the files as [`Certificates::start`] does, and serves nobody with them: what is worth a
    /// word though nothing stops on it.
    ///
    /// # Errors
    /// As there.
    pub fn rehearse(files: &Tls, now: Timestamp) -> Result<Vec<String>, CertificateError> {
        let loaded = load(files)?;
        let out_of_date = loaded.check_dates(files, now).err();
        let mut findings = loaded.findings(now);
        findings.extend(out_of_date.map(|error| format!("{error}: clients will refuse it")));
        Ok(findings)
    }

    /// What new connections are served with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Reads the files anew and puts them in force if they are good at the instant `now`.
    pub fn reload(&self, now: Timestamp) -> Outcome {
        let loaded = load(&self.files);
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.due = None;
        let outcome = match loaded {
            Ok(loaded) if loaded.digest == status.digest => Outcome::Unchanged,
            Ok(loaded) => match loaded.check_dates(&self.files, now) {
                Ok(()) => {
                    self.put_in_force(&mut status, loaded, now);
                    Outcome::Swapped
                }
                Err(error) => {
                    status.due = (loaded.not_before > now).then_some(loaded.not_before);
                    self.keep(&status, &error)
                }
            },
            Err(error) => self.keep(&status, &error),
        };
        self.ledger
            .metrics()
            .certificate_reload(&self.listener, outcome.as_str());
        outcome
    }

    fn put_in_force(&self, status: &mut Status, loaded: Loaded, now: Timestamp) {
        announce(&self.listener, &loaded, now);
        self.ledger
            .metrics()
            .certificate_in_force(&self.listener, loaded.not_after);
        *status = Status {
            digest: loaded.digest,
            not_after: loaded.not_after,
            announced: false,
            due: None,
        };
        self.config.store(loaded.config);
    }

    fn keep(&self, status: &Status, error: &CertificateError) -> Outcome {
        tracing::error!(
            listener = %self.listener,
            in_force_until = %status.not_after,
            "{error}: it is not put in force, the last good one stays"
        );
        Outcome::Rejected
    }

    /// Whether one that was too young for its reload has come of age by `now`. Says once that the one
    /// in force has ended.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.not_after <= now && !status.announced {
            status.announced = true;
            tracing::error!(listener = %self.listener, ended = %status.not_after, "the certificate in force has expired: clients will refuse it");
        }
        status.due.is_some_and(|due| due <= now)
    }
}

fn announce(listener: &Id, loaded: &Loaded, now: Timestamp) {
    tracing::info!(%listener, not_after = %loaded.not_after, "certificate in force");
    for finding in loaded.findings(now) {
        tracing::warn!(%listener, "{finding}");
    }
}

impl OnDisk for Certificates {
    fn paths(&self) -> Vec<PathBuf> {
        self.files.paths().cloned().collect()
    }

    fn is_due(&self, now: Timestamp) -> bool {
        Self::is_due(self, now)
    }

    fn read_anew(&self, now: Timestamp) {
        self.reload(now);
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("listener", &self.listener)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
