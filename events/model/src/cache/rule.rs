//! What a node says of the cache (contract 6.3).

use super::{Dataset, dataset_of};
use skein_idl::flyteidl::core::{self, node_metadata};

/// How a node's outputs are kept for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    /// Who may share them.
    pub dataset: Dataset,
    /// Whether of several nodes that need the same outputs at once only one computes them.
    pub serialize: bool,
    /// The inputs that make no difference.
    pub ignored: Vec<String>,
}

impl CacheRule {
    /// Reads it from the task and from what the node overrides; none when nothing is to be kept. A task without outputs has
    /// nothing to keep.
    pub fn of(metadata: Option<&core::NodeMetadata>, task: &core::TaskTemplate) -> Option<Self> {
        let of_task = task.metadata.as_ref();
        let cacheable = match metadata.and_then(|of_node| of_node.cacheable_value.as_ref()) {
            Some(node_metadata::CacheableValue::Cacheable(is)) => *is,
            None => of_task.is_some_and(|metadata| metadata.discoverable),
        };
        let outputs = task.interface.as_ref().and_then(|interface| interface.outputs.as_ref());
        if !cacheable || outputs.is_none_or(|outputs| outputs.variables.is_empty()) {
            return None;
        }
        let version = match metadata.and_then(|of_node| of_node.cache_version_value.as_ref()) {
            Some(node_metadata::CacheVersionValue::CacheVersion(version)) => version.as_str(),
            None => of_task.map_or("", |metadata| metadata.discovery_version.as_str()),
        };
        let serialize = match metadata.and_then(|of_node| of_node.cache_serializable_value.as_ref()) {
            Some(node_metadata::CacheSerializableValue::CacheSerializable(is)) => *is,
            None => of_task.is_some_and(|metadata| metadata.cache_serializable),
        };
        Some(Self {
            dataset: dataset_of(task.id.as_ref()?, task.interface.as_ref(), version),
            serialize,
            ignored: of_task.map(|metadata| metadata.cache_ignore_input_vars.clone()).unwrap_or_default(),
        })
    }
}
