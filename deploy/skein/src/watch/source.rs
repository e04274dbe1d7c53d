//! Asks a server how far an execution is.

use super::Received;
use super::events::{Event, Events};
use crate::address::Server;
use crate::ask::{self, Question, Refusal};
use anyhow::anyhow;
use reqwest::Response;
use reqwest::header::HeaderValue;
use skein_gateway::progress::Progress;
use skein_model::ExecutionId;
use std::collections::VecDeque;
use std::time::Duration;

/// How long is waited before a server that was lost is asked again, and how often.
const RETRY: Duration = Duration::from_secs(1);
const RETRIES_MAX: u32 = 60;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What comes next.
pub enum Next {
    /// A newer state, and its JSON.
    Progress(Progress, String),
    /// The server is gone for now, and why; it is asked again.
    Lost(String),
}

/// One execution on one server.
pub struct Source {
    question: Question,
    stream: Option<Response>,
    events: Events,
    received: VecDeque<Event>,
    retries: u32,
}

impl Source {
    /// Prepares to ask.
    ///
    /// # Errors
    /// When the server's address is none.
    pub fn of(server: &Server, execution: &ExecutionId) -> anyhow::Result<Self> {
        Ok(Self {
            question: Question::of(server, execution, &["progress"])?,
            stream: None,
            events: Events::default(),
            received: VecDeque::new(),
            retries: 0,
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn now(&self) -> anyhow::Result<Received> {
        let json = self.question.json().await?;
        Ok((ask::read(&json)?, json))
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// As [`Source::now`].
    pub async fn open(&mut self) -> Result<(), anyhow::Error> {
        Ok(self.connect().await?)
    }

    async fn connect(&mut self) -> Result<(), Refusal> {
        self.events = Events::default();
        self.received.clear();
        self.stream = Some(self.question.ask(EVENT_STREAM).await?);
        Ok(())
    }

    /// Waits for what comes next. A server that is gone is asked again; that is told once.
    ///
    /// # Errors
    /// When the server refuses, says what cannot be understood, or stays away.
    pub async fn next(&mut self) -> anyhow::Result<Next> {
        loop {
            while let Some(event) = self.received.pop_front() {
                if event.name == "progress" {
                    self.retries = 0;
                    return Ok(Next::Progress(ask::read(&event.data)?, event.data));
                }
            }
            let Err(why) = self.receive().await else { continue };
            let Refusal::Passing(why) = why else { return Err(why.into()) };
            self.stream = None;
            self.retries += 1;
            if self.retries > RETRIES_MAX {
                return Err(
                    why.context(format!("{} was asked {RETRIES_MAX} times in vain", self.question.server))
                );
            }
            if self.retries == 1 {
                return Ok(Next::Lost(format!("{} is gone ({why:#}); asking again", self.question.server)));
            }
        }
    }

    /// Takes what the server says next; connects again first, after a while, where that is needed.
    async fn receive(&mut self) -> Result<(), Refusal> {
        let Some(stream) = &mut self.stream else {
            tokio::time::sleep(RETRY).await;
            return self.connect().await;
        };
        let bytes = stream.chunk().await.map_err(|error| Refusal::Passing(error.into()))?;
        let bytes = bytes.ok_or_else(|| Refusal::Passing(anyhow!("it has ended the watch")))?;
        let events = self.events.take(&bytes).map_err(|error| Refusal::Final(error.into()))?;
        self.received.extend(events);
        Ok(())
    }
}
