//! Puts the inputs of a container where it finds them: each in a file or folder of its own, and all of them in a list.

use super::task::{self, Task};
use super::value::Value;
use crate::failure;
use crate::machine::Machine;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use prost::Message as _;
use serde_json::Value as Json;
use skein_idl::flyteidl::core::data_loading_config::LiteralMapFormat;
use skein_idl::flyteidl::core::{Literal, LiteralMap, literal};
use skein_log::{BlobError, BlobStore};
use skein_model::Failure;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt as _;

/// The largest literal that lies in a file of its own, in bytes: it is held in memory once.
const LITERAL_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// How many files one folder may have that is an input.
const FILES_MAX: usize = 1_000_000;
/// Under which names all inputs are listed.
const LIST_PROTO: &str = "inputs.pb";
const LIST_JSON: &str = "inputs.json";
const LIST_YAML: &str = "inputs.yaml";

/// Reads encoded inputs, and what of them lies elsewhere.
///
/// # Errors
/// What the user is told when one cannot be read, or there is no telling a container of it.
pub(super) async fn read(machine: &Machine, encoded: &Bytes) -> Result<BTreeMap<String, Value>, Failure> {
    let literals =
        LiteralMap::decode(encoded.clone()).map_err(|_| failure::unreadable("the inputs"))?.literals;
    let mut values = BTreeMap::new();
    for (name, literal) in literals {
        task::check_name(&name).map_err(|right| {
            failure::bad_task(format!("input {name:?} is a file in the container: {right}"))
        })?;
        let literal = here(&machine.blobs, literal).await.map_err(|error| failure::not_started(&error))?;
        let value = Value::of(&literal).map_err(|what| {
            failure::bad_task(format!("input {name} is {what}, which no container is told"))
        })?;
        values.insert(name, value);
    }
    Ok(values)
}

/// Puts in the place of literals that lie elsewhere what they stand for.
fn here(blobs: &BlobStore, mut literal: Literal) -> BoxFuture<'_, Result<Literal, BlobError>> {
    Box::pin(async move {
        match &mut literal.value {
            Some(literal::Value::OffloadedMetadata(elsewhere)) => {
                let encoded = blobs.get(&elsewhere.uri, LITERAL_BYTES_MAX).await?;
                // What it is in turn is no further reference: the engine and the SDK make none of those.
                Ok(Literal::decode(encoded).unwrap_or_default())
            }
            Some(literal::Value::Collection(list)) => {
                for each in &mut list.literals {
                    *each = here(blobs, std::mem::take(each)).await?;
                }
                Ok(literal)
            }
            Some(literal::Value::Map(map)) => {
                for each in map.literals.values_mut() {
                    *each = here(blobs, std::mem::take(each)).await?;
                }
                Ok(literal)
            }
            Some(literal::Value::Scalar(_)) | None => Ok(literal),
        }
    })
}

/// Writes all inputs into `folder`, which becomes the container's.
///
/// # Errors
/// What the user is told when one cannot be had.
pub(super) async fn write(
    machine: &Machine,
    task: &Task,
    encoded: &Bytes,
    values: &BTreeMap<String, Value>,
    folder: &Path,
) -> Result<(), Failure> {
    let lists = async {
        tokio::fs::write(folder.join(LIST_PROTO), encoded).await?;
        match task.format {
            LiteralMapFormat::Json => tokio::fs::write(folder.join(LIST_JSON), json(task, values)).await,
            LiteralMapFormat::Yaml => tokio::fs::write(folder.join(LIST_YAML), yaml(task, values)).await,
            LiteralMapFormat::Proto => Ok(()),
        }
    };
    lists.await.map_err(|error| failure::not_started(&error))?;
    for (name, value) in values {
        place(&machine.blobs, name, value, folder.join(name)).await?;
    }
    Ok(())
}

/// Writes one value at `path`; `name` says whose it is.
fn place<'a>(
    blobs: &'a BlobStore,
    name: &'a str,
    value: &'a Value,
    path: PathBuf,
) -> BoxFuture<'a, Result<(), Failure>> {
    Box::pin(async move {
        let below = |key: &str| {
            task::check_name(key)
                .map(|()| path.join(key))
                .map_err(|right| failure::bad_task(format!("input {name} has the key {key:?}: {right}")))
        };
        let made = |made: io::Result<()>| made.map_err(|error| failure::not_started(&error));
        match value {
            Value::List(values) => {
                made(tokio::fs::create_dir(&path).await)?;
                for (at, value) in values.iter().enumerate() {
                    place(blobs, name, value, path.join(at.to_string())).await?;
                }
                Ok(())
            }
            Value::Map(entries) => {
                made(tokio::fs::create_dir(&path).await)?;
                for (key, value) in entries {
                    place(blobs, name, value, below(key)?).await?;
                }
                Ok(())
            }
            Value::File(uri) | Value::Folder(uri) => fetch(blobs, name, uri, &path).await,
            Value::None | Value::Line(..) | Value::Text(_) | Value::Struct(_) | Value::Bytes(_) => {
                made(tokio::fs::write(&path, value.file().unwrap_or_default()).await)
            }
        }
    })
}

/// Copies a file or a folder of the store, or of this machine, to `path`.
async fn fetch(blobs: &BlobStore, name: &str, uri: &str, path: &Path) -> Result<(), Failure> {
    let is_stored = blobs.path_of(uri).is_ok();
    let local = match blobs.local_path(uri) {
        Some(local) => Some(local),
        None if is_stored => None,
        // The same file that a task in Python would open.
        None => {
            Some(PathBuf::from(uri.strip_prefix("file://").unwrap_or(uri))).filter(|path| path.is_absolute())
        }
    };
    let missing = |why: &dyn std::fmt::Display| {
        failure::input_not_found(format!("input {name} lies at {uri}, which cannot be read here: {why}"))
    };
    if let Some(from) = local {
        let to = path.to_owned();
        let copied = tokio::task::spawn_blocking(move || copy(&from, &to)).await;
        return copied.map_err(io::Error::other).flatten().map_err(|error| missing(&error));
    }
    if !is_stored {
        return Err(missing(&"the worker has its values at another place"));
    }
    let stored = async {
        if blobs.size(uri).await?.is_some() {
            return download(blobs, uri, path).await.map(|()| true);
        }
        let prefix = format!("{}/", uri.trim_end_matches('/'));
        let objects = blobs.list(uri.trim_end_matches('/')).await?;
        for object in &objects {
            let Some(rest) = object.strip_prefix(&prefix) else { continue };
            download(blobs, object, &path.join(rest)).await?;
        }
        Ok::<_, BlobError>(!objects.is_empty())
    };
    match stored.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(missing(&"nothing is there")),
        Err(error) => Err(failure::not_started(&error)),
    }
}

async fn download(blobs: &BlobStore, uri: &str, path: &Path) -> Result<(), BlobError> {
    let failed = |source: io::Error| BlobError::Source { uri: uri.to_owned(), source };
    let (_, mut pieces) = blobs.get_stream(uri).await?;
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    }
    let mut file = tokio::fs::File::create_new(path).await.map_err(failed)?;
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece?).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

/// Copies a file, or a folder with all that is in it. What is neither is not looked at: it may never end.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut open = vec![(from.to_owned(), to.to_owned())];
    let mut files = 0;
    while let Some((from, to)) = open.pop() {
        let kind = std::fs::metadata(&from)?;
        if kind.is_dir() {
            std::fs::create_dir(&to)?;
            for entry in std::fs::read_dir(&from)? {
                let entry = entry?;
                open.push((entry.path(), to.join(entry.file_name())));
            }
        } else if kind.is_file() {
            std::fs::copy(&from, &to)?;
        } else {
            return Err(io::Error::other(format!("{} is neither a file nor a folder", from.display())));
        }
        files += 1;
        if files > FILES_MAX {
            return Err(io::Error::other(format!("it has more than {FILES_MAX} files")));
        }
    }
    Ok(())
}

/// Lists inputs as one JSON object.
fn json(task: &Task, values: &BTreeMap<String, Value>) -> Vec<u8> {
    let object = values.iter().map(|(name, value)| (name.clone(), listed(task, name, value))).collect();
    Json::Object(object).to_string().into_bytes()
}

/// Lists inputs as YAML, a line for each: what stands behind a name is JSON, which YAML has inside.
fn yaml(task: &Task, values: &BTreeMap<String, Value>) -> Vec<u8> {
    let line = |(name, value): (&String, &Value)| {
        format!("{}: {}\n", Json::from(name.as_str()), listed(task, name, value))
    };
    values.iter().map(line).collect::<String>().into_bytes()
}

fn listed(task: &Task, name: &str, value: &Value) -> Json {
    value.json(&task.inputs.path.join(name).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::{Container, DataLoadingConfig, TaskTemplate, task_template};

    fn task() -> Task {
        let config = DataLoadingConfig {
            enabled: true,
            input_path: "/in".to_owned(),
            output_path: "/out".to_owned(),
            ..DataLoadingConfig::default()
        };
        let container =
            Container { image: "i".to_owned(), data_config: Some(config), ..Container::default() };
        let target = Some(task_template::Target::Container(container));
        Task::of(
            &TaskTemplate { target, ..TaskTemplate::default() },
            None,
            &skein_model::TaskResources::default(),
        )
        .expect("it is right")
    }

    fn values() -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("f".to_owned(), Value::File("file:///f".to_owned())),
            ("l".to_owned(), Value::List(vec![Value::Text("a: b".to_owned()), Value::None])),
            ("n".to_owned(), Value::Line("1".to_owned(), Json::from(1))),
        ])
    }

    #[test]
    fn all_inputs_are_listed_as_json_and_as_yaml_with_files_where_the_container_sees_them() {
        let json = String::from_utf8(json(&task(), &values())).expect("it is text");
        assert_eq!(json, r#"{"f":"/in/f","l":["a: b",null],"n":1}"#);
        let yaml = String::from_utf8(yaml(&task(), &values())).expect("it is text");
        assert_eq!(yaml, "\"f\": \"/in/f\"\n\"l\": [\"a: b\",null]\n\"n\": 1\n");
    }

    #[tokio::test]
    async fn lists_and_maps_are_folders_and_what_cannot_be_a_name_there_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(&folder.path().join("blobs")).expect("a folder of our own");
        let line = |text: &str| Value::Line(text.to_owned(), Json::Null);
        let map = Value::Map(BTreeMap::from([("k".to_owned(), Value::List(vec![line("0"), line("1")]))]));
        place(&blobs, "m", &map, folder.path().join("m")).await.expect("it can be written");
        assert_eq!(std::fs::read_to_string(folder.path().join("m/k/1")).expect("it is there"), "1");
        let climbs = Value::Map(BTreeMap::from([("../k".to_owned(), line("0"))]));
        let refused = place(&blobs, "c", &climbs, folder.path().join("c")).await.expect_err("it climbs");
        assert!(refused.message.contains("input c has the key \"../k\": its name has to be"), "{refused:?}");
    }

    #[tokio::test]
    async fn what_is_neither_a_file_nor_a_folder_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = BlobStore::local(&folder.path().join("blobs")).expect("a folder of our own");
        let socket = folder.path().join("socket");
        let _held = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        for (uri, expected) in [
            (socket.display().to_string(), "is neither a file nor a folder"),
            (blobs.url("nothing"), "No such file"),
            ("s3://elsewhere/f".to_owned(), "the worker has its values at another place"),
        ] {
            let fetched = fetch(&blobs, "x", &uri, &folder.path().join("x")).await;
            let refused = fetched.expect_err("it cannot be read");
            assert_eq!(refused.code, "InputNotFound");
            assert!(refused.message.contains(&format!("input x lies at {uri}")), "{refused:?}");
            assert!(refused.message.contains(expected), "{refused:?}");
        }
    }
}
