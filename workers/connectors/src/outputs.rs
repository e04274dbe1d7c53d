//! The outputs of a job that is done: in the connector's answer, or in files that the job left.

use crate::failure;
use prost::Message as _;
use skein_idl::flyteidl::core::{
    ContainerError, ErrorDocument, LiteralMap, TaskTemplate, VariableMap, container_error, execution_error,
};
use skein_log::{BlobError, BlobStore};
use skein_model::command::Outcome;
use skein_model::{Charge, Failure, FailureCause, Work, paths, types};
use std::collections::BTreeMap;

/// The largest file of outputs or of an error that is read, in bytes.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// Checks and keeps the outputs of a job that is done.
///
/// # Errors
/// The store's, when it cannot be asked at present.
pub(crate) async fn keep(
    blobs: &BlobStore,
    work: &Work,
    template: &TaskTemplate,
    answered: Option<LiteralMap>,
) -> Result<Outcome, BlobError> {
    let prefix = &work.output_prefix;
    let declared =
        template.interface.as_ref().and_then(|interface| interface.outputs.clone()).unwrap_or_default();
    let answered = answered.filter(|outputs| !outputs.literals.is_empty() || declared.variables.is_empty());
    let outputs = match answered {
        Some(outputs) => checked(outputs, &declared).map_err(|why| {
            failure::answer(format!(
                "the connector says that the job has succeeded, but of its outputs, {why}"
            ))
        }),
        None => match error(blobs, prefix).await? {
            Some(failure) => Err(failure),
            None if declared.variables.is_empty() => Ok(LiteralMap::default()),
            None => in_file(blobs, prefix, &declared).await?,
        },
    };
    let outputs = match outputs {
        Ok(outputs) => outputs,
        Err(failure) => return Ok(Outcome::Failed(failure)),
    };
    let outputs = blobs.store(&paths::outputs(prefix), outputs.encode_to_vec().into()).await?;
    let deck = paths::deck(prefix);
    let deck = blobs.size(&deck).await?.is_some().then_some(deck);
    Ok(Outcome::Succeeded { outputs, deck })
}

/// Answers the declared ones of some outputs.
fn checked(mut outputs: LiteralMap, declared: &VariableMap) -> Result<LiteralMap, String> {
    let mut literals = BTreeMap::new();
    for (name, variable) in &declared.variables {
        let Some(literal) = outputs.literals.remove(name) else { return Err(format!("{name} is not there")) };
        if let Some(of) = &variable.r#type {
            types::fits(&literal, of).map_err(|misfit| format!("{name} is of another type: {misfit}"))?;
        }
        literals.insert(name.clone(), literal);
    }
    Ok(LiteralMap { literals })
}

async fn in_file(
    blobs: &BlobStore,
    prefix: &str,
    declared: &VariableMap,
) -> Result<Result<LiteralMap, Failure>, BlobError> {
    let uri = paths::outputs(prefix);
    let bytes = match blobs.get(&uri, FILE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(BlobError::NotFound { .. }) => {
            let message = format!(
                "the task declares outputs, but its job has ended without any in the connector's answer or in {uri}"
            );
            return Ok(Err(failure::left("OutputsNotFound", message, FailureCause::OutputsNotFound)));
        }
        Err(BlobError::TooLarge { .. }) => {
            return Ok(Err(unreadable(format!("{uri} has more than {FILE_BYTES_MAX} bytes"))));
        }
        Err(error) => return Err(error),
    };
    let Ok(outputs) = LiteralMap::decode(bytes) else {
        return Ok(Err(unreadable(format!("{uri} is not what the SDK writes: it cannot be decoded"))));
    };
    Ok(checked(outputs, declared).map_err(|why| unreadable(format!("in {uri}, {why}"))))
}

fn unreadable(message: String) -> Failure {
    failure::left("OutputsUnreadable", message, FailureCause::OutputsUnreadable)
}

/// Answers the error that the job left as a file; none when it left none.
async fn error(blobs: &BlobStore, prefix: &str) -> Result<Option<Failure>, BlobError> {
    let uri = paths::error(prefix);
    let bytes = match blobs.get(&uri, FILE_BYTES_MAX).await {
        Ok(bytes) => bytes,
        Err(BlobError::NotFound { .. }) => return Ok(None),
        Err(BlobError::TooLarge { .. }) => {
            return Ok(Some(unreadable(format!("{uri} has more than {FILE_BYTES_MAX} bytes"))));
        }
        Err(error) => return Err(error),
    };
    Ok(Some(match ErrorDocument::decode(bytes) {
        Ok(ErrorDocument { error: Some(error) }) => of_document(error),
        Ok(ErrorDocument { error: None }) | Err(_) => {
            unreadable(format!("{uri} is not what the SDK writes: it cannot be decoded"))
        }
    }))
}

fn of_document(error: ContainerError) -> Failure {
    let recoverable = error.kind() == container_error::Kind::Recoverable;
    let charge = match error.origin() {
        execution_error::ErrorKind::System => Charge::System,
        execution_error::ErrorKind::User | execution_error::ErrorKind::Unknown => Charge::User,
    };
    failure::job(&error.code, error.message, recoverable, charge)
}
