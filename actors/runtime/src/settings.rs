//! What counts for a node's task: what the task says, and what the server's rules say where it does not.

use crate::config::Config;
use skein_core::{NodeIndex, Plan};
use skein_model::event::Created;
use skein_model::{Actor, ExecutionId, Isolation, TaskResources, TaskSettings};

/// Answers the settings of the task of the node at `place`, run in `execution`. Whatever is asked of the world for the node
/// goes by these; what is recorded does not, so that other rules after a restart change nothing that has happened.
pub(crate) fn settings_of(
    config: &Config,
    plan: &Plan,
    place: NodeIndex,
    execution: &ExecutionId,
) -> TaskSettings {
    let node = &plan.nodes[place];
    let task = plan.template(place).id.as_ref().map_or("", |id| id.name.as_str());
    let mut settings = config.rules.resolve(execution, task, &node.settings);
    if node.actor.is_some() {
        // What shares the processes of an environment does so by its type, whatever a rule says of tasks.
        settings.isolation = Some(Isolation::Reuse);
        settings.pool_size = None;
    }
    settings
}

/// Answers the actor environment of the node at `place`, if it has one, as it is for `execution`.
pub(crate) fn actor_of(plan: &Plan, place: NodeIndex, execution: &ExecutionId) -> Option<Actor> {
    plan.nodes[place].actor.as_ref().map(|actor| actor.within(execution))
}

/// Answers what the node at `place` asks for of a machine, with what its project and domain said when the execution began.
pub(crate) fn resources_of(plan: &Plan, place: NodeIndex, created: &Created) -> TaskResources {
    let asked = &plan.nodes[place].resources;
    // It was within when it was launched; of an execution that was launched before anybody looked, what it asks for counts.
    asked.within(&created.settings.quota).unwrap_or_else(|_| asked.clone())
}
