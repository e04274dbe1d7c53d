//! Leases the work of actor environments whose workers are connected, and follows each piece of it to its end.

use super::Kept;
use crate::attempt;
use crate::leases::{Held, Ready};
use crate::slot::{Phase, Report, Slot, Start, with_gpus};
use crate::stop::Stopping;
use skein_model::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// How long nobody leases after a queue could not be reached.
const QUEUE_DELAY: Duration = Duration::from_millis(500);
/// How much work may wait on this machine that is leased here, for whoever it is: slots may all be busy while a worker is
/// free, and what it could run has to be found.
const WAITING_MAX: usize = 32;

/// Gives work to workers of actor environments until this machine closes, and until what they did is reported.
pub(crate) async fn run(slot: Slot) {
    let slot = Arc::new(slot);
    let (machine, bridges) = (Arc::clone(&slot.machine), Arc::clone(&slot.machine.bridges));
    let mut helpers = JoinSet::new();
    helpers.spawn(slot.heed_withdrawals());
    helpers.spawn(slot.heed_closing());
    helpers.spawn(Arc::clone(&bridges).look());
    let mut phase = slot.phase.clone();
    let (mut places, mut workers) = (machine.leases.changes(), bridges.changes());
    let mut runs = JoinSet::new();
    while *phase.borrow() == Phase::Open && phase.has_changed().is_ok() {
        while runs.try_join_next().is_some() {}
        while let Some((ready, kept)) =
            machine.leases.ready_for(|work| bridges.takes(work), |work| bridges.keep(work))
        {
            runs.spawn(follow(Arc::clone(&slot), ready, kept));
        }
        let may_lease = bridges.has_room() && machine.leases.waiting() < WAITING_MAX;
        let leased = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Open) => continue,
            _ = places.changed() => continue,
            _ = workers.changed() => continue,
            leased = slot.queue.lease(&machine.config.pool, &slot.worker), if may_lease => leased,
        };
        match leased {
            Ok(lease) => {
                machine.leases.add(lease, Arc::clone(&slot.queue));
                machine.leases.ring();
            }
            Err(error) => {
                tracing::debug!(%error, "no work to be had");
                tokio::time::sleep(QUEUE_DELAY).await;
            }
        }
    }
    while runs.join_next().await.is_some() {}
    bridges.close();
}

/// Follows one attempt at a worker to its end, and reports that.
async fn follow(slot: Arc<Slot>, ready: Ready, kept: Kept) {
    let Ready { held: Held { lease, mut stop, sender, keeper }, place } = ready;
    if *slot.phase.borrow() == Phase::Closed {
        sender.send_replace(Stopping::Drained);
    }
    let work = with_gpus(&lease.work, place.visible());
    let name = format!("{} of {}", kept.worker.worker, kept.worker.queue);
    let mut start = Start::default();
    let begin = |place| start = slot.begin(&work, &name, place);
    let ended =
        attempt::bridged(&slot.machine, &work, &mut stop, kept, begin).instrument(slot.span(&work)).await;
    drop((place, stop));
    let ended = ended.map(|outcome| Command::AttemptFinished {
        node: work.id.node.clone(),
        attempt: work.id.attempt,
        outcome,
        began: start.take(&name),
        used: None,
    });
    let (machine, queue, inbox) =
        (Arc::clone(&slot.machine), Arc::clone(&slot.queue), Arc::clone(&slot.inbox));
    // Its process is not ours to look at.
    Report { machine, queue, inbox, lease, kept: None }.send(ended, start.told, keeper).await;
}
