//! The one thread that writes: whatever waits is committed together, with one sync.
//!
//! ```text
//! appends ──► queue ──► decide each by its head ──► one commit ──► index ──► followers ──► acknowledgements
//! ```
//!
//! While one commit syncs, the next appends gather in the queue; so the busier the log, the fewer syncs an append
//! costs. What comes while a group is written is taken into it: whoever was answered by the last commit mostly appends
//! again, and would else wait for the commit after the next one. The thread neither spins for appends nor yields to them: on
//! a machine that is busy, that costs an append several times what it takes to be woken (measured). Nor is a commit delayed
//! for them: that brought nothing (measured with 64 writers). A commit that fails is not tried again: after a failed sync
//! nobody knows what the disk holds, and the kernel reports the failure only once.

use super::checkpoint::Checkpoints;
use super::error::Fatal;
use super::index::Index;
use super::table::{INSERT, insert};
use super::{OnFatal, Shared};
use crate::event_log::{AppendError, Appended, Position};
use rusqlite::{Connection, Statement};
use skein_model::{Envelope, Head, JournalId, Record};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// The most appends of one commit.
const GROUP_MAX: usize = 1024;
/// The most bytes of bodies in one commit; what is over is left for the next one.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a record takes in the file beside its body, roughly; only to know when a checkpoint is worth its while.
const OVERHEAD_BYTES: usize = 128;
/// What a commit takes in the write-ahead log at least: the page that it begins on, and its header.
const COMMIT_BYTES: usize = 4096 + 24;

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
    pub(super) checkpoints: Checkpoints,
    pub(super) on_fatal: OnFatal,
}

/// An append that is decided, and durable once its group is committed.
struct Decided {
    envelope: Envelope,
    sequence: u64,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
}

/// Appends that are committed together.
struct Group {
    decided: Vec<Decided>,
    /// Appends that do not follow their journal's head. Answered once the group is durable: what they lost against
    /// may be in it, and whoever is told of a conflict reads the journal next.
    refused: Vec<(oneshot::Sender<Result<Appended, AppendError>>, AppendError)>,
    /// Heads as they will be after this commit.
    heads: HashMap<JournalId, Head>,
    /// The sequence of its last record, or of the last one before it.
    sequence: u64,
    /// How many appends it has, and of how many bytes.
    appends: usize,
    bytes: usize,
}

impl Group {
    /// Begins one behind the record with this sequence.
    fn behind(sequence: u64) -> Self {
        Self {
            decided: Vec::new(),
            refused: Vec::new(),
            heads: HashMap::new(),
            sequence,
            appends: 0,
            bytes: 0,
        }
    }

    const fn is_full(&self) -> bool {
        self.appends >= GROUP_MAX || self.bytes >= GROUP_BYTES_MAX
    }

    /// Gives an append its place, and answers it; refuses one that does not name its journal's head.
    fn decide(&mut self, request: Request, index: &Index) -> Option<&Decided> {
        let Request { journal, after, record, answer } = request;
        self.appends += 1;
        self.bytes += record.body.len();
        let actual = self.heads.get(&journal).copied().unwrap_or_else(|| index.head(&journal));
        if (actual.version, actual.digest) != (after.version, after.digest) {
            let (expected, actual) = (after.version, actual.version);
            self.refused.push((answer, AppendError::Conflict { journal, expected, actual }));
            return None;
        }
        self.sequence += 1;
        let envelope = Envelope::seal(journal.clone(), actual, record);
        self.heads.insert(journal, envelope.head(self.sequence));
        self.decided.push(Decided { envelope, sequence: self.sequence, answer });
        self.decided.last()
    }

    /// Answers about how many bytes its commit takes in the write-ahead log.
    fn bytes_written(&self) -> usize {
        if self.decided.is_empty() {
            return 0;
        }
        let records = self.decided.iter().map(|one| one.envelope.record.body.len() + OVERHEAD_BYTES);
        COMMIT_BYTES + records.sum::<usize>()
    }
}

/// What a commit runs, prepared once: preparing takes a tenth of the time of a commit.
struct Statements<'a> {
    begin: Statement<'a>,
    insert: Statement<'a>,
    commit: Statement<'a>,
}

impl<'a> Statements<'a> {
    fn prepare(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            insert: connection.prepare(INSERT)?,
            commit: connection.prepare("COMMIT")?,
        })
    }

    /// Writes what waits, `first` before the rest, and what comes meanwhile; durable when it returns.
    fn run(
        &mut self,
        group: &mut Group,
        first: Request,
        requests: &mut mpsc::Receiver<Request>,
        index: &Index,
    ) -> rusqlite::Result<()> {
        let mut next = Some(first);
        while let Some(request) = next {
            let begins = group.decided.is_empty();
            if let Some(Decided { envelope, sequence, .. }) = group.decide(request, index) {
                if begins {
                    self.begin.execute(())?;
                }
                insert(&mut self.insert, *sequence, envelope)?;
            }
            next = if group.is_full() { None } else { requests.try_recv().ok() };
        }
        if !group.decided.is_empty() {
            self.commit.execute(())?;
        }
        Ok(())
    }
}

impl Writer {
    /// Writes until nobody can append any more, or a commit fails.
    pub(super) fn run(self) {
        let Self { connection, file, mut requests, shared, last, mut checkpoints, on_fatal } = self;
        let fail = |requests: &mut mpsc::Receiver<Request>, during, error: &rusqlite::Error| {
            // What comes later is refused. What waits is dropped unanswered: whether it was written is not known.
            requests.close();
            on_fatal(&Fatal { file: file.clone(), during, reason: error.to_string() });
        };
        let mut statements = match Statements::prepare(&connection) {
            Ok(statements) => statements,
            Err(error) => return fail(&mut requests, "commit", &error),
        };
        while let Some(first) = requests.blocking_recv() {
            let mut group = Group::behind(*last.borrow());
            let written = statements.run(&mut group, first, &mut requests, &shared.index());
            if let Err(error) = written {
                return fail(&mut requests, "commit", &error);
            }
            let bytes = group.bytes_written();
            publish(&shared, &last, group.decided);
            refuse(group.refused);
            // After the answers, which need not wait for it.
            if let Err(error) = checkpoints.wrote(bytes, &connection) {
                return fail(&mut requests, "checkpoint", &error);
            }
        }
        // Before the checkpoints, whose thread ends with them: whoever closes last leaves all in one file, if nobody reads it any
        // more, and of two who close at the same time neither is the last.
        drop(statements);
        drop(connection);
    }
}

/// Tells whoever waits; whoever no longer does needs no answer.
fn refuse(refused: Vec<(oneshot::Sender<Result<Appended, AppendError>>, AppendError)>) {
    for (answer, conflict) in refused {
        let _ = answer.send(Err(conflict));
    }
}

fn publish(shared: &Shared, last: &watch::Sender<u64>, group: Vec<Decided>) {
    let Some(sequence) = group.last().map(|last| last.sequence) else { return };
    let mut acknowledged = Vec::with_capacity(group.len());
    {
        let (mut index, mut recent) = (shared.index_mut(), shared.recent());
        for Decided { envelope, sequence, answer } in group {
            index.note(&envelope, sequence);
            let position = Position { shard: 0, sequence };
            acknowledged.push((answer, Appended { head: envelope.head(sequence), position }));
            recent.push(sequence, envelope);
        }
    }
    // Before the answers: whoever has one finds the record everywhere.
    last.send_replace(sequence);
    for (answer, appended) in acknowledged {
        let _ = answer.send(Ok(appended));
    }
}
