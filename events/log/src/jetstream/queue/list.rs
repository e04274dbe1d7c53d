//! What the stream holds of a pool.

use super::super::api::{Api, Source};
use skein_model::{PoolId, Work, WorkId};

/// Lists the work of `pool` that is in the stream, message by message from its leader: a replica that lags behind would
/// show what is done already, and whoever took that for held would wait for ever.
pub(super) async fn held(api: &Api, pool: &PoolId) -> Result<Vec<WorkId>, String> {
    let (stream, subjects) = (api.names.work_stream(), api.names.pool_subjects(pool));
    let mut held = Vec::new();
    let mut from = 1;
    loop {
        let message = match api.next(&stream, &subjects, from).await? {
            (None, Source::Leader) => return Ok(held),
            (Some(message), Source::Leader) => message,
            (_, Source::Replica) => return Err("the leader of the work stream does not answer".to_owned()),
        };
        match rmp_serde::from_slice::<Work>(&message.payload) {
            Ok(work) => held.push(work.id),
            // It stays in the stream for a program that knows better; here nobody waits for it.
            Err(error) => tracing::error!(sequence = message.sequence, %error, "an offer cannot be read"),
        }
        from = message.sequence + 1;
    }
}
