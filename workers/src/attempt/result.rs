//! What an attempt that ended by itself has left, in the order in which it is looked at: an error, a way of ending,
//! a plan of further nodes, outputs.

use super::deck::DECK;
use crate::child::Exit;
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::report;
use bytes::Bytes;
use prost::Message;
use skein_idl::flyteidl::core::{LiteralMap, literal};
use skein_log::BlobError;
use skein_model::command::Outcome;
use skein_model::{Failure, Work, paths};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The most that is taken of one file an attempt leaves, in bytes: it is held in memory once.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
const OUTPUTS: &str = "outputs.pb";
const FUTURES: &str = "futures.pb";

/// Files by their path below the output folder.
type Files = BTreeMap<String, Bytes>;

/// Stores what the attempt left, and says how it ended.
pub(super) async fn collect(
    machine: &Machine,
    work: &Work,
    prepared: &Prepared,
    exit: Exit,
    tail: &str,
) -> Outcome {
    let folder = prepared.folder.outputs();
    let local = folder.display().to_string();
    let files = tokio::task::spawn_blocking(move || read(&folder)).await.map_err(io::Error::other).flatten();
    let settled = match files {
        Ok(files) => settle(machine, work, prepared, (exit, tail), files, &local).await,
        Err(error) => return Outcome::Failed(failure::not_started(&error)),
    };
    settled.unwrap_or_else(|error| Outcome::Failed(failure::not_started(&error)))
}

async fn settle(
    machine: &Machine,
    work: &Work,
    prepared: &Prepared,
    (exit, tail): (Exit, &str),
    mut files: Files,
    local: &str,
) -> Result<Outcome, BlobError> {
    let prefix = &work.output_prefix;
    let outputs = files.remove(OUTPUTS);
    let verdict = verdict(work, prepared, exit, tail, &files, outputs.is_some());
    let made_nodes = files.contains_key(FUTURES);
    for (name, body) in files {
        let uri = format!("{prefix}/{name}");
        report::insist(&machine.config, || machine.blobs.put(&uri, body.clone())).await?;
        if name == DECK {
            tracing::debug!(uri, "deck stored");
        }
    }
    if let Some(failure) = verdict {
        tracing::debug!(work = %work.id, code = failure.code, made_nodes, "attempt failed");
        return Ok(Outcome::Failed(failure));
    }
    let deck = paths::deck(prefix);
    let deck = machine.blobs.size(&deck).await?.is_some().then_some(deck);
    if made_nodes {
        return Ok(Outcome::MadeNodes { spec: format!("{prefix}/{FUTURES}"), deck });
    }
    let Some(outputs) = with_stored_uris(outputs.unwrap_or_default(), local, prefix) else {
        return Ok(Outcome::Failed(failure::unreadable(OUTPUTS)));
    };
    let uri = paths::outputs(prefix);
    let outputs = report::insist(&machine.config, || machine.blobs.store(&uri, outputs.clone())).await?;
    Ok(Outcome::Succeeded { outputs, deck })
}

/// Answers why the attempt failed; none when it succeeded.
fn verdict(
    work: &Work,
    prepared: &Prepared,
    exit: Exit,
    tail: &str,
    files: &Files,
    has_outputs: bool,
) -> Option<Failure> {
    let is_error = |name: &str| name.starts_with("error") && name.ends_with(".pb");
    let errors = files.iter().filter(|(name, _)| is_error(name)).map(|(_, body)| body.as_ref());
    let declared = prepared.template.interface.as_ref().and_then(|interface| interface.outputs.as_ref());
    let is_declared = declared.is_some_and(|outputs| !outputs.variables.is_empty());
    failure::from_documents(errors).or_else(|| failure::from_exit(&work.id, exit, tail)).or_else(|| {
        (is_declared && !has_outputs && !files.contains_key(FUTURES))
            .then(|| failure::outputs_not_found(&work.output_prefix))
    })
}

fn read(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    let mut open = vec![(folder.to_path_buf(), String::new())];
    while let Some((path, name)) = open.pop() {
        let entries = match std::fs::read_dir(&path) {
            // A task that produces nothing has no folder either.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(inner) = entry.file_name().into_string() else { continue };
            let inner = if name.is_empty() { inner } else { format!("{name}/{inner}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push((entry.path(), inner));
            } else if kind.is_file() {
                let size = entry.metadata()?.len();
                if size > FILE_BYTES_MAX {
                    let message = format!("{inner} has {size} bytes, the limit is {FILE_BYTES_MAX}");
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
                }
                files.insert(inner, std::fs::read(entry.path())?.into());
            }
        }
    }
    Ok(files)
}

/// Checks outputs, and makes offloaded literals point to where their files are now; none when they cannot be decoded.
fn with_stored_uris(outputs: Bytes, local: &str, prefix: &str) -> Option<Bytes> {
    let mut decoded = LiteralMap::decode(outputs.clone()).ok()?;
    let mut is_changed = false;
    for literal in decoded.literals.values_mut() {
        if let Some(literal::Value::OffloadedMetadata(offloaded)) = &mut literal.value
            && let Some(rest) = offloaded.uri.strip_prefix(local)
        {
            offloaded.uri = format!("{prefix}{rest}");
            is_changed = true;
        }
    }
    Some(if is_changed { decoded.encode_to_vec().into() } else { outputs })
}
