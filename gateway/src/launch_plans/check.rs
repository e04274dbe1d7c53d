//! Whether a launch plan can start by itself as it says, and tell whom it names.

use crate::error::ApiError;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::{ParameterMap, parameter};
use skein_model::Notification;

/// Checks what starts the launch plan by itself.
///
/// # Errors
/// [`ApiError::InvalidArgument`] for a trigger, which is not served, or a schedule that cannot give every input.
pub(super) fn schedule(spec: &admin::LaunchPlanSpec, expected: &ParameterMap) -> Result<(), ApiError> {
    let Some(metadata) = &spec.entity_metadata else { return Ok(()) };
    if metadata
        .launch_conditions
        .as_ref()
        .is_some_and(|any| !any.type_url.is_empty() || !any.value.is_empty())
    {
        return Err(ApiError::invalid(
            "launch_conditions are not served: there is no artifact registry here",
        ));
    }
    let Some(schedule) = &metadata.schedule else { return Ok(()) };
    if schedule.schedule_expression.is_none() {
        return Ok(());
    }
    let required = expected.parameters.iter().find(|(name, parameter)| {
        let is_required = matches!(parameter.behavior, None | Some(parameter::Behavior::Required(true)));
        is_required && **name != schedule.kickoff_time_input_arg
    });
    match required {
        None => Ok(()),
        Some((name, _)) => Err(ApiError::invalid(format!(
            "a launch plan with a schedule needs a value for input {name:?}, which has neither default nor fixed value"
        ))),
    }
}

/// Checks whom it names to be told of the end of its executions.
///
/// # Errors
/// [`ApiError::InvalidArgument`] for the first that cannot be told.
pub(super) fn notifications(spec: &admin::LaunchPlanSpec) -> Result<(), ApiError> {
    let Some(metadata) = &spec.entity_metadata else { return Ok(()) };
    Notification::read_all(&metadata.notifications)?;
    Ok(())
}
