//! Chunks that hand items back, and work that is told of before it is offered.

use crate::world::{Answer, World, chain, map};
use futures::StreamExt as _;
use skein_idl::flyteidl::core::{CompiledWorkflowClosure, Identifier, node, task_node};
use skein_model::{Event, WorkKind};

#[tokio::test]
async fn what_late_chunks_hand_back_is_cut_anew_and_every_item_has_one_outcome() {
    let world = World::start().await;
    let items: Vec<i64> = (0..500).collect();
    let id = world.create_list("map", &map(), &items).await;
    let workers = [world.work(Answer::AddOneToSome(3)), world.work(Answer::AddOne)];
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), (1..=500).collect::<Vec<i64>>())]);
    let mut done = vec![0; 500];
    for event in &events {
        let Event::ItemsFinished { chunk, again, .. } = event else { continue };
        assert!(again.is_empty() && chunk.failures.is_empty(), "nobody is charged");
        assert_eq!(chunk.attempt.0, 0, "what had not begun is still the first try");
        let is_back = |item: u32| chunk.returned.iter().any(|back| (back.start..back.end).contains(&item));
        for item in (chunk.range.start..chunk.range.end).filter(|item| !is_back(*item)) {
            done[item as usize] += 1;
        }
    }
    assert!(done.iter().all(|times| *times == 1));
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_chunk_is_offered_with_the_time_after_which_it_is_late() {
    let world = World::start().await;
    world.create_list("map", &map(), &(0..100).collect::<Vec<_>>()).await;
    let work = world.lease().await.work;
    let WorkKind::Items { within, .. } = &work.kind else { panic!("{work:?}") };
    assert_eq!(*within, Some(skein_core::chunk::LATE));
}

/// A chain whose last step is a task of its own.
fn of_two_tasks(length: usize) -> CompiledWorkflowClosure {
    let mut closure = chain(length);
    let other = Identifier { name: "other".to_owned(), version: "v".to_owned(), ..Identifier::default() };
    let mut task = closure.tasks[0].clone();
    task.template.as_mut().expect("it has one").id = Some(other.clone());
    closure.tasks.push(task);
    let template =
        closure.primary.as_mut().and_then(|primary| primary.template.as_mut()).expect("it has one");
    let last = format!("n{}", length - 1);
    let last = template.nodes.iter_mut().find(|node| node.id == last).expect("it is there");
    let Some(node::Target::TaskNode(task)) = &mut last.target else { panic!("{last:?}") };
    task.reference = Some(task_node::Reference::ReferenceId(other));
    closure
}

#[tokio::test]
async fn a_task_that_follows_on_another_is_announced_when_that_is_offered_and_is_not_offered_before_its_time()
{
    let world = World::start().await;
    let mut announced = world.announcements().await;
    world.create("chain", &of_two_tasks(3), &[("x", 1)]).await;
    let first = world.lease().await;
    assert_eq!((first.work.task.name.as_str(), first.work.id.node.as_str()), ("t", "n0"));
    assert_eq!(world.held().await.len(), 1);
    let next = {
        let first = first.clone();
        world.finish(first).await;
        announced.next().await.expect("the queue is there")
    };
    assert_eq!(
        (next.task.name.as_str(), next.id.node.as_str()),
        ("other", "n2"),
        "once n1 runs, which is a t as n0"
    );
    assert_eq!(world.held().await.len(), 1, "an announcement is no offer");
}
