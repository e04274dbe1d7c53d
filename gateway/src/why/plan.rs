//! What has to be known of a workflow to say why its nodes wait.

use prost::Message as _;
use skein_idl::flyteidl::core::{self, node, task_node};
use skein_model::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// The nodes of a workflow, in its order, the one that handles failures last.
#[derive(Debug, Default)]
pub(super) struct Plan(pub(super) Vec<PlanNode>);

/// One of them.
#[derive(Debug)]
pub(super) struct PlanNode {
    pub(super) id: NodeId,
    /// The nodes that it waits for.
    pub(super) upstream: Vec<NodeId>,
    /// Whether it runs only when the execution fails.
    pub(super) handles_failure: bool,
    /// How long one try may run.
    pub(super) timeout: Option<Duration>,
}

impl Plan {
    /// Takes the nodes of an encoded closure.
    pub(super) fn of(closure: &[u8]) -> Self {
        let closure = core::CompiledWorkflowClosure::decode(closure).unwrap_or_default();
        let timeouts: BTreeMap<String, Duration> = closure
            .tasks
            .into_iter()
            .filter_map(|task| task.template)
            .filter_map(|template| {
                let timeout = template.metadata.and_then(|metadata| positive(metadata.timeout));
                Some((template.id?.name, timeout?))
            })
            .collect();
        let template = closure.primary.and_then(|primary| primary.template).unwrap_or_default();
        let nodes = template.nodes.into_iter().map(|node| (node, false));
        let nodes = nodes.chain(template.failure_node.map(|node| (node, true)));
        Self(
            nodes
                .filter(|(node, _)| ![NodeId::START, NodeId::END].contains(&node.id.as_str()))
                .map(|(node, handles_failure)| PlanNode {
                    timeout: positive(node.metadata.and_then(|metadata| metadata.timeout))
                        .or_else(|| timeouts.get(&task_of(node.target.as_ref()?)?).copied()),
                    id: NodeId::new(node.id),
                    upstream: node.upstream_node_ids.into_iter().map(NodeId::new).collect(),
                    handles_failure,
                })
                .collect(),
        )
    }
}

/// Zero is no limit: the SDK sends it where nobody set one.
fn positive(timeout: Option<prost_types::Duration>) -> Option<Duration> {
    Duration::try_from(timeout?).ok().filter(|timeout| !timeout.is_zero())
}

fn task_of(target: &node::Target) -> Option<String> {
    match target {
        node::Target::ArrayNode(array) => task_of(array.node.as_ref()?.target.as_ref()?),
        node::Target::TaskNode(task) => match task.reference.as_ref()? {
            task_node::Reference::ReferenceId(id) => Some(id.name.clone()),
        },
        _ => None,
    }
}
