//! What a launch plan asks for, whether what is given answers it, and what is launched then: contract 1.5, 2.5.

pub mod asked;
mod launchable;
pub mod project;
mod settings;

pub use launchable::{Launchable, MAX_PARALLELISM, Prepared, Refusal, Server, Stored, nothing_there};
pub use project::Project;

use crate::literals::{self, WireError};
use crate::types::{EncodedMisfit, Misfit, encoded_fits, fits, is_optional};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::{
    Literal, LiteralMap, LiteralType, Parameter, ParameterMap, TypedInterface, VariableMap, literal,
    parameter, scalar,
};
use std::collections::BTreeMap;

/// Inputs that were refused. The texts are the original's, which users know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// There is no such input, or it is fixed by the launch plan.
    #[error("invalid input {name}")]
    Unknown {
        /// The input.
        name: String,
    },
    /// A required input without a value.
    #[error("expected_inputs {name} missing")]
    Missing {
        /// The input.
        name: String,
    },
    /// A value of another type.
    #[error("invalid {name} input wrong type. {}", wrong_type(.misfit))]
    WrongType {
        /// The input.
        name: String,
        /// What does not fit.
        misfit: Misfit,
    },
    /// A value that is none.
    #[error("invalid {name} input: {fault}")]
    Malformed {
        /// The input.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
    /// Inputs that are no map of values.
    #[error("invalid inputs: {0}")]
    NoMap(#[from] WireError),
    /// An input without a type.
    #[error("input {name} has no type")]
    Untyped {
        /// The input.
        name: String,
    },
    /// An input whose value stands in an artifact registry.
    #[error("input {name} is looked up in an artifact registry, and there is none: give it a value")]
    Artifact {
        /// The input.
        name: String,
    },
    /// An input that is both fixed and has a default.
    #[error("input {name} is fixed and has a default, it can have only one of them")]
    FixedAndDefault {
        /// The input.
        name: String,
    },
}

fn wrong_type(misfit: &Misfit) -> String {
    let text = misfit.to_string();
    match text.strip_prefix("expected") {
        Some(rest) => format!("Expected{rest}"),
        None => text,
    }
}

/// Answers all inputs of an execution, an encoded `LiteralMap`: what is given (one too), what is fixed, and defaults
/// for the rest. Values stay encoded; of a list of a million no more than one element is decoded at once.
///
/// # Errors
/// The first input that is unknown, fixed, missing or of a wrong type, in the order of their names.
pub fn merge_inputs(expected: &ParameterMap, fixed: &LiteralMap, given: &Bytes) -> Result<Bytes, InputError> {
    let given = literals::literal_map_entries(given)?;
    for (name, value) in &given {
        let Some(parameter) = expected.parameters.get(name).filter(|_| !fixed.literals.contains_key(name))
        else {
            return Err(InputError::Unknown { name: name.clone() });
        };
        encoded_fits(value, type_of(name, parameter)?).map_err(|misfit| match misfit {
            EncodedMisfit::Type(misfit) => InputError::WrongType { name: name.clone(), misfit },
            EncodedMisfit::Malformed(fault) => InputError::Malformed { name: name.clone(), fault },
        })?;
    }
    let mut merged: BTreeMap<String, Bytes> = given.into_iter().collect();
    for (name, value) in &fixed.literals {
        merged.insert(name.clone(), value.encode_to_vec().into());
    }
    for (name, parameter) in &expected.parameters {
        if !merged.contains_key(name) {
            merged.insert(name.clone(), default_of(name, parameter)?.encode_to_vec().into());
        }
    }
    Ok(literals::encode_literal_map(merged.iter().map(|(name, value)| (name.as_str(), value.as_ref()))))
}

fn default_of(name: &str, parameter: &Parameter) -> Result<Literal, InputError> {
    match &parameter.behavior {
        Some(parameter::Behavior::Default(value)) => Ok(value.clone()),
        Some(parameter::Behavior::ArtifactQuery(_) | parameter::Behavior::ArtifactId(_)) => {
            Err(InputError::Artifact { name: name.to_owned() })
        }
        Some(parameter::Behavior::Required(false)) | None if is_optional(type_of(name, parameter)?) => {
            Ok(none_of(type_of(name, parameter)?))
        }
        Some(parameter::Behavior::Required(_)) | None => Err(InputError::Missing { name: name.to_owned() }),
    }
}

/// Answers the value none, as the union that an optional input is.
fn none_of(optional: &LiteralType) -> Literal {
    use skein_idl::flyteidl::core::{Scalar, Union, Void};
    let literal = |value| Literal {
        value: Some(literal::Value::Scalar(Box::new(Scalar { value: Some(value) }))),
        ..Literal::default()
    };
    let none = literal(scalar::Value::NoneType(Void {}));
    let variant = crate::types::none_variant(optional).cloned();
    literal(scalar::Value::Union(Box::new(Union { value: Some(Box::new(none)), r#type: variant })))
}

fn type_of<'a>(name: &str, parameter: &'a Parameter) -> Result<&'a LiteralType, InputError> {
    let declared = parameter.var.as_ref().and_then(|variable| variable.r#type.as_ref());
    declared.ok_or_else(|| InputError::Untyped { name: name.to_owned() })
}

fn check(name: &str, value: &Literal, declared: &LiteralType) -> Result<(), InputError> {
    fits(value, declared).map_err(|misfit| InputError::WrongType { name: name.to_owned(), misfit })
}

/// Answers what executions of a launch plan are to be given, and what they give: every input of the workflow that is
/// not fixed, with the launch plan's default or as a required one.
///
/// # Errors
/// The first input that the workflow does not have, or that has a value of a wrong type.
pub fn launch_plan_interface(
    default_inputs: &ParameterMap,
    fixed_inputs: &LiteralMap,
    workflow: &TypedInterface,
) -> Result<(ParameterMap, VariableMap), InputError> {
    let inputs = workflow.inputs.clone().unwrap_or_default().variables;
    let declared_of = |name: &String| {
        let variable = inputs.get(name).ok_or_else(|| InputError::Unknown { name: name.clone() })?;
        variable.r#type.as_ref().ok_or_else(|| InputError::Untyped { name: name.clone() })
    };
    for (name, value) in &fixed_inputs.literals {
        check(name, value, declared_of(name)?)?;
        if matches!(behavior(default_inputs, name), Some(parameter::Behavior::Default(_))) {
            return Err(InputError::FixedAndDefault { name: name.clone() });
        }
    }
    for (name, parameter) in &default_inputs.parameters {
        let declared = declared_of(name)?;
        match &parameter.behavior {
            Some(parameter::Behavior::Default(value)) => check(name, value, declared)?,
            Some(parameter::Behavior::ArtifactQuery(_) | parameter::Behavior::ArtifactId(_)) => {
                return Err(InputError::Artifact { name: name.clone() });
            }
            Some(parameter::Behavior::Required(_)) | None => {}
        }
    }
    let mut parameters = BTreeMap::new();
    for (name, variable) in inputs.into_iter().filter(|(name, _)| !fixed_inputs.literals.contains_key(name)) {
        let given = behavior(default_inputs, &name).cloned();
        let behavior = given.or(Some(parameter::Behavior::Required(true)));
        parameters.insert(name, Parameter { var: Some(variable), behavior });
    }
    Ok((ParameterMap { parameters }, workflow.outputs.clone().unwrap_or_default()))
}

fn behavior<'a>(defaults: &'a ParameterMap, name: &str) -> Option<&'a parameter::Behavior> {
    defaults.parameters.get(name)?.behavior.as_ref()
}
