//! The one thread that writes: whatever waits is committed together, with one sync.
//!
//! ```text
//! appends ──► queue ──► decide each by its head ──► one commit ──► index ──► followers ──► acknowledgements
//! ```
//!
//! While one commit syncs, the next appends gather in the queue; so the busier the log, the fewer syncs an append
//! costs. The thread neither spins for them nor yields to them: on a machine that is busy, that costs an append several
//! times what it takes to be woken (measured). A commit that fails is not tried again: after a failed sync nobody knows what the disk holds, and the
//! kernel reports the failure only once.

use super::checkpoint::Checkpoints;
use super::error::Fatal;
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

    /// Answers about how many bytes its commit takes in the write-ahead log.
    fn bytes(&self) -> usize {
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

    fn run(&mut self, group: &[Decided]) -> rusqlite::Result<()> {
        self.begin.execute(())?;
        for Decided { envelope, sequence, .. } in group {
            insert(&mut self.insert, *sequence, envelope)?;
        }
        self.commit.execute(())?;
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
        while let Some(waiting) = next(&mut requests) {
            let group = decide(waiting, &shared, *last.borrow());
            if !group.decided.is_empty()
                && let Err(error) = statements.run(&group.decided)
            {
                return fail(&mut requests, "commit", &error);
            }
            let bytes = group.bytes();
            publish(&shared, &last, group.decided);
            Group::refuse(group.refused);
            // After the answers, which need not wait for it.
            if let Err(error) = checkpoints.wrote(bytes, &connection) {
                return fail(&mut requests, "checkpoint", &error);
            }
        }
    }
}

/// Answers what waits, at least one; none when nobody can append any more.
fn next(requests: &mut mpsc::Receiver<Request>) -> Option<Vec<Request>> {
    let first = requests.blocking_recv()?;
    let mut bytes = first.record.body.len();
    let mut waiting = vec![first];
    while waiting.len() < GROUP_MAX
        && bytes < GROUP_BYTES_MAX
        && let Ok(request) = requests.try_recv()
    {
        bytes += request.record.body.len();
        waiting.push(request);
    }
    Some(waiting)
}

/// Gives each append its place, and refuses what does not name its journal's head.
fn decide(waiting: Vec<Request>, shared: &Shared, mut sequence: u64) -> Group {
    let mut group = Group { decided: Vec::with_capacity(waiting.len()), refused: Vec::new() };
    // Heads as they will be after this commit.
    let mut heads: HashMap<JournalId, Head> = HashMap::new();
    let index = shared.index();
    for Request { journal, after, record, answer } in waiting {
        let actual = heads.get(&journal).copied().unwrap_or_else(|| index.head(&journal));
        if (actual.version, actual.digest) == (after.version, after.digest) {
            sequence += 1;
            let envelope = Envelope::seal(journal.clone(), actual, record);
            heads.insert(journal, envelope.head(sequence));
            group.decided.push(Decided { envelope, sequence, answer });
        } else {
            let (expected, actual) = (after.version, actual.version);
            group.refused.push((answer, AppendError::Conflict { journal, expected, actual }));
        }
    }
    group
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
