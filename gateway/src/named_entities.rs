//! Lists, gets and describes what all versions of a name share.

use crate::error::ApiError;
use crate::listing::{Asked, NAMED_ENTITIES, Page};
use crate::registry::kind_value;
use crate::shared::Shared;
use crate::views::Row;
use rusqlite::types::Value;
use skein_idl::flyteidl::{admin, core};
use skein_model::ids::check_name;
use skein_model::{Category, CauseId, EntityKind, JournalId, Record, RegistryEvent, codec};
use xxhash_rust::xxh3::xxh3_64;

/// One name.
pub(crate) struct NameRow {
    project: String,
    domain: String,
    name: String,
    description: String,
    state: i32,
}

impl Row for NameRow {
    const COLUMNS: &'static str = "named_entities.project, named_entities.domain, named_entities.name, \
        named_entities.description, named_entities.state";

    fn read(row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            project: row.get(0)?,
            domain: row.get(1)?,
            name: row.get(2)?,
            description: row.get(3)?,
            state: row.get(4)?,
        })
    }
}

fn kind_of(resource_type: core::ResourceType) -> Result<EntityKind, ApiError> {
    match resource_type {
        core::ResourceType::Task => Ok(EntityKind::Task),
        core::ResourceType::Workflow => Ok(EntityKind::Workflow),
        core::ResourceType::LaunchPlan => Ok(EntityKind::LaunchPlan),
        core::ResourceType::Unspecified | core::ResourceType::Dataset => Err(ApiError::invalid(format!(
            "resource_type is {}, TASK, WORKFLOW or LAUNCH_PLAN is needed",
            resource_type.as_str_name()
        ))),
    }
}

async fn page(
    shared: &Shared,
    kind: EntityKind,
    (project, domain): (&str, &str),
    asked: &Asked<'_>,
    hidden: Hidden,
) -> Result<Page<NameRow>, ApiError> {
    check_name("project", project)?;
    check_name("domain", domain)?;
    let query = NAMED_ENTITIES.query(asked, shared.config.limits.page_rows_max)?;
    let shown = match hidden {
        // Generated names are left out before the page is cut, so that pages are full.
        Hidden::LeftOut if !query.mentions("state") => " AND named_entities.state <> 2",
        Hidden::LeftOut | Hidden::Shown => "",
    };
    let condition = format!(
        "named_entities.kind = ? AND named_entities.project = ? AND named_entities.domain = ?{shown}"
    );
    let values = vec![kind_value(kind), Value::Text(project.to_owned()), Value::Text(domain.to_owned())];
    shared.views.read(move |tables| NAMED_ENTITIES.page(tables, (&condition, values), &query)).await
}

/// Whether names that were made up for single tasks are listed.
#[derive(Clone, Copy)]
enum Hidden {
    LeftOut,
    Shown,
}

/// Lists the names of one kind in a project and domain, as bare ids.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list_ids(
    shared: &Shared,
    kind: EntityKind,
    request: admin::NamedEntityIdentifierListRequest,
) -> Result<admin::NamedEntityIdentifierList, ApiError> {
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let page = page(shared, kind, (&request.project, &request.domain), &asked, Hidden::Shown).await?;
    let (entities, token) =
        page.fit(shared.config.limits.answer_bytes_max, |row| identifier(row.project, row.domain, row.name))?;
    Ok(admin::NamedEntityIdentifierList { entities, token })
}

/// Lists the names of one kind in a project and domain; generated ones only when a filter asks for a state.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::NamedEntityListRequest,
) -> Result<admin::NamedEntityList, ApiError> {
    let kind = kind_of(request.resource_type())?;
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let page = page(shared, kind, (&request.project, &request.domain), &asked, Hidden::LeftOut).await?;
    let (entities, token) = page.fit(shared.config.limits.answer_bytes_max, |row| to_proto(kind, row))?;
    Ok(admin::NamedEntityList { entities, token })
}

/// Gets one name.
///
/// # Errors
/// [`ApiError::NotFound`] when nothing is registered under it.
pub(crate) async fn get(
    shared: &Shared,
    request: admin::NamedEntityGetRequest,
) -> Result<admin::NamedEntity, ApiError> {
    let kind = kind_of(request.resource_type())?;
    find(shared, kind, request.id.as_ref()).await.map(|row| to_proto(kind, row))
}

async fn find(
    shared: &Shared,
    kind: EntityKind,
    id: Option<&admin::NamedEntityIdentifier>,
) -> Result<NameRow, ApiError> {
    let id = id.ok_or_else(|| ApiError::missing("id"))?;
    check_name("project", &id.project)?;
    check_name("domain", &id.domain)?;
    check_name("name", &id.name)?;
    let [project, domain, name] = [&id.project, &id.domain, &id.name].map(|part| Value::Text(part.clone()));
    let values = [kind_value(kind), project, domain, name];
    let tail = "FROM named_entities WHERE kind = ? AND project = ? AND domain = ? AND name = ?";
    let row = shared.views.find(tail, &values).await?;
    row.ok_or_else(|| {
        ApiError::NotFound(format!(
            "missing entity of type {} with identifier project:{:?}  domain:{:?}  name:{:?}",
            kind.as_proto().as_str_name(),
            id.project,
            id.domain,
            id.name
        ))
    })
}

/// Changes the description of a name, or hides it.
///
/// # Errors
/// [`ApiError::NotFound`] when nothing is registered under it.
pub(crate) async fn update(
    shared: &Shared,
    request: admin::NamedEntityUpdateRequest,
) -> Result<admin::NamedEntityUpdateResponse, ApiError> {
    let kind = kind_of(request.resource_type())?;
    let metadata = request.metadata.unwrap_or_default();
    let row = find(shared, kind, request.id.as_ref()).await?;
    let archived = match metadata.state() {
        admin::NamedEntityState::NamedEntityActive => false,
        admin::NamedEntityState::NamedEntityArchived => true,
        admin::NamedEntityState::SystemGenerated => {
            return Err(ApiError::invalid("state is SYSTEM_GENERATED, which nobody can set"));
        }
    };
    let principal = shared.config.principal.clone();
    let event = RegistryEvent::NameUpdated { description: metadata.description, archived, principal };
    let body = codec::encode(&[event])?;
    let journal = JournalId::entity_name(kind, &row.project, &row.domain, &row.name);
    let head = shared.log.head(&journal).await?;
    let record = Record {
        time: shared.now(),
        cause: CauseId(xxh3_64(&body)),
        trace: skein_telemetry::trace::current(),
        closes: true,
        body,
    };
    let appended = shared.log.append(&journal, head, record).await?;
    shared.views.wait_for(Category::Registry, appended.position).await?;
    Ok(admin::NamedEntityUpdateResponse {})
}

fn identifier(project: String, domain: String, name: String) -> admin::NamedEntityIdentifier {
    admin::NamedEntityIdentifier { project, domain, name, ..Default::default() }
}

fn to_proto(kind: EntityKind, row: NameRow) -> admin::NamedEntity {
    admin::NamedEntity {
        resource_type: kind.as_proto().into(),
        id: Some(identifier(row.project, row.domain, row.name)),
        metadata: Some(admin::NamedEntityMetadata { description: row.description, state: row.state }),
    }
}
