//! Shows the items of a map: one external resource for each time an item was run.

use crate::log_links::{LogLink, Try};
use crate::views::{AttemptRow, ChunkRow};
use skein_idl::flyteidl::core::task_execution::Phase;
use skein_idl::flyteidl::{core, event};
use skein_model::{ExecutionId, NodeId, Timestamp};

/// Where the items' logs are, and what they are called.
pub(super) struct Links<'a> {
    pub(super) base: String,
    pub(super) execution: &'a ExecutionId,
    pub(super) node: &'a NodeId,
    /// Whether what ran is kept in the cache.
    pub(super) keeps: bool,
    /// The try of the whole map.
    pub(super) attempt: &'a AttemptRow,
    /// Where logs are kept beside ours.
    pub(super) others: &'a [LogLink],
    pub(super) now: Timestamp,
}

struct Run {
    index: u32,
    attempt: u32,
    failed: bool,
    /// Whether the cache had it.
    cached: bool,
}

impl Links<'_> {
    /// Answers the runs of items in order of item and attempt. Of more than `max`, the failed ones come first and the
    /// others from the beginning.
    pub(super) fn resources(&self, chunks: &[ChunkRow], max: usize) -> Vec<event::ExternalResourceInfo> {
        let mut runs: Vec<Run> = failed(chunks).take(max).collect();
        let room = max - runs.len();
        runs.extend(succeeded(chunks).take(room));
        runs.sort_by_key(|run| (run.index, run.attempt));
        runs.iter().map(|run| self.resource(run)).collect()
    }

    fn resource(&self, run: &Run) -> event::ExternalResourceInfo {
        let Run { index, attempt, failed, cached } = run;
        let (node, base) = (self.node, &self.base);
        let external_id = format!("{}-{node}-0-n{index}-{attempt}", self.execution.name);
        let own = core::TaskLog {
            uri: format!("{base}/{attempt}/{index}"),
            name: format!("Task Logs-{index}"),
            ..Default::default()
        };
        let run = Try {
            execution: self.execution,
            node: node.as_str(),
            task: &self.attempt.task,
            attempt: *attempt,
            generated_name: &external_id,
            started: self.attempt.started_at.unwrap_or(self.attempt.created_at),
            ended: self.attempt.ended_at.unwrap_or(self.now),
        };
        let others = self.others.iter().map(|link| link.of(&run, &format!("-{index}")));
        // Of what did not run nothing can have been printed.
        let logs = if *cached { Vec::new() } else { std::iter::once(own).chain(others).collect() };
        let phase = if *failed { Phase::Failed } else { Phase::Succeeded };
        let status = match (*failed, *cached) {
            (_, true) => core::CatalogCacheStatus::CacheHit,
            (false, false) if self.keeps => core::CatalogCacheStatus::CachePopulated,
            (true | false, false) => core::CatalogCacheStatus::CacheDisabled,
        };
        event::ExternalResourceInfo {
            external_id,
            index: *index,
            retry_attempt: *attempt,
            phase: phase.into(),
            cache_status: status.into(),
            logs,
            ..Default::default()
        }
    }
}

fn failed(chunks: &[ChunkRow]) -> impl Iterator<Item = Run> {
    chunks
        .iter()
        .flat_map(|chunk| chunk.failures.iter().map(|index| Run { failed: true, ..run_of(chunk, *index) }))
}

fn succeeded(chunks: &[ChunkRow]) -> impl Iterator<Item = Run> {
    chunks.iter().flat_map(|chunk| {
        let was_returned =
            |index: u32| chunk.returned.iter().any(|range| (range.start..range.end).contains(&index));
        (chunk.range.start..chunk.range.end)
            .filter(move |index| chunk.failures.binary_search(index).is_err() && !was_returned(*index))
            .map(|index| run_of(chunk, index))
    })
}

const fn run_of(chunk: &ChunkRow, index: u32) -> Run {
    let ChunkRow { attempt, cached, .. } = chunk;
    Run { index, attempt: *attempt, failed: false, cached: *cached }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::event::ItemRange;

    fn chunk(start: u32, end: u32, attempt: u32, failures: &[u32], returned: &[(u32, u32)]) -> ChunkRow {
        ChunkRow {
            range: ItemRange { start, end },
            attempt,
            failures: failures.to_vec(),
            returned: returned.iter().map(|&(start, end)| ItemRange { start, end }).collect(),
            cached: false,
        }
    }

    fn resources(chunks: &[ChunkRow], max: usize, keeps: bool) -> Vec<event::ExternalResourceInfo> {
        let (node, now) = (NodeId::new("n0"), Timestamp::from_micros(0));
        let task = skein_model::EntityId {
            kind: skein_model::EntityKind::Task,
            project: "p".into(),
            domain: "d".into(),
            name: "t".into(),
            version: "v".into(),
        };
        let attempt = AttemptRow {
            attempt: 0,
            phase: SUCCEEDED,
            is_array: true,
            created_at: now,
            updated_at: now,
            started_at: Some(now),
            ended_at: None,
            error: None,
            inputs: None,
            outputs: None,
            worker: String::new(),
            task,
            task_type: String::new(),
            is_cached: keeps,
            is_interruptible: false,
            moved: None,
            job: None,
            place: String::new(),
            used: None,
            resources: skein_model::TaskResources::default(),
        };
        let given = [("name", "Mine"), ("uri", "https://x/{{ .podName }}")];
        let given = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let links = Links {
            base: "http://x/logs/p/d/e/n0".to_owned(),
            execution: &ExecutionId { project: "p".into(), domain: "d".into(), name: "e".into() },
            node: &node,
            keeps,
            attempt: &attempt,
            others: &[LogLink::read(&given.into()).expect("it is right")],
            now,
        };
        links.resources(chunks, max)
    }

    fn shown(chunks: &[ChunkRow], max: usize) -> Vec<(String, i32)> {
        resources(chunks, max, false)
            .into_iter()
            .map(|resource| (resource.external_id, resource.phase))
            .collect()
    }

    const FAILED: i32 = Phase::Failed as i32;
    const SUCCEEDED: i32 = Phase::Succeeded as i32;

    #[test]
    fn a_retried_item_is_shown_once_for_each_attempt() {
        let chunks = [chunk(0, 3, 0, &[1], &[]), chunk(1, 2, 1, &[], &[])];
        let expected = [
            ("e-n0-0-n0-0", SUCCEEDED),
            ("e-n0-0-n1-0", FAILED),
            ("e-n0-0-n1-1", SUCCEEDED),
            ("e-n0-0-n2-0", SUCCEEDED),
        ];
        assert_eq!(shown(&chunks, 10), expected.map(|(id, phase)| (id.to_owned(), phase)));
    }

    #[test]
    fn an_item_that_was_handed_back_is_not_shown_as_run() {
        let chunks = [chunk(0, 3, 0, &[], &[(1, 3)]), chunk(1, 3, 0, &[], &[])];
        assert_eq!(shown(&chunks, 10).len(), 3);
    }

    #[test]
    fn an_item_that_the_cache_had_shows_that_and_has_no_log() {
        let chunks = [ChunkRow { cached: true, ..chunk(0, 2, 0, &[], &[(1, 2)]) }, chunk(1, 2, 0, &[], &[])];
        let resources = resources(&chunks, 9, true);
        let shown: Vec<_> =
            resources.iter().map(|one| (one.index, one.cache_status(), one.logs.len())).collect();
        let (hit, populated) = (core::CatalogCacheStatus::CacheHit, core::CatalogCacheStatus::CachePopulated);
        assert_eq!(shown, [(0, hit, 0), (1, populated, 2)]);
    }

    #[test]
    fn of_too_many_items_the_failed_ones_are_shown_first() {
        let chunks = [chunk(0, 1_000, 0, &[998, 999], &[])];
        let shown = shown(&chunks, 3);
        assert_eq!(shown[0].0, "e-n0-0-n0-0");
        assert_eq!(shown[1..], [("e-n0-0-n998-0".to_owned(), FAILED), ("e-n0-0-n999-0".to_owned(), FAILED)]);
    }

    #[test]
    fn an_item_links_to_its_own_log_and_to_where_else_logs_are_kept() {
        let resources = resources(&[chunk(4, 8, 1, &[], &[])], 1, false);
        let links: Vec<(&str, &str)> =
            resources[0].logs.iter().map(|log| (log.name.as_str(), log.uri.as_str())).collect();
        let expected = [("Task Logs-4", "http://x/logs/p/d/e/n0/1/4"), ("Mine-4", "https://x/e-n0-0-n4-1")];
        assert_eq!(links, expected);
    }
}
