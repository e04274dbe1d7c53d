//! Where values are said to be: whatever address is shown can be read.

use crate::definitions::*;
use crate::engine::{append, node, run, value};
use crate::executions::{attempts, get, nodes};
use crate::harness::Harness;
use prost::Message as _;
use skein_idl::flyteidl::admin::{
    self, execution_closure, literal_map_blob, node_execution_closure, task_execution_closure,
};
use skein_idl::flyteidl::core::LiteralMap;
use skein_idl::flyteidl::service::{GetDataRequest, get_data_response::Data};
use skein_model::{Attempt, BlobRef, DataRef, Event};

/// Reads an address as a client can: by `GetData`, or as the object that it names.
async fn read(harness: &Harness, address: &str) -> LiteralMap {
    if !address.starts_with("flyte://") {
        let body = harness.blobs.get(address, 1 << 20).await.unwrap();
        return LiteralMap::decode(body).unwrap();
    }
    let request = GetDataRequest { flyte_url: address.to_owned() };
    match harness.data_proxy().get_data(request).await.unwrap().into_inner().data.unwrap() {
        Data::LiteralMap(map) => map,
        other => panic!("{address} gave {other:?}"),
    }
}

fn given(node: &admin::NodeExecution) -> &str {
    match node.closure.as_ref().unwrap().output_result.as_ref() {
        Some(node_execution_closure::OutputResult::OutputUri(uri)) => uri,
        other => panic!("{:?} shows {other:?}", node.id),
    }
}

fn given_by_attempt(attempt: &admin::TaskExecution) -> &str {
    match attempt.closure.as_ref().unwrap().output_result.as_ref() {
        Some(task_execution_closure::OutputResult::OutputUri(uri)) => uri,
        other => panic!("{:?} shows {other:?}", attempt.id),
    }
}

/// Stores `{variable: value}` as an object, whatever its size.
async fn stored(harness: &Harness, name: &str, variable: &str, value: i64) -> BlobRef {
    let body = literals(&[(variable, integer(value))]).encode_to_vec();
    harness.blobs.put(&harness.blobs.url(name), body.into()).await.unwrap()
}

#[tokio::test]
async fn a_value_that_travels_inside_events_is_shown_where_it_can_be_read() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    run(&harness, "abc").await;

    let (x, o0) = (literals(&[("x", integer(1))]), literals(&[("o0", integer(2))]));
    let nodes = nodes(&harness, "abc").await;
    let [end, n0, _, start] = &nodes[..] else { panic!("{nodes:?}") };
    assert_eq!(start.input_uri, "", "it takes nothing");
    assert_eq!(read(&harness, given(start)).await, x);
    assert_eq!(read(&harness, &n0.input_uri).await, x);
    assert_eq!(read(&harness, given(n0)).await, o0);
    assert_eq!(read(&harness, &end.input_uri).await, literals(&[("o0", integer(3))]));
    assert_eq!(end.closure.as_ref().unwrap().output_result, None, "what it takes are the outputs");
    let [attempt] = &attempts(&harness, "abc", "n0").await[..] else { panic!("one try") };
    assert_eq!(read(&harness, &attempt.input_uri).await, x);
    assert_eq!(read(&harness, given_by_attempt(attempt)).await, o0);
    let Some(execution_closure::OutputResult::Outputs(outputs)) = get(&harness, "abc").await.output_result
    else {
        panic!("it succeeded")
    };
    let Some(literal_map_blob::Data::Uri(uri)) = outputs.data else { panic!("an address is shown") };
    assert_eq!(read(&harness, &uri).await, literals(&[("o0", integer(3))]));
}

#[tokio::test]
async fn a_value_that_is_an_object_is_shown_as_the_object() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let (node, attempt) = (node("n0"), Attempt(0));
    let inputs = stored(&harness, "inputs.pb", "x", 1).await;
    let outputs = stored(&harness, "outputs.pb", "o0", 2).await;
    let given_outputs = DataRef::Blob(outputs.clone());
    let events = [
        Event::Started,
        Event::NodeQueued { node: node.clone() },
        Event::NodeStarted { node: node.clone(), inputs: DataRef::Blob(inputs.clone()) },
        Event::AttemptQueued { node: node.clone(), attempt, not_before: None },
        Event::AttemptSucceeded {
            node: node.clone(),
            attempt,
            outputs: given_outputs.clone(),
            deck: None,
            used: None,
        },
        Event::NodeSucceeded { node, outputs: given_outputs },
    ];
    append(&harness, "abc", &events).await;
    let nodes = nodes(&harness, "abc").await;
    assert_eq!((nodes[0].input_uri.as_str(), given(&nodes[0])), (inputs.uri.as_str(), outputs.uri.as_str()));
    let [attempt] = &attempts(&harness, "abc", "n0").await[..] else { panic!("one try") };
    assert_eq!(
        (attempt.input_uri.as_str(), given_by_attempt(attempt)),
        (inputs.uri.as_str(), outputs.uri.as_str())
    );
}

#[tokio::test]
async fn what_is_not_there_yet_has_no_address() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    append(&harness, "abc", &[Event::Started, Event::NodeQueued { node: node("n0") }]).await;
    let before = nodes(&harness, "abc").await;
    assert_eq!(before[0].input_uri, "");
    assert_eq!(before[0].closure.as_ref().unwrap().output_result, None);
    append(&harness, "abc", &[Event::NodeStarted { node: node("n0"), inputs: value("x", 1) }]).await;
    let after = nodes(&harness, "abc").await;
    assert_eq!(after[0].input_uri, "flyte://v1/flytesnacks/development/abc/n0/i");
    assert_eq!(after[0].closure.as_ref().unwrap().output_result, None);
}
