//! Tells all who are to be told of one execution: records whom, sends, and records what became of it.

use super::Office;
use super::journal::{NoticeJournal, NoticeJournalError};
use skein_core::notify::{self, Outcome};
use skein_model::event::Created;
use skein_model::notification::{Channel, Ended, NoticeId};
use skein_model::{Event, ExecutionId, Head, JournalId, NotificationEvent, Timestamp, codec};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify as Bell;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Whether a courier is to look again.
#[derive(Debug, Default)]
pub(super) struct Asked {
    is_asked: AtomicBool,
    bell: Bell,
}

impl Asked {
    /// Has it look again.
    pub(super) fn ask(&self) {
        self.is_asked.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Says whether it was asked since this was called last.
    pub(super) fn take(&self) -> bool {
        self.is_asked.swap(false, Ordering::AcqRel)
    }
}

pub(super) struct Courier {
    office: Arc<Office>,
    id: ExecutionId,
    asked: Arc<Asked>,
}

impl Courier {
    pub(super) const fn new(office: Arc<Office>, id: ExecutionId, asked: Arc<Asked>) -> Self {
        Self { office, id, asked }
    }

    /// Goes on until nobody is left to be told, or the execution turns out to go on.
    pub(super) async fn run(self) -> Result<(), NoticeJournalError> {
        let mut journal = NoticeJournal::load(&self.office, &self.id).await?;
        let mut under_way = BTreeSet::new();
        let mut sending = JoinSet::new();
        loop {
            if self.asked.take() {
                journal.catch_up().await?;
            }
            if journal.notices.wait_for_the_end() {
                self.record_the_end(&mut journal).await?;
            }
            let Some(ended) = journal.notices.ended() else { return Ok(()) };
            for (notice, channel, not_before) in journal.notices.due() {
                if under_way.insert(notice) {
                    let id = NoticeId { execution: self.id.clone(), notice };
                    let office = Arc::clone(&self.office);
                    let send = send(office, id, ended.clone(), channel.clone(), not_before);
                    sending.spawn(async move { (notice, send.await) });
                }
            }
            if journal.notices.are_settled() {
                return Ok(());
            }
            tokio::select! {
                Some(sent) = sending.join_next() => {
                    let (notice, outcome) = sent?;
                    under_way.remove(&notice);
                    self.record(&mut journal, notice, outcome).await?;
                }
                () = self.asked.bell.notified() => {}
            }
        }
    }

    /// Records that the execution has ended, and who is told, if it has.
    async fn record_the_end(&self, journal: &mut NoticeJournal<'_>) -> Result<(), NoticeJournalError> {
        let mut events: Vec<(Timestamp, Event)> = Vec::new();
        for envelope in self.office.log.read(&JournalId::execution(&self.id), Head::EMPTY).await? {
            let of_record: Vec<Event> = codec::decode(envelope.schema, &envelope.record.body)?;
            events.extend(of_record.into_iter().map(|event| (envelope.record.time, event)));
        }
        let Some(ended) = notify::end_of(events.iter().map(|(at, event)| (*at, event))) else {
            return Ok(());
        };
        let Some(created) = created_of(&events) else { return Ok(()) };
        let channels = self.office.sender.settings().rules.told(created, ended.phase);
        let event = NotificationEvent::Ended { ended: Box::new(ended), channels };
        journal.record(|notices| notices.wait_for_the_end().then(|| event.clone())).await?;
        Ok(())
    }

    async fn record(
        &self,
        journal: &mut NoticeJournal<'_>,
        notice: u32,
        outcome: Outcome,
    ) -> Result<(), NoticeJournalError> {
        let patience = &self.office.sender.settings().patience;
        let now = (self.office.clock)();
        let recorded =
            journal.record(|notices| notices.decide(notice, outcome.clone(), patience, now)).await?;
        let id = NoticeId { execution: self.id.clone(), notice };
        match recorded {
            Some(NotificationEvent::Sent { tries, .. }) => {
                self.office.metrics.notices_sent.inc();
                info!(notice = %id, tries, "notice sent");
            }
            Some(NotificationEvent::NotSent { tries, reason, again: None, .. }) => {
                self.office.metrics.notices_dead.inc();
                warn!(notice = %id, tries, reason, "notice given up: skein notifications ls --dead");
            }
            Some(NotificationEvent::NotSent { tries, reason, .. }) => {
                info!(notice = %id, tries, reason, "notice not taken, tried again");
            }
            _ => {}
        }
        Ok(())
    }
}

fn created_of(events: &[(Timestamp, Event)]) -> Option<&Created> {
    events.iter().find_map(|(_, event)| match event {
        Event::Created(created) => Some(&**created),
        _ => None,
    })
}

/// Sends a notice when it is time.
async fn send(
    office: Arc<Office>,
    id: NoticeId,
    ended: Ended,
    channel: Channel,
    not_before: Option<Timestamp>,
) -> Outcome {
    if let Some(at) = not_before {
        tokio::time::sleep(at.since((office.clock)())).await;
    }
    office.sender.send(&id, &ended, &channel).await
}
