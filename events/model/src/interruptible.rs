//! Which tries of a task may run on capacity that can be taken away (contract 6.1 and 7.4).

use crate::ids::Attempt;
use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::core::{self, node_metadata, task_metadata};

/// What a node, its task and its workflow say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruptible {
    /// What the node says, or its task when the node says nothing; none when neither does.
    pub own: Option<bool>,
    /// What the workflow says of all tasks that say nothing.
    pub of_workflow: bool,
    /// How many tries run on such capacity before one runs on demand: the task's retries, and one where it has none.
    pub tries: u32,
}

impl Interruptible {
    /// Reads it. `retries` is how often the task may be tried again.
    pub fn of(
        metadata: Option<&core::NodeMetadata>,
        task: &core::TaskTemplate,
        workflow: Option<&core::WorkflowMetadataDefaults>,
        retries: u32,
    ) -> Self {
        let of_node = metadata.and_then(|metadata| metadata.interruptible_value.as_ref());
        let of_node = of_node.map(|node_metadata::InterruptibleValue::Interruptible(is)| *is);
        let of_task = task.metadata.as_ref().and_then(|metadata| metadata.interruptible_value.as_ref());
        let of_task = of_task.map(|task_metadata::InterruptibleValue::Interruptible(is)| *is);
        Self {
            own: of_node.or(of_task),
            of_workflow: workflow.is_some_and(|defaults| defaults.interruptible),
            tries: retries.max(1),
        }
    }

    /// Says whether a try may run on such capacity. `launched` is what the launch said, which overrides the workflow and not
    /// the task.
    pub fn is(&self, launched: Option<bool>, attempt: Attempt) -> bool {
        self.own.or(launched).unwrap_or(self.of_workflow) && attempt.0 < self.tries
    }
}

/// Answers how often a task may be tried again for reasons of its own. The node's own number counts when it is not 0: the SDK
/// sends 0 where nobody set one (contract 0.9).
pub fn retries(metadata: Option<&core::NodeMetadata>, task: &core::TaskTemplate) -> u32 {
    let of_node =
        metadata.and_then(|metadata| metadata.retries.as_ref()).map_or(0, |retries| retries.retries);
    let of_task = task.metadata.as_ref().and_then(|metadata| metadata.retries.as_ref());
    if of_node > 0 { of_node } else { of_task.map_or(0, |retries| retries.retries) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(own: Option<bool>, of_workflow: bool, retries: u32) -> Interruptible {
        let task = core::TaskTemplate {
            metadata: Some(core::TaskMetadata {
                interruptible_value: own.map(task_metadata::InterruptibleValue::Interruptible),
                ..Default::default()
            }),
            ..Default::default()
        };
        let defaults = core::WorkflowMetadataDefaults { interruptible: of_workflow };
        Interruptible::of(None, &task, Some(&defaults), retries)
    }

    fn tries(of: Interruptible, launched: Option<bool>) -> Vec<bool> {
        (0..4).map(|attempt| of.is(launched, Attempt(attempt))).collect()
    }

    #[test]
    fn a_task_with_n_retries_has_n_such_tries_and_then_one_on_demand() {
        assert_eq!(tries(of(Some(true), false, 2), None), [true, true, false, false]);
    }

    #[test]
    fn without_retries_there_is_one_such_try() {
        assert_eq!(tries(of(Some(true), false, 0), None), [true, false, false, false]);
    }

    #[test]
    fn a_task_that_says_nothing_does_as_the_launch_says_and_then_as_its_workflow_says() {
        assert!(of(None, true, 0).is(None, Attempt(0)));
        assert!(!of(None, true, 0).is(Some(false), Attempt(0)));
        assert!(of(None, false, 0).is(Some(true), Attempt(0)));
        assert!(!of(None, false, 0).is(None, Attempt(0)));
    }

    #[test]
    fn what_the_task_says_counts_most() {
        assert!(!of(Some(false), true, 0).is(Some(true), Attempt(0)));
        assert!(of(Some(true), false, 0).is(Some(false), Attempt(0)));
    }

    #[test]
    fn what_the_node_overrides_counts_before_its_task() {
        let metadata = core::NodeMetadata {
            interruptible_value: Some(node_metadata::InterruptibleValue::Interruptible(false)),
            ..Default::default()
        };
        let task = core::TaskTemplate {
            metadata: Some(core::TaskMetadata {
                interruptible_value: Some(task_metadata::InterruptibleValue::Interruptible(true)),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert!(!Interruptible::of(Some(&metadata), &task, None, 0).is(None, Attempt(0)));
    }
}
