//! What a server says of tasks: which rules count for a task, and what becomes of two that do not agree.

use proptest::option;
use proptest::prelude::*;
use skein_model::task_settings::Given;
use skein_model::{ExecutionId, Isolation, TaskRule, TaskRules, TaskSettings};
use std::collections::BTreeMap;

fn given(fields: &[(&str, Given)]) -> BTreeMap<String, Given> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(text: &str) -> Given {
    Given::Text(text.to_owned())
}

fn rule(fields: &[(&str, Given)]) -> TaskRule {
    TaskRule::read(&given(fields)).expect("a good rule")
}

fn fault(fields: &[(&str, Given)]) -> String {
    TaskRule::read(&given(fields)).expect_err("no rule").to_string()
}

fn execution() -> ExecutionId {
    ExecutionId::parse("shop", "production", "x").expect("a good id")
}

fn resolve(rules: Vec<TaskRule>, own: &TaskSettings) -> TaskSettings {
    TaskRules::new(rules).resolve(&execution(), "etl.load", own)
}

fn saying_nothing() -> TaskSettings {
    TaskSettings::default()
}

#[test]
fn a_rule_is_for_the_tasks_whose_project_domain_and_name_it_meets() {
    let counts = |patterns: &[(&str, Given)]| {
        let priority = ("priority", Given::Number(7.0));
        let rule = rule(&[patterns, &[priority]].concat());
        resolve(vec![rule], &saying_nothing()).priority == Some(7)
    };
    for name in ["etl.load", "etl.*", "*", "*load", "e*l*d", "etl.load*", "**", "*l.l*"] {
        assert!(counts(&[("name", text(name))]), "{name}");
    }
    for name in ["etl", "etl.", "load", "*etl", "etl.lo", "etl.load*d", "*x*", "e*z", "etl.load.*"] {
        assert!(!counts(&[("name", text(name))]), "{name}");
    }
    assert!(counts(&[]));
    assert!(counts(&[("project", text("shop")), ("domain", text("prod*")), ("name", text("etl.load"))]));
    assert!(!counts(&[("project", text("shop")), ("domain", text("staging")), ("name", text("etl.load"))]));
    assert!(!counts(&[("project", text("shops"))]));
}

#[test]
fn of_each_setting_a_later_rule_counts_for_more_and_the_task_itself_for_the_most() {
    let rules = vec![
        rule(&[
            ("priority", Given::Number(1.0)),
            ("weight", Given::Number(2.0)),
            ("pool_size", Given::Number(3.0)),
        ]),
        rule(&[("priority", Given::Number(4.0)), ("weight", Given::Number(5.0))]),
        rule(&[("name", text("other")), ("priority", Given::Number(9.0))]),
    ];
    let own = TaskSettings { weight: Some(6), ..saying_nothing() };
    let expected =
        TaskSettings { priority: Some(4), weight: Some(6), pool_size: Some(3), ..saying_nothing() };
    assert_eq!(resolve(rules, &own), expected);
    assert_eq!(resolve(Vec::new(), &own), own);
}

#[test]
fn what_contradicts_someone_who_counts_for_more_is_left_out() {
    let long_lived =
        rule(&[("process_attempts_max", Given::Number(9.0)), ("chunk_items_max", Given::Number(9.0))]);
    let own = TaskSettings { isolation: Some(Isolation::Fresh), ..saying_nothing() };
    assert_eq!(resolve(vec![long_lived], &own), own);
    let own = TaskSettings { process_attempts_max: Some(1), ..saying_nothing() };
    assert_eq!(resolve(vec![rule(&[("isolation", text("fork"))])], &own), own);
    let own = TaskSettings { chunk_items_max: Some(10), ..saying_nothing() };
    assert_eq!(resolve(vec![rule(&[("chunk_items_min", Given::Number(20.0))])], &own), own);
}

#[test]
fn a_rule_that_is_none_is_refused_by_name() {
    assert_eq!(
        fault(&[("name", text(""))]),
        "name is \"\"; it has to be a name, in which * stands for any characters"
    );
    assert_eq!(
        fault(&[("project", Given::Other("a list"))]),
        "project is a list; it has to be a name, in which * stands for any characters"
    );
    assert!(
        fault(&[("task", text("x"))])
            .starts_with("task is unknown; there are project, domain, name, isolation, ")
    );
    assert_eq!(
        fault(&[("priority", Given::Number(1_000.0))]),
        "priority is 1000; it has to be a whole number from -100 to 100"
    );
    assert!(fault(&[("concurrency_key", text("k"))]).contains("there is no concurrency_limit"));
}

fn count() -> impl Strategy<Value = Option<u32>> {
    option::of(1..5_u32)
}

fn isolation() -> impl Strategy<Value = Option<Isolation>> {
    option::of(prop::sample::select(Isolation::ALL.map(|(_, isolation)| isolation).to_vec()))
}

prop_compose! {
    fn any_settings()(
        isolation in isolation(),
        [chunk_items_min, chunk_items_max, concurrency_limit, process_attempts_max] in
            [count(), count(), count(), count()],
        key in option::of(Just("k")),
    ) -> TaskSettings {
        TaskSettings {
            isolation,
            chunk_items_min,
            chunk_items_max,
            concurrency_key: key.map(Into::into),
            concurrency_limit,
            process_attempts_max,
            ..saying_nothing()
        }
    }
}

fn settings() -> impl Strategy<Value = TaskSettings> {
    any_settings().prop_filter("they contradict each other", |settings| settings.check().is_ok())
}

proptest! {
    #[test]
    fn settings_that_are_laid_over_others_never_contradict_them(under in settings(), over in settings()) {
        let both = under.overlaid(&over);
        prop_assert_eq!(both.check(), Ok(()));
        prop_assert_eq!(both.overlaid(&over), both.clone());
    }
}
