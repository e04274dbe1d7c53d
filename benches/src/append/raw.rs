//! What the disk, and `SQLite` on it, do with nothing in front of them.

use super::BODY;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// What a record has in our table beside its body, in bytes: journal, digest, numbers and the row's own header.
const ROW: usize = BODY + 45;

/// Appends to a file, with one `fdatasync` a batch.
pub(crate) fn disk(folder: &Path, records: u64, batch: u64) -> u64 {
    let mut file = File::create(folder.join("raw")).expect("the folder is writable");
    let bytes = vec![7_u8; ROW * usize::try_from(batch).expect("a small number")];
    for _ in 0..records / batch {
        file.write_all(&bytes).expect("there is space");
        file.sync_data().expect("the disk works");
    }
    records / batch * batch
}

/// A table as the embedded log's.
pub(crate) struct Table(rusqlite::Connection);

impl Table {
    pub(crate) fn new(folder: &Path) -> Self {
        let connection = rusqlite::Connection::open(folder.join("raw.db")).expect("the folder is writable");
        let create = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            CREATE TABLE record (sequence INTEGER PRIMARY KEY, category INTEGER NOT NULL, journal TEXT NOT NULL,
                version INTEGER NOT NULL, schema INTEGER NOT NULL, time INTEGER NOT NULL, cause INTEGER NOT NULL,
                trace BLOB, closes INTEGER NOT NULL, digest INTEGER NOT NULL, body BLOB NOT NULL) STRICT;";
        connection.execute_batch(create).expect("a new file");
        Self(connection)
    }

    /// Commits rows, so many at a time.
    pub(crate) fn insert(&self, records: u64, batch: u64) -> u64 {
        let prepare = |text| self.0.prepare(text).expect("the table is there");
        let (mut begin, mut commit) = (prepare("BEGIN IMMEDIATE"), prepare("COMMIT"));
        let mut insert = prepare(
            "INSERT INTO record (category, journal, version, schema, time, cause, trace, closes, digest, body)
             VALUES (1, ?1, ?2, 1, 0, 0, NULL, 0, ?3, ?4)",
        );
        let body = [7_u8; BODY];
        for number in 0..records / batch {
            let version = number.cast_signed();
            begin.execute(()).expect("nobody else writes");
            for _ in 0..batch {
                let row = ("p/d/r1-12-12345", version, i64::MAX - version, &body[..]);
                insert.execute(row).expect("there is space");
            }
            commit.execute(()).expect("the disk works");
        }
        records / batch * batch
    }
}
