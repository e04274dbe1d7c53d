//! Registers, changes, gets and lists projects.

use crate::error::ApiError;
use crate::listing::{Asked, PROJECTS};
use crate::shared::{DOMAINS, Shared};
use crate::views::ProjectRow;
use rusqlite::types::Value;
use skein_idl::flyteidl::admin;
use skein_log::{AppendError, EventLog};
use skein_model::ids::check_name;
use skein_model::{Category, CauseId, Head, JournalId, Record, RegistryEvent, Timestamp, codec};
use xxhash_rust::xxh3::xxh3_64;

/// The project that the CLIs use when none is named.
const DEFAULT_PROJECT: &str = "flytesnacks";

/// Makes the default project unless it is there.
///
/// # Errors
/// When the log does not take it.
pub(crate) async fn seed(log: &dyn EventLog, now: Timestamp) -> Result<(), ApiError> {
    let event = RegistryEvent::ProjectPut {
        project: DEFAULT_PROJECT.to_owned(),
        name: DEFAULT_PROJECT.to_owned(),
        description: format!("{DEFAULT_PROJECT} description"),
        archived: false,
        labels: Default::default(),
    };
    match log.append(&JournalId::project(DEFAULT_PROJECT), Head::EMPTY, record(event, now)?).await {
        Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

fn record(event: RegistryEvent, time: Timestamp) -> Result<Record, ApiError> {
    let body = codec::encode(&[event])?;
    Ok(Record {
        time,
        cause: CauseId(xxh3_64(&body)),
        trace: skein_telemetry::trace::current(),
        closes: true,
        body,
    })
}

/// Registers a project.
///
/// # Errors
/// What is wrong with it, or that there is one of its id.
pub(crate) async fn register(
    shared: &Shared,
    request: admin::ProjectRegisterRequest,
) -> Result<admin::ProjectRegisterResponse, ApiError> {
    let project = request.project.ok_or_else(|| ApiError::missing("project"))?;
    check_name("project.id", &project.id)?;
    let id = project.id.clone();
    let event = put(project)?;
    match shared.log.append(&JournalId::project(&id), Head::EMPTY, record(event, shared.now())?).await {
        Ok(appended) => {
            shared.views.wait_for(Category::Registry, appended.position).await?;
            Ok(admin::ProjectRegisterResponse {})
        }
        Err(AppendError::Conflict { .. }) => Err(ApiError::AlreadyExists(format!(
            "project {id} already exists: value with matching already exists"
        ))),
        Err(other) => Err(other.into()),
    }
}

fn put(project: admin::Project) -> Result<RegistryEvent, ApiError> {
    use admin::project::ProjectState;
    let archived = match project.state() {
        ProjectState::Active | ProjectState::SystemGenerated => false,
        ProjectState::Archived | ProjectState::SystemArchived => true,
    };
    if project.description.chars().count() > 300 {
        return Err(ApiError::invalid("project.description is longer than 300 characters"));
    }
    Ok(RegistryEvent::ProjectPut {
        name: if project.name.is_empty() { project.id.clone() } else { project.name },
        project: project.id,
        description: project.description,
        archived,
        labels: project.labels.unwrap_or_default().values,
    })
}

/// Changes name, description, labels or state of a project.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn update(
    shared: &Shared,
    project: admin::Project,
) -> Result<admin::ProjectUpdateResponse, ApiError> {
    check_name("id", &project.id)?;
    let journal = JournalId::project(&project.id);
    find(shared, &project.id).await?;
    let head = shared.log.head(&journal).await?;
    let appended = shared.log.append(&journal, head, record(put(project)?, shared.now())?).await?;
    shared.views.wait_for(Category::Registry, appended.position).await?;
    Ok(admin::ProjectUpdateResponse {})
}

async fn find(shared: &Shared, id: &str) -> Result<ProjectRow, ApiError> {
    let key = [Value::Text(id.to_owned())];
    let row = shared.views.find("FROM projects WHERE id = ?", &key).await?;
    row.ok_or_else(|| ApiError::NotFound(format!("project [{id}] not found")))
}

/// Gets a project.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn get(
    shared: &Shared,
    request: admin::ProjectGetRequest,
) -> Result<admin::Project, ApiError> {
    check_name("id", &request.id)?;
    find(shared, &request.id).await.map(to_proto)
}

/// Lists projects; without filters, those that are not archived.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::ProjectListRequest,
) -> Result<admin::Projects, ApiError> {
    let asked = Asked {
        // Here, and here only, no limit is as many as there may be.
        limit: if request.limit == 0 { u32::MAX } else { request.limit },
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let query = PROJECTS.query(&asked, shared.config.limits.page_rows_max)?;
    let condition = if request.filters.is_empty() { "projects.state <> 1" } else { "1" };
    let read =
        move |tables: &rusqlite::Connection| PROJECTS.page::<ProjectRow>(tables, (condition, vec![]), &query);
    let page = shared.views.read(read).await?;
    let (projects, token) = page.fit(shared.config.limits.answer_bytes_max, to_proto)?;
    Ok(admin::Projects { projects, token })
}

/// The domains of every project.
pub(crate) fn domains() -> Vec<admin::Domain> {
    DOMAINS.map(|domain| admin::Domain { id: domain.to_owned(), name: domain.to_owned() }).into()
}

fn to_proto(row: ProjectRow) -> admin::Project {
    admin::Project {
        id: row.id,
        name: row.name,
        domains: domains(),
        description: row.description,
        labels: (!row.labels.is_empty()).then_some(admin::Labels { values: row.labels }),
        state: row.state,
        ..Default::default()
    }
}
