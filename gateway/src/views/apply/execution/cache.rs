//! Writes what passes between a node and the cache.

use super::Row;
use crate::views::blobs::encode;
use crate::views::fold::CacheChange;
use crate::views::rows::CacheEntry;
use rusqlite::{OptionalExtension as _, params};
use skein_model::event::{CachedItems, ItemRange};
use skein_model::{NodeId, NodePhase};

impl Row<'_> {
    pub(super) fn cache(&self, node: &NodeId, change: &CacheChange<'_>) -> Result<(), rusqlite::Error> {
        let CacheChange { status, key, source, runs } = change;
        let entry = match key {
            Some(key) => Some(CacheEntry { key: *key, source: source.cloned(), attempt: 0 }),
            None => self.made_by_last_try(node)?,
        };
        let entry = entry.map(|entry| encode(&entry));
        self.tx
            .prepare_cached(
                "UPDATE nodes SET updated_at = ?3, cache_status = ?4, cache = coalesce(?5, cache)
                WHERE execution = ?1 AND node_id = ?2",
            )?
            .execute(params![self.key, node.as_str(), self.at, *status as i32, entry])?;
        let Some(runs) = runs else { return Ok(()) };
        // A node whose outputs were there has never run.
        let (phase, started) =
            if *runs { (NodePhase::Running, Some(self.at)) } else { (NodePhase::Queued, None) };
        self.tx
            .prepare_cached(
                "UPDATE nodes SET phase = ?3, started_at = ?4 WHERE execution = ?1 AND node_id = ?2",
            )?
            .execute(params![self.key, node.as_str(), phase.as_proto() as i32, started])?;
        Ok(())
    }

    /// Answers the node's entry, made by its last try; none when it has none.
    fn made_by_last_try(&self, node: &NodeId) -> Result<Option<CacheEntry>, rusqlite::Error> {
        let found: Option<(Option<Vec<u8>>, Option<u32>)> = self
            .tx
            .prepare_cached(
                "SELECT cache, (SELECT max(attempt) FROM attempts WHERE execution = ?1 AND node_id = ?2)
                FROM nodes WHERE execution = ?1 AND node_id = ?2",
            )?
            .query_row(params![self.key, node.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((Some(entry), attempt)) = found else { return Ok(None) };
        let entry = rmp_serde::from_slice::<CacheEntry>(&entry).ok();
        Ok(entry.map(|entry| CacheEntry { attempt: attempt.unwrap_or_default(), ..entry }))
    }

    pub(super) fn cached_items(&self, node: &NodeId, items: &CachedItems) -> Result<(), rusqlite::Error> {
        let CachedItems { range, absent, .. } = items;
        let mut missing: Vec<ItemRange> = Vec::new();
        for item in absent {
            match missing.last_mut() {
                Some(last) if last.end == *item => last.end += 1,
                _ => missing.push(ItemRange { start: *item, end: item + 1 }),
            }
        }
        let failed: [u32; 0] = [];
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO map_chunks VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, 1)")?
            .execute(params![
                self.key,
                node.as_str(),
                range.start,
                range.end,
                encode(&failed),
                encode(&missing),
                self.at,
            ])?;
        let absent = u32::try_from(absent.len()).unwrap_or(u32::MAX);
        let found = range.len().saturating_sub(absent);
        self.tx
            .prepare_cached(
                "UPDATE attempts SET updated_at = ?3, succeeded = succeeded + ?4, cached = cached + ?4
                WHERE execution = ?1 AND node_id = ?2 AND is_array = 1",
            )?
            .execute(params![self.key, node.as_str(), self.at, found])?;
        Ok(())
    }
}
