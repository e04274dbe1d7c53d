//! What an attempt and an item cost. Run with `--ignored --nocapture`; the figures are printed, not judged.

use crate::native::{items_of, of_integer};
use crate::support::{House, integers, list_of, range, simple};
use skein_idl::flyteidl::core::SimpleType;
use skein_model::work::MAP_ITEMS_MAX;
use skein_model::{Command, Isolation};
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

    items(&mut house, 2, false).await;
    items(&mut house, CHUNKS, false).await;
}

/// Two functions that do next to nothing: how long an attempt takes where one process runs one after another, and an item of a map.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures"]
async fn rust_beside_python() {
    let mut house = House::open().await;
    let numbers = list_of(simple(SimpleType::Integer));
    for round in 0..4 {
        let mut taken = Vec::new();
        for is_rust in [false, true] {
            let mut works = Vec::new();
            for x in 0..10 * ATTEMPTS {
                let mut work = if is_rust {
                    of_integer(&house, "trials.count", x.into(), numbers.clone()).await
                } else {
                    house.task("counts", x.into(), Some(simple(SimpleType::String))).await
                };
                work.isolation = Some(Isolation::Reuse);
                works.push(work);
            }
            let began = Instant::now();
            for work in works {
                house.outcome(work).await;
            }
            let attempt = began.elapsed() / (10 * ATTEMPTS);
            println!("round {round}, {}: an attempt {attempt:?}", if is_rust { "rust" } else { "python" });
            let items = items(&mut house, CHUNKS, is_rust).await;
            taken.push((attempt.as_secs_f64(), items));
        }
        let (python, rust) = (taken[0], taken[1]);
        println!(
            "an attempt takes {:.2} of python, items/s {:.2} of python",
            rust.0 / python.0,
            rust.1 / python.1
        );
    }
}

/// Answers how many items a second.
async fn items(house: &mut House, chunks: u32, is_rust: bool) -> f64 {
    let mut works = Vec::new();
    for number in 0..chunks {
        let items = range(number * CHUNK, (number + 1) * CHUNK);
        assert!(items.end < MAP_ITEMS_MAX);
        let work = if is_rust {
            items_of(house, "trials.square", items).await
        } else {
            let int = || simple(SimpleType::Integer);
            house.items("same_int", items, integers(items), Vec::new(), Some(int())).await
        };
        works.push(work);
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
    items / began.elapsed().as_secs_f64()
}
