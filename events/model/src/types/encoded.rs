//! Whether an encoded value may be given where a type is declared, without decoding a list of a million all at once.

use super::{Misfit, fits};
use crate::literals::{CollectionElements, LiteralKind, WireError, kind_of, without_collection};
use prost::Message as _;
use skein_idl::flyteidl::core::literal_type::Type;
use skein_idl::flyteidl::core::{Literal, LiteralType};

/// An encoded value that may not be given where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodedMisfit {
    /// It is none.
    #[error("{0}")]
    Malformed(String),
    /// It is of another type.
    #[error(transparent)]
    Type(#[from] Misfit),
}

impl From<WireError> for EncodedMisfit {
    fn from(error: WireError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<prost::DecodeError> for EncodedMisfit {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Says the same as [`fits`] of an encoded literal; its lists are looked at element by element.
///
/// # Errors
/// Why it may not be given, or that it is no literal.
pub fn encoded_fits(encoded: &[u8], declared: &LiteralType) -> Result<(), EncodedMisfit> {
    match each_fits(encoded, declared) {
        // What is told is about the whole.
        Err(EncodedMisfit::Type(_)) => Ok(fits(&Literal::decode(encoded)?, declared)?),
        other => other,
    }
}

/// The types are as deep as they were allowed to be when they were registered, and the walk is not deeper than they.
fn each_fits(encoded: &[u8], declared: &LiteralType) -> Result<(), EncodedMisfit> {
    if let Some(Type::CollectionType(element)) = &declared.r#type
        && kind_of(encoded)? == LiteralKind::Collection
        && let Some(elements) = CollectionElements::of(encoded)?
    {
        // What stands round the elements is read here, they are read below.
        Literal::decode(without_collection(encoded)?.as_slice())?;
        for value in elements {
            each_fits(value?, element)?;
        }
        return Ok(());
    }
    Ok(fits(&Literal::decode(encoded)?, declared)?)
}
