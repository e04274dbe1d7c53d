//! What became of the items of a chunk, put together from what the child says.

use crate::failure;
use crate::plain::{Interface, Plain, to_literal};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use skein_idl::flyteidl::core::{LiteralMap, TaskTemplate};
use skein_model::Failure;
use skein_model::event::{ItemFailure, ItemRange};
use skein_protocol::messages::Part;
use std::collections::{BTreeMap, BTreeSet};

/// The fates of a range of items, as far as they are known.
pub(super) struct Gather {
    items: ItemRange,
    /// The first item whose fate is not known.
    pub next: u32,
    interface: Option<Interface>,
    declared: Vec<String>,
    prefix: String,
    /// For each output the elements of a `LiteralCollection`, encoded.
    collections: BTreeMap<String, BytesMut>,
    failures: Vec<ItemFailure>,
    returned: Vec<ItemRange>,
}

/// What a child was asked to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Its number in this child.
    pub job: u32,
    /// The items.
    pub items: ItemRange,
    /// Whether it may stop before the last of them although none failed.
    pub may_stop: bool,
}

impl Gather {
    pub(super) fn new(
        items: ItemRange,
        template: &TaskTemplate,
        interface: Option<Interface>,
        prefix: &str,
    ) -> Self {
        let outputs = template.interface.as_ref().and_then(|interface| interface.outputs.as_ref());
        Self {
            items,
            next: items.start,
            interface,
            declared: outputs.map(|outputs| outputs.variables.keys().cloned().collect()).unwrap_or_default(),
            prefix: prefix.to_owned(),
            collections: BTreeMap::new(),
            failures: Vec::new(),
            returned: Vec::new(),
        }
    }

    /// Answers the items' interface; none when it is not plain.
    pub(super) const fn interface(&self) -> Option<&Interface> {
        self.interface.as_ref()
    }

    /// Says whether the fate of any item is known.
    pub(super) const fn has_begun(&self) -> bool {
        self.next > self.items.start
    }

    /// Answers how many bytes the messages of failures have.
    pub(super) fn error_bytes(&self) -> usize {
        self.failures.iter().map(|failed| failed.failure.message.len()).sum()
    }

    /// Takes what the child says of what it was asked for, of the items from the first unknown one on.
    ///
    /// # Errors
    /// Why it cannot be so, in words; nothing of it is taken then.
    pub(super) fn take(&mut self, part: Part, asked: &Asked) -> Result<(), String> {
        let upto = self.checked(&part, asked)?;
        let mut values = part.values.into_iter();
        let mut literals = part.literals.into_iter().peekable();
        let mut failed = part.failed.into_iter().peekable();
        for index in self.next..upto {
            if let Some((_, outputs)) = literals.next_if(|(item, _)| *item == index) {
                self.take_literals(index, &outputs);
            } else if let Some((_, document, others)) = failed.next_if(|(item, _, _)| *item == index) {
                self.take_failure(index, document, &others);
            } else {
                self.take_value(index, values.next().unwrap_or(Plain::Nothing));
            }
            self.next = index + 1;
        }
        Ok(())
    }

    /// Answers up to which item a message tells, when it tells of each item once, and of no other.
    fn checked(&self, part: &Part, asked: &Asked) -> Result<u32, String> {
        let (next, Asked { job, items, may_stop }) = (self.next, *asked);
        let end = items.end;
        let upto = part.upto.ok_or("it has no upto")?;
        if part.job != Some(job) {
            return Err(format!("it answers {:?} as its job, and this is {job}", part.job));
        }
        if !(next..=end).contains(&upto) {
            return Err(format!("its upto is {upto}, and has to be from {next} to {end}"));
        }
        let literals = part.literals.iter().map(|(item, _)| *item);
        let failed = part.failed.iter().map(|(item, _, _)| *item);
        let mut named = BTreeSet::new();
        for items in [literals.collect::<Vec<_>>(), failed.collect()] {
            if !items.is_sorted() {
                return Err(format!("it names items in the order {items:?}"));
            }
            if let Some(item) =
                items.into_iter().find(|item| !(next..upto).contains(item) || !named.insert(*item))
            {
                return Err(format!("it names item {item}, which is not one of {next} to {upto}, or twice"));
            }
        }
        let (values, wanted) = (part.values.len(), (upto - next) as usize - named.len());
        if values != wanted {
            return Err(format!("it has {values} values for {wanted} items"));
        }
        if wanted > 0 && self.interface.is_none() {
            return Err("it has values of a task whose values are not plain".to_owned());
        }
        let has_stopped = may_stop && upto > items.start;
        if part.done && upto < end && !has_stopped && self.failures.is_empty() && part.failed.is_empty() {
            return Err(format!("it is done at item {upto} of {end}, and none failed"));
        }
        Ok(upto)
    }

    /// Notes that the process ended well while `item` ran (the first unknown one when none or a known one is named): it
    /// succeeded if it had nothing to give, and failed with `failure` otherwise.
    pub(super) fn leave(&mut self, item: Option<u32>, failure: Failure) {
        if !self.declared.is_empty() {
            return self.fail(item, failure);
        }
        let item = item.filter(|item| (self.next..self.items.end).contains(item)).unwrap_or(self.next);
        if item < self.items.end {
            self.give_back(ItemRange { start: self.next, end: item });
            self.next = item + 1;
        }
    }

    /// Notes that `item` failed (the first unknown one when none or a known one is named); those after it are given
    /// back, and so are those before it whose results did not come.
    pub(super) fn fail(&mut self, item: Option<u32>, failure: Failure) {
        let item = item.filter(|item| (self.next..self.items.end).contains(item)).unwrap_or(self.next);
        if item >= self.items.end {
            return;
        }
        self.give_back(ItemRange { start: self.next, end: item });
        self.failures.push(ItemFailure { index: item, failure });
        self.next = item + 1;
    }

    /// Gives back all items whose fate is not known, and answers outputs, failures and what is given back.
    pub(super) fn finish(mut self) -> (Bytes, Vec<ItemFailure>, Vec<ItemRange>) {
        self.give_back(ItemRange { start: self.next, end: self.items.end });
        let mut map = BytesMut::new();
        for (name, elements) in &self.collections {
            encode_entry(&mut map, name, elements);
        }
        (map.freeze(), self.failures, self.returned)
    }

    fn give_back(&mut self, range: ItemRange) {
        if !range.is_empty() {
            self.returned.push(range);
        }
    }

    fn take_value(&mut self, index: u32, value: Plain) {
        let Some((name, shape)) = self.interface.as_ref().and_then(|interface| interface.output.as_ref())
        else {
            return;
        };
        let Some(literal) = to_literal(value, shape) else {
            self.failures.push(ItemFailure { index, failure: failure::unreadable("the result") });
            return;
        };
        if !self.collections.contains_key(name) {
            self.collections.insert(name.clone(), BytesMut::new());
        }
        let elements = self.collections.get_mut(name).expect("it was put there");
        encode_key(1, WireType::LengthDelimited, elements);
        literal.encode_length_delimited(elements).expect("the buffer grows");
    }

    fn take_literals(&mut self, index: u32, outputs: &BTreeMap<String, Bytes>) {
        if self.declared.iter().any(|name| !outputs.contains_key(name)) {
            self.failures.push(ItemFailure { index, failure: failure::outputs_not_found(&self.prefix) });
            return;
        }
        if !self.declared.iter().all(|name| is_readable(name, &outputs[name])) {
            self.failures.push(ItemFailure { index, failure: failure::unreadable("the result") });
            return;
        }
        for name in &self.declared {
            encode_bytes(self.collections.entry(name.clone()).or_default(), 1, &outputs[name]);
        }
    }

    fn take_failure(&mut self, index: u32, document: Option<Bytes>, others: &[String]) {
        let failure = match document {
            Some(document) => failure::from_documents([document.as_ref()])
                .unwrap_or_else(|| failure::unreadable("error.pb")),
            None if others.iter().any(|name| name == "futures.pb") => failure::dynamic(),
            // The task asked for its outputs to be ignored, and there are none to miss.
            None if self.declared.is_empty() => return,
            None => failure::outputs_not_found(&self.prefix),
        };
        self.failures.push(ItemFailure { index, failure });
    }
}

/// Says whether an encoded literal can be decoded where it is to stand: one that cannot would take all others along.
fn is_readable(name: &str, literal: &Bytes) -> bool {
    let (mut elements, mut map) = (BytesMut::new(), BytesMut::new());
    encode_bytes(&mut elements, 1, literal);
    encode_entry(&mut map, name, &elements);
    LiteralMap::decode(map).is_ok()
}

/// Encodes an entry of a `LiteralMap` whose value is a collection of encoded elements.
fn encode_entry(map: &mut BytesMut, name: &str, elements: &[u8]) {
    let mut literal = BytesMut::with_capacity(elements.len() + 16);
    encode_bytes(&mut literal, 2, elements);
    let mut entry = BytesMut::with_capacity(literal.len() + name.len() + 16);
    encode_bytes(&mut entry, 1, name.as_bytes());
    encode_bytes(&mut entry, 2, &literal);
    encode_bytes(map, 1, &entry);
}

fn encode_bytes(buffer: &mut BytesMut, field: u32, bytes: &[u8]) {
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint(bytes.len() as u64, buffer);
    buffer.put_slice(bytes);
}
