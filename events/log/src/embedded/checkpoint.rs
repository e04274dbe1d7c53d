//! Moves records from the write-ahead log into the database, away from the thread that appends.
//!
//! Passive: it takes no lock that an append or a read would wait for. When it has moved everything, the next commit
//! begins the write-ahead log from its start again, so that it stays small.

use super::OnFatal;
use super::error::Fatal;
use rusqlite::{Connection, ErrorCode};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

pub(super) struct Checkpointer {
    pub(super) connection: Connection,
    pub(super) file: PathBuf,
    pub(super) asked: Receiver<()>,
    pub(super) on_fatal: OnFatal,
}

impl Checkpointer {
    /// Does one checkpoint each time it is asked, until nobody can ask any more.
    pub(super) fn run(self) {
        while self.asked.recv().is_ok() {
            let done = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| {
                Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            });
            match done {
                Ok((pages, moved)) => tracing::debug!(pages, moved, "checkpoint"),
                Err(error) if is_busy(&error) => tracing::debug!(%error, "checkpoint put off"),
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

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
