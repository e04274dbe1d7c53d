//! Rings when something of an execution has taken as long as it may.

use crate::execution::Msg;
use crate::ports::Ports;
use crate::settings::settings_of;
use ractor::ActorRef;
use skein_core::{Clocks, Execution, Limits, NodeLimits};
use skein_model::runnable::is_runnable;
use skein_model::{Command, Event, Timestamp};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The clocks of one execution, and what waits for the next of them to ring. Gone, nothing rings any more.
pub(crate) struct Alarm {
    clocks: Clocks,
    set: Option<(Timestamp, AbortHandle)>,
}

impl Alarm {
    /// Answers the alarm of an execution whose creation is known; none when nothing of it is limited.
    pub(crate) fn of(ports: &Ports, execution: &Execution) -> Option<Self> {
        let is_timed = execution.plan().is_timed();
        let limits = limits(ports, execution).or_else(|| is_timed.then(Limits::default))?;
        (is_timed || !limits.are_none()).then(|| Self { clocks: Clocks::new(limits), set: None })
    }

    /// Takes the limits of nodes that a task made.
    pub(crate) fn limit(&mut self, ports: &Ports, execution: &Execution) {
        if let Some(limits) = limits(ports, execution) {
            self.clocks.limit(limits);
        }
    }

    /// Takes what has happened next, at `at`.
    pub(crate) fn note(&mut self, execution: &Execution, event: &Event, at: Timestamp) {
        self.clocks.note(execution, event, at);
    }

    /// Goes on at `now` with what a journal told.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.clocks.resume(now);
    }

    /// Has `to` told when the next clock rings.
    pub(crate) fn set(&mut self, now: Timestamp, to: &ActorRef<Msg>) {
        let next = self.clocks.next();
        if self.set.as_ref().map(|(rings, _)| *rings) == next {
            return;
        }
        self.cancel();
        let Some(rings) = next else { return };
        let (to, wait) = (to.clone(), rings.since(now));
        let waiting = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // An actor that has ended needs no alarm.
            drop(to.cast(Msg::Rung));
        });
        self.set = Some((rings, waiting.abort_handle()));
    }

    /// Answers what is to be decided by `now`.
    pub(crate) fn take_rung(&mut self, now: Timestamp) -> Vec<Command> {
        self.cancel();
        self.clocks.take_rung(now)
    }

    fn cancel(&mut self) {
        if let Some((_, waiting)) = self.set.take() {
            waiting.abort();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Answers how long an execution and its nodes may take; none before its creation is known, and where nobody limits anything.
fn limits(ports: &Ports, execution: &Execution) -> Option<Limits> {
    let (config, plan, created) = (&ports.config, execution.plan(), execution.created()?);
    let of_execution = config.execution_rules.time_max(&created.execution, &created.workflow.name);
    let wait_max = config.interruptible.as_ref().and_then(|of| of.wait_max);
    let are_timed = config.rules.are_timed() || plan.nodes.iter().any(|node| node.settings.is_timed());
    if !are_timed && wait_max.is_none() {
        return of_execution.map(|limit| Limits { execution: Some(limit), nodes: Vec::new() });
    }
    let seconds = |seconds: Option<u32>| seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let of_node = |place| {
        let settings = settings_of(config, plan, place, &created.execution);
        NodeLimits {
            queued: seconds(settings.queued_seconds_max),
            // A connector knows no such capacity.
            interruptible: wait_max.filter(|_| is_runnable(plan.template(place))),
            node: seconds(settings.node_seconds_max),
        }
    };
    Some(Limits { execution: of_execution, nodes: (0..plan.nodes.len()).map(of_node).collect() })
}
