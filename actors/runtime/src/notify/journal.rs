//! The journal of the notices of one execution.

use super::Office;
use skein_core::Notices;
use skein_log::{AppendError, ReadError};
use skein_model::codec::{self, CodecError};
use skein_model::{CauseId, ExecutionId, Head, JournalId, NotificationEvent, Record, Version};

/// How often an append is tried at a journal that somebody else writes too.
const TRIES_MAX: u32 = 16;

/// A journal of notices that cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoticeJournalError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("whatever sent a notice has ended by itself")]
    Sender(#[from] tokio::task::JoinError),
}

/// Begins the journal of an execution, unless that has been done.
pub(super) async fn begin(office: &Office, id: &ExecutionId) -> Result<(), NoticeJournalError> {
    let journal = JournalId::notices(id);
    let record = record(office, &NotificationEvent::Awaited, false)?;
    match office.log.append(&journal, Head::EMPTY, record).await {
        Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
        Err(AppendError::Unknown { .. }) if office.log.head(&journal).await? != Head::EMPTY => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

/// A journal, as far as it has been read.
pub(super) struct NoticeJournal<'o> {
    office: &'o Office,
    id: JournalId,
    /// A head that the log has given: what is read and appended next comes after it.
    head: Head,
    /// The last record that is folded in, which may be one after that head.
    seen: Version,
    pub(super) notices: Notices,
}

impl<'o> NoticeJournal<'o> {
    pub(super) async fn load(office: &'o Office, id: &ExecutionId) -> Result<Self, NoticeJournalError> {
        let id = JournalId::notices(id);
        let (head, seen, notices) = (Head::EMPTY, Version(0), Notices::default());
        let mut journal = Self { office, id, head, seen, notices };
        journal.catch_up().await?;
        Ok(journal)
    }

    /// Reads what others have appended.
    pub(super) async fn catch_up(&mut self) -> Result<(), NoticeJournalError> {
        loop {
            let head = self.office.log.head(&self.id).await?;
            if head.version == self.seen {
                self.head = head;
                return Ok(());
            }
            for envelope in self.office.log.read(&self.id, self.head).await? {
                if envelope.version <= self.seen {
                    continue;
                }
                let events: Vec<NotificationEvent> = codec::decode(envelope.schema, &envelope.record.body)?;
                events.iter().for_each(|event| self.notices.apply(event));
                self.seen = envelope.version;
            }
        }
    }

    /// Appends what `decide` answers for the notices as they are, and again for what others have made of them meanwhile.
    /// Answers what was appended; none when there was nothing to.
    pub(super) async fn record(
        &mut self,
        decide: impl Fn(&Notices) -> Option<NotificationEvent>,
    ) -> Result<Option<NotificationEvent>, NoticeJournalError> {
        let mut tries = 0;
        loop {
            let Some(event) = decide(&self.notices) else { return Ok(None) };
            let mut next = self.notices.clone();
            next.apply(&event);
            let record = record(self.office, &event, next.are_settled())?;
            match self.office.log.append(&self.id, self.head, record).await {
                Ok(appended) => {
                    (self.head, self.seen, self.notices) = (appended.head, appended.head.version, next);
                    return Ok(Some(event));
                }
                Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) if tries < TRIES_MAX => {
                    tries += 1;
                    self.catch_up().await?;
                }
                Err(fault) => return Err(fault.into()),
            }
        }
    }
}

fn record(office: &Office, event: &NotificationEvent, closes: bool) -> Result<Record, CodecError> {
    let body = codec::encode(std::slice::from_ref(event))?;
    let cause = CauseId(xxhash_rust::xxh3::xxh3_64(&body));
    Ok(Record { time: (office.clock)(), cause, trace: None, closes, body })
}
