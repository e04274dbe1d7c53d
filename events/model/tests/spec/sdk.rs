//! Workflows as the SDK registers them: `tests/fixtures`.

use crate::fixtures::from_sdk;
use skein_idl::flyteidl::core::{CompiledWorkflowClosure, Node, WorkflowTemplate, node};
use skein_model::compile::{compile, references};

fn compile_sdk(name: &str) -> CompiledWorkflowClosure {
    let (template, sub_workflows, registry) = from_sdk(name);
    let id = template.id.clone().expect("the SDK names its workflows");
    compile(&id, &template, &sub_workflows, &registry).unwrap_or_else(|errors| panic!("{name}: {errors}"))
}

fn primary(closure: &CompiledWorkflowClosure) -> &WorkflowTemplate {
    closure.primary.as_ref().and_then(|workflow| workflow.template.as_ref()).expect("a compiled workflow")
}

fn node_ids(template: &WorkflowTemplate) -> Vec<&str> {
    template.nodes.iter().map(|node| node.id.as_str()).collect()
}

fn find<'a>(template: &'a WorkflowTemplate, id: &str) -> &'a Node {
    template.nodes.iter().find(|node| node.id == id).expect("a node of this id")
}

#[test]
fn every_workflow_of_the_sdk_compiles() {
    for name in [
        "attributes",
        "branched",
        "chain",
        "containers",
        "diamond",
        "enums",
        "files",
        "gates",
        "launches",
        "mapped",
        "mapped_launches",
        "mapped_with_failures",
        "named_outputs",
        "optionals",
        "ordered",
        "parent",
        "spreads",
        "times",
        "unions",
        "with_failure_node",
    ] {
        let closure = compile_sdk(name);
        assert_eq!(node_ids(primary(&closure))[..2], ["start-node", "end-node"], "{name}");
    }
}
