//! Tasks that connectors do: which can be registered and launched, and what is shown of their jobs.

use crate::definitions::*;
use crate::engine::{append, node, value};
use crate::executions::attempts;
use crate::harness::{Harness, refusal};
use bytes::Bytes;
use prost::Message as _;
use skein_gateway::{Config, Connectors};
use skein_idl::flyteidl::core::task_execution::Phase;
use skein_idl::flyteidl::core::{Sql, TaskLog, task_template};
use skein_idl::flyteidl::{admin, core};
use skein_model::served::Category;
use skein_model::{Attempt, Event, Job, JobPhase, ServedTypes, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Code;

/// A gateway with one connector, which says that it does tasks of type `told` when it is asked, and of type `known` before.
async fn connected() -> Harness {
    let served = ServedTypes::default();
    let types = |names: &[&str]| -> BTreeMap<Category, Option<bool>> {
        let category = |name: &&str| Category { name: (*name).to_owned(), version: Some(0) };
        names.iter().map(|name| (category(name), None)).collect()
    };
    served.put(0, types(&["known"]));
    let (all, told) = (types(&["known", "told"]), served.clone());
    let ask = move || -> futures::future::BoxFuture<'static, Vec<String>> {
        told.put(0, all.clone());
        Box::pin(std::future::ready(vec!["connector http://b:1 could not be asked".to_owned()]))
    };
    let connectors = Connectors { urls: vec!["http://a:1".to_owned()], served, ask: Arc::new(ask) };
    Harness::start_with(Config { connectors: Some(connectors), ..Config::default() }).await
}

/// `m.inc` as a task of this type, with nothing to run here unless it has a container.
fn of_type(task_type: &str, target: Option<task_template::Target>) -> admin::TaskCreateRequest {
    let mut task = inc("v1");
    let template = task.spec.as_mut().unwrap().template.as_mut().unwrap();
    task_type.clone_into(&mut template.r#type);
    template.target = target;
    task
}

fn container() -> Option<task_template::Target> {
    inc("v1").spec.unwrap().template.unwrap().target
}

#[tokio::test]
async fn a_task_that_a_connector_does_can_be_registered_and_the_connectors_are_asked_for_a_new_type() {
    for task_type in ["known", "told"] {
        let harness = connected().await;
        harness.admin().create_task(of_type(task_type, None)).await.unwrap();
    }
}

#[tokio::test]
async fn a_type_that_nobody_does_is_refused_with_task_type_and_what_there_is() {
    let harness = connected().await;
    let statement = Some(task_template::Target::Sql(Sql::default()));
    for (target, begins) in [(None, "missing target"), (statement, "a statement needs a connector")] {
        let (code, text) = refusal(harness.admin().create_task(of_type("other", target)).await);
        assert_eq!(code, Code::InvalidArgument);
        assert!(text.starts_with(begins), "{text}");
        let expected = "task m.inc is of type other, which no connector does: the connectors here (http://a:1) do known, told; \
                        connector http://b:1 could not be asked";
        assert!(text.ends_with(expected), "{text}");
    }
    let (code, text) = refusal(Harness::start().await.admin().create_task(of_type("other", None)).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("has no connectors; say --connector URL"), "{text}");
}

#[tokio::test]
async fn a_map_over_a_connectors_task_is_refused_when_it_is_launched() {
    let harness = connected().await;
    let mut admin = harness.admin();
    admin.create_task(of_type("known", container())).await.unwrap();
    admin.create_workflow(mapped()).await.unwrap();
    admin.create_launch_plan(launch_plan("m.mapped", "v1", "m.mapped")).await.unwrap();
    let none = core::Literal {
        value: Some(core::literal::Value::Collection(core::LiteralCollection { literals: vec![] })),
        ..Default::default()
    };
    let request = execution("abc", launch_plan_id("m.mapped"), &[("x", integer(1)), ("xs", none)]);
    let (code, text) = refusal(admin.create_execution(request).await);
    assert_eq!(code, Code::Unimplemented);
    let expected =
        "task m.inc is of type known, which a connector does; this server does not map over such tasks yet";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_job_is_shown_with_its_phase_its_links_and_what_else_its_connector_says() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let (n0, attempt) = (node("n0"), Attempt(0));
    let info = prost_types::Struct {
        fields: [(
            "size".to_owned(),
            prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(3.0)) },
        )]
        .into(),
    };
    let link = TaskLog { uri: "https://x".to_owned(), name: "Console".to_owned(), ..TaskLog::default() };
    let job = |phase, message: &str| Job {
        connector: "http://a:1".to_owned(),
        resource_meta: Some(Bytes::from_static(b"j1")),
        since: Timestamp::from_micros(7),
        phase,
        message: message.to_owned(),
        logs: vec![link.encode_to_vec().into()],
        custom_info: info.encode_to_vec().into(),
    };
    let told =
        |phase, message| Event::JobReported { node: n0.clone(), attempt, job: Box::new(job(phase, message)) };
    let events = [
        Event::Started,
        Event::NodeQueued { node: n0.clone() },
        Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) },
        Event::AttemptQueued { node: n0.clone(), attempt, not_before: None },
        told(JobPhase::WaitingForResources, "for a cluster"),
    ];
    append(&harness, "abc", &events).await;
    let shown = attempts(&harness, "abc", "n0").await.remove(0).closure.unwrap();
    assert_eq!(shown.phase(), Phase::WaitingForResources);
    assert_eq!(
        (shown.custom_info, shown.metadata.unwrap().plugin_identifier),
        (Some(info.clone()), "connector".to_owned())
    );
    append(&harness, "abc", &[told(JobPhase::Unreachable, "it broke")]).await;
    let shown = attempts(&harness, "abc", "n0").await.remove(0).closure.unwrap();
    assert_eq!(shown.phase(), Phase::WaitingForResources, "nothing newer is known");
    let path = crate::progress::progress_of("abc").replace("/progress", "/why");
    let (_, why) = harness.http("GET", &path, &[], &[]).await;
    let why = String::from_utf8(why.to_vec()).unwrap();
    assert!(why.contains("its job at connector http://a:1, which cannot be asked after: it broke"), "{why}");
}
