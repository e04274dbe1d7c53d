//! Puts the inputs of a node, or the outputs of a workflow, together from what upstream nodes produced.
//!
//! A value that is only passed on stays encoded and untouched; one is looked into only where a binding names a part
//! of it. The rules are the contract's (2.3, 5.11). Binding and value were typed when the workflow was compiled, but
//! neither is trusted: whatever does not add up ends in a [`Failure`].

mod attribute;
mod msgpack;

pub(crate) use attribute::path_text;

use crate::failure::{Charge, Failure, FailureCause};
use crate::ids::NodeId;
use crate::literals::{CollectionBuilder, WireError, encode_literal_map, encode_map, encode_nested};
use crate::types::{DEPTH_MAX, none_variant};
use bytes::Bytes;
use prost::Message;
use skein_idl::flyteidl::core::{
    Binding, BindingData, LiteralType, OutputReference, VariableMap, binding_data, literal_type,
};
use std::collections::BTreeMap;

/// The code of a failure to find what a promise's path names.
pub const PROMISE_ATTRIBUTE_RESOLVE_ERROR: &str = "PromiseAttributeResolveError";
/// The code of any other failure to put inputs together.
pub const BINDING_RESOLUTION_FAILURE: &str = "BindingResolutionFailure";

/// Answers an output of a node as an encoded `Literal`, by the ids of node and output; none when there is none.
///
/// The inputs of the workflow are the outputs of [`NodeId::START`].
pub type Values<'a> = dyn Fn(&str, &str) -> Option<Bytes> + 'a;

/// Resolves bindings into an encoded `LiteralMap`.
///
/// Of `expected`, the variables that are to be given, those that are optional and not bound get the value none.
///
/// # Errors
/// [`BINDING_RESOLUTION_FAILURE`], charged to the system, when a binding names what is not there or a value cannot be
/// read; [`PROMISE_ATTRIBUTE_RESOLVE_ERROR`], charged to the user, when a value has no such part. Trying again does not
/// help with either.
pub fn resolve(
    bindings: &[Binding],
    expected: Option<&VariableMap>,
    values: &Values<'_>,
) -> Result<Bytes, Failure> {
    let mut resolved: BTreeMap<&str, Bytes> = BTreeMap::new();
    for binding in bindings {
        let value = resolve_one(binding, values).map_err(|fault| fault.into_failure(&binding.var))?;
        resolved.insert(&binding.var, value);
    }
    for (name, variable) in expected.iter().flat_map(|expected| &expected.variables) {
        if let Some(none) = variable.r#type.as_ref().and_then(none_variant) {
            resolved.entry(name).or_insert_with(|| encode_union(crate::literals::NONE_LITERAL, none));
        }
    }
    Ok(encode_literal_map(resolved.iter().map(|(name, value)| (*name, value.as_ref()))))
}

/// Why a binding has no value.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("nothing is bound")]
    Unbound,
    #[error("node {node:?} has no output {var:?}")]
    NoValue { node: String, var: String },
    #[error("the output {var:?} of node {node:?} cannot be read: {fault}")]
    Unreadable { node: String, var: String, fault: String },
    #[error("bindings are nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("failed to resolve attribute path {path} in output {var:?} of node {node:?}: {fault}")]
    Attribute { path: String, node: String, var: String, fault: String },
}

impl Fault {
    fn into_failure(self, var: &str) -> Failure {
        let (code, charge) = match &self {
            Self::Attribute { .. } => (PROMISE_ATTRIBUTE_RESOLVE_ERROR, Charge::User),
            Self::Unbound | Self::NoValue { .. } | Self::Unreadable { .. } | Self::TooDeep => {
                (BINDING_RESOLUTION_FAILURE, Charge::System)
            }
        };
        Failure {
            code: code.to_owned(),
            message: format!("variable {var:?}: {self}"),
            cause: FailureCause::InputsUnresolvable,
            charge,
        }
    }
}

fn resolve_one(binding: &Binding, values: &Values<'_>) -> Result<Bytes, Fault> {
    resolve_data(binding.binding.as_ref().ok_or(Fault::Unbound)?, values, 0)
}

fn resolve_data(data: &BindingData, values: &Values<'_>, depth: usize) -> Result<Bytes, Fault> {
    if depth > DEPTH_MAX {
        return Err(Fault::TooDeep);
    }
    let resolved = match data.value.as_ref().ok_or(Fault::Unbound)? {
        binding_data::Value::Scalar(scalar) => encode_nested(&[1], &scalar.encode_to_vec()),
        binding_data::Value::OffloadedMetadata(elsewhere) => encode_nested(&[8], &elsewhere.encode_to_vec()),
        binding_data::Value::Promise(promise) => resolve_promise(promise, values)?,
        binding_data::Value::Collection(elements) => {
            let mut collection = CollectionBuilder::default();
            for element in &elements.bindings {
                collection.push(&resolve_data(element, values, depth + 1)?);
            }
            collection.finish()
        }
        binding_data::Value::Map(entries) => {
            let mut map = BTreeMap::new();
            for (key, value) in &entries.bindings {
                map.insert(key.as_str(), resolve_data(value, values, depth + 1)?);
            }
            encode_map(map.iter().map(|(key, value)| (*key, value.as_ref())))
        }
    };
    Ok(match target_variant(data) {
        Some(variant) => encode_union(&resolved, variant),
        None => resolved,
    })
}

/// Answers the variant of a union that the compiler chose for a list or map. Scalars and promises need none: the one
/// holds its variant, the other comes as user code wrote it.
fn target_variant(data: &BindingData) -> Option<&LiteralType> {
    let nested = matches!(data.value, Some(binding_data::Value::Collection(_) | binding_data::Value::Map(_)));
    let variant = data.union.as_ref()?.target_type.as_ref()?;
    let chosen = nested && !matches!(variant.r#type, None | Some(literal_type::Type::UnionType(_)));
    chosen.then_some(variant)
}

/// Encodes a literal that is a scalar, which is a union, which holds `value` as `variant`.
fn encode_union(value: &[u8], variant: &LiteralType) -> Bytes {
    let mut union = Vec::with_capacity(value.len() + 64);
    prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut union);
    prost::encoding::encode_varint(value.len() as u64, &mut union);
    union.extend_from_slice(value);
    prost::encoding::message::encode(2, variant, &mut union);
    encode_nested(&[1, 9], &union)
}

fn resolve_promise(promise: &OutputReference, values: &Values<'_>) -> Result<Bytes, Fault> {
    let node = if promise.node_id.is_empty() { NodeId::START } else { promise.node_id.as_str() };
    let var = promise.var.clone();
    let Some(value) = values(node, &var) else { return Err(Fault::NoValue { node: node.to_owned(), var }) };
    if promise.attr_path.is_empty() {
        return Ok(value);
    }
    attribute::follow(value, &promise.attr_path).map_err(|fault| match fault {
        attribute::Fault::Unreadable(fault) => Fault::Unreadable { node: node.to_owned(), var, fault },
        attribute::Fault::Missing(fault) => Fault::Attribute {
            path: attribute::path_text(&promise.attr_path),
            node: node.to_owned(),
            var,
            fault,
        },
    })
}

impl From<WireError> for attribute::Fault {
    fn from(error: WireError) -> Self {
        Self::Unreadable(error.to_string())
    }
}
