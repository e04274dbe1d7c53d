//! Finds what a request launches: a launch plan, or a task round which a workflow is made up.

use super::create::Launch;
use crate::error::ApiError;
use crate::registry::{self, Outcome};
use crate::shared::{Shared, entity_id};
use crate::{launch_plans, tasks, workflows};
use skein_idl::flyteidl::{admin, core};
use skein_model::{BlobRef, DataRef, EntityId, EntityKind, compile};

/// Finds what `spec` launches.
///
/// # Errors
/// [`ApiError::NotFound`] when it is not registered.
pub(super) async fn look_up(shared: &Shared, spec: &admin::ExecutionSpec) -> Result<Launch, ApiError> {
    let id = spec.launch_plan.as_ref().ok_or_else(|| ApiError::missing("launch_plan"))?;
    match id.resource_type() {
        core::ResourceType::Task => task(shared, entity_id(EntityKind::Task, Some(id))?).await,
        core::ResourceType::LaunchPlan | core::ResourceType::Unspecified => {
            launch_plan(shared, entity_id(EntityKind::LaunchPlan, Some(id))?).await
        }
        other @ (core::ResourceType::Workflow | core::ResourceType::Dataset) => {
            Err(ApiError::invalid(format!(
                "launch_plan has resource type {}; a LAUNCH_PLAN or a TASK can be launched",
                other.as_str_name()
            )))
        }
    }
}

async fn launch_plan(shared: &Shared, id: EntityId) -> Result<Launch, ApiError> {
    let row = registry::get(shared, &id).await?;
    let stored: admin::LaunchPlan = shared.load(&row.closure).await?;
    let spec = stored.spec.clone().unwrap_or_default();
    let workflow = entity_id(EntityKind::Workflow, spec.workflow_id.as_ref())?;
    let (plan, closure) = plan(shared, &workflow).await?;
    let interface = launch_plans::interface(stored);
    Ok(Launch {
        launched: id,
        workflow,
        plan,
        closure,
        expected_inputs: interface.expected_inputs,
        fixed_inputs: interface.fixed_inputs,
        defaults: Some(spec),
    })
}

/// Makes up a workflow of one node, and registers it unless an execution before did.
async fn task(shared: &Shared, id: EntityId) -> Result<Launch, ApiError> {
    let template = tasks::template(shared, &id).await?.ok_or_else(|| ApiError::no_entity(&id))?;
    let made_up = compile::single_task(&id.to_proto(), &template);
    let workflow = EntityId {
        kind: EntityKind::Workflow,
        name: made_up.id.as_ref().map(|id| id.name.clone()).unwrap_or_default(),
        ..id.clone()
    };
    let declared = template.interface.unwrap_or_default().inputs.unwrap_or_default();
    if registry::find(shared, &workflow).await?.is_none() {
        match workflows::register(shared, &workflow, made_up, vec![], String::new()).await? {
            Outcome::New | Outcome::Identical => {}
            Outcome::Different => {
                return Err(ApiError::Internal(format!(
                    "workflow {workflow} is not the one made up for its task"
                )));
            }
        }
    }
    let (plan, closure) = plan(shared, &workflow).await?;
    let required = |variable| core::Parameter {
        var: Some(variable),
        behavior: Some(core::parameter::Behavior::Required(true)),
    };
    let parameters =
        declared.variables.into_iter().map(|(name, variable)| (name, required(variable))).collect();
    Ok(Launch {
        launched: id,
        workflow,
        plan,
        closure,
        expected_inputs: core::ParameterMap { parameters },
        fixed_inputs: core::LiteralMap::default(),
        defaults: None,
    })
}

/// Answers the compiled closure of a workflow, and where it is.
async fn plan(
    shared: &Shared,
    workflow: &EntityId,
) -> Result<(BlobRef, core::CompiledWorkflowClosure), ApiError> {
    let row = registry::get(shared, workflow).await?;
    let closure = shared.load(&row.closure).await?;
    match row.closure {
        DataRef::Blob(plan) => Ok((plan, closure)),
        DataRef::Inline(_) => Err(ApiError::Internal(format!("the closure of {workflow} is no object"))),
    }
}
