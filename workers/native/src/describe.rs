//! Says in words what a value or a type is, in the words of the SDK's users.

use skein_idl::flyteidl::core::{Literal, LiteralType, SimpleType, literal, literal_type, primitive, scalar};
use skein_protocol::Plain;

pub(crate) fn literal_type(declared: &LiteralType) -> String {
    match &declared.r#type {
        Some(literal_type::Type::Simple(simple)) => simple_type(*simple).to_owned(),
        Some(literal_type::Type::CollectionType(inner)) => format!("list[{}]", literal_type(inner)),
        Some(literal_type::Type::MapValueType(inner)) => format!("dict[str, {}]", literal_type(inner)),
        Some(literal_type::Type::UnionType(union)) => {
            let variants: Vec<_> = union.variants.iter().map(literal_type).collect();
            variants.join(" or ")
        }
        _ => "another type".to_owned(),
    }
}

fn simple_type(number: i32) -> &'static str {
    match SimpleType::try_from(number) {
        Ok(SimpleType::Integer) => "int",
        Ok(SimpleType::Float) => "float",
        Ok(SimpleType::Boolean) => "bool",
        Ok(SimpleType::String) => "str",
        Ok(SimpleType::Datetime) => "datetime",
        Ok(SimpleType::Duration) => "timedelta",
        Ok(SimpleType::None) => "None",
        _ => "another type",
    }
}

pub(crate) fn plain(value: &Plain) -> String {
    let kind = match value {
        Plain::Nothing => "None",
        Plain::Bool(_) => "a bool",
        Plain::Int(value) => return format!("the whole number {value}"),
        Plain::Float(value) => return format!("the number {value}"),
        Plain::Str(_) => "a text",
        Plain::List(_) => "a list",
        Plain::Map(_) => "a map",
    };
    kind.to_owned()
}

pub(crate) fn literal(literal: &Literal) -> String {
    let kind = match &literal.value {
        None => "empty",
        Some(literal::Value::Collection(_)) => "a list",
        Some(literal::Value::Map(_)) => "a map",
        Some(literal::Value::OffloadedMetadata(_)) => "a value that lies elsewhere",
        Some(literal::Value::Scalar(scalar)) => match &scalar.value {
            Some(scalar::Value::Primitive(primitive)) => return of_primitive(primitive.value.as_ref()),
            Some(scalar::Value::NoneType(_)) => "None",
            Some(scalar::Value::Union(union)) => {
                return union.value.as_deref().map_or_else(|| "empty".to_owned(), self::literal);
            }
            _ => "a value of another kind",
        },
    };
    kind.to_owned()
}

fn of_primitive(value: Option<&primitive::Value>) -> String {
    match value {
        None => "empty".to_owned(),
        Some(primitive::Value::Integer(value)) => format!("the whole number {value}"),
        Some(primitive::Value::FloatValue(value)) => format!("the number {value}"),
        Some(primitive::Value::StringValue(_)) => "a text".to_owned(),
        Some(primitive::Value::Boolean(_)) => "a bool".to_owned(),
        Some(primitive::Value::Datetime(_)) => "a datetime".to_owned(),
        Some(primitive::Value::Duration(span)) => format!("a timedelta of {} s", span.seconds),
    }
}
