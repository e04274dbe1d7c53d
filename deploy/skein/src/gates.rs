//! `skein signal`: lists what gates of an execution wait for, and lets them go on.

use crate::address::{self, Asked};
use crate::ask::{self, Question};
use crate::words::{ended, harmless, tell};
use skein_gateway::signals::{Given, Signals};
use skein_model::ExecutionId;
use std::process::ExitCode;

/// What to do with signals.
#[derive(Debug, clap::Subcommand)]
pub enum Signal {
    /// List the signals that gates wait for or have waited for, with their types and values.
    Ls(Ls),
    /// Give a signal its value, so that the gate which waits for it goes on.
    Set(Set),
}

/// Whose signals are listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 0, and with 2 when the server cannot be asked or has no such execution.")]
pub struct Ls {
    /// Which: NAME, or PROJECT/DOMAIN/NAME. Default project and domain: flytesnacks and development
    #[arg(value_name = "EXECUTION", value_parser = address::execution)]
    pub execution: ExecutionId,
    #[command(flatten)]
    asked: Asked,
}

/// Which signal gets which value.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "VALUE is read by the signal's type: 42, 0.5, some words, true, 2026-01-31T12:00:00Z, 1h30m; lists and maps of \
                  such are JSON: '[1, 2]', '{\"a\": \"1h30m\"}'. An approval takes true or false.\n\
                  Ends with 0, and with 2 when the server cannot be asked or the signal not be set."
)]
pub struct Set {
    /// Which: NAME, or PROJECT/DOMAIN/NAME. Default project and domain: flytesnacks and development
    #[arg(value_name = "EXECUTION", value_parser = address::execution)]
    pub execution: ExecutionId,
    /// The signal, as `skein signal ls` names it.
    #[arg(value_name = "SIGNAL")]
    pub signal: String,
    /// What it is to have.
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: String,
    #[command(flatten)]
    asked: Asked,
}

/// Asks, and prints the answer. What keeps it from asking is printed.
pub async fn run(signal: &Signal) -> ExitCode {
    let done = match signal {
        Signal::Ls(ls) => list(ls).await,
        Signal::Set(which) => set(which).await,
    };
    ended(done)
}

async fn list(ls: &Ls) -> anyhow::Result<()> {
    let json = Question::of(&ls.asked.server()?, &ls.execution, &["signals"])?.json().await?;
    tell(ls.asked.raw(&json), || Ok(lines(&ask::read::<Signals>(&json)?)))
}

async fn set(which: &Set) -> anyhow::Result<()> {
    let Set { execution, signal, value, asked } = which;
    let question = Question::of(&asked.server()?, execution, &["signals", signal])?;
    let json = question.say(&Given { value: value.clone() }).await?;
    tell(asked.raw(&json), || Ok(vec![line(&ask::read(&json)?)]))
}

fn lines(of: &Signals) -> Vec<String> {
    if of.signals.is_empty() {
        return vec!["no gate has waited for a signal yet".to_owned()];
    }
    of.signals.iter().map(line).collect()
}

fn line(signal: &skein_gateway::signals::Signal) -> String {
    let skein_gateway::signals::Signal { id, r#type, value, example } = signal;
    let (id, r#type) = (harmless(id), harmless(r#type));
    match (value, example) {
        (Some(value), _) => format!("{id}  {type}  is {}", harmless(&value.to_string())),
        (None, Some(example)) => format!("{id}  {type}  is waited for; a value is {example}"),
        (None, None) => format!("{id}  {type}  is waited for; the SDK can set it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_signal_has_a_line_with_its_type_and_its_value() {
        let signal = |value, example| skein_gateway::signals::Signal {
            id: "si\x1bg".to_owned(),
            r#type: "simple:INTEGER".to_owned(),
            value,
            example,
        };
        let signals =
            vec![signal(Some(json!(7)), Some(json!(42))), signal(None, Some(json!(42))), signal(None, None)];
        let expected = [
            "si\u{fffd}g  simple:INTEGER  is 7",
            "si\u{fffd}g  simple:INTEGER  is waited for; a value is 42",
            "si\u{fffd}g  simple:INTEGER  is waited for; the SDK can set it",
        ];
        assert_eq!(lines(&Signals { signals }), expected);
        assert_eq!(lines(&Signals { signals: Vec::new() }), ["no gate has waited for a signal yet"]);
    }
}
