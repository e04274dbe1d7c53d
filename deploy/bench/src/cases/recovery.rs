//! A crash in the middle of a map: what runs twice, and how long it takes to go on.

use super::Bench;
use crate::client::{Client, What, now, request, seconds};
use crate::encode;
use crate::figures::{Bound, Figure};
use skein_model::literals;
use std::path::Path;
use std::time::Duration;

const COUNT: u32 = 100_000;
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What an item leaves when it runs, in bytes.
const MARK: u64 = 4;

/// Kills the server when half of a map has run, and starts it again.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut server = bench.server().await;
    let client = Client::connect(&server.url).await?;
    let undisturbed = {
        let marks = server.path("undisturbed");
        let began = now();
        let id = client.create(counted(&marks)).await?;
        seconds(client.wait(&id).await?.updated_at.as_ref()) - began
    };
    let marks = server.path("killed");
    let began = now();
    let id = client.create(counted(&marks)).await?;
    while size(&marks) < u64::from(COUNT / 2) * MARK {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    server.kill().await?;
    let killed = now();
    let ran = size(&marks) / MARK;
    server.start_again().await?;
    let client = Client::connect(&server.url).await?;
    let ended = seconds(client.wait(&id).await?.updated_at.as_ref());
    let twice = (size(&marks) / MARK).saturating_sub(u64::from(COUNT));
    let rest = undisturbed * (1.0 - (killed - began).min(undisturbed) / undisturbed);
    Ok(vec![
        Figure::new(
            format!("kill -9 after {ran} of {COUNT}: items run twice"),
            "items",
            vec![twice as f64],
            Bound::None,
        ),
        Figure::new(
            "kill -9 to result, over the undisturbed rest",
            "s",
            vec![ended - killed - rest],
            Bound::AtMost(1.5),
        ),
    ])
}

fn counted(marks: &Path) -> bytes::Bytes {
    let path = literals::encode_string(&marks.display().to_string());
    request(What::Workflow("maps.counted"), &[("xs", encode::integers(COUNT)), ("path", path)])
}

fn size(marks: &Path) -> u64 {
    std::fs::metadata(marks).map_or(0, |metadata| metadata.len())
}
