//! Finds what a request launches: a launch plan, or a task round which a workflow is made up.

use super::supported;
use crate::error::ApiError;
use crate::registry::{self, Outcome};
use crate::shared::{Shared, entity_id};
use crate::{tasks, workflows};
use skein_idl::flyteidl::{admin, core};
use skein_model::launch::Launchable;
use skein_model::launch::asked::{self, Asked};
use skein_model::{BlobRef, DataRef, EntityId, EntityKind, compile};
use std::sync::Arc;

/// Finds what `spec` launches.
///
/// # Errors
/// [`ApiError::NotFound`] when it is not registered.
pub(super) async fn look_up(
    shared: &Shared,
    spec: &admin::ExecutionSpec,
) -> Result<Arc<Launchable>, ApiError> {
    let id = spec.launch_plan.as_ref().ok_or_else(|| ApiError::missing("launch_plan"))?;
    let kind = match id.resource_type() {
        core::ResourceType::Task => EntityKind::Task,
        core::ResourceType::LaunchPlan | core::ResourceType::Unspecified => EntityKind::LaunchPlan,
        other @ (core::ResourceType::Workflow | core::ResourceType::Dataset) => {
            return Err(ApiError::invalid(format!(
                "launch_plan has resource type {}; a LAUNCH_PLAN or a TASK can be launched",
                other.as_str_name()
            )));
        }
    };
    let id = entity_id(kind, Some(id))?;
    if let Some(known) = shared.launches.get(&id) {
        return Ok(known);
    }
    let launch = match kind {
        EntityKind::Task => task(shared, id.clone()).await?,
        EntityKind::LaunchPlan | EntityKind::Workflow => launch_plan(shared, id.clone()).await?,
    };
    Ok(shared.launches.put(id, launch))
}

async fn launch_plan(shared: &Shared, id: EntityId) -> Result<Launchable, ApiError> {
    let row = registry::get(shared, &id).await?;
    let stored: admin::LaunchPlan = shared.load(&row.closure).await?;
    let workflow = stored.spec.as_ref().and_then(|spec| spec.workflow_id.as_ref());
    let workflow = entity_id(EntityKind::Workflow, workflow)?;
    let (plan, asked) = plan(shared, &workflow).await?;
    Ok(Launchable::of_launch_plan(id, stored, workflow, plan, asked))
}

/// Makes up a workflow of one node, and registers it unless an execution before did.
async fn task(shared: &Shared, id: EntityId) -> Result<Launchable, ApiError> {
    let template = tasks::template(shared, &id).await?.ok_or_else(|| ApiError::no_entity(&id))?;
    let made_up = compile::single_task(&id.to_proto(), &template);
    let workflow = EntityId {
        kind: EntityKind::Workflow,
        name: made_up.id.as_ref().map(|id| id.name.clone()).unwrap_or_default(),
        ..id.clone()
    };
    let declared = template.interface.unwrap_or_default().inputs.unwrap_or_default();
    if registry::find(shared, &workflow).await?.is_none() {
        match workflows::register(shared, &workflow, made_up, vec![], None).await? {
            Outcome::New | Outcome::Identical => {}
            Outcome::Different => {
                return Err(ApiError::Internal(format!(
                    "workflow {workflow} is not the one made up for its task"
                )));
            }
        }
    }
    let (plan, asked) = plan(shared, &workflow).await?;
    let required = |variable| core::Parameter {
        var: Some(variable),
        behavior: Some(core::parameter::Behavior::Required(true)),
    };
    let parameters =
        declared.variables.into_iter().map(|(name, variable)| (name, required(variable))).collect();
    Ok(Launchable {
        launched: id,
        workflow,
        plan,
        asked,
        expected_inputs: core::ParameterMap { parameters },
        fixed_inputs: core::LiteralMap::default(),
        defaults: None,
    })
}

/// Answers where the compiled closure of a workflow is, which this server can run, and what its nodes ask for.
async fn plan(shared: &Shared, workflow: &EntityId) -> Result<(BlobRef, Vec<Asked>), ApiError> {
    let row = registry::get(shared, workflow).await?;
    let closure: core::CompiledWorkflowClosure = shared.load(&row.closure).await?;
    supported::check(&closure, &shared.config).await?;
    let asked = asked::of(&closure, shared.config.gpus())?;
    match row.closure {
        DataRef::Blob(plan) => Ok((plan, asked)),
        DataRef::Inline(_) => Err(ApiError::Internal(format!("the closure of {workflow} is no object"))),
    }
}
