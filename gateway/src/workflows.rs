//! Registers, gets and lists workflows.

use crate::error::ApiError;
use crate::listing::{Asked, ENTITIES_WORKFLOW};
use crate::registry::{self, Definition, Outcome};
use crate::shared::{Shared, entity_id};
use crate::tasks;
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use skein_model::compile::{self, Known, LaunchPlanInterface};
use skein_model::launch::asked;
use skein_model::{EntityId, EntityKind};

/// Registers a workflow: compiles it, and keeps what came out.
///
/// # Errors
/// Everything that is wrong with it, or that the id is taken.
pub(crate) async fn create(
    shared: &Shared,
    request: admin::WorkflowCreateRequest,
) -> Result<admin::WorkflowCreateResponse, ApiError> {
    let id = entity_id(EntityKind::Workflow, request.id.as_ref())?;
    let spec = request.spec.ok_or_else(|| ApiError::missing("spec"))?;
    let template = spec.template.ok_or_else(|| ApiError::missing("template"))?;
    shared.check_scope(&id.project, &id.domain).await?;
    register(shared, &id, template, spec.sub_workflows, spec.description).await?.answer("workflow", &id)?;
    Ok(admin::WorkflowCreateResponse {})
}

/// Compiles a workflow and registers the result.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) async fn register(
    shared: &Shared,
    id: &EntityId,
    template: core::WorkflowTemplate,
    sub_workflows: Vec<core::WorkflowTemplate>,
    docs: Option<admin::DescriptionEntity>,
) -> Result<Outcome, ApiError> {
    let known = look_up(shared, compile::references(&template, &sub_workflows)).await?;
    let (proto_id, there) = (id.to_proto(), shared.config.gpus().to_vec());
    // A workflow of 10 000 nodes takes long enough to hold up everything else on this thread.
    let compiled = tokio::task::spawn_blocking(move || {
        let closure = compile::compile(&proto_id, &template, &sub_workflows, &known)
            .map_err(|errors| ApiError::invalid(errors.to_string()))?;
        asked::of(&closure, &there)?;
        let digest = compile::digest(&closure);
        Ok::<_, ApiError>((closure.encode_to_vec(), digest))
    });
    let compiled = compiled.await.map_err(|error| ApiError::internal("compiling a workflow", &error))?;
    let (closure, digest) = compiled?;
    let definition = Definition {
        id: id.clone(),
        digest,
        closure: closure.into(),
        task_type: String::new(),
        docs,
        as_object: true,
    };
    registry::register(shared, definition).await
}

async fn look_up(shared: &Shared, references: compile::References) -> Result<Known, ApiError> {
    let mut known = Known::default();
    for id in references.tasks {
        // An id that cannot be one names nothing: the compiler says that it is not found.
        let Ok(entity) = EntityId::parse(EntityKind::Task, &id) else { continue };
        if let Some(template) = tasks::template(shared, &entity).await? {
            known.tasks.insert(id, template);
        }
    }
    for id in references.launch_plans {
        let Ok(entity) = EntityId::parse(EntityKind::LaunchPlan, &id) else { continue };
        if let Some(row) = registry::find(shared, &entity).await? {
            let stored: admin::LaunchPlan = shared.load(&row.closure).await?;
            known.launch_plans.insert(id, LaunchPlanInterface::of(stored));
        }
    }
    Ok(known)
}

/// Gets a workflow with its compiled closure.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn get(
    shared: &Shared,
    request: admin::ObjectGetRequest,
) -> Result<admin::Workflow, ApiError> {
    let id = entity_id(EntityKind::Workflow, request.id.as_ref())?;
    let row = registry::get(shared, &id).await?;
    let size = row.closure.size();
    let limit = shared.config.limits.answer_bytes_max as u64;
    if size > limit {
        return Err(ApiError::ResourceExhausted(format!(
            "the compiled workflow has {size} bytes, the limit of an answer is {limit}"
        )));
    }
    let compiled_workflow: core::CompiledWorkflowClosure = shared.load(&row.closure).await?;
    Ok(admin::Workflow {
        id: Some(row.id.to_proto()),
        closure: Some(admin::WorkflowClosure {
            compiled_workflow: Some(compiled_workflow),
            created_at: Some(row.created_at.into()),
        }),
        short_description: row.short_description,
    })
}

/// Lists workflows, without their compiled closures.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::ResourceListRequest,
) -> Result<admin::WorkflowList, ApiError> {
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let kind = EntityKind::Workflow;
    let page = crate::entities::page(shared, &ENTITIES_WORKFLOW, kind, request.id.as_ref(), &asked).await?;
    let (workflows, token) = page.fit(shared.config.limits.answer_bytes_max, |row| admin::Workflow {
        id: Some(row.id.to_proto()),
        closure: Some(admin::WorkflowClosure {
            compiled_workflow: None,
            created_at: Some(row.created_at.into()),
        }),
        short_description: row.short_description,
    })?;
    Ok(admin::WorkflowList { workflows, token })
}
