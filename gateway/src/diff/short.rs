//! Values as a person would write them, short.

use crate::show::ShownError;
use prost::Message as _;
use skein_idl::flyteidl::core::{self, literal, primitive, scalar};

/// How many characters of a value are shown.
pub(super) const CHARS_MAX: usize = 160;
/// How many elements of a list or a map are looked at.
const ELEMENTS_MAX: usize = 16;
/// How deep lists and maps are looked into.
const DEPTH_MAX: usize = 4;
/// What stands for what is left out.
const MORE: &str = "…";

/// Writes an encoded literal.
pub(super) fn short(encoded: &[u8]) -> String {
    match core::Literal::decode(encoded) {
        Ok(literal) => cut(of_literal(&literal, 0)),
        Err(_) => format!("{} bytes that are no literal", encoded.len()),
    }
}

/// Writes an error in one line: its code, and the last line of its message, which says what it is about.
pub(super) fn error(error: &ShownError) -> String {
    let last = error.message.trim().lines().last().unwrap_or_default().trim_start();
    format!("{}: {last}", error.code)
}

/// Cuts a text to what is shown.
pub(super) fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(CHARS_MAX) {
        text.truncate(end);
        text.push_str(MORE);
    }
    text
}

fn of_literal(literal: &core::Literal, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return MORE.to_owned();
    }
    match &literal.value {
        None => "nothing".to_owned(),
        Some(literal::Value::Scalar(scalar)) => of_scalar(scalar, depth),
        Some(literal::Value::Collection(list)) => {
            let items = list.literals.iter().take(ELEMENTS_MAX).map(|item| of_literal(item, depth + 1));
            listed("[", items.collect(), list.literals.len(), "]")
        }
        Some(literal::Value::Map(map)) => {
            let entries = map.literals.iter().take(ELEMENTS_MAX);
            let entries = entries.map(|(name, value)| format!("{name:?}: {}", of_literal(value, depth + 1)));
            listed("{", entries.collect(), map.literals.len(), "}")
        }
        Some(literal::Value::OffloadedMetadata(metadata)) => format!("stored at {}", metadata.uri),
    }
}

fn listed(begin: &str, items: Vec<String>, total: usize, end: &str) -> String {
    let left = total.saturating_sub(items.len());
    let more = if left > 0 { format!(", {MORE} {left} more") } else { String::new() };
    format!("{begin}{}{more}{end}", items.join(", "))
}

fn of_scalar(scalar: &core::Scalar, depth: usize) -> String {
    match &scalar.value {
        Some(scalar::Value::Primitive(primitive)) => of_primitive(primitive),
        Some(scalar::Value::Blob(blob)) => blob.uri.clone(),
        Some(scalar::Value::Schema(schema)) => schema.uri.clone(),
        Some(scalar::Value::StructuredDataset(dataset)) => dataset.uri.clone(),
        Some(scalar::Value::Binary(binary)) => {
            let digest = xxhash_rust::xxh3::xxh3_64(&binary.value);
            format!("{} of {} bytes ({digest:016x})", binary.tag, binary.value.len())
        }
        Some(scalar::Value::Generic(fields)) => {
            let bytes = fields.encode_to_vec();
            format!("a struct of {} bytes ({:016x})", bytes.len(), xxhash_rust::xxh3::xxh3_64(&bytes))
        }
        Some(scalar::Value::Union(union)) => match &union.value {
            Some(value) => of_literal(value, depth + 1),
            None => "nothing".to_owned(),
        },
        Some(scalar::Value::Error(error)) => error.message.clone(),
        Some(scalar::Value::NoneType(_)) | None => "None".to_owned(),
    }
}

fn of_primitive(of: &core::Primitive) -> String {
    match &of.value {
        None => "nothing".to_owned(),
        Some(primitive::Value::Integer(number)) => number.to_string(),
        Some(primitive::Value::FloatValue(number)) => format!("{number:?}"),
        Some(primitive::Value::StringValue(text)) => format!("{text:?}"),
        Some(primitive::Value::Boolean(is_so)) => is_so.to_string(),
        Some(primitive::Value::Datetime(at)) => at.to_string(),
        Some(primitive::Value::Duration(span)) => span.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::literals::{encode_collection, encode_integer};

    #[test]
    fn a_long_list_is_cut_and_says_how_much_is_left_out() {
        let items: Vec<_> = (0..20).map(encode_integer).collect();
        let text = short(&encode_collection(&items));
        assert_eq!(text, "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, … 4 more]");
    }

    #[test]
    fn what_is_no_literal_is_said_to_be_none() {
        assert_eq!(short(&[0xff]), "1 bytes that are no literal");
        assert_eq!(cut("a".repeat(200)).chars().count(), CHARS_MAX + 1);
    }
}
