//! Between plain values and literals.

use super::{Plain, Shape};
use prost_types::{Duration, Timestamp};
use skein_idl::flyteidl::core::{
    Literal, LiteralCollection, LiteralMap, Primitive, Scalar, literal, primitive, scalar,
};

const MICROS_PER_SECOND: i64 = 1_000_000;
const NANOS_PER_MICRO: i32 = 1_000;

/// Takes the value out of a literal; none when it is not exactly of `shape`, so that the SDK has to look at it.
pub(crate) fn from_literal(literal: &Literal, shape: &Shape) -> Option<Plain> {
    match (literal.value.as_ref()?, shape) {
        (literal::Value::Scalar(scalar), _) => from_scalar(scalar, shape),
        (literal::Value::Collection(collection), Shape::List(inner)) => {
            let values = collection.literals.iter().map(|element| from_literal(element, inner));
            Some(Plain::List(values.collect::<Option<_>>()?))
        }
        (literal::Value::Map(map), Shape::Map(inner)) => {
            let entries =
                map.literals.iter().map(|(key, value)| Some((key.clone(), from_literal(value, inner)?)));
            Some(Plain::Map(entries.collect::<Option<_>>()?))
        }
        (
            literal::Value::Collection(_) | literal::Value::Map(_) | literal::Value::OffloadedMetadata(_),
            _,
        ) => None,
    }
}

/// Takes the values out of a collection, one for each item.
pub(crate) fn elements(literal: &Literal) -> Option<&[Literal]> {
    match literal.value.as_ref()? {
        literal::Value::Collection(collection) => Some(&collection.literals),
        literal::Value::Scalar(_) | literal::Value::Map(_) | literal::Value::OffloadedMetadata(_) => None,
    }
}

fn from_scalar(scalar: &Scalar, shape: &Shape) -> Option<Plain> {
    let Some(scalar::Value::Primitive(Primitive { value: Some(value) })) = &scalar.value else { return None };
    match (value, shape) {
        (primitive::Value::Integer(value), Shape::Int) => Some(Plain::Int(*value)),
        (primitive::Value::FloatValue(value), Shape::Float) => Some(Plain::Float(*value)),
        (primitive::Value::Boolean(value), Shape::Bool) => Some(Plain::Bool(*value)),
        (primitive::Value::StringValue(value), Shape::Str) => Some(Plain::Str(value.clone())),
        (primitive::Value::Datetime(value), Shape::Datetime) => micros(value.seconds, value.nanos),
        (primitive::Value::Duration(value), Shape::Timedelta) => micros(value.seconds, value.nanos),
        _ => None,
    }
}

/// Answers none for what Python's microseconds cannot hold: the SDK rounds, and it decides how.
fn micros(seconds: i64, nanos: i32) -> Option<Plain> {
    if nanos % NANOS_PER_MICRO != 0 {
        return None;
    }
    let micros = seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(i64::from(nanos / NANOS_PER_MICRO))?;
    Some(Plain::Int(micros))
}

/// Makes the literal that the SDK would make; none when the value is not of `shape`.
pub(crate) fn to_literal(value: Plain, shape: &Shape) -> Option<Literal> {
    let value = match (value, shape) {
        (Plain::Int(value), Shape::Int) => primitive(primitive::Value::Integer(value)),
        (Plain::Float(value), Shape::Float) => primitive(primitive::Value::FloatValue(value)),
        (Plain::Bool(value), Shape::Bool) => primitive(primitive::Value::Boolean(value)),
        (Plain::Str(value), Shape::Str) => primitive(primitive::Value::StringValue(value)),
        (Plain::Int(value), Shape::Datetime) => primitive(primitive::Value::Datetime(timestamp(value))),
        (Plain::Int(value), Shape::Timedelta) => primitive(primitive::Value::Duration(duration(value))),
        (Plain::List(values), Shape::List(inner)) => {
            let literals = values.into_iter().map(|value| to_literal(value, inner)).collect::<Option<_>>()?;
            literal::Value::Collection(LiteralCollection { literals })
        }
        (Plain::Map(entries), Shape::Map(inner)) => {
            let literals = entries.into_iter().map(|(key, value)| Some((key, to_literal(value, inner)?)));
            literal::Value::Map(LiteralMap { literals: literals.collect::<Option<_>>()? })
        }
        _ => return None,
    };
    Some(Literal { value: Some(value), ..Literal::default() })
}

fn primitive(value: primitive::Value) -> literal::Value {
    literal::Value::Scalar(Box::new(Scalar {
        value: Some(scalar::Value::Primitive(Primitive { value: Some(value) })),
    }))
}

/// A protobuf timestamp's nanoseconds count forward, also before the epoch.
fn timestamp(micros: i64) -> Timestamp {
    let nanos = micros.rem_euclid(MICROS_PER_SECOND) * i64::from(NANOS_PER_MICRO);
    Timestamp { seconds: micros.div_euclid(MICROS_PER_SECOND), nanos: nanos_of(nanos) }
}

/// A protobuf duration's nanoseconds have the sign of its seconds.
fn duration(micros: i64) -> Duration {
    let nanos = micros % MICROS_PER_SECOND * i64::from(NANOS_PER_MICRO);
    Duration { seconds: micros / MICROS_PER_SECOND, nanos: nanos_of(nanos) }
}

fn nanos_of(nanos: i64) -> i32 {
    i32::try_from(nanos).expect("a part of a second is below 10^9 nanoseconds")
}
