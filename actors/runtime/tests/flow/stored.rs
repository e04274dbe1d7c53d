//! Lists that stay where they are stored, and outputs that are never held whole.

use crate::world::{Answer, World, map};
use bytes::Bytes;
use skein_model::literals::{self, encode_integer, encode_string};
use skein_model::{Charge, DataRef, Event};

/// Enough for outputs that no event holds.
const ITEMS: i64 = 20_000;

fn list(items: impl Iterator<Item = i64>) -> Bytes {
    let items: Vec<Bytes> = items.map(encode_integer).collect();
    literals::encode_collection(&items)
}

#[tokio::test]
async fn a_map_goes_through_a_list_that_is_stored_by_itself() {
    let world = World::start().await;
    let uri = world.store("uploads/xs.pb", list(0..1_000)).await;
    let id = world.create_stored("map", &map(), &uri).await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), (1..=1_000).collect())]);
    worker.abort();
}

#[tokio::test]
async fn it_goes_on_with_that_list_after_a_restart() {
    let world = World::start().await;
    let uri = world.store("uploads/xs.pb", list(0..500)).await;
    let id = world.create_stored("map", &map(), &uri).await;
    let lease = world.lease().await;
    world.finish(lease).await;
    let world = world.restart().await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), (1..=500).collect())]);
    worker.abort();
}

#[tokio::test]
async fn large_outputs_of_a_map_are_those_of_its_node_and_stored_once() {
    let world = World::start().await;
    let items: Vec<i64> = (0..ITEMS).collect();
    let id = world.create_list("map", &map(), &items).await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), (1..=ITEMS).collect())]);
    let outputs: Vec<&DataRef> = events
        .iter()
        .filter_map(|event| match event {
            Event::NodeSucceeded { outputs, .. } | Event::Succeeded { outputs } => Some(outputs),
            _ => None,
        })
        .collect();
    assert!(
        matches!(outputs.as_slice(), [DataRef::Blob(node), DataRef::Blob(execution)] if node == execution)
    );
    worker.abort();
}

async fn refused(name: &str, bytes: Option<Bytes>) -> (String, String, Charge) {
    let world = World::start().await;
    let uri = match bytes {
        Some(bytes) => world.store(name, bytes).await,
        None => name.to_owned(),
    };
    let id = world.create_stored("map", &map(), &uri).await;
    let events = world.finished(&id).await;
    let failure = events.iter().find_map(|event| match event {
        Event::Failed { failure } => Some(failure.clone()),
        _ => None,
    });
    let failure = failure.expect("it fails");
    (failure.code, failure.message.replace(&uri, "URI"), failure.charge)
}

#[tokio::test]
async fn what_cannot_be_gone_through_is_told_with_its_input_and_place() {
    let (code, message, charge) = refused("uploads/text.pb", Some(encode_string("x"))).await;
    assert_eq!((code.as_str(), charge), ("InvalidArrayLength", Charge::User));
    assert!(message.contains("input x of the map is not a list") && message.contains("URI"), "{message}");
    let (code, message, charge) = refused("s3://elsewhere/xs.pb", None).await;
    assert_eq!((code.as_str(), charge), ("OffloadedInputUnreadable", Charge::User));
    assert!(message.starts_with("input x was offloaded to URI, which cannot be read: "), "{message}");
}
