//! Says whether a value of one type may be given where another is declared.

use super::{DEPTH_MAX, is_none, is_simple};
use skein_idl::flyteidl::core::literal_type::Type;
use skein_idl::flyteidl::core::schema_type::schema_column::SchemaColumnType;
use skein_idl::flyteidl::core::structured_dataset_type::DatasetColumn;
use skein_idl::flyteidl::core::{
    BlobType, LiteralType, SchemaType, SimpleType, StructuredDatasetType, UnionType,
};
use std::collections::BTreeMap;

/// Whether a value of one type may be given where another is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// It may.
    Yes,
    /// It may not.
    No,
    /// Several variants of a union would take it, and nothing says which.
    Ambiguous,
}

impl Cast {
    const fn when(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// How many pairs of types are compared before two types count as not fitting.
///
/// Types of unions within unions ask for the product of their sizes; real ones need a few dozen.
const STEPS_MAX: usize = 200_000;

/// Says whether a value of type `upstream` may be given where `downstream` is declared.
pub fn castable(upstream: &LiteralType, downstream: &LiteralType) -> Cast {
    Comparison { steps_left: STEPS_MAX }.cast(upstream, downstream, 0)
}

struct Comparison {
    steps_left: usize,
}

impl Comparison {
    fn cast(&mut self, up: &LiteralType, down: &LiteralType, depth: usize) -> Cast {
        if self.steps_left == 0 || depth > DEPTH_MAX {
            return Cast::No;
        }
        self.steps_left -= 1;
        let (Some(up_type), Some(down_type)) = (&up.r#type, &down.r#type) else { return Cast::No };
        match (up_type, down_type) {
            (Type::UnionType(union), _) if union.variants.len() == 1 => {
                self.cast(&union.variants[0], down, depth + 1)
            }
            (Type::UnionType(ups), Type::UnionType(downs)) => self.every_variant(ups, downs, depth),
            (_, Type::UnionType(downs)) => self.one_variant(up, downs, depth),
            // The original lets text be made of an enum before it looks at names of transformers.
            (Type::EnumType(_), Type::Simple(_)) if is_simple(down, SimpleType::String) => Cast::Yes,
            _ if !same_transformer(up, down) => Cast::No,
            _ => self.plain(up_type, down_type, depth),
        }
    }

    fn plain(&mut self, up: &Type, down: &Type, depth: usize) -> Cast {
        match (up, down) {
            (Type::Simple(up), Type::Simple(down)) => Cast::when(up == down),
            (Type::Simple(up), Type::StructuredDatasetType(_)) => {
                Cast::when(*up == i32::from(SimpleType::None))
            }
            (Type::Simple(up), Type::EnumType(_)) => Cast::when(*up == i32::from(SimpleType::String)),
            (Type::EnumType(up), Type::EnumType(down)) => Cast::when(up.values == down.values),
            (Type::CollectionType(up), Type::CollectionType(down))
            | (Type::MapValueType(up), Type::MapValueType(down)) => self.element(up, down, depth),
            (Type::Blob(up), Type::Blob(down)) => Cast::when(blob_fits(up, down)),
            (Type::Schema(up), Type::Schema(down)) => Cast::when(schema_fits(up, down)),
            (Type::StructuredDatasetType(up), Type::Schema(down)) => {
                Cast::when(is_parquet(&up.format) && self.columns(&up.columns, &schema_columns(down), depth))
            }
            (Type::Schema(up), Type::StructuredDatasetType(down)) => Cast::when(
                is_parquet(&down.format) && self.columns(&schema_columns(up), &down.columns, depth),
            ),
            (Type::StructuredDatasetType(up), Type::StructuredDatasetType(down)) => {
                Cast::when(dataset_formats_fit(up, down) && self.columns(&up.columns, &down.columns, depth))
            }
            _ => Cast::No,
        }
    }

    /// An empty list, or an empty map, has elements of type none and goes anywhere.
    fn element(&mut self, up: &LiteralType, down: &LiteralType, depth: usize) -> Cast {
        if is_none(up) { Cast::Yes } else { self.cast(up, down, depth + 1) }
    }

    fn every_variant(&mut self, ups: &UnionType, downs: &UnionType, depth: usize) -> Cast {
        Cast::when(
            !ups.variants.is_empty()
                && ups
                    .variants
                    .iter()
                    .all(|up| downs.variants.iter().any(|down| self.cast(up, down, depth + 1) == Cast::Yes)),
        )
    }

    fn one_variant(&mut self, up: &LiteralType, downs: &UnionType, depth: usize) -> Cast {
        let mut found = Cast::No;
        for down in &downs.variants {
            match (self.cast(up, down, depth + 1), found) {
                (Cast::No, _) => {}
                (Cast::Ambiguous, _) | (Cast::Yes, Cast::Yes | Cast::Ambiguous) => return Cast::Ambiguous,
                (Cast::Yes, Cast::No) => found = Cast::Yes,
            }
        }
        found
    }

    /// Every column that is asked for must be there with a type that fits; no columns on either side ask for nothing.
    fn columns(&mut self, up: &[DatasetColumn], down: &[DatasetColumn], depth: usize) -> bool {
        if up.is_empty() || down.is_empty() {
            return true;
        }
        let up: BTreeMap<&str, &DatasetColumn> =
            up.iter().map(|column| (column.name.as_str(), column)).collect();
        down.iter().all(|down| {
            match (up.get(down.name.as_str()).and_then(|up| up.literal_type.as_ref()), &down.literal_type) {
                (Some(up), Some(down)) => self.cast(up, down, depth + 1) == Cast::Yes,
                _ => false,
            }
        })
    }
}

/// A value that was tagged with the transformer that wrote it can only be read by the same one.
fn same_transformer(up: &LiteralType, down: &LiteralType) -> bool {
    let up = tag(up);
    up.is_empty() || up == tag(down)
}

fn tag(literal_type: &LiteralType) -> &str {
    literal_type.structure.as_ref().map_or("", |structure| structure.tag.as_str())
}

fn blob_fits(up: &BlobType, down: &BlobType) -> bool {
    up.format == down.format || up.format.is_empty() || down.format.is_empty()
}

fn schema_fits(up: &SchemaType, down: &SchemaType) -> bool {
    if up.columns.is_empty() || down.columns.is_empty() {
        return true;
    }
    let up: BTreeMap<&str, i32> =
        up.columns.iter().map(|column| (column.name.as_str(), column.r#type)).collect();
    down.columns.iter().all(|column| up.get(column.name.as_str()) == Some(&column.r#type))
}

fn is_parquet(format: &str) -> bool {
    format.is_empty() || format.eq_ignore_ascii_case("parquet")
}

fn dataset_formats_fit(up: &StructuredDatasetType, down: &StructuredDatasetType) -> bool {
    up.format.is_empty() || down.format.is_empty() || up.format.eq_ignore_ascii_case(&down.format)
}

/// Answers a schema's columns as a dataset has them.
fn schema_columns(schema: &SchemaType) -> Vec<DatasetColumn> {
    let column = |name: &str, column: SchemaColumnType| DatasetColumn {
        name: name.to_owned(),
        literal_type: Some(super::simple(match column {
            SchemaColumnType::Integer => SimpleType::Integer,
            SchemaColumnType::Float => SimpleType::Float,
            SchemaColumnType::String => SimpleType::String,
            SchemaColumnType::Boolean => SimpleType::Boolean,
            SchemaColumnType::Datetime => SimpleType::Datetime,
            SchemaColumnType::Duration => SimpleType::Duration,
        })),
    };
    schema.columns.iter().map(|found| column(&found.name, found.r#type())).collect()
}
