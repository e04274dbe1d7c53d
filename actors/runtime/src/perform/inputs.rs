//! Fetches what inputs and outputs are put together from, and answers the execution with the result.

use super::{Done, later_or};
use crate::ports::Ports;
use skein_core::resolve::Wanted;
use std::collections::BTreeMap;

/// Puts it together and answers the execution.
pub(super) async fn resolve(ports: &Ports, wanted: &Wanted) -> Done {
    let mut values = BTreeMap::new();
    for (node, source) in wanted.sources() {
        match ports.blobs.load(source).await {
            Ok(bytes) => drop(values.insert(node.as_str(), bytes)),
            Err(fault) => return later_or(fault, |failure| wanted.refuse(failure)),
        }
    }
    let resolved = match wanted.resolve(&values) {
        Ok(resolved) => resolved,
        Err(failure) => return Done::answer(wanted.refuse(failure)),
    };
    match ports.blobs.store(&wanted.uri(), resolved.values).await {
        Ok(data) => Done::answer(wanted.answer(data, resolved.items)),
        Err(fault) => later_or(fault, |failure| wanted.refuse(failure)),
    }
}
