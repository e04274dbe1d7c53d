//! Puts inputs and outputs together from what upstream nodes produced.

use super::{Done, later_or, system_failure};
use crate::ports::Ports;
use bytes::Bytes;
use prost::Message as _;
use skein_core::{Execution, NodeState, Plan, Target};
use skein_idl::flyteidl::core::{self, Binding, VariableMap};
use skein_log::BlobError;
use skein_model::event::Created;
use skein_model::{
    Charge, Command, DataRef, Failure, FailureCause, NodeId, NodePhase, bindings, literals, paths,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is to be put together, taken from an execution's state.
#[derive(Clone)]
pub(super) struct Wanted {
    plan: Arc<Plan>,
    created: Arc<Created>,
    /// The node's place; none for the outputs of the execution.
    place: Option<usize>,
    /// Where the values are that bindings name, by node.
    sources: BTreeMap<String, DataRef>,
    /// For a failure node: which node failed, and with what.
    failed: Option<(NodeId, Failure)>,
}

impl Wanted {
    pub(super) fn of_node(execution: &Execution, node: &NodeId) -> Option<Self> {
        let place = execution.plan().find(node)?;
        let mut wanted = Self::of(execution, &execution.plan().nodes[place].inputs)?;
        wanted.place = Some(place);
        if execution.plan().failure_node == Some(place) {
            wanted.failed = failed_node(execution);
        }
        Some(wanted)
    }

    pub(super) fn of_outputs(execution: &Execution) -> Option<Self> {
        Self::of(execution, &execution.plan().outputs)
    }

    fn of(execution: &Execution, bindings: &[Binding]) -> Option<Self> {
        let created = execution.created()?;
        let mut names = BTreeSet::new();
        bindings
            .iter()
            .filter_map(|binding| binding.binding.as_ref())
            .for_each(|data| named(data, &mut names));
        let mut sources = BTreeMap::new();
        for name in names {
            let source = if name == NodeId::START || name.is_empty() {
                Some(&created.inputs)
            } else {
                execution.outputs_of(&NodeId::new(name.as_str()))
            };
            if let Some(source) = source {
                sources.insert(name, source.clone());
            }
        }
        let plan = Arc::clone(execution.plan());
        Some(Self { plan, created: Arc::clone(created), place: None, sources, failed: None })
    }

    fn bindings(&self) -> &[Binding] {
        match self.place {
            Some(place) => &self.plan.nodes[place].inputs,
            None => &self.plan.outputs,
        }
    }

    fn expected(&self) -> Option<&VariableMap> {
        let task = &self.plan.tasks[self.plan.nodes[self.place?].target.task()];
        task.interface.as_ref()?.inputs.as_ref()
    }
}

/// Collects the nodes that a binding names.
fn named(data: &core::BindingData, names: &mut BTreeSet<String>) {
    use core::binding_data::Value;
    match &data.value {
        Some(Value::Promise(promise)) => drop(names.insert(promise.node_id.clone())),
        Some(Value::Collection(list)) => list.bindings.iter().for_each(|inner| named(inner, names)),
        Some(Value::Map(map)) => map.bindings.values().for_each(|inner| named(inner, names)),
        Some(Value::Scalar(_) | Value::OffloadedMetadata(_)) | None => {}
    }
}

fn failed_node(execution: &Execution) -> Option<(NodeId, Failure)> {
    let failure = execution.failure()?.clone();
    let failed = |id: &NodeId| {
        matches!(
            execution.node(id),
            Some(NodeState::Ended { phase: NodePhase::Failed | NodePhase::TimedOut, .. })
        )
    };
    let node = execution.plan().nodes.iter().map(|node| &node.id).find(|id| failed(id))?;
    Some((node.clone(), failure))
}

/// Puts a node's inputs together and answers the execution.
pub(super) async fn of_node(ports: &Ports, wanted: &Wanted) -> Done {
    let Some(place) = wanted.place else { return Done::Handed };
    let node = wanted.plan.nodes[place].id.clone();
    let failed = |failure| Command::InputsFailed { node: node.clone(), failure };
    let inputs = match resolve(ports, wanted).await {
        Ok(inputs) => inputs,
        Err(Fault::Blob(fault)) => return later_or(fault, failed),
        Err(Fault::Failed(failure)) => return Done::answer(failed(failure)),
    };
    let items = match items(&wanted.plan.nodes[place].target, &inputs) {
        Ok(items) => items,
        Err(failure) => return Done::answer(failed(failure)),
    };
    let uri = paths::node_inputs(&wanted.created.data_prefix, &node);
    match ports.blobs.store(&uri, inputs).await {
        Ok(inputs) => Done::answer(Command::InputsResolved { node, inputs, items }),
        Err(fault) => later_or(fault, failed),
    }
}

/// Puts the execution's outputs together and answers it.
pub(super) async fn of_execution(ports: &Ports, wanted: &Wanted) -> Done {
    let failed = |failure| Command::OutputsFailed { failure };
    let outputs = match resolve(ports, wanted).await {
        Ok(outputs) => outputs,
        Err(Fault::Blob(fault)) => return later_or(fault, failed),
        Err(Fault::Failed(failure)) => return Done::answer(failed(failure)),
    };
    let prefix = format!("{}/{}/data/0", wanted.created.data_prefix, NodeId::END);
    match ports.blobs.store(&paths::outputs(&prefix), outputs).await {
        Ok(outputs) => Done::answer(Command::OutputsResolved { outputs }),
        Err(fault) => later_or(fault, failed),
    }
}

enum Fault {
    Blob(BlobError),
    Failed(Failure),
}

async fn resolve(ports: &Ports, wanted: &Wanted) -> Result<Bytes, Fault> {
    let mut values: BTreeMap<(&str, String), Bytes> = BTreeMap::new();
    for (node, source) in &wanted.sources {
        let bytes = ports.blobs.load(source).await.map_err(Fault::Blob)?;
        let entries = literals::literal_map_entries(&bytes)
            .map_err(|fault| Fault::Failed(unreadable(node, &fault.to_string())))?;
        values.extend(entries.into_iter().map(|(name, value)| ((node.as_str(), name), value)));
    }
    let lookup = |node: &str, var: &str| values.get(&(node, var.to_owned())).cloned();
    let resolved = bindings::resolve(wanted.bindings(), wanted.expected(), &lookup).map_err(Fault::Failed)?;
    Ok(match &wanted.failed {
        Some((node, failure)) => with_error(&resolved, wanted.expected(), node, failure),
        None => resolved,
    })
}

fn unreadable(node: &str, fault: &str) -> Failure {
    system_failure("BindingResolutionFailure", format!("the outputs of node {node} cannot be read: {fault}"))
}

/// Gives a failure node the error it is for: an input named `err` of a type that can hold one (contract 5.10).
fn with_error(inputs: &Bytes, expected: Option<&VariableMap>, node: &NodeId, failure: &Failure) -> Bytes {
    const INPUT: &str = "err";
    let Some(variant) = expected.and_then(|expected| error_variant(expected.variables.get(INPUT)?)) else {
        return inputs.clone();
    };
    let error = core::Error { failed_node_id: node.to_string(), message: failure.message.clone() };
    let value = core::Literal {
        value: Some(core::literal::Value::Scalar(Box::new(core::Scalar {
            value: Some(core::scalar::Value::Error(error)),
        }))),
        ..Default::default()
    };
    let union = core::Union { value: Some(Box::new(value)), r#type: Some(variant) };
    let literal = core::Literal {
        value: Some(core::literal::Value::Scalar(Box::new(core::Scalar {
            value: Some(core::scalar::Value::Union(Box::new(union))),
        }))),
        ..Default::default()
    };
    let mut entries: BTreeMap<String, Bytes> =
        literals::literal_map_entries(inputs).unwrap_or_default().into_iter().collect();
    entries.insert(INPUT.to_owned(), literal.encode_to_vec().into());
    literals::encode_literal_map(entries.iter().map(|(name, value)| (name.as_str(), value.as_ref())))
}

fn error_variant(variable: &core::Variable) -> Option<core::LiteralType> {
    use core::literal_type::Type;
    let Some(Type::UnionType(union)) = variable.r#type.as_ref().and_then(|kind| kind.r#type.as_ref()) else {
        return None;
    };
    let is_error = |kind: &&core::LiteralType| matches!(kind.r#type, Some(Type::Simple(simple)) if simple == i32::from(core::SimpleType::Error));
    union.variants.iter().find(is_error).cloned()
}

/// Answers how many items a map's inputs are for; none for a task.
fn items(target: &Target, inputs: &Bytes) -> Result<Option<u32>, Failure> {
    let Target::Map { bound, .. } = target else { return Ok(None) };
    let entries = literals::literal_map_entries(inputs).map_err(|fault| invalid(fault.to_string()))?;
    let mut size: Option<(String, usize)> = None;
    for (name, value) in entries.into_iter().filter(|(name, _)| !bound.contains(name)) {
        let length = literals::collection_len(&value)
            .map_err(|fault| invalid(fault.to_string()))?
            .ok_or_else(|| invalid(format!("input {name} of the map is not a list")))?;
        match &size {
            Some((first, other)) if *other != length => {
                return Err(invalid(format!(
                    "the lists of a map have to be of one length, but {first} has {other} elements and {name} has {length}"
                )));
            }
            Some(_) => {}
            None => size = Some((name, length)),
        }
    }
    let length = size.map_or(1, |(_, length)| length);
    // Anything larger is refused by the core, which names the limit.
    Ok(Some(u32::try_from(length).unwrap_or(u32::MAX)))
}

fn invalid(message: String) -> Failure {
    Failure {
        code: "InvalidArrayLength".to_owned(),
        message,
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}
