//! `skein show`: an execution as it was at any moment. `skein diff`: what is different between two.

use crate::address::{self, Asked};
use crate::ask::{self, Question};
use crate::words::{ended, harmless, tell};
use skein_gateway::diff::{Diff, Difference};
use skein_gateway::show::{Shown, ShownAttempt, ShownError, ShownNode};
use skein_model::ExecutionId;
use std::process::ExitCode;

/// Print the tree of an execution, as it is or as it was: its nodes, their tries and maps, errors and times.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with 0, and with 2 when the server cannot be asked, or has no such execution or moment of it."
)]
pub struct Show {
    /// Which: NAME, or PROJECT/DOMAIN/NAME. Default project and domain: flytesnacks and development
    #[arg(value_name = "EXECUTION", value_parser = address::execution)]
    pub execution: ExecutionId,
    /// When: a version of its journal, such as 12, or a time, such as 2026-11-27T12:30:00Z. Default: now
    #[arg(long, value_name = "VERSION|TIME")]
    pub at: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Name the first difference of two executions: in what was launched, inputs, settings, nodes, outputs, or how they ended.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with 0, also when they are different, and with 2 when the server cannot be asked or has not both."
)]
pub struct DiffOf {
    /// The one: NAME, or PROJECT/DOMAIN/NAME. Default project and domain: flytesnacks and development
    #[arg(value_name = "EXECUTION", value_parser = address::execution)]
    pub one: ExecutionId,
    /// The other.
    #[arg(value_name = "OTHER", value_parser = address::execution)]
    pub other: ExecutionId,
    /// Name all differences.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    asked: Asked,
}

/// Asks, and prints the answer. What keeps it from asking is printed.
pub async fn show(show: &Show) -> ExitCode {
    ended(print_show(show).await)
}

/// The same of two.
pub async fn diff(diff: &DiffOf) -> ExitCode {
    ended(print_diff(diff).await)
}

async fn print_show(show: &Show) -> anyhow::Result<()> {
    let at: Vec<(&str, String)> = show.at.iter().map(|at| ("at", at.clone())).collect();
    let question = Question::of(&show.asked.server()?, &show.execution, &[])?.about(&["show"], &at);
    let json = question.json().await?;
    tell(show.asked.raw(&json), || Ok(tree(&ask::read(&json)?)))
}

async fn print_diff(diff: &DiffOf) -> anyhow::Result<()> {
    let ExecutionId { project, domain, name } = &diff.other;
    let json =
        Question::of(&diff.asked.server()?, &diff.one, &["diff", project, domain, name])?.json().await?;
    tell(diff.asked.raw(&json), || Ok(differences(&ask::read(&json)?, diff.all)))
}

fn tree(shown: &Shown) -> Vec<String> {
    let Shown { execution, version, versions, at, phase, launched, workflow, .. } = shown;
    let mut lines = vec![
        format!("{execution}  {phase}  at {at}, version {version} of {versions}"),
        format!("  {}, workflow {}", harmless(launched), harmless(workflow)),
        format!("  {}", times("created", Some(&shown.created), shown.started.as_ref(), shown.ended.as_ref())),
    ];
    lines.extend(shown.error.iter().map(|error| format!("  {}", of_error(error))));
    shown.nodes.iter().for_each(|node| of_node(node, &mut lines));
    lines
}

fn of_node(node: &ShownNode, lines: &mut Vec<String>) {
    let indent = "  ".repeat(node.depth + 1);
    let ShownNode { id, phase, queued, started, ended, items, .. } = node;
    let items = items.map(|items| {
        let mut text = format!("  map of {}: {} succeeded", items.total, items.succeeded);
        let others = [
            (u64::from(items.failed), "failed"),
            (u64::from(items.waiting), "waiting"),
            (u64::from(items.aborted), "aborted"),
            (items.retried, "tried again"),
            (u64::from(items.cached), "from the cache"),
        ];
        for (count, word) in others.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {word}"));
        }
        text
    });
    let times = times("queued", Some(queued), started.as_ref(), ended.as_ref());
    lines.push(format!("{indent}{}  {phase}{}  {times}", harmless(id), items.unwrap_or_default()));
    lines.extend(node.attempts.iter().map(|attempt| format!("{indent}  {}", of_attempt(attempt))));
    lines.extend(node.error.iter().map(|error| format!("{indent}  {}", of_error(error))));
}

fn of_attempt(of: &ShownAttempt) -> String {
    let ShownAttempt { attempt, phase, worker, queued, started, ended, error } = of;
    let worker = worker.as_ref().map(|worker| format!(" on {}", harmless(worker)));
    let error = error.as_ref().map(|error| format!(": {}", of_error(error)));
    let times = times("queued", Some(queued), started.as_ref(), ended.as_ref());
    format!(
        "try {}  {phase}{}  {times}{}",
        attempt + 1,
        worker.unwrap_or_default(),
        error.unwrap_or_default()
    )
}

fn times(begun: &str, at: Option<&String>, started: Option<&String>, ended: Option<&String>) -> String {
    let each = [(begun, at), ("started", started), ("ended", ended)];
    let known = each.into_iter().filter_map(|(word, at)| Some(format!("{word} {}", at?)));
    known.collect::<Vec<_>>().join(", ")
}

/// A traceback says last what it is about.
fn of_error(ShownError { code, message }: &ShownError) -> String {
    let last = message.trim().lines().last().unwrap_or_default().trim_start();
    format!("{}: {}", harmless(code), harmless(last))
}

fn differences(diff: &Diff, all: bool) -> Vec<String> {
    let Some(first) = diff.differences.first() else {
        return vec![format!("{} and {} are not different", diff.one, diff.other)];
    };
    let count = diff.differences.len() + diff.more;
    if !all {
        let mut lines = vec![format!("the first difference: {}", of_difference(first))];
        if count > 1 {
            lines.push(format!("and {} more; --all names them", count - 1));
        }
        return lines;
    }
    let mut lines: Vec<String> = diff.differences.iter().map(of_difference).collect();
    if diff.more > 0 {
        lines.push(format!("and {} more", diff.more));
    }
    lines
}

fn of_difference(Difference { part, name, one, other }: &Difference) -> String {
    format!("{}: {}: {} / {}", part.word(), harmless(name), harmless(one), harmless(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_gateway::diff::Part;

    #[test]
    fn a_tree_is_indented_by_what_is_inside_of_what() {
        let node = |id: &str, depth| ShownNode {
            id: id.to_owned(),
            parent: None,
            depth,
            phase: "FAILED".to_owned(),
            error: Some(ShownError { code: "USER:E".to_owned(), message: "trace\n  no wool\n".to_owned() }),
            queued: "Q".to_owned(),
            started: Some("S".to_owned()),
            ended: None,
            items: None,
            attempts: Vec::new(),
        };
        let mut lines = Vec::new();
        of_node(&node("n1", 0), &mut lines);
        of_node(&node("n1-0-n0", 1), &mut lines);
        let expected = [
            "  n1  FAILED  queued Q, started S",
            "    USER:E: no wool",
            "    n1-0-n0  FAILED  queued Q, started S",
            "      USER:E: no wool",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_first_difference_is_named_and_the_others_when_asked_for() {
        let of = |part, name: &str| Difference {
            part,
            name: name.to_owned(),
            one: "1".to_owned(),
            other: "2".to_owned(),
        };
        let mut diff = Diff {
            one: "p/d/a".to_owned(),
            other: "p/d/b".to_owned(),
            differences: vec![of(Part::Inputs, "x"), of(Part::Outputs, "o0")],
            more: 0,
        };
        let first = "the first difference: inputs: x: 1 / 2";
        assert_eq!(differences(&diff, false), [first, "and 1 more; --all names them"]);
        assert_eq!(differences(&diff, true), ["inputs: x: 1 / 2", "outputs: o0: 1 / 2"]);
        diff.differences.clear();
        assert_eq!(differences(&diff, false), ["p/d/a and p/d/b are not different"]);
    }
}
