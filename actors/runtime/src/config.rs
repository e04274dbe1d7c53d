//! What the engine can be told.

use crate::notify::Notify;
use skein_log::TaskQueue;
use skein_model::{ExecutionRules, Gpu, Offer, PoolId, ServedTypes, TaskRules};
use std::sync::Arc;
use std::time::Duration;

/// A pool whose workers can be taken away at any moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptiblePool {
    /// The pool.
    pub pool: PoolId,
    /// How long an attempt waits there for a worker before it is asked for on demand, in [`Config::pool`]; none is for as long
    /// as it takes. Items of a map wait without limit.
    pub wait_max: Option<Duration>,
}

/// Settings of one engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The pool that work is offered to. Default: `default`, the workers of this machine.
    pub pool: PoolId,
    /// How many chunks of one map are on offer or being run at once, at least 1. Default: twice the number of cores,
    /// so that a worker that ends one finds the next.
    pub chunks_on_offer: u32,
    /// How many attempts and chunks are with workers or on offer to them at once, at least 1. Default: four times the
    /// number of cores. More keeps more workers busy; less lets what comes later and goes first go first.
    pub handed_out_max: usize,
    /// How many executions have actors at once, at least 1. Default: 10 000 (some 100 MB); the others wait in the log.
    pub executions_max: usize,
    /// How many commands are under way inside the engine at once, at least 1. Default: 1 024: the inbox holds the rest,
    /// and its senders wait.
    pub commands_max: usize,
    /// Outputs of a map that have more bytes in all are put together piece by piece and never held whole. Default: 16 MiB.
    pub outputs_at_once_max: u64,
    /// How long the reservation of a key of the cache counts without being renewed; it is renewed three times as often.
    /// Default: 30 s. Longer makes others wait longer for somebody who died; shorter writes more.
    pub reservation: Duration,
    /// The wait before an execution whose actor failed is taken up again; doubles each time. Default: 100 ms.
    pub restart_first: Duration,
    /// The longest such wait. Default: 30 s.
    pub restart_max: Duration,
    /// What this server says of tasks that do not say it themselves. Default: nothing. May be others at each start.
    pub rules: TaskRules,
    /// What this server says of executions. Default: nothing. May be others at each start.
    pub execution_rules: ExecutionRules,
    /// Where attempts run that may be interrupted. Default: none, and then they run as all others do.
    pub interruptible: Option<InterruptiblePool>,
    /// The accelerators of the machine that attempts can be given, of which no more are handed out than there are. Default:
    /// none, and then they are not counted here.
    pub gpus: Vec<Gpu>,
    /// What the machine has that runs attempts: what asks for more is not launched. None when that is not known here. Default:
    /// none.
    pub offer: Option<Offer>,
    /// How many nodes of an execution that the engine launches may run at once when neither its parent nor its launch plan
    /// says. Default 25, as the original has it; 0 is no limit.
    pub max_parallelism: u32,
    /// Where tasks go that connectors do. Default: nowhere, and then such tasks fail.
    pub connectors: Option<ToConnectors>,
    /// Who is told of ends, and how. Default: whoever an execution names, and by no way.
    pub notify: Notify,
}

/// The way to connectors.
#[derive(Clone)]
pub struct ToConnectors {
    /// Takes their work. What is there before the engine starts is not asked after: it has to be empty then.
    pub queue: Arc<dyn TaskQueue>,
    /// Which task types they do.
    pub served: ServedTypes,
    /// How many jobs are out at once, at least 1; the others wait here.
    pub jobs_max: usize,
}

impl std::fmt::Debug for ToConnectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToConnectors")
            .field("served", &self.served)
            .field("jobs_max", &self.jobs_max)
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            pool: PoolId("default".to_owned()),
            chunks_on_offer: u32::try_from(cores).unwrap_or(2).saturating_mul(2),
            handed_out_max: cores.saturating_mul(4),
            executions_max: 10_000,
            commands_max: 1_024,
            outputs_at_once_max: 16 * 1024 * 1024,
            reservation: Duration::from_secs(30),
            restart_first: Duration::from_millis(100),
            restart_max: Duration::from_secs(30),
            rules: TaskRules::default(),
            execution_rules: ExecutionRules::default(),
            interruptible: None,
            gpus: Vec::new(),
            offer: None,
            max_parallelism: skein_model::launch::MAX_PARALLELISM,
            connectors: None,
            notify: Notify::default(),
        }
    }
}

impl Config {
    /// Answers the pools that some work is offered to, beside the one that all other is.
    pub(crate) fn other_pools(&self) -> Vec<PoolId> {
        self.interruptible.iter().map(|of| of.pool.clone()).collect()
    }
}
