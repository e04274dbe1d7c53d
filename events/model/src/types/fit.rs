//! Says whether a value may be given where a type is declared.

use super::{Cast, DEPTH_MAX, castable, collection_of, describe, map_of, simple, union_of};
use prost::Message as _;
use skein_idl::flyteidl::core::literal_type::Type;
use skein_idl::flyteidl::core::{
    Binary, EnumType, Literal, LiteralType, Primitive, Scalar, SimpleType, literal, primitive, scalar,
};
use std::collections::BTreeSet;

/// A value that may not be given where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It has another type.
    #[error("expected {expected}, but got {found}")]
    Type {
        /// The declared type, in words.
        expected: String,
        /// Its own, in words.
        found: String,
    },
    /// Several variants of a union would take it.
    #[error("{found} fits several variants of {expected}")]
    Ambiguous {
        /// The declared type, in words.
        expected: String,
        /// Its own, in words.
        found: String,
    },
    /// It is not one of an enum's values.
    #[error("{value:?} is not one of {allowed}")]
    EnumValue {
        /// The value.
        value: String,
        /// The enum, in words.
        allowed: String,
    },
}

/// Says whether a value may be given where `declared` is expected, enum values included.
///
/// # Errors
/// Why it may not.
pub fn fits(value: &Literal, declared: &LiteralType) -> Result<(), Misfit> {
    compare(&type_of_literal(value), declared)?;
    check_enums(value, declared, 0)
}

/// Says whether a constant may be given where `declared` is expected, enum values included.
pub(crate) fn constant_fits(value: &Scalar, declared: &LiteralType) -> Result<(), Misfit> {
    compare(&type_of_constant(value), declared)?;
    check_enum_scalar(value, declared, 0)
}

fn compare(found: &LiteralType, declared: &LiteralType) -> Result<(), Misfit> {
    match castable(found, declared) {
        Cast::Yes => Ok(()),
        Cast::No => Err(Misfit::Type { expected: describe(declared), found: describe(found) }),
        Cast::Ambiguous => Err(Misfit::Ambiguous { expected: describe(declared), found: describe(found) }),
    }
}

/// Looks for text that stands where an enum is declared. The types have been compared before.
fn check_enums(value: &Literal, declared: &LiteralType, depth: usize) -> Result<(), Misfit> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    match (&value.value, &declared.r#type) {
        (Some(literal::Value::Scalar(scalar)), _) => check_enum_scalar(scalar, declared, depth),
        (Some(literal::Value::Collection(values)), Some(Type::CollectionType(element))) => {
            values.literals.iter().try_for_each(|value| check_enums(value, element, depth + 1))
        }
        (Some(literal::Value::Map(values)), Some(Type::MapValueType(element))) => {
            values.literals.values().try_for_each(|value| check_enums(value, element, depth + 1))
        }
        (Some(_), Some(Type::UnionType(union))) => match taker(&type_of_literal(value), &union.variants) {
            Some(variant) => check_enums(value, variant, depth + 1),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_enum_scalar(value: &Scalar, declared: &LiteralType, depth: usize) -> Result<(), Misfit> {
    match (&value.value, &declared.r#type) {
        (Some(scalar::Value::Primitive(primitive)), Some(Type::EnumType(allowed))) => {
            check_enum_value(primitive, allowed, declared)
        }
        (Some(scalar::Value::Union(inner)), Some(Type::UnionType(union))) => {
            let variant = inner.r#type.as_ref().and_then(|own| taker(own, &union.variants));
            match (inner.value.as_deref(), variant) {
                (Some(value), Some(variant)) => check_enums(value, variant, depth + 1),
                _ => Ok(()),
            }
        }
        (Some(scalar::Value::Union(inner)), Some(_)) => match inner.value.as_deref() {
            Some(value) => check_enums(value, declared, depth + 1),
            None => Ok(()),
        },
        (Some(_), Some(Type::UnionType(union))) => {
            match taker(&type_of_scalar(value, depth), &union.variants) {
                Some(variant) => check_enum_scalar(value, variant, depth + 1),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn taker<'a>(own: &LiteralType, variants: &'a [LiteralType]) -> Option<&'a LiteralType> {
    variants.iter().find(|variant| castable(own, variant) == Cast::Yes)
}

fn check_enum_value(value: &Primitive, allowed: &EnumType, declared: &LiteralType) -> Result<(), Misfit> {
    match &value.value {
        Some(primitive::Value::StringValue(text)) if !allowed.values.contains(text) => {
            Err(Misfit::EnumValue { value: text.clone(), allowed: describe(declared) })
        }
        _ => Ok(()),
    }
}

/// Answers the type of a value, as far as the value tells: elements of several types make a union, an empty list or
/// map has elements of type none, and a literal without a value has a type that fits nowhere.
pub fn type_of_literal(value: &Literal) -> LiteralType {
    type_at(value, 0)
}

/// Answers the type of a scalar.
pub(crate) fn type_of_constant(value: &Scalar) -> LiteralType {
    type_of_scalar(value, 0)
}

fn type_at(value: &Literal, depth: usize) -> LiteralType {
    if depth > DEPTH_MAX {
        return LiteralType::default();
    }
    match &value.value {
        None => LiteralType::default(),
        Some(literal::Value::Scalar(scalar)) => type_of_scalar(scalar, depth),
        Some(literal::Value::Collection(values)) => collection_of(common_type(values.literals.iter(), depth)),
        Some(literal::Value::Map(values)) => map_of(common_type(values.literals.values(), depth)),
        Some(literal::Value::OffloadedMetadata(elsewhere)) => {
            elsewhere.inferred_type.clone().unwrap_or_default()
        }
    }
}

fn common_type<'a>(values: impl Iterator<Item = &'a Literal>, depth: usize) -> LiteralType {
    let mut types: Vec<LiteralType> = Vec::new();
    // Types have no order and no hash, but equal ones encode equally.
    let mut seen = BTreeSet::new();
    for value in values {
        let own = type_at(value, depth + 1);
        if types.last() != Some(&own) && seen.insert(own.encode_to_vec()) {
            types.push(own);
        }
    }
    match types.len() {
        0 => simple(SimpleType::None),
        1 => types.remove(0),
        _ => union_of(types),
    }
}

fn type_of_scalar(value: &Scalar, depth: usize) -> LiteralType {
    let typed = |inner: Option<Type>| LiteralType { r#type: inner, ..LiteralType::default() };
    match &value.value {
        None => LiteralType::default(),
        Some(scalar::Value::Primitive(primitive)) => type_of_primitive(primitive),
        Some(scalar::Value::Blob(blob)) => {
            let blob_type = blob.metadata.as_ref().and_then(|metadata| metadata.r#type.clone());
            typed(Some(Type::Blob(blob_type.unwrap_or_default())))
        }
        Some(scalar::Value::Binary(binary)) => simple(type_of_binary(binary)),
        Some(scalar::Value::Schema(schema)) => {
            typed(Some(Type::Schema(schema.r#type.clone().unwrap_or_default())))
        }
        Some(scalar::Value::NoneType(_)) => simple(SimpleType::None),
        Some(scalar::Value::Error(_)) => simple(SimpleType::Error),
        Some(scalar::Value::Generic(_)) => simple(SimpleType::Struct),
        Some(scalar::Value::StructuredDataset(dataset)) => {
            let own = dataset.metadata.as_ref().and_then(|metadata| metadata.structured_dataset_type.clone());
            typed(Some(Type::StructuredDatasetType(own.unwrap_or_default())))
        }
        Some(scalar::Value::Union(union)) => match (&union.r#type, &union.value) {
            (Some(own), _) => union_of(vec![own.clone()]),
            (None, Some(inner)) => type_at(inner, depth + 1),
            (None, None) => LiteralType::default(),
        },
    }
}

fn type_of_primitive(value: &Primitive) -> LiteralType {
    match &value.value {
        None => LiteralType::default(),
        Some(primitive::Value::Integer(_)) => simple(SimpleType::Integer),
        Some(primitive::Value::FloatValue(_)) => simple(SimpleType::Float),
        Some(primitive::Value::StringValue(_)) => simple(SimpleType::String),
        Some(primitive::Value::Boolean(_)) => simple(SimpleType::Boolean),
        Some(primitive::Value::Datetime(_)) => simple(SimpleType::Datetime),
        Some(primitive::Value::Duration(_)) => simple(SimpleType::Duration),
    }
}

/// The format of structs that current SDKs write.
pub(crate) const MSGPACK: &str = "msgpack";

fn type_of_binary(binary: &Binary) -> SimpleType {
    if binary.tag == MSGPACK { SimpleType::Struct } else { SimpleType::Binary }
}
