//! The tables, and whether a file has them.

use rusqlite::Connection;
use std::path::Path;

/// The number of this form of the tables. Raised with every change of `TABLES` or of what the fold writes: a file
/// of another number is deleted and made again.
const SCHEMA: i64 = 10;

const TABLES: &str = "
CREATE TABLE cursors (category TEXT PRIMARY KEY, cursor BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE projects (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, state INTEGER NOT NULL,
    labels BLOB NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE attributes (
    project TEXT NOT NULL, domain TEXT NOT NULL, workflow TEXT NOT NULL, resource INTEGER NOT NULL,
    value BLOB NOT NULL, PRIMARY KEY (project, domain, workflow, resource)
) WITHOUT ROWID;
CREATE TABLE secrets (
    domain TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL, is_image_pull INTEGER NOT NULL,
    created_at INTEGER NOT NULL, sealed_by TEXT NOT NULL, PRIMARY KEY (domain, project, name)
) WITHOUT ROWID;
CREATE TABLE entities (
    kind INTEGER NOT NULL, project TEXT NOT NULL, domain TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, closure BLOB NOT NULL,
    task_type TEXT NOT NULL, short_description TEXT NOT NULL, docs BLOB, state INTEGER NOT NULL DEFAULT 0,
    schedule_type INTEGER NOT NULL DEFAULT 0,
    workflow_project TEXT NOT NULL DEFAULT '', workflow_domain TEXT NOT NULL DEFAULT '',
    workflow_name TEXT NOT NULL DEFAULT '', workflow_version TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, project, domain, name, version)
) WITHOUT ROWID;
CREATE INDEX entities_by_age ON entities (kind, project, domain, created_at);
CREATE TABLE named_entities (
    kind INTEGER NOT NULL, project TEXT NOT NULL, domain TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '', state INTEGER NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, active TEXT NOT NULL DEFAULT '', PRIMARY KEY (kind, project, domain, name)
) WITHOUT ROWID;
CREATE TABLE executions (
    key INTEGER PRIMARY KEY, project TEXT NOT NULL, domain TEXT NOT NULL, name TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,
    phase INTEGER NOT NULL, mode INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0,
    state_at INTEGER NOT NULL, state_principal TEXT NOT NULL DEFAULT '', principal TEXT NOT NULL,
    launch_kind INTEGER NOT NULL, launch_project TEXT NOT NULL, launch_domain TEXT NOT NULL,
    launch_name TEXT NOT NULL, launch_version TEXT NOT NULL,
    workflow_project TEXT NOT NULL, workflow_domain TEXT NOT NULL, workflow_name TEXT NOT NULL,
    workflow_version TEXT NOT NULL, parent_node TEXT NOT NULL DEFAULT '',
    error_code TEXT, error_message TEXT, error_kind INTEGER, abort_cause TEXT, abort_principal TEXT,
    spec BLOB NOT NULL, plan BLOB NOT NULL, plan_digest INTEGER NOT NULL, inputs BLOB NOT NULL,
    user_inputs BLOB NOT NULL, outputs BLOB, data_prefix TEXT NOT NULL, raw_prefix TEXT NOT NULL,
    skips_end INTEGER NOT NULL, interruptible INTEGER, notifications BLOB NOT NULL,
    UNIQUE (project, domain, name)
);
CREATE INDEX executions_by_age ON executions (project, domain, created_at);
CREATE TABLE execution_tags (
    execution INTEGER NOT NULL, tag TEXT NOT NULL, value TEXT NOT NULL, label INTEGER NOT NULL,
    PRIMARY KEY (execution, tag, value, label)
) WITHOUT ROWID;
CREATE INDEX execution_tags_by_tag ON execution_tags (tag, value);
CREATE TABLE plan_nodes (
    plan INTEGER NOT NULL, node_id TEXT NOT NULL, is_array INTEGER NOT NULL, task_type TEXT NOT NULL,
    task_project TEXT NOT NULL, task_domain TEXT NOT NULL, task_name TEXT NOT NULL, task_version TEXT NOT NULL,
    place INTEGER NOT NULL, upstream BLOB NOT NULL, handles_failure INTEGER NOT NULL, cache BLOB,
    interruptible BLOB NOT NULL, resources BLOB NOT NULL, parent TEXT NOT NULL, spec_id TEXT NOT NULL,
    PRIMARY KEY (plan, node_id)
) WITHOUT ROWID;
CREATE TABLE nodes (
    execution INTEGER NOT NULL, node_id TEXT NOT NULL, phase INTEGER NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,
    error_code TEXT, error_message TEXT, error_kind INTEGER, inputs BLOB, outputs BLOB, deck TEXT,
    cache_status INTEGER NOT NULL DEFAULT 0, cache BLOB, parent TEXT NOT NULL DEFAULT '', made BLOB, child BLOB,
    edge TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (execution, node_id)
) WITHOUT ROWID;
CREATE INDEX nodes_inside ON nodes (execution, parent) WHERE parent != '';
CREATE TABLE signals (
    execution INTEGER NOT NULL, signal_id TEXT NOT NULL, type BLOB NOT NULL, value BLOB,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (execution, signal_id)
) WITHOUT ROWID;
CREATE TABLE attempts (
    execution INTEGER NOT NULL, node_id TEXT NOT NULL, attempt INTEGER NOT NULL, phase INTEGER NOT NULL,
    is_array INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,
    error_code TEXT, error_message TEXT, error_kind INTEGER, outputs BLOB, worker TEXT NOT NULL DEFAULT '',
    place TEXT NOT NULL DEFAULT '', not_before INTEGER, moved TEXT NOT NULL DEFAULT '', moved_at INTEGER,
    succeeded INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, retried INTEGER NOT NULL DEFAULT 0,
    cached INTEGER NOT NULL DEFAULT 0, pace BLOB, job BLOB, used BLOB,
    PRIMARY KEY (execution, node_id, attempt)
) WITHOUT ROWID;
CREATE TABLE notices (
    project TEXT NOT NULL, domain TEXT NOT NULL, execution TEXT NOT NULL, notice INTEGER NOT NULL,
    channel TEXT NOT NULL, phase TEXT NOT NULL, ended_at INTEGER NOT NULL, state INTEGER NOT NULL,
    tries INTEGER NOT NULL, updated_at INTEGER NOT NULL, again_at INTEGER, reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (project, domain, execution, notice)
) WITHOUT ROWID;
CREATE INDEX notices_by_age ON notices (ended_at);
CREATE INDEX notices_that_are_dead ON notices (ended_at) WHERE state = 2;
CREATE TABLE map_chunks (
    execution INTEGER NOT NULL, node_id TEXT NOT NULL, first INTEGER NOT NULL, attempt INTEGER NOT NULL,
    last INTEGER NOT NULL, failures BLOB NOT NULL, returned BLOB NOT NULL, ended_at INTEGER NOT NULL,
    cached INTEGER NOT NULL, PRIMARY KEY (execution, node_id, first, attempt, last, ended_at, cached)
) WITHOUT ROWID;
";

/// Opens the views for writing; a file that is damaged or of another schema is made anew.
///
/// # Errors
/// When even a new file cannot be made.
pub(super) fn open_writer(file: &Path) -> Result<Connection, rusqlite::Error> {
    match open_existing(file) {
        Ok(Some(connection)) => return Ok(connection),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "the views cannot be read and are made again")
        }
    }
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        // What is not there need not be removed; what cannot be removed shows when the tables are made.
        drop(std::fs::remove_file(path));
    }
    let connection = Connection::open(file)?;
    set_up(&connection)?;
    connection.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;"))?;
    Ok(connection)
}

/// Opens the views for reading.
///
/// # Errors
/// When the file is not there or not SQLite's.
pub(super) fn open_reader(file: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(file)?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn open_existing(file: &Path) -> Result<Option<Connection>, rusqlite::Error> {
    if !file.exists() {
        return Ok(None);
    }
    let connection = Connection::open(file)?;
    set_up(&connection)?;
    let schema: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((schema == SCHEMA).then_some(connection))
}

fn set_up(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Lost writes are folded again from the log: nothing here needs an fsync.
    connection.pragma_update(None, "synchronous", "off")?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}
