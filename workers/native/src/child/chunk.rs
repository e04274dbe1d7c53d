//! A chunk: item after item of one map.

use super::{Loading, Worker, flush};
use crate::context;
use crate::error::{Error, Result};
use crate::function::{Form, Given};
use crate::panics::caught;
use crate::task::Task;
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::{Literal, LiteralMap, literal};
use skein_protocol::Plain;
use skein_protocol::messages::{Chunk, ChunkJob, Part};
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// Results wait this long at most before they are sent: what was sent is kept when the process dies.
const DELIVER_AFTER: Duration = Duration::from_millis(20);

/// One input of all items.
enum Column {
    Each(std::vec::IntoIter<Plain>),
    Same(Plain),
    EachLiteral(std::vec::IntoIter<Literal>),
    SameLiteral(Box<Literal>),
    Absent,
}

impl Column {
    fn next(&mut self) -> Given {
        match self {
            Self::Each(values) => values.next().map_or(Given::Absent, Given::Plain),
            Self::Same(value) => Given::Plain(value.clone()),
            Self::EachLiteral(values) => {
                values.next().map_or(Given::Absent, |value| Given::Literal(Box::new(value)))
            }
            Self::SameLiteral(value) => Given::Literal(value.clone()),
            Self::Absent => Given::Absent,
        }
    }
}

/// Runs the items of a chunk and sends what became of them.
///
/// # Errors
/// When the worker has gone, or what it sent cannot be so.
pub(super) fn run(worker: &mut Worker, loading: &Loading<'_>, job: ChunkJob) -> io::Result<()> {
    let ChunkJob { chunk, setting } = job;
    context::settle(&setting)?;
    context::add(chunk.env.clone());
    let within = chunk.within.map(Duration::try_from_secs_f64).transpose().map_err(io::Error::other)?;
    let mut results = Results::of(&chunk);
    let began = Instant::now();
    let mut sent = began;
    let items = chunk.start..chunk.start.saturating_add(chunk.count);
    let form = if chunk.columns.is_some() { Form::Plain } else { Form::Literal };
    let mut prepared = loading.task().and_then(|task| Ok((task, columns(task, chunk)?)));
    for item in items {
        worker.note_item(Some(item));
        let called = match &mut prepared {
            Ok((task, columns)) => caught(|| call(task, columns, form)),
            Err(error) => Err(error.clone()),
        };
        results.settle(item, called, form, loading.task);
        let now = Instant::now();
        if results.budget == 0 || within.is_some_and(|within| now - began >= within) {
            break;
        }
        if now - sent > DELIVER_AFTER {
            worker.send(&results.part)?;
            results.clear();
            sent = now;
        }
    }
    flush();
    results.part.done = true;
    results.part.micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    worker.send(&results.part)?;
    // Only now: whoever dies before its results are sent had begun.
    worker.note_item(None);
    Ok(())
}

fn call(task: &Task, columns: &mut [Column], form: Form) -> Result<Vec<Given>> {
    // Taken before the call: also what a failed item does not look at is its own.
    let mut values: Vec<_> = columns.iter_mut().map(|column| Some(column.next())).collect();
    task.call(&mut |at| values[at].take().unwrap_or(Given::Absent), form)
}

fn columns(task: &Task, chunk: Chunk) -> Result<Vec<Column>> {
    if let Some(mut each) = chunk.columns {
        let mut bound = chunk.bound.unwrap_or_default();
        let column = |name: &String| match (each.remove(name), bound.remove(name)) {
            (Some(values), _) => Column::Each(values.into_iter()),
            (None, Some(value)) => Column::Same(value),
            (None, None) => Column::Absent,
        };
        return Ok(task.inputs.iter().map(column).collect());
    }
    let path = chunk.inputs.ok_or_else(|| Error::new("the worker sent no inputs"))?;
    let (names, skip) = (chunk.names.unwrap_or_default(), chunk.skip.unwrap_or_default() as usize);
    let mut literals = LiteralMap::decode(Bytes::from(fs::read(path)?))?.literals;
    let column = |name: &String| match literals.remove(name) {
        None => Column::Absent,
        Some(literal) if names.contains(name) => Column::SameLiteral(Box::new(literal)),
        Some(Literal { value: Some(literal::Value::Collection(collection)), .. }) => {
            let mut values = collection.literals;
            values.drain(..skip.min(values.len()));
            Column::EachLiteral(values.into_iter())
        }
        // The worker has looked: what is not bound is a list.
        Some(literal) => Column::SameLiteral(Box::new(literal)),
    };
    Ok(task.inputs.iter().map(column).collect())
}

/// What is not sent yet.
struct Results {
    part: Part,
    /// How many bytes of errors may still be reported.
    budget: usize,
}

impl Results {
    fn of(chunk: &Chunk) -> Self {
        let part = Part { job: Some(chunk.job), upto: Some(chunk.start), ..Part::default() };
        Self { part, budget: chunk.budget }
    }

    /// Forgets what was sent.
    fn clear(&mut self) {
        self.part = Part { job: self.part.job, upto: self.part.upto, ..Part::default() };
    }

    fn settle(&mut self, item: u32, called: Result<Vec<Given>>, form: Form, task: Option<&Task>) {
        match called {
            Ok(outputs) if form == Form::Plain => self.keep_value(outputs),
            Ok(outputs) => self.keep_literals(item, outputs, task),
            Err(error) => {
                let document = error.to_document();
                self.budget = self.budget.saturating_sub(document.len());
                self.part.failed.push((item, Some(document.into()), Vec::new()));
            }
        }
        self.part.upto = Some(item + 1);
    }

    /// Of plain values there is one, or none.
    fn keep_value(&mut self, outputs: Vec<Given>) {
        self.part.values.push(match outputs.into_iter().next() {
            Some(Given::Plain(value)) => value,
            _ => Plain::Nothing,
        });
    }

    fn keep_literals(&mut self, item: u32, outputs: Vec<Given>, task: Option<&Task>) {
        let names = task.map_or(&[][..], |task| &task.outputs);
        let literal = |(name, given): (&String, Given)| match given {
            Given::Literal(literal) => Some((name.clone(), literal.encode_to_vec().into())),
            Given::Plain(_) | Given::Absent => None,
        };
        self.part.literals.push((item, names.iter().zip(outputs).filter_map(literal).collect()));
    }
}
