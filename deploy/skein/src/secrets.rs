//! Secrets: where their key is, `skein secrets ls`, and `skein secrets rotate`.

use crate::address::{Asked, Which};
use crate::ask::{self, Question};
use crate::words::{ended, harmless, tell};
use anyhow::{Context as _, bail};
use skein_gateway::secrets::{Listed, Rotation};
use skein_log::EventLog;
use skein_secrets::{KeySource, Vault};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The variable that holds the key itself.
const VARIABLE: &str = "SKEIN_SECRETS_KEY";
const FILE_ARGUMENT: &str = "--secrets-key-file";
const COMMAND_ARGUMENT: &str = "--secrets-key-command";
/// The file that is made when nothing says where the key is.
const OWN_FILE: &str = "secrets.key";
/// What to say where there is no key.
pub const HOW_TO_GIVE_A_KEY: &str =
    "give it the server's by --secrets-key-file, --secrets-key-command or SKEIN_SECRETS_KEY";

/// Where the key of the secrets is.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// The file with the key of the secrets, mode 600. Or the key itself in the variable SKEIN_SECRETS_KEY: 64
    /// hexadecimal digits, an older key after it. Default: secrets.key in the data folder, made at the first start
    #[arg(long, value_name = "FILE")]
    pub secrets_key_file: Option<PathBuf>,
    /// A command for /bin/sh that prints the key of the secrets, such as that of a password manager
    #[arg(long, value_name = "COMMAND", conflicts_with = "secrets_key_file")]
    pub secrets_key_command: Option<String>,
}

impl KeyArgs {
    /// Says whether anything says where the key is.
    pub fn is_given(&self) -> bool {
        self.secrets_key_file.is_some() || self.secrets_key_command.is_some() || variable().is_some()
    }

    /// Answers where the key is; none when nothing says so.
    fn source(&self) -> anyhow::Result<Option<KeySource>> {
        let by_argument = match (&self.secrets_key_file, &self.secrets_key_command) {
            (Some(path), _) => {
                let path = std::path::absolute(path).context("the working folder is gone")?;
                Some(KeySource::File { path, named_by: FILE_ARGUMENT.to_owned() })
            }
            (None, Some(command)) => {
                Some(KeySource::Command { command: command.clone(), named_by: COMMAND_ARGUMENT.to_owned() })
            }
            (None, None) => None,
        };
        match (by_argument, variable()) {
            (Some(argument), Some(_)) => {
                bail!(
                    "the key of the secrets is said twice: by {argument}, and by the variable {VARIABLE}; unset one"
                )
            }
            (argument, None) => Ok(argument),
            (None, Some(text)) => Ok(Some(KeySource::Variable { name: VARIABLE.to_owned(), text })),
        }
    }
}

fn variable() -> Option<Zeroizing<String>> {
    let text = Zeroizing::new(std::env::var(VARIABLE).ok()?);
    (!text.is_empty()).then_some(text)
}

/// Opens the secrets of a server's log.
///
/// # Errors
/// When the key is not to be had, or not the one that the secrets need; the text says which setting and what to do.
pub async fn vault(args: &KeyArgs, data: &Path, log: &Arc<dyn EventLog>) -> anyhow::Result<Arc<Vault>> {
    let source = args.source()?.unwrap_or_else(|| KeySource::Own(data.join(OWN_FILE)));
    Ok(Arc::new(Vault::open(Arc::clone(log), source).await?))
}

/// Opens the secrets of a server's log to read them.
///
/// # Errors
/// When the key that is named is not to be had.
pub async fn to_read(args: &KeyArgs, log: Arc<dyn EventLog>) -> anyhow::Result<Arc<Vault>> {
    Ok(Arc::new(Vault::open_to_read(log, args.source()?).await?))
}

/// What to do with secrets.
#[derive(Debug, clap::Subcommand)]
pub enum Secrets {
    /// List all secrets: name, scope, kind, when it came to be, and the key by which it is encrypted. Never a value.
    Ls(Ls),
    /// Take a new key, encrypt every secret by it, and let the old key go. The server makes the new key in its file; from a
    /// variable or a command it has to come, before the old one. What was deleted or replaced before is lost with the old key.
    Rotate(Rotate),
}

/// Which server to ask, and how to show it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with 0, and with 2 when the server cannot be asked.")]
pub struct Ls {
    #[command(flatten)]
    asked: Asked,
}

/// Which server to ask.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends with 0, and with 2 when the server cannot be asked or refuses. It can be broken off and begun again at any time: at each
moment the server has every key that a secret needs.")]
pub struct Rotate {
    #[command(flatten)]
    which: Which,
}

/// Asks, and prints the answer. What keeps it from asking is printed.
pub async fn run(secrets: &Secrets) -> ExitCode {
    let printed = match secrets {
        Secrets::Ls(ls) => list(ls).await,
        Secrets::Rotate(rotate) => rotated(rotate).await,
    };
    ended(printed)
}

async fn list(ls: &Ls) -> anyhow::Result<()> {
    let json = Question::at(&ls.asked.server()?, &["secrets"], &[])?.json().await?;
    tell(ls.asked.raw(&json), || Ok(lines(&ask::read::<Vec<Listed>>(&json)?)))
}

async fn rotated(rotate: &Rotate) -> anyhow::Result<()> {
    let json = Question::at(&rotate.which.server()?, &["secrets", "rotate"], &[])?.order().await?;
    let rotation: Rotation = ask::read(&json)?;
    tell(None, || Ok(of_rotation(&rotation)))
}

fn lines(secrets: &[Listed]) -> Vec<String> {
    if secrets.is_empty() {
        return vec!["no secrets; make one: union create secret --name NAME".to_owned()];
    }
    let heading = ["NAME", "PROJECT", "DOMAIN", "KIND", "CREATED", "KEY"].map(str::to_owned);
    let row = |secret: &Listed| {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { harmless(text) };
        let kind = if secret.is_image_pull { "image pull" } else { "generic" };
        let Listed { name, project, domain, created, key, .. } = secret;
        [harmless(name), or_dash(project), or_dash(domain), kind.to_owned(), created.clone(), key.clone()]
    };
    let rows: Vec<[String; 6]> = std::iter::once(heading).chain(secrets.iter().map(row)).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn of_rotation(rotation: &Rotation) -> Vec<String> {
    let Rotation { secrets, key, released, origin, is_old_kept } = rotation;
    let mut lines = vec![format!("{secrets} secrets are encrypted by the key {key}, in {origin}")];
    if !released.is_empty() {
        let old = released.join(", ");
        lines.push(if *is_old_kept {
            format!("nothing needs the key {old} any more: take it out of {origin}")
        } else {
            format!("the key {old} is gone")
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, project: &str, domain: &str) -> Listed {
        Listed {
            name: name.to_owned(),
            project: project.to_owned(),
            domain: domain.to_owned(),
            is_image_pull: false,
            created: "2026-11-25T00:00:00Z".to_owned(),
            key: "0123456789abcdef".to_owned(),
        }
    }

    #[test]
    fn secrets_are_shown_in_columns_with_their_scopes() {
        let secrets = [listed("token", "", ""), listed("k", "flytesnacks", "development")];
        let expected = [
            "NAME   PROJECT      DOMAIN       KIND     CREATED               KEY",
            "token  -            -            generic  2026-11-25T00:00:00Z  0123456789abcdef",
            "k      flytesnacks  development  generic  2026-11-25T00:00:00Z  0123456789abcdef",
        ];
        assert_eq!(lines(&secrets), expected);
        assert_eq!(lines(&[]), ["no secrets; make one: union create secret --name NAME"]);
    }

    #[test]
    fn a_rotation_says_what_became_of_the_old_key() {
        let rotation = Rotation {
            secrets: 2,
            key: "new".to_owned(),
            released: vec!["old".to_owned()],
            origin: "the variable SKEIN_SECRETS_KEY".to_owned(),
            is_old_kept: true,
        };
        let told = of_rotation(&rotation);
        assert_eq!(told[0], "2 secrets are encrypted by the key new, in the variable SKEIN_SECRETS_KEY");
        assert_eq!(
            told[1],
            "nothing needs the key old any more: take it out of the variable SKEIN_SECRETS_KEY"
        );
        let of_file = Rotation { is_old_kept: false, ..rotation };
        assert_eq!(of_rotation(&of_file)[1], "the key old is gone");
    }
}
