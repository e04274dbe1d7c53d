//! Has a task done within one call. There is no job that could be asked after: what breaks off is done again, as user code is.

use crate::answer::{Answer, JobState};
use crate::client::{CallError, Client};
use crate::failure;
use crate::request::Asked;
use crate::run::{Attempt, End, Trouble, stopped};
use skein_idl::flyteidl::admin::Resource;
use skein_idl::flyteidl::core::LiteralMap;
use skein_model::command::Outcome;
use skein_model::{Job, JobPhase};
use std::time::Duration;

impl Attempt {
    /// Has a task done within one call.
    pub(crate) async fn execute(&mut self, client: &Client, asked: &Asked) -> Result<Outcome, End> {
        let url = client.connector.url.clone();
        let inputs = self.inputs(asked).await?;
        let mut trouble = Trouble::new();
        loop {
            self.reach(client, &mut trouble).await?;
            let asked_for = self.asked_for(&url, JobPhase::Running);
            self.report(asked_for).await?;
            self.begin(client).await?;
            match self.call(client, asked, inputs.clone()).await? {
                Ok(answer) => return self.done(&url, asked, answer).await,
                Err(error @ CallError::NotSent(_)) => {
                    self.again(client, &mut trouble, &error.to_string()).await?;
                }
                Err(error @ CallError::Refused { .. }) => return Err(failure::refused(&url, &error).into()),
                Err(error @ CallError::Garbage(_)) => {
                    return Err(failure::answer(format!("connector {url}: {error}")).into());
                }
                Err(error @ CallError::Unanswered(_)) => {
                    let message = format!("connector {url}: {error}");
                    return Err(failure::fault("ConnectorFailed", message).into());
                }
            }
        }
    }

    async fn call(
        &mut self,
        client: &Client,
        asked: &Asked,
        inputs: LiteralMap,
    ) -> Result<Result<Resource, CallError>, End> {
        let limit = self.work.timeout.unwrap_or(Duration::MAX);
        let is_own = limit <= client.connector.sync_timeout;
        let call = client.execute(asked.header(), inputs, limit.min(client.connector.sync_timeout));
        tokio::select! {
            biased;
            // The connection is dropped with the call, by which the connector hears of it.
            end = stopped(&mut self.stop) => Err(end),
            () = tokio::time::sleep(limit), if is_own => Err(failure::timed_out(limit).into()),
            answered = call => Ok(answered),
        }
    }

    async fn done(&mut self, url: &str, asked: &Asked, resource: Resource) -> Result<Outcome, End> {
        let has_outputs = resource.outputs.is_some();
        let Answer { told, state } = Answer::of(resource.clone());
        let job = self.asked_for(url, JobPhase::Running);
        self.report(Job { logs: told.logs, custom_info: told.custom_info, ..job }).await?;
        match state {
            JobState::Succeeded(outputs) => self.keep(asked, outputs).await,
            JobState::Failed(failure) => Ok(Outcome::Failed(failure)),
            // Outputs that came without a header are all that there is to say.
            JobState::Garbage(_) if has_outputs && resource.phase == 0 => {
                self.keep(asked, resource.outputs).await
            }
            JobState::Garbage(why) => Err(failure::answer(format!(
                "connector {url}: what it says of the task means nothing: {why}"
            ))
            .into()),
            JobState::Open(phase) => {
                let why = format!(
                    "connector {url} says within one call that the task is {phase:?}, and not how it ended"
                );
                Err(failure::answer(why).into())
            }
        }
    }
}
