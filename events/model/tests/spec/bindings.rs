//! How inputs are put together: contract 2.3 and 5.11.

use crate::fixtures::*;
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use prost_types::value::Kind;
use serde::Serialize;
use skein_idl::flyteidl::core::{
    Binary, BindingData, Literal, LiteralMap, LiteralOffloadedMetadata, Scalar, UnionInfo, VariableMap,
    binding_data, literal, primitive, scalar,
};
use skein_model::bindings::{BINDING_RESOLUTION_FAILURE, PROMISE_ATTRIBUTE_RESOLVE_ERROR, resolve};
use skein_model::{Charge, Failure, FailureCause};
use std::collections::BTreeMap;

/// Resolves one binding with a value that the output `o0` of the node `n0` has.
fn resolved(value: &Literal, binding: BindingData) -> Result<Literal, Failure> {
    let encoded: Bytes = value.encode_to_vec().into();
    let values = |node: &str, var: &str| (node == "n0" && var == "o0").then(|| encoded.clone());
    let map = resolve(&bindings([("x", binding)]), None, &values)?;
    Ok(LiteralMap::decode(map).expect("a literal map").literals.remove("x").expect("the variable"))
}

fn part<const N: usize>(value: &Literal, steps: [Step<'_>; N]) -> Result<Literal, Failure> {
    resolved(value, part_of("n0", "o0", steps))
}

fn packed(value: &impl Serialize) -> Literal {
    binary(rmp_serde::to_vec_named(value).expect("a value that can be packed"))
}

fn binary(bytes: Vec<u8>) -> Literal {
    let binary = Binary { value: bytes.into(), tag: "msgpack".to_owned() };
    scalar(Scalar { value: Some(scalar::Value::Binary(binary)) })
}

fn float(value: f64) -> Literal {
    scalar(primitive(primitive::Value::FloatValue(value)))
}

fn truth(value: bool) -> Literal {
    scalar(primitive(primitive::Value::Boolean(value)))
}

#[derive(Serialize)]
struct Inner {
    size: i64,
    names: Vec<String>,
}

#[derive(Serialize)]
struct Outer {
    inner: Inner,
    ratio: f64,
    flag: bool,
    nothing: Option<i64>,
    by_name: BTreeMap<String, i64>,
    by_number: BTreeMap<i64, String>,
    many: Vec<Inner>,
}

fn inner() -> Inner {
    Inner { size: 3, names: vec!["a".to_owned(), "b".to_owned()] }
}

fn outer() -> Literal {
    packed(&Outer {
        inner: inner(),
        ratio: 0.5,
        flag: true,
        nothing: None,
        by_name: BTreeMap::from([("one".to_owned(), -1)]),
        by_number: BTreeMap::from([(7, "seven".to_owned())]),
        many: vec![inner()],
    })
}

fn unresolvable(result: Result<Literal, Failure>, code: &str, charge: Charge) -> String {
    let failure = result.expect_err("nothing to resolve to");
    assert_eq!((failure.code.as_str(), failure.charge), (code, charge), "{}", failure.message);
    assert_eq!(failure.cause, FailureCause::InputsUnresolvable);
    failure.message
}

fn missing(result: Result<Literal, Failure>) -> String {
    unresolvable(result, PROMISE_ATTRIBUTE_RESOLVE_ERROR, Charge::User)
}

fn broken(result: Result<Literal, Failure>) -> String {
    unresolvable(result, BINDING_RESOLUTION_FAILURE, Charge::System)
}

#[test]
fn a_value_that_is_passed_on_is_not_touched() {
    // Bytes that no encoder of ours writes: an unknown field, and a length in two bytes where one is enough.
    let odd = Bytes::from_static(&[0x0a, 0x82, 0x00, 0x2a, 0x00, 0x78, 0x01]);
    let values = |_: &str, _: &str| Some(odd.clone());
    let map = resolve(&bindings([("x", output_of("n0", "o0"))]), None, &values).expect("a value");
    assert!(map.windows(odd.len()).any(|window| window == odd), "{map:?}");
}

#[test]
fn an_input_of_the_workflow_comes_from_the_start_node() {
    let one: Bytes = int(1).encode_to_vec().into();
    let values = |node: &str, var: &str| (node == "start-node" && var == "x").then(|| one.clone());
    for binding in [input("x"), output_of("start-node", "x")] {
        assert!(resolve(&bindings([("x", binding)]), None, &values).is_ok());
    }
}

#[test]
fn constants_lists_and_maps_are_built() {
    let binding = bound_map([
        ("list", bound_list([constant(int(1)), output_of("n0", "o0")])),
        ("none", constant(void())),
        ("empty", bound_list([])),
    ]);
    let expected = map_of([("list", list_of([int(1), text("a")])), ("none", void()), ("empty", list_of([]))]);
    assert_eq!(resolved(&text("a"), binding), Ok(expected));
}

#[test]
fn an_offloaded_constant_stays_offloaded() {
    let metadata = LiteralOffloadedMetadata { uri: "s3://x".to_owned(), ..Default::default() };
    let binding = data(binding_data::Value::OffloadedMetadata(metadata.clone()));
    let expected = Literal { value: Some(literal::Value::OffloadedMetadata(metadata)), ..Literal::default() };
    assert_eq!(resolved(&void(), binding), Ok(expected));
}

#[test]
fn a_list_that_is_a_variant_of_a_union_says_which() {
    let variant = tagged("Typed List", list(integer()));
    let union = Some(UnionInfo { target_type: Some(variant.clone()) });
    let binding = BindingData { union, ..bound_list([constant(int(1))]) };
    assert_eq!(resolved(&void(), binding), Ok(union_value(list_of([int(1)]), variant)));
}

#[test]
fn an_optional_input_that_is_not_bound_is_none() {
    let expected: VariableMap =
        variables([("x", optional(integer())), ("y", optional(integer())), ("z", integer())]);
    let map = resolve(&bindings([("y", constant(int(1)))]), Some(&expected), &|_, _| None).expect("values");
    let map = LiteralMap::decode(map).expect("a literal map");
    assert_eq!(map, literals([("x", union_value(void(), tagged("none", none()))), ("y", int(1))]));
}

#[test]
fn parts_of_lists_and_maps_are_found() {
    let value = map_of([("a", list_of([int(1), int(2)]))]);
    assert_eq!(part(&value, [Step::Key("a"), Step::Index(1)]), Ok(int(2)));
    assert_eq!(part(&value, [Step::Key("a")]), Ok(list_of([int(1), int(2)])));
}

#[test]
fn a_part_of_a_union_is_a_part_of_what_it_holds() {
    let value = union_value(list_of([int(1)]), list(integer()));
    assert_eq!(part(&value, [Step::Index(0)]), Ok(int(1)));
    assert_eq!(
        part(&list_of([union_value(outer(), structure())]), [Step::Index(0), Step::Key("ratio")]),
        Ok(float(0.5))
    );
}

#[test]
fn fields_of_a_dataclass_become_values_of_their_own() {
    let value = outer();
    assert_eq!(part(&value, [Step::Key("inner"), Step::Key("size")]), Ok(int(3)));
    assert_eq!(part(&value, [Step::Key("ratio")]), Ok(float(0.5)));
    assert_eq!(part(&value, [Step::Key("flag")]), Ok(truth(true)));
    assert_eq!(part(&value, [Step::Key("nothing")]), Ok(void()));
    assert_eq!(part(&value, [Step::Key("by_name"), Step::Key("one")]), Ok(int(-1)));
    assert_eq!(part(&value, [Step::Key("by_number"), Step::Index(7)]), Ok(text("seven")));
    assert_eq!(part(&value, [Step::Key("inner"), Step::Key("names"), Step::Index(1)]), Ok(text("b")));
    assert_eq!(part(&value, [Step::Key("inner"), Step::Key("names")]), Ok(list_of([text("a"), text("b")])));
}

#[test]
fn a_dataclass_in_a_dataclass_stays_packed() {
    assert_eq!(part(&outer(), [Step::Key("inner")]), Ok(packed(&inner())));
    assert_eq!(part(&outer(), [Step::Key("many")]), Ok(list_of([packed(&inner())])));
}

#[test]
fn every_width_of_number_is_an_integer() {
    for bytes in [
        &[0x05][..],
        &[0xcc, 0x05],
        &[0xcd, 0x00, 0x05],
        &[0xce, 0, 0, 0, 5],
        &[0xcf, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0xd0, 0x05],
        &[0xd1, 0x00, 0x05],
        &[0xd2, 0, 0, 0, 5],
        &[0xd3, 0, 0, 0, 0, 0, 0, 0, 5],
    ] {
        assert_eq!(part(&binary([&[0x91], bytes].concat()), [Step::Index(0)]), Ok(int(5)), "{bytes:?}");
    }
    assert_eq!(part(&binary(vec![0x91, 0xff]), [Step::Index(0)]), Ok(int(-1)));
    assert_eq!(part(&binary(vec![0x91, 0xca, 0x3f, 0, 0, 0]), [Step::Index(0)]), Ok(float(0.5)));
}

#[test]
fn bytes_and_extensions_stay_packed() {
    let packed_bytes = vec![0xc4, 0x01, 0xff];
    assert_eq!(
        part(&binary([&[0x91][..], &packed_bytes].concat()), [Step::Index(0)]),
        Ok(binary(packed_bytes))
    );
    let extension = vec![0xd6, 0xff, 1, 2, 3, 4];
    assert_eq!(part(&binary([&[0x91][..], &extension].concat()), [Step::Index(0)]), Ok(binary(extension)));
}

fn generic() -> Literal {
    let value = |kind| prost_types::Value { kind: Some(kind) };
    let list =
        prost_types::ListValue { values: vec![value(Kind::NumberValue(1.0)), value(Kind::NullValue(0))] };
    let inner = prost_types::Struct { fields: [("list".to_owned(), value(Kind::ListValue(list)))].into() };
    let fields = [
        ("size".to_owned(), value(Kind::NumberValue(3.0))),
        ("name".to_owned(), value(Kind::StringValue("a".to_owned()))),
        ("flag".to_owned(), value(Kind::BoolValue(true))),
        ("inner".to_owned(), value(Kind::StructValue(inner))),
    ];
    scalar(Scalar { value: Some(scalar::Value::Generic(prost_types::Struct { fields: fields.into() })) })
}

#[test]
fn parts_of_an_older_struct_are_found_and_its_numbers_are_floats() {
    assert_eq!(part(&generic(), [Step::Key("size")]), Ok(float(3.0)));
    assert_eq!(part(&generic(), [Step::Key("name")]), Ok(text("a")));
    assert_eq!(part(&generic(), [Step::Key("flag")]), Ok(truth(true)));
    assert_eq!(part(&generic(), [Step::Key("inner"), Step::Key("list")]), Ok(list_of([float(1.0), void()])));
    assert_eq!(part(&generic(), [Step::Key("inner"), Step::Key("list"), Step::Index(0)]), Ok(float(1.0)));
    assert!(matches!(
        part(&generic(), [Step::Key("inner")]),
        Ok(Literal { value: Some(literal::Value::Scalar(_)), .. })
    ));
}

#[test]
fn a_part_that_is_not_there_is_the_user_s_error() {
    let message = missing(part(&outer(), [Step::Key("inner"), Step::Key("colour")]));
    assert_eq!(
        message,
        "variable \"x\": failed to resolve attribute path .inner.colour in output \"o0\" of node \"n0\": key \"colour\" \
         not found in a struct"
    );
    missing(part(&list_of([int(1)]), [Step::Index(1)]));
    missing(part(&list_of([int(1)]), [Step::Index(-1)]));
    missing(part(&list_of([int(1)]), [Step::Key("a")]));
    missing(part(&map_of([("a", int(1))]), [Step::Key("b")]));
    missing(part(&map_of([("a", int(1))]), [Step::Index(0)]));
    missing(part(&int(1), [Step::Key("a")]));
    missing(part(&void(), [Step::Key("a")]));
    missing(part(&outer(), [Step::Key("ratio"), Step::Key("a")]));
    missing(part(&outer(), [Step::Key("inner"), Step::Key("names"), Step::Index(2)]));
    missing(part(&generic(), [Step::Key("zz")]));
    missing(part(&generic(), [Step::Index(0)]));
}

#[test]
fn a_value_that_is_not_there_is_the_system_s_error() {
    let message = broken(resolved(&int(1), output_of("n9", "o0")));
    assert_eq!(message, "variable \"x\": node \"n9\" has no output \"o0\"");
    broken(resolved(&int(1), BindingData::default()));
}

#[test]
fn a_value_that_cannot_be_read_is_the_system_s_error() {
    broken(part(&binary(vec![0x81, 0xa1]), [Step::Key("a")]));
    broken(part(&binary(vec![0x91, 0xc1]), [Step::Index(0)]));
    broken(part(&binary(vec![0xdf, 0xff, 0xff, 0xff, 0xff, 0x01]), [Step::Key("a")]));
    broken(part(&binary(vec![0x91, 0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0]), [Step::Index(0)]));
    broken(part(&binary([vec![0x91; 200], vec![0x01]].concat()), [Step::Index(0)]));
    let values = |_: &str, _: &str| Some(Bytes::from_static(&[0x12, 0x05]));
    let failure = resolve(&bindings([("x", part_of("n0", "o0", [Step::Index(0)]))]), None, &values);
    assert_eq!(failure.expect_err("malformed").code, BINDING_RESOLUTION_FAILURE);
}

#[test]
fn bindings_are_not_nested_without_end() {
    let nested = (0..150).fold(constant(int(1)), |inner, _| bound_list([inner]));
    broken(resolved(&int(1), nested));
}

#[test]
fn a_packed_value_nested_deeply_is_walked_over() {
    let deep = [vec![0x91; 100_000], vec![0x01]].concat();
    let value = binary([&[0x92][..], &deep, &[0x07]].concat());
    assert_eq!(part(&value, [Step::Index(1)]), Ok(int(7)));
}

proptest! {
    #[test]
    fn random_packed_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let value = binary(bytes);
        let _ = (part(&value, [Step::Key("a")]), part(&value, [Step::Index(0)]), part(&value, [Step::Index(0), Step::Index(1)]));
    }

    #[test]
    fn cut_packed_bytes_are_read_or_refused(cut in any::<prop::sample::Index>(), changed in any::<(prop::sample::Index, u8)>()) {
        let Some(literal::Value::Scalar(scalar)) = outer().value else { unreachable!("a scalar") };
        let Some(scalar::Value::Binary(packed)) = scalar.value else { unreachable!("a binary") };
        let mut bytes = packed.value.to_vec();
        let _ = part(&binary(bytes[..cut.index(bytes.len())].to_vec()), [Step::Key("many"), Step::Index(0)]);
        let place = changed.0.index(bytes.len());
        bytes[place] = changed.1;
        let _ = part(&binary(bytes), [Step::Key("inner"), Step::Key("names")]);
    }
}
