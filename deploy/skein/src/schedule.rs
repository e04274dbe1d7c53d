//! `skein schedule`: lists the launch plans that start by themselves.

use crate::address::Asked;
use crate::ask::{self, Question};
use crate::words::{ended, harmless, tell};
use skein_gateway::schedules::{Scheduled, Schedules, Skipped, Ticked};
use std::process::ExitCode;

/// What to do with schedules.
#[derive(Debug, clap::Subcommand)]
pub enum ScheduleCommand {
    /// List the active launch plans that have one: when they start next, when they did last, and what was left out.
    Ls(Ls),
}

/// Which schedules are listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Times are in UTC. A schedule starts with `pyflyte launchplan --activate NAME VERSION` and ends with --deactivate.
Ends with 0, and with 2 when the server cannot be asked.")]
pub struct Ls {
    /// Only that of the launch plan of this name.
    #[arg(value_name = "LAUNCH_PLAN")]
    pub name: Option<String>,
    /// Only those of this project. Default: all
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// Only those of this domain. Default: all
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Asks, and prints the answer. What keeps it from asking is printed.
pub async fn run(command: &ScheduleCommand) -> ExitCode {
    let ScheduleCommand::Ls(ls) = command;
    ended(list(ls).await)
}

async fn list(ls: &Ls) -> anyhow::Result<()> {
    let narrowed = [("project", &ls.project), ("domain", &ls.domain), ("name", &ls.name)];
    let query: Vec<(&str, &str)> =
        narrowed.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let json = Question::at(&ls.asked.server()?, &["schedules"], &query)?.json().await?;
    tell(ls.asked.raw(&json), || Ok(lines(&ask::read::<Schedules>(&json)?.schedules)))
}

fn lines(schedules: &[Scheduled]) -> Vec<String> {
    if schedules.is_empty() {
        return vec!["no launch plan with a schedule is active".to_owned()];
    }
    schedules.iter().flat_map(of_one).collect()
}

fn of_one(scheduled: &Scheduled) -> Vec<String> {
    let Scheduled { project, domain, name, version, since, expression, time_zone, .. } = scheduled;
    let zone = time_zone.as_ref().map(|zone| format!(" ({})", harmless(zone)));
    let mut lines = vec![
        format!("{project}/{domain}/{}  version {}, active since {since}", harmless(name), harmless(version)),
        format!(
            "  {}{}, catch-up {}",
            harmless(expression),
            zone.unwrap_or_default(),
            harmless(&scheduled.catch_up)
        ),
        format!("  next  {}", scheduled.next.as_deref().unwrap_or("never: all its times have passed")),
    ];
    lines.push(match &scheduled.last {
        None => "  last  none yet".to_owned(),
        Some(Ticked { at, execution, version: of, refused: None }) if of == version => {
            format!("  last  {at}  {execution}")
        }
        Some(Ticked { at, execution, version: of, refused: None }) => {
            format!("  last  {at}  {execution} of version {}", harmless(of))
        }
        Some(Ticked { at, refused: Some(why), .. }) => {
            format!("  last  {at}  not started: {}", harmless(why))
        }
    });
    if let Some(Skipped { first, last, ticks, why }) = &scheduled.skipped {
        let times = match ticks {
            1 => first.clone(),
            ticks if *ticks >= skein_model::schedule::Skip::TICKS_MAX => {
                format!("{ticks} times or more from {first} to {last}")
            }
            ticks => format!("{ticks} times from {first} to {last}"),
        };
        lines.push(format!("  left out  {times}: {}", harmless(why)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduled() -> Scheduled {
        Scheduled {
            project: "p".to_owned(),
            domain: "d".to_owned(),
            name: "etl.daily".to_owned(),
            version: "v2".to_owned(),
            since: "2026-11-23T11:30:44Z".to_owned(),
            expression: "0 9 * * *".to_owned(),
            time_zone: Some("Europe/Berlin".to_owned()),
            catch_up: "last".to_owned(),
            next: Some("2026-11-24T08:00:00Z".to_owned()),
            last: None,
            skipped: None,
        }
    }

    #[test]
    fn each_has_lines_for_what_it_says_what_comes_next_and_what_came_last() {
        assert_eq!(
            lines(&[scheduled()]),
            [
                "p/d/etl.daily  version v2, active since 2026-11-23T11:30:44Z",
                "  0 9 * * * (Europe/Berlin), catch-up last",
                "  next  2026-11-24T08:00:00Z",
                "  last  none yet",
            ]
        );
    }

    #[test]
    fn what_was_not_started_or_left_out_is_told_with_why() {
        let ticked = Ticked {
            at: "2026-11-23T08:00:00Z".to_owned(),
            execution: "f0".to_owned(),
            version: "v1".to_owned(),
            refused: None,
        };
        let skipped = Skipped {
            first: "2026-11-20T08:00:00Z".to_owned(),
            last: "2026-11-22T08:00:00Z".to_owned(),
            ticks: 3,
            why: "they were missed".to_owned(),
        };
        let of = Scheduled { last: Some(ticked.clone()), skipped: Some(skipped), next: None, ..scheduled() };
        assert_eq!(
            lines(&[of])[2..],
            [
                "  next  never: all its times have passed",
                "  last  2026-11-23T08:00:00Z  f0 of version v1",
                "  left out  3 times from 2026-11-20T08:00:00Z to 2026-11-22T08:00:00Z: they were missed",
            ]
        );
        let refused = Ticked { refused: Some("project [p] is not active".to_owned()), ..ticked };
        assert_eq!(
            lines(&[Scheduled { last: Some(refused), ..scheduled() }])[3],
            "  last  2026-11-23T08:00:00Z  not started: project [p] is not active"
        );
        assert_eq!(lines(&[]), ["no launch plan with a schedule is active"]);
    }
}
