//! What a container gets of a literal: words in its command, files, and a line in a list of all inputs. Pure.

use super::text;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use prost_types::value::Kind;
use serde_json::Value as Json;
use skein_idl::flyteidl::core::{Literal, Scalar, blob_type, literal, primitive, scalar};
use std::collections::BTreeMap;

/// With which tag the SDK marks what it has encoded as MessagePack.
pub(super) const MSGPACK: &str = "msgpack";

/// An input, as far as a container can be told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    None,
    /// Something that is one line: the line, and what it is in JSON.
    Line(String, Json),
    /// A text of the user's, as it is.
    Text(String),
    /// A value with parts.
    Struct(Json),
    /// Bytes of whatever meaning.
    Bytes(Bytes),
    /// A file that lies somewhere.
    File(String),
    /// A folder that lies somewhere.
    Folder(String),
    /// A list.
    List(Vec<Value>),
    /// Values by name.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// Takes a literal apart.
    ///
    /// # Errors
    /// What the literal is, in words, when there is no telling a container of it.
    pub(super) fn of(literal: &Literal) -> Result<Self, &'static str> {
        match literal.value.as_ref().ok_or("a literal without a value")? {
            literal::Value::Scalar(scalar) => Self::of_scalar(scalar),
            literal::Value::Collection(list) => {
                list.literals.iter().map(Self::of).collect::<Result<_, _>>().map(Self::List)
            }
            literal::Value::Map(map) => {
                let entries = map.literals.iter().map(|(key, value)| Ok((key.clone(), Self::of(value)?)));
                entries.collect::<Result<_, _>>().map(Self::Map)
            }
            // Whoever calls this has put in their place what they stand for.
            literal::Value::OffloadedMetadata(_) => Err("a literal that lies elsewhere, inside another"),
        }
    }

    fn of_scalar(scalar: &Scalar) -> Result<Self, &'static str> {
        Ok(match scalar.value.as_ref().ok_or("a scalar without a value")? {
            scalar::Value::Primitive(primitive) => {
                of_primitive(primitive.value.as_ref().ok_or("a primitive without a value")?)
            }
            scalar::Value::Blob(blob) => {
                let kind = blob.metadata.as_ref().and_then(|metadata| metadata.r#type.as_ref());
                match kind.map(skein_idl::flyteidl::core::BlobType::dimensionality) {
                    Some(blob_type::BlobDimensionality::Multipart) => Self::Folder(blob.uri.clone()),
                    Some(blob_type::BlobDimensionality::Single) | None => Self::File(blob.uri.clone()),
                }
            }
            scalar::Value::Schema(schema) => Self::Folder(schema.uri.clone()),
            scalar::Value::StructuredDataset(dataset) => Self::Folder(dataset.uri.clone()),
            scalar::Value::NoneType(_) => Self::None,
            scalar::Value::Generic(object) => Self::Struct(Json::Object(
                object.fields.iter().map(|(name, value)| (name.clone(), of_generic(value))).collect(),
            )),
            scalar::Value::Binary(binary) => match binary.tag.as_str() {
                MSGPACK => rmp_serde::from_slice(&binary.value)
                    .map_or_else(|_| Self::Bytes(binary.value.clone()), Self::Struct),
                _ => Self::Bytes(binary.value.clone()),
            },
            scalar::Value::Union(union) => {
                return Self::of(union.value.as_deref().ok_or("a union without a value")?);
            }
            scalar::Value::Error(_) => return Err("an error"),
        })
    }

    /// Says it in a command line.
    pub(super) fn word(&self) -> String {
        match self {
            Self::None => "null".to_owned(),
            Self::Line(line, _) => line.clone(),
            Self::Text(text) => text.clone(),
            Self::Struct(value) => value.to_string(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::File(uri) | Self::Folder(uri) => uri.clone(),
            Self::List(values) => {
                let words: Vec<String> = values.iter().map(Self::word).collect();
                format!("[{}]", words.join(","))
            }
            Self::Map(_) => self.json("").to_string(),
        }
    }

    /// Says it in the list of all inputs; `path` is where its file is in the container.
    pub(super) fn json(&self, path: &str) -> Json {
        match self {
            Self::None => Json::Null,
            Self::Line(_, json) | Self::Struct(json) => json.clone(),
            Self::Text(text) => Json::String(text.clone()),
            Self::Bytes(bytes) => Json::String(BASE64_STANDARD.encode(bytes)),
            // Without a place it is where it came from.
            Self::File(uri) | Self::Folder(uri) if path.is_empty() => Json::String(uri.clone()),
            Self::File(_) | Self::Folder(_) => Json::String(path.to_owned()),
            Self::List(values) => {
                let each =
                    values.iter().enumerate().map(|(at, value)| value.json(&under(path, &at.to_string())));
                Json::Array(each.collect())
            }
            Self::Map(entries) => {
                let each = entries.iter().map(|(key, value)| (key.clone(), value.json(&under(path, key))));
                Json::Object(each.collect())
            }
        }
    }

    /// Answers what is in its file, when it is one that is not fetched; none for folders and for what lies elsewhere.
    pub(super) fn file(&self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::None | Self::Line(..) | Self::Text(_) | Self::Struct(_) => Some(self.word().into()),
            Self::File(_) | Self::Folder(_) | Self::List(_) | Self::Map(_) => None,
        }
    }
}

fn under(path: &str, name: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}/{name}") }
}

fn of_primitive(value: &primitive::Value) -> Value {
    let quoted = |text: String| Value::Line(text.clone(), Json::String(text));
    match value {
        primitive::Value::Integer(value) => Value::Line(value.to_string(), Json::from(*value)),
        primitive::Value::FloatValue(value) => {
            let line = float(*value);
            // JSON has no word for what is no number.
            let json =
                serde_json::Number::from_f64(*value).map_or_else(|| Json::from(line.as_str()), Json::Number);
            Value::Line(line, json)
        }
        primitive::Value::Boolean(value) => Value::Line(value.to_string(), Json::from(*value)),
        primitive::Value::StringValue(value) => Value::Text(value.clone()),
        primitive::Value::Datetime(value) => quoted(text::timestamp(value)),
        primitive::Value::Duration(value) => quoted(text::duration(value)),
    }
}

/// Writes a number with as few digits as tell it from all others, and without an exponent.
fn float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    format!("{value}")
}

fn of_generic(value: &prost_types::Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::NumberValue(number)) => generic_number(*number),
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::BoolValue(value)) => Json::Bool(*value),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(of_generic).collect()),
        Some(Kind::StructValue(object)) => Json::Object(
            object.fields.iter().map(|(name, value)| (name.clone(), of_generic(value))).collect(),
        ),
    }
}

/// All numbers of such an object are floats; the whole ones were whole before.
fn generic_number(number: f64) -> Json {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT_BELOW {
        return Json::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number)
}

/// Puts inputs where a command line names them, as `{{.inputs.x}}`. What it names otherwise is the command's own.
///
/// # Errors
/// The name of an input that is not there.
pub(super) fn render(template: &str, inputs: &BTreeMap<String, Value>) -> Result<String, String> {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        rendered.push_str(before);
        match after.split_once("}}").and_then(|(inner, behind)| Some((input_of(inner)?, behind))) {
            Some((name, behind)) => {
                rendered.push_str(&inputs.get(name).ok_or(name)?.word());
                rest = behind;
            }
            None => {
                rendered.push_str("{{");
                rest = after;
            }
        }
    }
    rendered.push_str(rest);
    Ok(rendered)
}

/// Answers the input that `{{ }}` names; none when it names something else.
fn input_of(inner: &str) -> Option<&str> {
    const INPUTS: &str = "inputs.";
    let variable = inner.trim().strip_prefix(['.', '$'])?.trim();
    let is_input = variable.get(..INPUTS.len()).is_some_and(|start| start.eq_ignore_ascii_case(INPUTS));
    is_input.then(|| variable[INPUTS.len()..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use skein_idl::flyteidl::core::{
        Binary, Blob, BlobMetadata, BlobType, LiteralCollection, LiteralMap, Primitive, Schema,
        StructuredDataset, Union, Void,
    };

    fn scalar(value: scalar::Value) -> Literal {
        super::super::parse::of_scalar(value)
    }

    fn primitive(value: primitive::Value) -> Literal {
        scalar(scalar::Value::Primitive(Primitive { value: Some(value) }))
    }

    fn blob(dimensionality: blob_type::BlobDimensionality, uri: &str) -> Literal {
        let of = BlobType { dimensionality: dimensionality.into(), ..BlobType::default() };
        let metadata = Some(BlobMetadata { r#type: Some(of) });
        scalar(scalar::Value::Blob(Blob { metadata, uri: uri.to_owned() }))
    }

    fn list(literals: Vec<Literal>) -> Literal {
        Literal {
            value: Some(literal::Value::Collection(LiteralCollection { literals })),
            ..Literal::default()
        }
    }

    fn map(entries: &[(&str, Literal)]) -> Literal {
        let literals = entries.iter().map(|(name, literal)| ((*name).to_owned(), literal.clone())).collect();
        Literal { value: Some(literal::Value::Map(LiteralMap { literals })), ..Literal::default() }
    }

    fn generic(fields: &[(&str, Kind)]) -> Literal {
        let value = |kind: &Kind| prost_types::Value { kind: Some(kind.clone()) };
        let fields = fields.iter().map(|(name, kind)| ((*name).to_owned(), value(kind))).collect();
        scalar(scalar::Value::Generic(prost_types::Struct { fields }))
    }

    fn binary(value: &[u8], tag: &str) -> Literal {
        scalar(scalar::Value::Binary(Binary { value: value.to_vec().into(), tag: tag.to_owned() }))
    }

    /// A literal, the word that it is in a command, what its file holds if it has one of its own, and how it is listed when
    /// its file is `/in/x`.
    type Row = (Literal, &'static str, Option<&'static [u8]>, Json);

    fn plain() -> Vec<Row> {
        use primitive::Value::{Boolean, Datetime, Duration, FloatValue, Integer, StringValue};
        let time = prost_types::Timestamp { seconds: 1_767_225_600, nanos: 0 };
        let length = prost_types::Duration { seconds: 90, nanos: 0 };
        vec![
            (primitive(Integer(-42)), "-42", Some(b"-42"), json!(-42)),
            (primitive(FloatValue(0.1)), "0.1", Some(b"0.1"), json!(0.1)),
            (primitive(FloatValue(3.0)), "3", Some(b"3"), json!(3.0)),
            (
                primitive(FloatValue(1e21)),
                "1000000000000000000000",
                Some(b"1000000000000000000000"),
                json!(1e21),
            ),
            (primitive(FloatValue(f64::INFINITY)), "+Inf", Some(b"+Inf"), json!("+Inf")),
            (primitive(FloatValue(f64::NAN)), "NaN", Some(b"NaN"), json!("NaN")),
            (primitive(Boolean(true)), "true", Some(b"true"), json!(true)),
            (
                primitive(StringValue("a \"b\"\n".to_owned())),
                "a \"b\"\n",
                Some(b"a \"b\"\n"),
                json!("a \"b\"\n"),
            ),
            (
                primitive(Datetime(time)),
                "2026-01-01T00:00:00Z",
                Some(b"2026-01-01T00:00:00Z"),
                json!("2026-01-01T00:00:00Z"),
            ),
            (primitive(Duration(length)), "1m30s", Some(b"1m30s"), json!("1m30s")),
            (scalar(scalar::Value::NoneType(Void {})), "null", Some(b"null"), Json::Null),
        ]
    }

    fn with_parts() -> Vec<Row> {
        use blob_type::BlobDimensionality::{Multipart, Single};
        let one = primitive(primitive::Value::Integer(1));
        let union = Union { value: Some(Box::new(one.clone())), r#type: None };
        let dataset = StructuredDataset { uri: "s3://b/d".to_owned(), ..StructuredDataset::default() };
        let schema = Schema { uri: "s3://b/s".to_owned(), ..Schema::default() };
        vec![
            (
                generic(&[("n", Kind::NumberValue(2.0)), ("f", Kind::NumberValue(0.5))]),
                r#"{"f":0.5,"n":2}"#,
                Some(br#"{"f":0.5,"n":2}"#),
                json!({"n": 2, "f": 0.5}),
            ),
            (binary(b"\x81\xa1n\x02", MSGPACK), r#"{"n":2}"#, Some(br#"{"n":2}"#), json!({"n": 2})),
            (binary(b"ab\0", ""), "ab\0", Some(b"ab\0"), json!("YWIA")),
            (blob(Single, "s3://b/f"), "s3://b/f", None, json!("/in/x")),
            (blob(Multipart, "s3://b/d"), "s3://b/d", None, json!("/in/x")),
            (scalar(scalar::Value::Schema(schema)), "s3://b/s", None, json!("/in/x")),
            (scalar(scalar::Value::StructuredDataset(dataset)), "s3://b/d", None, json!("/in/x")),
            (scalar(scalar::Value::Union(Box::new(union))), "1", Some(b"1"), json!(1)),
            (
                list(vec![one.clone(), primitive(primitive::Value::StringValue("b".to_owned()))]),
                "[1,b]",
                None,
                json!([1, "b"]),
            ),
            (list(vec![blob(Single, "s3://b/f")]), "[s3://b/f]", None, json!(["/in/x/0"])),
            (map(&[("k", blob(Single, "s3://b/f"))]), r#"{"k":"s3://b/f"}"#, None, json!({"k": "/in/x/k"})),
            (map(&[("k", one)]), r#"{"k":1}"#, None, json!({"k": 1})),
        ]
    }

    #[test]
    fn every_type_is_a_word_a_file_and_a_line_of_the_list() {
        for (literal, word, file, json) in plain().into_iter().chain(with_parts()) {
            let value = Value::of(&literal).expect(word);
            assert_eq!(value.word(), word);
            assert_eq!(value.file().as_deref(), file, "{word}");
            assert_eq!(value.json("/in/x"), json, "{word}");
        }
    }

    #[test]
    fn inputs_are_put_where_they_are_named_once_and_what_they_hold_is_not_looked_at_again() {
        let text = |text: &str| Value::Text(text.to_owned());
        let inputs = BTreeMap::from([
            ("x".to_owned(), text("{{.inputs.y}}")),
            ("y".to_owned(), Value::Line("2".to_owned(), json!(2))),
        ]);
        for (template, expected) in [
            ("{{.inputs.y}}", Ok("2")),
            ("a{{ $inputs.y }}b{{.Inputs.y}}", Ok("a2b2")),
            ("{{.inputs.x}}", Ok("{{.inputs.y}}")),
            ("{{.Names}} {{ {{.inputs.y}}", Ok("{{.Names}} {{ 2")),
            ("{{inputs.y}} }}", Ok("{{inputs.y}} }}")),
            ("{{.inputs.z}}", Err("z")),
        ] {
            assert_eq!(render(template, &inputs).as_deref().map_err(String::as_str), expected, "{template}");
        }
    }
}
