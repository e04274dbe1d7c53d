//! Types that are plain, and interfaces that are made of them.

use skein_idl::flyteidl::core::{LiteralType, SimpleType, TaskTemplate, VariableMap, literal_type};
use std::collections::BTreeMap;
use std::fmt;

/// A type whose values are plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Int,
    Float,
    Bool,
    Str,
    Datetime,
    Timedelta,
    List(Box<Shape>),
    Map(Box<Shape>),
}

impl Shape {
    /// Answers the shape of a type; none when its values are not plain.
    pub(crate) fn of(declared: &LiteralType) -> Option<Self> {
        match declared.r#type.as_ref()? {
            literal_type::Type::Simple(simple) => Self::of_simple(SimpleType::try_from(*simple).ok()?),
            literal_type::Type::CollectionType(inner) => Some(Self::List(Box::new(Self::of(inner)?))),
            literal_type::Type::MapValueType(inner) => Some(Self::Map(Box::new(Self::of(inner)?))),
            literal_type::Type::Schema(_)
            | literal_type::Type::Blob(_)
            | literal_type::Type::EnumType(_)
            | literal_type::Type::StructuredDatasetType(_)
            | literal_type::Type::UnionType(_) => None,
        }
    }

    const fn of_simple(simple: SimpleType) -> Option<Self> {
        match simple {
            SimpleType::Integer => Some(Self::Int),
            SimpleType::Float => Some(Self::Float),
            SimpleType::Boolean => Some(Self::Bool),
            SimpleType::String => Some(Self::Str),
            SimpleType::Datetime => Some(Self::Datetime),
            SimpleType::Duration => Some(Self::Timedelta),
            SimpleType::None | SimpleType::Binary | SimpleType::Error | SimpleType::Struct => None,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Bool => f.write_str("bool"),
            Self::Str => f.write_str("str"),
            Self::Datetime => f.write_str("datetime"),
            Self::Timedelta => f.write_str("timedelta"),
            Self::List(inner) => write!(f, "list[{inner}]"),
            Self::Map(inner) => write!(f, "dict[str, {inner}]"),
        }
    }
}

/// What a task, or one item of a map, gets and gives, when all of it is plain.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// The shapes of the inputs.
    pub inputs: BTreeMap<String, Shape>,
    /// The name and shape of the output.
    pub output: Option<(String, Shape)>,
}

impl Interface {
    /// Answers the interface of the task `template`; none when it is not plain.
    pub(crate) fn of_task(template: &TaskTemplate) -> Option<Self> {
        let declared = template.interface.as_ref()?;
        let shapes = |(name, declared): (&String, &LiteralType)| Some((name.clone(), Shape::of(declared)?));
        let inputs = variables(declared.inputs.as_ref()).map(shapes).collect::<Option<_>>()?;
        let mut outputs = variables(declared.outputs.as_ref()).map(shapes);
        let output = match outputs.next() {
            Some(output) => Some(output?),
            None => None,
        };
        outputs.next().is_none().then_some(Self { inputs, output })
    }

    /// Answers the interface of one item of the map task `template`; none when it is not plain.
    pub(crate) fn of_item(template: &TaskTemplate, bound: &[String]) -> Option<Self> {
        let declared = template.interface.as_ref()?;
        let mut inputs = BTreeMap::new();
        for (name, declared) in variables(declared.inputs.as_ref()) {
            let shape =
                if bound.contains(name) { Shape::of(declared)? } else { Shape::of(element(declared)?)? };
            inputs.insert(name.clone(), shape);
        }
        let mut outputs = variables(declared.outputs.as_ref());
        let output = match outputs.next() {
            Some((name, declared)) => Some((name.clone(), Shape::of(present(element(declared)?)?)?)),
            None => None,
        };
        outputs.next().is_none().then_some(Self { inputs, output })
    }
}

fn variables(map: Option<&VariableMap>) -> impl Iterator<Item = (&String, &LiteralType)> {
    map.into_iter()
        .flat_map(|map| &map.variables)
        .filter_map(|(name, var)| Some((name, var.r#type.as_ref()?)))
}

fn element(declared: &LiteralType) -> Option<&LiteralType> {
    match declared.r#type.as_ref()? {
        literal_type::Type::CollectionType(inner) => Some(inner),
        _ => None,
    }
}

/// Answers the other variant of a union with none: what an item gives that did not fail.
fn present(declared: &LiteralType) -> Option<&LiteralType> {
    let Some(literal_type::Type::UnionType(union)) = &declared.r#type else { return Some(declared) };
    let none = literal_type::Type::Simple(SimpleType::None.into());
    let mut others = union.variants.iter().filter(|variant| variant.r#type.as_ref() != Some(&none));
    let first = others.next()?;
    others.next().is_none().then_some(first)
}
