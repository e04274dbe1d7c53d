//! Looks into a log without being its owner: one in use, or a copy of one.

use super::error::{Damage, OpenError};
use super::folder;
use super::index::Index;
use super::readers::{damaged, failed};
use super::scan::{Broken, Scan};
use super::table::{COLUMNS, envelope, open_error, open_inspected};
use super::wal;
use crate::event_log::{Followed, Position, ReadError};
use rusqlite::Connection;
use skein_model::{Category, JournalId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// How many records are read in one transaction: a long one would keep the owner's write-ahead log from shrinking.
const BATCH: usize = 1024;

/// A log opened for reading only. Works beside the process that owns it, and on a copy.
#[derive(Debug)]
pub struct EmbeddedReader {
    file: PathBuf,
    connection: Connection,
}

/// What a check of a whole log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many records were read.
    pub records: u64,
    /// Everything that is wrong, in the order of the log. Empty for a log that is as it was written.
    pub damages: Vec<Damage>,
}

/// What is in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By category, in the order of [`Category::ALL`].
    pub categories: Vec<(Category, CategoryStats)>,
    /// The journal with the most bytes, and what it has.
    pub largest: Option<(JournalId, JournalStats)>,
}

/// What is in one category.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CategoryStats {
    /// How many journals there are.
    pub journals: u64,
    /// How many of them are not closed.
    pub open_journals: u64,
    /// How many records, and bytes of bodies.
    pub total: JournalStats,
}

/// How much a journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// The number of records.
    pub records: u64,
    /// The size of their bodies, in bytes.
    pub bytes: u64,
}

impl JournalStats {
    fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
    }
}

impl EmbeddedReader {
    /// Opens the log in `folder`. Changes nothing there.
    ///
    /// # Errors
    /// See [`OpenError`]; damage to records is not looked for here, see [`EmbeddedReader::verify`].
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let file = folder::database(folder);
        let connection = open_inspected(&file)?;
        Ok(Self { file, connection })
    }

    /// Iterates over all records of both categories in the order in which they were appended. Ends after an error.
    /// Their chains are not checked.
    pub fn records(&self) -> Records<'_> {
        Records { reader: self, batch: Vec::new().into_iter(), seen: 0, done: false }
    }

    /// Reads everything and reports whatever is wrong, not only the first of it.
    ///
    /// # Errors
    /// [`OpenError::Io`] when the file cannot be read at all.
    pub fn verify(&self) -> Result<Verified, OpenError> {
        let mut found = Verified { damages: self.check_file()?, ..Verified::default() };
        let mut scan = Scan::default();
        let scanned = scan.run(
            &self.connection,
            |_, _| found.records += 1,
            |damage| {
                found.damages.push(damage);
                Ok(())
            },
        );
        match scanned {
            Ok(()) => Ok(found),
            Err(Broken::Damaged(damage)) => {
                found.damages.push(damage);
                Ok(found)
            }
            Err(Broken::Failed(error)) => Err(open_error(&self.file, &error)),
        }
    }

    fn check_file(&self) -> Result<Vec<Damage>, OpenError> {
        let lines = self
            .connection
            .prepare("PRAGMA integrity_check")
            .and_then(|mut check| check.query_map((), |row| row.get::<_, String>(0))?.collect());
        let lines: Vec<String> = match lines {
            Ok(lines) => lines,
            Err(error) => match open_error(&self.file, &error) {
                OpenError::Damaged { damage, .. } => return Ok(vec![damage]),
                other => return Err(other),
            },
        };
        let damages = lines.into_iter().filter(|line| line != "ok");
        let damages = damages.map(|reason| Damage::File { after: 0, reason });
        let unfinished =
            wal::damage(&self.file).map_err(|source| OpenError::Io { file: self.file.clone(), source })?;
        Ok(unfinished.into_iter().chain(damages).collect())
    }

    /// Counts what is there.
    ///
    /// # Errors
    /// The first record that cannot be read.
    pub fn stats(&self) -> Result<Stats, ReadError> {
        let mut journals: HashMap<JournalId, (JournalStats, bool)> = HashMap::new();
        for followed in self.records() {
            let envelope = followed?.envelope;
            let (stats, closed) = journals.entry(envelope.journal).or_default();
            stats.add(envelope.record.body.len());
            *closed = envelope.record.closes;
        }
        let categories = Category::ALL.map(|category| {
            let mut sum = CategoryStats::default();
            for (_, (stats, closed)) in journals.iter().filter(|(id, _)| id.category() == category) {
                sum.journals += 1;
                sum.open_journals += u64::from(!closed);
                sum.total.records += stats.records;
                sum.total.bytes += stats.bytes;
            }
            (category, sum)
        });
        // The name decides between equals, so that two runs answer the same.
        let largest = journals.into_iter().max_by_key(|(id, (stats, _))| (stats.bytes, id.clone()));
        Ok(Stats { categories: categories.into(), largest: largest.map(|(id, (stats, _))| (id, stats)) })
    }

    fn batch(&self, seen: u64) -> Result<Vec<Followed>, ReadError> {
        let lost = |error| failed(seen, &error);
        let select = format!("SELECT {COLUMNS} FROM record WHERE sequence > ?1 ORDER BY sequence LIMIT ?2");
        let mut statement = self.connection.prepare(&select).map_err(lost)?;
        let mut rows = statement.query([seen.cast_signed(), BATCH as i64]).map_err(lost)?;
        let names = Index::default();
        let mut batch = Vec::new();
        while let Some(row) = rows.next().map_err(lost)? {
            let (sequence, envelope) = envelope(row, &names).map_err(damaged)?;
            batch.push(Followed { position: Position { shard: 0, sequence }, envelope });
        }
        Ok(batch)
    }
}

/// All records of a log, see [`EmbeddedReader::records`].
#[derive(Debug)]
pub struct Records<'a> {
    reader: &'a EmbeddedReader,
    batch: std::vec::IntoIter<Followed>,
    seen: u64,
    done: bool,
}

impl Iterator for Records<'_> {
    type Item = Result<Followed, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(followed) = self.batch.next() {
            self.seen = followed.position.sequence;
            return Some(Ok(followed));
        }
        if self.done {
            return None;
        }
        match self.reader.batch(self.seen) {
            Ok(batch) if batch.is_empty() => {
                self.done = true;
                None
            }
            Ok(batch) => {
                self.batch = batch.into_iter();
                self.next()
            }
            Err(error) => {
                self.done = true;
                Some(Err(error))
            }
        }
    }
}
