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
