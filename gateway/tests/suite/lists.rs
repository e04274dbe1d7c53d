//! Lists: filters, sorting, pages.

use crate::definitions::*;
use crate::engine::{append, failure, run};
use crate::harness::{Harness, refusal};
use skein_idl::flyteidl::admin;
use skein_model::Event;
use tonic::Code;

fn request(limit: u32, filters: &str) -> admin::ResourceListRequest {
    admin::ResourceListRequest {
        id: Some(admin::NamedEntityIdentifier {
            project: PROJECT.to_owned(),
            domain: DOMAIN.to_owned(),
            ..Default::default()
        }),
        limit,
        filters: filters.to_owned(),
        ..Default::default()
    }
}

async fn names(harness: &Harness, filters: &str) -> Vec<String> {
    let mut request = request(100, filters);
    request.sort_by = Some(admin::Sort { key: "created_at".to_owned(), direction: 1 });
    let list =
        harness.admin().list_executions(request).await.unwrap_or_else(|status| panic!("{filters}: {status}"));
    list.into_inner().executions.into_iter().map(|execution| execution.id.unwrap().name).collect()
}

async fn with_executions() -> Harness {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "done").await;
    run(&harness, "done").await;
    launch(&harness, "failed").await;
    append(&harness, "failed", &[Event::Started, Event::Failed { failure: failure("C", "m") }]).await;
    let mut request = execution("labelled", launch_plan_id("m.w"), &[("x", integer(1))]);
    let spec = request.spec.as_mut().unwrap();
    spec.labels.as_mut().unwrap().values.insert("eager-exec".to_owned(), "parent".to_owned());
    spec.tags = vec!["nightly".to_owned()];
    harness.admin().create_execution(request).await.unwrap();
    let task = id(skein_idl::flyteidl::core::ResourceType::Task, "m.inc", "v1");
    harness.admin().create_execution(execution("single", task, &[("x", integer(1))])).await.unwrap();
    harness
}

#[tokio::test]
async fn filters_select_by_columns_of_executions_and_of_what_they_belong_to() {
    let harness = with_executions().await;
    let all = ["done", "failed", "labelled", "single"];
    let cases: [(&str, &[&str]); 24] = [
        ("", &all),
        ("eq(phase,FAILED)", &["failed"]),
        ("eq(phase,6)", &["failed"]),
        ("ne(phase,SUCCEEDED)", &all[1..]),
        ("value_in(phase,FAILED;SUCCEEDED)", &all[..2]),
        ("value_not_in(phase,FAILED;SUCCEEDED)", &all[2..]),
        ("contains(workflow.name,m.w)", &all[..3]),
        ("not_like(workflow.name,flytegen)", &all[..3]),
        ("eq(workflow.name,.flytegen.m.inc)", &["single"]),
        ("eq(launch_plan.name,m.w)", &all[..3]),
        ("eq(task.name,m.inc)", &["single"]),
        ("eq(state,EXECUTION_ACTIVE)", &all),
        ("eq(state,0)", &all),
        ("eq(state,EXECUTION_ARCHIVED)", &[]),
        ("eq(mode,MANUAL)", &all),
        ("eq(mode,0)", &all),
        ("gt(duration,100000)", &[]),
        ("gt(duration,1ms)", &["done"]),
        ("gte(created_at,2026-01-01T00:00:00Z)", &all),
        ("lt(created_at,2026-01-01T00:00:00Z)", &[]),
        ("ne(user,x)", &all),
        ("value_in(execution_tag.key,eager-exec)+value_in(execution_tag.value,parent)", &["labelled"]),
        ("value_in(execution_tag.key,nightly)+value_in(execution_tag.value,parent)", &[]),
        ("eq(admin_tag.name,nightly)", &["labelled"]),
    ];
    for (filters, expected) in cases {
        assert_eq!(names(&harness, filters).await, expected, "{filters}");
    }
}

#[tokio::test]
async fn a_list_that_asks_for_something_else_is_refused_in_the_words_of_the_original() {
    let harness = Harness::start().await;
    let list = async |request| refusal(harness.admin().list_executions(request).await);
    let invalid = |text: &str| (Code::InvalidArgument, text.to_owned());
    assert_eq!(list(request(0, "")).await, invalid("invalid value for limit"));
    assert_eq!(list(request(3, "phase=FAILED")).await, invalid("invalid value for filters"));
    assert_eq!(list(request(3, "eq(user,)")).await, invalid("invalid value for filters"));
    assert_eq!(list(request(3, "eq(foo,1)")).await, invalid("'e.foo' is invalid filter"));
    assert_eq!(
        list(request(3, "eq(node_execution.phase,1)")).await,
        invalid("'node_execution.phase' is invalid filter")
    );
    assert_eq!(list(request(3, "like(phase,1)")).await, invalid("unrecognized filter function: like"));
    let mut sorted = request(3, "");
    sorted.sort_by = Some(admin::Sort { key: "foo".to_owned(), direction: 0 });
    assert_eq!(list(sorted).await, invalid("invalid sort key 'foo'"));
    let mut page = request(3, "");
    page.token = "abc".to_owned();
    assert_eq!(list(page).await, invalid("invalid pagination token abc for ListExecutions"));
    let mut nowhere = request(3, "");
    nowhere.id = None;
    assert_eq!(list(nowhere).await, invalid("missing id"));
    let injected = request(3, "eq(phase');DROP TABLE executions;--,1)");
    assert_eq!(list(injected).await, invalid("invalid value for filters"));
    let mut far = request(3, "");
    far.token = "4000000000".to_owned();
    let answer = harness.admin().list_executions(far).await.unwrap().into_inner();
    assert_eq!((answer.executions.len(), answer.token.as_str()), (0, ""));
}

#[tokio::test]
async fn pages_hold_every_row_once_and_end_with_an_empty_token() {
    let harness = with_executions().await;
    let mut seen = Vec::new();
    let mut tokens = Vec::new();
    let mut page = request(1, "");
    loop {
        let answer = harness.admin().list_executions(page.clone()).await.unwrap().into_inner();
        seen.extend(answer.executions.into_iter().map(|execution| execution.id.unwrap().name));
        if answer.token.is_empty() {
            break;
        }
        tokens.push(answer.token.clone());
        page.token = answer.token;
    }
    assert_eq!(seen, ["single", "labelled", "failed", "done"]);
    assert_eq!(tokens, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_page_that_does_not_fit_into_an_answer_is_cut_and_goes_on_by_its_token() {
    let mut config = skein_gateway::Config::default();
    config.limits.answer_bytes_max = 500;
    let harness = Harness::start_with(config).await;
    register(&harness).await;
    for name in ["a", "b", "c"] {
        launch(&harness, name).await;
    }
    let answer = harness.admin().list_executions(request(100, "")).await.unwrap().into_inner();
    assert!(answer.executions.len() < 3, "{}", answer.executions.len());
    assert_eq!(answer.token, answer.executions.len().to_string());
}

#[tokio::test]
async fn definitions_are_listed_newest_first_and_by_name() {
    let harness = Harness::start().await;
    register(&harness).await;
    let mut admin = harness.admin();
    admin.create_task(inc("v2")).await.unwrap();
    let mut newest = request(1, "");
    newest.id.as_mut().unwrap().name = "m.inc".to_owned();
    newest.sort_by = Some(admin::Sort { key: "created_at".to_owned(), direction: 0 });
    let tasks = admin.list_tasks(newest).await.unwrap().into_inner();
    assert_eq!(tasks.tasks[0].id.as_ref().unwrap().version, "v2");
    assert!(tasks.tasks[0].closure.as_ref().unwrap().compiled_task.is_some());
    let workflows = admin.list_workflows(request(10, "")).await.unwrap().into_inner();
    assert!(workflows.workflows[0].closure.as_ref().unwrap().compiled_workflow.is_none());
    let plans = admin.list_launch_plans(request(10, "eq(workflow.name,m.w)")).await.unwrap().into_inner();
    assert_eq!(plans.launch_plans.len(), 1);
    let ids = admin::NamedEntityIdentifierListRequest {
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        limit: 10,
        ..Default::default()
    };
    let ids = admin.list_task_ids(ids).await.unwrap().into_inner();
    assert_eq!(ids.entities.iter().map(|entity| entity.name.as_str()).collect::<Vec<_>>(), ["m.inc"]);
}

#[tokio::test]
async fn generated_names_are_left_out_of_full_pages() {
    let harness = with_executions().await;
    let request = admin::NamedEntityListRequest {
        resource_type: 2,
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        limit: 1,
        ..Default::default()
    };
    let list = harness.admin().list_named_entities(request).await.unwrap().into_inner();
    assert_eq!(list.entities[0].id.as_ref().unwrap().name, "m.w");
    assert_eq!(list.token, "");
}
