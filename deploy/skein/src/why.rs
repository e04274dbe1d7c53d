//! `skein why`: says what an execution waits for.

use crate::address::{self, Asked};
use crate::ask::{self, Question};
use crate::words::{ended, harmless, span, tell};
use skein_gateway::why::{Charged, Try, Wait};
use skein_model::ExecutionId;
use std::process::ExitCode;

/// Say what each unfinished part of an execution waits for, and what each try that failed was charged to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with 0, and with 2 when the server cannot be asked or has no such execution or node."
)]
pub struct Why {
    /// Which: NAME, or PROJECT/DOMAIN/NAME. Default project and domain: flytesnacks and development
    #[arg(value_name = "EXECUTION", value_parser = address::execution)]
    pub execution: ExecutionId,
    /// Only this node of it, such as n0.
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
    #[command(flatten)]
    pub asked: Asked,
}

/// Asks, and prints the answer. What keeps it from asking is printed.
pub async fn run(why: &Why) -> ExitCode {
    ended(print(why).await)
}

async fn print(why: &Why) -> anyhow::Result<()> {
    let server = why.asked.server()?;
    let what: Vec<&str> = std::iter::once("why").chain(why.node.as_deref()).collect();
    let json = Question::of(&server, &why.execution, &what)?.json().await?;
    tell(why.asked.raw(&json), || Ok(lines(&ask::read(&json)?)))
}

fn lines(why: &skein_gateway::why::Why) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", why.execution, why.phase.word())];
    if why.waits.is_empty() {
        let what = if why.phase.is_terminal() { "it has ended" } else { "it has ended, or never begins" };
        lines.push(format!("  nothing waits: {what}"));
    }
    lines.extend(why.waits.iter().map(|wait| format!("  {}", of_wait(wait))));
    if why.earlier > 0 {
        lines.push(format!("  {} tries failed before these", why.earlier));
    }
    lines.extend(why.tries.iter().map(|failed| format!("  {}", of_try(failed))));
    lines
}

fn of_wait(wait: &Wait) -> String {
    let who = wait.node.as_deref().unwrap_or("the execution");
    let until = wait.until.as_ref().map(|until| format!(", until {until} at the latest"));
    let (what, waited) = (&wait.what, span(wait.seconds));
    format!("{who}  waits for {what}: for {waited}, since {}{}", wait.since, until.unwrap_or_default())
}

fn of_try(failed: &Try) -> String {
    let of = failed.item.map_or_else(|| failed.node.clone(), |item| format!("{}[{item}]", failed.node));
    let charged = match failed.charged {
        Charged::Task => "charged to the task",
        Charged::System => "charged to the system",
        Charged::Nobody => "charged to nobody",
    };
    let nth = failed.nth.map(|nth| format!(" ({nth})")).unwrap_or_default();
    let again = if failed.again { "tried again" } else { "not tried again" };
    let message = failed.message.trim().lines().last().unwrap_or_default().trim_start();
    format!(
        "{of}  try {} failed at {}, {charged}{nth}, {again}: {}: {}",
        failed.attempt.saturating_add(1),
        failed.at,
        harmless(&failed.code),
        harmless(message)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_gateway::progress::Phase;

    fn why(phase: Phase) -> skein_gateway::why::Why {
        skein_gateway::why::Why {
            execution: "p/d/abc".to_owned(),
            phase,
            waits: Vec::new(),
            tries: Vec::new(),
            earlier: 0,
        }
    }

    #[test]
    fn each_part_has_a_line_of_what_it_waits_for_and_each_try_one_of_who_paid() {
        let wait = Wait {
            node: Some("n0".to_owned()),
            what: "a worker".to_owned(),
            since: "2026-11-25T00:00:00Z".to_owned(),
            seconds: 75.0,
            until: Some("2026-11-25T00:02:00Z".to_owned()),
        };
        let failed = Try {
            node: "n0".to_owned(),
            item: Some(7),
            attempt: 0,
            at: "2026-11-25T00:00:00Z".to_owned(),
            code: "USER:Bad".to_owned(),
            message: "Traceback:\n  here\n    Bad: no \x1b[2Jwool\n".to_owned(),
            charged: Charged::Task,
            nth: None,
            again: true,
        };
        let said = skein_gateway::why::Why {
            waits: vec![wait],
            tries: vec![failed],
            earlier: 3,
            ..why(Phase::Running)
        };
        let expected = [
            "p/d/abc  RUNNING",
            "  n0  waits for a worker: for 1 min 15 s, since 2026-11-25T00:00:00Z, until 2026-11-25T00:02:00Z at the latest",
            "  3 tries failed before these",
            "  n0[7]  try 1 failed at 2026-11-25T00:00:00Z, charged to the task, tried again: USER:Bad: Bad: no \u{fffd}[2Jwool",
        ];
        assert_eq!(lines(&said), expected);
    }

    #[test]
    fn an_execution_that_has_ended_waits_for_nothing() {
        assert_eq!(lines(&why(Phase::Succeeded)), ["p/d/abc  SUCCEEDED", "  nothing waits: it has ended"]);
    }
}
