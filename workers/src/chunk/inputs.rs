//! The inputs of a chunk's items, in the form in which the child wants them.

use super::{ItemRange, Range};
use crate::failure;
use crate::machine::Prepared;
use crate::plain::{Interface, Plain, elements, from_literal};
use prost::Message;
use skein_idl::flyteidl::core::LiteralMap;
use skein_model::Failure;
use std::collections::BTreeMap;

/// The most of a chunk's encoded inputs that is sent to its process, in bytes. Larger ones are written to a file.
const SENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What the items of a chunk get.
pub(super) enum ChunkInputs {
    /// Plain values: the function is called directly.
    Plain {
        /// For each input that differs by item: one value for each item, in order.
        columns: BTreeMap<String, Vec<Plain>>,
        /// The other inputs.
        bound: BTreeMap<String, Plain>,
    },
    /// A file: the SDK's dispatch runs.
    File {
        /// Its path: an encoded `LiteralMap`.
        inputs: String,
        /// The inputs that are the same for all items.
        names: Vec<String>,
        /// How many items in the file come before the first of the chunk.
        skip: u32,
    },
}

/// Answers what the items of `piece`, which are among those of `range`, get: plain values when `interface` is given and
/// all values are plain, else a file.
///
/// # Errors
/// When what was bound is not what a map needs.
pub(super) fn of_chunk(
    prepared: &Prepared,
    range: &Range<'_>,
    piece: ItemRange,
    interface: Option<&Interface>,
) -> Result<ChunkInputs, Failure> {
    let decoded = LiteralMap::decode(prepared.inputs.clone());
    let map = decoded.map_err(|_| failure::invalid("the inputs of a map cannot be decoded".to_owned()))?;
    for (name, literal) in map.literals.iter().filter(|(name, _)| !range.bound.contains(name)) {
        let (found, wanted) = (elements(literal).map(<[_]>::len), range.items.len());
        if found != Some(wanted as usize) {
            let found =
                found.map_or_else(|| "is not a list".to_owned(), |found| format!("has {found} values"));
            return Err(failure::invalid(format!(
                "input {name} of a map {found}, but there are {wanted} items"
            )));
        }
    }
    let interface = interface.filter(|_| prepared.inputs.len() <= SENT_BYTES_MAX);
    let plain = interface.and_then(|interface| plain(&map, range, piece, interface));
    Ok(plain.unwrap_or_else(|| ChunkInputs::File {
        inputs: prepared.folder.inputs().display().to_string(),
        names: range.bound.to_vec(),
        skip: piece.start - range.items.start,
    }))
}

fn plain(
    map: &LiteralMap,
    range: &Range<'_>,
    piece: ItemRange,
    interface: &Interface,
) -> Option<ChunkInputs> {
    // The SDK has words of its own for an input that is missing or too many.
    if map.literals.len() != interface.inputs.len() {
        return None;
    }
    let of_piece = (piece.start - range.items.start) as usize..(piece.end - range.items.start) as usize;
    let mut columns = BTreeMap::new();
    let mut bound = BTreeMap::new();
    for (name, literal) in &map.literals {
        let shape = interface.inputs.get(name)?;
        if range.bound.contains(name) {
            bound.insert(name.clone(), from_literal(literal, shape)?);
        } else {
            let values =
                elements(literal)?.get(of_piece.clone())?.iter().map(|element| from_literal(element, shape));
            columns.insert(name.clone(), values.collect::<Option<Vec<Plain>>>()?);
        }
    }
    Some(ChunkInputs::Plain { columns, bound })
}
