//! What became of the items of a chunk, put together from what the child says.

use crate::failure;
use crate::plain::{Interface, Plain, to_literal};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use skein_idl::flyteidl::core::TaskTemplate;
use skein_model::Failure;
use skein_model::event::{ItemFailure, ItemRange};
use skein_protocol::messages::Part;
use std::collections::BTreeMap;

/// The fates of a range of items, as far as they are known.
pub(super) struct Gather {
    items: ItemRange,
    /// The first item whose fate is not known.
    next: u32,
    interface: Option<Interface>,
    declared: Vec<String>,
    prefix: String,
    /// For each output the elements of a `LiteralCollection`, encoded.
    collections: BTreeMap<String, BytesMut>,
    failures: Vec<ItemFailure>,
    returned: Vec<ItemRange>,
    /// The item that ran when the child was last looked at.
    pub running: Option<u32>,
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
            running: None,
        }
    }

    /// Answers the items' interface; none when it is not plain.
    pub(super) const fn interface(&self) -> Option<&Interface> {
        self.interface.as_ref()
    }

    /// Takes what the child says of the items from the first unknown one on.
    pub(super) fn take(&mut self, part: Part) {
        let mut values = part.values.into_iter();
        let mut literals = part.literals.into_iter().peekable();
        let mut failed = part.failed.into_iter().peekable();
        for index in self.next..part.upto.min(self.items.end) {
            if let Some((_, outputs)) = literals.next_if(|(item, _)| *item == index) {
                self.take_literals(index, &outputs);
            } else if let Some((_, document, others)) = failed.next_if(|(item, _, _)| *item == index) {
                self.take_failure(index, document, &others);
            } else {
                self.take_value(index, values.next().unwrap_or(Plain::Nothing));
            }
            self.next = index + 1;
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
