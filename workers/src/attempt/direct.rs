//! Attempts that say what they produced instead of writing it down: what they get, and what they gave.

use crate::failure;
use crate::machine::Machine;
use crate::plain::{Interface, Plain, from_literal, to_literal};
use crate::report;
use bytes::Bytes;
use prost::Message;
use skein_idl::flyteidl::core::LiteralMap;
use skein_model::command::Outcome;
use skein_model::{Work, paths};
use std::collections::BTreeMap;

/// Answers encoded inputs as plain values; none when the SDK has to look at them.
pub(super) fn values(inputs: &Bytes, interface: &Interface) -> Option<BTreeMap<String, Plain>> {
    let literals = LiteralMap::decode(inputs.clone()).ok()?.literals;
    // The SDK has words of its own for an input that is missing or too many.
    if literals.len() != interface.inputs.len() {
        return None;
    }
    let value = |(name, literal)| {
        let shape = interface.inputs.get(&name)?;
        Some((name, from_literal(&literal, shape)?))
    };
    literals.into_iter().map(value).collect()
}

/// Makes of a value that the function returned what the SDK would have written.
pub(super) async fn outcome(
    machine: &Machine,
    work: &Work,
    interface: Option<&Interface>,
    value: Plain,
) -> Outcome {
    let mut literals = LiteralMap::default();
    if let Some((name, shape)) = interface.and_then(|interface| interface.output.as_ref()) {
        match to_literal(value, shape) {
            Some(literal) => drop(literals.literals.insert(name.clone(), literal)),
            None => return Outcome::Failed(failure::unreadable("the result")),
        }
    }
    store(machine, work, literals.encode_to_vec().into()).await
}

/// Stores encoded outputs, which are all that an attempt produced.
pub(crate) async fn store(machine: &Machine, work: &Work, encoded: Bytes) -> Outcome {
    if LiteralMap::decode(encoded.clone()).is_err() {
        return Outcome::Failed(failure::unreadable("the result"));
    }
    let uri = paths::outputs(&work.output_prefix);
    match report::insist(&machine.config, || machine.blobs.store(&uri, encoded.clone())).await {
        Ok(outputs) => Outcome::Succeeded { outputs, deck: None },
        Err(error) => Outcome::Failed(failure::not_started(&error)),
    }
}
