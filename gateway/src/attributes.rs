//! Matchable attributes: kept and answered as they were set.

use crate::error::ApiError;
use crate::shared::Shared;
use crate::views::{Reader as _, Row};
use prost::Message as _;
use rusqlite::types::Value;
use skein_idl::flyteidl::admin::{self, matching_attributes::Target};
use skein_model::ids::check_name;
use skein_model::launch::project::{self, scopes};
use skein_model::{Category, CauseId, JournalId, Quota, Record, RegistryEvent, codec};
use xxhash_rust::xxh3::xxh3_64;

struct AttributeRow {
    project: String,
    domain: String,
    workflow: String,
    value: Vec<u8>,
}

impl Row for AttributeRow {
    const COLUMNS: &'static str = "project, domain, workflow, value";

    fn read(row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self { project: row.get(0)?, domain: row.get(1)?, workflow: row.get(2)?, value: row.get(3)? })
    }
}

/// What attributes are set on: a workflow of a project and domain, or with empty parts all of them.
struct Scope<'a> {
    project: &'a str,
    domain: &'a str,
    workflow: &'a str,
}

const fn resource_of(target: &Target) -> admin::MatchableResource {
    use admin::MatchableResource as Resource;
    match target {
        Target::TaskResourceAttributes(_) => Resource::TaskResource,
        Target::ClusterResourceAttributes(_) => Resource::ClusterResource,
        Target::ExecutionQueueAttributes(_) => Resource::ExecutionQueue,
        Target::ExecutionClusterLabel(_) => Resource::ExecutionClusterLabel,
        Target::QualityOfService(_) => Resource::QualityOfServiceSpecification,
        Target::PluginOverrides(_) => Resource::PluginOverride,
        Target::WorkflowExecutionConfig(_) => Resource::WorkflowExecutionConfig,
        Target::ClusterAssignment(_) => Resource::ClusterAssignment,
    }
}

async fn check(shared: &Shared, scope: &Scope<'_>) -> Result<(), ApiError> {
    // A project's own attributes have no domain; any domain will do to see that the project is there.
    let domain = if scope.domain.is_empty() { crate::shared::DOMAINS[0] } else { scope.domain };
    shared.check_scope(scope.project, domain).await
}

async fn put(
    shared: &Shared,
    scope: Scope<'_>,
    resource: i32,
    value: Option<&admin::MatchingAttributes>,
) -> Result<(), ApiError> {
    check(shared, &scope).await?;
    let event = RegistryEvent::AttributePut {
        domain: scope.domain.to_owned(),
        workflow: scope.workflow.to_owned(),
        resource,
        value: value.map(|value| value.encode_to_vec().into()),
    };
    let body = codec::encode(&[event])?;
    let journal = JournalId::project(scope.project);
    let head = shared.log.head(&journal).await?;
    let record = Record {
        time: shared.now(),
        cause: CauseId(xxh3_64(&body)),
        trace: skein_telemetry::trace::current(),
        closes: true,
        body,
    };
    let appended = shared.log.append(&journal, head, record).await?;
    shared.views.wait_for(Category::Registry, appended.position).await
}

async fn set(
    shared: &Shared,
    scope: Scope<'_>,
    value: Option<admin::MatchingAttributes>,
) -> Result<(), ApiError> {
    let value = value.ok_or_else(|| ApiError::missing("matching_attributes"))?;
    let target = value.target.as_ref().ok_or_else(|| ApiError::missing("target of matching_attributes"))?;
    if let Target::TaskResourceAttributes(attributes) = target {
        Quota::read(attributes)
            .map_err(|fault| ApiError::invalid(format!("task_resource_attributes: {fault}")))?;
    }
    put(shared, scope, resource_of(target) as i32, Some(&value)).await
}

async fn get(
    shared: &Shared,
    scope: Scope<'_>,
    resource: i32,
) -> Result<admin::MatchingAttributes, ApiError> {
    check(shared, &scope).await?;
    let [project, domain, workflow] =
        [scope.project, scope.domain, scope.workflow].map(|part| Value::Text(part.to_owned()));
    let values = [project, domain, workflow, Value::Integer(i64::from(resource))];
    let tail = "FROM attributes WHERE project = ? AND domain = ? AND workflow = ? AND resource = ?";
    let row: Option<AttributeRow> = shared.views.find(tail, &values).await?;
    let row = row.ok_or_else(|| {
        let resource =
            admin::MatchableResource::try_from(resource).map_or("unknown", |known| known.as_str_name());
        ApiError::NotFound(format!(
            "Resource [{{Project:{} Domain:{} Workflow:{} LaunchPlan: ResourceType:{resource}}}] not found",
            scope.project, scope.domain, scope.workflow
        ))
    })?;
    Ok(admin::MatchingAttributes::decode(row.value.as_slice())?)
}

/// Answers what holds for the resources of tasks in a project and domain, run by `workflow` if that has a name: of each
/// amount what is said nearest to the task.
///
/// # Errors
/// When the views cannot be read.
pub(crate) async fn quota(
    shared: &Shared,
    project: &str,
    domain: &str,
    workflow: &str,
) -> Result<Quota, ApiError> {
    let resource = Value::Integer(admin::MatchableResource::TaskResource as i64);
    let tail = "FROM attributes WHERE project = ? AND domain = ? AND workflow = ? AND resource = ?";
    let mut said = Vec::new();
    for (domain, workflow) in scopes(domain, workflow) {
        let [project, domain, workflow] =
            [project, domain, workflow].map(|part| Value::Text(part.to_owned()));
        let row: Option<AttributeRow> =
            shared.views.find(tail, &[project, domain, workflow, resource.clone()]).await?;
        said.extend(row.map(|row| row.value.into()));
    }
    Ok(project::quota(said)?)
}

/// Sets attributes of a project and domain.
///
/// # Errors
/// What is wrong with them.
pub(crate) async fn update_project_domain(
    shared: &Shared,
    request: admin::ProjectDomainAttributesUpdateRequest,
) -> Result<admin::ProjectDomainAttributesUpdateResponse, ApiError> {
    let attributes = request.attributes.ok_or_else(|| ApiError::missing("attributes"))?;
    check_name("domain", &attributes.domain)?;
    let scope = Scope { project: &attributes.project, domain: &attributes.domain, workflow: "" };
    set(shared, scope, attributes.matching_attributes).await?;
    Ok(admin::ProjectDomainAttributesUpdateResponse {})
}

/// Gets attributes of a project and domain.
///
/// # Errors
/// [`ApiError::NotFound`] when none are set.
pub(crate) async fn get_project_domain(
    shared: &Shared,
    request: admin::ProjectDomainAttributesGetRequest,
) -> Result<admin::ProjectDomainAttributesGetResponse, ApiError> {
    check_name("domain", &request.domain)?;
    let scope = Scope { project: &request.project, domain: &request.domain, workflow: "" };
    let matching_attributes = Some(get(shared, scope, request.resource_type).await?);
    let attributes = admin::ProjectDomainAttributes {
        project: request.project,
        domain: request.domain,
        matching_attributes,
        ..Default::default()
    };
    Ok(admin::ProjectDomainAttributesGetResponse { attributes: Some(attributes) })
}

/// Removes attributes of a project and domain.
///
/// # Errors
/// When the scope is none.
pub(crate) async fn delete_project_domain(
    shared: &Shared,
    request: admin::ProjectDomainAttributesDeleteRequest,
) -> Result<admin::ProjectDomainAttributesDeleteResponse, ApiError> {
    check_name("domain", &request.domain)?;
    let scope = Scope { project: &request.project, domain: &request.domain, workflow: "" };
    put(shared, scope, request.resource_type, None).await?;
    Ok(admin::ProjectDomainAttributesDeleteResponse {})
}

/// Sets attributes of a project.
///
/// # Errors
/// What is wrong with them.
pub(crate) async fn update_project(
    shared: &Shared,
    request: admin::ProjectAttributesUpdateRequest,
) -> Result<admin::ProjectAttributesUpdateResponse, ApiError> {
    let attributes = request.attributes.ok_or_else(|| ApiError::missing("attributes"))?;
    let scope = Scope { project: &attributes.project, domain: "", workflow: "" };
    set(shared, scope, attributes.matching_attributes).await?;
    Ok(admin::ProjectAttributesUpdateResponse {})
}

/// Gets attributes of a project.
///
/// # Errors
/// [`ApiError::NotFound`] when none are set.
pub(crate) async fn get_project(
    shared: &Shared,
    request: admin::ProjectAttributesGetRequest,
) -> Result<admin::ProjectAttributesGetResponse, ApiError> {
    let scope = Scope { project: &request.project, domain: "", workflow: "" };
    let matching_attributes = Some(get(shared, scope, request.resource_type).await?);
    let attributes =
        admin::ProjectAttributes { project: request.project, matching_attributes, ..Default::default() };
    Ok(admin::ProjectAttributesGetResponse { attributes: Some(attributes) })
}

/// Removes attributes of a project.
///
/// # Errors
/// When the scope is none.
pub(crate) async fn delete_project(
    shared: &Shared,
    request: admin::ProjectAttributesDeleteRequest,
) -> Result<admin::ProjectAttributesDeleteResponse, ApiError> {
    let scope = Scope { project: &request.project, domain: "", workflow: "" };
    put(shared, scope, request.resource_type, None).await?;
    Ok(admin::ProjectAttributesDeleteResponse {})
}

/// Sets attributes of a workflow.
///
/// # Errors
/// What is wrong with them.
pub(crate) async fn update_workflow(
    shared: &Shared,
    request: admin::WorkflowAttributesUpdateRequest,
) -> Result<admin::WorkflowAttributesUpdateResponse, ApiError> {
    let attributes = request.attributes.ok_or_else(|| ApiError::missing("attributes"))?;
    check_name("domain", &attributes.domain)?;
    check_name("workflow", &attributes.workflow)?;
    let scope =
        Scope { project: &attributes.project, domain: &attributes.domain, workflow: &attributes.workflow };
    set(shared, scope, attributes.matching_attributes).await?;
    Ok(admin::WorkflowAttributesUpdateResponse {})
}

/// Gets attributes of a workflow.
///
/// # Errors
/// [`ApiError::NotFound`] when none are set.
pub(crate) async fn get_workflow(
    shared: &Shared,
    request: admin::WorkflowAttributesGetRequest,
) -> Result<admin::WorkflowAttributesGetResponse, ApiError> {
    check_name("domain", &request.domain)?;
    check_name("workflow", &request.workflow)?;
    let scope = Scope { project: &request.project, domain: &request.domain, workflow: &request.workflow };
    let matching_attributes = Some(get(shared, scope, request.resource_type).await?);
    let attributes = admin::WorkflowAttributes {
        project: request.project,
        domain: request.domain,
        workflow: request.workflow,
        matching_attributes,
        ..Default::default()
    };
    Ok(admin::WorkflowAttributesGetResponse { attributes: Some(attributes) })
}

/// Removes attributes of a workflow.
///
/// # Errors
/// When the scope is none.
pub(crate) async fn delete_workflow(
    shared: &Shared,
    request: admin::WorkflowAttributesDeleteRequest,
) -> Result<admin::WorkflowAttributesDeleteResponse, ApiError> {
    check_name("domain", &request.domain)?;
    check_name("workflow", &request.workflow)?;
    let scope = Scope { project: &request.project, domain: &request.domain, workflow: &request.workflow };
    put(shared, scope, request.resource_type, None).await?;
    Ok(admin::WorkflowAttributesDeleteResponse {})
}

/// Lists all attributes of a kind.
///
/// # Errors
/// When the views cannot be read.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::ListMatchableAttributesRequest,
) -> Result<admin::ListMatchableAttributesResponse, ApiError> {
    let values = [Value::Integer(i64::from(request.resource_type))];
    let tail = "FROM attributes WHERE resource = ? ORDER BY project, domain, workflow";
    let rows: Vec<AttributeRow> = shared.views.read(move |tables| tables.all(tail, &values)).await?;
    let mut configurations = Vec::with_capacity(rows.len());
    for AttributeRow { project, domain, workflow, value } in rows {
        let attributes = Some(admin::MatchingAttributes::decode(value.as_slice())?);
        configurations.push(admin::MatchableAttributesConfiguration {
            attributes,
            domain,
            project,
            workflow,
            ..Default::default()
        });
    }
    Ok(admin::ListMatchableAttributesResponse { configurations })
}
