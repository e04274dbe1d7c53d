//! Definitions as the SDK sends them, in words.

use crate::harness::Harness;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::{self, *};
use std::collections::BTreeMap;

pub const PROJECT: &str = "flytesnacks";
pub const DOMAIN: &str = "development";

pub fn id(resource_type: ResourceType, name: &str, version: &str) -> Identifier {
    Identifier {
        resource_type: resource_type.into(),
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        ..Default::default()
    }
}

pub fn execution_id(name: &str) -> WorkflowExecutionIdentifier {
    WorkflowExecutionIdentifier {
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        name: name.to_owned(),
        ..Default::default()
    }
}

pub fn node_id(execution: &str, node: &str) -> NodeExecutionIdentifier {
    NodeExecutionIdentifier { node_id: node.to_owned(), execution_id: Some(execution_id(execution)) }
}

pub fn of_type(simple: SimpleType) -> LiteralType {
    LiteralType { r#type: Some(literal_type::Type::Simple(simple.into())), ..Default::default() }
}

fn variables(names: &[(&str, LiteralType)]) -> VariableMap {
    let variable = |(name, literal_type): &(&str, LiteralType)| {
        let variable = Variable {
            r#type: Some(literal_type.clone()),
            description: (*name).to_owned(),
            ..Default::default()
        };
        ((*name).to_owned(), variable)
    };
    VariableMap { variables: names.iter().map(variable).collect() }
}

pub fn interface(inputs: &[(&str, LiteralType)], outputs: &[(&str, LiteralType)]) -> TypedInterface {
    TypedInterface { inputs: Some(variables(inputs)), outputs: Some(variables(outputs)) }
}

pub fn integer(value: i64) -> Literal {
    scalar(scalar::Value::Primitive(Primitive { value: Some(primitive::Value::Integer(value)) }))
}

pub fn text(value: &str) -> Literal {
    scalar(scalar::Value::Primitive(Primitive {
        value: Some(primitive::Value::StringValue(value.to_owned())),
    }))
}

fn scalar(value: scalar::Value) -> Literal {
    Literal {
        value: Some(literal::Value::Scalar(Box::new(Scalar { value: Some(value) }))),
        ..Default::default()
    }
}

pub fn literals(values: &[(&str, Literal)]) -> LiteralMap {
    LiteralMap { literals: values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect() }
}

/// `inc(x: int) -> int`
pub fn inc(version: &str) -> admin::TaskCreateRequest {
    let template = TaskTemplate {
        r#type: "python-task".to_owned(),
        interface: Some(interface(
            &[("x", of_type(SimpleType::Integer))],
            &[("o0", of_type(SimpleType::Integer))],
        )),
        target: Some(task_template::Target::Container(Container {
            image: "python".to_owned(),
            args: vec!["pyflyte-execute".to_owned()],
            ..Default::default()
        })),
        ..Default::default()
    };
    admin::TaskCreateRequest {
        id: Some(id(ResourceType::Task, "m.inc", version)),
        spec: Some(admin::TaskSpec { template: Some(template), description: None }),
    }
}

fn promise(node: &str, var: &str) -> Option<BindingData> {
    let reference = OutputReference { node_id: node.to_owned(), var: var.to_owned(), ..Default::default() };
    Some(BindingData { value: Some(binding_data::Value::Promise(reference)), ..Default::default() })
}

fn binding(var: &str, binding: Option<BindingData>) -> Binding {
    Binding { var: var.to_owned(), binding }
}

fn task_node(node: &str, input: (&str, &str)) -> Node {
    Node {
        id: node.to_owned(),
        metadata: Some(NodeMetadata { name: "inc".to_owned(), ..Default::default() }),
        inputs: vec![binding("x", promise(input.0, input.1))],
        target: Some(core::node::Target::TaskNode(TaskNode {
            reference: Some(task_node::Reference::ReferenceId(id(ResourceType::Task, "m.inc", "v1"))),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// `w(x: int) -> int`, which is `inc(inc(x))`
pub fn workflow(name: &str, version: &str) -> admin::WorkflowCreateRequest {
    let template = WorkflowTemplate {
        id: Some(id(ResourceType::Workflow, name, version)),
        interface: Some(interface(
            &[("x", of_type(SimpleType::Integer))],
            &[("o0", of_type(SimpleType::Integer))],
        )),
        nodes: vec![task_node("n0", ("", "x")), task_node("n1", ("n0", "o0"))],
        outputs: vec![binding("o0", promise("n1", "o0"))],
        metadata: Some(WorkflowMetadata::default()),
        metadata_defaults: Some(WorkflowMetadataDefaults::default()),
        ..Default::default()
    };
    admin::WorkflowCreateRequest {
        id: Some(id(ResourceType::Workflow, name, version)),
        spec: Some(admin::WorkflowSpec { template: Some(template), ..Default::default() }),
    }
}

/// `mapped(x: int, xs: [int])`: `n0` maps `inc` over `xs`, `n1` is `inc(x)` after it, and `fail` is called on a failure.
pub fn mapped() -> admin::WorkflowCreateRequest {
    let list = LiteralType {
        r#type: Some(literal_type::Type::CollectionType(Box::new(of_type(SimpleType::Integer)))),
        ..Default::default()
    };
    let array = ArrayNode {
        node: Some(Box::new(Node { inputs: vec![], ..task_node("inner", ("", "xs")) })),
        is_original_sub_node_interface: Some(true),
        success_criteria: Some(array_node::SuccessCriteria::MinSuccessRatio(0.5)),
        ..Default::default()
    };
    let map =
        Node { target: Some(core::node::Target::ArrayNode(Box::new(array))), ..task_node("n0", ("", "xs")) };
    let after = Node { upstream_node_ids: vec!["n0".to_owned()], ..task_node("n1", ("", "x")) };
    let template = WorkflowTemplate {
        id: Some(id(ResourceType::Workflow, "m.mapped", "v1")),
        interface: Some(interface(&[("x", of_type(SimpleType::Integer)), ("xs", list)], &[])),
        nodes: vec![map, after],
        failure_node: Some(task_node("fail", ("", "x"))),
        metadata: Some(WorkflowMetadata::default()),
        metadata_defaults: Some(WorkflowMetadataDefaults::default()),
        ..Default::default()
    };
    admin::WorkflowCreateRequest {
        id: Some(id(ResourceType::Workflow, "m.mapped", "v1")),
        spec: Some(admin::WorkflowSpec { template: Some(template), ..Default::default() }),
    }
}

/// A launch plan of a workflow of the same version; what is not fixed is required.
pub fn launch_plan(name: &str, version: &str, workflow: &str) -> admin::LaunchPlanCreateRequest {
    admin::LaunchPlanCreateRequest {
        id: Some(id(ResourceType::LaunchPlan, name, version)),
        spec: Some(admin::LaunchPlanSpec {
            workflow_id: Some(id(ResourceType::Workflow, workflow, version)),
            labels: Some(admin::Labels::default()),
            annotations: Some(admin::Annotations::default()),
            raw_output_data_config: Some(admin::RawOutputDataConfig::default()),
            ..Default::default()
        }),
    }
}

/// What `pyflyte run` sends.
pub fn execution(
    name: &str,
    launched: Identifier,
    inputs: &[(&str, Literal)],
) -> admin::ExecutionCreateRequest {
    admin::ExecutionCreateRequest {
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        name: name.to_owned(),
        inputs: Some(literals(inputs)),
        spec: Some(admin::ExecutionSpec {
            launch_plan: Some(launched),
            metadata: Some(admin::ExecutionMetadata {
                principal: "placeholder".to_owned(),
                ..Default::default()
            }),
            notification_overrides: Some(admin::execution_spec::NotificationOverrides::DisableAll(false)),
            labels: Some(admin::Labels { values: BTreeMap::new() }),
            annotations: Some(admin::Annotations { values: BTreeMap::new() }),
            auth_role: Some(admin::AuthRole::default()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn launch_plan_id(name: &str) -> Identifier {
    id(ResourceType::LaunchPlan, name, "v1")
}

/// Registers `m.inc`, `m.w` and its launch plan `m.w`, all of version `v1`.
pub async fn register(harness: &Harness) {
    let mut admin = harness.admin();
    admin.create_task(inc("v1")).await.unwrap();
    admin.create_workflow(workflow("m.w", "v1")).await.unwrap();
    admin.create_launch_plan(launch_plan("m.w", "v1", "m.w")).await.unwrap();
}

/// Creates an execution of `m.w` with input 1.
pub async fn launch(harness: &Harness, name: &str) -> String {
    let request = execution(name, launch_plan_id("m.w"), &[("x", integer(1))]);
    harness.admin().create_execution(request).await.unwrap().into_inner().id.unwrap().name
}

/// Registers `m.mapped` beside the others, and creates an execution of it.
pub async fn launch_mapped(harness: &Harness, name: &str) {
    register(harness).await;
    let mut admin = harness.admin();
    admin.create_workflow(mapped()).await.unwrap();
    admin.create_launch_plan(launch_plan("m.mapped", "v1", "m.mapped")).await.unwrap();
    let xs = Literal {
        value: Some(literal::Value::Collection(LiteralCollection { literals: vec![integer(1)] })),
        ..Default::default()
    };
    let request = execution(name, launch_plan_id("m.mapped"), &[("x", integer(1)), ("xs", xs)]);
    admin.create_execution(request).await.unwrap();
}
