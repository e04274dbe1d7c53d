//! How records lie in SQLite: one table, keyed by sequence, and no index beside it.
//!
//! An index on disk is written at random places and costs ten times the append (measured); where a journal's records
//! are is known in memory instead, see [`super::index`].

use super::error::{Damage, OpenError};
use super::index::Index;
use super::wal;
use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use skein_model::envelope::{SCHEMA, TraceContext};
use skein_model::{Category, CauseId, Digest, Envelope, JournalId, Record, Timestamp, Version};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// `SKEN`: marks the file as a log.
const APPLICATION_ID: i64 = 0x534b_454e;
/// The number of the newest layout known here.
const LAYOUT: i64 = 1;

const CREATE: &str = "
CREATE TABLE record (
    sequence INTEGER PRIMARY KEY,
    category INTEGER NOT NULL,
    journal TEXT NOT NULL,
    version INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    time INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    trace BLOB,
    closes INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;";

/// The columns in the order in which [`envelope`] takes them.
pub(super) const COLUMNS: &str =
    "sequence, category, journal, version, schema, time, cause, trace, closes, digest, body";

pub(super) const INSERT: &str = "INSERT INTO record
    (sequence, category, journal, version, schema, time, cause, trace, closes, digest, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// Makes the file with its table where there is none. It gets its name last: so a log that has one and is empty was
/// not left by a process that died while it made it.
pub(super) fn create(file: &Path) -> Result<(), OpenError> {
    if file.exists() {
        return Ok(());
    }
    let failed = |source| OpenError::Io { file: file.to_owned(), source };
    let draft = file.with_extension("draft");
    for left in [draft.clone(), file.with_extension("draft-journal")] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(&draft, flags)?;
    let create = format!(
        "BEGIN IMMEDIATE; {CREATE} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT}; COMMIT;"
    );
    connection.execute_batch(&create).map_err(|error| open_error(file, &error))?;
    connection.close().map_err(|(_, error)| open_error(file, &error))?;
    fs::File::open(&draft).and_then(|draft| draft.sync_all()).map_err(failed)?;
    fs::rename(&draft, file).map_err(failed)
}

/// Opens a file that is there for writing.
pub(super) fn open_writer(file: &Path) -> Result<Connection, OpenError> {
    let damaged = |reason: &str| OpenError::Damaged {
        file: file.to_owned(),
        damage: Damage::File { after: 0, reason: reason.to_owned() },
    };
    // To SQLite, an empty file is an empty database.
    if fs::metadata(file).is_ok_and(|metadata| metadata.len() == 0) {
        return Err(damaged("it is empty"));
    }
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    if check_kind(&connection, file)? == Kind::Empty {
        return Err(damaged("its table is gone"));
    }
    // FULL syncs the write-ahead log at every commit; NORMAL would lose the last commits in a power cut.
    // Checkpoints are done by a thread of their own, because one takes as long as a hundred commits.
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
        PRAGMA journal_size_limit = 67108864;";
    connection.execute_batch(settings).map_err(|error| open_error(file, &error))?;
    Ok(connection)
}

/// Opens for reading beside a writer.
pub(super) fn open_reader(file: &Path) -> Result<Connection, OpenError> {
    open(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Opens a log for reading that may be anywhere: in use, a copy, or on a disk that cannot be written.
pub(super) fn open_inspected(file: &Path) -> Result<Connection, OpenError> {
    if !file.is_file() {
        return Err(OpenError::Absent { file: file.to_owned() });
    }
    let opened =
        open_reader(file).and_then(|connection| check_kind(&connection, file).map(|kind| (connection, kind)));
    let (connection, kind) = match opened {
        Err(OpenError::Io { .. }) if !wal::has_content(file) => {
            // SQLite must write a file beside to read one in use. Where it cannot, nobody else can write either.
            let uri = format!("file:{}?immutable=1", percent_encoded(file));
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = open(Path::new(&uri), flags | OpenFlags::SQLITE_OPEN_URI)?;
            let kind = check_kind(&connection, file)?;
            (connection, kind)
        }
        opened => opened?,
    };
    match kind {
        Kind::Log => Ok(connection),
        Kind::Empty => Err(OpenError::Foreign { file: file.to_owned() }),
    }
}

fn open(file: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let failed = |error| open_error(file, &error);
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    connection.execute_batch("PRAGMA cell_size_check = ON;").map_err(failed)?;
    Ok(connection)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    Log,
}

fn check_kind(connection: &Connection, file: &Path) -> Result<Kind, OpenError> {
    let pragma = |name: &str| {
        let value = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        value.map_err(|error| open_error(file, &error))
    };
    let (application, layout) = (pragma("application_id")?, pragma("user_version")?);
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get::<_, i64>(0));
    match (application, tables.map_err(|error| open_error(file, &error))?) {
        (0, 0) => Ok(Kind::Empty),
        (APPLICATION_ID, _) if layout > LAYOUT => {
            Err(OpenError::Newer { file: file.to_owned(), found: layout, known: LAYOUT })
        }
        (APPLICATION_ID, _) => Ok(Kind::Log),
        _ => Err(OpenError::Foreign { file: file.to_owned() }),
    }
}

fn percent_encoded(file: &Path) -> String {
    let text = file.to_string_lossy();
    text.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// Says what an error of SQLite means for a log that is being opened.
pub(super) fn open_error(file: &Path, error: &rusqlite::Error) -> OpenError {
    let file = file.to_owned();
    if is_corrupt(error) {
        return OpenError::Damaged { file, damage: Damage::File { after: 0, reason: error.to_string() } };
    }
    OpenError::Io { file, source: io::Error::other(error.to_string()) }
}

/// Says whether SQLite found the file itself broken.
pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Answers the number by which a category is stored. Never changes.
pub(super) const fn number_of(category: Category) -> i64 {
    match category {
        Category::Registry => 0,
        Category::Execution => 1,
        Category::Catalog => 2,
        Category::Notification => 3,
        Category::Schedule => 4,
    }
}

fn category_of(number: i64) -> Option<Category> {
    Category::ALL.into_iter().find(|category| number_of(*category) == number)
}

/// Binds a sealed record to [`INSERT`] and runs it.
pub(super) fn insert(
    statement: &mut rusqlite::Statement<'_>,
    sequence: u64,
    sealed: &Envelope,
) -> rusqlite::Result<()> {
    let Envelope { schema, journal, version, digest, record } = sealed;
    let trace = record.trace.map(|trace| {
        let mut bytes = [0; TRACE_BYTES];
        bytes[..16].copy_from_slice(&trace.trace_id.to_le_bytes());
        bytes[16..].copy_from_slice(&trace.span_id.to_le_bytes());
        bytes
    });
    statement.execute((
        sequence.cast_signed(),
        number_of(journal.category()),
        journal.key(),
        version.0.cast_signed(),
        schema,
        record.time.as_micros(),
        record.cause.0.cast_signed(),
        trace.as_ref().map(|bytes| &bytes[..]),
        record.closes,
        digest.0.cast_signed(),
        &record.body[..],
    ))?;
    Ok(())
}

const TRACE_BYTES: usize = 24;

/// Takes a record from a row of [`COLUMNS`]. A journal that `index` knows shares its name with it.
pub(super) fn envelope(row: &Row<'_>, index: &Index) -> Result<(u64, Envelope), Damage> {
    let sequence = integer(row, 0).map_err(|reason| unreadable(row, reason))?.cast_unsigned();
    let envelope = decode(row, index).map_err(|reason| unreadable(row, reason))?;
    Ok((sequence, envelope))
}

fn decode(row: &Row<'_>, index: &Index) -> Result<Envelope, String> {
    let number = integer(row, 1)?;
    let category = category_of(number).ok_or_else(|| format!("category {number} is unknown"))?;
    let key = value(row, 2)?.as_str().map_err(|_| "its journal is not text".to_owned())?;
    let journal = match index.find(category, key) {
        Some((journal, _)) => journal.clone(),
        None => JournalId::from_parts(category, key),
    };
    let number = integer(row, 4)?;
    let schema = u16::try_from(number).map_err(|_| format!("schema {number} is none"))?;
    if schema == 0 || schema > SCHEMA {
        return Err(format!("schema {schema}, known here up to {SCHEMA}"));
    }
    let trace = match value(row, 7)? {
        ValueRef::Null => None,
        ValueRef::Blob(bytes) => Some(trace_of(bytes).ok_or("its trace context is none")?),
        ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => {
            return Err("its trace context is none".to_owned());
        }
    };
    let closes = match integer(row, 8)? {
        0 => false,
        1 => true,
        other => return Err(format!("{other} where yes or no should be")),
    };
    let body = value(row, 10)?.as_blob().map_err(|_| "its body is not bytes".to_owned())?;
    Ok(Envelope {
        schema,
        journal,
        version: Version(integer(row, 3)?.cast_unsigned()),
        digest: Digest(integer(row, 9)?.cast_unsigned()),
        record: Record {
            time: Timestamp::from_micros(integer(row, 5)?),
            cause: CauseId(integer(row, 6)?.cast_unsigned()),
            trace,
            closes,
            body: Bytes::copy_from_slice(body),
        },
    })
}

fn trace_of(bytes: &[u8]) -> Option<TraceContext> {
    let (trace_id, span_id) = bytes.split_at_checked(16)?;
    Some(TraceContext {
        trace_id: u128::from_le_bytes(trace_id.try_into().ok()?),
        span_id: u64::from_le_bytes(span_id.try_into().ok()?),
    })
}

fn value<'a>(row: &'a Row<'_>, column: usize) -> Result<ValueRef<'a>, String> {
    row.get_ref(column).map_err(|error| error.to_string())
}

fn integer(row: &Row<'_>, column: usize) -> Result<i64, String> {
    value(row, column)?.as_i64().map_err(|_| format!("column {column} is not a number"))
}

fn unreadable(row: &Row<'_>, reason: String) -> Damage {
    let text = |column| value(row, column).ok().and_then(|value| value.as_str().ok().map(str::to_owned));
    let sequence = integer(row, 0).unwrap_or(0).cast_unsigned();
    Damage::Unreadable { sequence, journal: text(2).unwrap_or_default(), reason }
}
