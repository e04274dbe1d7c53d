//! Lists, maps, and values that may not be there.

use super::{Value, made, of_scalar, scalar_of, sealed, simple, typed};
use skein_idl::flyteidl::core::{
    Literal, LiteralCollection, LiteralMap, LiteralType, SimpleType, TypeStructure, Union, UnionType, Void,
    literal, literal_type, scalar,
};
use skein_protocol::Plain;
use std::collections::{BTreeMap, HashMap};

const NONE_TAG: &str = "none";

impl<T: Value> sealed::Sealed for Vec<T> {}
impl<T: Value> Value for Vec<T> {
    fn literal_type() -> LiteralType {
        typed(literal_type::Type::CollectionType(Box::new(T::literal_type())))
    }

    fn tag() -> &'static str {
        "Typed List"
    }

    fn limits() -> Option<&'static str> {
        T::limits()
    }

    fn from_plain(value: Plain) -> Option<Self> {
        if let Plain::List(values) = value { values.into_iter().map(T::from_plain).collect() } else { None }
    }

    fn into_plain(self) -> Plain {
        Plain::List(self.into_iter().map(T::into_plain).collect())
    }

    fn from_literal(literal: &Literal) -> Option<Self> {
        match literal.value.as_ref()? {
            literal::Value::Collection(collection) => {
                collection.literals.iter().map(T::from_literal).collect()
            }
            literal::Value::Scalar(_) | literal::Value::Map(_) | literal::Value::OffloadedMetadata(_) => None,
        }
    }

    fn into_literal(self) -> Literal {
        let literals = self.into_iter().map(T::into_literal).collect();
        made(literal::Value::Collection(LiteralCollection { literals }))
    }
}

/// Implements [`Value`] for a map from names.
macro_rules! map {
    ($map:ident) => {
        impl<T: Value> sealed::Sealed for $map<String, T> {}
        impl<T: Value> Value for $map<String, T> {
            fn literal_type() -> LiteralType {
                typed(literal_type::Type::MapValueType(Box::new(T::literal_type())))
            }

            fn tag() -> &'static str {
                "Typed Dict"
            }

            fn limits() -> Option<&'static str> {
                T::limits()
            }

            fn from_plain(value: Plain) -> Option<Self> {
                let Plain::Map(entries) = value else { return None };
                entries.into_iter().map(|(name, value)| Some((name, T::from_plain(value)?))).collect()
            }

            fn into_plain(self) -> Plain {
                Plain::Map(self.into_iter().map(|(name, value)| (name, value.into_plain())).collect())
            }

            fn from_literal(literal: &Literal) -> Option<Self> {
                let literal::Value::Map(map) = literal.value.as_ref()? else { return None };
                let entry = |(name, value): (&String, _)| Some((name.clone(), T::from_literal(value)?));
                map.literals.iter().map(entry).collect()
            }

            fn into_literal(self) -> Literal {
                let literals = self.into_iter().map(|(name, value)| (name, value.into_literal())).collect();
                made(literal::Value::Map(LiteralMap { literals }))
            }
        }
    };
}

map!(BTreeMap);
map!(HashMap);

impl<T: Value> sealed::Sealed for Option<T> {}
impl<T: Value> Value for Option<T> {
    fn literal_type() -> LiteralType {
        let variants = vec![variant::<T>(), none_variant()];
        typed(literal_type::Type::UnionType(UnionType { variants }))
    }

    fn tag() -> &'static str {
        "union"
    }

    fn limits() -> Option<&'static str> {
        T::limits()
    }

    fn from_plain(value: Plain) -> Option<Self> {
        match value {
            Plain::Nothing => Some(None),
            value => T::from_plain(value).map(Some),
        }
    }

    fn into_plain(self) -> Plain {
        self.map_or(Plain::Nothing, T::into_plain)
    }

    fn from_literal(literal: &Literal) -> Option<Self> {
        match scalar_of(literal) {
            Some(scalar::Value::NoneType(_)) => Some(None),
            Some(scalar::Value::Union(union)) => Self::from_literal(union.value.as_deref()?),
            _ => T::from_literal(literal).map(Some),
        }
    }

    fn into_literal(self) -> Literal {
        let (value, r#type) = match self {
            Some(value) => (value.into_literal(), variant::<T>()),
            None => (of_scalar(scalar::Value::NoneType(Void {})), none_variant()),
        };
        let union = Union { value: Some(Box::new(value)), r#type: Some(r#type) };
        of_scalar(scalar::Value::Union(Box::new(union)))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

fn variant<T: Value>() -> LiteralType {
    marked(T::literal_type(), T::tag())
}

fn none_variant() -> LiteralType {
    marked(simple(SimpleType::None), NONE_TAG)
}

fn marked(inner: LiteralType, tag: &str) -> LiteralType {
    let structure = TypeStructure { tag: tag.to_owned(), ..TypeStructure::default() };
    LiteralType { structure: Some(structure), ..inner }
}
