//! What a launch plan asks for, and what it is given.

use crate::fixtures::*;
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::parameter::Behavior;
use skein_idl::flyteidl::core::{ArtifactQuery, LiteralMap, ParameterMap};
use skein_model::launch::{InputError, launch_plan_interface};

fn merge_inputs(
    expected: &ParameterMap,
    fixed: &LiteralMap,
    given: &LiteralMap,
) -> Result<LiteralMap, InputError> {
    let merged = skein_model::launch::merge_inputs(expected, fixed, &given.encode_to_vec().into())?;
    Ok(LiteralMap::decode(merged).expect("what is merged is a map of literals"))
}

fn expected() -> ParameterMap {
    parameters([("x", integer(), Behavior::Required(true)), ("y", string(), Behavior::Default(text("a")))])
}

fn refusal(fixed: &LiteralMap, given: &LiteralMap) -> String {
    merge_inputs(&expected(), fixed, given).expect_err("a refusal").to_string()
}

#[test]
fn defaults_and_fixed_inputs_are_added() {
    let merged = merge_inputs(&expected(), &literals([("z", int(3))]), &literals([("x", int(1))]));
    assert_eq!(merged, Ok(literals([("x", int(1)), ("y", text("a")), ("z", int(3))])));
}

#[test]
fn a_default_can_be_replaced() {
    let merged = merge_inputs(&expected(), &literals([]), &literals([("x", int(1)), ("y", text("b"))]));
    assert_eq!(merged, Ok(literals([("x", int(1)), ("y", text("b"))])));
}

#[test]
fn refusals_are_told_in_the_original_words() {
    let fixed = literals([("z", int(3))]);
    assert_eq!(refusal(&fixed, &literals([("x", int(1)), ("zz", int(1))])), "invalid input zz");
    assert_eq!(refusal(&fixed, &literals([])), "expected_inputs x missing");
    assert_eq!(refusal(&fixed, &literals([("x", int(1)), ("z", int(1))])), "invalid input z");
    assert_eq!(
        refusal(&fixed, &literals([("x", text("1"))])),
        "invalid x input wrong type. Expected simple:INTEGER, but got simple:STRING"
    );
}

#[test]
fn an_enum_s_value_is_checked() {
    let expected = parameters([("c", enumeration(["red"]), Behavior::Required(true))]);
    let refused =
        merge_inputs(&expected, &literals([]), &literals([("c", text("green"))])).expect_err("no such value");
    assert_eq!(
        refused.to_string(),
        "invalid c input wrong type. \"green\" is not one of enum_type:{values:\"red\"}"
    );
}

#[test]
fn an_optional_input_that_is_not_required_is_none() {
    let expected = parameters([("x", optional(integer()), Behavior::Required(false))]);
    let merged = merge_inputs(&expected, &literals([]), &literals([]));
    assert_eq!(merged, Ok(literals([("x", union_value(void(), tagged("none", none())))])));
}

#[test]
fn an_input_from_an_artifact_must_be_given() {
    let expected = parameters([("x", integer(), Behavior::ArtifactQuery(ArtifactQuery::default()))]);
    assert!(merge_inputs(&expected, &literals([]), &literals([("x", int(1))])).is_ok());
    let refused = merge_inputs(&expected, &literals([]), &literals([]));
    assert_eq!(refused, Err(InputError::Artifact { name: "x".to_owned() }));
}

#[test]
fn a_launch_plan_asks_for_all_inputs_that_are_not_fixed() {
    let workflow = interface([("x", integer()), ("y", string()), ("z", integer())], [("o0", integer())]);
    let defaults = parameters([("y", string(), Behavior::Default(text("a")))]);
    let asked = launch_plan_interface(&defaults, &literals([("z", int(3))]), &workflow);
    assert_eq!(asked, Ok((expected(), variables([("o0", integer())]))));
}

#[test]
fn what_a_launch_plan_says_of_inputs_must_fit_the_workflow() {
    let workflow = interface([("x", integer())], []);
    let default = |name, value| parameters([(name, integer(), Behavior::Default(value))]);
    let nothing = (parameters([]), literals([]));
    let refusal = |defaults: &ParameterMap, fixed: &LiteralMap| {
        launch_plan_interface(defaults, fixed, &workflow).expect_err("a refusal").to_string()
    };
    assert_eq!(refusal(&default("zz", int(1)), &nothing.1), "invalid input zz");
    assert_eq!(refusal(&nothing.0, &literals([("zz", int(1))])), "invalid input zz");
    let wrong = "invalid x input wrong type. Expected simple:INTEGER, but got simple:STRING";
    assert_eq!(refusal(&default("x", text("1")), &nothing.1), wrong);
    assert_eq!(refusal(&nothing.0, &literals([("x", text("1"))])), wrong);
    assert_eq!(
        refusal(&default("x", int(1)), &literals([("x", int(1))])),
        "input x is fixed and has a default, it can have only one of them"
    );
}

#[test]
fn a_list_is_checked_element_by_element_and_refused_as_a_whole() {
    let expected = parameters([("xs", list(integer()), Behavior::Required(true))]);
    let refused = merge_inputs(&expected, &literals([]), &literals([("xs", list_of([int(1), text("2")]))]));
    let refused = refused.expect_err("a text among integers").to_string();
    assert!(refused.starts_with("invalid xs input wrong type. Expected collection_type:"), "{refused}");
    assert!(merge_inputs(&expected, &literals([]), &literals([("xs", list_of([int(1), int(2)]))])).is_ok());
}

#[test]
fn what_is_no_literal_is_refused_by_the_name_of_its_input() {
    let expected = parameters([("xs", list(integer()), Behavior::Required(true))]);
    let mut encoded = literals([("xs", list_of([int(300)]))]).encode_to_vec();
    let last = encoded.len() - 1;
    encoded[last] = 0xff;
    let refused = skein_model::launch::merge_inputs(&expected, &literals([]), &Bytes::from(encoded));
    let refused = refused.expect_err("a number that does not end").to_string();
    assert!(refused.starts_with("invalid xs input: "), "{refused}");
    let torn =
        skein_model::launch::merge_inputs(&expected, &literals([]), &Bytes::from_static(&[0x0a, 0x09]));
    assert!(matches!(torn, Err(InputError::NoMap(_))), "{torn:?}");
}
