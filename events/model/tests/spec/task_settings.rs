//! What a task may say of how it is run, and what it is told when it says something else.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use skein_idl::flyteidl::core::TaskTemplate;
use skein_model::{Isolation, Life, TaskSettings};

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
fn what_a_task_says_is_read_by_name() {
    let settings = read(&[
        ("chunk_items_min", number(10.0)),
        ("chunk_items_max", number(1_000_000.0)),
        ("priority", number(-100.0)),
        ("weight", number(1_000.0)),
        ("concurrency_key", text("warehouse")),
        ("concurrency_limit", number(3.0)),
        ("pool_size", number(2.0)),
        ("process_attempts_max", number(50.0)),
        ("process_seconds_max", number(3_600.0)),
        ("process_growth_mib_max", number(512.0)),
        ("queued_seconds_max", number(600.0)),
        ("node_seconds_max", number(31_536_000.0)),
    ]);
    let expected = TaskSettings {
        isolation: None,
        chunk_items_min: Some(10),
        chunk_items_max: Some(1_000_000),
        priority: Some(-100),
        weight: Some(1_000),
        concurrency_key: Some("warehouse".into()),
        concurrency_limit: Some(3),
        pool_size: Some(2),
        process_attempts_max: Some(50),
        process_seconds_max: Some(3_600),
        process_growth_mib_max: Some(512),
        queued_seconds_max: Some(600),
        node_seconds_max: Some(31_536_000),
    };
    assert_eq!(settings, Ok(expected.clone()));
    assert!(expected.is_timed() && !TaskSettings::default().is_timed());
    let life = Life { attempts_max: Some(50), seconds_max: Some(3_600), growth_mib_max: Some(512) };
    assert_eq!(expected.life(), life);
}

#[track_caller]
fn refused(fields: &[(&str, Value)], expected: &str) {
    assert_eq!(read(fields).expect_err("no settings"), expected);
}

#[test]
fn an_isolation_that_is_none_is_named_with_what_would_be_right() {
    let right = "it has to be one of \"fresh\", \"fork\" and \"reuse\"";
    refused(&[("isolation", text("thread"))], &format!("custom.skein.isolation is \"thread\"; {right}"));
    refused(&[("isolation", number(1.0))], &format!("custom.skein.isolation is 1; {right}"));
}

#[test]
fn each_number_is_whole_and_has_bounds() {
    for (name, min, max) in [
        ("chunk_items_min", 1, 1_000_000),
        ("chunk_items_max", 1, 1_000_000),
        ("priority", -100, 100),
        ("weight", 1, 1_000),
        ("concurrency_limit", 1, 1_000_000),
        ("pool_size", 1, 10_000),
        ("process_attempts_max", 1, 1_000_000),
        ("process_seconds_max", 1, 31_536_000),
        ("process_growth_mib_max", 1, 1_048_576),
    ] {
        let right = format!("it has to be a whole number from {min} to {max}");
        let (least, most) = (f64::from(min), f64::from(max));
        for good in [least, most] {
            assert!(read(&[(name, number(good))]).is_ok(), "{name} {good}");
        }
        for wrong in [least - 1.0, most + 1.0, least + 0.5, 1e300, f64::NAN, f64::INFINITY] {
            refused(&[(name, number(wrong))], &format!("custom.skein.{name} is {wrong}; {right}"));
        }
        refused(&[(name, text("7"))], &format!("custom.skein.{name} is \"7\"; {right}"));
        refused(&[(name, value(Kind::BoolValue(true)))], &format!("custom.skein.{name} is true; {right}"));
    }
}

#[test]
fn a_concurrency_key_is_a_name() {
    let limited = |key: &str| read(&[("concurrency_key", text(key)), ("concurrency_limit", number(1.0))]);
    let longest = "é".repeat(63);
    assert_eq!(limited(&longest).unwrap().concurrency_key.as_deref(), Some(longest.as_str()));
    for wrong in ["", ".", "..", "a/b", "a\\b", "a\nb", &"k".repeat(64)] {
        let fault = limited(wrong).unwrap_err();
        assert!(
            fault.starts_with(&format!(
                "custom.skein.concurrency_key is {wrong:?}; it has to be a name of 1 to 63"
            )),
            "{fault}"
        );
    }
}

#[test]
fn a_name_that_is_none_is_told_with_those_that_there_are() {
    refused(
        &[("isolaton", text("fork"))],
        "custom.skein.isolaton is unknown; there are isolation, chunk_items_min, chunk_items_max, priority, weight, \
         concurrency_key, concurrency_limit, pool_size, process_attempts_max, process_seconds_max, \
         process_growth_mib_max, queued_seconds_max and node_seconds_max",
    );
    let list = template(value(Kind::ListValue(ListValue::default())));
    assert_eq!(
        TaskSettings::of(&list).unwrap_err().to_string(),
        "custom.skein has to be an object, but it is a list"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused_by_name() {
    refused(
        &[("chunk_items_min", number(5.0)), ("chunk_items_max", number(4.0))],
        "custom.skein.chunk_items_min is 5, which is more than chunk_items_max, 4",
    );
    refused(
        &[("concurrency_key", text("warehouse"))],
        "custom.skein.concurrency_key is \"warehouse\", but there is no concurrency_limit; say how many may run at once",
    );
    let of_shared_processes = [
        "chunk_items_min",
        "chunk_items_max",
        "process_attempts_max",
        "process_seconds_max",
        "process_growth_mib_max",
    ];
    for isolation in ["fresh", "fork"] {
        for name in of_shared_processes {
            refused(
                &[("isolation", text(isolation)), (name, number(10.0))],
                &format!(
                    "custom.skein.{name} is 10, which goes with isolation \"reuse\" only: with \"{isolation}\" each \
                     attempt, and each item of a map, has a process of its own"
                ),
            );
        }
    }
}
