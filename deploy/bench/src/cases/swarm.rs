//! Many small executions: how many a second, and how long one takes, alone and beside a large map.

use super::{Bench, Effort};
use crate::client::{Client, Id, What, now, request, seconds};
use crate::encode;
use crate::figures::{Bound, Figure, percentile};
use futures::future::try_join_all;
use skein_model::literals;
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
/// How many executions one client lets run before it looks at them.
const WINDOW: usize = 64;
const ALONE: usize = 200;
const LOOK_EVERY: Duration = Duration::from_millis(1);
const WARM_UP: usize = 50;

/// Measures the rate, then the latency.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let client = bench.client().await?;
    for _ in 0..WARM_UP {
        one(&client).await?;
    }
    let mut figures = vec![rate(bench).await?];
    let idle = latencies(&client, ALONE).await?;
    figures.extend(pair("one execution, idle", &idle, 5.0, 15.0));
    let count = if bench.effort == Effort::Full { 1_000_000 } else { 300_000 };
    let map = client.create(request(What::Workflow("maps.ints"), &[("xs", encode::integers(count))])).await?;
    let mut beside = Vec::new();
    // As long as the map runs, and not a moment longer.
    while client.closure(&map).await?.phase()
        != skein_idl::flyteidl::core::workflow_execution::Phase::Succeeded
    {
        beside.extend(latencies(&client, 5).await?);
    }
    figures.extend(pair(&format!("one execution beside a map of {count}"), &beside, 15.0, 60.0));
    Ok(figures)
}

fn pair(what: &str, values: &[f64], p50: f64, p99: f64) -> [Figure; 2] {
    let figure = |percent, most| {
        let what = format!("{what}, p{percent} of {}", values.len());
        Figure::new(what, "ms", vec![percentile(values, percent)], Bound::AtMost(most))
    };
    [figure(50, p50), figure(99, p99)]
}

async fn create(client: &Client) -> anyhow::Result<Id> {
    client
        .create(request(What::Task("swarm.add_one_reused"), &[("value", literals::encode_integer(1))]))
        .await
}

/// Runs one execution; answers what it took from before its creation to its end, in milliseconds.
async fn one(client: &Client) -> anyhow::Result<f64> {
    let began = now();
    let id = create(client).await?;
    let closure = client.wait_looking(&id, LOOK_EVERY).await?;
    Ok((seconds(closure.updated_at.as_ref()) - began) * 1_000.0)
}

async fn latencies(client: &Client, count: usize) -> anyhow::Result<Vec<f64>> {
    let mut taken = Vec::with_capacity(count);
    for _ in 0..count {
        taken.push(one(client).await?);
    }
    Ok(taken)
}

async fn rate(bench: &Bench) -> anyhow::Result<Figure> {
    let lasts = Duration::from_secs(if bench.effort == Effort::Full { 60 } else { 10 });
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(tokio::spawn(creator(bench.client().await?, began + lasts)));
    }
    let mut ended = 0;
    for done in try_join_all(clients).await? {
        ended += done?;
    }
    let rate = f64::from(ended) / began.elapsed().as_secs_f64();
    let what = format!("single executions, {CLIENTS} clients, {} s", lasts.as_secs());
    Ok(Figure::new(what, "a second", vec![rate], Bound::AtLeast(1_500.0)))
}

/// Creates executions until `until`, no more at once than its window; answers how many have ended.
async fn creator(client: Client, until: Instant) -> anyhow::Result<u32> {
    let mut ended = 0;
    while Instant::now() < until {
        let mut window = Vec::with_capacity(WINDOW);
        for _ in 0..WINDOW {
            window.push(create(&client).await?);
        }
        // They end in about the order of their creation: most are found ended at the first look.
        for id in window.iter().rev() {
            client.wait_looking(id, LOOK_EVERY * 5).await?;
            ended += 1;
        }
    }
    Ok(ended)
}
