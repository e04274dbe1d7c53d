//! Registers, gets, lists and activates launch plans.

mod activate;
mod check;

pub(crate) use activate::{get_active, list_active, update};

use crate::error::ApiError;
use crate::listing::{Asked, ENTITIES_LAUNCH_PLAN};
use crate::registry::{self, Definition};
use crate::shared::{Shared, entity_id};
use crate::variables;
use crate::views::EntityRow;
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use skein_model::launch::launch_plan_interface;
use skein_model::{EntityId, EntityKind};
use xxhash_rust::xxh3::xxh3_128;

/// Registers a launch plan.
///
/// # Errors
/// What is wrong with it, that its workflow is not there, or that the id is taken.
pub(crate) async fn create(
    shared: &Shared,
    request: admin::LaunchPlanCreateRequest,
) -> Result<admin::LaunchPlanCreateResponse, ApiError> {
    let id = entity_id(EntityKind::LaunchPlan, request.id.as_ref())?;
    let mut spec = request.spec.ok_or_else(|| ApiError::missing("spec"))?;
    let workflow = spec.workflow_id.as_ref().ok_or_else(|| ApiError::missing("workflow_id"))?;
    let workflow = entity_id(EntityKind::Workflow, Some(workflow))?;
    shared.check_scope(&id.project, &id.domain).await?;
    spec.workflow_id = Some(workflow.to_proto());
    let interface = workflow_interface(shared, &workflow).await?;
    let default_inputs = spec.default_inputs.take().unwrap_or_default();
    let fixed_inputs = spec.fixed_inputs.clone().unwrap_or_default();
    let (expected_inputs, outputs) = launch_plan_interface(&default_inputs, &fixed_inputs, &interface)?;
    check::schedule(&spec, &expected_inputs)?;
    check::notifications(&spec)?;
    let envs = spec.envs.iter().flat_map(|envs| &envs.values);
    variables::check(&format!("launch plan {}", id.name), envs)?;
    spec.default_inputs = Some(expected_inputs.clone());
    let closure = admin::LaunchPlanClosure {
        expected_inputs: Some(expected_inputs),
        expected_outputs: Some(outputs),
        ..Default::default()
    };
    let launch_plan = admin::LaunchPlan { id: Some(id.to_proto()), spec: Some(spec), closure: Some(closure) };
    let encoded = launch_plan.encode_to_vec();
    let definition = Definition {
        id: id.clone(),
        digest: xxh3_128(&encoded),
        closure: encoded.into(),
        task_type: String::new(),
        docs: None,
        as_object: false,
    };
    registry::register(shared, definition).await?.answer("launch plan", &id)?;
    Ok(admin::LaunchPlanCreateResponse {})
}

/// Answers what a workflow takes and gives.
async fn workflow_interface(shared: &Shared, id: &EntityId) -> Result<core::TypedInterface, ApiError> {
    let row = registry::get(shared, id).await?;
    let closure: core::CompiledWorkflowClosure = shared.load(&row.closure).await?;
    let template = closure.primary.and_then(|primary| primary.template).unwrap_or_default();
    Ok(template.interface.unwrap_or_default())
}

/// Gets a launch plan.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn get(
    shared: &Shared,
    request: admin::ObjectGetRequest,
) -> Result<admin::LaunchPlan, ApiError> {
    let id = entity_id(EntityKind::LaunchPlan, request.id.as_ref())?;
    let row = registry::get(shared, &id).await?;
    to_proto(shared, row).await
}

/// Lists launch plans.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::ResourceListRequest,
) -> Result<admin::LaunchPlanList, ApiError> {
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let kind = EntityKind::LaunchPlan;
    let mut page =
        crate::entities::page(shared, &ENTITIES_LAUNCH_PLAN, kind, request.id.as_ref(), &asked).await?;
    let rows = page.take();
    let (launch_plans, token) =
        page.with(all_to_proto(shared, rows).await?).fit_made(shared.config.limits.answer_bytes_max)?;
    Ok(admin::LaunchPlanList { launch_plans, token })
}

async fn all_to_proto(shared: &Shared, rows: Vec<EntityRow>) -> Result<Vec<admin::LaunchPlan>, ApiError> {
    let mut launch_plans = Vec::with_capacity(rows.len());
    for row in rows {
        launch_plans.push(to_proto(shared, row).await?);
    }
    Ok(launch_plans)
}

async fn to_proto(shared: &Shared, row: EntityRow) -> Result<admin::LaunchPlan, ApiError> {
    let mut stored: admin::LaunchPlan = shared.load(&row.closure).await?;
    let closure = stored.closure.get_or_insert_default();
    closure.state = i32::from(row.is_active);
    closure.created_at = Some(row.created_at.into());
    closure.updated_at = Some(row.updated_at.into());
    Ok(stored)
}
