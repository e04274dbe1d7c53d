//! How much work of a pool waits.

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use futures::StreamExt;

/// Up to how many waiting pieces the count is exact.
const EXACT_MAX: u64 = 16;
/// The most deliveries that are looked at.
const LOOK_AT_MAX: usize = 256;

/// Counts what waits for a worker.
///
/// A server tells how much was never delivered, but not what was given back or whose lease has ended: it counts that
/// with what is leased. Where the rest is small and no worker is asking, such work is fetched and given back again, so
/// that a pool without workers is never taken for one without work.
pub(super) async fn count(consumer: &mut PullConsumer) -> Result<usize, async_nats::Error> {
    let info = consumer.info().await?;
    let (fresh, delivered) = (info.num_pending, info.num_ack_pending);
    let count = usize::try_from(fresh).unwrap_or(usize::MAX);
    if fresh > EXACT_MAX || delivered == 0 || info.num_waiting > 0 {
        return Ok(count);
    }
    let mut again = 0;
    let mut messages = consumer.fetch().max_messages(delivered.min(LOOK_AT_MAX)).messages().await?;
    let mut fetched = Vec::new();
    while let Some(message) = messages.next().await {
        fetched.push(message?);
    }
    for message in fetched {
        again += usize::from(message.info()?.delivered > 1);
        message.ack_with(AckKind::Nak(None)).await?;
    }
    Ok(count + again)
}
