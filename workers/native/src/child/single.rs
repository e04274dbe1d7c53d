//! One attempt.

use super::{Loading, Worker, flush};
use crate::context;
use crate::error::{Error, Result};
use crate::function::{Form, Given};
use crate::panics::caught;
use crate::task::Task;
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::LiteralMap;
use skein_protocol::messages::{Single, Told};
use skein_protocol::{NativeCommand, Plain};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// An attempt that ran this long leaves its outputs also where they are found when the worker is gone: running it again
/// costs more than writing them down twice.
const PUBLISH_AFTER: Duration = Duration::from_millis(250);

/// Runs an attempt, and says how it ended: by its value, its encoded outputs, or an error in its output folder.
pub(super) fn run(worker: &mut Worker, loading: &Loading<'_>, single: Single) -> io::Result<()> {
    context::settle(&single.setting)?;
    context::set_item(None);
    let (job, outputs, publish) = (single.job, single.outputs.clone(), single.publish.clone());
    let began = Instant::now();
    let told = match call(loading, single) {
        Ok(told) => told,
        Err(error) => {
            fs::create_dir_all(&outputs)?;
            fs::write(Path::new(&outputs).join("error.pb"), error.to_document())?;
            Told::default()
        }
    };
    if let (Some(encoded), Some(target)) = (&told.outputs, publish)
        && began.elapsed() >= PUBLISH_AFTER
        && let Err(error) = place(&target, encoded)
    {
        // The worker has them all the same, and waits until there is room.
        eprintln!("skein: the outputs cannot be written to {target} as well: {error}");
    }
    flush();
    worker.send(&Told { job: Some(job), is_finished: true, ..told })
}

fn call(loading: &Loading<'_>, single: Single) -> Result<Told> {
    let task = loading.task()?;
    if let Some(values) = single.values {
        let mut outputs = with_values(task, values)?.into_iter();
        let value = match outputs.next() {
            Some(Given::Plain(value)) => value,
            _ => Plain::Nothing,
        };
        return Ok(Told { value, is_direct: true, ..Told::default() });
    }
    let encoded = match single.inputs {
        Some(inputs) => inputs,
        None => {
            let path = NativeCommand::inputs(&single.setting.argv)
                .ok_or_else(|| Error::new("the command line does not say where the inputs are"))?;
            Bytes::from(fs::read(path)?)
        }
    };
    let mut literals = LiteralMap::decode(encoded)?.literals;
    let mut values = |at: usize| {
        literals.remove(&task.inputs[at]).map_or(Given::Absent, |literal| Given::Literal(Box::new(literal)))
    };
    let outputs = caught(|| task.call(&mut values, Form::Literal))?;
    let outputs = task.outputs.iter().cloned().zip(outputs.into_iter().filter_map(literal));
    let outputs = LiteralMap { literals: outputs.collect() }.encode_to_vec();
    Ok(Told { outputs: Some(outputs.into()), ..Told::default() })
}

fn with_values(task: &Task, mut given: BTreeMap<String, Plain>) -> Result<Vec<Given>> {
    let mut values = |at: usize| given.remove(&task.inputs[at]).map_or(Given::Absent, Given::Plain);
    caught(|| task.call(&mut values, Form::Plain))
}

fn literal(given: Given) -> Option<skein_idl::flyteidl::core::Literal> {
    if let Given::Literal(literal) = given { Some(*literal) } else { None }
}

/// Puts outputs where they are looked for when nobody is left to be told; whole, or not at all.
fn place(target: &str, encoded: &[u8]) -> io::Result<()> {
    fs::create_dir_all(target)?;
    let unfinished = Path::new(target).join(format!("outputs.pb.{}.unfinished", std::process::id()));
    fs::write(&unfinished, encoded)?;
    fs::rename(unfinished, Path::new(target).join("outputs.pb"))
}

impl Loading<'_> {
    /// Answers the task.
    ///
    /// # Errors
    /// What the user is told when the program has none of that name.
    pub(super) fn task(&self) -> Result<&Task> {
        self.task.ok_or_else(|| {
            Error::absent(format!(
                "the program has no task {}: it has changed its name since it was registered, so register it again",
                self.name
            ))
        })
    }
}
