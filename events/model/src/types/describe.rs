//! Writes types down for people, in the form the original's messages have.

use super::DEPTH_MAX;
use skein_idl::flyteidl::core::literal_type::Type;
use skein_idl::flyteidl::core::{LiteralType, blob_type};
use std::fmt::{self, Write};

/// The longest description, in bytes: it is one part of a message that fits into a header.
const BYTES_MAX: usize = 512;

/// Answers a readable form of a type, such as `simple:INTEGER` or `collection_type:{simple:STRING}`. What tells no
/// type from another (schemas of dataclasses, annotations) is left out, and a long one is cut.
pub fn describe(literal_type: &LiteralType) -> String {
    let mut out = Cut { text: String::new() };
    if write_type(&mut out, literal_type, 0).is_err() {
        out.text.push_str("...");
    }
    out.text
}

/// Text that ends, with an error, once it is long enough.
struct Cut {
    text: String,
}

impl Write for Cut {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = BYTES_MAX.saturating_sub(self.text.len());
        let end = more.floor_char_boundary(room);
        self.text.push_str(&more[..end]);
        if end < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

fn write_type(out: &mut Cut, literal_type: &LiteralType, depth: usize) -> fmt::Result {
    if depth > DEPTH_MAX {
        return Err(fmt::Error);
    }
    match &literal_type.r#type {
        None => out.write_str("no type")?,
        Some(Type::Simple(number)) => match super::SimpleType::try_from(*number) {
            Ok(simple) => write!(out, "simple:{}", simple.as_str_name())?,
            Err(_) => write!(out, "simple:{number}")?,
        },
        Some(Type::CollectionType(element)) => nested(out, "collection_type", element, depth)?,
        Some(Type::MapValueType(value)) => nested(out, "map_value_type", value, depth)?,
        Some(Type::Blob(blob)) => write_blob(out, blob)?,
        Some(Type::EnumType(values)) => {
            out.write_str("enum_type:{")?;
            separated(out, &values.values, |out, value| write!(out, "values:{value:?}"))?;
            out.write_str("}")?;
        }
        Some(Type::UnionType(union)) => {
            out.write_str("union_type:{")?;
            separated(out, &union.variants, |out, variant| nested(out, "variants", variant, depth))?;
            out.write_str("}")?;
        }
        Some(Type::Schema(schema)) => {
            out.write_str("schema:{")?;
            separated(out, &schema.columns, |out, column| {
                write!(out, "columns:{{name:{:?} type:{}}}", column.name, column.r#type().as_str_name())
            })?;
            out.write_str("}")?;
        }
        Some(Type::StructuredDatasetType(dataset)) => write_dataset(out, dataset, depth)?,
    }
    match &literal_type.structure {
        Some(structure) if !structure.tag.is_empty() => write!(out, " structure:{{tag:{:?}}}", structure.tag),
        _ => Ok(()),
    }
}

fn nested(out: &mut Cut, name: &str, inner: &LiteralType, depth: usize) -> fmt::Result {
    write!(out, "{name}:{{")?;
    write_type(out, inner, depth + 1)?;
    out.write_str("}")
}

fn separated<T>(
    out: &mut Cut,
    items: &[T],
    mut write: impl FnMut(&mut Cut, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.write_str(" ")?;
        }
        write(out, item)?;
    }
    Ok(())
}

fn write_blob(out: &mut Cut, blob: &super::BlobType) -> fmt::Result {
    out.write_str("blob:{")?;
    if !blob.format.is_empty() {
        write!(out, "format:{:?}", blob.format)?;
    }
    if blob.dimensionality() == blob_type::BlobDimensionality::Multipart {
        let space = if blob.format.is_empty() { "" } else { " " };
        write!(out, "{space}dimensionality:MULTIPART")?;
    }
    out.write_str("}")
}

fn write_dataset(out: &mut Cut, dataset: &super::StructuredDatasetType, depth: usize) -> fmt::Result {
    out.write_str("structured_dataset_type:{")?;
    separated(out, &dataset.columns, |out, column| {
        write!(out, "columns:{{name:{:?}", column.name)?;
        if let Some(literal_type) = &column.literal_type {
            out.write_str(" ")?;
            nested(out, "literal_type", literal_type, depth)?;
        }
        out.write_str("}")
    })?;
    if !dataset.format.is_empty() {
        let space = if dataset.columns.is_empty() { "" } else { " " };
        write!(out, "{space}format:{:?}", dataset.format)?;
    }
    out.write_str("}")
}
