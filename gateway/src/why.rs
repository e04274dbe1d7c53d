//! Why an execution is where it is: what each unfinished part waits for, and what each try that failed was charged to.
//!
//! All of it is from the execution's journal, and from the plan that its first record names. What is written down nowhere is not
//! guessed: which items of a map a worker has in hands, or whether a worker that a try waits for is busy or not there.

mod fold;

use crate::error::ApiError;
use crate::progress::Phase;
use crate::shared::Shared;
use crate::views::{Plan, PlanNode, plan_of};
use fold::{Fold, Limits};
use serde::{Deserialize, Serialize};
use skein_model::{Event, ExecutionId, Head, JournalId, codec};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many tries that failed are told one by one, the last ones; the others are counted.
pub const TRIES_MAX: usize = 100;

/// How many characters of a message are told.
pub const MESSAGE_CHARS_MAX: usize = 1_024;

/// Why an execution, or a node of it, is where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The execution, as `project/domain/name`.
    pub execution: String,
    /// Where it stands.
    pub phase: Phase,
    /// What its unfinished parts wait for, in the order of the workflow; none when all has ended.
    pub waits: Vec<Wait>,
    /// The tries that failed, at most [`TRIES_MAX`], the last ones, in the order in which they did.
    pub tries: Vec<Try>,
    /// How many failed before those.
    pub earlier: u64,
}

/// What one part waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// The node; none for the execution itself.
    pub node: Option<String>,
    /// What it waits for, in words: "a worker".
    pub what: String,
    /// Since when, by RFC 3339 in UTC.
    pub since: String,
    /// How long that is by now, in seconds.
    pub seconds: f64,
    /// Until when at the most; none where nothing ends the wait.
    pub until: Option<String>,
}

/// A try that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// The node.
    pub node: String,
    /// The item of a map.
    pub item: Option<u32>,
    /// The number of the try, from 0.
    pub attempt: u32,
    /// When that was recorded, by RFC 3339 in UTC.
    pub at: String,
    /// The error's code.
    pub code: String,
    /// The end of the error's message, at most [`MESSAGE_CHARS_MAX`] characters: a traceback says last what it is about.
    pub message: String,
    /// Whose retries it was charged to.
    pub charged: Charged,
    /// How many tries of the node, or of the item, were charged so, this one included; none for an item.
    pub nth: Option<u32>,
    /// Whether it was tried again.
    pub again: bool,
}

/// Whose retries a try that failed was charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Charged {
    /// The task's own.
    Task,
    /// The system's.
    System,
    /// Nobody's: it was interrupted.
    Nobody,
}

impl Charged {
    /// Answers the word that stands for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::System => "system",
            Self::Nobody => "nobody",
        }
    }
}

impl From<skein_model::Charge> for Charged {
    fn from(charge: skein_model::Charge) -> Self {
        match charge {
            skein_model::Charge::User => Self::Task,
            skein_model::Charge::System => Self::System,
            skein_model::Charge::Interruption => Self::Nobody,
        }
    }
}

/// Says why an execution is where it is, or `node` of it alone.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such execution, or no such node in it.
pub(crate) async fn read(shared: &Shared, id: &ExecutionId, node: Option<&str>) -> Result<Why, ApiError> {
    let records = shared.log.read(&JournalId::execution(id), Head::EMPTY).await?;
    let mut fold = None;
    for envelope in &records {
        let events: Vec<Event> = codec::decode(envelope.schema, &envelope.record.body)
            .map_err(|error| ApiError::internal("a record of an execution", &error))?;
        for event in &events {
            match (&mut fold, event) {
                (None, Event::Created(created)) => {
                    let plan = plan_of(&shared.blobs.get_checked(&created.plan).await?, None);
                    let limits = limits(shared, id, &plan);
                    fold = Some(Fold::new(
                        plan,
                        created.settings.max_parallelism,
                        node.map(str::to_owned),
                        envelope.record.time,
                        shared.config.offer.clone(),
                        limits,
                    ));
                }
                (Some(fold), event) => {
                    if let Event::NodesMade { node, attempt, plan, .. } = event {
                        let made = shared.blobs.get_checked(plan).await?;
                        let made = plan_of(&made, Some((node, *attempt)));
                        let limits = limits(shared, id, &made);
                        fold.extend(made, limits);
                    }
                    fold.apply(event, envelope.record.time);
                }
                (None, _) => {}
            }
        }
    }
    let fold = fold.ok_or_else(|| ApiError::no_execution(id))?;
    if let Some(node) = node
        && !fold.has(node)
    {
        let named: Vec<&str> = fold.nodes().collect();
        return Err(ApiError::NotFound(format!(
            "execution {id} has no node {node}; it has {}",
            named.join(", ")
        )));
    }
    Ok(fold.why(id, shared.now()))
}

/// Answers by node how long it and its attempts may wait, by what their tasks and the server's rules say today.
fn limits(shared: &Shared, id: &ExecutionId, plan: &Plan) -> BTreeMap<String, Limits> {
    let seconds = |seconds: Option<u32>| seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let of = |node: &PlanNode| {
        let settings = shared.config.rules.resolve(id, &node.task.name, &node.settings);
        let limits =
            Limits { queued: seconds(settings.queued_seconds_max), node: seconds(settings.node_seconds_max) };
        (node.id.clone(), limits)
    };
    plan.nodes.iter().map(of).collect()
}
