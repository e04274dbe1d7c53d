//! What a task must have to be registered: contract 2.4.

use crate::connectors::{self, Connectors};
use crate::error::ApiError;
use crate::variables;
use skein_idl::flyteidl::core::{Container, K8sPod, TaskTemplate, task_template};
use skein_model::launch::asked;
use skein_model::{ActorEnvironment, Gpu, Quota, SecretRequest, TaskResources, TaskSettings};

/// Checks a template.
///
/// # Errors
/// [`ApiError::InvalidArgument`] naming the field, its value, and what would be right.
pub(super) fn template(template: &TaskTemplate) -> Result<(), ApiError> {
    if template.r#type.is_empty() {
        return Err(ApiError::missing("type"));
    }
    if template.interface.is_none() {
        return Err(ApiError::missing("typed interface"));
    }
    let name = template.id.as_ref().map(|id| id.name.as_str()).unwrap_or_default();
    let timeout = template.metadata.as_ref().and_then(|metadata| metadata.timeout.as_ref());
    asked::timeout(&format!("task {name}"), timeout)?;
    TaskSettings::of(template).map_err(|fault| ApiError::invalid(fault.to_string()))?;
    SecretRequest::all_of(template).map_err(|fault| ApiError::invalid(fault.to_string()))?;
    ActorEnvironment::of(template).map_err(|fault| ApiError::invalid(format!("task {name}: {fault}")))?;
    match &template.target {
        // Whether a connector does it is asked later.
        None | Some(task_template::Target::Sql(_)) => Ok(()),
        Some(task_template::Target::Container(container)) => check_container(name, container),
        Some(task_template::Target::K8sPod(pod)) => check_pod(name, template, pod),
    }
}

fn check_container(name: &str, container: &Container) -> Result<(), ApiError> {
    if container.image.is_empty() {
        return Err(ApiError::missing("image"));
    }
    variables::check(&format!("the environment of task {name}"), &container.env)
}

/// The key of a template's configuration, or of its pod's, that names the container which runs the task.
const PRIMARY: &str = "primary_container_name";

/// Checks that a pod template is a pod: what it says beside its containers is for whoever runs it.
fn check_pod(name: &str, template: &TaskTemplate, pod: &K8sPod) -> Result<(), ApiError> {
    use prost_types::value::Kind;
    let wrong = |what: String| ApiError::invalid(format!("the pod template of task {name} {what}"));
    let Some(spec) = &pod.pod_spec else { return Err(wrong("has no pod_spec".to_owned())) };
    let Some(Kind::ListValue(containers)) =
        spec.fields.get("containers").and_then(|value| value.kind.as_ref())
    else {
        return Err(wrong("is no pod: its pod_spec has no list of containers".to_owned()));
    };
    let mut names = Vec::new();
    for (at, container) in containers.values.iter().enumerate() {
        let Some(Kind::StructValue(container)) = &container.kind else {
            return Err(wrong(format!("is no pod: containers[{at}] is not an object")));
        };
        match container.fields.get("name").and_then(|value| value.kind.as_ref()) {
            Some(Kind::StringValue(name)) if !name.is_empty() => names.push(name.as_str()),
            _ => return Err(wrong(format!("is no pod: containers[{at}] has no name"))),
        }
    }
    if names.is_empty() {
        return Err(wrong("has an empty list of containers; one of them has to run the task".to_owned()));
    }
    let primary = pod.primary_container_name.as_str();
    let named = template.config.get(PRIMARY).map_or(primary, String::as_str);
    if !named.is_empty() && !names.contains(&named) {
        return Err(wrong(format!(
            "names {named:?} as the container that runs the task, and has {}",
            names.join(", ")
        )));
    }
    Ok(())
}

/// Checks that a task which has nothing to run here is done by a connector.
///
/// # Errors
/// [`ApiError::InvalidArgument`] naming the task, its type, and what there is.
pub(super) async fn connector(
    connectors: Option<&Connectors>,
    template: &TaskTemplate,
) -> Result<(), ApiError> {
    let what = match template.target {
        None => "missing target: a task needs a container, a pod or a statement, or a connector that does it",
        Some(task_template::Target::Sql(_)) => "a statement needs a connector that does it",
        Some(task_template::Target::Container(_) | task_template::Target::K8sPod(_)) => return Ok(()),
    };
    connectors::check(connectors, template).await.map_err(|why| ApiError::invalid(format!("{what}; {why}")))
}

/// Checks what a task asks for of a machine; answers it. `there` are accelerators that are known beside those that always are.
///
/// # Errors
/// [`ApiError::InvalidArgument`] naming the task, the list, the resource, its value, and what would be right.
pub(super) fn resources(
    name: &str,
    template: &TaskTemplate,
    quota: &Quota,
    there: &[Gpu],
) -> Result<(), ApiError> {
    let asked = TaskResources::of(template, None, Some(there)).and_then(|asked| asked.within(quota));
    asked.map(drop).map_err(|fault| ApiError::invalid(format!("task {name}: {fault}")))
}
