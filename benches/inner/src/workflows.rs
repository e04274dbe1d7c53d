//! The workflows that benches run: chains, fans and maps of one task that takes `x` and gives `o0`.

use skein_idl::flyteidl::core;

/// Nodes that each take `x` from the one before; the first takes the execution's.
pub fn chain(length: usize) -> core::CompiledWorkflowClosure {
    let nodes = (0..length).map(|place| match place.checked_sub(1) {
        Some(before) => task_node(place, &format!("n{before}"), "o0"),
        None => task_node(place, START, "x"),
    });
    closure(nodes.collect(), length)
}

/// Nodes that all take the execution's `x` and wait for nothing else.
pub fn fan(width: usize) -> core::CompiledWorkflowClosure {
    closure((0..width).map(|place| task_node(place, START, "x")).collect(), width)
}

/// One node that maps the task over the execution's `x`.
pub fn map() -> core::CompiledWorkflowClosure {
    let inner = core::Node { target: Some(core::node::Target::TaskNode(reference())), ..Default::default() };
    let array = core::ArrayNode { node: Some(Box::new(inner)), ..Default::default() };
    let target = core::node::Target::ArrayNode(Box::new(array));
    closure(vec![node(0, START, "x", target)], 1)
}

const START: &str = "start-node";

fn task_node(place: usize, from: &str, output: &str) -> core::Node {
    node(place, from, output, core::node::Target::TaskNode(reference()))
}

fn node(place: usize, from: &str, output: &str, target: core::node::Target) -> core::Node {
    core::Node {
        id: format!("n{place}"),
        inputs: vec![promise("x", from, output)],
        upstream_node_ids: vec![from.to_owned()],
        target: Some(target),
        ..Default::default()
    }
}

/// A workflow of `nodes`, whose output is that of the last.
fn closure(mut nodes: Vec<core::Node>, length: usize) -> core::CompiledWorkflowClosure {
    nodes.push(core::Node {
        id: "end-node".to_owned(),
        inputs: vec![promise("o0", &format!("n{}", length.saturating_sub(1)), "o0")],
        ..Default::default()
    });
    let variables = [("o0".to_owned(), core::Variable::default())].into();
    let outputs = core::VariableMap { variables };
    let container = core::Container {
        args: vec!["pyflyte-execute".to_owned(), "{{.input}}".to_owned()],
        ..Default::default()
    };
    let task = core::TaskTemplate {
        id: Some(task_id()),
        interface: Some(core::TypedInterface { inputs: None, outputs: Some(outputs) }),
        target: Some(core::task_template::Target::Container(container)),
        ..Default::default()
    };
    let template = core::WorkflowTemplate { nodes, ..Default::default() };
    core::CompiledWorkflowClosure {
        primary: Some(core::CompiledWorkflow { template: Some(template), ..Default::default() }),
        tasks: vec![core::CompiledTask { template: Some(task) }],
        ..Default::default()
    }
}

fn task_id() -> core::Identifier {
    core::Identifier { name: "t".to_owned(), version: "v".to_owned(), ..Default::default() }
}

fn reference() -> core::TaskNode {
    let reference = core::task_node::Reference::ReferenceId(task_id());
    core::TaskNode { reference: Some(reference), ..Default::default() }
}

fn promise(var: &str, node: &str, output: &str) -> core::Binding {
    let promise =
        core::OutputReference { node_id: node.to_owned(), var: output.to_owned(), ..Default::default() };
    let value = Some(core::binding_data::Value::Promise(promise));
    core::Binding { var: var.to_owned(), binding: Some(core::BindingData { value, ..Default::default() }) }
}
