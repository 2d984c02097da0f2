//! Attempts as they are decided, as server-sent events.
//!
//! A stream holds a place in the feed and, while it writes, one batch. Whoever reads more slowly than attempts come
//! is told how many went by. It ends when the gate leaves, and after a while in any case: a browser comes back by
//! itself, with the number of the last attempt that it has, and whoever signed out meanwhile does not get in again.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::attempts::{Filter, ToldAttempt};
use super::names::Names;
use crate::admin::answer::guard;
use crate::admin::query::{Query, Unreadable};
use crate::ledger::Ledger;
use crate::ledger::feed::{Batch, Reader};
use crate::reload::Handle;

/// Streams at a time.
pub(in crate::admin) const MOST: usize = 32;
/// Attempts looked at for one write: some 64 KiB.
const BATCH: usize = 128;
/// A sign of life, for whatever stands between: with it the number that has been come to.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two writes: who watches a busy gate is told of many attempts at a time.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a write may take.
const WRITE: Duration = Duration::from_secs(30);
/// How long a stream lasts.
const LIFE: Duration = Duration::from_mins(10);
/// Milliseconds after which a browser comes back.
const RETRY: u32 = 1000;

/// A stream that has its place and has not begun.
#[derive(Debug)]
pub(in crate::admin) struct Live {
    policy: Handle,
    ledger: Ledger,
    filter: Filter,
    reader: Reader,
    _place: OwnedSemaphorePermit,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// In order: whoever reads may come back.
    Over,
    /// There is nobody any more, or nobody who keeps up.
    Cut,
}

impl Live {
    /// What a query and the number of the last attempt ask for.
    pub(in crate::admin) fn new(
        query: &Query,
        headers: &HeaderMap,
        (policy, ledger): (&Handle, &Ledger),
        place: OwnedSemaphorePermit,
    ) -> Result<Self, Unreadable> {
        let filter = Filter::read(query, &["after"])?;
        let after = match headers.get("last-event-id") {
            // The browser's own: whatever it is, it is no mistake of the person's.
            Some(last) => last.to_str().ok().and_then(|text| text.parse().ok()),
            None => query.one("after")?.map(number).transpose()?,
        };
        Ok(Self {
            policy: policy.clone(),
            ledger: ledger.clone(),
            filter,
            reader: ledger.feed().reader(after),
            _place: place,
        })
    }

    /// The head of the answer.
    pub(in crate::admin) fn head(version: Version) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        guard(headers);
        let word = HeaderValue::from_static;
        headers.insert(header::CONTENT_TYPE, word("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, word("no-store"));
        // A proxy that collects an answer before it hands it on would show nothing.
        headers.insert("x-accel-buffering", word("no"));
        if version == Version::HTTP_11 {
            headers.insert(header::TRANSFER_ENCODING, word("chunked"));
        }
        response
    }

    /// Writes until its end.
    pub(in crate::admin) async fn run(
        mut self,
        session: &mut ServerSession,
        shutdown: &ShutdownWatch,
    ) {
        let over = Instant::now() + LIFE;
        let end = match write(session, format!("retry: {RETRY}\n\n")).await {
            Ok(()) => self.follow(session, shutdown.clone(), over).await,
            Err(end) => end,
        };
        if end == End::Over {
            // Nobody left to tell, if it fails.
            let _ = timeout(WRITE, session.write_response_body(Bytes::new(), true)).await;
        }
    }

    async fn follow(
        &mut self,
        session: &mut ServerSession,
        mut shutdown: ShutdownWatch,
        over: Instant,
    ) -> End {
        let mut heartbeat = Instant::now() + HEARTBEAT;
        loop {
            let batch = self.reader.read(BATCH);
            let is_full = batch.attempts.len() == BATCH;
            let text = self.written(&batch);
            if !text.is_empty() {
                if let Err(end) = write(session, text).await {
                    return end;
                }
                heartbeat = Instant::now() + HEARTBEAT;
            }
            // Even on a gate that is never quiet it ends in time.
            if is_full && !*shutdown.borrow() && Instant::now() < over {
                continue;
            }
            tokio::select! {
                biased;
                () = left(&mut shutdown) => return End::Over,
                // It left, or says something, which no reader of a stream does.
                _ = session.read_body_or_idle(true) => return End::Cut,
                () = sleep_until(over) => return End::Over,
                () = sleep_until(heartbeat) => {
                    // A number without data is taken note of, and is no event.
                    let text = format!(":\nid: {}\n\n", self.reader.last());
                    if let Err(end) = write(session, text).await {
                        return end;
                    }
                    heartbeat = Instant::now() + HEARTBEAT;
                }
                () = self.reader.more() => sleep(PAUSE).await,
            }
        }
    }

    /// A batch as events. JSON has no line end inside, so an event cannot hold another.
    fn written(&self, batch: &Batch) -> String {
        let mut text = String::new();
        if batch.missed > 0 {
            let _ = write!(
                text,
                "event: missed\ndata: {{\"count\":{}}}\n\n",
                batch.missed
            );
        }
        let wanted = batch
            .attempts
            .iter()
            .filter(|(_, attempt)| self.filter.wants(attempt));
        let mut wanted = wanted.peekable();
        if wanted.peek().is_none() {
            return text;
        }
        let policy = self.policy.policy_to_keep();
        let names = Names::of(&policy);
        for attempt in wanted {
            let data = serde_json::to_string(&ToldAttempt::new(attempt, &names, &self.ledger));
            let data = data.unwrap_or_default();
            let _ = write!(text, "event: attempt\nid: {}\ndata: {data}\n\n", attempt.0);
        }
        text
    }
}

/// Waits until the gate leaves.
async fn left(shutdown: &mut ShutdownWatch) {
    // An error means that the server is gone: a reason to stop as well.
    let _ = shutdown.wait_for(|leaving| *leaving).await;
}

fn number(text: &str) -> Result<u64, Unreadable> {
    text.parse()
        .map_err(|_| Unreadable::new("after", "write the number of an attempt"))
}

async fn write(session: &mut ServerSession, text: String) -> Result<(), End> {
    match timeout(WRITE, session.write_response_body(text.into(), false)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Cut),
    }
}
