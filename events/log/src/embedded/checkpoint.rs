//! Moves records from the write-ahead log into the database, away from the thread that appends.
//!
//! Passive: it takes no lock that an append or a read would wait for. When all has been moved, the next commit begins
//! the write-ahead log from its start again, so that it stays small, and a sync is that of a file that does not grow.
//! Under a steady load there is always a commit that was made meanwhile; so the appending thread moves those few pages
//! itself, between two commits.

use super::OnFatal;
use super::error::Fatal;
use rusqlite::{Connection, ErrorCode};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Appends wait for a checkpoint once as many times the bytes were written as one is done after: else a disk that is
/// slow to move them would let the write-ahead log grow without bound.
const BEHIND_MAX: usize = 4;

/// The thread that moves records.
pub(super) struct Checkpointer {
    connection: Connection,
    file: PathBuf,
    on_fatal: OnFatal,
    asked: Receiver<()>,
    done: Sender<()>,
}

/// The appending thread's side of it.
pub(super) struct Checkpoints {
    after_bytes: usize,
    /// Bytes since the last was asked for.
    bytes: usize,
    ask: Sender<()>,
    /// Whether one is asked for and not done.
    is_asked: bool,
    done: Receiver<()>,
}

impl Checkpointer {
    /// Makes one that works on a connection of its own whenever about `after_bytes` of the write-ahead log were written.
    pub(super) fn new(
        connection: Connection,
        file: PathBuf,
        on_fatal: OnFatal,
        after_bytes: usize,
    ) -> (Self, Checkpoints) {
        let (ask, asked) = channel();
        let (tell, done) = channel();
        let checkpoints = Checkpoints { after_bytes, bytes: 0, ask, is_asked: false, done };
        (Self { connection, file, on_fatal, asked, done: tell }, checkpoints)
    }

    /// Does one checkpoint each time it is asked, until nobody can ask any more.
    pub(super) fn run(self) {
        while self.asked.recv().is_ok() {
            match checkpoint(&self.connection) {
                // Nobody waits for it when the log is being closed.
                Ok(()) => drop(self.done.send(())),
                Err(error) => {
                    // The records are safe in the write-ahead log, but a disk that refuses these writes will soon
                    // refuse appends too, and the log must not grow without bound until then.
                    let reason = error.to_string();
                    (self.on_fatal)(&Fatal { file: self.file.clone(), during: "checkpoint", reason });
                    return;
                }
            }
        }
    }
}

impl Checkpoints {
    /// Notes that a commit wrote about so many bytes; has a checkpoint begun when that is due, and moves what was
    /// committed during one.
    pub(super) fn wrote(&mut self, bytes: usize, connection: &Connection) -> rusqlite::Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_asked {
            let done = if self.bytes >= self.after_bytes.saturating_mul(BEHIND_MAX) {
                self.done.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.done.try_recv()
            };
            // One that has failed has ended the log, or will.
            self.is_asked = done == Err(TryRecvError::Empty);
            if done.is_ok() {
                // Also when all was moved that was committed by then: a commit that was under way came behind it.
                checkpoint(connection)?;
                self.bytes = 0;
            }
        }
        if !self.is_asked && self.bytes >= self.after_bytes {
            self.bytes = 0;
            self.is_asked = self.ask.send(()).is_ok();
        }
        Ok(())
    }
}

fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| {
        Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    match done {
        Ok((pages, moved)) => {
            tracing::debug!(pages, moved, "checkpoint");
            Ok(())
        }
        Err(error) if is_busy(&error) => {
            tracing::debug!(%error, "checkpoint put off");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
