//! One slot: leases work, runs it, reports, and begins again.

use crate::attempt::{self, Ended};
use crate::chunk::{self, Range};
use crate::machine::Machine;
use crate::report;
use crate::stop::{Stop, Stopping};
use crate::warm::Kept;
use skein_log::{Inbox, Lease, QueueError, TaskQueue};
use skein_model::command::{Began, Outcome};
use skein_model::work::WorkKind;
use skein_model::{Command, Work, WorkId};
use skein_telemetry::trace;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// The work that a slot runs now, and how to stop it.
type Current = Arc<Mutex<Option<(WorkId, watch::Sender<Stopping>)>>>;

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
        let current = Current::default();
        let mut helpers = JoinSet::new();
        helpers.spawn(heed_withdrawals(Arc::clone(&self.queue), self.worker.clone(), Arc::clone(&current)));
        helpers.spawn(heed_closing(self.phase.clone(), Arc::clone(&current)));
        let mut reports = JoinSet::new();
        let mut kept = Kept::default();
        while let Some(lease) = self.next(&mut kept).await {
            self.work(lease, &mut kept, &current, &mut reports).await;
            while reports.len() >= REPORTS_MAX {
                reports.join_next().await;
            }
        }
        drop(kept);
        reports.join_all().await;
    }

    /// Waits for work; none when the worker closes. An interpreter that nobody needed for long is let go meanwhile.
    async fn next(&mut self, kept: &mut Kept) -> Option<Lease> {
        let mut phase = self.phase.clone();
        loop {
            let mut lease = pin!(self.queue.lease(&self.machine.config.pool, &self.worker));
            let leased = loop {
                tokio::select! {
                    biased;
                    _ = phase.wait_for(|phase| *phase != Phase::Open) => return None,
                    leased = &mut lease => break leased,
                    () = idle(!kept.is_empty(), self.machine.config.idle_ttl) => kept.clear(),
                }
            };
            match leased {
                Ok(lease) => return Some(lease),
                Err(error) => {
                    tracing::debug!(%error, "no work to be had");
                    tokio::time::sleep(QUEUE_DELAY).await;
                }
            }
        }
    }

    async fn work(&self, lease: Lease, kept: &mut Kept, current: &Current, reports: &mut JoinSet<()>) {
        let (sender, mut stop) = Stop::new();
        set(current, Some((lease.work.id.clone(), sender.clone())));
        if *self.phase.borrow() == Phase::Closed {
            sender.send_replace(Stopping::Drained);
        }
        let mut keeper = JoinSet::new();
        keeper.spawn(keep(Arc::clone(&self.queue), lease.clone(), sender));
        let work = Arc::clone(&lease.work);
        let mut start = Start::default();
        let command = self.command(&work, kept, &mut stop, &mut start).instrument(self.span(&work)).await;
        set(current, None);
        let report = Report {
            machine: Arc::clone(&self.machine),
            queue: Arc::clone(&self.queue),
            inbox: Arc::clone(&self.inbox),
            lease,
        };
        reports.spawn(report.send(command, start.told, keeper));
    }

    /// What the trace shows of a piece of work, and every line that is written meanwhile.
    fn span(&self, work: &Work) -> Span {
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
        kept: &mut Kept,
        stop: &mut Stop,
        start: &mut Start,
    ) -> Option<Command> {
        tracing::debug!("work begins");
        if let WorkKind::Items { bound, of: _ } = &work.kind {
            return self.items(work, bound, kept, stop).await;
        }
        let outcome = self.task(work, kept, stop, || *start = self.begin(work)).await?;
        Some(Command::AttemptFinished {
            node: work.id.node.clone(),
            attempt: work.id.attempt,
            outcome,
            began: start.take(&self.worker),
        })
    }

    async fn task(
        &self,
        work: &Work,
        kept: &mut Kept,
        stop: &mut Stop,
        started: impl FnOnce(),
    ) -> Option<Outcome> {
        match attempt::run(&self.machine, work, kept, stop, started).await {
            Ended::Reported(outcome) => Some(outcome),
            Ended::Withdrawn => None,
        }
    }

    async fn items(
        &self,
        work: &Work,
        bound: &[String],
        kept: &mut Kept,
        stop: &mut Stop,
    ) -> Option<Command> {
        // Work without a range of items is none; whoever offered it sees its lease end.
        let range = Range { items: work.id.items?, bound, worker: &self.worker };
        match chunk::run(&self.machine, work, &range, kept, stop).await {
            Ended::Reported(chunk) => Some(Command::ItemsFinished { node: work.id.node.clone(), chunk }),
            Ended::Withdrawn => None,
        }
    }

    /// Notes that user code begins, and tells it when the attempt has not ended soon.
    fn begin(&self, work: &Work) -> Start {
        let command = Command::AttemptStarted {
            node: work.id.node.clone(),
            attempt: work.id.attempt,
            worker: self.worker.clone(),
        };
        let (inbox, machine) = (Arc::clone(&self.inbox), Arc::clone(&self.machine));
        let execution = work.id.execution.clone();
        let mut start = Start { at: Some(Instant::now()), ..Start::default() };
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

/// The start of an attempt: told on its own while the attempt runs, or together with its end when that comes soon. A
/// record costs a disk's flush, and most short attempts need no two.
#[derive(Default)]
struct Start {
    at: Option<Instant>,
    /// Whether it is decided who tells it.
    is_taken: Arc<AtomicBool>,
    told: JoinSet<()>,
}

impl Start {
    /// Answers the start, to be told with the end, if it was not told yet; it never will be on its own then.
    fn take(&mut self, worker: &str) -> Option<Began> {
        let at = self.at.filter(|_| !self.is_taken.swap(true, Ordering::AcqRel))?;
        self.told.abort_all();
        let micros_ago = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
        Some(Began { worker: worker.to_owned(), micros_ago })
    }
}

/// The end of a piece of work, on its way.
struct Report {
    machine: Arc<Machine>,
    queue: Arc<dyn TaskQueue>,
    inbox: Arc<dyn Inbox>,
    lease: Lease,
}

impl Report {
    /// Tells how the work ended, after its start is told, and then ends the lease, which `keeper` holds until then.
    async fn send(self, command: Option<Command>, mut started: JoinSet<()>, keeper: JoinSet<()>) {
        let work = &self.lease.work;
        if let Some(command) = command {
            while started.join_next().await.is_some() {}
            report::send(&*self.inbox, &self.machine.config, &work.id.execution, command).await;
        }
        drop(keeper);
        report::complete(&*self.queue, &self.machine.config, &self.lease).await;
        tracing::debug!(work = %work.id, "work ends");
    }
}

fn set(current: &Current, work: Option<(WorkId, watch::Sender<Stopping>)>) {
    *current.lock().unwrap_or_else(PoisonError::into_inner) = work;
}

async fn idle(is_held: bool, ttl: Duration) {
    if is_held { tokio::time::sleep(ttl).await } else { std::future::pending().await }
}

/// Extends a lease until it ends or this is dropped.
async fn keep(queue: Arc<dyn TaskQueue>, lease: Lease, stop: watch::Sender<Stopping>) {
    loop {
        tokio::time::sleep(lease.ttl / 3).await;
        match queue.extend(lease.id).await {
            Ok(()) => {}
            Err(QueueError::LeaseEnded) => {
                stop.send_replace(Stopping::Withdrawn);
                return;
            }
            Err(error) => {
                tracing::debug!(%error, work = %lease.work.id, "the lease cannot be extended at present")
            }
        }
    }
}

/// Stops the current work when it is withdrawn.
async fn heed_withdrawals(queue: Arc<dyn TaskQueue>, worker: String, current: Current) {
    loop {
        match queue.withdrawn(&worker).await {
            Ok(withdrawn) => stop(&current, Some(&withdrawn), Stopping::Withdrawn),
            Err(error) => {
                tracing::debug!(%error, "withdrawals cannot be heard at present");
                tokio::time::sleep(QUEUE_DELAY).await;
            }
        }
    }
}

/// Stops the current work when the worker's time is up.
async fn heed_closing(mut phase: watch::Receiver<Phase>, current: Current) {
    if phase.wait_for(|phase| *phase == Phase::Closed).await.is_ok() {
        stop(&current, None, Stopping::Drained);
    }
}

fn stop(current: &Current, only: Option<&WorkId>, stopping: Stopping) {
    if let Some((work, sender)) = &*current.lock().unwrap_or_else(PoisonError::into_inner)
        && only.is_none_or(|only| only == work)
    {
        sender.send_replace(stopping);
    }
}
