//! Who was told of ends of executions, who was not, and that somebody is to be told again.

use crate::error::ApiError;
use crate::progress::rfc3339;
use crate::shared::Shared;
use crate::views::Reader as _;
use crate::views::Row;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};
use skein_log::AppendError;
use skein_model::notification::NoticeId;
use skein_model::{
    Category, CauseId, ExecutionId, Head, JournalId, NotificationEvent, Record, Timestamp, codec,
};
use xxhash_rust::xxh3::xxh3_64;

/// How many notices one list has, the last ones.
pub const LISTED_MAX: u32 = 1_000;
/// How often it is tried to ask for another sending while the engine writes of the same execution.
const TRIES_MAX: u32 = 16;

/// Notices of ends of executions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    /// They, those of the latest end first, at most [`LISTED_MAX`].
    pub notices: Vec<Notice>,
}

/// A notice of the end of an execution, to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its name: the execution, and its place among those of it.
    pub id: String,
    /// Where it goes, such as `email a@example.org` or `webhook ops`.
    pub channel: String,
    /// The phase in which the execution ended.
    pub phase: String,
    /// When it did, by RFC 3339 in UTC.
    pub ended_at: String,
    /// Where it stands.
    pub state: NoticeState,
    /// How often it was tried.
    pub tries: u32,
    /// When it was last tried, by RFC 3339 in UTC; before that, when it was made.
    pub updated_at: String,
    /// When it is tried again, by RFC 3339 in UTC, if that is not at once.
    pub again_at: Option<String>,
    /// Why it was not taken; empty when it was, and before it was tried.
    pub reason: String,
}

/// Where a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeState {
    /// It is to be sent.
    Due,
    /// It was taken.
    Sent,
    /// It was given up.
    Dead,
}

impl NoticeState {
    const ALL: [(i64, Self); 3] = [(0, Self::Due), (1, Self::Sent), (2, Self::Dead)];

    /// Answers the word that stands for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sent => "sent",
            Self::Dead => "dead",
        }
    }
}

/// Which notices are listed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Only those that were given up.
    #[serde(default)]
    pub dead: bool,
}

impl Row for Notice {
    const COLUMNS: &'static str = "project, domain, execution, notice, channel, phase, ended_at, state, tries, updated_at, \
        again_at, reason";

    fn read(row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error> {
        let time = |at| row.get(at).map(|micros| rfc3339(Timestamp::from_micros(micros)));
        let execution = ExecutionId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)? };
        let number: i64 = row.get(7)?;
        let state = NoticeState::ALL.into_iter().find(|(known, _)| *known == number);
        let again: Option<i64> = row.get(10)?;
        Ok(Self {
            id: NoticeId { execution, notice: row.get(3)? }.to_string(),
            channel: row.get(4)?,
            phase: row.get(5)?,
            ended_at: time(6)?,
            state: state.ok_or(rusqlite::Error::IntegralValueOutOfRange(7, number))?.1,
            tries: row.get(8)?,
            updated_at: time(9)?,
            again_at: again.map(|micros| rfc3339(Timestamp::from_micros(micros))),
            reason: row.get(11)?,
        })
    }
}

/// Lists notices.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn list(shared: &Shared, which: &Which) -> Result<Notices, ApiError> {
    shared.catch_up(Category::Notification).await?;
    let of_state = if which.dead { "WHERE state = 2 " } else { "" };
    let tail = format!(
        "FROM notices {of_state}ORDER BY ended_at DESC, project, domain, execution, notice LIMIT {LISTED_MAX}"
    );
    let notices = shared.views.read(move |tables| tables.all::<Notice>(&tail, &[])).await?;
    Ok(Notices { notices })
}

/// Has a notice sent again, whatever became of it.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn resend(shared: &Shared, id: &NoticeId) -> Result<Notice, ApiError> {
    shared.catch_up(Category::Notification).await?;
    find(shared, id).await?;
    let event =
        NotificationEvent::ResendAsked { notice: id.notice, principal: shared.config.principal.clone() };
    let body = codec::encode(&[event])?;
    let journal = JournalId::notices(&id.execution);
    for _ in 0..TRIES_MAX {
        let head: Head = shared.log.head(&journal).await?;
        let cause = CauseId(xxh3_64(&body));
        let trace = skein_telemetry::trace::current();
        let record = Record { time: shared.now(), cause, trace, closes: false, body: body.clone() };
        match shared.log.append(&journal, head, record).await {
            Ok(appended) => {
                shared.views.wait_for(Category::Notification, appended.position).await?;
                return find(shared, id).await;
            }
            // Asked twice it is sent once more, unless the engine has sent it in between.
            Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(ApiError::Unavailable(format!("notice {id} is written to all the time; ask again")))
}

async fn find(shared: &Shared, id: &NoticeId) -> Result<Notice, ApiError> {
    let ExecutionId { project, domain, name } = &id.execution;
    let parts = [project, domain, name].map(|part| Value::Text(part.clone()));
    let values: Vec<Value> = parts.into_iter().chain([Value::Integer(id.notice.into())]).collect();
    let tail = "FROM notices WHERE project = ? AND domain = ? AND execution = ? AND notice = ?";
    let found = shared.views.find::<Notice>(tail, &values).await?;
    found.ok_or_else(|| {
        ApiError::NotFound(format!(
            "there is no notice {id}; `skein notifications ls` lists those that there are"
        ))
    })
}
