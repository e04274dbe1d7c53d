//! How many tasks of an actor environment are with workers at once.

use skein_core::schedule::Limit;
use skein_model::Actor;

/// How many tasks of one environment may be handed out that no process is free for. More would take the room from the work of
/// others, which could run.
const BACKLOG_MAX: u32 = 4;

/// Answers the limit that an environment puts on what is handed out: all its tasks count together, of whichever execution.
pub(super) fn limit(actor: &Actor) -> Limit {
    let most = actor.slots.max(1).saturating_add(actor.backlog.min(BACKLOG_MAX));
    Limit { key: format!("actor {}", actor.environment), most, takes: 1 }
}

#[cfg(test)]
mod tests {
    use super::super::Dispatch;
    use skein_log::TaskQueue as _;
    use skein_log::conformance::task_queue::work;
    use skein_log::memory::MemoryQueue;
    use skein_model::{Actor, PoolId, TaskSettings, Work};
    use std::sync::Arc;
    use std::time::Duration;

    fn of(version: &str, slots: u32, backlog: u32) -> Option<Actor> {
        let environment = format!("p/d/env/{version}");
        Some(Actor { environment, image: String::new(), slots, backlog, ttl: Duration::from_secs(90) })
    }

    #[tokio::test]
    async fn no_more_of_an_environment_is_handed_out_than_it_has_room_for_in_whichever_execution() {
        let pool = PoolId("p".to_owned());
        for (slots, backlog, most) in [(1, 0, 1), (2, 1, 3), (1, 100, 5)] {
            let queue = Arc::new(MemoryQueue::new(Duration::from_secs(60)));
            let dispatch = Arc::new(Dispatch::new(queue.clone(), pool.clone(), 100));
            for execution in 0..10 {
                let actor = of("1", slots, backlog);
                let work = Work { actor, ..work(&pool, &format!("e{execution}"), "n", 0) };
                dispatch.offer(work, &TaskSettings::default(), 1).await;
            }
            assert_eq!(queue.waiting(&pool).await.expect("it says"), most);
            let work = Work { actor: of("2", 1, 0), ..work(&pool, "another", "n", 0) };
            dispatch.offer(work, &TaskSettings::default(), 1).await;
            assert_eq!(queue.waiting(&pool).await.expect("it says"), most + 1, "another has room of its own");
        }
    }

    #[tokio::test]
    async fn what_workers_have_from_before_counts_too() {
        let pool = PoolId("p".to_owned());
        let queue = Arc::new(MemoryQueue::new(Duration::from_secs(60)));
        let settings = TaskSettings::default();
        let before = Arc::new(Dispatch::new(queue.clone(), pool.clone(), 8));
        let first = Work { actor: of("1", 1, 0), ..work(&pool, "e", "n", 0) };
        before.offer(first.clone(), &settings, 1).await;
        let after = Arc::new(Dispatch::new(queue.clone(), pool.clone(), 8));
        after.find(&[first.id.execution.clone()].into()).await.expect("it says");
        assert!(after.adopt(&first.id, &first.task.name, (&settings, first.actor.as_ref()), 1));
        after.offer(Work { actor: of("1", 1, 0), ..work(&pool, "f", "n", 0) }, &settings, 1).await;
        assert_eq!(after.waiting(), 1);
        after.ended(&first.id, None).await;
        assert_eq!(after.waiting(), 0);
    }
}
