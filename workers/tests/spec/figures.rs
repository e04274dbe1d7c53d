//! What an attempt and an item cost. Run with `--ignored --nocapture`; the figures are printed, not judged.

use crate::support::{House, integers, range, simple};
use skein_idl::flyteidl::core::SimpleType;
use skein_model::Command;
use skein_model::work::MAP_ITEMS_MAX;
use std::time::Instant;

const ATTEMPTS: u32 = 60;
const CHUNKS: u32 = 20;
const CHUNK: u32 = 5_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn figures() {
    let mut house = House::open().await;
    let mut works = Vec::new();
    for _ in 0..=2 * ATTEMPTS {
        works.push(house.task("double", 1, Some(simple(SimpleType::Integer))).await);
    }
    let mut works = works.into_iter();
    let began = Instant::now();
    house.outcome(works.next().unwrap()).await;
    println!("first attempt, interpreter started: {:?}", began.elapsed());

    let began = Instant::now();
    for work in works.by_ref().take(ATTEMPTS as usize) {
        house.outcome(work).await;
    }
    println!("attempt, one after another: {:?}", began.elapsed() / ATTEMPTS);

    let began = Instant::now();
    for work in works {
        house.offer(work).await;
    }
    let mut done = 0;
    while done < ATTEMPTS {
        done += u32::from(matches!(house.next().await, Command::AttemptFinished { .. }));
    }
    println!("attempts, two at once: {:.0}/s", f64::from(ATTEMPTS) / began.elapsed().as_secs_f64());

    items(&mut house, 2).await;
    items(&mut house, CHUNKS).await;
}

async fn items(house: &mut House, chunks: u32) {
    let mut works = Vec::new();
    for number in 0..chunks {
        let items = range(number * CHUNK, (number + 1) * CHUNK);
        assert!(items.end < MAP_ITEMS_MAX);
        works.push(
            house
                .items("is_even", items, integers(items), Vec::new(), Some(simple(SimpleType::Boolean)))
                .await,
        );
    }
    let began = Instant::now();
    for work in works {
        house.offer(work).await;
    }
    let mut micros = 0;
    for _ in 0..chunks {
        let Command::ItemsFinished { chunk, .. } = house.next().await else { panic!("not a chunk") };
        assert_eq!(chunk.failures, []);
        micros += chunk.micros;
    }
    let items = f64::from(chunks * CHUNK);
    println!(
        "{items} items in chunks of {CHUNK}: {:.0}/s; in user code {:.2} us an item",
        items / began.elapsed().as_secs_f64(),
        micros as f64 / items
    );
}
