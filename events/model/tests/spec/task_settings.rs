//! What a task may say of how it is run, and what it is told when it says something else.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use skein_idl::flyteidl::core::TaskTemplate;
use skein_model::{Isolation, TaskSettings};

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(word: &str) -> Value {
    value(Kind::StringValue(word.to_owned()))
}

fn number(number: f64) -> Value {
    value(Kind::NumberValue(number))
}

fn template(skein: Value) -> TaskTemplate {
    let custom = Struct { fields: [("skein".to_owned(), skein)].into() };
    TaskTemplate { custom: Some(custom), ..TaskTemplate::default() }
}

fn object(fields: &[(&str, Value)]) -> Value {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    value(Kind::StructValue(Struct { fields }))
}

fn read(fields: &[(&str, Value)]) -> Result<TaskSettings, String> {
    TaskSettings::of(&template(object(fields))).map_err(|fault| fault.to_string())
}

#[test]
fn a_task_that_says_nothing_has_the_defaults() {
    assert_eq!(TaskSettings::of(&TaskTemplate::default()), Ok(TaskSettings::default()));
    assert_eq!(read(&[]), Ok(TaskSettings::default()));
    assert_eq!(read(&[("isolation", value(Kind::NullValue(0)))]), Ok(TaskSettings::default()));
}

#[test]
fn each_isolation_is_named_by_its_word() {
    for (word, isolation) in Isolation::ALL {
        assert_eq!(
            read(&[("isolation", text(word))]).map(|settings| settings.isolation),
            Ok(Some(isolation))
        );
    }
}

#[test]
fn the_bounds_of_a_chunk_are_whole_numbers() {
    let settings = read(&[("chunk_items_min", number(10.0)), ("chunk_items_max", number(1_000_000.0))]);
    let expected =
        TaskSettings { isolation: None, chunk_items_min: Some(10), chunk_items_max: Some(1_000_000) };
    assert_eq!(settings, Ok(expected));
}

#[test]
fn what_is_no_setting_is_named_with_its_value_and_what_would_be_right() {
    let refused = |fields: &[(&str, Value)], expected: &str| {
        assert_eq!(read(fields).unwrap_err(), expected);
    };
    let items = "it has to be a whole number from 1 to 1000000";
    refused(
        &[("isolation", text("thread"))],
        "custom.skein.isolation is \"thread\"; it has to be one of \"fresh\", \"fork\" and \"reuse\"",
    );
    refused(
        &[("isolation", number(1.0))],
        "custom.skein.isolation is a number; it has to be one of \"fresh\", \"fork\" and \"reuse\"",
    );
    for (wrong, found) in [(0.0, "0"), (-1.0, "-1"), (1.5, "1.5"), (1e9, "1000000000"), (f64::NAN, "NaN")] {
        refused(
            &[("chunk_items_max", number(wrong))],
            &format!("custom.skein.chunk_items_max is {found}; {items}"),
        );
    }
    refused(&[("chunk_items_min", text("7"))], &format!("custom.skein.chunk_items_min is a string; {items}"));
    refused(
        &[("isolaton", text("fork"))],
        "custom.skein.isolaton is unknown; there are isolation, chunk_items_min and chunk_items_max",
    );
    refused(
        &[("chunk_items_min", number(5.0)), ("chunk_items_max", number(4.0))],
        "custom.skein.chunk_items_min is 5, which is more than chunk_items_max, 4",
    );
    let list = template(value(Kind::ListValue(ListValue::default())));
    assert_eq!(
        TaskSettings::of(&list).unwrap_err().to_string(),
        "custom.skein has to be an object, but it is a list"
    );
}

#[test]
fn items_that_share_no_process_have_no_chunks_to_bound() {
    let fault = read(&[("isolation", text("fork")), ("chunk_items_max", number(10.0))]).unwrap_err();
    assert!(fault.contains("chunk_items_min and chunk_items_max go with \"reuse\" only"), "{fault}");
}
