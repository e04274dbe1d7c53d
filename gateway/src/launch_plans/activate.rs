//! Which version of a launch plan is the active one.

use super::{all_to_proto, to_proto};
use crate::error::ApiError;
use crate::listing::{Asked, ENTITIES_LAUNCH_PLAN};
use crate::registry::{self, kind_value};
use crate::shared::{Shared, entity_id};
use crate::views::EntityRow;
use rusqlite::types::Value;
use skein_idl::flyteidl::admin;
use skein_log::AppendError;
use skein_model::ids::check_name;
use skein_model::{Category, CauseId, EntityId, EntityKind, Head, JournalId, Record, RegistryEvent, codec};
use xxhash_rust::xxh3::xxh3_64;

/// How often a change of the active version is tried again while others change it too.
const TRIES_MAX: usize = 100;

/// Makes a version the active one of its name, or no longer that.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such version.
pub(crate) async fn update(
    shared: &Shared,
    request: admin::LaunchPlanUpdateRequest,
) -> Result<admin::LaunchPlanUpdateResponse, ApiError> {
    let id = entity_id(EntityKind::LaunchPlan, request.id.as_ref())?;
    let state = admin::LaunchPlanState::try_from(request.state).map_err(|_| {
        ApiError::invalid(format!("state is {}, ACTIVE (1) or INACTIVE (0) is needed", request.state))
    })?;
    registry::get(shared, &id).await?;
    let journal = JournalId::entity_name(EntityKind::LaunchPlan, &id.project, &id.domain, &id.name);
    for _ in 0..TRIES_MAX {
        if try_update(shared, &journal, &id, state).await? {
            return Ok(admin::LaunchPlanUpdateResponse {});
        }
    }
    Err(ApiError::Unavailable(format!("the active version of {} is changed by others all the time", id.name)))
}

/// Tries once; answers false when someone else was faster.
async fn try_update(
    shared: &Shared,
    journal: &JournalId,
    id: &EntityId,
    state: admin::LaunchPlanState,
) -> Result<bool, ApiError> {
    let records = shared.log.read(journal, Head::EMPTY).await?;
    let head = match records.last() {
        Some(_) => shared.log.head(journal).await?,
        None => Head::EMPTY,
    };
    if records.last().map_or(0, |last| last.version.0) != head.version.0 {
        return Ok(false);
    }
    let mut active = None;
    for record in &records {
        for event in codec::decode::<RegistryEvent>(record.schema, &record.record.body)? {
            match event {
                RegistryEvent::Activated { version, .. } => active = Some(version),
                RegistryEvent::Deactivated { .. } => active = None,
                RegistryEvent::Registered { .. }
                | RegistryEvent::NameUpdated { .. }
                | RegistryEvent::ProjectPut { .. }
                | RegistryEvent::AttributePut { .. }
                | RegistryEvent::SecretPut { .. }
                | RegistryEvent::SecretDeleted { .. }
                | RegistryEvent::SecretKeysUsed { .. } => {}
            }
        }
    }
    let is_active = active.as_deref() == Some(id.version.as_str());
    let principal = shared.config.principal.clone();
    let version = id.version.clone();
    let event = match (state, is_active) {
        (admin::LaunchPlanState::Active, false) => RegistryEvent::Activated { version, principal },
        (admin::LaunchPlanState::Inactive, true) => RegistryEvent::Deactivated { version, principal },
        (admin::LaunchPlanState::Active, true) | (admin::LaunchPlanState::Inactive, false) => {
            shared.catch_up(Category::Registry).await?;
            return Ok(true);
        }
    };
    let body = codec::encode(&[event])?;
    let record = Record {
        time: shared.now(),
        cause: CauseId(xxh3_64(&body)),
        trace: skein_telemetry::trace::current(),
        closes: true,
        body,
    };
    match shared.log.append(journal, head, record).await {
        Ok(appended) => {
            shared.views.wait_for(Category::Registry, appended.position).await?;
            Ok(true)
        }
        Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// Gets the active version of a name.
///
/// # Errors
/// [`ApiError::NotFound`] when none is active.
pub(crate) async fn get_active(
    shared: &Shared,
    request: admin::ActiveLaunchPlanRequest,
) -> Result<admin::LaunchPlan, ApiError> {
    let id = request.id.ok_or_else(|| ApiError::missing("id"))?;
    check_name("project", &id.project)?;
    check_name("domain", &id.domain)?;
    check_name("name", &id.name)?;
    let parts = [&id.project, &id.domain, &id.name].map(|part| Value::Text(part.clone()));
    let [project, domain, name] = parts;
    let values = [kind_value(EntityKind::LaunchPlan), project, domain, name];
    let tail = "FROM entities WHERE kind = ? AND project = ? AND domain = ? AND name = ? AND state = 1";
    let row: Option<EntityRow> = shared.views.find(tail, &values).await?;
    let row = row.ok_or_else(|| {
        ApiError::NotFound(format!(
            "No active launch plan could be found: {}:{}:{}",
            id.project, id.domain, id.name
        ))
    })?;
    to_proto(shared, row).await
}

/// Lists the active versions of all names of a project and domain.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list_active(
    shared: &Shared,
    request: admin::ActiveLaunchPlanListRequest,
) -> Result<admin::LaunchPlanList, ApiError> {
    check_name("project", &request.project)?;
    check_name("domain", &request.domain)?;
    let asked =
        Asked { limit: request.limit, token: &request.token, filters: "", sort_by: request.sort_by.as_ref() };
    let query = ENTITIES_LAUNCH_PLAN.query(&asked, shared.config.limits.page_rows_max)?;
    let condition =
        "entities.kind = ? AND entities.project = ? AND entities.domain = ? AND entities.state = 1";
    let scope = vec![
        kind_value(EntityKind::LaunchPlan),
        Value::Text(request.project.clone()),
        Value::Text(request.domain.clone()),
    ];
    let read = move |tables: &rusqlite::Connection| {
        ENTITIES_LAUNCH_PLAN.page::<EntityRow>(tables, (condition, scope), &query)
    };
    let mut page = shared.views.read(read).await?;
    let rows = page.take();
    let (launch_plans, token) =
        page.with(all_to_proto(shared, rows).await?).fit_made(shared.config.limits.answer_bytes_max)?;
    Ok(admin::LaunchPlanList { launch_plans, token })
}
