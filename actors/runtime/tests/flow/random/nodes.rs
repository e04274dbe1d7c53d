//! The same workflows as nodes and tasks of the SDK, and what a worker does of those.

use super::flows::{BOOM, Flow, Kind, Program, RETRIES, Step, sum};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::{self, binding_data, boolean_expression, node, operand, primitive};
use skein_model::{Charge, Failure, FailureCause, types};
use std::collections::BTreeMap;

/// The workflow and those in it, compiled.
pub fn closure(program: &Program) -> core::CompiledWorkflowClosure {
    let mut made = Made::default();
    let mut template = made.template(&program.main, "main", None);
    template.nodes.push(core::Node {
        id: "end-node".to_owned(),
        inputs: vec![bind("o0", promise("total"))],
        ..Default::default()
    });
    core::CompiledWorkflowClosure {
        primary: Some(core::CompiledWorkflow { template: Some(template), ..Default::default() }),
        sub_workflows: made.flows.into_iter().map(compiled).collect(),
        tasks: Tasks::of(program)
            .all
            .into_iter()
            .map(|task| core::CompiledTask { template: Some(task) })
            .collect(),
        ..Default::default()
    }
}

fn compiled(template: core::WorkflowTemplate) -> core::CompiledWorkflow {
    core::CompiledWorkflow { template: Some(template), ..Default::default() }
}

/// Workflows within one.
#[derive(Default)]
struct Made {
    flows: Vec<core::WorkflowTemplate>,
    count: usize,
}

impl Made {
    /// The nodes of a flow, which takes `x`, or that value.
    fn template(&mut self, flow: &Flow, name: &str, x: Option<i64>) -> core::WorkflowTemplate {
        let given = x.map_or_else(|| of("start-node", "x"), constant);
        let value = |place: usize| match place {
            0 => given.clone(),
            place => promise(&format!("n{place}")),
        };
        let mut nodes = Vec::new();
        for (place, step) in flow.steps.iter().enumerate() {
            let used: Vec<_> = step.uses.iter().map(|place| value(*place)).collect();
            nodes.extend(self.nodes(&format!("n{}", place + 1), step, used));
        }
        let all = (1..=flow.steps.len()).map(value).collect();
        nodes.push(task_node("total", "sum", all));
        let policy = core::workflow_metadata::OnFailurePolicy::FailAfterExecutableNodesComplete;
        let on_failure = if flow.patient { i32::from(policy) } else { 0 };
        core::WorkflowTemplate {
            id: Some(id(core::ResourceType::Workflow, name)),
            metadata: Some(core::WorkflowMetadata { on_failure, ..Default::default() }),
            interface: Some(core::TypedInterface {
                inputs: Some(variables("x", number())),
                outputs: Some(variables("o0", number())),
            }),
            nodes,
            outputs: vec![bind("o0", promise("total"))],
            ..Default::default()
        }
    }

    /// A flow that nodes run, with its end; answers what names it.
    fn inside(&mut self, flow: &Flow) -> node::Target {
        self.count += 1;
        let name = format!("flow-{}", self.count);
        let mut template = self.template(flow, &name, None);
        let end = core::Node {
            id: "end-node".to_owned(),
            inputs: vec![bind("o0", promise("total"))],
            ..Default::default()
        };
        template.nodes.push(end);
        self.flows.push(template);
        let reference =
            core::workflow_node::Reference::SubWorkflowRef(id(core::ResourceType::Workflow, &name));
        node::Target::WorkflowNode(core::WorkflowNode { reference: Some(reference) })
    }

    /// The nodes of a step, of which one has the name.
    fn nodes(&mut self, name: &str, step: &Step, used: Vec<core::BindingData>) -> Vec<core::Node> {
        match &step.kind {
            Kind::Sum => vec![task_node(name, "sum", used)],
            Kind::Again(times) => vec![task_node(name, &format!("again-{times}"), used)],
            Kind::Boom => vec![task_node(name, "boom", used)],
            Kind::Map => {
                let list = format!("{name}-list");
                let items = binding_data::Value::Collection(core::BindingDataCollection { bindings: used });
                let items = core::BindingData { value: Some(items), ..Default::default() };
                let each = core::Node { target: Some(task("each")), ..Default::default() };
                let array = core::ArrayNode { node: Some(Box::new(each)), ..Default::default() };
                let mapped = with(&list, node::Target::ArrayNode(Box::new(array)), vec![bind("x", items)]);
                vec![mapped, task_node(name, "sum-of", vec![promise(&list)])]
            }
            Kind::Sleep => {
                let duration = Some(prost_types::Duration { seconds: 10, nanos: 0 });
                let condition = core::gate_node::Condition::Sleep(core::SleepCondition { duration });
                let gate = core::GateNode { condition: Some(condition) };
                let wait = format!("{name}-wait");
                let mut after = task_node(name, "sum", used);
                after.upstream_node_ids.push(wait.clone());
                vec![with(&wait, node::Target::GateNode(gate), Vec::new()), after]
            }
            Kind::Sub(flow) => {
                let target = self.inside(flow);
                vec![after(&used, with(name, target, vec![bind("x", used[0].clone())]))]
            }
            Kind::Branch(limit, flow) => {
                let target = self.inside(flow);
                let then = with(&format!("{name}-a"), target, vec![bind("x", used[0].clone())]);
                let other = task_node(&format!("{name}-b"), "sum", used.clone());
                vec![branch(
                    name,
                    &used,
                    *limit,
                    then,
                    core::if_else_block::Default::ElseNode(Box::new(other)),
                )]
            }
            Kind::Check(limit) => {
                let then = task_node(&format!("{name}-a"), "sum", used.clone());
                let error = core::Error { failed_node_id: name.to_owned(), message: "too much".to_owned() };
                vec![branch(name, &used, *limit, then, core::if_else_block::Default::Error(error))]
            }
            Kind::Make(_) => vec![after(&used, task_node(name, &make_name(step), vec![used[0].clone()]))],
        }
    }
}

/// A node that goes one way where the first value is less than a limit, and another way else.
fn branch(
    name: &str,
    used: &[core::BindingData],
    limit: i64,
    then: core::Node,
    other: core::if_else_block::Default,
) -> core::Node {
    let limit = core::Primitive { value: Some(primitive::Value::Integer(limit)) };
    let comparison = core::ComparisonExpression {
        operator: core::comparison_expression::Operator::Lt.into(),
        left_value: Some(core::Operand { val: Some(operand::Val::Var("left".to_owned())) }),
        right_value: Some(core::Operand { val: Some(operand::Val::Primitive(limit)) }),
    };
    let condition = core::BooleanExpression { expr: Some(boolean_expression::Expr::Comparison(comparison)) };
    let block = core::IfElseBlock {
        case: Some(Box::new(core::IfBlock { condition: Some(condition), then_node: Some(Box::new(then)) })),
        other: Vec::new(),
        default: Some(other),
    };
    let target = core::BranchNode { if_else: Some(Box::new(block)) };
    let inputs = vec![bind("left", used[0].clone())];
    // What a case takes is there before the case is chosen, as the compiler has it.
    after(used, with(name, node::Target::BranchNode(Box::new(target)), inputs))
}

/// The node, behind all that these values are of.
fn after(used: &[core::BindingData], mut node: core::Node) -> core::Node {
    used.iter().for_each(|each| upstream(Some(each), &mut node.upstream_node_ids));
    node
}

/// A node whose upstream nodes are those that it takes values of.
fn with(name: &str, target: node::Target, inputs: Vec<core::Binding>) -> core::Node {
    let mut upstream_node_ids = Vec::new();
    for input in &inputs {
        upstream(input.binding.as_ref(), &mut upstream_node_ids);
    }
    let target = Some(target);
    core::Node { id: name.to_owned(), inputs, upstream_node_ids, target, ..Default::default() }
}

fn upstream(data: Option<&core::BindingData>, found: &mut Vec<String>) {
    match data.and_then(|data| data.value.as_ref()) {
        Some(binding_data::Value::Promise(promise)) if !found.contains(&promise.node_id) => {
            found.push(promise.node_id.clone());
        }
        Some(binding_data::Value::Collection(list)) => {
            list.bindings.iter().for_each(|each| upstream(Some(each), found));
        }
        _ => {}
    }
}

fn task_node(name: &str, of: &str, used: Vec<core::BindingData>) -> core::Node {
    let list = binding_data::Value::Collection(core::BindingDataCollection { bindings: used.clone() });
    let x = match used.as_slice() {
        [one] if of.starts_with("make") || of == "sum-of" => one.clone(),
        _ => core::BindingData { value: Some(list), ..Default::default() },
    };
    with(name, task(of), vec![bind("x", x)])
}

fn task(name: &str) -> node::Target {
    let reference = core::task_node::Reference::ReferenceId(id(core::ResourceType::Task, name));
    node::Target::TaskNode(core::TaskNode { reference: Some(reference), ..Default::default() })
}

fn id(kind: core::ResourceType, name: &str) -> core::Identifier {
    core::Identifier {
        resource_type: kind.into(),
        project: "p".to_owned(),
        domain: "d".to_owned(),
        name: name.to_owned(),
        version: "v".to_owned(),
        ..Default::default()
    }
}

fn bind(var: &str, data: core::BindingData) -> core::Binding {
    core::Binding { var: var.to_owned(), binding: Some(data) }
}

fn promise(node: &str) -> core::BindingData {
    of(node, "o0")
}

fn of(node: &str, var: &str) -> core::BindingData {
    let promise =
        core::OutputReference { node_id: node.to_owned(), var: var.to_owned(), ..Default::default() };
    core::BindingData { value: Some(binding_data::Value::Promise(promise)), ..Default::default() }
}

fn constant(value: i64) -> core::BindingData {
    let primitive = core::Primitive { value: Some(primitive::Value::Integer(value)) };
    let scalar = core::Scalar { value: Some(core::scalar::Value::Primitive(primitive)) };
    core::BindingData { value: Some(binding_data::Value::Scalar(scalar)), ..Default::default() }
}

fn number() -> core::LiteralType {
    types::simple(core::SimpleType::Integer)
}

fn variables(name: &str, of: core::LiteralType) -> core::VariableMap {
    let variable = core::Variable { r#type: Some(of), ..Default::default() };
    core::VariableMap { variables: [(name.to_owned(), variable)].into() }
}

fn template(name: &str, input: core::LiteralType) -> core::TaskTemplate {
    core::TaskTemplate {
        id: Some(id(core::ResourceType::Task, name)),
        metadata: Some(core::TaskMetadata {
            retries: Some(core::RetryStrategy { retries: RETRIES }),
            ..Default::default()
        }),
        interface: Some(core::TypedInterface {
            inputs: Some(variables("x", input)),
            outputs: Some(variables("o0", number())),
        }),
        target: Some(core::task_template::Target::Container(core::Container {
            image: "i".to_owned(),
            args: vec!["pyflyte-execute".to_owned(), "{{.input}}".to_owned()],
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn make_name(step: &Step) -> String {
    format!("make-{:016x}", xxhash_rust::xxh3::xxh3_64(format!("{step:?}").as_bytes()))
}

/// What a worker knows of the tasks of a program.
pub struct Tasks {
    made: BTreeMap<String, Flow>,
    all: Vec<core::TaskTemplate>,
}

/// What a task comes to.
pub enum Does {
    Gives(i64),
    Fails(Failure),
    /// An encoded spec of nodes.
    Makes(Bytes),
}

impl Tasks {
    pub fn of(program: &Program) -> Self {
        fn find(flow: &Flow, made: &mut BTreeMap<String, Flow>) {
            for step in &flow.steps {
                match &step.kind {
                    Kind::Make(inner) => {
                        made.insert(make_name(step), inner.clone());
                        find(inner, made);
                    }
                    Kind::Sub(inner) | Kind::Branch(_, inner) => find(inner, made),
                    _ => {}
                }
            }
        }
        let mut made = BTreeMap::new();
        find(&program.main, &mut made);
        let lists = ["sum", "sum-of", "boom", "again-0", "again-1", "again-2", "again-3"];
        let mut all: Vec<_> = lists.map(|name| template(name, types::collection_of(number()))).into();
        // The task of a map says what the whole map takes and gives, as the SDK has it.
        let mut each = template("each", types::collection_of(number()));
        if let Some(interface) = &mut each.interface {
            interface.outputs = Some(variables("o0", types::collection_of(number())));
        }
        all.push(each);
        all.extend(made.keys().map(|name| template(name, number())));
        Self { made, all }
    }

    /// Does what a task of this name does with these numbers, the `attempt`th time, from 0.
    pub fn does(&self, name: &str, numbers: &[i64], attempt: u32) -> Does {
        let failure = |code: &str, recoverable| Failure {
            code: code.to_owned(),
            message: name.to_owned(),
            cause: FailureCause::TaskRaised { recoverable },
            charge: Charge::User,
        };
        if let Some(flow) = self.made.get(name) {
            return Does::Makes(self.spec(flow, numbers[0]));
        }
        let times = name.strip_prefix("again-").and_then(|times| times.parse().ok()).unwrap_or(0);
        match name {
            "boom" => Does::Fails(failure(BOOM, false)),
            _ if attempt < times => Does::Fails(failure("USER:Recoverable", true)),
            _ => Does::Gives(sum(numbers.iter().copied())),
        }
    }

    fn spec(&self, flow: &Flow, x: i64) -> Bytes {
        let mut made = Made::default();
        let template = made.template(flow, "made", Some(x));
        let spec = core::DynamicJobSpec {
            nodes: template.nodes,
            outputs: template.outputs,
            tasks: self.all.clone(),
            subworkflows: made.flows,
            ..Default::default()
        };
        spec.encode_to_vec().into()
    }
}
