//! The writer of the ticks of one launch plan.

use super::Name;
use crate::ports::Ports;
use skein_log::{AppendError, ReadError, read_last_two};
use skein_model::codec::{self, CodecError};
use skein_model::schedule::{History, SEGMENT_TICKS_MAX};
use skein_model::{CauseId, Head, JournalId, Record, ScheduleEvent};
use xxhash_rust::xxh3::xxh3_64;

/// Ticks that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TicksError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl TicksError {
    /// Says whether it is worth trying again: after reading again, when somebody else was faster.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Append(AppendError::TooLarge { .. }) | Self::Codec(_) => false,
            Self::Append(_) | Self::Read(ReadError::Unavailable { .. }) => true,
            Self::Read(_) => false,
        }
    }
}

/// Where the ticks of a launch plan are.
pub(crate) struct Ticks {
    segment: u32,
    head: Head,
    pub(crate) history: History,
}

impl Ticks {
    /// Reads where they are.
    pub(crate) async fn load(ports: &Ports, name: &Name) -> Result<Self, TicksError> {
        let found = read_last_two(&*ports.log, |segment| name.journal(segment)).await?;
        let Some((segment, head, records)) = found else {
            return Ok(Self { segment: 0, head: Head::EMPTY, history: History::default() });
        };
        let history = History::of(&records)?;
        match records.last() {
            Some(last) if last.version == head.version => Ok(Self { segment, head, history }),
            // Somebody appended in between: only a second engine could, so start over.
            _ => Err(ReadError::Unavailable {
                reason: "the ticks were written while they were read".to_owned(),
            }
            .into()),
        }
    }

    /// Makes an event durable, and applies it.
    pub(crate) async fn append(
        &mut self,
        ports: &Ports,
        name: &Name,
        event: ScheduleEvent,
    ) -> Result<(), TicksError> {
        if self.head.version.0 >= SEGMENT_TICKS_MAX {
            (self.segment, self.head) = (self.segment.saturating_add(1), Head::EMPTY);
        }
        let body = codec::encode(std::slice::from_ref(&event))?;
        let cause = CauseId(xxh3_64(&body));
        let record = Record { time: (ports.clock)(), cause, trace: None, closes: true, body };
        self.head = ports.log.append(&name.journal(self.segment), self.head, record).await?.head;
        self.history.apply(&event);
        Ok(())
    }
}

impl Name {
    fn journal(&self, segment: u32) -> JournalId {
        JournalId::ticks(&self.project, &self.domain, &self.name, segment)
    }
}
