//! Withdrawals on their way to the workers that may hold something of them.

use super::super::api::Api;
use super::held::Held;
use crate::Stop;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(250);

/// What is withdrawn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Withdrawal {
    pub(super) stop: Stop,
    /// The last offer that can be meant, as a sequence of the stream: what is offered later stays.
    pub(super) up_to: u64,
}

pub(super) async fn announce(api: &Api, withdrawal: &Withdrawal) -> Result<(), String> {
    let payload = rmp_serde::to_vec_named(withdrawal).map_err(|error| error.to_string())?;
    api.client.publish(api.names.stop_subject(), payload.into()).await.map_err(|error| error.to_string())
}

/// Applies what is announced, for as long as the connection lives.
pub(super) async fn listen(api: Arc<Api>, held: Arc<Held>) {
    loop {
        match api.client.subscribe(api.names.stop_subject()).await {
            Ok(mut announced) => {
                while let Some(message) = announced.next().await {
                    match rmp_serde::from_slice(&message.payload) {
                        Ok(withdrawal) => held.apply(&withdrawal),
                        Err(error) => tracing::warn!(%error, "a withdrawal cannot be read"),
                    }
                }
                return;
            }
            Err(error) => tracing::warn!(%error, "withdrawals cannot be heard"),
        }
        sleep(SUBSCRIBE_AGAIN).await;
    }
}
