//! What the compiler makes of workflows.

use crate::fixtures::*;
use skein_idl::flyteidl::core::{
    Alias, ApproveCondition, ArrayNode, BindingData, CompiledWorkflow, ConnectionSet, GateNode, Identifier,
    LiteralType, Node, ResourceType, RetryStrategy, SignalCondition, TaskMetadata, TaskTemplate,
    WorkflowTemplate, array_node, binding_data, gate_node, node as target, node_metadata, task_metadata,
};
use skein_model::compile::{compile, digest, references, single_task, single_task_node_id};
use std::collections::BTreeMap;

fn primary(template: &WorkflowTemplate) -> (WorkflowTemplate, ConnectionSet) {
    let closure = compiled(template, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let CompiledWorkflow { template, connections } = closure.primary.expect("a compiled workflow");
    (template.expect("its template"), connections.expect("its connections"))
}

fn ids(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.id.as_str()).collect()
}

fn links(
    side: BTreeMap<String, skein_idl::flyteidl::core::connection_set::IdList>,
) -> Vec<(String, Vec<String>)> {
    side.into_iter().map(|(id, list)| (id, list.ids)).collect()
}

fn expected<const N: usize>(links: [(&str, &[&str]); N]) -> Vec<(String, Vec<String>)> {
    links.map(|(id, ids)| (id.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect())).into()
}

fn one(id: &str) -> Node {
    runs(id, "inc", [("x", constant(int(1)))])
}

fn with_outputs<const N: usize>(
    template: WorkflowTemplate,
    outputs: [(&str, LiteralType, BindingData); N],
) -> WorkflowTemplate {
    let mut declared = template.interface.clone().unwrap_or_default();
    declared.outputs = Some(variables(outputs.clone().map(|(name, output, _)| (name, output))));
    WorkflowTemplate {
        interface: Some(declared),
        outputs: bindings(outputs.map(|(name, _, value)| (name, value))),
        ..template
    }
}

#[test]
fn start_and_end_come_first_and_the_end_takes_the_outputs() {
    let template = with_outputs(workflow([one("n0")]), [("o0", integer(), output_of("n0", "o0"))]);
    let (compiled, _) = primary(&template);
    assert_eq!(ids(&compiled.nodes), ["start-node", "end-node", "n0"]);
    assert_eq!(compiled.nodes[1].inputs, compiled.outputs);
}

#[test]
fn an_input_of_the_workflow_comes_from_the_start_node() {
    let template = WorkflowTemplate {
        interface: Some(interface([("x", integer())], [])),
        ..workflow([runs("n0", "total", [("values", bound_list([input("x"), constant(int(1))]))])])
    };
    let (compiled, _) = primary(&template);
    assert_eq!(
        compiled.nodes[2].inputs[0].binding,
        Some(bound_list([output_of("start-node", "x"), constant(int(1))]))
    );
}

#[test]
fn connections_run_from_start_to_end() {
    let template = with_outputs(
        workflow([
            one("b"),
            one("a"),
            runs("c", "add", [("x", output_of("a", "o0")), ("y", output_of("b", "o0"))]),
        ]),
        [("o0", integer(), output_of("a", "o0"))],
    );
    let (compiled, connections) = primary(&template);
    assert_eq!(
        links(connections.downstream),
        expected([
            ("a", &["c", "end-node"]),
            ("b", &["c"]),
            ("c", &["end-node"]),
            ("start-node", &["a", "b"])
        ])
    );
    assert_eq!(
        links(connections.upstream),
        expected([
            ("a", &["start-node"]),
            ("b", &["start-node"]),
            ("c", &["a", "b"]),
            ("end-node", &["a", "c"])
        ])
    );
    assert_eq!(compiled.nodes[4].upstream_node_ids, ["a", "b"]);
}

#[test]
fn an_explicit_order_counts_like_a_promise() {
    let later = Node { upstream_node_ids: vec!["n0".to_owned()], ..one("n1") };
    let (compiled, connections) = primary(&workflow([one("n0"), later]));
    assert_eq!(compiled.nodes[3].upstream_node_ids, ["n0"]);
    assert_eq!(connections.upstream["n1"].ids, ["n0"]);
}

#[test]
fn inner_nodes_of_a_branch_are_renamed_and_the_branch_waits_for_what_they_need() {
    let nested = target_branch(
        case(equal(number(1), number(1)), runs("n0", "inc", [("x", output_of("n1", "o0"))])),
        None,
    );
    let outer = target_branch(
        case(equal(named("n0.o0"), number(1)), runs("n0", "inc", [("x", output_of("n0", "o0"))])),
        Some(node("n1", nested, [])),
    );
    let (compiled, _) =
        primary(&workflow([one("n0"), one("n1"), node("n2", outer, [("n0.o0", output_of("n0", "o0"))])]));
    let branch = &compiled.nodes[4];
    assert_eq!(branch.upstream_node_ids, ["n0", "n1"]);
    let Some(target::Target::BranchNode(inside)) = &branch.target else { panic!("a branch") };
    let blocks = inside.if_else.as_deref().expect("its cases");
    let first = blocks.case.as_deref().and_then(|case| case.then_node.as_deref()).expect("its first node");
    assert_eq!((first.id.as_str(), &first.inputs[0].binding), ("n2-n0", &Some(output_of("n0", "o0"))));
    let Some(skein_idl::flyteidl::core::if_else_block::Default::ElseNode(last)) = &blocks.default else {
        panic!("else")
    };
    assert_eq!(last.id, "n2-n1");
    let Some(target::Target::BranchNode(inside)) = &last.target else { panic!("a branch") };
    let inner = inside
        .if_else
        .as_deref()
        .and_then(|blocks| blocks.case.as_deref())
        .and_then(|case| case.then_node.as_deref());
    assert_eq!(inner.map(|inner| inner.id.as_str()), Some("n2-n1-n0"));
    assert_eq!(inner.map(|inner| inner.upstream_node_ids.clone()), Some(vec!["n1".to_owned()]));
}

#[test]
fn a_branch_gives_what_all_its_cases_give_and_one_that_fails_does_not_count() {
    let branch = target_branch(case(equal(number(1), number(1)), one("n0")), None);
    assert!(
        compiled(&workflow([node("n0", branch, []), runs("n1", "inc", [("x", output_of("n0", "o0"))])]), &[])
            .is_ok()
    );
}

#[test]
fn an_optional_input_may_stay_unbound() {
    assert!(compiled(&workflow([runs("n0", "maybe", [])]), &[]).is_ok());
}

#[test]
fn a_launch_plan_needs_its_required_inputs_only() {
    let template = workflow([
        node("n0", target_plan("plan"), [("x", constant(int(1)))]),
        runs("n1", "inc", [("x", output_of("n0", "o0"))]),
    ]);
    assert!(compiled(&template, &[]).is_ok());
}

#[test]
fn gates_hand_on_what_they_are_given_or_what_somebody_says() {
    let gate = |condition| target::Target::GateNode(GateNode { condition: Some(condition) });
    let approve = gate(gate_node::Condition::Approve(ApproveCondition { signal_id: "ok".to_owned() }));
    let signal = gate(gate_node::Condition::Signal(SignalCondition {
        signal_id: "answer".to_owned(),
        r#type: Some(string()),
        output_variable_name: "o0".to_owned(),
    }));
    let template = workflow([
        runs("n3", "shout", [("text", output_of("n2", "o0"))]),
        runs("n4", "inc", [("x", output_of("n1", "o0"))]),
        node("n1", approve, [("o0", output_of("n0", "o0"))]),
        node("n2", signal, []),
        one("n0"),
    ]);
    assert!(compiled(&template, &[]).is_ok());
}

fn array(flag: Option<bool>, mode: array_node::ExecutionMode) -> ArrayNode {
    ArrayNode {
        node: Some(Box::new(runs("sub", "add", []))),
        is_original_sub_node_interface: flag,
        execution_mode: mode.into(),
        bound_inputs: vec!["y".to_owned()],
        ..ArrayNode::default()
    }
}

#[test]
fn a_map_over_the_interface_of_one_item_takes_and_gives_lists() {
    use array_node::ExecutionMode::{FullState, MinimalState};
    let values = || bound_list([constant(int(1))]);
    for (flag, mode) in [(Some(true), MinimalState), (None, FullState)] {
        let target = target::Target::ArrayNode(Box::new(array(flag, mode)));
        let template = workflow([
            node("n0", target, [("x", values()), ("y", constant(int(1)))]),
            runs("n1", "total", [("values", output_of("n0", "o0"))]),
        ]);
        let (compiled, _) = primary(&template);
        let Some(target::Target::ArrayNode(inside)) = &compiled.nodes[2].target else { panic!("an array") };
        assert_eq!(inside.node.as_ref().map(|inner| &inner.inputs), Some(&compiled.nodes[2].inputs));
    }
    for (flag, mode) in [(Some(false), FullState), (None, MinimalState)] {
        let target = target::Target::ArrayNode(Box::new(array(flag, mode)));
        let template = workflow([node("n0", target, [("x", constant(int(1))), ("y", constant(int(1)))])]);
        assert!(compiled(&template, &[]).is_ok());
    }
}

#[test]
fn a_list_in_a_union_is_marked_with_the_variant_it_is() {
    let (compiled, _) = primary(&workflow([runs("n0", "lists", [("x", bound_list([constant(text("a"))]))])]));
    let union = compiled.nodes[2].inputs[0].binding.as_ref().and_then(|data| data.union.as_ref());
    assert_eq!(union.and_then(|union| union.target_type.clone()), Some(list(string())));
}

#[test]
fn a_part_of_a_value_has_the_part_s_type() {
    let part = |steps| part_of("f", "o0", steps);
    let template = workflow([
        runs("f", "fields", []),
        runs("n0", "inc", [("x", part([Step::Key("size")]))]),
        runs("n1", "shout", [("text", part_of("f", "o0", [Step::Key("names"), Step::Index(0)]))]),
        runs("n2", "table", [("table", bound_map([("a", part([Step::Key("size")]))]))]),
        runs("n3", "inc", [("x", part_of("n2", "o0", [Step::Key("a")]))]),
        runs("n4", "anything", []),
        runs("n5", "inc", [("x", part_of("n4", "o0", [Step::Key("nobody"), Step::Index(3)]))]),
    ]);
    assert!(compiled(&template, &[]).is_ok());
}

#[test]
fn an_alias_can_be_promised_and_is_resolved() {
    let aliased = Node {
        output_aliases: vec![Alias { var: "o0".to_owned(), alias: "result".to_owned() }],
        ..one("n0")
    };
    let (compiled, _) = primary(&workflow([aliased, runs("n1", "inc", [("x", output_of("n0", "result"))])]));
    assert_eq!(compiled.nodes[3].inputs[0].binding, Some(output_of("n0", "o0")));
}

#[test]
fn tasks_are_listed_once_wherever_they_are_used() {
    let branch = target_branch(case(equal(number(1), number(1)), runs("n0", "flag", [])), None);
    let map = ArrayNode { node: Some(Box::new(runs("m", "total", []))), ..ArrayNode::default() };
    let sub = WorkflowTemplate {
        id: Some(id(ResourceType::Workflow, "sub")),
        ..workflow([runs("n0", "numbers", [])])
    };
    let template = WorkflowTemplate {
        failure_node: Some(runs("fn0", "nothing", [])),
        ..workflow([
            one("n0"),
            one("n1"),
            node("n2", branch, []),
            node("n3", target::Target::ArrayNode(Box::new(map)), [("values", bound_list([]))]),
            node("n4", target_workflow("sub"), []),
        ])
    };
    let closure = compiled(&template, std::slice::from_ref(&sub)).unwrap_or_else(|errors| panic!("{errors}"));
    let names = |id: Option<&Identifier>| id.map(|id| id.name.clone()).unwrap_or_default();
    let tasks: Vec<String> = closure
        .tasks
        .iter()
        .map(|task| names(task.template.as_ref().and_then(|task| task.id.as_ref())))
        .collect();
    assert_eq!(tasks, ["flag", "inc", "nothing", "numbers", "total"]);
    assert_eq!(closure.sub_workflows.len(), 1);
    assert_eq!(
        ids(&closure.sub_workflows[0].template.as_ref().expect("compiled").nodes)[..2],
        ["start-node", "end-node"]
    );
    let found = references(&template, &[sub]);
    let mut named: Vec<String> = found.tasks.iter().map(|id| id.name.clone()).collect();
    named.sort_unstable();
    assert_eq!((named, found.launch_plans.len()), (tasks, 0));
}

#[test]
fn what_was_compiled_compiles_again_to_the_same() {
    let template = with_outputs(workflow([one("n0")]), [("o0", integer(), output_of("n0", "o0"))]);
    let (once, _) = primary(&template);
    assert_eq!(primary(&once).0, once);
}

#[test]
fn the_digest_tells_workflows_apart_and_leaves_launch_plans_out() {
    let closure =
        |task| compiled(&workflow([runs("n0", task, [])]), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let mut with_plan = closure("nothing");
    with_plan.launch_plans.push(Default::default());
    assert_eq!(digest(&closure("nothing")), digest(&with_plan));
    assert_ne!(digest(&closure("nothing")), digest(&closure("flag")));
}

#[test]
fn the_order_of_sub_workflows_does_not_matter() {
    let named =
        |name: &str| WorkflowTemplate { id: Some(id(ResourceType::Workflow, name)), ..workflow([one("n0")]) };
    let template = workflow([node("n0", target_workflow("a"), []), node("n1", target_workflow("b"), [])]);
    let compiled =
        |subs: &[WorkflowTemplate]| compiled(&template, subs).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(compiled(&[named("a"), named("b")]), compiled(&[named("b"), named("a"), named("a")]));
}

#[test]
fn a_chain_of_ten_thousand_nodes_compiles() {
    let link = |n: usize| match n {
        0 => one("n0"),
        n => runs(&format!("n{n}"), "inc", [("x", output_of(&format!("n{}", n - 1), "o0"))]),
    };
    // From the last to the first, the worst order to walk it in.
    let template = workflow((0..10_000).rev().map(link));
    assert_eq!(primary(&template).0.nodes.len(), 10_002);
}

#[test]
fn a_fan_of_ten_thousand_nodes_compiles() {
    let fan = (0..10_000).map(|n| one(&format!("n{n}")));
    let join = bound_list((0..10_000).map(|n| output_of(&format!("n{n}"), "o0")));
    assert!(compiled(&workflow(fan.chain([runs("sum", "total", [("values", join)])])), &[]).is_ok());
}

#[test]
fn a_cycle_of_ten_thousand_nodes_is_found() {
    let link =
        |n: usize| runs(&format!("n{n}"), "inc", [("x", output_of(&format!("n{}", (n + 1) % 10_000), "o0"))]);
    let errors = compiled(&workflow((0..10_000).map(link)), &[]).expect_err("a cycle");
    assert_eq!(errors.total, 1);
}

fn golden_task() -> TaskTemplate {
    TaskTemplate {
        metadata: Some(TaskMetadata {
            retries: Some(RetryStrategy { retries: 2 }),
            timeout: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
            interruptible_value: Some(task_metadata::InterruptibleValue::Interruptible(true)),
            ..TaskMetadata::default()
        }),
        ..task("golden_wf.inc", interface([("x", integer())], [("o0", integer())]))
    }
}

#[test]
fn a_single_task_runs_in_a_workflow_of_its_own() {
    let task = golden_task();
    let template = single_task(task.id.as_ref().expect("its id"), &task);
    let registry = Registry { tasks: vec![task], launch_plans: Vec::new() };
    let workflow_id = template.id.clone().expect("its id");
    assert_eq!(workflow_id, id(ResourceType::Workflow, ".flytegen.golden_wf.inc"));
    let closure =
        compile(&workflow_id, &template, &[], &registry).unwrap_or_else(|errors| panic!("{errors}"));
    let CompiledWorkflow { template, connections } = closure.primary.expect("a compiled workflow");
    let (template, connections) = (template.expect("its template"), connections.expect("its connections"));
    assert_eq!(ids(&template.nodes), ["start-node", "end-node", "goldenwfinc"]);
    assert_eq!(template.nodes[2].inputs, bindings([("x", output_of("start-node", "x"))]));
    assert_eq!(template.outputs, bindings([("o0", output_of("goldenwfinc", "o0"))]));
    assert_eq!(
        links(connections.downstream),
        expected([("goldenwfinc", &["end-node"]), ("start-node", &["goldenwfinc"])])
    );
}

#[test]
fn a_single_task_s_node_takes_its_settings_from_the_task() {
    let task = golden_task();
    let template = single_task(task.id.as_ref().expect("its id"), &task);
    let metadata = template.nodes[0].metadata.clone().expect("its metadata");
    assert_eq!(metadata.name, "goldenwfinc");
    assert_eq!(metadata.retries, Some(RetryStrategy { retries: 2 }));
    assert_eq!(metadata.timeout.map(|timeout| timeout.seconds), Some(5));
    assert_eq!(metadata.interruptible_value, Some(node_metadata::InterruptibleValue::Interruptible(true)));
}

#[test]
fn a_single_task_s_node_is_named_after_the_last_characters_of_the_task() {
    assert_eq!(single_task_node_id("golden_wf.inc"), "goldenwfinc");
    assert_eq!(single_task_node_id("a-b"), "a-b");
    assert_eq!(single_task_node_id(&format!("x{}", "y".repeat(63))), "y".repeat(63));
    assert_eq!(single_task_node_id(&format!("x{}", ".é".repeat(63))), "task");
}

#[test]
fn constants_stay_as_they_are() {
    let (compiled, _) = primary(&workflow([one("n0")]));
    let value = compiled.nodes[2].inputs[0].binding.as_ref().and_then(|data| data.value.as_ref());
    assert!(matches!(value, Some(binding_data::Value::Scalar(_))));
}
