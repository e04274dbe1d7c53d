//! `skein logs`: shows what tasks printed, also while they print it.

use crate::address::{self, Which};
use crate::ask::{self, Question, Refusal};
use crate::words::{ended, is_broken_pipe};
use anyhow::{Context as _, anyhow};
use reqwest::header::HeaderValue;
use skein_gateway::printed::{Log, Logs};
use skein_model::ExecutionId;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// How often it is asked whether there is more.
const PERIOD: Duration = Duration::from_secs(1);
/// How often a server that was lost is asked again.
const RETRIES_MAX: u32 = 60;

const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");
const FROM: &str = "skein-log-from";
const ENDED: &str = "skein-log-ended";
const ATTEMPT: &str = "skein-log-attempt";

/// Show what the tasks of an execution printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows each attempt of each node, and each range of items of a map that ran together; where there are several, a line says
whose output follows. With --follow it goes on until the execution, or what was named of it, has ended. Bytes are shown as
they were printed. Ends with 0, and with 2 when the server cannot be asked or has no such execution, node, attempt or item.")]
pub struct LogsOf {
    /// Which: NAME, or PROJECT/DOMAIN/NAME. Default project and domain: flytesnacks and development
    #[arg(value_name = "EXECUTION", value_parser = address::execution)]
    pub execution: ExecutionId,
    /// Only this node of it, such as n0.
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
    /// Only this attempt, counted from 0. Default: all; of an item the last
    #[arg(long, value_name = "N", requires = "node")]
    pub attempt: Option<u32>,
    /// Only what this item of a map printed, counted from 0.
    #[arg(long, value_name = "N", requires = "node")]
    pub item: Option<u32>,
    /// Go on while more is printed, until the end.
    #[arg(long, short)]
    pub follow: bool,
    /// Begin with the last lines of each output.
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u32>,
    #[command(flatten)]
    which: Which,
}

/// Asks, and shows the answer. What keeps it from that is printed.
pub async fn run(logs: &LogsOf) -> ExitCode {
    ended(show(logs).await)
}

async fn show(logs: &LogsOf) -> anyhow::Result<()> {
    let server = logs.which.server()?;
    let question = Question::of(&server, &logs.execution, &["logs"])?;
    let mut shown =
        Shown { logs, question, outputs: BTreeMap::new(), last: None, is_begun: false, pinned: None };
    let mut retries = 0;
    loop {
        match shown.turn().await {
            Ok(true) => return Ok(()),
            Ok(false) if !logs.follow => return Ok(()),
            Ok(false) => retries = 0,
            Err(Refusal::Passing(why)) if logs.follow && retries < RETRIES_MAX && !is_broken_pipe(&why) => {
                if retries == 0 {
                    eprintln!("skein: {} is gone ({why:#}); asking again", shown.question.server);
                }
                retries += 1;
            }
            Err(refusal) => return Err(refusal.into()),
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// What has been shown.
struct Shown<'a> {
    logs: &'a LogsOf,
    question: Question,
    outputs: BTreeMap<Output, Progress>,
    last: Option<Output>,
    is_begun: bool,
    /// The attempt of an item that is shown without one being named: positions count in it alone.
    pinned: Option<u32>,
}

/// Names an output: node, attempt, and items.
type Output = (String, Option<u32>, Items);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Items {
    All,
    One(u32),
    Range(u32, u32),
}

/// How far an output has been shown.
#[derive(Default)]
struct Progress {
    /// The position of the next byte; none before the first was asked for.
    next: Option<u64>,
    has_ended: bool,
}

impl Shown<'_> {
    /// Shows what is new; says whether that was all for ever.
    async fn turn(&mut self) -> Result<bool, Refusal> {
        let logs = self.logs;
        if let (Some(node), Some(item)) = (&logs.node, logs.item) {
            let output = (node.clone(), logs.attempt, Items::One(item));
            self.more(&output).await?;
            return Ok(self.has_ended(&output));
        }
        let node = logs.node.as_ref().map(|node| ("node", node.clone()));
        let list = self.question.about(&["logs"], node.as_slice()).json().await?;
        let Logs { ended, logs: mut found, .. } = ask::read(&list).map_err(Refusal::Final)?;
        if let Some(attempt) = logs.attempt {
            let last = found.iter().map(|log| log.attempt).max();
            found.retain(|log| log.attempt == attempt);
            if found.is_empty() && (ended || !logs.follow || last.is_some_and(|last| last > attempt)) {
                let node = logs.node.as_deref().unwrap_or_default();
                return Err(Refusal::Final(anyhow!("node {node} has no attempt {attempt} that has begun")));
            }
        }
        let is_one = !found.is_empty() && logs.attempt.is_some() && found.iter().all(|log| log.ended);
        let is_alone = found.len() < 2;
        for Log { node, attempt, items, ended } in found {
            let items = items.map_or(Items::All, |(start, end)| Items::Range(start, end));
            let output = (node, Some(attempt), items);
            if self.has_ended(&output) {
                continue;
            }
            if !is_alone && !self.is_begun {
                self.head(&output)?;
            }
            self.more(&output).await?;
            if ended {
                self.outputs.entry(output).or_default().has_ended = true;
            }
        }
        Ok(ended || (is_one && logs.item.is_none() && self.is_task()))
    }

    /// Says whether what is shown is of a task: a map may try more items again.
    fn is_task(&self) -> bool {
        self.outputs.keys().all(|(_, _, items)| *items == Items::All)
    }

    fn has_ended(&self, output: &Output) -> bool {
        self.outputs.get(output).is_some_and(|progress| progress.has_ended)
    }

    /// Shows what there is more of an output.
    async fn more(&mut self, output: &Output) -> Result<(), Refusal> {
        let (node, attempt, items) = output;
        let mut query: Vec<(&str, String)> = Vec::new();
        query.extend(attempt.or(self.pinned).map(|attempt| ("attempt", attempt.to_string())));
        match items {
            Items::All => {}
            Items::One(item) => query.push(("item", item.to_string())),
            Items::Range(start, end) => query.push(("items", format!("{start}-{end}"))),
        }
        match (self.outputs.get(output).and_then(|progress| progress.next), self.logs.tail) {
            (Some(next), _) => query.push(("from", next.to_string())),
            (None, Some(lines)) => query.push(("tail", lines.to_string())),
            (None, None) => {}
        }
        let mut answer = self.question.about(&["logs", node], &query).ask(ANYTHING).await?;
        let said = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let from = said(FROM).and_then(|from| from.parse::<u64>().ok());
        let mut next =
            from.context("the server does not say where its answer begins").map_err(Refusal::Final)?;
        let ended = said(ENDED) == Some("true");
        if attempt.is_none() {
            self.pinned = said(ATTEMPT).and_then(|attempt| attempt.parse().ok());
        }
        while let Some(text) = answer.chunk().await.map_err(|error| Refusal::Passing(error.into()))? {
            if self.last.as_ref() != Some(output) && self.last.is_some() {
                self.head(output)?;
            }
            self.last = Some(output.clone());
            self.is_begun = true;
            write(&text)?;
            next += text.len() as u64;
            self.outputs.entry(output.clone()).or_default().next = Some(next);
        }
        let progress = self.outputs.entry(output.clone()).or_default();
        (progress.next, progress.has_ended) = (Some(next), ended);
        Ok(())
    }

    /// Says whose output follows.
    fn head(&mut self, output: &Output) -> Result<(), Refusal> {
        let between = if self.is_begun { "\n" } else { "" };
        write(format!("{between}==> {} <==\n", name_of(output)).as_bytes())?;
        self.last = Some(output.clone());
        self.is_begun = true;
        Ok(())
    }
}

fn name_of((node, attempt, items): &Output) -> String {
    let attempt = attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
    match items {
        Items::All => format!("{node}{attempt}"),
        Items::One(item) => format!("{node}{attempt}, item {item}"),
        Items::Range(start, end) => format!("{node}{attempt}, items {start}-{end}"),
    }
}

fn write(bytes: &[u8]) -> Result<(), Refusal> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Refusal::Final(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_named_by_node_attempt_and_items() {
        let named = |attempt, items| name_of(&("n0".to_owned(), attempt, items));
        assert_eq!(named(Some(1), Items::All), "n0, attempt 1");
        assert_eq!(named(Some(0), Items::Range(4, 8)), "n0, attempt 0, items 4-8");
        assert_eq!(named(None, Items::One(7)), "n0, item 7");
    }
}
