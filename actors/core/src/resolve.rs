//! What a node is given, and what the execution gives back: values put together from what upstream nodes produced.
//!
//! Only puts together; whoever has the values at hand calls. Small ones stand in the state itself, so that most nodes
//! need nothing from outside (see [`crate::advance`]); large ones are fetched first by the shell.

use crate::condition;
use crate::execution::{Execution, NodeState};
use crate::plan::{NodeIndex, Otherwise, Plan, ROOT, ScopeIndex, Target};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::{self, Binding, VariableMap};
use skein_model::event::Created;
use skein_model::{
    Attempt, Charge, Command, DataRef, Failure, FailureCause, NodeId, NodePhase, bindings, literals, paths,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is to be put together, taken from an execution's state.
#[derive(Clone, Debug)]
pub struct Wanted {
    plan: Arc<Plan>,
    created: Arc<Created>,
    of: Of,
    /// Where the values are that bindings name, by node.
    sources: BTreeMap<String, DataRef>,
    /// For a failure node: which node failed, and with what.
    failed: Option<(NodeId, Failure)>,
}

/// Whose values are put together.
#[derive(Clone, Debug)]
enum Of {
    /// The inputs of a node, by its place in the plan.
    Node(NodeIndex),
    /// The outputs of what is inside a node: a workflow, by its place in the plan, the node, and the try that made it.
    Inside(ScopeIndex, NodeId, Attempt),
    /// The outputs of the execution.
    Execution,
}

/// Values that are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// An encoded `LiteralMap`.
    pub values: Bytes,
    /// For the inputs of a map: its lists.
    pub lists: Option<Lists>,
    /// For the inputs of a branch: the number of the case that holds.
    pub case: Option<u32>,
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
        let place = execution.find(node)?;
        let planned = &execution.plan().nodes[place];
        let mut wanted = Self::of(execution, planned.scope, &planned.inputs, Of::Node(place))?;
        if execution.is_failure_node(place) {
            wanted.failed = failed_node(execution, planned.scope);
        }
        Some(wanted)
    }

    /// Takes what the outputs of the nodes inside a node need; none when there are none inside.
    pub fn of_inside(execution: &Execution, node: &NodeId) -> Option<Self> {
        let NodeState::Inside(inside) = execution.node(node)? else { return None };
        let bindings = &execution.plan().scopes[inside.scope].outputs;
        let of = Of::Inside(inside.scope, node.clone(), inside.attempt);
        Self::of(execution, inside.scope, bindings, of)
    }

    /// Takes what the outputs of the execution need.
    pub fn of_outputs(execution: &Execution) -> Option<Self> {
        Self::of(execution, ROOT, &execution.plan().scopes[ROOT].outputs, Of::Execution)
    }

    fn of(execution: &Execution, scope: ScopeIndex, bindings: &[Binding], of: Of) -> Option<Self> {
        let created = execution.created()?;
        let mut names = BTreeSet::new();
        bindings
            .iter()
            .filter_map(|binding| binding.binding.as_ref())
            .for_each(|data| named(data, &mut names));
        let mut sources = BTreeMap::new();
        for name in names {
            let source = if name == NodeId::START || name.is_empty() {
                given_to(execution, scope, created)
            } else {
                execution.plan().named(scope, &name).and_then(|place| execution.at(place).outputs())
            };
            if let Some(source) = source {
                sources.insert(name, source.clone());
            }
        }
        let plan = Arc::clone(execution.plan());
        Some(Self { plan, created: Arc::clone(created), of, sources, failed: None })
    }

    /// Answers where the values are that have to be at hand, by the node that produced them.
    pub const fn sources(&self) -> &BTreeMap<String, DataRef> {
        &self.sources
    }

    /// Answers the outputs of the one node that the outputs of the execution are, name by name; none when they are
    /// anything else. Such outputs need not be put together, nor stored once more.
    pub fn same(&self) -> Option<&DataRef> {
        use core::binding_data::Value;
        let scope = match &self.of {
            Of::Node(_) => return None,
            Of::Inside(scope, ..) => *scope,
            Of::Execution => ROOT,
        };
        if self.sources.len() != 1 {
            return None;
        }
        let (source, data) = self.sources.first_key_value()?;
        let place = self.plan.named(scope, source)?;
        let interface = self.plan.template(place).interface.as_ref()?;
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
        match &self.of {
            Of::Node(place) => paths::node_inputs(prefix, &self.plan.nodes[*place].id),
            Of::Inside(_, node, attempt) => paths::outputs(&paths::attempt_prefix(prefix, node, *attempt)),
            Of::Execution => paths::outputs(&format!("{prefix}/{}/data/0", NodeId::END)),
        }
    }

    /// Answers the execution with what was put together: `data`, and of what was resolved how many items there are for a map,
    /// or which case of a branch holds.
    pub fn answer(&self, data: DataRef, items: Option<u32>, case: Option<u32>) -> Command {
        match &self.of {
            Of::Node(place) => {
                let node = self.plan.nodes[*place].id.clone();
                Command::InputsResolved { node, inputs: data, items, case }
            }
            Of::Inside(_, node, _) => Command::InsideResolved { node: node.clone(), outputs: data },
            Of::Execution => Command::OutputsResolved { outputs: data },
        }
    }

    /// Answers the execution that it cannot be put together.
    pub fn refuse(&self, failure: Failure) -> Command {
        match &self.of {
            Of::Node(place) => Command::InputsFailed { node: self.plan.nodes[*place].id.clone(), failure },
            Of::Inside(_, node, _) => Command::InsideFailed { node: node.clone(), failure },
            Of::Execution => Command::OutputsFailed { failure },
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
        let (lists, case) = match &self.of {
            Of::Node(place) => {
                let target = &self.plan.nodes[*place].target;
                (lists(target, &values)?, case_of(target, &values)?)
            }
            Of::Inside(..) | Of::Execution => (None, None),
        };
        Ok(Resolved { values, lists, case })
    }

    fn bindings(&self) -> &[Binding] {
        match &self.of {
            Of::Node(place) => &self.plan.nodes[*place].inputs,
            Of::Inside(scope, ..) => &self.plan.scopes[*scope].outputs,
            Of::Execution => &self.plan.scopes[ROOT].outputs,
        }
    }

    fn expected(&self) -> Option<&VariableMap> {
        let Of::Node(place) = &self.of else { return None };
        match &self.plan.nodes[*place].target {
            Target::Workflow { scope } => self.plan.scopes[*scope].inputs.as_ref(),
            _ => self.plan.template(*place).interface.as_ref()?.inputs.as_ref(),
        }
    }
}

/// Answers what a workflow is given: the inputs of the execution, or of the node that runs it.
fn given_to<'e>(execution: &'e Execution, scope: ScopeIndex, created: &'e Created) -> Option<&'e DataRef> {
    match execution.plan().scopes[scope].parent {
        None => Some(&created.inputs),
        Some(parent) => match execution.at(parent) {
            NodeState::Inside(inside) => Some(&inside.inputs),
            _ => None,
        },
    }
}

/// Answers the number of the first case of a branch that holds; none for any other node.
fn case_of(target: &Target, inputs: &Bytes) -> Result<Option<u32>, Failure> {
    let Target::Branch { cases, otherwise } = target else { return Ok(None) };
    let entries: BTreeMap<String, Bytes> = literals::literal_map_entries(inputs)
        .map_err(|fault| invalid(fault.to_string()))?
        .into_iter()
        .collect();
    let input = |name: &str| core::Literal::decode(entries.get(name)?.clone()).ok();
    for (number, (condition, _)) in (0..).zip(cases) {
        match condition::holds(condition, &input) {
            Ok(true) => return Ok(Some(number)),
            Ok(false) => {}
            Err(fault) => return Err(unanswerable(&fault)),
        }
    }
    match otherwise {
        Otherwise::Node(_) => Ok(u32::try_from(cases.len()).ok()),
        Otherwise::Fail(message) => Err(said_by_user(message)),
    }
}

/// The failure that a workflow asks for when no case of a branch holds; the text is the original's.
fn said_by_user(message: &str) -> Failure {
    Failure {
        code: "UserProvidedError".to_owned(),
        message: format!("[UserProvidedError] {message}"),
        cause: FailureCause::Refused,
        charge: Charge::User,
    }
}

fn unanswerable(fault: &condition::Unanswerable) -> Failure {
    Failure {
        code: "MalformedBranch".to_owned(),
        message: format!("a case of the branch cannot be decided: {fault}"),
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
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

/// Answers the first node of a workflow that has failed, and what that fails with.
fn failed_node(execution: &Execution, scope: ScopeIndex) -> Option<(NodeId, Failure)> {
    let failure = execution.scopes[scope].failure.clone()?;
    let failed = |place: &&NodeIndex| {
        matches!(
            execution.at(**place),
            NodeState::Ended { phase: NodePhase::Failed | NodePhase::TimedOut, .. }
        )
    };
    let place = execution.plan().scopes[scope].nodes.iter().find(failed)?;
    Some((execution.id_of(*place), failure))
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
