//! The cache answers.

use super::Rejection;
use crate::execution::{Caching, Execution, NodeState};
use skein_model::cache::CacheFound;
use skein_model::event::CachedItems;
use skein_model::{Attempt, CacheKey, Event, NodeId};

impl Execution {
    pub(super) fn decide_looked_up(
        &self,
        node: &NodeId,
        key: Option<CacheKey>,
        found: &CacheFound,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let NodeState::Task(run) = &self.nodes[place] else { return Ok(Vec::new()) };
        let is_news = match run.caching {
            Caching::Asked => true,
            Caching::Waiting => !matches!(found, CacheFound::Waiting { .. }),
            Caching::Off | Caching::Running { .. } | Caching::Storing { .. } => false,
        };
        if !is_news {
            return Ok(Vec::new());
        }
        let mut events = vec![Event::CacheLookedUp { node: node.clone(), key, found: found.clone() }];
        match found {
            CacheFound::Hit { outputs, .. } => self.succeed_node(place, outputs, &mut events),
            CacheFound::Waiting { .. } => {}
            CacheFound::Missing { .. } | CacheFound::Skipped { .. } | CacheFound::Failed { .. } => {
                let (node, attempt) = (node.clone(), Attempt(0));
                events.push(Event::AttemptQueued { node, attempt, not_before: None });
            }
        }
        Ok(events)
    }

    pub(super) fn decide_stored(
        &self,
        node: &NodeId,
        failure: Option<&str>,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let Some(Caching::Storing { outputs, .. }) = self.nodes[place].caching() else {
            return Ok(Vec::new());
        };
        let failure = failure.map(str::to_owned);
        let mut events = vec![Event::CacheStored { node: node.clone(), failure }];
        self.succeed_node(place, outputs, &mut events);
        Ok(events)
    }

    pub(super) fn decide_cached(&self, node: &NodeId, items: &CachedItems) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        match &self.nodes[place] {
            NodeState::Map(map) if map.expects_cached(items) => {
                Ok(vec![Event::ItemsCached { node: node.clone(), items: items.clone() }])
            }
            NodeState::Map(_) | NodeState::Ended { .. } => Ok(Vec::new()),
            _ => Err(Rejection::WrongKind { node: node.clone(), expected: "a map that was started" }),
        }
    }
}
