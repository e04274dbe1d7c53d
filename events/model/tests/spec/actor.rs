//! What a task says of the actor environment that it runs in.

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use skein_idl::flyteidl::core::{Container, TaskTemplate, task_template};
use skein_model::{ActorEnvironment, ExecutionId};
use std::time::Duration;

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: &str) -> Value {
    value(Kind::StringValue(text.to_owned()))
}

fn number(number: f64) -> Value {
    value(Kind::NumberValue(number))
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn template(task_type: &str, custom: Option<Struct>) -> TaskTemplate {
    let container = Container { image: "image".to_owned(), ..Container::default() };
    TaskTemplate {
        r#type: task_type.to_owned(),
        custom,
        target: Some(task_template::Target::Container(container)),
        ..TaskTemplate::default()
    }
}

fn with_spec<const N: usize>(spec: [(&str, Value); N]) -> TaskTemplate {
    let spec = value(Kind::StructValue(object(spec)));
    template("actor", Some(object([("name", text("env")), ("version", text("v")), ("spec", spec)])))
}

fn read(template: &TaskTemplate) -> ActorEnvironment {
    ActorEnvironment::of(template).expect("it is good").expect("it is one")
}

#[test]
fn only_tasks_of_its_types_have_an_environment() {
    let custom = object([("name", text("env")), ("version", text("v"))]);
    for (task_type, expected) in
        [("actor", true), ("fast-task", true), ("python-task", false), ("Actor", false), ("", false)]
    {
        let read = ActorEnvironment::of(&template(task_type, Some(custom.clone()))).expect("it is good");
        assert_eq!(read.is_some(), expected, "{task_type}");
    }
}

#[test]
fn what_it_does_not_say_has_the_defaults_of_the_original() {
    let nothing = value(Kind::NullValue(0));
    let said =
        with_spec([("ttl_seconds", nothing.clone()), ("backlog_length", nothing), ("later", number(1.0))]);
    let custom = object([("name", text("env")), ("version", text("v"))]);
    for template in [said, template("fast-task", Some(custom))] {
        let ActorEnvironment { replicas, parallelism, backlog, ttl_seconds, .. } = read(&template);
        assert_eq!((replicas, parallelism, backlog, ttl_seconds), (1, 1, 0, 90));
    }
}

#[test]
fn its_tasks_run_in_as_many_processes_as_its_workers_run_at_once() {
    let spec = with_spec([
        ("replica_count", number(3.0)),
        ("min_replica_count", number(1.0)),
        ("parallelism", number(2.0)),
        ("backlog_length", number(4.0)),
        ("ttl_seconds", number(30.0)),
        ("container_image", text("another")),
    ]);
    let execution = ExecutionId::parse("p", "d", "e").expect("good names");
    let actor = read(&spec).within(&execution);
    assert_eq!((actor.slots, actor.backlog, actor.ttl), (6, 12, Duration::from_secs(30)));
    assert_eq!((actor.environment.as_str(), actor.queue().as_str()), ("p/d/env/v", "p_d_env_v"));
    assert_eq!(actor.image, "image", "the container's, which the mapping of images goes by");
}

#[test]
fn what_cannot_be_is_refused_naming_the_field_its_value_and_what_would_be_right() {
    let whole = |min, max| format!("it has to be a whole number from {min} to {max}");
    for (field, bad, right) in [
        ("replica_count", 0.0, whole(1, 10_000)),
        ("replica_count", -1.0, whole(1, 10_000)),
        ("min_replica_count", -1.0, whole(0, 10_000)),
        ("parallelism", 0.0, whole(1, 1_000)),
        ("parallelism", f64::NAN, whole(1, 1_000)),
        ("backlog_length", -1.0, whole(0, 1_000_000)),
        ("ttl_seconds", 29.0, whole(30, 900)),
        ("ttl_seconds", 901.0, whole(30, 900)),
        ("ttl_seconds", 60.5, whole(30, 900)),
    ] {
        let refused = ActorEnvironment::of(&with_spec([(field, number(bad))])).expect_err(field).to_string();
        assert_eq!(refused, format!("custom.spec.{field} is {bad}; {right}"));
    }
    let crossed = with_spec([("replica_count", number(1.0)), ("min_replica_count", number(2.0))]);
    let refused = ActorEnvironment::of(&crossed).expect_err("the least is more than the most").to_string();
    assert_eq!(refused, "custom.spec.min_replica_count is 2, which is more than replica_count, 1");
}

#[test]
fn an_environment_without_a_name_or_a_version_is_none() {
    let (name, version) = (text("env"), text("v"));
    for (custom, expected) in [
        (None, "custom.name is missing"),
        (Some(object([("version", version.clone())])), "custom.name is missing"),
        (Some(object([("name", name.clone())])), "custom.version is missing"),
        (Some(object([("name", name.clone()), ("version", text(""))])), "custom.version is missing"),
        (
            Some(object([("name", text("a/b")), ("version", version.clone())])),
            "custom.name is \"a/b\"; it has",
        ),
        (
            Some(object([("name", name), ("version", version), ("spec", text("s"))])),
            "custom.spec has to be an object",
        ),
    ] {
        let refused = ActorEnvironment::of(&template("actor", custom)).expect_err(expected).to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
}
