//! A chunk: item after item of one map.

use super::{Loading, Worker};
use crate::context;
use crate::error::{Error, Result};
use crate::function::{Form, Given};
use crate::panics::caught;
use crate::task::Task;
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::{Literal, LiteralMap, literal};
use skein_protocol::Plain;
use skein_protocol::messages::{Chunk, Part};
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
pub(super) fn run(worker: &mut Worker, loading: &Loading<'_>, chunk: Chunk) -> io::Result<()> {
    context::add(chunk.env.clone());
    context::enter(&chunk.cwd)?;
    let mut results = Results { part: Part { upto: chunk.start, ..Part::default() }, budget: chunk.budget };
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
        results.settle(item, called, loading.task);
        if results.budget == 0 {
            break;
        }
        if sent.elapsed() > DELIVER_AFTER {
            worker.send(&results.part)?;
            results.part = Part { upto: results.part.upto, ..Part::default() };
            sent = Instant::now();
        }
    }
    worker.note_item(None);
    results.part.done = true;
    results.part.micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    worker.send(&results.part)
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
    let names = chunk.names.unwrap_or_default();
    let mut literals = LiteralMap::decode(Bytes::from(fs::read(path)?))?.literals;
    let column = |name: &String| match literals.remove(name) {
        None => Column::Absent,
        Some(literal) if names.contains(name) => Column::SameLiteral(Box::new(literal)),
        Some(Literal { value: Some(literal::Value::Collection(collection)), .. }) => {
            Column::EachLiteral(collection.literals.into_iter())
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
    fn settle(&mut self, item: u32, called: Result<Vec<Given>>, task: Option<&Task>) {
        match called {
            Ok(outputs) => self.keep(item, outputs, task),
            Err(error) => {
                let document = error.to_document();
                self.budget = self.budget.saturating_sub(document.len());
                self.part.failed.push((item, Some(document.into()), Vec::new()));
            }
        }
        self.part.upto = item + 1;
    }

    fn keep(&mut self, item: u32, outputs: Vec<Given>, task: Option<&Task>) {
        let names = task.map_or(&[][..], |task| &task.outputs);
        let mut literals = Vec::new();
        for (name, given) in names.iter().zip(outputs) {
            match given {
                // Of plain values there is one.
                Given::Plain(value) => return self.part.values.push(value),
                Given::Literal(literal) => literals.push((name.clone(), literal.encode_to_vec().into())),
                Given::Absent => {}
            }
        }
        if literals.is_empty() {
            self.part.values.push(Plain::Nothing);
        } else {
            self.part.literals.push((item, literals.into_iter().collect()));
        }
    }
}
