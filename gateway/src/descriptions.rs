//! What the authors of tasks and workflows say of them, at length.

use crate::entities;
use crate::error::ApiError;
use crate::listing::{Asked, ENTITIES_TASK, ENTITIES_WORKFLOW, Listing};
use crate::registry;
use crate::shared::{Shared, entity_id};
use crate::views::EntityRow;
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use skein_model::{DataRef, EntityKind};
use xxhash_rust::xxh3::xxh3_128;

/// Stores what there is beside the first sentence; none when there is nothing.
///
/// # Errors
/// When the blob store does not take it.
pub(crate) async fn store(
    shared: &Shared,
    docs: Option<admin::DescriptionEntity>,
) -> Result<Option<DataRef>, ApiError> {
    let Some(docs) = docs else { return Ok(None) };
    let docs = admin::DescriptionEntity { id: None, ..docs };
    let short =
        admin::DescriptionEntity { short_description: docs.short_description.clone(), ..Default::default() };
    if docs == short {
        return Ok(None);
    }
    let encoded = docs.encode_to_vec();
    // Named by its content, as the definition is.
    let uri = shared.blobs.url(&format!("registry/docs/{:032x}.pb", xxh3_128(&encoded)));
    Ok(Some(shared.blobs.store(&uri, encoded.into()).await?))
}

/// Gets what is said of one version of a task or workflow.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such version, or its author says nothing of it.
pub(crate) async fn get(
    shared: &Shared,
    request: admin::ObjectGetRequest,
) -> Result<admin::DescriptionEntity, ApiError> {
    let id = request.id.as_ref().ok_or_else(|| ApiError::missing("id"))?;
    let (kind, _) = listing(id.resource_type)?;
    let id = entity_id(kind, request.id.as_ref())?;
    let row = registry::get(shared, &id).await?;
    of(shared, row).await?.ok_or_else(|| {
        ApiError::NotFound(format!(
            "nothing is said of {} {} in version {} by its author",
            kind.word(),
            id.name,
            id.version
        ))
    })
}

/// Lists what is said of the versions of a task or workflow, or of all of a project and domain.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::DescriptionEntityListRequest,
) -> Result<admin::DescriptionEntityList, ApiError> {
    let (kind, listing) = listing(request.resource_type)?;
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let mut page = entities::page(shared, listing, kind, request.id.as_ref(), &asked).await?;
    let mut described = Vec::new();
    for row in page.take() {
        let id = row.id.to_proto();
        let described_by = of(shared, row).await?;
        described
            .push(described_by.unwrap_or(admin::DescriptionEntity { id: Some(id), ..Default::default() }));
    }
    let (description_entities, token) =
        page.with(described).fit_made(shared.config.limits.answer_bytes_max)?;
    Ok(admin::DescriptionEntityList { description_entities, token })
}

/// Answers what a kind of definition is listed by.
fn listing(kind: i32) -> Result<(EntityKind, &'static Listing), ApiError> {
    match core::ResourceType::try_from(kind) {
        Ok(core::ResourceType::Task) => Ok((EntityKind::Task, &ENTITIES_TASK)),
        Ok(core::ResourceType::Workflow) => Ok((EntityKind::Workflow, &ENTITIES_WORKFLOW)),
        known => Err(ApiError::invalid(format!(
            "resource_type is {}; tasks and workflows have descriptions",
            known.map_or_else(|_| kind.to_string(), |known| known.as_str_name().to_owned())
        ))),
    }
}

async fn of(shared: &Shared, row: EntityRow) -> Result<Option<admin::DescriptionEntity>, ApiError> {
    let docs = match row.docs {
        Some(docs) => shared.load(&docs).await?,
        None if row.short_description.is_empty() => return Ok(None),
        None => admin::DescriptionEntity { short_description: row.short_description, ..Default::default() },
    };
    Ok(Some(admin::DescriptionEntity { id: Some(row.id.to_proto()), ..docs }))
}
