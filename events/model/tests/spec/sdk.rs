//! Workflows as the SDK registers them: `tests/fixtures`.

use crate::fixtures::from_sdk;
use skein_idl::flyteidl::core::{CompiledWorkflowClosure, Identifier, Node, WorkflowTemplate, node};
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

#[test]
fn what_the_sdk_refers_to_is_all_that_has_to_be_looked_up() {
    let (template, sub_workflows, registry) = from_sdk("launches");
    let found = references(&template, &sub_workflows);
    let names = |ids: &[Identifier]| ids.iter().map(|id| id.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found.tasks), ["workflows.inc"]);
    assert_eq!(names(&found.launch_plans), ["fixed_chain"]);
    assert_eq!(registry.launch_plans.len(), 1);
}

#[test]
fn inner_nodes_of_the_sdk_s_branches_are_told_apart_from_outer_ones() {
    let closure = compile_sdk("branched");
    let branch = find(primary(&closure), "n2");
    assert_eq!(branch.upstream_node_ids, ["n0", "n1"]);
    let Some(node::Target::BranchNode(inside)) = &branch.target else { panic!("a branch") };
    let blocks = inside.if_else.as_deref().expect("its cases");
    let cases = blocks.case.iter().map(AsRef::as_ref).chain(&blocks.other);
    let ids: Vec<&str> =
        cases.filter_map(|case| case.then_node.as_deref()).map(|inner| inner.id.as_str()).collect();
    assert_eq!(ids, ["n2-n0", "n2-n1"]);
}

#[test]
fn a_list_that_the_sdk_binds_to_a_union_is_marked_with_its_variant() {
    let closure = compile_sdk("unions");
    let data = find(primary(&closure), "n2").inputs[0].binding.as_ref().expect("a binding");
    let variant = data.union.as_ref().and_then(|union| union.target_type.as_ref()).expect("a variant");
    assert_eq!(
        skein_model::types::describe(variant),
        "collection_type:{simple:INTEGER} structure:{tag:\"Typed List\"}"
    );
}
