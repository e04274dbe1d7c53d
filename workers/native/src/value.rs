//! The types that tasks take and give, and their conversions.

mod containers;
mod times;

pub use times::Timedelta;

use skein_idl::flyteidl::core::{
    Literal, LiteralType, Primitive, Scalar, SimpleType, literal, literal_type, primitive, scalar,
};
use skein_protocol::Plain;

/// A type whose values tasks take and give: `bool`, `i64`, `f64`, [`String`], [`SystemTime`](std::time::SystemTime) (a
/// `datetime`), [`Duration`](std::time::Duration) and [`Timedelta`] (a `timedelta`), [`Vec`] of such a type,
/// [`BTreeMap`](std::collections::BTreeMap) and [`HashMap`](std::collections::HashMap) of [`String`] to such a type, and
/// [`Option`] of one.
///
/// It cannot be implemented elsewhere: what these types are to Flyte is fixed.
pub trait Value: Sized + Send + 'static + sealed::Sealed {
    /// Answers what the type is to Flyte.
    #[doc(hidden)]
    fn literal_type() -> LiteralType;

    /// Answers how the SDK marks the type among the variants of a union.
    #[doc(hidden)]
    fn tag() -> &'static str;

    /// Takes a value that needs no literal round it; none when it is of another type, or out of range.
    #[doc(hidden)]
    fn from_plain(value: Plain) -> Option<Self>;

    /// The reverse of [`Value::from_plain`].
    #[doc(hidden)]
    fn into_plain(self) -> Plain;

    /// Takes the value of a literal; none when it is of another type, or out of range.
    #[doc(hidden)]
    fn from_literal(literal: &Literal) -> Option<Self>;

    /// The reverse of [`Value::from_literal`].
    #[doc(hidden)]
    fn into_literal(self) -> Literal;

    /// Answers in words which values of the Flyte type it does not have; none when it has all.
    #[doc(hidden)]
    fn limits() -> Option<&'static str> {
        None
    }

    /// Answers the value of an input that was not given; none when it has to be.
    #[doc(hidden)]
    fn absent() -> Option<Self> {
        None
    }
}

pub(crate) mod sealed {
    /// What keeps [`Value`](super::Value) to this crate.
    pub trait Sealed {}
}

pub(crate) fn typed(inner: literal_type::Type) -> LiteralType {
    LiteralType { r#type: Some(inner), ..LiteralType::default() }
}

fn simple(simple: SimpleType) -> LiteralType {
    typed(literal_type::Type::Simple(simple.into()))
}

fn made(value: literal::Value) -> Literal {
    Literal { value: Some(value), ..Literal::default() }
}

fn of_scalar(value: scalar::Value) -> Literal {
    made(literal::Value::Scalar(Box::new(Scalar { value: Some(value) })))
}

fn of_primitive(value: primitive::Value) -> Literal {
    of_scalar(scalar::Value::Primitive(Primitive { value: Some(value) }))
}

fn scalar_of(literal: &Literal) -> Option<&scalar::Value> {
    match literal.value.as_ref()? {
        literal::Value::Scalar(scalar) => scalar.value.as_ref(),
        literal::Value::Collection(_) | literal::Value::Map(_) | literal::Value::OffloadedMetadata(_) => None,
    }
}

fn primitive_of(literal: &Literal) -> Option<&primitive::Value> {
    match scalar_of(literal)? {
        scalar::Value::Primitive(primitive) => primitive.value.as_ref(),
        _ => None,
    }
}

/// Implements [`Value`] for a type that is one of the plain kinds.
macro_rules! plain {
    ($type:ty, $simple:ident, $tag:literal, $plain:ident, $primitive:ident) => {
        impl sealed::Sealed for $type {}
        impl Value for $type {
            fn literal_type() -> LiteralType {
                simple(SimpleType::$simple)
            }

            fn tag() -> &'static str {
                $tag
            }

            fn from_plain(value: Plain) -> Option<Self> {
                if let Plain::$plain(value) = value { Some(value) } else { None }
            }

            fn into_plain(self) -> Plain {
                Plain::$plain(self)
            }

            fn from_literal(literal: &Literal) -> Option<Self> {
                if let primitive::Value::$primitive(value) = primitive_of(literal)? {
                    Some(value.clone())
                } else {
                    None
                }
            }

            fn into_literal(self) -> Literal {
                of_primitive(primitive::Value::$primitive(self))
            }
        }
    };
}

plain!(bool, Boolean, "bool", Bool, Boolean);
plain!(i64, Integer, "int", Int, Integer);
plain!(String, String, "str", Str, StringValue);

impl sealed::Sealed for f64 {}
impl Value for f64 {
    fn literal_type() -> LiteralType {
        simple(SimpleType::Float)
    }

    fn tag() -> &'static str {
        "float"
    }

    fn from_plain(value: Plain) -> Option<Self> {
        match value {
            Plain::Float(value) => Some(value),
            Plain::Int(value) => Some(of_whole(value)),
            _ => None,
        }
    }

    fn into_plain(self) -> Plain {
        Plain::Float(self)
    }

    fn from_literal(literal: &Literal) -> Option<Self> {
        match primitive_of(literal)? {
            primitive::Value::FloatValue(value) => Some(*value),
            // The SDK takes a whole number for a float too.
            primitive::Value::Integer(value) => Some(of_whole(*value)),
            _ => None,
        }
    }

    fn into_literal(self) -> Literal {
        of_primitive(primitive::Value::FloatValue(self))
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Python rounds it")]
const fn of_whole(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
