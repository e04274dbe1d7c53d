//! Executions that wait for nothing but a clock: a name and a time each, and one timer for all.

use crate::engine::Msg;
use ractor::ActorRef;
use skein_model::{ExecutionId, Timestamp};
use std::collections::BTreeSet;
use tokio::task::AbortHandle;

/// What rests, by when it wakes.
#[derive(Debug, Default)]
pub(crate) struct Resting {
    order: BTreeSet<(Timestamp, ExecutionId)>,
    set: Option<(Timestamp, AbortHandle)>,
}

impl Resting {
    /// Adds an execution that wakes at `wakes`, unless it is woken before: then waking it again does nothing.
    pub(crate) fn insert(&mut self, wakes: Timestamp, id: ExecutionId) {
        self.order.insert((wakes, id));
    }

    /// Takes out what wakes by `now`.
    pub(crate) fn take_rung(&mut self, now: Timestamp) -> Vec<ExecutionId> {
        // The timer that is set has rung, or is as good as that.
        self.cancel();
        let mut rung = Vec::new();
        while self.order.first().is_some_and(|(wakes, _)| *wakes <= now)
            && let Some((_, id)) = self.order.pop_first()
        {
            rung.push(id);
        }
        rung
    }

    /// Has `engine` told when the next one wakes.
    pub(crate) fn set(&mut self, now: Timestamp, engine: &ActorRef<Msg>) {
        let next = self.order.first().map(|(wakes, _)| *wakes);
        if self.set.as_ref().map(|(wakes, _)| *wakes) == next {
            return;
        }
        self.cancel();
        let Some(wakes) = next else { return };
        let (engine, wait) = (engine.clone(), wakes.since(now));
        let waiting = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // An engine that has stopped wakes nobody.
            drop(engine.cast(Msg::Wake));
        });
        self.set = Some((wakes, waiting.abort_handle()));
    }

    fn cancel(&mut self) {
        if let Some((_, waiting)) = self.set.take() {
            waiting.abort();
        }
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ExecutionId {
        ExecutionId { project: "p".to_owned(), domain: "d".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn what_rests_is_woken_when_its_time_has_come_and_once() {
        let mut resting = Resting::default();
        let at = Timestamp::from_micros;
        resting.insert(at(20), named("b"));
        resting.insert(at(10), named("a"));
        resting.insert(at(30), named("c"));
        assert_eq!(resting.take_rung(at(9)), []);
        assert_eq!(resting.take_rung(at(20)), [named("a"), named("b")]);
        assert_eq!(resting.take_rung(at(20)), []);
    }
}
