//! The one thread that writes: whatever waits is committed together, with one sync.
//!
//! ```text
//! appends ──► queue ──► decide each by its head ──► one commit ──► index ──► followers ──► acknowledgements
//! ```
//!
//! While one commit syncs, the next appends gather in the queue; so the busier the log, the fewer syncs an append
//! costs. A commit that fails is not tried again: after a failed sync nobody knows what the disk holds, and the
//! kernel reports the failure only once.

use super::error::Fatal;
use super::table::{INSERT, insert};
use super::{OnFatal, Shared};
use crate::event_log::{AppendError, Appended, Position};
use rusqlite::Connection;
use skein_model::{Envelope, Head, JournalId, Record};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, mpsc as thread_mpsc};
use tokio::sync::{mpsc, oneshot, watch};

/// The most appends of one commit.
const GROUP_MAX: usize = 1024;
/// The most bytes of bodies in one commit; what is over is left for the next one.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a record takes in the file beside its body, roughly; only to know when a checkpoint is worth its while.
const OVERHEAD_BYTES: usize = 128;

/// One append that waits.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) journal: JournalId,
    pub(super) after: Head,
    pub(super) record: Record,
    pub(super) answer: oneshot::Sender<Result<Appended, AppendError>>,
}

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) file: PathBuf,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) shared: Arc<Shared>,
    /// The sequence of the last durable record; followers end when this is dropped.
    pub(super) last: watch::Sender<u64>,
    /// Asks for a checkpoint.
    pub(super) checkpoints: thread_mpsc::SyncSender<()>,
    pub(super) checkpoint_after_bytes: usize,
    pub(super) on_fatal: OnFatal,
}

/// An append that is decided, and durable once its group is committed.
struct Decided {
    envelope: Envelope,
    sequence: u64,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Appends that were taken out together.
#[derive(Default)]
struct Group {
    decided: Vec<Decided>,
    /// Appends that do not follow their journal's head. Answered once the group is durable: what they lost against
    /// may be in it, and whoever is told of a conflict reads the journal next.
    refused: Vec<(oneshot::Sender<Result<Appended, AppendError>>, AppendError)>,
}

impl Group {
    /// Tells whoever waits; whoever no longer does needs no answer.
    fn refuse(refused: Vec<(oneshot::Sender<Result<Appended, AppendError>>, AppendError)>) {
        for (answer, conflict) in refused {
            let _ = answer.send(Err(conflict));
        }
    }
}

impl Writer {
    /// Writes until nobody can append any more, or a commit fails.
    pub(super) fn run(mut self) {
        let mut since_checkpoint = 0;
        while let Some(first) = self.requests.blocking_recv() {
            let Group { decided: group, refused } = self.decide(first);
            if group.is_empty() {
                Group::refuse(refused);
                continue;
            }
            since_checkpoint +=
                group.iter().map(|one| one.envelope.record.body.len() + OVERHEAD_BYTES).sum::<usize>();
            if let Err(error) = self.commit(&group) {
                // What comes later is refused. What waits is dropped unanswered: whether it was written is not known.
                self.requests.close();
                let reason = error.to_string();
                (self.on_fatal)(&Fatal { file: self.file.clone(), during: "commit", reason });
                return;
            }
            self.publish(group);
            Group::refuse(refused);
            if since_checkpoint >= self.checkpoint_after_bytes {
                since_checkpoint = 0;
                // One that is asked for already will see these records too.
                let _ = self.checkpoints.try_send(());
            }
        }
    }

    /// Takes what waits, and refuses what does not name its journal's head.
    fn decide(&mut self, first: Request) -> Group {
        let mut group = Group::default();
        // Heads as they will be after this commit.
        let mut heads: HashMap<JournalId, Head> = HashMap::new();
        let (mut sequence, mut bytes) = (*self.last.borrow(), 0);
        let mut next = Some(first);
        let shared = Arc::clone(&self.shared);
        let index = shared.index();
        while let Some(Request { journal, after, record, answer }) = next {
            let actual = heads.get(&journal).copied().unwrap_or_else(|| index.head(&journal));
            if (actual.version, actual.digest) == (after.version, after.digest) {
                sequence += 1;
                bytes += record.body.len();
                let envelope = Envelope::seal(journal.clone(), actual, record);
                heads.insert(journal, envelope.head(sequence));
                group.decided.push(Decided { envelope, sequence, answer });
            } else {
                let (expected, actual) = (after.version, actual.version);
                group.refused.push((answer, AppendError::Conflict { journal, expected, actual }));
            }
            let room = group.decided.len() + group.refused.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX;
            next = if room { self.requests.try_recv().ok() } else { None };
        }
        group
    }

    fn commit(&self, group: &[Decided]) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut statement = self.connection.prepare(INSERT)?;
        for Decided { envelope, sequence, .. } in group {
            insert(&mut statement, *sequence, envelope)?;
        }
        drop(statement);
        self.connection.execute_batch("COMMIT")
    }

    fn publish(&self, group: Vec<Decided>) {
        let Some(sequence) = group.last().map(|last| last.sequence) else { return };
        let mut acknowledged = Vec::with_capacity(group.len());
        {
            let (mut index, mut recent) = (self.shared.index_mut(), self.shared.recent());
            for Decided { envelope, sequence, answer } in group {
                index.note(&envelope, sequence);
                let position = Position { shard: 0, sequence };
                acknowledged.push((answer, Appended { head: envelope.head(sequence), position }));
                recent.push(sequence, envelope);
            }
        }
        // Before the answers: whoever has one finds the record everywhere.
        self.last.send_replace(sequence);
        for (answer, appended) in acknowledged {
            let _ = answer.send(Ok(appended));
        }
    }
}
