//! Values of signals as people write them, and how they are shown.

use prost_types::{Duration, Timestamp};
use serde_json::{Value, json};
use skein_idl::flyteidl::core::literal_type::Type;
use skein_idl::flyteidl::core::{
    Literal, LiteralCollection, LiteralMap, LiteralType, Primitive, Scalar, SimpleType, literal, primitive,
    scalar,
};
use skein_model::types::describe;

/// Lists and maps are read this deep.
const DEPTH_MAX: usize = 32;

/// Reads a value by the type that it is to have.
///
/// # Errors
/// What is wrong with it, and an example of what would be right.
pub(super) fn read(text: &str, declared: &LiteralType) -> Result<Literal, String> {
    let value = match &declared.r#type {
        Some(Type::CollectionType(_) | Type::MapValueType(_)) => {
            serde_json::from_str(text).ok().and_then(|value| of_json(&value, declared, 0))
        }
        Some(Type::Simple(simple)) => primitive(text, *simple).map(of_primitive),
        _ => None,
    };
    value.ok_or_else(|| match example(declared, 0) {
        Some(example) => {
            format!("{text:?} is no value of type {}; one is {}", describe(declared), shown(&example))
        }
        None => format!("a value of type {} cannot be written; set it with the SDK", describe(declared)),
    })
}

/// A value without the quotes around a text.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Answers a value that could be given; none when none can be written.
pub(super) fn example(declared: &LiteralType, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    match declared.r#type.as_ref()? {
        Type::Simple(simple) => Some(match SimpleType::try_from(*simple).ok()? {
            SimpleType::Integer => json!(42),
            SimpleType::Float => json!(0.5),
            SimpleType::String => json!("some words"),
            SimpleType::Boolean => json!(true),
            SimpleType::Datetime => json!("2026-01-31T12:00:00Z"),
            SimpleType::Duration => json!("1h30m"),
            _ => return None,
        }),
        Type::CollectionType(element) => Some(json!([example(element, depth + 1)?])),
        Type::MapValueType(element) => Some(json!({ "key": example(element, depth + 1)? })),
        _ => None,
    }
}

fn of_primitive(value: primitive::Value) -> Literal {
    let scalar = scalar::Value::Primitive(Primitive { value: Some(value) });
    of_value(literal::Value::Scalar(Box::new(Scalar { value: Some(scalar) })))
}

fn of_value(value: literal::Value) -> Literal {
    Literal { value: Some(value), ..Literal::default() }
}

fn primitive(text: &str, simple: i32) -> Option<primitive::Value> {
    use primitive::Value;
    Some(match SimpleType::try_from(simple).ok()? {
        SimpleType::Integer => Value::Integer(text.parse().ok()?),
        SimpleType::Float => Value::FloatValue(text.parse().ok()?),
        SimpleType::String => Value::StringValue(text.to_owned()),
        SimpleType::Boolean => Value::Boolean(text.parse().ok()?),
        SimpleType::Datetime => Value::Datetime(text.parse().ok()?),
        SimpleType::Duration => Value::Duration(duration(text)?),
        _ => return None,
    })
}

/// Reads a length of time: numbers with units, from days to milliseconds, such as `1h30m`, `90s` or `-1.5s`.
fn duration(text: &str) -> Option<Duration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, after) = rest.split_at(number);
        let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let of_unit: i128 = match unit {
            "d" => 86_400_000_000_000,
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            _ => return None,
        };
        nanos = nanos.checked_add(scaled(amount, of_unit)?)?;
        rest = after;
    }
    let signed = if negative { -nanos } else { nanos };
    let seconds = i64::try_from(signed / 1_000_000_000).ok()?;
    Some(Duration { seconds, nanos: i32::try_from(signed % 1_000_000_000).ok()? })
}

/// Multiplies a number as it is written, such as `1.5`, with a whole one.
fn scaled(amount: &str, by: i128) -> Option<i128> {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, "0"));
    let part: String = part.chars().take(9).collect();
    let of_part = i128::from(part.parse::<u64>().ok()?);
    let digits = u32::try_from(part.len()).ok()?;
    let whole = i128::from(whole.parse::<u64>().ok()?).checked_mul(by)?;
    whole.checked_add(of_part.checked_mul(by)? / 10_i128.pow(digits))
}

fn of_json(value: &Value, declared: &LiteralType, depth: usize) -> Option<Literal> {
    if depth > DEPTH_MAX {
        return None;
    }
    match (declared.r#type.as_ref()?, value) {
        (Type::CollectionType(element), Value::Array(values)) => {
            let literals = values.iter().map(|value| of_json(value, element, depth + 1));
            let literals = literals.collect::<Option<_>>()?;
            Some(of_value(literal::Value::Collection(LiteralCollection { literals })))
        }
        (Type::MapValueType(element), Value::Object(values)) => {
            let literals =
                values.iter().map(|(key, value)| Some((key.clone(), of_json(value, element, depth + 1)?)));
            Some(of_value(literal::Value::Map(LiteralMap { literals: literals.collect::<Option<_>>()? })))
        }
        (Type::Simple(simple), value) => {
            let is_text = matches!(
                SimpleType::try_from(*simple),
                Ok(SimpleType::String | SimpleType::Datetime | SimpleType::Duration)
            );
            (value.is_string() == is_text)
                .then(|| primitive(&shown(value), *simple))
                .flatten()
                .map(of_primitive)
        }
        _ => None,
    }
}

/// Answers a value as it could be given; what cannot be written is said to be there.
pub(super) fn write(value: &Literal) -> Value {
    match &value.value {
        Some(literal::Value::Scalar(scalar)) => match &scalar.value {
            Some(scalar::Value::Primitive(primitive)) => of(primitive),
            Some(scalar::Value::NoneType(_)) => Value::Null,
            _ => json!("(a value that cannot be written)"),
        },
        Some(literal::Value::Collection(values)) => values.literals.iter().map(write).collect(),
        Some(literal::Value::Map(values)) => {
            let written = values.literals.iter().map(|(key, value)| (key.clone(), write(value)));
            Value::Object(written.collect())
        }
        _ => json!("(a value that cannot be written)"),
    }
}

fn of(primitive: &Primitive) -> Value {
    match &primitive.value {
        Some(primitive::Value::Integer(number)) => json!(number),
        Some(primitive::Value::FloatValue(number)) => json!(number),
        Some(primitive::Value::StringValue(text)) => json!(text),
        Some(primitive::Value::Boolean(truth)) => json!(truth),
        Some(primitive::Value::Datetime(at)) => json!(Timestamp::to_string(at)),
        Some(primitive::Value::Duration(span)) => json!(Duration::to_string(span)),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::types::simple;

    fn list_of(element: LiteralType) -> LiteralType {
        LiteralType { r#type: Some(Type::CollectionType(Box::new(element))), ..LiteralType::default() }
    }

    fn map_of(element: LiteralType) -> LiteralType {
        LiteralType { r#type: Some(Type::MapValueType(Box::new(element))), ..LiteralType::default() }
    }

    fn again(text: &str, declared: &LiteralType) -> Result<String, String> {
        read(text, declared).map(|value| write(&value).to_string())
    }

    #[test]
    fn a_value_is_read_by_its_type_and_shown_as_it_could_be_given() {
        for (text, declared, expected) in [
            ("-7", simple(SimpleType::Integer), "-7"),
            ("2", simple(SimpleType::Float), "2.0"),
            ("7", simple(SimpleType::String), "\"7\""),
            ("false", simple(SimpleType::Boolean), "false"),
            ("2026-01-31T12:00:00+02:00", simple(SimpleType::Datetime), "\"2026-01-31T10:00:00Z\""),
            ("1h30m", simple(SimpleType::Duration), "\"5400s\""),
            ("-1.5s", simple(SimpleType::Duration), "\"-1.500s\""),
            ("[1, 2]", list_of(simple(SimpleType::Integer)), "[1,2]"),
            (r#"{"a": ["1s"]}"#, map_of(list_of(simple(SimpleType::Duration))), r#"{"a":["1s"]}"#),
        ] {
            assert_eq!(again(text, &declared).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused_with_the_type_and_an_example() {
        let whole = simple(SimpleType::Integer);
        let expected = r#""seven" is no value of type simple:INTEGER; one is 42"#;
        assert_eq!(again("seven", &whole), Err(expected.to_owned()));
        let expected = r#""[1, \"2\"]" is no value of type collection_type:{simple:INTEGER}; one is [42]"#;
        assert_eq!(again("[1, \"2\"]", &list_of(whole)), Err(expected.to_owned()));
        for span in ["", "5", "h", "1h3", "1 h", "1.2.3s", "-", "99999999999999999999d", "s"] {
            assert!(again(span, &simple(SimpleType::Duration)).is_err(), "{span}");
        }
        let expected = "a value of type simple:STRUCT cannot be written; set it with the SDK";
        assert_eq!(again("{}", &simple(SimpleType::Struct)), Err(expected.to_owned()));
    }
}
