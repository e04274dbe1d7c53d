//! What the listings of tasks, workflows and launch plans have in common.

use crate::error::ApiError;
use crate::listing::{Asked, Listing, Page};
use crate::registry::kind_value;
use crate::shared::Shared;
use crate::views::EntityRow;
use rusqlite::types::Value;
use skein_idl::flyteidl::admin;
use skein_model::EntityKind;
use skein_model::ids::check_name;

/// Reads a page of the versions of one name, or of all names of a project and domain.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn page(
    shared: &Shared,
    listing: &'static Listing,
    kind: EntityKind,
    id: Option<&admin::NamedEntityIdentifier>,
    asked: &Asked<'_>,
) -> Result<Page<EntityRow>, ApiError> {
    let id = id.ok_or_else(|| ApiError::missing("id"))?;
    check_name("project", &id.project)?;
    check_name("domain", &id.domain)?;
    let query = listing.query(asked, shared.config.limits.page_rows_max)?;
    let mut condition = "entities.kind = ? AND entities.project = ? AND entities.domain = ?";
    let mut values = vec![kind_value(kind), Value::Text(id.project.clone()), Value::Text(id.domain.clone())];
    if !id.name.is_empty() {
        check_name("name", &id.name)?;
        condition =
            "entities.kind = ? AND entities.project = ? AND entities.domain = ? AND entities.name = ?";
        values.push(Value::Text(id.name.clone()));
    }
    shared.views.read(move |tables| listing.page(tables, (condition, values), &query)).await
}
