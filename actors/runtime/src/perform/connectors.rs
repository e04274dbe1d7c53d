//! Which tries go to connectors.

use crate::dispatch::Dispatch;
use crate::ports::Ports;
use skein_idl::flyteidl::core::TaskTemplate;
use skein_model::runnable::is_runnable;
use skein_model::{Charge, Failure, FailureCause};
use std::sync::Arc;

/// Answers through what a try of a task is handed to connectors; none when workers run it.
///
/// # Errors
/// The try's failure when only a connector could do the task, and there is no way to any.
pub(super) fn way_to<'a>(
    ports: &'a Ports,
    template: &TaskTemplate,
) -> Result<Option<&'a Arc<Dispatch>>, Failure> {
    let is_taken = ports.config.connectors.as_ref().is_some_and(|to| to.served.takes(template));
    match &ports.to_connectors {
        Some(way) if is_taken => Ok(Some(way)),
        None if !is_runnable(template) => Err(no_connectors(template)),
        Some(_) | None => Ok(None),
    }
}

fn no_connectors(template: &TaskTemplate) -> Failure {
    let name = template.id.as_ref().map_or("", |id| id.name.as_str());
    Failure {
        code: "ConnectorNotFound".to_owned(),
        message: format!(
            "task {name} is of type {}, which only a connector could do, and this engine knows none",
            template.r#type
        ),
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}
