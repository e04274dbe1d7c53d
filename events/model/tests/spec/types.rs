//! Which value may go where: contract 2.7, row by row.

use crate::fixtures::*;
use proptest::prelude::*;
use skein_idl::flyteidl::core::literal_type::Type;
use skein_idl::flyteidl::core::schema_type::SchemaColumn;
use skein_idl::flyteidl::core::schema_type::schema_column::SchemaColumnType;
use skein_idl::flyteidl::core::structured_dataset_type::DatasetColumn;
use skein_idl::flyteidl::core::{
    Binary, Blob, BlobMetadata, BlobType, Literal, LiteralOffloadedMetadata, LiteralType, Scalar, SchemaType,
    SimpleType, StructuredDatasetType, literal, scalar,
};
use skein_model::types::{Cast, Misfit, castable, describe, fits, is_optional, type_of_literal};

fn yes(up: &LiteralType, down: &LiteralType) {
    assert_eq!(castable(up, down), Cast::Yes, "{} -> {}", describe(up), describe(down));
}

fn no(up: &LiteralType, down: &LiteralType) {
    assert_eq!(castable(up, down), Cast::No, "{} -> {}", describe(up), describe(down));
}

fn dataset(format: &str, columns: &[(&str, LiteralType)]) -> LiteralType {
    let column = |(name, declared): &(&str, LiteralType)| DatasetColumn {
        name: (*name).to_owned(),
        literal_type: Some(declared.clone()),
    };
    typed(Type::StructuredDatasetType(StructuredDatasetType {
        columns: columns.iter().map(column).collect(),
        format: format.to_owned(),
        ..StructuredDatasetType::default()
    }))
}

fn schema(columns: &[(&str, SchemaColumnType)]) -> LiteralType {
    let column = |(name, kind): &(&str, SchemaColumnType)| SchemaColumn {
        name: (*name).to_owned(),
        r#type: (*kind).into(),
    };
    typed(Type::Schema(SchemaType { columns: columns.iter().map(column).collect() }))
}

fn simples() -> [LiteralType; 10] {
    [
        SimpleType::None,
        SimpleType::Integer,
        SimpleType::Float,
        SimpleType::String,
        SimpleType::Boolean,
        SimpleType::Datetime,
        SimpleType::Duration,
        SimpleType::Binary,
        SimpleType::Error,
        SimpleType::Struct,
    ]
    .map(simple)
}

#[test]
fn a_simple_type_takes_itself_and_no_other() {
    for (i, up) in simples().iter().enumerate() {
        for (j, down) in simples().iter().enumerate() {
            if i == j { yes(up, down) } else { no(up, down) }
        }
    }
}

#[test]
fn text_and_enums_take_each_other() {
    let colours = enumeration(["red", "blue"]);
    yes(&colours, &string());
    yes(&string(), &colours);
    no(&colours, &integer());
    no(&integer(), &colours);
}

#[test]
fn an_enum_takes_an_equal_enum() {
    yes(&enumeration(["a", "b"]), &enumeration(["a", "b"]));
    no(&enumeration(["a"]), &enumeration(["a", "b"]));
}

#[test]
fn structs_take_each_other_whatever_their_schema() {
    yes(&structure(), &dataclass([("size", integer())]));
    yes(&dataclass([("colour", string())]), &dataclass([("size", integer())]));
}

#[test]
fn a_list_takes_a_list_of_what_fits() {
    yes(&list(integer()), &list(integer()));
    yes(&list(enumeration(["a"])), &list(string()));
    no(&list(integer()), &list(string()));
    no(&integer(), &list(integer()));
    no(&list(integer()), &integer());
    no(&map(integer()), &list(integer()));
}

#[test]
fn an_empty_list_or_map_fits_any() {
    yes(&list(none()), &list(list(string())));
    yes(&map(none()), &map(integer()));
    no(&list(none()), &map(integer()));
}

#[test]
fn a_map_takes_a_map_of_what_fits() {
    yes(&map(integer()), &map(integer()));
    no(&map(integer()), &map(string()));
}

#[test]
fn files_fit_when_their_formats_are_equal_or_open() {
    yes(&blob("csv"), &blob("csv"));
    yes(&blob(""), &blob("csv"));
    yes(&blob("csv"), &blob(""));
    no(&blob("csv"), &blob("jpeg"));
    no(&string(), &blob(""));
}

#[test]
fn files_and_folders_are_not_told_apart() {
    yes(&typed(Type::Blob(BlobType { dimensionality: 1, ..BlobType::default() })), &blob(""));
}

#[test]
fn a_schema_takes_at_least_its_columns() {
    use SchemaColumnType::{Float, Integer};
    let wide = schema(&[("a", Integer), ("b", Float)]);
    yes(&wide, &schema(&[("a", Integer)]));
    no(&schema(&[("a", Integer)]), &wide);
    no(&schema(&[("a", Float)]), &schema(&[("a", Integer)]));
    yes(&schema(&[]), &wide);
    yes(&wide, &schema(&[]));
}

#[test]
fn a_schema_takes_a_dataset_of_parquet() {
    use SchemaColumnType::Integer;
    yes(&dataset("parquet", &[("a", integer())]), &schema(&[("a", Integer)]));
    yes(&dataset("", &[]), &schema(&[("a", Integer)]));
    no(&dataset("csv", &[]), &schema(&[]));
    no(&dataset("", &[("a", string())]), &schema(&[("a", Integer)]));
}

#[test]
fn a_dataset_takes_a_dataset_with_its_columns_and_format() {
    let wide = dataset("Parquet", &[("a", integer()), ("b", string())]);
    yes(&wide, &dataset("parquet", &[("b", string())]));
    yes(&wide, &dataset("", &[]));
    yes(&dataset("", &[]), &wide);
    no(&wide, &dataset("csv", &[]));
    no(&wide, &dataset("", &[("c", string())]));
    no(&wide, &dataset("", &[("a", string())]));
}

#[test]
fn a_dataset_takes_a_schema_and_none() {
    yes(&schema(&[("a", SchemaColumnType::Integer)]), &dataset("parquet", &[("a", integer())]));
    no(&schema(&[]), &dataset("csv", &[]));
    yes(&none(), &dataset("csv", &[]));
}

#[test]
fn a_union_takes_what_one_variant_takes() {
    let int_or_text = union([integer(), string()]);
    yes(&integer(), &int_or_text);
    no(&boolean(), &int_or_text);
    assert!(is_optional(&optional(integer())) && !is_optional(&int_or_text));
}

#[test]
fn what_several_variants_take_is_ambiguous() {
    let text_or_enum = union([string(), enumeration(["a"])]);
    assert_eq!(castable(&string(), &text_or_enum), Cast::Ambiguous);
    assert_eq!(castable(&list(none()), &union([list(integer()), list(string())])), Cast::Ambiguous);
}

#[test]
fn a_union_takes_a_union_whose_every_variant_fits() {
    let wide = union([integer(), string(), none()]);
    yes(&union([none(), integer()]), &wide);
    no(&wide, &union([none(), integer()]));
    no(&union([]), &wide);
}

#[test]
fn a_union_of_one_is_what_it_holds() {
    yes(&union([integer()]), &integer());
    yes(&union([union([integer()])]), &integer());
    no(&union([integer(), string()]), &integer());
}

#[test]
fn what_one_transformer_wrote_another_does_not_read() {
    let tagged_int = |tag| tagged(tag, integer());
    yes(&tagged_int("int"), &tagged_int("int"));
    yes(&integer(), &tagged_int("int"));
    no(&tagged_int("int"), &tagged_int("other"));
    no(&tagged_int("int"), &integer());
    assert_eq!(castable(&union([tagged_int("a")]), &union([tagged_int("a"), tagged_int("b")])), Cast::Yes);
}

#[test]
fn a_type_without_a_type_fits_nowhere() {
    let nothing = LiteralType::default();
    no(&nothing, &nothing);
    no(&nothing, &integer());
    no(&integer(), &nothing);
}

fn nested(depth: usize, wrap: impl Fn(LiteralType) -> LiteralType) -> LiteralType {
    (0..depth).fold(integer(), |inner, _| wrap(inner))
}

#[test]
fn types_are_not_compared_without_end() {
    no(&nested(200, list), &nested(200, list));
    yes(&nested(50, list), &nested(50, list));
    // Every pair of variants would have to be tried at every level.
    let wide = |inner: LiteralType| union([inner.clone(), list(inner)]);
    no(&nested(14, wide), &list(nested(14, wide)));
}

#[test]
fn a_type_is_described_in_the_original_words() {
    assert_eq!(describe(&integer()), "simple:INTEGER");
    assert_eq!(describe(&none()), "simple:NONE");
    assert_eq!(describe(&list(map(string()))), "collection_type:{map_value_type:{simple:STRING}}");
    assert_eq!(
        describe(&optional(tagged("int", integer()))),
        "union_type:{variants:{simple:INTEGER structure:{tag:\"int\"}} variants:{simple:NONE structure:{tag:\"none\"}}}"
    );
    assert_eq!(describe(&enumeration(["a", "b"])), "enum_type:{values:\"a\" values:\"b\"}");
    assert_eq!(describe(&blob("csv")), "blob:{format:\"csv\"}");
    assert_eq!(describe(&LiteralType::default()), "no type");
    assert_eq!(
        describe(&dataset("parquet", &[("a", integer())])),
        "structured_dataset_type:{columns:{name:\"a\" literal_type:{simple:INTEGER}} format:\"parquet\"}"
    );
}

#[test]
fn a_long_description_is_cut() {
    assert!(describe(&nested(300, list)).len() < 600);
    assert!(describe(&enumeration(["ä"; 1_000])).len() < 600);
}

#[test]
fn the_type_of_a_value_is_inferred() {
    let binary = |tag: &str| {
        let binary = Binary { tag: tag.to_owned(), ..Binary::default() };
        scalar(Scalar { value: Some(scalar::Value::Binary(binary)) })
    };
    let metadata = LiteralOffloadedMetadata { inferred_type: Some(list(integer())), ..Default::default() };
    let offloaded =
        Literal { value: Some(literal::Value::OffloadedMetadata(metadata)), ..Literal::default() };
    let generic = scalar(Scalar { value: Some(scalar::Value::Generic(prost_types::Struct::default())) });
    let metadata = BlobMetadata { r#type: Some(BlobType { format: "csv".to_owned(), dimensionality: 0 }) };
    let file = Scalar {
        value: Some(scalar::Value::Blob(Blob { metadata: Some(metadata), uri: "s3://x".to_owned() })),
    };
    for (value, expected) in [
        (int(1), integer()),
        (text("a"), string()),
        (void(), none()),
        (binary("msgpack"), structure()),
        (binary(""), simple(SimpleType::Binary)),
        (generic, structure()),
        (scalar(file), blob("csv")),
        (list_of([]), list(none())),
        (list_of([int(1), int(2)]), list(integer())),
        (list_of([int(1), text("a"), int(2)]), list(union([integer(), string()]))),
        (map_of([]), map(none())),
        (map_of([("a", list_of([int(1)]))]), map(list(integer()))),
        (union_value(int(1), tagged("int", integer())), union([tagged("int", integer())])),
        (offloaded, list(integer())),
        (Literal::default(), LiteralType::default()),
    ] {
        assert_eq!(type_of_literal(&value), expected);
    }
}

#[test]
fn a_value_fits_the_type_that_is_declared() {
    assert_eq!(fits(&int(1), &integer()), Ok(()));
    assert_eq!(fits(&list_of([int(1), void()]), &list(optional(integer()))), Ok(()));
    assert_eq!(
        fits(&union_value(int(1), tagged("int", integer())), &optional(tagged("int", integer()))),
        Ok(())
    );
    let misfit = fits(&text("a"), &integer()).expect_err("another type");
    assert_eq!(misfit.to_string(), "expected simple:INTEGER, but got simple:STRING");
    assert!(matches!(
        fits(&text("a"), &union([string(), enumeration(["a"])])),
        Err(Misfit::Ambiguous { .. })
    ));
}

#[test]
fn text_for_an_enum_must_be_one_of_its_values_however_deep() {
    let colours = || tagged("e", enumeration(["red", "blue"]));
    let refused = Err(Misfit::EnumValue { value: "green".to_owned(), allowed: describe(&colours()) });
    for (value, declared) in [
        (text("green"), colours()),
        (list_of([text("red"), text("green")]), list(colours())),
        (map_of([("a", text("green"))]), map(colours())),
        (text("green"), optional(colours())),
        (list_of([text("green")]), optional(list(colours()))),
        (union_value(text("green"), colours()), optional(colours())),
    ] {
        assert_eq!(fits(&value, &declared), refused);
    }
    assert_eq!(fits(&list_of([text("red")]), &list(colours())), Ok(()));
    assert_eq!(fits(&union_value(text("red"), colours()), &optional(colours())), Ok(()));
}

#[test]
fn a_list_of_many_types_is_typed_in_one_pass() {
    let files = (0..20_000).map(|n| {
        let metadata = BlobMetadata { r#type: Some(BlobType { format: n.to_string(), dimensionality: 0 }) };
        scalar(Scalar {
            value: Some(scalar::Value::Blob(Blob { metadata: Some(metadata), uri: String::new() })),
        })
    });
    assert!(fits(&list_of(files), &list(integer())).is_err());
}

fn any_type() -> impl Strategy<Value = LiteralType> {
    let leaf = prop_oneof![
        prop::sample::select(simples().to_vec()),
        Just(enumeration(["a"])),
        Just(blob("csv")),
        Just(dataset("", &[("a", integer())])),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(list),
            inner.clone().prop_map(map),
            inner.clone().prop_map(|inner| tagged("t", inner)),
            prop::collection::vec(inner, 0..4).prop_map(union),
        ]
    })
}

proptest! {
    #[test]
    fn comparing_and_describing_any_types_ends(up in any_type(), down in any_type()) {
        castable(&up, &down);
        prop_assert!(describe(&up).len() < 600);
    }

    #[test]
    fn a_variant_fits_a_union_of_it_alone(inner in any_type()) {
        // A union in a union is another matter: each of its variants must fit alone.
        if castable(&inner, &inner) == Cast::Yes && !matches!(inner.r#type, Some(Type::UnionType(_))) {
            prop_assert_eq!(castable(&inner, &union([inner.clone()])), Cast::Yes);
            prop_assert_eq!(castable(&list(inner.clone()), &list(inner.clone())), Cast::Yes);
        }
    }
}
