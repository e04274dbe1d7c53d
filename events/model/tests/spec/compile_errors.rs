//! Everything that can be wrong with a workflow, each with an example.

use crate::fixtures::*;
use skein_idl::flyteidl::core::{
    Alias, ApproveCondition, ArrayNode, BindingData, BooleanExpression, BranchNode, GateNode, IfBlock,
    IfElseBlock, Node, ResourceType, SleepCondition, WorkflowTemplate, array_node, gate_node, node as target,
};
use skein_model::compile::{Code, CompileErrors, MESSAGE_BYTES_MAX, NODE_DEPTH_MAX};

fn errors_of(template: &WorkflowTemplate) -> CompileErrors {
    compiled(template, &[]).expect_err("the workflow is wrong")
}

/// What was found, as code, node and variable.
fn found(template: &WorkflowTemplate) -> Vec<(Code, String, String)> {
    errors_of(template).errors.into_iter().map(|error| (error.code, error.node, error.variable)).collect()
}

fn only(template: &WorkflowTemplate) -> (Code, String, String) {
    let mut found = found(template);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn error(code: Code, node: &str, variable: &str) -> (Code, String, String) {
    (code, node.to_owned(), variable.to_owned())
}

/// A node that needs nothing and gives an integer.
fn one(id: &str) -> Node {
    runs(id, "inc", [("x", constant(int(1)))])
}

fn after(mut node: Node, ids: &[&str]) -> Node {
    node.upstream_node_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    node
}

fn gate(condition: Option<gate_node::Condition>) -> target::Target {
    target::Target::GateNode(GateNode { condition })
}

fn array(inner: Node) -> ArrayNode {
    ArrayNode {
        node: Some(Box::new(inner)),
        is_original_sub_node_interface: Some(true),
        ..ArrayNode::default()
    }
}

#[test]
fn a_workflow_without_nodes_is_refused_in_the_original_words() {
    let errors = errors_of(&workflow([]));
    assert_eq!(
        errors.to_string(),
        "failed to compile workflow for [resource_type:WORKFLOW  project:\"flytesnacks\"  domain:\"development\"  \
         name:\"wf\"  version:\"v1\"] with err: Collected Errors: 1\n\tError 0: Code: NoNodesFound, Node Id: \
         resource_type:WORKFLOW  project:\"flytesnacks\"  domain:\"development\"  name:\"wf\"  version:\"v1\", \
         Description: Can't find any nodes in workflow [resource_type:WORKFLOW  project:\"flytesnacks\"  \
         domain:\"development\"  name:\"wf\"  version:\"v1\"].\n"
    );
}

#[test]
fn nodes_that_wait_for_each_other_are_a_cycle() {
    let template = workflow([
        runs("n0", "inc", [("x", output_of("n2", "o0"))]),
        runs("n1", "inc", [("x", output_of("n0", "o0"))]),
        runs("n2", "inc", [("x", output_of("n1", "o0"))]),
    ]);
    assert_eq!(only(&template), error(Code::CycleDetected, "n0", ""));
    assert!(errors_of(&template).errors[0].description.contains("n0 -> n1 -> n2 -> n0"));
}

#[test]
fn a_node_that_waits_for_itself_is_a_cycle() {
    let template = workflow([runs("n0", "inc", [("x", output_of("n0", "o0"))])]);
    assert_eq!(only(&template), error(Code::CycleDetected, "n0", ""));
}

#[test]
fn separate_cycles_are_told_apart() {
    let template = workflow([
        after(one("a"), &["b"]),
        after(one("b"), &["a"]),
        after(one("c"), &["d"]),
        after(one("d"), &["c"]),
    ]);
    let expected = [error(Code::CycleDetected, "a", ""), error(Code::CycleDetected, "c", "")];
    assert_eq!(found(&template), expected);
}

#[test]
fn nodes_behind_a_cycle_are_unreachable() {
    let template = workflow([after(one("a"), &["b"]), after(one("b"), &["a"]), after(one("c"), &["b"])]);
    let expected = [error(Code::CycleDetected, "a", ""), error(Code::UnreachableNodes, "c", "")];
    assert_eq!(found(&template), expected);
}

#[test]
fn a_branch_whose_inner_node_waits_for_it_is_a_cycle() {
    let inner = runs("n0", "inc", [("x", output_of("n1", "o0"))]);
    let branch = target_branch(case(equal(number(1), number(1)), inner), None);
    assert_eq!(only(&workflow([node("n1", branch, [])])).0, Code::CycleDetected);
}

#[test]
fn a_promise_of_an_unknown_node_is_told_with_its_variable() {
    let template = workflow([runs("n0", "inc", [("x", output_of("n9", "o0"))])]);
    assert_eq!(only(&template), error(Code::NodeReferenceNotFound, "n0", "x"));
}

#[test]
fn an_explicit_order_after_an_unknown_node_is_told() {
    assert_eq!(only(&workflow([after(one("n0"), &["n9"])])), error(Code::NodeReferenceNotFound, "n0", ""));
}

#[test]
fn a_task_that_is_not_registered_is_told_with_its_id() {
    let template = workflow([runs("n0", "unknown", [])]);
    assert_eq!(only(&template), error(Code::TaskReferenceNotFound, "n0", ""));
    assert!(
        errors_of(&template).to_string().contains("Code: TaskReferenceNotFound, Node Id: n0, Description: ")
    );
    assert!(errors_of(&template).to_string().contains("name:\"unknown\""));
}

#[test]
fn a_sub_workflow_that_was_not_sent_along_is_told() {
    let template = workflow([node("n0", target_workflow("unknown"), [])]);
    assert_eq!(only(&template), error(Code::WorkflowReferenceNotFound, "n0", ""));
}

#[test]
fn a_launch_plan_that_is_not_registered_is_told() {
    let template = workflow([node("n0", target_plan("unknown"), [])]);
    assert_eq!(only(&template), error(Code::WorkflowReferenceNotFound, "n0", ""));
}

#[test]
fn a_required_input_must_be_bound() {
    let template = workflow([runs("n0", "add", [("x", constant(int(1)))])]);
    assert_eq!(only(&template), error(Code::ParameterNotBound, "n0", "y"));
}

#[test]
fn an_output_of_the_workflow_must_be_bound() {
    let template =
        WorkflowTemplate { interface: Some(interface([], [("o0", integer())])), ..workflow([one("n0")]) };
    assert_eq!(only(&template), error(Code::ParameterNotBound, "end-node", "o0"));
}

#[test]
fn an_input_is_bound_once() {
    let template = workflow([runs("n0", "inc", [("x", constant(int(1))), ("x", constant(int(2)))])]);
    assert_eq!(only(&template), error(Code::ParameterBoundMoreThanOnce, "n0", "x"));
}

#[test]
fn a_promise_of_another_type_is_refused_with_both_types() {
    let template = workflow([one("n0"), runs("n1", "shout", [("text", output_of("n0", "o0"))])]);
    assert_eq!(only(&template), error(Code::MismatchingTypes, "n1", "text"));
    let description = &errors_of(&template).errors[0].description;
    assert!(description.contains("simple:INTEGER") && description.contains("simple:STRING"), "{description}");
}

#[test]
fn a_constant_of_another_type_is_refused() {
    let template = workflow([runs("n0", "inc", [("x", constant(text("one")))])]);
    assert_eq!(only(&template), error(Code::MismatchingTypes, "n0", "x"));
}

#[test]
fn an_element_of_another_type_is_refused() {
    let template =
        workflow([runs("n0", "total", [("values", bound_list([constant(int(1)), constant(text("2"))]))])]);
    assert_eq!(only(&template), error(Code::MismatchingTypes, "n0", "values"));
}

#[test]
fn a_list_or_map_is_refused_where_neither_is_declared() {
    let template = workflow([
        runs("n0", "inc", [("x", bound_list([]))]),
        runs("n1", "inc", [("x", bound_map([]))]),
        runs("n2", "total", [("values", bound_map([]))]),
    ]);
    let expected = [
        error(Code::MismatchingBindings, "n0", "x"),
        error(Code::MismatchingBindings, "n1", "x"),
        error(Code::MismatchingBindings, "n2", "values"),
    ];
    assert_eq!(found(&template), expected);
}

#[test]
fn an_output_that_branches_give_different_types_cannot_be_used() {
    let condition = case(equal(number(1), number(1)), one("n0"));
    let branch = target_branch(condition, Some(runs("n1", "shout", [("text", constant(text("a")))])));
    let template = workflow([node("n0", branch, []), runs("n1", "inc", [("x", output_of("n0", "o0"))])]);
    assert_eq!(only(&template), error(Code::MismatchingInterfaces, "n1", "x"));
}

#[test]
fn an_output_that_one_branch_lacks_is_not_there() {
    let condition = case(equal(number(1), number(1)), one("n0"));
    let branch = target_branch(condition, Some(runs("n1", "nothing", [])));
    let template = workflow([node("n0", branch, []), runs("n1", "inc", [("x", output_of("n0", "o0"))])]);
    assert_eq!(only(&template), error(Code::VariableNameNotFound, "n1", "x"));
}

#[test]
fn a_variable_that_a_node_does_not_have_is_told() {
    let template = workflow([
        runs("n0", "inc", [("x", constant(int(1))), ("z", constant(int(1)))]),
        runs("n1", "inc", [("x", output_of("n0", "o9"))]),
        runs("n2", "inc", [("x", input("unknown"))]),
    ]);
    let expected = [
        error(Code::VariableNameNotFound, "n0", "z"),
        error(Code::VariableNameNotFound, "n2", "x"),
        error(Code::VariableNameNotFound, "n1", "x"),
    ];
    assert_eq!(found(&template), expected);
}

#[test]
fn an_input_that_a_launch_plan_fixes_cannot_be_bound() {
    let template =
        workflow([node("n0", target_plan("plan"), [("x", constant(int(1))), ("z", constant(int(2)))])]);
    assert_eq!(only(&template), error(Code::VariableNameNotFound, "n0", "z"));
}

#[test]
fn a_condition_on_what_the_branch_is_not_bound_to_is_told() {
    let branch = target_branch(case(equal(named("n0.o0"), number(1)), one("n0")), None);
    let template = workflow([node("n1", branch, [])]);
    assert_eq!(only(&template), error(Code::VariableNameNotFound, "n1", "n0.o0"));
}

#[test]
fn a_condition_compares_values_of_one_kind() {
    let branch = target_branch(case(equal(named(".x"), number(1)), one("n0")), None);
    let template = WorkflowTemplate {
        interface: Some(interface([("x", string())], [])),
        ..workflow([node("n1", branch, [(".x", input("x"))])])
    };
    assert_eq!(only(&template), error(Code::MismatchingTypes, "n1", ""));
}

fn branch_of(if_else: Option<IfElseBlock>) -> target::Target {
    target::Target::BranchNode(Box::new(BranchNode { if_else: if_else.map(Box::new) }))
}

#[test]
fn a_branch_without_cases_has_no_condition() {
    let template = workflow([node("n0", branch_of(None), [])]);
    assert_eq!(only(&template), error(Code::BranchNodeHasNoCondition, "n0", ""));
}

#[test]
fn a_case_without_a_condition_is_told() {
    let case = IfBlock { condition: None, then_node: Some(Box::new(one("n0"))) };
    let template = workflow([node("n0", target_branch(case, None), [])]);
    assert_eq!(only(&template), error(Code::BranchNodeHasNoCondition, "n0", ""));
}

#[test]
fn a_branch_must_say_what_happens_otherwise() {
    let blocks = IfElseBlock {
        case: Some(Box::new(case(equal(number(1), number(1)), one("n0")))),
        ..Default::default()
    };
    let template = workflow([node("n0", branch_of(Some(blocks)), [])]);
    assert_eq!(only(&template), error(Code::BranchNodeHasNoDefault, "n0", ""));
}

#[test]
fn a_case_without_a_node_is_told() {
    let case = IfBlock { condition: Some(equal(number(1), number(1))), then_node: None };
    let template = workflow([node("n0", target_branch(case, None), [])]);
    assert_eq!(only(&template), error(Code::BranchNodeIdNotFound, "n0", ""));
}

#[test]
fn a_gate_must_wait_for_something() {
    assert_eq!(only(&workflow([node("n0", gate(None), [])])), error(Code::NoConditionFound, "n0", ""));
}

#[test]
fn what_must_be_there_is_asked_for() {
    let nothing = BindingData::default();
    let empty = target_branch(case(BooleanExpression::default(), one("n0")), None);
    let approve = gate(Some(gate_node::Condition::Approve(ApproveCondition::default())));
    let template = workflow([
        Node { id: "n0".to_owned(), ..Node::default() },
        Node { id: String::new(), ..one("") },
        runs("n2", "inc", [("x", nothing)]),
        node("n3", empty, []),
        node("n4", approve, []),
        node("n5", gate(Some(gate_node::Condition::Sleep(SleepCondition::default()))), []),
        node("n6", target::Target::ArrayNode(Box::default()), []),
    ]);
    let found = found(&template);
    assert!(found.iter().all(|(code, ..)| *code == Code::ValueRequired), "{found:?}");
    let nodes: Vec<&str> = found.iter().map(|(_, node, _)| node.as_str()).collect();
    assert_eq!(nodes, ["", "n0", "n2", "n3", "n4", "n5", "n6"]);
}

#[test]
fn values_that_cannot_be_are_refused() {
    let wrong = array_node::SuccessCriteria::MinSuccessRatio(f32::NAN);
    let array_of = |inner| ArrayNode { success_criteria: Some(wrong), ..array(inner) };
    let duration = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let template = workflow([
        one("a/b"),
        one(".."),
        node("n2", target::Target::ArrayNode(Box::new(array_of(runs("m", "nothing", [])))), []),
        node("n3", gate(Some(gate_node::Condition::Sleep(SleepCondition { duration }))), []),
    ]);
    let found = found(&template);
    assert!(found.iter().all(|(code, ..)| *code == Code::InvalidValue), "{found:?}");
    assert_eq!(found.len(), 4);
}

#[test]
fn only_tasks_and_launch_plans_can_be_mapped_over() {
    let inner = node("m", gate(None), []);
    let template = workflow([node("n0", target::Target::ArrayNode(Box::new(array(inner))), [])]);
    assert_eq!(only(&template), error(Code::InvalidValue, "n0", ""));
}

#[test]
fn what_a_map_binds_whole_must_be_an_input() {
    let array = ArrayNode { bound_inputs: vec!["zz".to_owned()], ..array(runs("m", "inc", [])) };
    let values = bound_list([constant(int(1))]);
    let template = workflow([node("n0", target::Target::ArrayNode(Box::new(array)), [("x", values)])]);
    assert_eq!(only(&template), error(Code::VariableNameNotFound, "n0", "zz"));
}

#[test]
fn an_id_belongs_to_one_node() {
    assert_eq!(only(&workflow([one("n0"), one("n0")])), error(Code::DuplicateId, "n0", ""));
    assert_eq!(only(&workflow([one("start-node")])), error(Code::DuplicateId, "start-node", ""));
}

#[test]
fn an_inner_node_may_not_take_the_id_of_an_outer_one() {
    let branch = target_branch(case(equal(number(1), number(1)), one("x")), None);
    assert_eq!(only(&workflow([node("n0", branch, []), one("n0-x")])), error(Code::DuplicateId, "n0-x", ""));
}

#[test]
fn two_sub_workflows_with_one_id_must_be_the_same() {
    let named = |template| WorkflowTemplate { id: Some(id(ResourceType::Workflow, "sub")), ..template };
    let subs = [named(workflow([one("n0")])), named(workflow([one("n1")]))];
    let errors =
        compiled(&workflow([node("n0", target_workflow("sub"), [])]), &subs).expect_err("two of one id");
    assert_eq!(errors.errors[0].code, Code::DuplicateId);
}

#[test]
fn an_alias_names_one_output() {
    let alias = |var: &str| Alias { var: var.to_owned(), alias: "same".to_owned() };
    let template = workflow([Node { output_aliases: vec![alias("o0"), alias("o1")], ..one("n0") }]);
    assert_eq!(only(&template), error(Code::DuplicateAlias, "n0", "same"));
}

#[test]
fn a_constant_must_be_one_of_the_enum_s_values() {
    let template = workflow([runs("n0", "paint", [("colour", constant(text("green")))])]);
    assert_eq!(only(&template), error(Code::IllegalEnumValue, "n0", "colour"));
    assert!(compiled(&workflow([runs("n0", "paint", [("colour", constant(text("red")))])]), &[]).is_ok());
}

#[test]
fn a_value_that_several_variants_take_is_ambiguous() {
    let template = workflow([runs("n0", "lists", [("x", bound_list([]))])]);
    assert_eq!(only(&template), error(Code::AmbiguousBindingUnionValue, "n0", "x"));
    let template = workflow([runs("n0", "twice", [("x", constant(int(1)))])]);
    assert_eq!(only(&template), error(Code::AmbiguousBindingUnionValue, "n0", "x"));
}

#[test]
fn a_value_that_no_variant_takes_is_incompatible() {
    let template =
        workflow([runs("n0", "lists", [("x", bound_list([constant(int(1)), constant(text("a"))]))])]);
    assert_eq!(only(&template), error(Code::IncompatibleBindingUnionValue, "n0", "x"));
    let template = workflow([runs("n0", "maybe", [("x", constant(text("a")))])]);
    assert_eq!(only(&template), error(Code::IncompatibleBindingUnionValue, "n0", "x"));
}

#[test]
fn a_constant_without_a_value_has_no_type() {
    let empty = data(skein_idl::flyteidl::core::binding_data::Value::Scalar(Default::default()));
    assert_eq!(
        only(&workflow([runs("n0", "inc", [("x", empty)])])),
        error(Code::InvalidLiteralType, "n0", "x")
    );
}

#[test]
fn a_part_that_a_type_does_not_have_is_told() {
    let fields = || runs("f", "fields", []);
    let numbers = || runs("l", "numbers", []);
    for (from, steps) in [
        ("f", [Step::Key("colour")]),
        ("f", [Step::Index(0)]),
        ("l", [Step::Key("a")]),
        ("l", [Step::Index(-1)]),
    ] {
        let template =
            workflow([fields(), numbers(), runs("n0", "inc", [("x", part_of(from, "o0", steps))])]);
        assert_eq!(only(&template), error(Code::FieldNotFound, "n0", "x"));
    }
}

#[test]
fn a_step_of_a_path_names_something() {
    let mut promise = part_of("l", "o0", [Step::Index(0)]);
    if let Some(skein_idl::flyteidl::core::binding_data::Value::Promise(promise)) = &mut promise.value {
        promise.attr_path[0].value = None;
    }
    let template = workflow([runs("l", "numbers", []), runs("n0", "inc", [("x", promise)])]);
    assert_eq!(only(&template), error(Code::SyntaxError, "n0", "x"));
}

#[test]
fn a_sub_workflow_that_runs_itself_is_a_cycle() {
    let named = |name, inner| WorkflowTemplate {
        id: Some(id(ResourceType::Workflow, name)),
        ..workflow([node("n0", target_workflow(inner), [])])
    };
    let subs = [named("a", "b"), named("b", "a")];
    let errors = compiled(&workflow([node("n0", target_workflow("a"), [])]), &subs).expect_err("a cycle");
    assert_eq!(errors.errors[0].code, Code::CycleDetected);
}

/// Workflows `w0` to `w<count>`, each of which runs the next one `times`.
fn nested(count: usize, times: usize) -> Vec<WorkflowTemplate> {
    let sub = |index: usize| {
        let inner = format!("w{}", index + 1);
        let last = index == count;
        let nodes = (0..times).map(|n| {
            let id = format!("n{n}");
            if last { one(&id) } else { node(&id, target_workflow(&inner), []) }
        });
        WorkflowTemplate { id: Some(id(ResourceType::Workflow, &format!("w{index}"))), ..workflow(nodes) }
    };
    (0..=count).map(sub).collect()
}

#[test]
fn sub_workflows_are_not_nested_without_end() {
    let errors = compiled(&workflow([node("n0", target_workflow("w0"), [])]), &nested(1_000, 1))
        .expect_err("too deep");
    assert_eq!(errors.errors[0].code, Code::WorkflowBuildError);
    assert!(errors.errors[0].description.contains("nested 1001 deep"), "{errors}");
}

#[test]
fn sub_workflows_that_double_at_every_level_are_counted_and_refused() {
    let errors =
        compiled(&workflow([node("n0", target_workflow("w0"), [])]), &nested(40, 2)).expect_err("too many");
    assert_eq!(errors.errors[0].code, Code::WorkflowBuildError);
    assert!(errors.errors[0].description.contains("the limit is 100000"), "{errors}");
}

#[test]
fn branches_are_not_nested_without_end() {
    let mut inner = one("n0");
    for _ in 0..2 * NODE_DEPTH_MAX {
        inner = node("n0", target_branch(case(equal(number(1), number(1)), inner), None), []);
    }
    assert!(found(&workflow([inner])).iter().any(|(code, ..)| *code == Code::WorkflowBuildError));
}

#[test]
fn values_are_not_nested_without_end() {
    let mut value = constant(int(1));
    for _ in 0..150 {
        value = bound_list([value]);
    }
    let template =
        workflow([runs("n0", "inc", [("x", value.clone())]), node("n1", approve(), [("x", value)])]);
    let codes: Vec<Code> = found(&template).into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, [Code::MismatchingBindings, Code::WorkflowBuildError]);
}

fn approve() -> target::Target {
    gate(Some(gate_node::Condition::Approve(ApproveCondition { signal_id: "s".to_owned() })))
}

#[test]
fn errors_of_a_sub_workflow_name_it() {
    let sub = WorkflowTemplate {
        id: Some(id(ResourceType::Workflow, "sub")),
        ..workflow([runs("n5", "unknown", [])])
    };
    let errors =
        compiled(&workflow([node("n0", target_workflow("sub"), [])]), &[sub]).expect_err("a wrong one");
    assert_eq!((errors.errors[0].code, errors.errors[0].node.as_str()), (Code::TaskReferenceNotFound, "n5"));
    assert!(errors.errors[0].description.starts_with("In sub-workflow [sub]: "));
}

#[test]
fn a_failure_node_takes_inputs_of_the_workflow_only() {
    let failure_node = runs("fn0", "inc", [("x", output_of("n0", "o0"))]);
    let template = WorkflowTemplate { failure_node: Some(failure_node), ..workflow([one("n0")]) };
    assert_eq!(only(&template), error(Code::NodeReferenceNotFound, "fn0", "x"));
}

#[test]
fn all_errors_come_in_one_message_that_fits_into_a_header() {
    let nodes = (0..5_000).map(|n| runs(&format!("n{n}"), &format!("unknown{n}"), []));
    let errors = errors_of(&workflow(nodes));
    assert_eq!((errors.total, errors.errors.len()), (5_000, 1_000));
    let message = errors.to_string();
    assert!(message.len() <= MESSAGE_BYTES_MAX, "{}", message.len());
    assert!(
        message.contains("Collected Errors: 5000\n\tError 0: Code: TaskReferenceNotFound, Node Id: n0, ")
    );
    assert!(message.trim_end().ends_with("more"), "{message}");
}
