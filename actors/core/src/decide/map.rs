//! Items of a map end; the map ends.

use super::Rejection;
use crate::execution::{Execution, NodeState};
use crate::map_task::MapRun;
use crate::plan::{NodeIndex, Target};
use crate::retry::{self, Next, Spent};
use skein_model::event::FinishedChunk;
use skein_model::{DataRef, Event, Failure, NodeId};

impl Execution {
    pub(super) fn decide_items(&self, node: &NodeId, chunk: &FinishedChunk) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        match &self.nodes[place] {
            NodeState::Map(map) if map.expects(chunk) => Ok(self.end_items(place, map, chunk)),
            NodeState::Map(_) | NodeState::Ended { .. } => Ok(Vec::new()),
            _ => Err(Rejection::WrongKind { node: node.clone(), expected: "a map that was started" }),
        }
    }

    fn end_items(&self, place: NodeIndex, map: &MapRun, chunk: &FinishedChunk) -> Vec<Event> {
        let attempts = self.plan.nodes[place].attempts;
        let mut chunk = chunk.clone();
        let mut again = Vec::new();
        for failed in &mut chunk.failures {
            let spent = map.troubled.get(&failed.index).map_or(Spent::default(), |item| item.spent);
            match retry::next(attempts, spent, &failed.failure, 0) {
                Next::Again(_) => again.push(failed.index),
                Next::Final(failure) => failed.failure = failure,
            }
        }
        let lost = chunk.failures.len() - again.len();
        let fatal = self.fatal_item(place, map, &chunk, &again, lost);
        let mut events = vec![Event::ItemsFinished { node: self.id_of(place), chunk, again }];
        if let Some(failure) = fatal {
            self.fail_node(place, &failure, &mut events);
        }
        events
    }

    /// Answers the failure of the whole map when too many items have failed for it to succeed.
    fn fatal_item(
        &self,
        place: NodeIndex,
        map: &MapRun,
        chunk: &FinishedChunk,
        again: &[u32],
        lost: usize,
    ) -> Option<Failure> {
        let Target::Map { min_successes, run_all, .. } = &self.plan.nodes[place].target else { return None };
        let failed = map.failed.count() as usize + lost;
        if map.size as usize - failed >= min_successes.of(map.size) as usize {
            return None;
        }
        let ended = (map.succeeded.count() + chunk.succeeded()) as usize + failed;
        if *run_all && ended < map.size as usize {
            return None;
        }
        let newly = chunk.failures.iter().find(|failed| again.binary_search(&failed.index).is_err());
        let newly = newly.map(|failed| (failed.index, &failed.failure));
        let before = map.first_failure.as_ref().map(|(index, failure)| (*index, failure));
        newly.into_iter().chain(before).min_by_key(|(index, _)| *index).map(of_item)
    }

    pub(super) fn decide_assembled(&self, node: &NodeId, outputs: &DataRef) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let mut events = Vec::new();
        if let NodeState::Map(map) = &self.nodes[place]
            && map.is_complete()
        {
            match self.failed_at_its_end(place, map) {
                Some(failure) => self.fail_node(place, &failure, &mut events),
                None => self.succeed_node(place, outputs, &mut events),
            }
        }
        Ok(events)
    }

    /// Answers the failure of a map whose items have all ended when too few succeeded: of one that runs all of them the last may
    /// be some that did not run, because their outputs were there.
    fn failed_at_its_end(&self, place: NodeIndex, map: &MapRun) -> Option<Failure> {
        let Target::Map { min_successes, .. } = &self.plan.nodes[place].target else { return None };
        if map.succeeded.count() >= min_successes.of(map.size) {
            return None;
        }
        map.first_failure.as_ref().map(|(index, failure)| of_item((*index, failure)))
    }
}

/// The failure of a map by one of its items.
fn of_item((index, failure): (u32, &Failure)) -> Failure {
    Failure { message: format!("[{index}]: {}\n", failure.message), ..failure.clone() }
}
