//! What cached tasks produced, as clients see it: a node's entry, what there is, and that it no longer counts.

use crate::error::ApiError;
use crate::nodes;
use crate::progress::rfc3339;
use crate::shared::{Shared, select_execution};
use crate::views::{CacheRow, ExecutionRow, NodeRow, Reader as _};
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};
use skein_catalog::CatalogError;
use skein_idl::flyteidl::{admin, core};
use skein_model::{Attempt, CacheKey, CacheSource, Dataset, ExecutionId, NodeId};
use std::collections::BTreeMap;

/// What the cache holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Its datasets, in order of their names.
    pub datasets: Vec<CachedTask>,
}

/// What the cache holds of one version of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedTask {
    /// The task's project.
    pub project: String,
    /// Its domain.
    pub domain: String,
    /// Its name.
    pub task: String,
    /// The cache version that its author gave it.
    pub version: String,
    /// A hash of its interface, in hexadecimal digits.
    pub interface: String,
    /// How many sets of inputs the cache has outputs for.
    pub entries: usize,
    /// When it was last given some, by RFC 3339 in UTC; none when it never was.
    pub stored_at: Option<String>,
}

/// How many entries no longer count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evicted {
    /// How many.
    pub evicted: usize,
}

/// Which datasets are meant; what is none is not asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Which {
    /// The project.
    pub project: Option<String>,
    /// The domain.
    pub domain: Option<String>,
    /// The task's name.
    pub task: Option<String>,
    /// The cache version.
    pub version: Option<String>,
}

impl Which {
    fn is_meant(&self, dataset: &Dataset) -> bool {
        let is = |asked: &Option<String>, found: &str| asked.as_deref().is_none_or(|asked| asked == found);
        is(&self.project, &dataset.project)
            && is(&self.domain, &dataset.domain)
            && is(&self.task, &dataset.task)
            && is(&self.version, &dataset.version)
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Read(error) => error.into(),
            CatalogError::Codec(error) => error.into(),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// Lists what the cache holds.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn list(shared: &Shared, which: &Which) -> Result<Cache, ApiError> {
    let mut datasets = shared.catalog.datasets().await?;
    datasets.retain(|summary| which.is_meant(&summary.dataset));
    let datasets = datasets.into_iter().map(|summary| {
        let Dataset { project, domain, task, version, interface } = summary.dataset;
        let (interface, entries) = (format!("{interface:032x}"), summary.entries);
        CachedTask {
            project,
            domain,
            task,
            version,
            interface,
            entries,
            stored_at: summary.stored_at.map(rfc3339),
        }
    });
    Ok(Cache { datasets: datasets.collect() })
}

/// Makes the entries of a task not count any more.
///
/// # Errors
/// [`ApiError::NotFound`] when the cache never had any of it.
pub(crate) async fn evict(shared: &Shared, which: &Which) -> Result<Evicted, ApiError> {
    let mut datasets = shared.catalog.datasets().await?;
    datasets.retain(|summary| which.is_meant(&summary.dataset));
    if datasets.is_empty() {
        let Which { project, domain, task, version } = which;
        let name = |part: &Option<String>| part.clone().unwrap_or_default();
        let version = version.as_ref().map(|version| format!(" in cache version {version:?}"));
        return Err(ApiError::NotFound(format!(
            "the cache has nothing of task {}/{}/{}{}; `skein cache ls` lists what it has",
            name(project),
            name(domain),
            name(task),
            version.unwrap_or_default()
        )));
    }
    let mut evicted = 0;
    for summary in datasets {
        let dataset = &summary.dataset;
        evicted += shared.catalog.evict(dataset, None, &shared.config.principal, shared.now()).await?;
    }
    Ok(Evicted { evicted })
}

/// Makes the entries not count any more that an execution made or used, or one node of it.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such execution or node.
pub(crate) async fn evict_of(
    shared: &Shared,
    id: &ExecutionId,
    node: Option<&str>,
) -> Result<Evicted, ApiError> {
    let nodes = match node {
        Some(node) => vec![nodes::find(shared, id, node).await?.1],
        None => all_nodes(shared, id).await?,
    };
    let mut keys: BTreeMap<Dataset, Vec<CacheKey>> = BTreeMap::new();
    for node in nodes {
        if let Some(CacheRow { dataset, entry }) = node.cache {
            let made =
                shared.catalog.keys_of(&dataset, id, Some(&NodeId::new(node.node_id.as_str()))).await?;
            let known = keys.entry(dataset).or_default();
            known.extend(made);
            known.extend(entry.map(|entry| entry.key));
        }
    }
    let mut evicted = 0;
    for (dataset, mut keys) in keys {
        keys.sort_unstable();
        keys.dedup();
        let principal = &shared.config.principal;
        evicted += shared.catalog.evict(&dataset, Some(&keys), principal, shared.now()).await?;
    }
    Ok(Evicted { evicted })
}

async fn all_nodes(shared: &Shared, id: &ExecutionId) -> Result<Vec<NodeRow>, ApiError> {
    let (condition, values) = select_execution(id);
    let tail = format!("FROM executions WHERE {condition}");
    let found = shared.views.read(move |tables| {
        let Some(execution) = tables.find::<ExecutionRow>(&tail, &values)? else { return Ok(None) };
        let key = Value::Integer(execution.key);
        Ok(Some(tables.all::<NodeRow>("FROM nodes WHERE execution = ?", &[key])?))
    });
    found.await?.ok_or_else(|| ApiError::no_execution(id))
}

/// Answers what the cache has to do with a node: none when it has nothing. An entry that was evicted since is shown as that.
///
/// # Errors
/// When the cache cannot be read.
pub(crate) async fn metadata(
    shared: &Shared,
    execution: &ExecutionRow,
    node: &NodeRow,
) -> Result<Option<admin::TaskNodeMetadata>, ApiError> {
    use core::CatalogCacheStatus as Status;
    let Some(CacheRow { dataset, entry: Some(entry) }) = &node.cache else { return Ok(None) };
    let mut status = Status::try_from(node.cache_status).unwrap_or(Status::CacheDisabled);
    if matches!(status, Status::CacheHit | Status::CachePopulated)
        && shared.catalog.evicted(dataset, &[entry.key]).await? == [true]
    {
        status = Status::CacheEvicted;
    }
    let own = (node.cache_status == Status::CachePopulated as i32).then(|| CacheSource {
        execution: execution.id.clone(),
        node: NodeId::new(node.node_id.as_str()),
        attempt: Attempt(entry.attempt),
        task_version: node.task_version.clone(),
    });
    let source = entry.source.clone().or(own);
    Ok(Some(admin::TaskNodeMetadata {
        cache_status: status.into(),
        catalog_key: Some(catalog_key(dataset, entry.key, source)),
        ..Default::default()
    }))
}

/// Names an entry as the original does.
fn catalog_key(dataset: &Dataset, key: CacheKey, source: Option<CacheSource>) -> core::CatalogMetadata {
    use core::catalog_metadata::SourceExecution;
    let Dataset { project, domain, task, .. } = dataset;
    let id = |resource_type: core::ResourceType, name: String, version: String| core::Identifier {
        resource_type: resource_type.into(),
        project: project.clone(),
        domain: domain.clone(),
        name,
        version,
        ..Default::default()
    };
    let source =
        source.map(|CacheSource { execution, node, attempt, task_version }| core::TaskExecutionIdentifier {
            task_id: Some(id(core::ResourceType::Task, task.clone(), task_version)),
            node_execution_id: Some(core::NodeExecutionIdentifier {
                node_id: node.as_str().to_owned(),
                execution_id: Some(execution.to_proto()),
            }),
            retry_attempt: attempt.0,
        });
    core::CatalogMetadata {
        dataset_id: Some(id(
            core::ResourceType::Dataset,
            format!("flyte_task-{task}"),
            dataset.full_version(),
        )),
        artifact_tag: Some(core::CatalogArtifactTag {
            artifact_id: key.to_string(),
            name: format!("flyte_cached-{key}"),
        }),
        source_execution: source.map(SourceExecution::SourceTaskExecution),
    }
}
