//! Which value may go where: the types of variables, and the order they form.
//!
//! The rules are the original's, written down in the contract (2.7). Types come from outside and may be nested as
//! deeply as the wire allows, or name thousands of variants, so every walk here has a limit on its depth and on its
//! steps; what is beyond them fits nowhere.

mod cast;
mod describe;
mod encoded;
mod fit;

pub use cast::{Cast, castable};
pub use describe::describe;
pub use encoded::{EncodedMisfit, encoded_fits};
pub(crate) use fit::{MSGPACK, constant_fits, type_of_constant};
pub use fit::{Misfit, fits, type_of_literal};

use skein_idl::flyteidl::core::{
    BlobType, LiteralType, SimpleType, StructuredDatasetType, UnionType, literal_type,
};

/// How deeply types and values may be nested; what is deeper fits nowhere.
pub const DEPTH_MAX: usize = 100;

/// Answers a type without parameters.
pub fn simple(simple: SimpleType) -> LiteralType {
    LiteralType { r#type: Some(literal_type::Type::Simple(simple.into())), ..LiteralType::default() }
}

/// Answers the type of lists of `element`.
pub fn collection_of(element: LiteralType) -> LiteralType {
    LiteralType {
        r#type: Some(literal_type::Type::CollectionType(Box::new(element))),
        ..LiteralType::default()
    }
}

/// Answers the type of maps to `value`.
pub fn map_of(value: LiteralType) -> LiteralType {
    LiteralType { r#type: Some(literal_type::Type::MapValueType(Box::new(value))), ..LiteralType::default() }
}

/// Answers the type that is one of `variants`.
pub fn union_of(variants: Vec<LiteralType>) -> LiteralType {
    LiteralType {
        r#type: Some(literal_type::Type::UnionType(UnionType { variants })),
        ..LiteralType::default()
    }
}

/// Says whether an input of this type may be left out: whether it is a union that includes none.
pub fn is_optional(declared: &LiteralType) -> bool {
    none_variant(declared).is_some()
}

/// Answers the variant of a union that none is; none when it has no such variant.
pub fn none_variant(declared: &LiteralType) -> Option<&LiteralType> {
    match &declared.r#type {
        Some(literal_type::Type::UnionType(union)) => union.variants.iter().find(|variant| is_none(variant)),
        _ => None,
    }
}

/// Says whether the value none is the only value of this type.
pub(crate) fn is_none(declared: &LiteralType) -> bool {
    is_simple(declared, SimpleType::None)
}

/// Says whether the type is this simple type.
pub(crate) fn is_simple(declared: &LiteralType, simple: SimpleType) -> bool {
    matches!(&declared.r#type, Some(literal_type::Type::Simple(number)) if *number == i32::from(simple))
}
