//! What nodes take and give.

use super::LaunchPlanInterface;
use super::catalog::Catalog;
use super::errors::{Code, Collector, Site, id_text};
use crate::types::{collection_of, is_optional};
use skein_idl::flyteidl::core::{
    ArrayNode, GateNode, LiteralType, Node, TypedInterface, VariableMap, array_node, gate_node, node,
    parameter, task_node, workflow_node,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Types of variables by name.
pub(super) type Types = BTreeMap<String, LiteralType>;

/// What something takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Interface {
    pub(super) inputs: BTreeMap<String, Input>,
    pub(super) outputs: Arc<Types>,
}

/// One input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    pub(super) declared: LiteralType,
    /// Whether it must be bound.
    pub(super) required: bool,
}

/// What is known of a node before the types of its bindings are.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// All of it.
    Known(Arc<Interface>),
    /// A gate that hands on what it is given.
    HandsOn,
    /// A branch, which gives what its inner nodes give.
    Branch,
    /// Nothing, because an error was found.
    Unknown,
}

impl Interface {
    pub(super) fn of_typed(interface: Option<&TypedInterface>) -> Self {
        let inputs = types(interface.and_then(|interface| interface.inputs.as_ref()));
        let outputs = types(interface.and_then(|interface| interface.outputs.as_ref()));
        let input = |(name, declared)| {
            let required = !is_optional(&declared);
            (name, Input { declared, required })
        };
        Self { inputs: inputs.into_iter().map(input).collect(), outputs: Arc::new(outputs) }
    }

    pub(super) fn of_launch_plan(plan: &LaunchPlanInterface) -> Self {
        let input = |(name, parameter): (&String, &skein_idl::flyteidl::core::Parameter)| {
            let declared = parameter.var.as_ref().and_then(|var| var.r#type.clone()).unwrap_or_default();
            let given = match &parameter.behavior {
                Some(parameter::Behavior::Required(required)) => !required,
                Some(
                    parameter::Behavior::Default(_)
                    | parameter::Behavior::ArtifactQuery(_)
                    | parameter::Behavior::ArtifactId(_),
                ) => true,
                None => false,
            };
            (name.clone(), Input { required: !given && !is_optional(&declared), declared })
        };
        Self {
            inputs: plan.expected_inputs.parameters.iter().map(input).collect(),
            outputs: Arc::new(types(Some(&plan.outputs))),
        }
    }

    /// Answers the interface of a map over something: lists of what is not handed to each item whole.
    fn mapped(&self, array: &ArrayNode) -> Self {
        let input = |(name, input): (&String, &Input)| {
            let declared = input.declared.clone();
            let declared = if array.bound_inputs.contains(name) { declared } else { collection_of(declared) };
            (name.clone(), Input { declared, required: input.required })
        };
        let output =
            |(name, declared): (&String, &LiteralType)| (name.clone(), collection_of(declared.clone()));
        Self {
            inputs: self.inputs.iter().map(input).collect(),
            outputs: Arc::new(self.outputs.iter().map(output).collect()),
        }
    }
}

/// Answers the types of variables; a variable without a type gets one that fits nowhere.
pub(super) fn types(variables: Option<&VariableMap>) -> Types {
    let variables = variables.iter().flat_map(|variables| &variables.variables);
    variables.map(|(name, variable)| (name.clone(), variable.r#type.clone().unwrap_or_default())).collect()
}

/// Finds out what a node is, and reports what it refers to and is not there.
pub(super) fn shape_of(node: &Node, catalog: &mut Catalog<'_>, errors: &mut Collector) -> Shape {
    let site = Site::node(&node.id);
    let missing = |errors: &mut Collector, what: &str| {
        errors.add(Code::ValueRequired, site, format!("Value required [{what}]."));
        Shape::Unknown
    };
    match &node.target {
        None => missing(errors, "Target"),
        Some(node::Target::BranchNode(_)) => Shape::Branch,
        Some(node::Target::GateNode(gate)) => gate_shape(gate, site, errors),
        Some(node::Target::ArrayNode(array)) => array_shape(array, site, catalog, errors),
        Some(node::Target::TaskNode(task)) => match &task.reference {
            None => missing(errors, "TaskNode.ReferenceId"),
            Some(task_node::Reference::ReferenceId(id)) => catalog.task(id).map_or_else(
                || not_found(Code::TaskReferenceNotFound, "Task", &id_text(id), site, errors),
                Shape::Known,
            ),
        },
        Some(node::Target::WorkflowNode(workflow)) => match &workflow.reference {
            None => missing(errors, "WorkflowNode.Reference"),
            Some(workflow_node::Reference::SubWorkflowRef(id)) => catalog.sub_workflow(id).map_or_else(
                || not_found(Code::WorkflowReferenceNotFound, "Workflow", &id_text(id), site, errors),
                Shape::Known,
            ),
            Some(workflow_node::Reference::LaunchplanRef(id)) => catalog.launch_plan(id).map_or_else(
                || not_found(Code::WorkflowReferenceNotFound, "Launch Plan", &id_text(id), site, errors),
                Shape::Known,
            ),
        },
    }
}

fn not_found(code: Code, kind: &str, id: &str, site: Site<'_>, errors: &mut Collector) -> Shape {
    errors.add(code, site, format!("Referenced {kind} [{id}] not found."));
    Shape::Unknown
}

fn gate_shape(gate: &GateNode, site: Site<'_>, errors: &mut Collector) -> Shape {
    let known = |outputs: Types| {
        Shape::Known(Arc::new(Interface { inputs: BTreeMap::new(), outputs: Arc::new(outputs) }))
    };
    let mut require = |present: bool, field: &str| {
        if !present {
            errors.add(Code::ValueRequired, site, format!("Value required [{field}]."));
        }
    };
    match &gate.condition {
        None => {
            errors.add(Code::NoConditionFound, site, "Can't find any condition in the gate node.");
            Shape::Unknown
        }
        Some(gate_node::Condition::Approve(approve)) => {
            require(!approve.signal_id.is_empty(), "GateNode.Approve.SignalId");
            Shape::HandsOn
        }
        Some(gate_node::Condition::Signal(signal)) => {
            require(!signal.signal_id.is_empty(), "GateNode.Signal.SignalId");
            require(!signal.output_variable_name.is_empty(), "GateNode.Signal.OutputVariableName");
            require(signal.r#type.is_some(), "GateNode.Signal.Type");
            let declared = signal.r#type.clone().unwrap_or_default();
            known(Types::from([(signal.output_variable_name.clone(), declared)]))
        }
        Some(gate_node::Condition::Sleep(sleep)) => {
            require(sleep.duration.is_some(), "GateNode.Sleep.Duration");
            if sleep.duration.as_ref().is_some_and(|duration| duration.seconds < 0 || duration.nanos < 0) {
                let description = "Invalid value [GateNode.Sleep.Duration]: a sleep cannot be negative.";
                errors.add(Code::InvalidValue, site, description);
            }
            known(Types::new())
        }
    }
}

fn array_shape(
    array: &ArrayNode,
    site: Site<'_>,
    catalog: &mut Catalog<'_>,
    errors: &mut Collector,
) -> Shape {
    if let Some(array_node::SuccessCriteria::MinSuccessRatio(ratio)) = array.success_criteria
        && !(0.0..=1.0).contains(&ratio)
    {
        let description =
            format!("Invalid value [ArrayNode.MinSuccessRatio]: {ratio} is not between 0 and 1.");
        errors.add(Code::InvalidValue, site, description);
    }
    let Some(inner) = array.node.as_deref() else {
        errors.add(Code::ValueRequired, site, "Value required [ArrayNode.Node].");
        return Shape::Unknown;
    };
    if !matches!(&inner.target, None | Some(node::Target::TaskNode(_) | node::Target::WorkflowNode(_))) {
        let description = "Invalid value [ArrayNode.Node]: only a task or a launch plan can be mapped over.";
        errors.add(Code::InvalidValue, site, description);
        return Shape::Unknown;
    }
    // Errors of the repeated node are told under the array's id: its own is the name of a function.
    let inner = Node { id: site.node.to_owned(), target: inner.target.clone(), ..Node::default() };
    let Shape::Known(interface) = shape_of(&inner, catalog, errors) else { return Shape::Unknown };
    for name in array.bound_inputs.iter().filter(|name| !interface.inputs.contains_key(*name)) {
        let description =
            format!("Variable [{name}], which is bound whole, not found on node [{}].", site.node);
        errors.add(Code::VariableNameNotFound, site.variable(name), description);
    }
    if is_of_one_item(array) {
        Shape::Known(Arc::new(interface.mapped(array)))
    } else {
        Shape::Known(interface)
    }
}

/// Says whether the repeated node's interface is that of one item. Clients that do not say mean it when they ask for
/// full state.
fn is_of_one_item(array: &ArrayNode) -> bool {
    let full_state = array.execution_mode == i32::from(array_node::ExecutionMode::FullState);
    array.is_original_sub_node_interface.unwrap_or(full_state)
}
