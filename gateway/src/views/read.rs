//! How rows come out of the tables.

use crate::error::ApiError;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

/// Something that is read as one row.
pub(crate) trait Row: Sized {
    /// What is selected, in the order in which `read` takes it.
    const COLUMNS: &'static str;

    /// Takes a row apart.
    ///
    /// # Errors
    /// When a column does not hold what belongs there.
    fn read(row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error>;
}

/// Reads of a connection in terms of rows. `tail` is what follows `SELECT columns`; values are always bound.
pub(crate) trait Reader {
    /// Reads the first row, if there is one.
    ///
    /// # Errors
    /// SQLite's.
    fn find<R: Row>(&self, tail: &str, values: &[Value]) -> Result<Option<R>, ApiError>;

    /// Reads all rows.
    ///
    /// # Errors
    /// SQLite's.
    fn all<R: Row>(&self, tail: &str, values: &[Value]) -> Result<Vec<R>, ApiError>;
}

impl Reader for Connection {
    fn find<R: Row>(&self, tail: &str, values: &[Value]) -> Result<Option<R>, ApiError> {
        let mut statement = self.prepare_cached(&format!("SELECT {} {tail}", R::COLUMNS))?;
        Ok(statement.query_row(params_from_iter(values), R::read).optional()?)
    }

    fn all<R: Row>(&self, tail: &str, values: &[Value]) -> Result<Vec<R>, ApiError> {
        let mut statement = self.prepare_cached(&format!("SELECT {} {tail}", R::COLUMNS))?;
        let rows = statement.query_map(params_from_iter(values), R::read)?;
        Ok(rows.collect::<Result<Vec<R>, _>>()?)
    }
}
