//! Small answers of AdminService that belong to no area.

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
