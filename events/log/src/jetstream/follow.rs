//! Following a category: each shard in its order, shards side by side.

use super::api::Api;
use super::deliver::{Delivered, Feed};
use super::log::{JetStreamLog, unavailable};
use super::wire::{self, Stored};
use crate::{Cursor, Followed, Position, ReadError};
use async_nats::jetstream::consumer::DeliverPolicy;
use futures::stream::{self, BoxStream, StreamExt};
use skein_model::{Category, Head, JournalId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// How many records wait for a follower that is slower than the log.
const AHEAD_MAX: usize = 256;
/// How often a page is read, and a new consumer tried, while there is none.
const PAGE_EVERY: Duration = Duration::from_millis(500);
/// How many heads of journals each of two generations holds.
const HEADS_MAX: usize = 32 * 1024;

type Follower = mpsc::Sender<Result<Followed, ReadError>>;

impl JetStreamLog {
    pub(super) fn follow_shards(
        &self,
        category: Category,
        from: &Cursor,
    ) -> BoxStream<'static, Result<Followed, ReadError>> {
        let (sender, receiver) = mpsc::channel(AHEAD_MAX);
        for shard in 0..self.api.settings.shards(category) {
            let seen = from.0.get(usize::from(shard)).copied().unwrap_or(0);
            let shard = Shard { api: Arc::clone(&self.api), category, shard, seen, heads: Heads::default() };
            tokio::spawn(shard.run(sender.clone()));
        }
        // The receiver is dropped with the first error, which ends the tasks of all shards.
        stream::unfold(Some(receiver), async |receiver| {
            let mut receiver = receiver?;
            let item = receiver.recv().await?;
            let rest = item.is_ok().then_some(receiver);
            Some((item, rest))
        })
        .boxed()
    }

    /// Lists the open journals of a shard whose last message was at `end` when all that matters was acknowledged.
    pub(super) async fn open_in_shard(
        &self,
        category: Category,
        shard: u16,
        end: u64,
    ) -> Result<Vec<JournalId>, ReadError> {
        let mut open = BTreeSet::new();
        if end == 0 {
            return Ok(Vec::new());
        }
        let mut reader =
            Shard { api: Arc::clone(&self.api), category, shard, seen: 0, heads: Heads::default() };
        let note = |open: &mut BTreeSet<JournalId>, stored: Stored| {
            let journal = stored.envelope.journal;
            if stored.envelope.record.closes {
                open.remove(&journal)
            } else {
                open.insert(journal)
            };
        };
        if let Ok(mut feed) = Feed::open(&self.api, &reader.stream(), DeliverPolicy::LastPerSubject).await {
            while reader.seen < end {
                match timeout(self.api.settings.patience, feed.next()).await {
                    Ok(Ok(message)) => note(&mut open, reader.parse(&message)?),
                    Ok(Err(_)) | Err(_) => break,
                }
            }
        }
        if reader.seen < end {
            // No consumer: every record is read, without one.
            (reader.seen, reader.heads) = (0, Heads::default());
            open.clear();
        }
        while reader.seen < end {
            let page = reader.page().await.map_err(unavailable)?;
            if page.is_empty() {
                return Err(unavailable(format!("shard {shard} ends at {}, not at {end}", reader.seen)));
            }
            for message in page {
                note(&mut open, reader.parse(&message)?);
            }
        }
        Ok(open.into_iter().collect())
    }
}

/// One shard being read from the start to the end.
struct Shard {
    api: Arc<Api>,
    category: Category,
    shard: u16,
    seen: u64,
    heads: Heads,
}

/// Why a consumer is read no further.
enum Pause {
    /// Nobody follows any more, or was told of an error.
    Ended,
    /// The consumer failed.
    Lost(String),
}

impl Shard {
    fn stream(&self) -> String {
        self.api.names.log_stream(self.category, self.shard)
    }

    async fn run(mut self, to: Follower) {
        let mut well = Instant::now();
        loop {
            let before = self.seen;
            let reason = match self.consume(&to, &mut well).await {
                Pause::Ended => return,
                Pause::Lost(reason) => reason,
            };
            tracing::debug!(stream = self.stream(), reason, "the consumer is lost, pages are read instead");
            if let Ok(page) = self.page().await {
                well = Instant::now();
                for message in page {
                    if !self.hand_on(message, &to).await {
                        return;
                    }
                }
            }
            if well.elapsed() > self.api.settings.patience {
                // Whether the follower is still there does not matter any more.
                let _gone = to.send(Err(unavailable(reason))).await;
                return;
            }
            if self.seen == before {
                tokio::select! {
                    () = to.closed() => return,
                    () = sleep(PAGE_EVERY) => {}
                }
            }
        }
    }

    async fn consume(&mut self, to: &Follower, well: &mut Instant) -> Pause {
        let policy = DeliverPolicy::ByStartSequence { start_sequence: self.seen + 1 };
        let mut feed = match Feed::open(&self.api, &self.stream(), policy).await {
            Ok(feed) => feed,
            Err(reason) => return Pause::Lost(reason),
        };
        loop {
            let next = tokio::select! {
                () = to.closed() => return Pause::Ended,
                next = feed.next() => next,
            };
            *well = Instant::now();
            match next {
                Ok(message) => {
                    if !self.hand_on(message, to).await {
                        return Pause::Ended;
                    }
                }
                Err(reason) => return Pause::Lost(reason),
            }
        }
    }

    /// Hands a record on; says whether more is wanted.
    async fn hand_on(&mut self, message: Delivered, to: &Follower) -> bool {
        let item = self.parse(&message).map(|stored| Followed {
            position: Position { shard: self.shard, sequence: stored.sequence },
            envelope: stored.envelope,
        });
        let good = item.is_ok();
        to.send(item).await.is_ok() && good
    }

    fn parse(&mut self, message: &Delivered) -> Result<Stored, ReadError> {
        let sequence = message.sequence;
        let unreadable = |reason| ReadError::Unreadable { sequence, reason };
        let journal = self
            .api
            .names
            .journal_of(self.category, self.shard, &message.subject)
            .ok_or_else(|| unreadable(format!("subject {} is no journal", message.subject)))?;
        let stored = wire::read(journal, sequence, &message.payload).map_err(unreadable)?;
        self.heads.check(&stored)?;
        self.seen = sequence;
        Ok(stored)
    }

    async fn page(&self) -> Result<Vec<Delivered>, String> {
        let subjects = self.api.names.log_subjects(self.category, self.shard);
        let page = self.api.page(&self.stream(), &subjects, self.seen + 1).await?;
        let message = |m: async_nats::jetstream::message::StreamMessage| Delivered {
            subject: m.subject.to_string(),
            sequence: m.sequence,
            payload: m.payload,
        };
        Ok(page.into_iter().map(message).collect())
    }
}

/// The heads of the journals met last. A record of a journal that is not among them is checked against the digest
/// that its writer noted: a changed record is always found, a missing one where its journal is still known.
#[derive(Default)]
struct Heads {
    young: HashMap<JournalId, Head>,
    old: HashMap<JournalId, Head>,
}

impl Heads {
    fn check(&mut self, stored: &Stored) -> Result<(), ReadError> {
        let journal = &stored.envelope.journal;
        let known = self.young.get(journal).or_else(|| self.old.get(journal)).copied();
        stored.envelope.check(known.unwrap_or_else(|| stored.follows()))?;
        if self.young.len() >= HEADS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(journal.clone(), stored.head());
        Ok(())
    }
}
