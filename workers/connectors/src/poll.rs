//! Asks after a job until it has ended.

use crate::answer::{Answer, JobState, Told};
use crate::cancel;
use crate::client::{CallError, Client};
use crate::failure;
use crate::notes::Note;
use crate::outputs;
use crate::request::{self, Asked};
use crate::run::{Attempt, End, Trouble, stopped};
use skein_idl::flyteidl::admin::{GetTaskRequest, GetTaskResponse};
use skein_idl::flyteidl::core::LiteralMap;
use skein_log::BlobError;
use skein_model::command::Outcome;
use skein_model::{FailureCause, Job};
use std::time::{Duration, Instant};
use tonic::Code;

/// What follows on one call.
enum Next {
    /// Ask again after this long.
    Wait(Duration),
    /// It is over.
    Over(Result<Outcome, End>),
}

impl Attempt {
    /// Asks after a job until it has ended; deletes it when it is withdrawn or takes too long.
    pub(crate) async fn poll(&mut self, client: &Client, asked: &Asked, job: Job) -> Result<Outcome, End> {
        let ended = self.follow(client, asked, job.clone()).await;
        let is_unwanted = match &ended {
            Err(End::Withdrawn) => true,
            Err(End::Reported(Outcome::Failed(failure))) | Ok(Outcome::Failed(failure)) => {
                matches!(failure.cause, FailureCause::TimedOut | FailureCause::JobUnresolved)
            }
            Err(End::Left | End::Reported(_)) | Ok(_) => false,
        };
        if is_unwanted {
            cancel::in_background(&self.shared, client.clone(), self.note(asked, &job));
        }
        ended
    }

    async fn follow(&mut self, client: &Client, asked: &Asked, mut job: Job) -> Result<Outcome, End> {
        let mut trouble = None;
        let mut changed = Instant::now();
        let mut wait = self.shared.config.pace.poll_after(Duration::ZERO, self.draw(0));
        let mut polls: u64 = 0;
        loop {
            self.wait_within(wait, &job).await?;
            polls += 1;
            let request = asked.get(job.resource_meta.clone().unwrap_or_default());
            let next = match self.ask(client, &request, trouble.is_some()).await? {
                Ok(answer) => {
                    let answer = answer.resource.map_or_else(nothing, Answer::of);
                    if self.take(&mut job, answer.told, &answer.state).await? {
                        changed = Instant::now();
                    }
                    trouble = None;
                    let quiet = changed.elapsed();
                    let wait = self.shared.config.pace.poll_after(quiet, self.draw(polls));
                    self.after(client, asked, &job, answer.state, wait).await
                }
                Err(error) => self.failed(client, asked, &job, error, &mut trouble).await?,
            };
            match next {
                Next::Wait(span) => wait = span,
                Next::Over(ended) => return ended,
            }
        }
    }

    /// Asks after the job, unless the attempt is to stop. In trouble, one of all that wait for the connector finds out whether it is
    /// there.
    async fn ask(
        &mut self,
        client: &Client,
        request: &GetTaskRequest,
        is_in_trouble: bool,
    ) -> Result<Result<GetTaskResponse, CallError>, End> {
        let call = async {
            if is_in_trouble {
                client.reach().await?;
            }
            client.get(request).await
        };
        tokio::select! {
            biased;
            end = stopped(&mut self.stop) => Err(end),
            answered = call => Ok(answered),
        }
    }

    /// Waits, but not longer than the job may take.
    async fn wait_within(&mut self, span: Duration, job: &Job) -> Result<(), End> {
        let Some(limit) = self.work.timeout else { return self.wait(span).await };
        let left = limit.saturating_sub(self.now().since(job.since));
        if left <= span {
            self.wait(left).await?;
            return Err(failure::timed_out(limit).into());
        }
        self.wait(span).await
    }

    /// Takes what was told, and records it if that is news; says whether the job is further. What is told with the end is recorded
    /// before it, and words alone now and then.
    async fn take(&mut self, job: &mut Job, told: Told, state: &JobState) -> Result<bool, End> {
        let Told { message, logs, custom_info } = told;
        let (phase, message) = match state {
            JobState::Open(phase) => (*phase, message),
            // It is the failure's own text, or is of no interest any more.
            JobState::Succeeded(_) | JobState::Failed(_) => (job.phase, job.message.clone()),
            JobState::Garbage(_) => return Ok(false),
        };
        *job = Job { phase, message, logs, custom_info, ..job.clone() };
        let is_open = matches!(state, JobState::Open(_));
        let is_further = self
            .job
            .as_ref()
            .is_none_or(|known| known.phase != job.phase || known.logs.is_empty() != job.logs.is_empty());
        if is_further || !is_open || self.shared.config.pace.tells_words(self.recorded.elapsed()) {
            self.report(job.clone()).await?;
        }
        Ok(is_further)
    }

    async fn after(
        &mut self,
        client: &Client,
        asked: &Asked,
        job: &Job,
        state: JobState,
        wait: Duration,
    ) -> Next {
        Next::Over(match state {
            JobState::Open(_) => return Next::Wait(wait),
            JobState::Succeeded(outputs) => self.keep(asked, outputs).await,
            JobState::Failed(failure) => Ok(Outcome::Failed(failure)),
            JobState::Garbage(why) => {
                let why = format!("what it says of its job means nothing: {why}");
                let meta = job.resource_meta.clone().unwrap_or_default();
                Err(self.give_up(client, &request::category(&asked.template), meta, &why).await)
            }
        })
    }

    /// Keeps the outputs of a job that is done, as soon as there is a store that takes them.
    pub(crate) async fn keep(&mut self, asked: &Asked, outputs: Option<LiteralMap>) -> Result<Outcome, End> {
        let mut failed = 0;
        loop {
            let kept = outputs::keep(&self.shared.blobs, &self.work, &asked.template, outputs.clone()).await;
            match kept {
                Ok(outcome) => return Ok(outcome),
                Err(error @ (BlobError::Unavailable { .. } | BlobError::Full { .. })) => {
                    tracing::warn!(%error, work = %self.work.id, "the outputs of a job wait for a store that takes them");
                }
                Err(error) => return Err(failure::not_started(&error).into()),
            }
            failed += 1;
            self.wait(self.again_after(failed)).await?;
        }
    }

    async fn failed(
        &mut self,
        client: &Client,
        asked: &Asked,
        job: &Job,
        error: CallError,
        trouble: &mut Option<Trouble>,
    ) -> Result<Next, End> {
        let url = &client.connector.url;
        if let CallError::Refused { code: Code::NotFound, text } = &error
            && self.does(client, asked).await
        {
            let message = format!("connector {url} has forgotten its job: {text}");
            return Ok(Next::Over(Ok(Outcome::Failed(failure::fault("JobForgotten", message)))));
        }
        let trouble = trouble.get_or_insert_with(Trouble::new);
        if trouble.lasts() >= client.connector.give_up_after {
            let why =
                format!("{error}; that has gone on for {} s", client.connector.give_up_after.as_secs_f64());
            let meta = job.resource_meta.clone().unwrap_or_default();
            return Ok(Next::Over(Err(self
                .give_up(client, &request::category(&asked.template), meta, &why)
                .await)));
        }
        self.cannot_be_reached(url, &error.to_string()).await?;
        Ok(Next::Wait(self.again_after(trouble.again())))
    }

    /// Says whether the connector does tasks of the type at all: one that was started without them finds no job of theirs, and
    /// has forgotten none.
    async fn does(&self, client: &Client, asked: &Asked) -> bool {
        let category = request::category(&asked.template);
        match client.list().await {
            #[expect(deprecated, reason = "connectors of before say nothing else")]
            Ok(answer) => answer.agents.iter().any(|agent| {
                agent.supported_task_categories.contains(&category)
                    || agent.supported_task_types.contains(&category.name)
            }),
            // It cannot say, and was asked for the job by its own words.
            Err(CallError::Refused { code: Code::Unimplemented, .. }) => true,
            Err(_) => false,
        }
    }

    fn note(&self, asked: &Asked, job: &Job) -> Note {
        let category = request::category(&asked.template);
        Note {
            work: self.work.id.clone(),
            connector: job.connector.clone(),
            task_type: category.name,
            task_type_version: category.version,
            resource_meta: job.resource_meta.clone().unwrap_or_default(),
            since: job.since,
        }
    }
}

/// Of an answer in which nothing stands.
fn nothing() -> Answer {
    let state = JobState::Garbage("it is empty".to_owned());
    Answer { told: Told::default(), state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_answer_means_nothing() {
        assert!(matches!(nothing().state, JobState::Garbage(_)));
    }
}
