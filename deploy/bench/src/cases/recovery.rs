//! A crash in the middle of a map: what runs twice, and how long it takes to go on.

use super::Bench;
use crate::client::{Client, What, now, request, seconds};
use crate::encode;
use crate::figures::{Bound, Figure};
use crate::server::Chunk;
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
    let before = read(&marks)?;
    server.start_again().await?;
    let client = Client::connect(&server.url).await?;
    let ended = seconds(client.wait(&id).await?.updated_at.as_ref());
    let all = read(&marks)?;
    let twice = all.len().saturating_sub(COUNT as usize);
    let recorded: Vec<Chunk> =
        server.chunks(&id.name).await?.into_iter().filter(|chunk| chunk.recorded < killed).collect();
    anyhow::ensure!(!recorded.is_empty(), "half of the map has run, and no chunk of it is recorded");
    let slots = std::thread::available_parallelism()?.get() as f64;
    let rest = undisturbed * (1.0 - (killed - began).min(undisturbed) / undisturbed);
    Ok(vec![
        Figure::new(
            format!("kill -9 after {} of {COUNT}: items run twice", before.len()),
            "items",
            vec![twice as f64],
            Bound::None,
        ),
        Figure::new(
            "kill -9: chunks that had begun and were not recorded",
            "a worker",
            vec![f64::from(chunks_out(&before, &recorded)) / slots],
            Bound::AtMost(2.0),
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

/// Lists the items that have run, in that order.
fn read(marks: &Path) -> anyhow::Result<Vec<u32>> {
    let bytes = std::fs::read(marks)?;
    Ok(bytes.as_chunks().0.iter().map(|mark| u32::from_le_bytes(*mark)).collect())
}

/// Answers how many chunks had begun and were not recorded: those that the items without a record make up, none of them
/// larger than the largest that was recorded.
fn chunks_out(ran: &[u32], recorded: &[Chunk]) -> u32 {
    let is_recorded = |item: u32| recorded.iter().any(|chunk| (chunk.start..chunk.end).contains(&item));
    let largest = recorded.iter().map(|chunk| chunk.end - chunk.start).max().unwrap_or(1);
    let mut out: Vec<u32> = ran.iter().copied().filter(|item| !is_recorded(*item)).collect();
    out.sort_unstable();
    out.dedup();
    out.chunk_by(|one, next| one + 1 == *next)
        .map(|run| u32::try_from(run.len()).unwrap_or(u32::MAX).div_ceil(largest))
        .sum()
}

fn size(marks: &Path) -> u64 {
    std::fs::metadata(marks).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn chunk(start: u32, end: u32) -> Chunk {
        Chunk { start, end, recorded: 0.0 }
    }

    #[test]
    fn items_without_a_record_make_up_chunks_no_larger_than_the_largest_recorded() {
        let recorded = [chunk(0, 10), chunk(20, 30)];
        let ran: Vec<u32> = (0..25).chain(30..52).collect();
        assert_eq!(chunks_out(&ran, &recorded), 1 + 3, "10 to 20; 30 to 52");
        assert_eq!(chunks_out(&[], &[]), 0);
    }
}
