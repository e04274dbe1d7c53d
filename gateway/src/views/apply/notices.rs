//! Writes what became of telling of ends.

use rusqlite::{Transaction, params};
use skein_model::{ExecutionId, NotificationEvent, Timestamp};

/// The numbers by which the table has where a notice stands.
const DUE: i64 = 0;
const SENT: i64 = 1;
const DEAD: i64 = 2;

/// Writes one event of the notices of one execution.
///
/// # Errors
/// SQLite's.
pub(super) fn apply(
    tx: &Transaction<'_>,
    id: &ExecutionId,
    at: Timestamp,
    event: &NotificationEvent,
) -> Result<(), rusqlite::Error> {
    let set = |notice: u32, state: i64, tries: u32, again: Option<Timestamp>, reason: &str| {
        tx.prepare_cached(
            "UPDATE notices SET state = ?5, tries = ?6, updated_at = ?7, again_at = ?8, reason = ?9
            WHERE project = ?1 AND domain = ?2 AND execution = ?3 AND notice = ?4",
        )?
        .execute(params![
            id.project,
            id.domain,
            id.name,
            notice,
            state,
            tries,
            at.as_micros(),
            again.map(Timestamp::as_micros),
            reason
        ])?;
        Ok(())
    };
    match event {
        NotificationEvent::Awaited => Ok(()),
        NotificationEvent::Ended { ended, channels } => {
            let mut insert = tx.prepare_cached(
                "INSERT OR IGNORE INTO notices (project, domain, execution, notice, channel, phase, ended_at, state,
                    tries, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9)",
            )?;
            let phase = ended.phase.as_proto().as_str_name();
            for (notice, channel) in (0_u32..).zip(channels) {
                insert.execute(params![
                    id.project,
                    id.domain,
                    id.name,
                    notice,
                    channel.to_string(),
                    phase,
                    ended.at.as_micros(),
                    DUE,
                    at.as_micros()
                ])?;
            }
            Ok(())
        }
        NotificationEvent::Sent { notice, tries } => set(*notice, SENT, *tries, None, ""),
        NotificationEvent::NotSent { notice, tries, reason, again: None } => {
            set(*notice, DEAD, *tries, None, reason)
        }
        NotificationEvent::NotSent { notice, tries, reason, again } => {
            set(*notice, DUE, *tries, *again, reason)
        }
        NotificationEvent::ResendAsked { notice, .. } => set(*notice, DUE, 0, None, ""),
    }
}
