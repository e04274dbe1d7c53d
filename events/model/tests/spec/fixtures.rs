//! Words in which workflows, types and values are written down in tests.

use prost::Message as _;
use skein_idl::flyteidl::core::{
    Binding, BindingData, BindingDataCollection, BindingDataMap, BlobType, BooleanExpression, BranchNode,
    ComparisonExpression, CompiledWorkflow, CompiledWorkflowClosure, Container, EnumType, Error, Identifier,
    IfBlock, IfElseBlock, Literal, LiteralCollection, LiteralMap, LiteralType, Node, Operand,
    OutputReference, Parameter, ParameterMap, Primitive, PromiseAttribute, ResourceType, Scalar, SimpleType,
    TaskNode, TaskTemplate, TypeStructure, TypedInterface, Union, Variable, VariableMap, Void, WorkflowNode,
    WorkflowTemplate, binding_data, boolean_expression, if_else_block, literal, literal_type, node, operand,
    parameter, primitive, promise_attribute, scalar, task_node, task_template, workflow_node,
};
use skein_model::compile::{CompileErrors, Definitions, LaunchPlanInterface, compile};
use std::path::Path;

pub(crate) fn simple(of: SimpleType) -> LiteralType {
    skein_model::types::simple(of)
}

pub(crate) fn integer() -> LiteralType {
    simple(SimpleType::Integer)
}

pub(crate) fn string() -> LiteralType {
    simple(SimpleType::String)
}

pub(crate) fn boolean() -> LiteralType {
    simple(SimpleType::Boolean)
}

pub(crate) fn none() -> LiteralType {
    simple(SimpleType::None)
}

pub(crate) fn structure() -> LiteralType {
    simple(SimpleType::Struct)
}

pub(crate) fn list(element: LiteralType) -> LiteralType {
    skein_model::types::collection_of(element)
}

pub(crate) fn map(value: LiteralType) -> LiteralType {
    skein_model::types::map_of(value)
}

pub(crate) fn union(variants: impl IntoIterator<Item = LiteralType>) -> LiteralType {
    skein_model::types::union_of(variants.into_iter().collect())
}

pub(crate) fn optional(inner: LiteralType) -> LiteralType {
    union([inner, tagged("none", none())])
}

pub(crate) fn tagged(tag: &str, inner: LiteralType) -> LiteralType {
    LiteralType {
        structure: Some(TypeStructure { tag: tag.to_owned(), ..TypeStructure::default() }),
        ..inner
    }
}

pub(crate) fn dataclass<const N: usize>(fields: [(&str, LiteralType); N]) -> LiteralType {
    let dataclass_type = fields.map(|(name, inner)| (name.to_owned(), inner)).into();
    LiteralType { structure: Some(TypeStructure { tag: String::new(), dataclass_type }), ..structure() }
}

pub(crate) fn enumeration<const N: usize>(values: [&str; N]) -> LiteralType {
    typed(literal_type::Type::EnumType(EnumType { values: values.map(str::to_owned).into() }))
}

pub(crate) fn blob(format: &str) -> LiteralType {
    typed(literal_type::Type::Blob(BlobType { format: format.to_owned(), dimensionality: 0 }))
}

pub(crate) fn typed(inner: literal_type::Type) -> LiteralType {
    LiteralType { r#type: Some(inner), ..LiteralType::default() }
}

pub(crate) fn primitive(value: primitive::Value) -> Scalar {
    Scalar { value: Some(scalar::Value::Primitive(Primitive { value: Some(value) })) }
}

pub(crate) fn scalar(value: Scalar) -> Literal {
    Literal { value: Some(literal::Value::Scalar(Box::new(value))), ..Literal::default() }
}

pub(crate) fn int(value: i64) -> Literal {
    scalar(primitive(primitive::Value::Integer(value)))
}

pub(crate) fn text(value: &str) -> Literal {
    scalar(primitive(primitive::Value::StringValue(value.to_owned())))
}

pub(crate) fn void() -> Literal {
    scalar(Scalar { value: Some(scalar::Value::NoneType(Void {})) })
}

pub(crate) fn union_value(value: Literal, variant: LiteralType) -> Literal {
    let union = Union { value: Some(Box::new(value)), r#type: Some(variant) };
    scalar(Scalar { value: Some(scalar::Value::Union(Box::new(union))) })
}

pub(crate) fn list_of(literals: impl IntoIterator<Item = Literal>) -> Literal {
    let literals = literals.into_iter().collect();
    Literal { value: Some(literal::Value::Collection(LiteralCollection { literals })), ..Literal::default() }
}

pub(crate) fn map_of<const N: usize>(entries: [(&str, Literal); N]) -> Literal {
    Literal { value: Some(literal::Value::Map(literals(entries))), ..Literal::default() }
}

pub(crate) fn literals<const N: usize>(entries: [(&str, Literal); N]) -> LiteralMap {
    LiteralMap { literals: entries.map(|(name, value)| (name.to_owned(), value)).into() }
}

pub(crate) fn variables<const N: usize>(types: [(&str, LiteralType); N]) -> VariableMap {
    let variable = |declared| Variable { r#type: Some(declared), ..Variable::default() };
    VariableMap { variables: types.map(|(name, declared)| (name.to_owned(), variable(declared))).into() }
}

pub(crate) fn interface<const I: usize, const O: usize>(
    inputs: [(&str, LiteralType); I],
    outputs: [(&str, LiteralType); O],
) -> TypedInterface {
    TypedInterface { inputs: Some(variables(inputs)), outputs: Some(variables(outputs)) }
}

pub(crate) fn parameters<const N: usize>(
    entries: [(&str, LiteralType, parameter::Behavior); N],
) -> ParameterMap {
    let parameters = entries.map(|(name, declared, behavior)| {
        let var = Some(Variable { r#type: Some(declared), ..Variable::default() });
        (name.to_owned(), Parameter { var, behavior: Some(behavior) })
    });
    ParameterMap { parameters: parameters.into() }
}

pub(crate) fn id(kind: ResourceType, name: &str) -> Identifier {
    Identifier {
        resource_type: kind.into(),
        project: "flytesnacks".to_owned(),
        domain: "development".to_owned(),
        name: name.to_owned(),
        version: "v1".to_owned(),
        org: String::new(),
    }
}

pub(crate) fn task(name: &str, interface: TypedInterface) -> TaskTemplate {
    TaskTemplate {
        id: Some(id(ResourceType::Task, name)),
        r#type: "python-task".to_owned(),
        interface: Some(interface),
        target: Some(task_template::Target::Container(Container::default())),
        ..TaskTemplate::default()
    }
}

/// Tasks and launch plans that are registered.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) tasks: Vec<TaskTemplate>,
    pub(crate) launch_plans: Vec<(String, LaunchPlanInterface)>,
}

impl Definitions for Registry {
    fn task(&self, id: &Identifier) -> Option<TaskTemplate> {
        self.tasks.iter().find(|task| task.id.as_ref() == Some(id)).cloned()
    }

    fn launch_plan(&self, id: &Identifier) -> Option<LaunchPlanInterface> {
        self.launch_plans.iter().find(|(name, _)| *name == id.name).map(|(_, plan)| plan.clone())
    }
}

/// `inc: x -> o0`, `add: x, y -> o0`, `shout: text -> o0`, and what else tests need.
pub(crate) fn registry() -> Registry {
    let fields = dataclass([("size", integer()), ("names", list(string()))]);
    let tasks = vec![
        task("inc", interface([("x", integer())], [("o0", integer())])),
        task("add", interface([("x", integer()), ("y", integer())], [("o0", integer())])),
        task("shout", interface([("text", string())], [("o0", string())])),
        task("total", interface([("values", list(integer()))], [("o0", integer())])),
        task("table", interface([("table", map(integer()))], [("o0", map(integer()))])),
        task("numbers", interface([], [("o0", list(integer()))])),
        task("fields", interface([], [("o0", fields)])),
        task("anything", interface([], [("o0", structure())])),
        task(
            "paint",
            interface([("colour", enumeration(["red", "blue"]))], [("o0", enumeration(["red", "blue"]))]),
        ),
        task("maybe", interface([("x", optional(tagged("int", integer())))], [])),
        task("lists", interface([("x", union([list(integer()), list(string())]))], [])),
        task("twice", interface([("x", union([integer(), tagged("other", integer())]))], [])),
        task("flag", interface([], [("o0", boolean())])),
        task("nothing", interface([], [])),
    ];
    let plan = LaunchPlanInterface {
        expected_inputs: parameters([
            ("x", integer(), parameter::Behavior::Required(true)),
            ("y", integer(), parameter::Behavior::Default(int(3))),
        ]),
        fixed_inputs: literals([("z", int(1))]),
        outputs: variables([("o0", integer())]),
    };
    Registry { tasks, launch_plans: vec![("plan".to_owned(), plan)] }
}

pub(crate) fn constant(value: Literal) -> BindingData {
    let Some(literal::Value::Scalar(scalar)) = value.value else {
        panic!("only scalars are bound as constants")
    };
    data(binding_data::Value::Scalar(*scalar))
}

pub(crate) fn data(value: binding_data::Value) -> BindingData {
    BindingData { value: Some(value), union: None }
}

/// An input of the workflow.
pub(crate) fn input(var: &str) -> BindingData {
    output_of("", var)
}

pub(crate) fn output_of(node: &str, var: &str) -> BindingData {
    part_of(node, var, [])
}

pub(crate) enum Step<'a> {
    Key(&'a str),
    Index(i32),
}

pub(crate) fn path<const N: usize>(steps: [Step<'_>; N]) -> Vec<PromiseAttribute> {
    let value = |step| match step {
        Step::Key(key) => promise_attribute::Value::StringValue(str::to_owned(key)),
        Step::Index(index) => promise_attribute::Value::IntValue(index),
    };
    steps.map(|step| PromiseAttribute { value: Some(value(step)) }).into()
}

pub(crate) fn part_of<const N: usize>(node: &str, var: &str, steps: [Step<'_>; N]) -> BindingData {
    data(binding_data::Value::Promise(OutputReference {
        node_id: node.to_owned(),
        var: var.to_owned(),
        attr_path: path(steps),
    }))
}

pub(crate) fn bound_list(bindings: impl IntoIterator<Item = BindingData>) -> BindingData {
    let bindings = bindings.into_iter().collect();
    data(binding_data::Value::Collection(BindingDataCollection { bindings }))
}

pub(crate) fn bound_map<const N: usize>(entries: [(&str, BindingData); N]) -> BindingData {
    let bindings = entries.map(|(name, value)| (name.to_owned(), value)).into();
    data(binding_data::Value::Map(BindingDataMap { bindings }))
}

pub(crate) fn binding(var: &str, value: BindingData) -> Binding {
    Binding { var: var.to_owned(), binding: Some(value) }
}

pub(crate) fn bindings<const N: usize>(entries: [(&str, BindingData); N]) -> Vec<Binding> {
    entries.map(|(var, value)| binding(var, value)).into()
}

pub(crate) fn target_task(name: &str) -> node::Target {
    let reference = task_node::Reference::ReferenceId(id(ResourceType::Task, name));
    node::Target::TaskNode(TaskNode { reference: Some(reference), overrides: None })
}

pub(crate) fn node<const N: usize>(
    node_id: &str,
    target: node::Target,
    inputs: [(&str, BindingData); N],
) -> Node {
    Node { id: node_id.to_owned(), inputs: bindings(inputs), target: Some(target), ..Node::default() }
}

/// A node that runs a task.
pub(crate) fn runs<const N: usize>(node_id: &str, task: &str, inputs: [(&str, BindingData); N]) -> Node {
    node(node_id, target_task(task), inputs)
}

pub(crate) fn target_workflow(name: &str) -> node::Target {
    let reference = workflow_node::Reference::SubWorkflowRef(id(ResourceType::Workflow, name));
    node::Target::WorkflowNode(WorkflowNode { reference: Some(reference) })
}

pub(crate) fn target_plan(name: &str) -> node::Target {
    let reference = workflow_node::Reference::LaunchplanRef(id(ResourceType::LaunchPlan, name));
    node::Target::WorkflowNode(WorkflowNode { reference: Some(reference) })
}

/// `left == right`, each the name of a variable or a number.
pub(crate) fn equal(left: operand::Val, right: operand::Val) -> BooleanExpression {
    let operand = |val| Some(Operand { val: Some(val) });
    let comparison =
        ComparisonExpression { operator: 0, left_value: operand(left), right_value: operand(right) };
    BooleanExpression { expr: Some(boolean_expression::Expr::Comparison(comparison)) }
}

pub(crate) fn named(var: &str) -> operand::Val {
    operand::Val::Var(var.to_owned())
}

pub(crate) fn number(value: i64) -> operand::Val {
    operand::Val::Primitive(Primitive { value: Some(primitive::Value::Integer(value)) })
}

pub(crate) fn case(condition: BooleanExpression, then: Node) -> IfBlock {
    IfBlock { condition: Some(condition), then_node: Some(Box::new(then)) }
}

pub(crate) fn target_branch(case: IfBlock, otherwise: Option<Node>) -> node::Target {
    let default = otherwise.map_or_else(
        || if_else_block::Default::Error(Error { message: "none holds".to_owned(), ..Error::default() }),
        |node| if_else_block::Default::ElseNode(Box::new(node)),
    );
    let blocks = IfElseBlock { case: Some(Box::new(case)), other: Vec::new(), default: Some(default) };
    node::Target::BranchNode(Box::new(BranchNode { if_else: Some(Box::new(blocks)) }))
}

/// A workflow without inputs and outputs.
pub(crate) fn workflow(nodes: impl IntoIterator<Item = Node>) -> WorkflowTemplate {
    WorkflowTemplate {
        id: Some(id(ResourceType::Workflow, "wf")),
        interface: Some(interface([], [])),
        nodes: nodes.into_iter().collect(),
        ..WorkflowTemplate::default()
    }
}

/// Compiles a workflow with what is in [`registry`].
pub(crate) fn compiled(
    template: &WorkflowTemplate,
    sub_workflows: &[WorkflowTemplate],
) -> Result<CompiledWorkflowClosure, CompileErrors> {
    compile(&id(ResourceType::Workflow, "wf"), template, sub_workflows, &registry())
}

/// What the SDK registers for one of `tests/fixtures/workflows.py`.
pub(crate) fn from_sdk(name: &str) -> (WorkflowTemplate, Vec<WorkflowTemplate>, Registry) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.pb"));
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let written = CompiledWorkflowClosure::decode(bytes.as_slice()).expect("dump.py wrote it");
    let template = |workflow: CompiledWorkflow| workflow.template.unwrap_or_default();
    let plans = written.launch_plans.into_iter().filter_map(|plan| plan.template).map(|plan| {
        let interface = plan.interface.unwrap_or_default();
        let fixed_inputs = plan.fixed_inputs.unwrap_or_default();
        let (expected_inputs, outputs) =
            skein_model::launch::launch_plan_interface(&ParameterMap::default(), &fixed_inputs, &interface)
                .expect("the SDK's launch plans fit their workflows");
        (plan.id.unwrap_or_default().name, LaunchPlanInterface { expected_inputs, fixed_inputs, outputs })
    });
    let registry = Registry {
        tasks: written.tasks.into_iter().filter_map(|task| task.template).collect(),
        launch_plans: plans.collect(),
    };
    (
        written.primary.map(template).unwrap_or_default(),
        written.sub_workflows.into_iter().map(template).collect(),
        registry,
    )
}
