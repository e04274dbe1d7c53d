//! Writes what becomes of a map and its items.

use super::Row;
use crate::views::blobs::encode;
use crate::views::fold::{Counted, Error};
use crate::views::pace::Pace;
use rusqlite::{OptionalExtension, params};
use skein_idl::flyteidl::core;
use skein_model::event::FinishedChunk;
use skein_model::{NodeId, Timestamp, Used};

impl Row<'_> {
    pub(super) fn map(&self, node: &NodeId, size: u32) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO attempts (execution, node_id, attempt, phase, is_array, size, created_at,
                    updated_at, started_at)
                VALUES (?1, ?2, 0, ?3, 1, ?4, ?5, ?5, ?5)",
            )?
            .execute(params![
                self.key,
                node.as_str(),
                core::task_execution::Phase::Running as i32,
                size,
                self.at
            ])?;
        self.tx
            .prepare_cached("UPDATE nodes SET updated_at = ?3 WHERE execution = ?1 AND node_id = ?2")?
            .execute(params![self.key, node.as_str(), self.at])?;
        Ok(())
    }

    pub(super) fn chunk(
        &self,
        node: &NodeId,
        chunk: &FinishedChunk,
        again: usize,
    ) -> Result<(), rusqlite::Error> {
        let failed: Vec<u32> = chunk.failures.iter().map(|failure| failure.index).collect();
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO map_chunks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)")?
            .execute(params![
                self.key,
                node.as_str(),
                chunk.range.start,
                chunk.attempt.0,
                chunk.range.end,
                encode(&failed),
                encode(&chunk.returned),
                self.at,
            ])?;
        if let Some(used) = chunk.used {
            self.add_used(node, used)?;
        }
        self.count(node, &Counted::of(chunk, again))
    }

    /// Adds what a range of items used to what the map did. Few ranges run long enough for that to be known.
    fn add_used(&self, node: &NodeId, used: Used) -> Result<(), rusqlite::Error> {
        let before: Option<Vec<u8>> = self
            .tx
            .prepare_cached(
                "SELECT used FROM attempts WHERE execution = ?1 AND node_id = ?2 AND is_array = 1",
            )?
            .query_row(params![self.key, node.as_str()], |row| row.get(0))
            .optional()?
            .flatten();
        let before: Used = before.and_then(|used| rmp_serde::from_slice(&used).ok()).unwrap_or_default();
        self.tx
            .prepare_cached(
                "UPDATE attempts SET used = ?3 WHERE execution = ?1 AND node_id = ?2 AND is_array = 1",
            )?
            .execute(params![self.key, node.as_str(), encode(&before.and(used))])?;
        Ok(())
    }

    /// Adds the items of one record to the counts of their map: one row, whatever the size of the map.
    fn count(&self, node: &NodeId, counted: &Counted) -> Result<(), rusqlite::Error> {
        let pace: Option<Vec<u8>> = self
            .tx
            .prepare_cached(
                "SELECT pace FROM attempts WHERE execution = ?1 AND node_id = ?2 AND is_array = 1",
            )?
            .query_row(params![self.key, node.as_str()], |row| row.get(0))
            .optional()?
            .flatten();
        let mut pace: Pace = pace.and_then(|pace| rmp_serde::from_slice(&pace).ok()).unwrap_or_default();
        pace.add(Timestamp::from_micros(self.at), counted.succeeded + counted.failed);
        self.tx
            .prepare_cached(
                "UPDATE attempts SET updated_at = ?3, succeeded = succeeded + ?4, failed = failed + ?5,
                    retried = retried + ?6, pace = ?7
                WHERE execution = ?1 AND node_id = ?2 AND is_array = 1",
            )?
            .execute(params![
                self.key,
                node.as_str(),
                self.at,
                counted.succeeded,
                counted.failed,
                counted.retried,
                encode(&pace),
            ])?;
        Ok(())
    }

    pub(super) fn end_map(
        &self,
        node: &NodeId,
        phase: core::task_execution::Phase,
        error: Option<&Error>,
    ) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(
                "UPDATE attempts SET phase = ?3, updated_at = ?4, ended_at = ?4, error_code = ?5, error_message = ?6,
                    error_kind = ?7
                WHERE execution = ?1 AND node_id = ?2 AND is_array = 1 AND ended_at IS NULL",
            )?
            .execute(params![
                self.key,
                node.as_str(),
                phase as i32,
                self.at,
                error.map(|error| &error.code),
                error.map(|error| &error.message),
                error.map(|error| error.kind as i32),
            ])?;
        Ok(())
    }
}
