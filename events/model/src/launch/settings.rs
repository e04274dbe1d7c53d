//! What settings an execution gets: request before launch plan before defaults. Present but empty is not set, and labels,
//! annotations and the role that are so in the request are shown so.

use super::{Launchable, Server};
use crate::event::Settings;
use crate::ids::{EntityKind, ExecutionId};
use crate::notification::{Notification, NotificationError};
use crate::resources::Quota;
use skein_idl::flyteidl::{admin, core};
use std::collections::BTreeMap;

/// Makes the spec that is stored and shown, without inputs.
pub(super) fn normalise(
    spec: admin::ExecutionSpec,
    launch: &Launchable,
    server: &Server<'_>,
    id: &ExecutionId,
) -> admin::ExecutionSpec {
    use admin::execution_spec::NotificationOverrides;
    let defaults = launch.defaults.clone().unwrap_or_default();
    let mut metadata = spec.metadata.unwrap_or_default();
    server.principal.clone_into(&mut metadata.principal);
    metadata.system_metadata = Some(admin::SystemMetadata {
        namespace: format!("{}-{}", id.project, id.domain),
        ..Default::default()
    });
    let security_context =
        spec.security_context.filter(|context| *context != core::SecurityContext::default());
    let security_context = security_context.or(defaults.security_context).unwrap_or_else(|| {
        core::SecurityContext { run_as: Some(core::Identity::default()), ..Default::default() }
    });
    let fallback = match launch.launched.kind {
        EntityKind::Task => 0,
        EntityKind::Workflow | EntityKind::LaunchPlan => {
            i32::try_from(server.max_parallelism).unwrap_or(i32::MAX)
        }
    };
    let max_parallelism = [spec.max_parallelism, defaults.max_parallelism, fallback];
    let raw = spec.raw_output_data_config.or(defaults.raw_output_data_config);
    admin::ExecutionSpec {
        launch_plan: Some(launch.launched.to_proto()),
        inputs: None,
        metadata: Some(metadata),
        notification_overrides: spec
            .notification_overrides
            .filter(|overrides| *overrides != NotificationOverrides::DisableAll(false)),
        labels: [spec.labels.clone(), defaults.labels].into_iter().flatten().find(has_labels).or(spec.labels),
        annotations: [spec.annotations.clone(), defaults.annotations]
            .into_iter()
            .flatten()
            .find(has_annotations)
            .or(spec.annotations),
        security_context: Some(security_context),
        auth_role: spec.auth_role,
        max_parallelism: max_parallelism.into_iter().find(|value| *value > 0).unwrap_or(0),
        raw_output_data_config: raw.filter(|raw| !raw.output_location_prefix.is_empty()),
        interruptible: spec.interruptible.or(defaults.interruptible),
        overwrite_cache: spec.overwrite_cache || defaults.overwrite_cache,
        envs: spec
            .envs
            .filter(|envs| !envs.values.is_empty())
            .or(defaults.envs.filter(|envs| !envs.values.is_empty())),
        cluster_assignment: spec
            .cluster_assignment
            .filter(|assignment| *assignment != admin::ClusterAssignment::default()),
        execution_cluster_label: spec.execution_cluster_label.filter(|label| !label.value.is_empty()),
        quality_of_service: spec.quality_of_service,
        tags: spec.tags,
        execution_env_assignments: spec.execution_env_assignments,
    }
}

fn has_labels(labels: &admin::Labels) -> bool {
    !labels.values.is_empty()
}

fn has_annotations(annotations: &admin::Annotations) -> bool {
    !annotations.values.is_empty()
}

/// Answers what the engine goes by of a spec that [`normalise`] made, and the prefix for raw data if one was asked for.
///
/// # Errors
/// [`NotificationError`] for one that cannot be asked for.
pub(super) fn of(
    spec: &admin::ExecutionSpec,
    launch: &Launchable,
    quota: Quota,
) -> Result<(Settings, Option<String>), NotificationError> {
    let (notifications, tells_nobody) = told(spec, launch)?;
    let values = |map: Option<&BTreeMap<String, String>>| map.cloned().unwrap_or_default();
    let envs = spec.envs.iter().flat_map(|envs| &envs.values);
    let settings = Settings {
        max_parallelism: u32::try_from(spec.max_parallelism).unwrap_or(0),
        interruptible: spec.interruptible,
        overwrite_cache: spec.overwrite_cache,
        envs: envs.map(|pair| (pair.key.clone(), pair.value.clone())).collect(),
        labels: values(spec.labels.as_ref().map(|labels| &labels.values)),
        annotations: values(spec.annotations.as_ref().map(|annotations| &annotations.values)),
        tags: spec.tags.clone(),
        quota,
        notifications,
        tells_nobody,
    };
    Ok((settings, spec.raw_output_data_config.as_ref().map(|raw| raw.output_location_prefix.clone())))
}

/// Answers who is told of the end, and whether nobody is: the request's list where it has any, else the launch plan's.
fn told(
    spec: &admin::ExecutionSpec,
    launch: &Launchable,
) -> Result<(Vec<Notification>, bool), NotificationError> {
    use admin::execution_spec::NotificationOverrides;
    let of_plan = launch.defaults.as_ref().and_then(|plan| plan.entity_metadata.as_ref());
    let given = match &spec.notification_overrides {
        Some(NotificationOverrides::DisableAll(true)) => return Ok((Vec::new(), true)),
        Some(NotificationOverrides::Notifications(list)) if !list.notifications.is_empty() => {
            &list.notifications[..]
        }
        Some(_) | None => of_plan.map(|metadata| &metadata.notifications[..]).unwrap_or_default(),
    };
    Ok((Notification::read_all(given)?, false))
}
