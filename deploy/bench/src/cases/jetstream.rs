//! Maps with the log in NATS `JetStream`: on one server, and on three of which each keeps every record.

use super::maps::{Kind, measure};
use super::{Bench, Effort};
use crate::client::Client;
use crate::encode;
use crate::figures::{Bound, Figure};
use crate::nats::Nats;
use crate::server::{How, Server};

/// How many servers keep each record, what it is called, and how many items a second must be reached.
const KINDS: [(usize, &str, f64); 2] =
    [(1, "JetStream R1 synced", 60_000.0), (3, "JetStream R3 synced", 30_000.0)];

/// Runs the plain map on servers of the bench's own; says so where there is no program for them.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let Some(program) = &bench.nats else {
        println!("  maps on JetStream are left out: there is no nats-server on the PATH; say --nats PATH");
        return Ok(Vec::new());
    };
    let counts: &[u32] = match bench.effort {
        Effort::Short => &[100_000],
        Effort::Full => &[100_000, 1_000_000],
    };
    let mut figures = Vec::new();
    for (servers, name, least) in KINDS {
        let nats = Nats::start(program, servers).await?;
        let words = ["--log", &nats.url, "--replicas", &servers.to_string()].map(str::to_owned).into();
        let server = Server::new(&How { words, ..bench.how.clone() }).await?;
        let client = Client::connect(&server.url).await?;
        for &count in counts {
            let what = format!("map of {count}, {name}");
            let kind = Kind {
                what: &what,
                workflow: "maps.ints",
                inputs: vec![("xs", encode::integers(count))],
                count,
                node: Bound::AtLeast(least),
                whole: Bound::None,
            };
            figures.extend(measure(bench, &client, kind).await?);
        }
        server.stop().await?;
        nats.stop().await?;
    }
    Ok(figures)
}
