//! Every instrument of the engine: name, unit, labels.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The engine's instruments. None has labels: what they count is the same for every execution.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// `skein_engine_transitions_total`: records appended by executions.
    pub transitions: Counter,
    /// `skein_engine_events_total`: events in those records.
    pub events: Counter,
    /// `skein_engine_commands_without_effect_total`: commands that changed nothing: repeated, late, or refused.
    pub commands_without_effect: Counter,
    /// `skein_engine_items_total`: items of maps that ended.
    pub items: Counter,
    /// `skein_engine_executions_active`: executions that have actors.
    pub executions_active: Gauge,
    /// `skein_engine_actor_failures_total`: actors that ended with an error and were started again.
    pub actor_failures: Counter,
    /// `skein_engine_ticks_total`: times of schedules for which an execution was started.
    pub ticks: Counter,
    /// `skein_engine_ticks_refused_total`: times of schedules whose execution cannot be started.
    pub ticks_refused: Counter,
    /// `skein_engine_ticks_skipped_total`: times of schedules that were missed and left out, as far as they are counted.
    pub ticks_skipped: Counter,
    /// `skein_engine_replays_that_differ_total`: executions whose journal, read again at their end, gave another state.
    /// Only debug builds look.
    pub replays_that_differ: Counter,
    /// `skein_engine_notices_sent_total`: notices of ends that were taken.
    pub notices_sent: Counter,
    /// `skein_engine_notices_dead_total`: notices of ends that were given up.
    pub notices_dead: Counter,
}

impl Metrics {
    /// Makes the instruments known to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let mut count = |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        count("skein_engine_transitions", "Records appended by executions", &self.transitions);
        count("skein_engine_events", "Events in those records", &self.events);
        count(
            "skein_engine_commands_without_effect",
            "Commands that changed nothing: repeated, late, or refused",
            &self.commands_without_effect,
        );
        count("skein_engine_items", "Items of maps that ended", &self.items);
        count(
            "skein_engine_actor_failures",
            "Actors that failed and were started again",
            &self.actor_failures,
        );
        count("skein_engine_ticks", "Times of schedules for which an execution was started", &self.ticks);
        count(
            "skein_engine_ticks_refused",
            "Times of schedules whose execution cannot be started",
            &self.ticks_refused,
        );
        count(
            "skein_engine_ticks_skipped",
            "Times of schedules that were missed and left out",
            &self.ticks_skipped,
        );
        count(
            "skein_engine_replays_that_differ",
            "Executions whose journal gave another state than they had (looked for in debug builds)",
            &self.replays_that_differ,
        );
        count("skein_engine_notices_sent", "Notices of ends that were taken", &self.notices_sent);
        count("skein_engine_notices_dead", "Notices of ends that were given up", &self.notices_dead);
        registry.register(
            "skein_engine_executions_active",
            "Executions that have actors",
            self.executions_active.clone(),
        );
    }
}
