//! One slot: leases work, runs it, reports, and begins again.

use crate::ahead;
use crate::attempt::{self, Ended};
use crate::chunk::{self, Range};
use crate::gpus;
use crate::leases::{Held, Ready};
use crate::machine::Machine;
use crate::report;
use crate::stop::{Stop, Stopping};
use crate::usage::{Kept, Watched};
use skein_log::{Inbox, Lease, TaskQueue};
use skein_model::command::Began;
use skein_model::event::FinishedChunk;
use skein_model::work::WorkKind;
use skein_model::{Command, Used, Work};
use skein_telemetry::trace;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

/// How many reports may be on their way while the slot goes on. More would let work pile up that nobody has heard of.
const REPORTS_MAX: usize = 2;
/// How long an attempt runs before its start is told on its own.
const START_TOLD_AFTER: Duration = Duration::from_millis(20);
/// How long a slot waits before it asks a queue again that could not be reached.
const QUEUE_DELAY: Duration = Duration::from_millis(500);

/// How far the worker is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes work.
    Open,
    /// It finishes what it has.
    Closing,
    /// It gives back what it has.
    Closed,
}

/// One slot.
pub(crate) struct Slot {
    pub machine: Arc<Machine>,
    pub queue: Arc<dyn TaskQueue>,
    pub inbox: Arc<dyn Inbox>,
    /// The name under which it leases.
    pub worker: String,
    pub phase: watch::Receiver<Phase>,
}

impl Slot {
    /// Works until the worker closes, and until what it did is reported.
    pub(crate) async fn run(mut self) {
        let mut helpers = JoinSet::new();
        helpers.spawn(self.heed_withdrawals());
        helpers.spawn(self.heed_closing());
        let mut reports = JoinSet::new();
        while let Some(ready) = self.next().await {
            self.work(ready, &mut reports).await;
            while reports.len() >= REPORTS_MAX {
                reports.join_next().await;
            }
        }
        self.machine.leases.give_back(&*self.queue).await;
        reports.join_all().await;
    }

    /// Waits for work that may begin; none when the worker closes. Children that nobody needed for long are let go
    /// meanwhile.
    async fn next(&mut self) -> Option<Ready> {
        let mut phase = self.phase.clone();
        let machine = Arc::clone(&self.machine);
        let (leases, ttl) = (&machine.leases, machine.config.idle_ttl);
        let (mut changes, mut workers) = (leases.changes(), machine.bridges.changes());
        loop {
            let mut lease = pin!(self.queue.lease(&machine.config.pool, &self.worker));
            let leased = loop {
                // Whoever could say that it closes may have gone, and wants no more work done then.
                if *phase.borrow() != Phase::Open || phase.has_changed().is_err() {
                    return None;
                }
                let is_others =
                    |work: &Arc<Work>| machine.bridges.serves(work) || ahead::defers(&machine, work);
                if let Some(ready) = leases.ready(is_others) {
                    return Some(ready);
                }
                tokio::select! {
                    biased;
                    _ = phase.wait_for(|phase| *phase != Phase::Open) => {}
                    _ = changes.changed() => {}
                    leased = &mut lease, if !leases.is_full() => break leased,
                    _ = workers.changed() => {}
                    () = tokio::time::sleep(machine.kept.next_expiry(ttl)) => machine.kept.expire(ttl),
                }
            };
            match leased {
                // This slot or another takes it out again, as soon as it may begin.
                Ok(lease) => {
                    let is_others = machine.bridges.serves(&lease.work);
                    leases.add(lease, Arc::clone(&self.queue));
                    if is_others {
                        leases.ring();
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "no work to be had");
                    tokio::time::sleep(QUEUE_DELAY).await;
                }
            }
        }
    }

    async fn work(&self, ready: Ready, reports: &mut JoinSet<()>) {
        let Ready { held: Held { lease, mut stop, sender, keeper }, place } = ready;
        if *self.phase.borrow() == Phase::Closed {
            sender.send_replace(Stopping::Drained);
        }
        let work = with_gpus(&lease.work, place.visible());
        let watched = self.machine.usage.watch(&work);
        let mut start = Start::default();
        let ended = self.command(&work, &mut stop, &mut start, &watched).instrument(self.span(&work)).await;
        let (used, kept) = watched.end();
        let ended = ended.map(|command| with_used(command, used));
        // Before the report, which may take a while.
        drop((place, stop));
        let report = Report {
            machine: Arc::clone(&self.machine),
            queue: Arc::clone(&self.queue),
            inbox: Arc::clone(&self.inbox),
            lease,
            kept,
        };
        reports.spawn(report.send(ended, start.told, keeper));
    }

    /// Stops work of this slot when it is withdrawn, for as long as it is awaited.
    pub(crate) fn heed_withdrawals(&self) -> impl Future<Output = ()> + Send + use<> {
        heed_withdrawals(Arc::clone(&self.queue), self.worker.clone(), Arc::clone(&self.machine))
    }

    /// Stops all work when the workers' time is up, for as long as it is awaited.
    pub(crate) fn heed_closing(&self) -> impl Future<Output = ()> + Send + use<> {
        heed_closing(self.phase.clone(), Arc::clone(&self.machine))
    }

    /// What the trace shows of a piece of work, and every line that is written meanwhile.
    pub(crate) fn span(&self, work: &Work) -> Span {
        let (id, worker, of) = (&work.id, &self.worker, trace::id(work.trace));
        let span = match work.kind {
            WorkKind::Task => tracing::info_span!("attempt", work = %id, worker, trace = of),
            WorkKind::Items { .. } => tracing::info_span!("chunk", work = %id, worker, trace = of),
        };
        trace::continue_in(&span, work.trace);
        span
    }

    /// Runs a piece of work; answers what to report.
    async fn command(
        &self,
        work: &Work,
        stop: &mut Stop,
        start: &mut Start,
        watched: &Watched,
    ) -> Ended<Command> {
        tracing::debug!("work begins");
        let offer = self.machine.config.offer.as_ref().filter(|offer| !offer.is_enforced);
        if let Some(lack) = offer.and_then(|offer| offer.lack(&work.resources)) {
            tracing::info!(
                task = work.task.name,
                lack,
                "a task runs although the machine has less than it requests"
            );
        }
        if let WorkKind::Items { bound, .. } = &work.kind {
            // Work without a range of items is none; whoever offered it sees its lease end.
            let Some(items) = work.id.items else { return Ended::Withdrawn };
            let range = Range { items, bound, worker: &self.worker };
            let ended = chunk::run(&self.machine, work, &range, stop, watched).await;
            return ended.map(|chunk| Command::ItemsFinished { node: work.id.node.clone(), chunk });
        }
        let started = |place| *start = self.begin(work, &self.worker, place);
        let ended = attempt::run(&self.machine, work, stop, watched, started).await;
        ended.map(|outcome| Command::AttemptFinished {
            node: work.id.node.clone(),
            attempt: work.id.attempt,
            outcome,
            began: start.take(&self.worker),
            used: None,
        })
    }

    /// Notes that user code begins at `worker`, and tells it when the attempt has not ended soon.
    pub(crate) fn begin(&self, work: &Work, worker: &str, place: Option<String>) -> Start {
        let command = Command::AttemptStarted {
            node: work.id.node.clone(),
            attempt: work.id.attempt,
            worker: worker.to_owned(),
            place: place.clone(),
        };
        let (inbox, machine) = (Arc::clone(&self.inbox), Arc::clone(&self.machine));
        let execution = work.id.execution.clone();
        let mut start = Start { at: Some(Instant::now()), place, ..Start::default() };
        let is_taken = Arc::clone(&start.is_taken);
        start.told.spawn(async move {
            tokio::time::sleep(START_TOLD_AFTER).await;
            if !is_taken.swap(true, Ordering::AcqRel) {
                report::send(&*inbox, &machine.config, &execution, command).await;
            }
        });
        start
    }
}

/// Has a report say what was used.
fn with_used(command: Command, used: Option<Used>) -> Command {
    match command {
        Command::AttemptFinished { node, attempt, outcome, began, used: _ } => {
            Command::AttemptFinished { node, attempt, outcome, began, used }
        }
        Command::ItemsFinished { node, chunk } => {
            Command::ItemsFinished { node, chunk: FinishedChunk { used, ..chunk } }
        }
        other => other,
    }
}

/// Has `work` see the accelerators that it was given, and no others.
pub(crate) fn with_gpus(work: &Arc<Work>, visible: Option<String>) -> Arc<Work> {
    let Some(visible) = visible else { return Arc::clone(work) };
    let mut env = work.env.clone();
    env.retain(|(name, _)| name != gpus::VISIBLE);
    env.push((gpus::VISIBLE.to_owned(), visible));
    Arc::new(Work { env, ..Work::clone(work) })
}

/// The start of an attempt: told on its own while the attempt runs, or together with its end when that comes soon. A
/// record costs a disk's flush, and most short attempts need no two.
#[derive(Default)]
pub(crate) struct Start {
    at: Option<Instant>,
    /// Where it runs, when that is not the default environment.
    place: Option<String>,
    /// Whether it is decided who tells it.
    is_taken: Arc<AtomicBool>,
    pub told: JoinSet<()>,
}

impl Start {
    /// Answers the start, to be told with the end, if it was not told yet; it never will be on its own then.
    pub(crate) fn take(&mut self, worker: &str) -> Option<Began> {
        let at = self.at.filter(|_| !self.is_taken.swap(true, Ordering::AcqRel))?;
        self.told.abort_all();
        let micros_ago = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
        Some(Began { worker: worker.to_owned(), micros_ago, place: self.place.take() })
    }
}

/// The end of a piece of work, on its way.
pub(crate) struct Report {
    pub machine: Arc<Machine>,
    pub queue: Arc<dyn TaskQueue>,
    pub inbox: Arc<dyn Inbox>,
    pub lease: Lease,
    /// What was seen of what it used.
    pub kept: Option<Kept>,
}

impl Report {
    /// Tells how the work ended, after its start is told, and then ends the lease, which `keeper` holds until then.
    pub(crate) async fn send(mut self, ended: Ended<Command>, mut started: JoinSet<()>, keeper: JoinSet<()>) {
        if let Some(kept) = self.kept.take() {
            kept.store().await;
        }
        let work = &self.lease.work;
        match ended {
            Ended::Reported(command) => {
                while started.join_next().await.is_some() {}
                report::send(&*self.inbox, &self.machine.config, &work.id.execution, command).await;
            }
            Ended::GivenBack => {
                drop(keeper);
                if let Err(error) = self.queue.give_back(self.lease.id).await {
                    tracing::debug!(%error, work = %work.id, "work goes back when its lease ends");
                }
                return;
            }
            Ended::Withdrawn => {}
        }
        drop(keeper);
        report::complete(&*self.queue, &self.machine.config, &self.lease).await;
        tracing::debug!(work = %work.id, "work ends");
    }
}

/// Stops work of this worker when it is withdrawn, also when another slot runs it by then.
async fn heed_withdrawals(queue: Arc<dyn TaskQueue>, worker: String, machine: Arc<Machine>) {
    loop {
        match queue.withdrawn(&worker).await {
            Ok(withdrawn) => machine.leases.stop(Some(&withdrawn), Stopping::Withdrawn),
            Err(error) => {
                tracing::debug!(%error, "withdrawals cannot be heard at present");
                tokio::time::sleep(QUEUE_DELAY).await;
            }
        }
    }
}

/// Stops all work when the workers' time is up.
async fn heed_closing(mut phase: watch::Receiver<Phase>, machine: Arc<Machine>) {
    if phase.wait_for(|phase| *phase == Phase::Closed).await.is_ok() {
        machine.leases.stop(None, Stopping::Drained);
    }
}
