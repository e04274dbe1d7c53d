//! What a task must have to be registered: contract 2.4.

use crate::connectors::{self, Connectors};
use crate::error::ApiError;
use crate::variables;
use skein_idl::flyteidl::core::{Container, K8sPod, TaskTemplate, task_template};
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
    TaskSettings::of(template).map_err(|fault| ApiError::invalid(fault.to_string()))?;
    SecretRequest::all_of(template).map_err(|fault| ApiError::invalid(fault.to_string()))?;
    let name = template.id.as_ref().map(|id| id.name.as_str()).unwrap_or_default();
    ActorEnvironment::of(template).map_err(|fault| ApiError::invalid(format!("task {name}: {fault}")))?;
    match &template.target {
        // Whether a connector does it is asked later.
        None | Some(task_template::Target::Sql(_)) => Ok(()),
        Some(task_template::Target::Container(container)) => check_container(template, container),
        Some(task_template::Target::K8sPod(pod)) => check_pod(pod),
    }
}

fn check_container(template: &TaskTemplate, container: &Container) -> Result<(), ApiError> {
    if container.image.is_empty() {
        return Err(ApiError::missing("image"));
    }
    let name = template.id.as_ref().map(|id| id.name.as_str()).unwrap_or_default();
    variables::check(&format!("the environment of task {name}"), &container.env)
}

fn check_pod(pod: &K8sPod) -> Result<(), ApiError> {
    use prost_types::value::Kind;
    let spec = pod.pod_spec.as_ref().ok_or_else(|| ApiError::missing("pod_spec"))?;
    let containers = spec.fields.get("containers").and_then(|value| value.kind.as_ref());
    let Some(Kind::ListValue(containers)) = containers else {
        return Err(ApiError::missing("containers in pod_spec"));
    };
    let text = |value: Option<&prost_types::Value>| match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text.clone(),
        _ => String::new(),
    };
    let mut names = Vec::new();
    for (at, container) in containers.values.iter().enumerate() {
        let Some(Kind::StructValue(container)) = &container.kind else {
            return Err(ApiError::invalid(format!("containers[{at}] of pod_spec is no object")));
        };
        let name = text(container.fields.get("name"));
        if name.is_empty() {
            return Err(ApiError::missing(&format!("name of containers[{at}] in pod_spec")));
        }
        names.push(name);
    }
    if names.is_empty() {
        return Err(ApiError::missing("containers in pod_spec"));
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
