//! Follows the path of a promise into a value: through maps and collections first, then into a struct.

use super::msgpack;
use crate::literals::{
    self, CollectionBuilder, CollectionElements, LiteralKind, NONE_LITERAL, encode_boolean, encode_float,
    encode_integer, encode_scalar, encode_string,
};
use crate::types::{DEPTH_MAX, MSGPACK};
use bytes::Bytes;
use prost::Message as _;
use prost_types::value::Kind;
use skein_idl::flyteidl::core::{Binary, Literal, PromiseAttribute, literal, promise_attribute, scalar};

/// Why a path leads nowhere.
#[derive(Debug)]
pub(super) enum Fault {
    /// The value is not what it says it is.
    Unreadable(String),
    /// The value has no such part.
    Missing(String),
}

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(i32),
}

/// Answers what a path names in an encoded literal, as an encoded literal.
pub(super) fn follow(literal: Bytes, path: &[PromiseAttribute]) -> Result<Bytes, Fault> {
    let steps = path.iter().map(step).collect::<Result<Vec<_>, _>>()?;
    let mut current = literal;
    let mut rest = steps.as_slice();
    while let Some((&next, after)) = rest.split_first() {
        current = match literals::kind_of(&current)? {
            LiteralKind::Collection => element(&current, next)?,
            LiteralKind::Map => entry(&current, next)?,
            LiteralKind::Scalar => match open(&current)? {
                // A union is only a wrapper: the step leads into what it holds.
                Opened::Union(inner) => {
                    current = inner;
                    continue;
                }
                Opened::Msgpack(value) => return follow_msgpack(&value, rest),
                Opened::Struct(value) => return follow_struct(&value, rest),
                Opened::Other(what) => return Err(missing(next, what)),
            },
            LiteralKind::Offloaded => return Err(Fault::Unreadable("it was offloaded".to_owned())),
            LiteralKind::Empty => return Err(missing(next, "nothing")),
        };
        rest = after;
    }
    Ok(current)
}

/// Answers a path as people write it: `.a[0].b`.
pub(crate) fn path_text(path: &[PromiseAttribute]) -> String {
    let text = path.iter().map(|attribute| match &attribute.value {
        Some(promise_attribute::Value::StringValue(key)) => format!(".{key}"),
        Some(promise_attribute::Value::IntValue(index)) => format!("[{index}]"),
        None => ".?".to_owned(),
    });
    text.collect()
}

fn step(attribute: &PromiseAttribute) -> Result<Step<'_>, Fault> {
    match &attribute.value {
        Some(promise_attribute::Value::StringValue(key)) => Ok(Step::Key(key)),
        Some(promise_attribute::Value::IntValue(index)) => Ok(Step::Index(*index)),
        None => Err(Fault::Missing("a step has neither a name nor an index".to_owned())),
    }
}

fn missing(step: Step<'_>, place: &str) -> Fault {
    Fault::Missing(match step {
        Step::Key(key) => format!("key {key:?} not found in {place}"),
        Step::Index(index) => format!("index {index} not found in {place}"),
    })
}

fn element(collection: &Bytes, step: Step<'_>) -> Result<Bytes, Fault> {
    let Step::Index(index) = step else { return Err(missing(step, "a list")) };
    let mut elements = CollectionElements::of(collection)?.into_iter().flatten();
    let found = usize::try_from(index).ok().and_then(|index| elements.nth(index)).transpose()?;
    let found = found.ok_or_else(|| missing(step, "a list that ends before it"))?;
    Ok(collection.slice_ref(found))
}

fn entry(map: &Bytes, step: Step<'_>) -> Result<Bytes, Fault> {
    let Step::Key(key) = step else { return Err(missing(step, "a map")) };
    let entries = literals::map_entries(map)?.unwrap_or_default();
    let found = entries.into_iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value).ok_or_else(|| missing(step, "a map"))
}

enum Opened {
    Union(Bytes),
    Msgpack(Bytes),
    Struct(prost_types::Struct),
    Other(&'static str),
}

fn open(literal: &Bytes) -> Result<Opened, Fault> {
    let decoded = Literal::decode(literal.clone()).map_err(|error| Fault::Unreadable(error.to_string()))?;
    let Some(literal::Value::Scalar(scalar)) = decoded.value else { return Ok(Opened::Other("nothing")) };
    Ok(match scalar.value {
        Some(scalar::Value::Union(union)) => match union.value {
            Some(inner) => Opened::Union(inner.encode_to_vec().into()),
            None => Opened::Other("a union without a value"),
        },
        Some(scalar::Value::Binary(Binary { value, tag })) if tag == MSGPACK => Opened::Msgpack(value),
        Some(scalar::Value::Generic(value)) => Opened::Struct(value),
        Some(scalar::Value::NoneType(_)) => Opened::Other("the value none"),
        Some(_) => Opened::Other("a value that has no parts"),
        None => Opened::Other("nothing"),
    })
}

fn follow_msgpack(value: &Bytes, path: &[Step<'_>]) -> Result<Bytes, Fault> {
    let mut current = value.as_ref();
    for step in path {
        let found = match step {
            Step::Key(key) => msgpack::field(current, key),
            Step::Index(index) => msgpack::element(current, *index),
        };
        current = found.map_err(unreadable)?.ok_or_else(|| missing(*step, "a struct"))?;
    }
    literal_of_msgpack(value, current, 0)
}

fn unreadable(error: msgpack::Malformed) -> Fault {
    Fault::Unreadable(error.to_string())
}

fn literal_of_msgpack(whole: &Bytes, value: &[u8], depth: usize) -> Result<Bytes, Fault> {
    if depth > DEPTH_MAX {
        return Err(Fault::Unreadable(format!("it is nested more than {DEPTH_MAX} deep")));
    }
    Ok(match msgpack::value(value).map_err(unreadable)? {
        msgpack::Value::Nil => Bytes::from_static(NONE_LITERAL),
        msgpack::Value::Boolean(value) => encode_boolean(value),
        msgpack::Value::Integer(value) => encode_integer(value),
        msgpack::Value::Float(value) => encode_float(value),
        msgpack::Value::Text(value) => encode_string(value),
        msgpack::Value::Array(elements) => {
            let mut collection = CollectionBuilder::default();
            for element in elements {
                let element = element.map_err(unreadable)?;
                collection.push(&literal_of_msgpack(whole, element, depth + 1)?);
            }
            collection.finish()
        }
        msgpack::Value::Other => {
            let binary = Binary { value: whole.slice_ref(value), tag: MSGPACK.to_owned() };
            encode_scalar(scalar::Value::Binary(binary))
        }
    })
}

fn follow_struct(value: &prost_types::Struct, path: &[Step<'_>]) -> Result<Bytes, Fault> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(encode_scalar(scalar::Value::Generic(value.clone())));
    };
    let Step::Key(key) = first else { return Err(missing(*first, "a struct")) };
    let mut current = value.fields.get(*key).ok_or_else(|| missing(*first, "a struct"))?;
    for step in rest {
        let found = match (step, &current.kind) {
            (Step::Key(key), Some(Kind::StructValue(fields))) => fields.fields.get(*key),
            (Step::Index(index), Some(Kind::ListValue(list))) => {
                usize::try_from(*index).ok().and_then(|index| list.values.get(index))
            }
            _ => None,
        };
        current = found.ok_or_else(|| missing(*step, "a struct"))?;
    }
    literal_of_struct_value(current, 0)
}

fn literal_of_struct_value(value: &prost_types::Value, depth: usize) -> Result<Bytes, Fault> {
    if depth > DEPTH_MAX {
        return Err(Fault::Unreadable(format!("it is nested more than {DEPTH_MAX} deep")));
    }
    Ok(match &value.kind {
        None | Some(Kind::NullValue(_)) => Bytes::from_static(NONE_LITERAL),
        Some(Kind::BoolValue(value)) => encode_boolean(*value),
        Some(Kind::NumberValue(value)) => encode_float(*value),
        Some(Kind::StringValue(value)) => encode_string(value),
        Some(Kind::StructValue(value)) => encode_scalar(scalar::Value::Generic(value.clone())),
        Some(Kind::ListValue(list)) => {
            let mut collection = CollectionBuilder::default();
            for element in &list.values {
                collection.push(&literal_of_struct_value(element, depth + 1)?);
            }
            collection.finish()
        }
    })
}
