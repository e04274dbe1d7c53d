//! Reads a log from its first record to its last, checks each, and builds the index of it.

use super::error::Damage;
use super::index::Index;
use super::table::{COLUMNS, envelope, is_corrupt};
use rusqlite::Connection;
use skein_model::Envelope;

/// The state of a scan.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) index: Index,
    /// The sequence of the last record that was seen.
    pub(super) last: u64,
}

/// A scan that broke off.
#[derive(Debug)]
pub(super) enum Broken {
    Damaged(Damage),
    Failed(rusqlite::Error),
}

impl Scan {
    /// Checks a record that is next in the log. It is noted in any case, so that one damage is reported once.
    fn take(&mut self, sequence: u64, envelope: &Envelope) -> Result<(), Damage> {
        let after = std::mem::replace(&mut self.last, sequence);
        let checked = envelope.check(self.index.head(&envelope.journal));
        self.index.note(envelope, sequence);
        if sequence != after + 1 {
            return Err(Damage::Gap { after, found: sequence });
        }
        checked.map_err(|wrong| Damage::Chain { sequence, wrong })
    }

    /// Reads everything after the last record seen. `on_damage` says whether to go on.
    pub(super) fn run(
        &mut self,
        connection: &Connection,
        mut on_record: impl FnMut(u64, &Envelope),
        mut on_damage: impl FnMut(Damage) -> Result<(), Damage>,
    ) -> Result<(), Broken> {
        let select = format!("SELECT {COLUMNS} FROM record WHERE sequence > ?1 ORDER BY sequence");
        let mut statement = connection.prepare(&select).map_err(|error| self.broken(error))?;
        let mut rows = statement.query([self.last.cast_signed()]).map_err(|error| self.broken(error))?;
        while let Some(row) = rows.next().map_err(|error| self.broken(error))? {
            match envelope(row, &self.index) {
                Ok((sequence, envelope)) => {
                    if let Err(damage) = self.take(sequence, &envelope) {
                        on_damage(damage).map_err(Broken::Damaged)?;
                    }
                    on_record(sequence, &envelope);
                }
                Err(damage) => {
                    self.last += 1;
                    on_damage(damage).map_err(Broken::Damaged)?;
                }
            }
        }
        Ok(())
    }

    fn broken(&self, error: rusqlite::Error) -> Broken {
        if is_corrupt(&error) {
            return Broken::Damaged(Damage::File { after: self.last, reason: error.to_string() });
        }
        Broken::Failed(error)
    }
}
