//! Fetches what inputs and outputs are put together from, and answers the execution with the result.

use super::{Done, later_or, system_failure};
use crate::ports::Ports;
use crate::stored::{self, ScanError};
use skein_core::resolve::{Lists, Resolved, StoredList, Wanted, not_a_list};
use skein_log::BlobError;
use skein_model::{Charge, DataRef, Failure, FailureCause};
use std::collections::BTreeMap;

/// Puts it together and answers the execution.
pub(super) async fn resolve(ports: &Ports, wanted: &Wanted) -> Done {
    if let Some(same @ DataRef::Blob(_)) = wanted.same() {
        return Done::answer(wanted.answer(same.clone(), None, None));
    }
    let mut values = BTreeMap::new();
    for (node, source) in wanted.sources() {
        match ports.blobs.load(source).await {
            Ok(bytes) => drop(values.insert(node.as_str(), bytes)),
            Err(fault) => return later_or(fault, |failure| wanted.refuse(failure)),
        }
    }
    let Resolved { values, lists, case } = match wanted.resolve(&values) {
        Ok(resolved) => resolved,
        Err(failure) => return Done::answer(wanted.refuse(failure)),
    };
    let items = match lists {
        Some(lists) => match count(ports, lists).await {
            Ok(items) => Some(items),
            Err(Counted::Later(reason)) => return Done::Later(reason),
            Err(Counted::Failed(failure)) => return Done::answer(wanted.refuse(failure)),
        },
        None => None,
    };
    match ports.blobs.store(&wanted.uri(), values).await {
        Ok(data) => Done::answer(wanted.answer(data, items, case)),
        Err(fault) => later_or(fault, |failure| wanted.refuse(failure)),
    }
}

/// Why items cannot be counted.
enum Counted {
    Later(String),
    Failed(Failure),
}

/// Reads the lists that are stored by themselves, and answers how many items the map has.
async fn count(ports: &Ports, mut lists: Lists) -> Result<u32, Counted> {
    for list in lists.stored().to_vec() {
        let found = stored::scan(&ports.blobs, &list.uri).await.map_err(|error| refused(&list, error))?;
        lists.put(&list.name, found.len()).map_err(Counted::Failed)?;
    }
    Ok(lists.items())
}

fn refused(list: &StoredList, error: ScanError) -> Counted {
    let StoredList { name, uri } = list;
    match error {
        ScanError::Blob(fault @ BlobError::Unavailable { .. }) => Counted::Later(fault.to_string()),
        ScanError::Blob(
            fault @ (BlobError::NotFound { .. } | BlobError::Outside { .. } | BlobError::Name { .. }),
        ) => Counted::Failed(Failure {
            code: "OffloadedInputUnreadable".to_owned(),
            message: format!("input {name} was offloaded to {uri}, which cannot be read: {fault}"),
            cause: FailureCause::InvalidRequest,
            charge: Charge::User,
        }),
        ScanError::Blob(fault) => Counted::Failed(system_failure("ValueLost", fault.to_string())),
        ScanError::Wire(fault) => {
            let Failure { code, message, cause, charge } = not_a_list(name);
            let message = format!("{message}: what is stored at {uri} is a {fault}");
            Counted::Failed(Failure { code, message, cause, charge })
        }
    }
}
