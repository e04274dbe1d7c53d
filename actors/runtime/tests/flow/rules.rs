//! What a server says of tasks takes effect on what is asked of workers, and on nothing that is recorded.

use crate::world::{Answer, World, chain, map};
use skein_model::task_settings::Given;
use skein_model::{Event, Isolation, Life, TaskRule, TaskRules};

fn rules(settings: &[(&str, Given)]) -> TaskRules {
    let given = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    TaskRules::new(vec![TaskRule::read(&given).expect("a good rule")])
}

fn text(text: &str) -> Given {
    Given::Text(text.to_owned())
}

#[tokio::test]
async fn work_is_made_by_the_rules_that_match_and_other_rules_after_a_restart_are_harmless() {
    let world = World::start().await;
    let id = world.create("chain", &chain(2), &[("x", 1)]).await;
    assert_eq!(world.lease().await.work.isolation, None);
    let world = world
        .restart_with(rules(&[
            ("name", text("t")),
            ("domain", text("d")),
            ("isolation", text("reuse")),
            ("pool_size", Given::Number(2.0)),
            ("process_attempts_max", Given::Number(7.0)),
        ]))
        .await;
    let work = world.lease().await.work;
    assert_eq!(work.isolation, Some(Isolation::Reuse));
    assert_eq!(work.life, Life { attempts_max: Some(7), ..Life::default() });
    assert_eq!(work.processes_max, Some(2));
    let world =
        world.restart_with(rules(&[("project", text("elsewhere")), ("isolation", text("fresh"))])).await;
    assert_eq!(world.lease().await.work.isolation, None);
    let world = world.restart().await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), vec![3])]);
    worker.abort();
}

#[tokio::test]
async fn the_chunks_of_a_map_are_cut_by_the_rules() {
    let world = World::start().await;
    let world = world.restart_with(rules(&[("chunk_items_max", Given::Number(5.0))])).await;
    let items: Vec<i64> = (0..100).collect();
    let id = world.create_list("map", &map(), &items).await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    let chunks: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::ItemsFinished { chunk, .. } => Some(chunk.range.len()),
            _ => None,
        })
        .collect();
    assert!(chunks.iter().all(|items| *items <= 5), "{chunks:?}");
    assert_eq!(chunks.iter().sum::<u32>(), 100);
    worker.abort();
}
