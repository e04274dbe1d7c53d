//! What a node is given, and what the execution gives back: values put together from what upstream nodes produced.
//!
//! Only puts together; whoever has the values at hand calls. Small ones stand in the state itself, so that most nodes
//! need nothing from outside (see [`crate::advance`]); large ones are fetched first by the shell.

use crate::execution::{Execution, NodeState};
use crate::plan::{Plan, Target};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::{self, Binding, VariableMap};
use skein_model::event::Created;
use skein_model::{
    Charge, Command, DataRef, Failure, FailureCause, NodeId, NodePhase, bindings, literals, paths,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is to be put together, taken from an execution's state.
#[derive(Clone, Debug)]
pub struct Wanted {
    plan: Arc<Plan>,
    created: Arc<Created>,
    /// The node's place; none for the outputs of the execution.
    place: Option<usize>,
    /// Where the values are that bindings name, by node.
    sources: BTreeMap<String, DataRef>,
    /// For a failure node: which node failed, and with what.
    failed: Option<(NodeId, Failure)>,
}

/// Values that are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// An encoded `LiteralMap`.
    pub values: Bytes,
    /// For the inputs of a map: its lists.
    pub lists: Option<Lists>,
}

/// The lists that a map goes through, side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// The first list whose length is known, and that.
    length: Option<(String, usize)>,
    stored: Vec<StoredList>,
}

/// A list that is stored by itself: an input that the SDK has offloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredList {
    /// The input.
    pub name: String,
    /// Where it is.
    pub uri: String,
}

impl Lists {
    /// Answers the lists whose lengths have to be [`Self::put`] before there are [`Self::items`].
    pub fn stored(&self) -> &[StoredList] {
        &self.stored
    }

    /// Adds the length of a list.
    ///
    /// # Errors
    /// When another list has another length.
    pub fn put(&mut self, name: &str, length: usize) -> Result<(), Failure> {
        match &self.length {
            Some((first, other)) if *other != length => Err(invalid(format!(
                "the lists of a map have to be of one length, but {first} has {other} elements and {name} has {length}"
            ))),
            Some(_) => Ok(()),
            None => {
                self.length = Some((name.to_owned(), length));
                Ok(())
            }
        }
    }

    /// Answers how many items the map has.
    pub fn items(&self) -> u32 {
        let length = self.length.as_ref().map_or(1, |(_, length)| *length);
        // Anything larger is refused by the decision on it, which names the limit.
        u32::try_from(length).unwrap_or(u32::MAX)
    }
}

impl Wanted {
    /// Takes what the inputs of a node need; none when the execution has no such node.
    pub fn of_node(execution: &Execution, node: &NodeId) -> Option<Self> {
        let place = execution.plan().find(node)?;
        let mut wanted = Self::of(execution, &execution.plan().nodes[place].inputs)?;
        wanted.place = Some(place);
        if execution.plan().failure_node == Some(place) {
            wanted.failed = failed_node(execution);
        }
        Some(wanted)
    }

    /// Takes what the outputs of the execution need.
    pub fn of_outputs(execution: &Execution) -> Option<Self> {
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

    /// Answers where the values are that have to be at hand, by the node that produced them.
    pub const fn sources(&self) -> &BTreeMap<String, DataRef> {
        &self.sources
    }

    /// Answers the outputs of the one node that the outputs of the execution are, name by name; none when they are
    /// anything else. Such outputs need not be put together, nor stored once more.
    pub fn same(&self) -> Option<&DataRef> {
        use core::binding_data::Value;
        if self.place.is_some() || self.sources.len() != 1 {
            return None;
        }
        let (source, data) = self.sources.first_key_value()?;
        let place = self.plan.find(&NodeId::new(source.as_str()))?;
        let interface = self.plan.tasks[self.plan.nodes[place].target.task()].interface.as_ref()?;
        let mut left: BTreeSet<&str> =
            interface.outputs.as_ref()?.variables.keys().map(String::as_str).collect();
        for binding in self.bindings() {
            match binding.binding.as_ref()?.value.as_ref()? {
                Value::Promise(promise)
                    if promise.var == binding.var
                        && promise.attr_path.is_empty()
                        && left.remove(promise.var.as_str()) => {}
                _ => return None,
            }
        }
        left.is_empty().then_some(data)
    }

    /// Answers where what is put together lies when it is too large for an event.
    pub fn uri(&self) -> String {
        let prefix = &self.created.data_prefix;
        match self.place {
            Some(place) => paths::node_inputs(prefix, &self.plan.nodes[place].id),
            None => paths::outputs(&format!("{prefix}/{}/data/0", NodeId::END)),
        }
    }

    /// Answers the execution with what was put together.
    pub fn answer(&self, data: DataRef, items: Option<u32>) -> Command {
        match self.place {
            Some(place) => {
                Command::InputsResolved { node: self.plan.nodes[place].id.clone(), inputs: data, items }
            }
            None => Command::OutputsResolved { outputs: data },
        }
    }

    /// Answers the execution that it cannot be put together.
    pub fn refuse(&self, failure: Failure) -> Command {
        match self.place {
            Some(place) => Command::InputsFailed { node: self.plan.nodes[place].id.clone(), failure },
            None => Command::OutputsFailed { failure },
        }
    }

    /// Puts it together from `values`: an encoded `LiteralMap` for each of [`Wanted::sources`].
    ///
    /// # Errors
    /// What the node, or the execution, fails with. Trying again does not help.
    pub fn resolve(&self, values: &BTreeMap<&str, Bytes>) -> Result<Resolved, Failure> {
        let mut by_name: BTreeMap<(&str, String), Bytes> = BTreeMap::new();
        for (node, encoded) in values {
            let entries = literals::literal_map_entries(encoded)
                .map_err(|fault| unreadable(node, &fault.to_string()))?;
            by_name.extend(entries.into_iter().map(|(name, value)| ((*node, name), value)));
        }
        let lookup = |node: &str, var: &str| by_name.get(&(node, var.to_owned())).cloned();
        let resolved = bindings::resolve(self.bindings(), self.expected(), &lookup)?;
        let values = match &self.failed {
            Some((node, failure)) => with_error(&resolved, self.expected(), node, failure),
            None => resolved,
        };
        let lists = match self.place {
            Some(place) => lists(&self.plan.nodes[place].target, &values)?,
            None => None,
        };
        Ok(Resolved { values, lists })
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

fn unreadable(node: &str, fault: &str) -> Failure {
    Failure {
        code: bindings::BINDING_RESOLUTION_FAILURE.to_owned(),
        message: format!("the outputs of node {node} cannot be read: {fault}"),
        cause: FailureCause::InputsUnresolvable,
        charge: Charge::System,
    }
}

/// Gives a failure node the error it is for: an input named `err` of a type that can hold one (contract 5.10).
fn with_error(inputs: &Bytes, expected: Option<&VariableMap>, node: &NodeId, failure: &Failure) -> Bytes {
    const INPUT: &str = "err";
    let Some(variant) = expected.and_then(|expected| error_variant(expected.variables.get(INPUT)?)) else {
        return inputs.clone();
    };
    let error = core::Error { failed_node_id: node.to_string(), message: failure.message.clone() };
    let union = core::Union {
        value: Some(Box::new(scalar(core::scalar::Value::Error(error)))),
        r#type: Some(variant),
    };
    let literal = scalar(core::scalar::Value::Union(Box::new(union)));
    let mut entries: BTreeMap<String, Bytes> =
        literals::literal_map_entries(inputs).unwrap_or_default().into_iter().collect();
    entries.insert(INPUT.to_owned(), literal.encode_to_vec().into());
    literals::encode_literal_map(entries.iter().map(|(name, value)| (name.as_str(), value.as_ref())))
}

fn scalar(value: core::scalar::Value) -> core::Literal {
    let scalar = core::Scalar { value: Some(value) };
    core::Literal { value: Some(core::literal::Value::Scalar(Box::new(scalar))), ..Default::default() }
}

fn error_variant(variable: &core::Variable) -> Option<core::LiteralType> {
    use core::literal_type::Type;
    let Some(Type::UnionType(union)) = variable.r#type.as_ref().and_then(|kind| kind.r#type.as_ref()) else {
        return None;
    };
    let is_error = |kind: &&core::LiteralType| matches!(kind.r#type, Some(Type::Simple(simple)) if simple == i32::from(core::SimpleType::Error));
    union.variants.iter().find(is_error).cloned()
}

/// Answers the lists of a map's inputs; none for a task.
fn lists(target: &Target, inputs: &Bytes) -> Result<Option<Lists>, Failure> {
    let Target::Map { bound, .. } = target else { return Ok(None) };
    let unreadable = |fault: literals::WireError| invalid(fault.to_string());
    let mut lists = Lists::default();
    for (name, value) in literals::literal_map_entries(inputs).map_err(unreadable)? {
        if bound.contains(&name) {
            continue;
        }
        if let Some(uri) = literals::stored_at(&value).map_err(unreadable)? {
            lists.stored.push(StoredList { name, uri });
            continue;
        }
        match literals::collection_len(&value).map_err(unreadable)? {
            Some(length) => lists.put(&name, length)?,
            None => return Err(not_a_list(&name)),
        }
    }
    Ok(Some(lists))
}

/// Answers what a map fails with of which an input is no list.
pub fn not_a_list(name: &str) -> Failure {
    invalid(format!("input {name} of the map is not a list"))
}

fn invalid(message: String) -> Failure {
    Failure {
        code: "InvalidArrayLength".to_owned(),
        message,
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}
