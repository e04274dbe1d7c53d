//! Many messages in one request, without a consumer: works while nothing can be created.

use super::api::Api;
use async_nats::StatusCode;
use async_nats::jetstream::message::StreamMessage;
use futures::StreamExt;
use tokio::time::timeout;

/// The most messages of one page.
const PAGE_MESSAGES_MAX: usize = 1000;
/// The size at which a page ends, in bytes.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The status after the last message of a batch.
const END_OF_BATCH: u16 = 204;

impl Api {
    /// Reads the messages of `subject` (which may be a filter) from `sequence` on, in order; none when there are none.
    ///
    /// Any replica may answer (batch direct get, ADR-31), so the end of the stream may be missing.
    pub(super) async fn page(
        &self,
        stream: &str,
        subject: &str,
        sequence: u64,
    ) -> Result<Vec<StreamMessage>, String> {
        // Subjects here hold no quotes, backslashes or control characters: see `names::token`.
        let request = format!(
            r#"{{"batch":{PAGE_MESSAGES_MAX},"max_bytes":{PAGE_BYTES_MAX},"seq":{sequence},"next_by_subj":"{subject}"}}"#
        );
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(|error| error.to_string())?;
        self.client
            .publish_with_reply(format!("$JS.API.DIRECT.GET.{stream}"), inbox, request.into())
            .await
            .map_err(|error| error.to_string())?;
        let mut page = Vec::new();
        loop {
            let answer = timeout(self.settings.request_timeout, answers.next())
                .await
                .map_err(|_| format!("no answer within {:?}", self.settings.request_timeout))?
                .ok_or("the connection is closed")?;
            match answer.status {
                None => page.push(StreamMessage::try_from(answer).map_err(|error| error.to_string())?),
                // The end of the batch, or nothing there.
                Some(status) if status.as_u16() == END_OF_BATCH || status == StatusCode::NOT_FOUND => {
                    return Ok(page);
                }
                Some(status) => return Err(format!("direct get answers {status}")),
            }
        }
    }
}
