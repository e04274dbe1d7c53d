//! Registers, gets and lists tasks.

mod check;

use crate::attributes;
use crate::error::ApiError;
use crate::listing::{Asked, ENTITIES_TASK};
use crate::registry::{self, Definition};
use crate::shared::{Shared, entity_id};
use crate::views::EntityRow;
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use skein_model::EntityKind;
use xxhash_rust::xxh3::xxh3_128;

/// Registers a task.
///
/// # Errors
/// What is wrong with it, or that the id is taken.
pub(crate) async fn create(
    shared: &Shared,
    request: admin::TaskCreateRequest,
) -> Result<admin::TaskCreateResponse, ApiError> {
    let id = entity_id(EntityKind::Task, request.id.as_ref())?;
    let spec = request.spec.ok_or_else(|| ApiError::missing("spec"))?;
    let mut template = spec.template.ok_or_else(|| ApiError::missing("template"))?;
    template.id = Some(id.to_proto());
    check::template(&template)?;
    check::connector(shared.config.connectors.as_ref(), &template).await?;
    shared.check_scope(&id.project, &id.domain).await?;
    let quota = attributes::quota(shared, &id.project, &id.domain, "").await?;
    check::resources(&id.name, &template, &quota, shared.config.gpus())?;
    template.id = Some(id.to_proto());
    let task_type = template.r#type.clone();
    let compiled_task = Some(core::CompiledTask { template: Some(template) });
    let closure = admin::TaskClosure { compiled_task, created_at: None }.encode_to_vec();
    let definition = Definition {
        id: id.clone(),
        digest: xxh3_128(&closure),
        closure: closure.into(),
        task_type,
        docs: spec.description,
        as_object: false,
    };
    registry::register(shared, definition).await?.answer("task", &id)?;
    Ok(admin::TaskCreateResponse {})
}

/// Gets a task.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn get(shared: &Shared, request: admin::ObjectGetRequest) -> Result<admin::Task, ApiError> {
    let id = entity_id(EntityKind::Task, request.id.as_ref())?;
    let row = registry::get(shared, &id).await?;
    to_proto(shared, row).await
}

/// Answers the template of a task, if it is there.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn template(
    shared: &Shared,
    id: &skein_model::EntityId,
) -> Result<Option<core::TaskTemplate>, ApiError> {
    let Some(row) = registry::find(shared, id).await? else { return Ok(None) };
    let closure: admin::TaskClosure = shared.load(&row.closure).await?;
    Ok(closure.compiled_task.and_then(|task| task.template))
}

/// Lists tasks.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::ResourceListRequest,
) -> Result<admin::TaskList, ApiError> {
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let mut page =
        crate::entities::page(shared, &ENTITIES_TASK, EntityKind::Task, request.id.as_ref(), &asked).await?;
    let mut tasks = Vec::new();
    for row in page.take() {
        tasks.push(to_proto(shared, row).await?);
    }
    let (tasks, token) = page.with(tasks).fit_made(shared.config.limits.answer_bytes_max)?;
    Ok(admin::TaskList { tasks, token })
}

async fn to_proto(shared: &Shared, row: EntityRow) -> Result<admin::Task, ApiError> {
    let mut closure: admin::TaskClosure = shared.load(&row.closure).await?;
    closure.created_at = Some(row.created_at.into());
    Ok(admin::Task {
        id: Some(row.id.to_proto()),
        closure: Some(closure),
        short_description: row.short_description,
    })
}
