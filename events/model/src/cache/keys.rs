//! How keys and datasets come from what a task declares and is given.
//!
//! Two encoders may write one value in different orders of fields and entries, so what is hashed is never what came, but
//! what this program writes of it.

use super::{CacheKey, Dataset};
use crate::literals::{self, WireError};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::Xxh3Default;

/// The one annotation that is part of a type here: flytekit marks with it how dataclasses are written, so that what an older
/// one wrote is not taken for what a newer one reads.
const KEY_ANNOTATION: &str = "cache-key-metadata";

/// How deep a value or type may be nested. Deeper ones are no values of any SDK.
const DEPTH_MAX: u32 = 200;

/// Inputs of which no key can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// They are not encoded as they should be.
    #[error("the inputs cannot be read: {0}")]
    Wire(#[from] WireError),
    /// One of them is no literal.
    #[error("input {input} cannot be read: {fault}")]
    Literal {
        /// Its name.
        input: String,
        /// What is wrong with it.
        fault: prost::DecodeError,
    },
    /// One of them is nested too deep.
    #[error("input {input} is nested deeper than {DEPTH_MAX}")]
    Depth {
        /// Its name.
        input: String,
    },
}

/// Answers the dataset of a task whose author gave its cache this version.
pub fn dataset_of(id: &core::Identifier, interface: Option<&core::TypedInterface>, version: &str) -> Dataset {
    let mut hash = Xxh3Default::new();
    for variables in interface.into_iter().flat_map(|of| [&of.inputs, &of.outputs]) {
        let variables = variables.iter().flat_map(|map| &map.variables);
        let mut count: u64 = 0;
        for (name, variable) in variables {
            count += 1;
            feed(&mut hash, name.as_bytes());
            let kind = variable.r#type.clone().map(|kind| stripped(kind, 0)).unwrap_or_default();
            feed(&mut hash, &kind.encode_to_vec());
        }
        hash.update(&count.to_be_bytes());
    }
    Dataset {
        project: id.project.clone(),
        domain: id.domain.clone(),
        task: id.name.clone(),
        version: version.to_owned(),
        interface: hash.digest128(),
    }
}

/// Answers the key of the inputs of one task, an encoded `LiteralMap`. The variables in `ignored` are left out.
///
/// # Errors
/// [`KeyError`], which names the input.
pub fn key_of_inputs(inputs: &Bytes, ignored: &[String]) -> Result<CacheKey, KeyError> {
    let entries = literals::literal_map_entries(inputs)?;
    let entries = entries.iter().filter(|(name, _)| !ignored.contains(name));
    key_of_entries(entries.map(|(name, value)| (name.as_str(), value.as_ref())))
}

/// Answers the key of inputs given one by one, each an encoded `Literal`, in order of name.
///
/// # Errors
/// [`KeyError`], which names the input.
pub fn key_of_entries<'a>(
    entries: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<CacheKey, KeyError> {
    let mut hash = Xxh3Default::new();
    for (name, value) in entries {
        let literal = core::Literal::decode(value)
            .map_err(|fault| KeyError::Literal { input: name.to_owned(), fault })?;
        let literal = hashable(literal, 0).ok_or_else(|| KeyError::Depth { input: name.to_owned() })?;
        feed(&mut hash, name.as_bytes());
        feed(&mut hash, &literal.encode_to_vec());
    }
    Ok(CacheKey(hash.digest128()))
}

/// With its length, so that what ends one part cannot begin the next.
fn feed(hash: &mut Xxh3Default, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// Puts a hash that the user gave in the place of the value that it stands for; metadata says nothing of a value. None when
/// it is nested too deep.
fn hashable(literal: core::Literal, depth: u32) -> Option<core::Literal> {
    use core::literal::Value;
    if depth > DEPTH_MAX {
        return None;
    }
    if !literal.hash.is_empty() {
        return Some(core::Literal { hash: literal.hash, ..core::Literal::default() });
    }
    let value = match literal.value {
        Some(Value::Collection(list)) => {
            let literals: Option<Vec<_>> =
                list.literals.into_iter().map(|element| hashable(element, depth + 1)).collect();
            Some(Value::Collection(core::LiteralCollection { literals: literals? }))
        }
        Some(Value::Map(map)) => {
            let entries = map.literals.into_iter();
            let literals: Option<BTreeMap<_, _>> =
                entries.map(|(name, value)| Some((name, hashable(value, depth + 1)?))).collect();
            Some(Value::Map(core::LiteralMap { literals: literals? }))
        }
        Some(Value::Scalar(scalar)) => Some(Value::Scalar(Box::new(hashable_scalar(*scalar, depth)?))),
        other => other,
    };
    Some(core::Literal { value, ..core::Literal::default() })
}

/// An optional value is a union round it.
fn hashable_scalar(mut scalar: core::Scalar, depth: u32) -> Option<core::Scalar> {
    if let Some(core::scalar::Value::Union(union)) = &mut scalar.value
        && let Some(value) = union.value.take()
    {
        union.value = Some(Box::new(hashable(*value, depth + 1)?));
        union.r#type = union.r#type.take().map(|kind| stripped(kind, depth + 1));
    }
    Some(scalar)
}

/// Takes from a type what only people and editors read.
fn stripped(mut kind: core::LiteralType, depth: u32) -> core::LiteralType {
    use core::literal_type::Type;
    kind.metadata = None;
    kind.annotation = kind.annotation.and_then(key_annotation);
    if depth > DEPTH_MAX {
        return kind;
    }
    let inner = |kind: Box<core::LiteralType>| Box::new(stripped(*kind, depth + 1));
    kind.r#type = kind.r#type.map(|of| match of {
        Type::CollectionType(of) => Type::CollectionType(inner(of)),
        Type::MapValueType(of) => Type::MapValueType(inner(of)),
        Type::UnionType(of) => Type::UnionType(core::UnionType {
            variants: of.variants.into_iter().map(|variant| stripped(variant, depth + 1)).collect(),
        }),
        Type::StructuredDatasetType(mut of) => {
            for column in &mut of.columns {
                column.literal_type = column.literal_type.take().map(|kind| stripped(kind, depth + 1));
            }
            Type::StructuredDatasetType(of)
        }
        other => other,
    });
    if let Some(structure) = &mut kind.structure {
        let fields = std::mem::take(&mut structure.dataclass_type);
        structure.dataclass_type =
            fields.into_iter().map(|(name, kind)| (name, stripped(kind, depth + 1))).collect();
    }
    kind
}

fn key_annotation(annotation: core::TypeAnnotation) -> Option<core::TypeAnnotation> {
    let mut annotations = annotation.annotations?;
    annotations.fields.retain(|name, _| name == KEY_ANNOTATION);
    (!annotations.fields.is_empty()).then_some(core::TypeAnnotation { annotations: Some(annotations) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::literal::Value;
    use skein_idl::flyteidl::core::{primitive, scalar};

    fn integer(value: i64) -> core::Literal {
        let primitive = core::Primitive { value: Some(primitive::Value::Integer(value)) };
        let scalar = core::Scalar { value: Some(scalar::Value::Primitive(primitive)) };
        core::Literal { value: Some(Value::Scalar(Box::new(scalar))), ..Default::default() }
    }

    fn hashed(hash: &str) -> core::Literal {
        core::Literal { hash: hash.to_owned(), ..integer(9) }
    }

    fn list(literals: Vec<core::Literal>) -> core::Literal {
        let value = Value::Collection(core::LiteralCollection { literals });
        core::Literal { value: Some(value), ..Default::default() }
    }

    fn inputs(entries: &[(&str, core::Literal)]) -> Bytes {
        let literals = entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        core::LiteralMap { literals }.encode_to_vec().into()
    }

    fn key(entries: &[(&str, core::Literal)]) -> CacheKey {
        key_of_inputs(&inputs(entries), &[]).expect("inputs that can be read")
    }

    #[test]
    fn the_order_in_which_inputs_are_written_makes_no_difference() {
        let (one, other) = (inputs(&[("a", integer(1))]), inputs(&[("b", integer(2))]));
        let both = |parts: [&[u8]; 2]| key_of_inputs(&parts.concat().into(), &[]).expect("two inputs");
        assert_eq!(both([&one, &other]), both([&other, &one]));
        assert_ne!(key(&[("a", integer(1))]), key(&[("a", integer(2))]));
        assert_ne!(key(&[("a", integer(1))]), key(&[("b", integer(1))]));
    }

    #[test]
    fn an_input_that_is_ignored_makes_no_difference() {
        let ignored = ["loud".to_owned()];
        let key = |loud| key_of_inputs(&inputs(&[("a", integer(1)), ("loud", integer(loud))]), &ignored);
        assert_eq!(key(1).ok(), key(2).ok());
    }

    #[test]
    fn a_hash_stands_for_its_value_wherever_the_value_is() {
        let other = core::Literal { hash: "h".to_owned(), ..integer(10) };
        assert_eq!(key(&[("a", hashed("h"))]), key(&[("a", other.clone())]));
        assert_eq!(key(&[("a", list(vec![hashed("h")]))]), key(&[("a", list(vec![other]))]));
        assert_ne!(key(&[("a", hashed("h"))]), key(&[("a", hashed("g"))]));
        assert_ne!(key(&[("a", hashed("h"))]), key(&[("a", integer(9))]));
    }

    #[test]
    fn what_is_nested_too_deep_has_no_key() {
        let deep = (0..150).fold(integer(1), |inner, _| list(vec![inner]));
        let refused = key_of_inputs(&inputs(&[("a", deep)]), &[]);
        assert!(matches!(refused, Err(KeyError::Depth { .. } | KeyError::Literal { .. })), "{refused:?}");
    }

    fn interface(kind: core::LiteralType, description: &str) -> core::TypedInterface {
        let variable =
            core::Variable { r#type: Some(kind), description: description.to_owned(), ..Default::default() };
        let variables = [("x".to_owned(), variable)].into_iter().collect();
        core::TypedInterface { inputs: Some(core::VariableMap { variables }), ..Default::default() }
    }

    fn kind(simple: core::SimpleType) -> core::LiteralType {
        let r#type = Some(core::literal_type::Type::Simple(simple.into()));
        core::LiteralType { r#type, ..Default::default() }
    }

    fn dataset(interface: &core::TypedInterface) -> Dataset {
        dataset_of(&core::Identifier::default(), Some(interface), "1")
    }

    fn annotated(name: &str) -> core::LiteralType {
        let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("v".to_owned())) };
        let fields = [(name.to_owned(), value)].into_iter().collect();
        let annotations = Some(prost_types::Struct { fields });
        core::LiteralType {
            annotation: Some(core::TypeAnnotation { annotations }),
            ..kind(core::SimpleType::Struct)
        }
    }

    #[test]
    fn an_interface_is_told_by_names_and_types_and_not_by_what_people_read() {
        let plain = interface(kind(core::SimpleType::Integer), "");
        assert_eq!(dataset(&plain), dataset(&interface(kind(core::SimpleType::Integer), "words")));
        assert_ne!(dataset(&plain), dataset(&interface(kind(core::SimpleType::Float), "")));
        let outputs = core::TypedInterface { outputs: plain.inputs.clone(), inputs: None };
        assert_ne!(dataset(&plain), dataset(&outputs));
    }

    #[test]
    fn of_annotations_only_the_one_for_keys_counts() {
        let plain = dataset(&interface(kind(core::SimpleType::Struct), ""));
        assert_eq!(dataset(&interface(annotated("author"), "")), plain);
        assert_ne!(dataset(&interface(annotated(KEY_ANNOTATION), "")), plain);
    }
}
