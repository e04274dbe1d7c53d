//! The same over NATS `JetStream`.

use super::{BODY, JOURNALS, append};
use async_nats::jetstream::{Context, stream};
use bytes::Bytes;
use futures::future::join_all;
use skein_benches::figures::{self, Turns};
use skein_log::{EventLog, jetstream};
use std::sync::Arc;

/// Appends of one turn.
const SINGLE: u64 = 250;
const MANY: u64 = 3_200;
const RAW: &str = "raw NATS, publish and wait";
const LOG: &str = "JetStream log";

/// Publishes raw and appends, in turns.
pub(crate) async fn compare(url: &str) {
    let client = async_nats::connect(url).await.expect("a server");
    let context = async_nats::jetstream::new(client);
    let config = stream::Config {
        name: "RAW".to_owned(),
        subjects: vec!["raw.>".to_owned()],
        ..stream::Config::default()
    };
    context.get_or_create_stream(config).await.expect("a server with JetStream");
    let settings = jetstream::Settings { replicas: 1, ..jetstream::Settings::new("bench") };
    let stream = jetstream::connect(url, settings).await.expect("a server with JetStream");
    let log: Arc<dyn EventLog> = Arc::new(stream.log());
    for (records, at_once) in [(SINGLE, 1), (MANY, JOURNALS)] {
        let words = if at_once == 1 { "one at a time".to_owned() } else { format!("{at_once} at once") };
        let mut turns = Turns::new();
        for _ in 0..figures::TURNS {
            turns.take_async(RAW, publish(&context, records, at_once)).await;
            turns.take_async(LOG, append(&log, records, at_once)).await;
        }
        turns.report("records", &words);
        turns.ratio(LOG, RAW);
    }
}

async fn publish(context: &Context, records: u64, at_once: u64) -> u64 {
    let publishers = (0..at_once).map(|number| {
        let context = context.clone();
        tokio::spawn(async move {
            for _ in 0..records / at_once {
                let acknowledged =
                    context.publish(format!("raw.{number}"), Bytes::from_static(&[7; BODY])).await;
                acknowledged.expect("a server").await.expect("it is stored");
            }
        })
    });
    for publisher in join_all(publishers).await {
        publisher.expect("no publisher panics");
    }
    records / at_once * at_once
}
