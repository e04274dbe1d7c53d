//! Small answers of AdminService that belong to no area.

use crate::error::ApiError;
use skein_idl::flyteidl::admin;

/// Answers what is running.
pub(crate) fn version() -> admin::GetVersionResponse {
    let version = env!("CARGO_PKG_VERSION");
    admin::GetVersionResponse {
        control_plane_version: Some(admin::Version {
            build: "skein".to_owned(),
            version: format!("v{version}-skein"),
            build_time: String::new(),
        }),
    }
}

/// Long descriptions are not kept.
///
/// # Errors
/// [`ApiError::NotFound`] always.
pub(crate) fn description(request: &admin::ObjectGetRequest) -> Result<admin::DescriptionEntity, ApiError> {
    let id = request.id.as_ref().ok_or_else(|| ApiError::missing("id"))?;
    Err(ApiError::NotFound(format!("no description entity of {} is kept", id.name)))
}

/// Long descriptions are not kept.
///
/// # Errors
/// What is wrong with the request.
pub(crate) fn descriptions(
    request: &admin::DescriptionEntityListRequest,
) -> Result<admin::DescriptionEntityList, ApiError> {
    if request.limit == 0 {
        return Err(ApiError::invalid("invalid value for limit"));
    }
    Ok(admin::DescriptionEntityList::default())
}
