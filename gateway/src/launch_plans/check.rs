//! Whether a launch plan can start by itself as it says, and tell whom it names.

use crate::error::ApiError;
use crate::schedules;
use crate::shared::Shared;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::{Parameter, ParameterMap, SimpleType, literal_type, parameter};
use skein_model::{EntityId, Notification, Schedule};

/// Checks what starts the launch plan by itself.
///
/// # Errors
/// [`ApiError::InvalidArgument`] for a trigger, which is not served, for a schedule that has no times, and for one that cannot
/// give every input.
pub(super) fn schedule(
    shared: &Shared,
    id: &EntityId,
    spec: &admin::LaunchPlanSpec,
    expected: &ParameterMap,
) -> Result<(), ApiError> {
    let metadata = spec.entity_metadata.as_ref();
    if metadata
        .and_then(|metadata| metadata.launch_conditions.as_ref())
        .is_some_and(|any| !any.type_url.is_empty() || !any.value.is_empty())
    {
        return Err(ApiError::invalid(
            "launch_conditions are not served: there is no artifact registry here",
        ));
    }
    // Annotations of ours are checked without a schedule too.
    let Some((schedule, _)) = schedules::read(shared, id, spec)? else { return Ok(()) };
    let now = shared.now();
    if schedule.next_after(now, now).is_none() {
        return Err(ApiError::invalid(format!(
            "launch plan {}: its schedule is \"{schedule}\", of which all times have passed; leave it out, or say one that comes",
            id.name
        )));
    }
    kickoff(id, &schedule, spec, expected)?;
    let required = expected.parameters.iter().find(|(name, parameter)| {
        let is_required = matches!(parameter.behavior, None | Some(parameter::Behavior::Required(true)));
        is_required && Some(name.as_str()) != schedule.kickoff()
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

/// Checks that the input which is given the time takes one.
fn kickoff(
    id: &EntityId,
    schedule: &Schedule,
    spec: &admin::LaunchPlanSpec,
    expected: &ParameterMap,
) -> Result<(), ApiError> {
    let Some(name) = schedule.kickoff() else { return Ok(()) };
    let refused = |what: &str| {
        Err(ApiError::invalid(format!(
            "launch plan {}: kickoff_time_input_arg is {name:?}, {what}; it has to be the name of an input of type datetime",
            id.name
        )))
    };
    if spec.fixed_inputs.as_ref().is_some_and(|fixed| fixed.literals.contains_key(name)) {
        return refused("which is fixed by the launch plan");
    }
    match expected.parameters.get(name) {
        None => refused("and its workflow has no such input"),
        Some(parameter) if is_datetime(parameter) => Ok(()),
        Some(_) => refused("which is of another type"),
    }
}

fn is_datetime(parameter: &Parameter) -> bool {
    let declared = parameter.var.as_ref().and_then(|variable| variable.r#type.as_ref());
    let simple = declared.and_then(|declared| declared.r#type.as_ref());
    matches!(simple, Some(literal_type::Type::Simple(simple)) if *simple == SimpleType::Datetime as i32)
}
