//! `skein cache`: lists what cached tasks have left for others, and has it no longer count.

use crate::address::{self, Asked, DOMAIN, PROJECT};
use crate::ask::{self, Question};
use crate::words::{ended, harmless, tell};
use skein_gateway::cache::{CachedTask, Evicted};
use skein_model::ExecutionId;
use std::process::ExitCode;

/// What to do with the cache.
#[derive(Debug, clap::Subcommand)]
pub enum Cache {
    /// List the tasks whose outputs the cache has.
    Ls(Ls),
    /// Have outputs no longer count: the tasks run again, and what they give is kept anew.
    Evict(Evict),
}

/// Which tasks are listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 0, and with 2 when the server cannot be asked.")]
pub struct Ls {
    /// Only the task of this name.
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
    /// Only tasks of this project. Default: all
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// Only tasks of this domain. Default: all
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// What no longer counts.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with 0, and with 2 when the server cannot be asked or knows no such task, execution or node."
)]
pub struct Evict {
    /// All that the task of this name has left.
    #[arg(value_name = "TASK", required_unless_present = "execution", conflicts_with = "execution")]
    pub task: Option<String>,
    /// Only what it has left under this cache version. Default: under all
    #[arg(long, value_name = "VERSION", requires = "task")]
    pub version: Option<String>,
    /// The task's project.
    #[arg(long, value_name = "NAME", default_value = PROJECT, conflicts_with = "execution")]
    pub project: String,
    /// Its domain.
    #[arg(long, value_name = "NAME", default_value = DOMAIN, conflicts_with = "execution")]
    pub domain: String,
    /// What this execution has left or was given: NAME, or PROJECT/DOMAIN/NAME.
    #[arg(long, value_name = "EXECUTION", value_parser = address::execution)]
    pub execution: Option<ExecutionId>,
    /// Only this node of it, such as n0.
    #[arg(long, value_name = "NODE", requires = "execution")]
    pub node: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Asks, and prints the answer. What keeps it from asking is printed.
pub async fn run(cache: &Cache) -> ExitCode {
    let done = match cache {
        Cache::Ls(ls) => list(ls).await,
        Cache::Evict(which) => evict(which).await,
    };
    ended(done)
}

async fn list(ls: &Ls) -> anyhow::Result<()> {
    let narrowed = [("project", &ls.project), ("domain", &ls.domain), ("task", &ls.task)];
    let query: Vec<(&str, &str)> =
        narrowed.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let json = Question::at(&ls.asked.server()?, &["cache"], &query)?.json().await?;
    tell(ls.asked.raw(&json), || Ok(lines(&ask::read::<skein_gateway::cache::Cache>(&json)?.datasets)))
}

async fn evict(which: &Evict) -> anyhow::Result<()> {
    let server = which.asked.server()?;
    let question = match (&which.execution, &which.task) {
        (Some(execution), _) => {
            let what: Vec<&str> = std::iter::once("cache").chain(which.node.as_deref()).collect();
            Question::of(&server, execution, &what)?
        }
        (None, task) => {
            let task = task.as_deref().unwrap_or_default();
            let query: Vec<(&str, &str)> =
                which.version.iter().map(|version| ("version", version.as_str())).collect();
            Question::at(&server, &["cache", &which.project, &which.domain, task], &query)?
        }
    };
    let json = question.delete().await?;
    tell(which.asked.raw(&json), || {
        let Evicted { evicted } = ask::read(&json)?;
        Ok(vec![format!("{evicted} {} evicted", entries(evicted))])
    })
}

const fn entries(count: usize) -> &'static str {
    if count == 1 { "entry" } else { "entries" }
}

fn lines(tasks: &[CachedTask]) -> Vec<String> {
    if tasks.is_empty() {
        return vec!["the cache has nothing of such a task".to_owned()];
    }
    let line = |of: &CachedTask| {
        let CachedTask { project, domain, task, version, entries: count, stored_at, .. } = of;
        let last = stored_at.as_ref().map(|at| format!(", the last of {at}"));
        format!(
            "{project}/{domain}/{}  version {}: {count} {}{}",
            harmless(task),
            harmless(version),
            entries(*count),
            last.unwrap_or_default()
        )
    };
    tasks.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_of_a_task_has_a_line() {
        let task = |version: &str, entries, stored_at: Option<&str>| CachedTask {
            project: "p".to_owned(),
            domain: "d".to_owned(),
            task: "wool.spin".to_owned(),
            version: version.to_owned(),
            interface: "0".repeat(32),
            entries,
            stored_at: stored_at.map(str::to_owned),
        };
        let tasks = [task("1", 1, Some("2026-11-27T00:00:00Z")), task("2\x1b", 0, None)];
        let expected = [
            "p/d/wool.spin  version 1: 1 entry, the last of 2026-11-27T00:00:00Z",
            "p/d/wool.spin  version 2\u{fffd}: 0 entries",
        ];
        assert_eq!(lines(&tasks), expected);
        assert_eq!(lines(&[]), ["the cache has nothing of such a task"]);
    }
}
