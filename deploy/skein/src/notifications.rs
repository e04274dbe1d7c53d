//! `skein notifications`: lists who was told of ends of executions, and has somebody told again.

use crate::address::{self, Asked};
use crate::ask::{self, Question};
use crate::words::{ended, harmless, tell};
use skein_gateway::notifications::{LISTED_MAX, Notice, NoticeState, Notices};
use skein_model::notification::NoticeId;
use std::process::ExitCode;

/// What to do with notices.
#[derive(Debug, clap::Subcommand)]
pub enum Notifications {
    /// List who was told, or is to be told, that executions have ended; the latest first.
    Ls(Ls),
    /// Send one again, whatever became of it.
    Resend(Resend),
}

/// Which are listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 0, and with 2 when the server cannot be asked.")]
pub struct Ls {
    /// Only those that were given up.
    #[arg(long)]
    pub dead: bool,
    #[command(flatten)]
    asked: Asked,
}

/// Which is sent.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Ends with 0 when it is noted that it is to be sent, and with 2 when the server cannot be asked or has no such notice."
)]
pub struct Resend {
    /// Which: as `skein notifications ls` names it, NAME/NUMBER or PROJECT/DOMAIN/NAME/NUMBER.
    #[arg(value_name = "ID", value_parser = notice)]
    pub id: NoticeId,
    #[command(flatten)]
    asked: Asked,
}

fn notice(text: &str) -> Result<NoticeId, String> {
    let found = text.rsplit_once('/').and_then(|(execution, notice)| Some((execution, notice.parse().ok()?)));
    let (execution, notice) = found
        .ok_or_else(|| format!("{text:?} names no notice; say NAME/NUMBER or PROJECT/DOMAIN/NAME/NUMBER"))?;
    Ok(NoticeId { execution: address::execution(execution)?, notice })
}

/// Asks, and prints the answer. What keeps it from asking is printed.
pub async fn run(what: &Notifications) -> ExitCode {
    ended(match what {
        Notifications::Ls(ls) => list(ls).await,
        Notifications::Resend(which) => resend(which).await,
    })
}

async fn list(ls: &Ls) -> anyhow::Result<()> {
    let narrowed: &[(&str, &str)] = if ls.dead { &[("dead", "true")] } else { &[] };
    let json = Question::at(&ls.asked.server()?, &["notifications"], narrowed)?.json().await?;
    tell(ls.asked.raw(&json), || Ok(lines(&ask::read::<Notices>(&json)?.notices)))
}

async fn resend(which: &Resend) -> anyhow::Result<()> {
    let NoticeId { execution, notice } = &which.id;
    let notice = notice.to_string();
    let path = ["notifications", &execution.project, &execution.domain, &execution.name, &notice, "resend"];
    let json = Question::at(&which.asked.server()?, &path, &[])?.order().await?;
    tell(which.asked.raw(&json), || {
        let notice: Notice = ask::read(&json)?;
        Ok(vec![format!("{} is sent again to {}", notice.id, harmless(&notice.channel))])
    })
}

fn lines(notices: &[Notice]) -> Vec<String> {
    if notices.is_empty() {
        return vec!["there is no such notice".to_owned()];
    }
    let mut lines: Vec<String> = notices.iter().map(line).collect();
    if notices.len() >= LISTED_MAX as usize {
        lines.push(format!("these are the latest {LISTED_MAX}"));
    }
    lines
}

fn line(notice: &Notice) -> String {
    let Notice { id, channel, phase, ended_at, state, tries, updated_at, again_at, reason } = notice;
    let tried = if *tries == 1 { "once".to_owned() } else { format!("{tries} times") };
    let stands = match (state, again_at) {
        (NoticeState::Due, _) if *tries == 0 => "due".to_owned(),
        (NoticeState::Due, again) => {
            let again = again.as_ref().map(|at| format!(", again at {at}"));
            format!("due, tried {tried}{}", again.unwrap_or_default())
        }
        (NoticeState::Sent | NoticeState::Dead, _) => {
            format!("{} at {updated_at}, tried {tried}", state.word())
        }
    };
    let reason = if reason.is_empty() { String::new() } else { format!(": {}", harmless(reason)) };
    format!("{id}  {phase} at {ended_at}  to {}  {stands}{reason}", harmless(channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_named_with_its_execution() {
        let id = notice("f1/2").expect("it is right");
        assert_eq!(id.to_string(), "flytesnacks/development/f1/2");
        assert_eq!(notice("p/d/f1/0").expect("it is right").to_string(), "p/d/f1/0");
        assert_eq!(
            notice("f1").expect_err("it has no number"),
            "\"f1\" names no notice; say NAME/NUMBER or PROJECT/DOMAIN/NAME/NUMBER"
        );
    }

    #[test]
    fn each_notice_says_where_it_stands_and_why() {
        let notice = |state, tries, again_at: Option<&str>, reason: &str| Notice {
            id: "p/d/f1/0".to_owned(),
            channel: "webhook ops".to_owned(),
            phase: "FAILED".to_owned(),
            ended_at: "2026-11-27T00:00:00Z".to_owned(),
            state,
            tries,
            updated_at: "2026-11-27T00:00:01Z".to_owned(),
            again_at: again_at.map(str::to_owned),
            reason: reason.to_owned(),
        };
        let head = "p/d/f1/0  FAILED at 2026-11-27T00:00:00Z  to webhook ops  ";
        assert_eq!(line(&notice(NoticeState::Due, 0, None, "")), format!("{head}due"));
        assert_eq!(
            line(&notice(NoticeState::Due, 1, Some("2026-11-27T00:00:03Z"), "it answers 500")),
            format!("{head}due, tried once, again at 2026-11-27T00:00:03Z: it answers 500")
        );
        assert_eq!(
            line(&notice(NoticeState::Dead, 3, None, "it answers 500")),
            format!("{head}dead at 2026-11-27T00:00:01Z, tried 3 times: it answers 500")
        );
        assert_eq!(lines(&[]), ["there is no such notice"]);
    }
}
