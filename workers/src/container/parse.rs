//! What the text of an output file means, by the type that is declared for it. Pure.
//!
//! Shells and command-line tools write these files, so what they write is taken: a newline at the end, `True`, `1e-3`.

use super::text;
use super::value::MSGPACK;
use skein_idl::flyteidl::core::{
    Binary, Literal, LiteralType, Primitive, Scalar, SimpleType, Union, Void, blob_type, literal,
    literal_type, primitive, scalar,
};

/// The longest text that is a number, a time or the like, in bytes: what the original takes.
pub(super) const LINE_BYTES_MAX: u64 = 1024;
/// The longest text that is a string or an object, in bytes.
pub(super) const TEXT_BYTES_MAX: u64 = 1024 * 1024;

/// How an output comes out of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As the text of a file of at most so many bytes.
    Text(u64),
    /// As a file.
    File,
    /// As a folder.
    Folder,
    /// As nothing: no file is needed.
    Nothing,
}

/// Answers how an output of a type comes out of a container.
///
/// # Errors
/// What the type is, in words, when none can.
pub(super) fn form(declared: &LiteralType) -> Result<Form, &'static str> {
    Ok(match declared.r#type.as_ref().ok_or("of no type")? {
        literal_type::Type::Simple(simple) => {
            match SimpleType::try_from(*simple).map_err(|_| "of an unknown type")? {
                SimpleType::String | SimpleType::Struct => Form::Text(TEXT_BYTES_MAX),
                SimpleType::Integer
                | SimpleType::Float
                | SimpleType::Boolean
                | SimpleType::Datetime
                | SimpleType::Duration => Form::Text(LINE_BYTES_MAX),
                SimpleType::None => Form::Nothing,
                SimpleType::Binary => return Err("bytes"),
                SimpleType::Error => return Err("an error"),
            }
        }
        literal_type::Type::EnumType(_) => Form::Text(LINE_BYTES_MAX),
        literal_type::Type::Blob(blob) => match blob.dimensionality() {
            blob_type::BlobDimensionality::Single => Form::File,
            blob_type::BlobDimensionality::Multipart => Form::Folder,
        },
        literal_type::Type::UnionType(union) => {
            let forms: Vec<Form> = union.variants.iter().map(form).collect::<Result<_, _>>()?;
            let mut others = forms.iter().filter(|form| **form != Form::Nothing);
            let first = others.next().copied().unwrap_or(Form::Nothing);
            let is_text = |form: &Form| matches!(form, Form::Text(_));
            if others.any(|other| !is_text(other) || !is_text(&first)) {
                return Err("one of several, of which one is a file");
            }
            match first {
                Form::Text(_) => Form::Text(TEXT_BYTES_MAX),
                form => form,
            }
        }
        literal_type::Type::CollectionType(_) => return Err("a list"),
        literal_type::Type::MapValueType(_) => return Err("a map"),
        literal_type::Type::Schema(_) => return Err("a schema"),
        literal_type::Type::StructuredDatasetType(_) => return Err("a structured dataset"),
    })
}

/// Answers whether an output of a type may be missing, and what it is then.
pub(super) fn nothing(declared: &LiteralType) -> Option<Literal> {
    match declared.r#type.as_ref()? {
        literal_type::Type::Simple(simple) if *simple == i32::from(SimpleType::None) => {
            Some(of_scalar(scalar::Value::NoneType(Void {})))
        }
        literal_type::Type::UnionType(union) => {
            union.variants.iter().find_map(|variant| Some(in_union(nothing(variant)?, variant)))
        }
        _ => None,
    }
}

/// Makes a literal of the text of a file.
///
/// # Errors
/// What would be right, in words.
pub(super) fn text(declared: &LiteralType, text: &str) -> Result<Literal, String> {
    let text = text.trim();
    match declared.r#type.as_ref() {
        Some(literal_type::Type::Simple(simple)) => {
            simple_of(SimpleType::try_from(*simple).unwrap_or(SimpleType::None), text)
        }
        Some(literal_type::Type::EnumType(allowed)) => {
            if !allowed.values.iter().any(|value| value == text) {
                return Err(format!("one of {}", allowed.values.join(", ")));
            }
            Ok(of_primitive(primitive::Value::StringValue(text.to_owned())))
        }
        Some(literal_type::Type::UnionType(union)) => {
            let mut wanted = Vec::new();
            for variant in union.variants.iter().filter(|variant| form(variant) != Ok(Form::Nothing)) {
                match self::text(variant, text) {
                    Ok(literal) => return Ok(in_union(literal, variant)),
                    Err(right) => wanted.push(right),
                }
            }
            Err(wanted.join(", or "))
        }
        _ => Err("a file".to_owned()),
    }
}

/// Marks a literal as one variant of a union.
pub(super) fn in_union(literal: Literal, variant: &LiteralType) -> Literal {
    of_scalar(scalar::Value::Union(Box::new(Union {
        value: Some(Box::new(literal)),
        r#type: Some(variant.clone()),
    })))
}

fn simple_of(declared: SimpleType, text: &str) -> Result<Literal, String> {
    Ok(match declared {
        SimpleType::Integer => of_primitive(primitive::Value::Integer(
            integer(text).ok_or("a whole number from -2^63 to 2^63-1, such as 42")?,
        )),
        SimpleType::Float => of_primitive(primitive::Value::FloatValue(
            text.parse().map_err(|_| "a number, such as 42, 0.5 or 1e-3")?,
        )),
        SimpleType::Boolean => {
            let value = match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "1" => true,
                "false" | "f" | "0" => false,
                _ => return Err("true or false".to_owned()),
            };
            of_primitive(primitive::Value::Boolean(value))
        }
        SimpleType::String => of_primitive(primitive::Value::StringValue(text.to_owned())),
        SimpleType::Datetime => of_primitive(primitive::Value::Datetime(
            text::read_timestamp(text).ok_or("a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z")?,
        )),
        SimpleType::Duration => of_primitive(primitive::Value::Duration(
            text::read_duration(text).ok_or("a duration, such as 1h30m, 1.5s or 250ms")?,
        )),
        SimpleType::Struct => {
            let value: serde_json::Value =
                serde_json::from_str(text).map_err(|error| format!("JSON ({error})"))?;
            let value = rmp_serde::to_vec_named(&value).map_err(|error| format!("JSON ({error})"))?;
            of_scalar(scalar::Value::Binary(Binary { value: value.into(), tag: MSGPACK.to_owned() }))
        }
        SimpleType::None | SimpleType::Binary | SimpleType::Error => return Err("nothing".to_owned()),
    })
}

/// Reads a whole number, also one that a tool wrote as a float, when that is exact.
fn integer(text: &str) -> Option<i64> {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        (float.fract() == 0.0 && float.abs() < EXACT_BELOW).then_some(float as i64)
    })
}

fn of_primitive(value: primitive::Value) -> Literal {
    of_scalar(scalar::Value::Primitive(Primitive { value: Some(value) }))
}

/// Makes a literal of a scalar.
pub(super) fn of_scalar(value: scalar::Value) -> Literal {
    Literal {
        value: Some(literal::Value::Scalar(Box::new(Scalar { value: Some(value) }))),
        ..Literal::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::{BlobType, EnumType, UnionType};

    fn simple(of: SimpleType) -> LiteralType {
        LiteralType { r#type: Some(literal_type::Type::Simple(of.into())), ..LiteralType::default() }
    }

    fn of(of: literal_type::Type) -> LiteralType {
        LiteralType { r#type: Some(of), ..LiteralType::default() }
    }

    fn blob(dimensionality: blob_type::BlobDimensionality) -> LiteralType {
        of(literal_type::Type::Blob(BlobType {
            dimensionality: dimensionality.into(),
            ..BlobType::default()
        }))
    }

    fn union(variants: Vec<LiteralType>) -> LiteralType {
        of(literal_type::Type::UnionType(UnionType { variants }))
    }

    fn value(declared: SimpleType, given: &str) -> Result<primitive::Value, String> {
        let literal = text(&simple(declared), given)?;
        let Some(literal::Value::Scalar(scalar)) = literal.value else { return Err("no scalar".to_owned()) };
        match scalar.value {
            Some(scalar::Value::Primitive(Primitive { value: Some(value) })) => Ok(value),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn what_shells_and_tools_write_is_taken_by_its_type() {
        use primitive::Value::{Boolean, Datetime, Duration, FloatValue, Integer, StringValue};
        let time = prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 };
        let length = prost_types::Duration { seconds: 90, nanos: 0 };
        for (declared, given, expected) in [
            (SimpleType::Integer, "42\n", Integer(42)),
            (SimpleType::Integer, " -9223372036854775808 ", Integer(i64::MIN)),
            (SimpleType::Integer, "1e+06", Integer(1_000_000)),
            (SimpleType::Float, "1e-3\n", FloatValue(0.001)),
            (SimpleType::Float, "42", FloatValue(42.0)),
            (SimpleType::Float, "+Inf", FloatValue(f64::INFINITY)),
            (SimpleType::Boolean, "True\n", Boolean(true)),
            (SimpleType::Boolean, "FALSE", Boolean(false)),
            (SimpleType::Boolean, "0", Boolean(false)),
            (SimpleType::String, "\nHello, ü.\r\n", StringValue("Hello, ü.".to_owned())),
            (SimpleType::String, "", StringValue(String::new())),
            (SimpleType::Datetime, "2026-01-01T00:00:00Z\n", Datetime(time)),
            (SimpleType::Duration, "1m30s\n", Duration(length)),
        ] {
            assert_eq!(value(declared, given), Ok(expected), "{given:?}");
        }
    }

    #[test]
    fn what_is_not_of_its_type_is_refused_with_what_would_be_right() {
        for (declared, given, right) in [
            (SimpleType::Integer, "1.5", "a whole number from -2^63 to 2^63-1, such as 42"),
            (SimpleType::Integer, "9223372036854775808", "a whole number from -2^63 to 2^63-1, such as 42"),
            (SimpleType::Float, "", "a number, such as 42, 0.5 or 1e-3"),
            (SimpleType::Boolean, "yes", "true or false"),
            (SimpleType::Datetime, "today", "a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z"),
            (SimpleType::Duration, "90", "a duration, such as 1h30m, 1.5s or 250ms"),
        ] {
            assert_eq!(value(declared, given), Err(right.to_owned()), "{given:?}");
        }
        let refused = text(&simple(SimpleType::Struct), "{").expect_err("it is no JSON");
        assert!(refused.starts_with("JSON ("), "{refused}");
        let colour =
            of(literal_type::Type::EnumType(EnumType { values: vec!["red".to_owned(), "blue".to_owned()] }));
        assert!(text(&colour, "blue\n").is_ok());
        assert_eq!(text(&colour, "green"), Err("one of red, blue".to_owned()));
    }

    #[test]
    fn json_becomes_what_the_sdk_makes_of_an_object() {
        let expected =
            Binary { value: b"\x82\xa1a\x01\xa1b\x91\xc0".to_vec().into(), tag: MSGPACK.to_owned() };
        let made = text(&simple(SimpleType::Struct), "{\"a\": 1, \"b\": [null]}\n");
        assert_eq!(made, Ok(of_scalar(scalar::Value::Binary(expected))));
    }

    #[test]
    fn an_optional_output_may_be_missing_and_otherwise_is_the_variant_that_fits() {
        let (integer, none) = (simple(SimpleType::Integer), simple(SimpleType::None));
        let optional = union(vec![integer.clone(), none.clone()]);
        assert_eq!(form(&optional), Ok(Form::Text(TEXT_BYTES_MAX)));
        let nothing_there = in_union(of_scalar(scalar::Value::NoneType(Void {})), &none);
        assert_eq!(nothing(&optional), Some(nothing_there));
        let one = of_primitive(primitive::Value::Integer(1));
        assert_eq!(text(&optional, "1\n"), Ok(in_union(one, &integer)));
        assert_eq!(nothing(&integer), None);
        let either = union(vec![integer, simple(SimpleType::Boolean)]);
        let wanted = "a whole number from -2^63 to 2^63-1, such as 42, or true or false";
        assert_eq!(text(&either, "x"), Err(wanted.to_owned()));
    }

    #[test]
    fn every_type_is_text_a_file_a_folder_or_refused_by_its_name() {
        use blob_type::BlobDimensionality::{Multipart, Single};
        let list = of(literal_type::Type::CollectionType(Box::new(simple(SimpleType::Integer))));
        for (declared, expected) in [
            (simple(SimpleType::String), Ok(Form::Text(TEXT_BYTES_MAX))),
            (simple(SimpleType::Struct), Ok(Form::Text(TEXT_BYTES_MAX))),
            (simple(SimpleType::Boolean), Ok(Form::Text(LINE_BYTES_MAX))),
            (simple(SimpleType::None), Ok(Form::Nothing)),
            (simple(SimpleType::Binary), Err("bytes")),
            (simple(SimpleType::Error), Err("an error")),
            (blob(Single), Ok(Form::File)),
            (blob(Multipart), Ok(Form::Folder)),
            (union(vec![blob(Single), simple(SimpleType::None)]), Ok(Form::File)),
            (
                union(vec![blob(Single), simple(SimpleType::String)]),
                Err("one of several, of which one is a file"),
            ),
            (list, Err("a list")),
            (LiteralType::default(), Err("of no type")),
        ] {
            assert_eq!(form(&declared), expected, "{declared:?}");
        }
    }
}
