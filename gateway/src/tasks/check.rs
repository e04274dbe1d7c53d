//! What a task must have to be registered: contract 2.4.

use crate::error::ApiError;
use crate::quantity::Quantity;
use skein_idl::flyteidl::core::resources::{ResourceEntry, ResourceName};
use skein_idl::flyteidl::core::{Container, K8sPod, Resources, TaskTemplate, task_template};
use skein_model::{SecretRequest, TaskSettings};

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
    match &template.target {
        None => Err(ApiError::missing("target: a task needs a container, a pod or a statement")),
        Some(task_template::Target::Container(container)) => check_container(container),
        Some(task_template::Target::K8sPod(pod)) => check_pod(pod),
        Some(task_template::Target::Sql(_)) => Ok(()),
    }
}

fn check_container(container: &Container) -> Result<(), ApiError> {
    if container.image.is_empty() {
        return Err(ApiError::missing("image"));
    }
    container.resources.as_ref().map_or(Ok(()), resources)
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

/// Checks requests and limits of a container.
///
/// # Errors
/// [`ApiError::InvalidArgument`] naming the entry.
pub(super) fn resources(resources: &Resources) -> Result<(), ApiError> {
    let requests = entries("requests", &resources.requests)?;
    let limits = entries("limits", &resources.limits)?;
    for (name, request, request_text) in &requests {
        let Some((_, limit, limit_text)) = limits.iter().find(|(limited, ..)| limited == name) else {
            continue;
        };
        let word = name.as_str_name();
        if *name == ResourceName::Gpu && request != limit {
            return Err(ApiError::invalid(format!(
                "{word} request {request_text} and limit {limit_text} differ; for this resource they must be equal"
            )));
        }
        if request > limit {
            return Err(ApiError::invalid(format!(
                "{word} request {request_text} is greater than its limit {limit_text}"
            )));
        }
    }
    Ok(())
}

type Entry<'r> = (ResourceName, Quantity, &'r str);

fn entries<'r>(list: &str, given: &'r [ResourceEntry]) -> Result<Vec<Entry<'r>>, ApiError> {
    let mut read: Vec<Entry<'r>> = Vec::new();
    for entry in given {
        let name = ResourceName::try_from(entry.name).unwrap_or(ResourceName::Unknown);
        if name == ResourceName::Unknown {
            return Err(ApiError::invalid(format!(
                "{list} hold an unknown resource (number {})",
                entry.name
            )));
        }
        let word = name.as_str_name();
        let shown: String = entry.value.chars().take(64).collect();
        let quantity: Quantity = entry
            .value
            .parse()
            .map_err(|error| ApiError::invalid(format!("{word} of {list} is {shown:?}, {error}")))?;
        if quantity.is_negative() {
            return Err(ApiError::invalid(format!("{word} of {list} is {shown}, less than nothing")));
        }
        if name == ResourceName::Gpu && !quantity.is_whole() {
            return Err(ApiError::invalid(format!("{word} of {list} is {shown}, a whole number is needed")));
        }
        if read.iter().any(|(known, ..)| *known == name) {
            return Err(ApiError::invalid(format!("{list} hold {word} more than once")));
        }
        read.push((name, quantity, &entry.value));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(requests: &[(ResourceName, &str)], limits: &[(ResourceName, &str)]) -> Result<(), String> {
        let list = |list: &[(ResourceName, &str)]| {
            list.iter()
                .map(|(name, value)| ResourceEntry { name: (*name).into(), value: (*value).to_owned() })
                .collect()
        };
        resources(&Resources { requests: list(requests), limits: list(limits) })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_be_given_is_accepted() {
        use ResourceName::{Cpu, Gpu, Memory};
        assert_eq!(given(&[(Cpu, "100m"), (Memory, "1Gi"), (Gpu, "2")], &[(Cpu, "1"), (Gpu, "2")]), Ok(()));
    }

    #[test]
    fn what_cannot_be_given_is_refused_by_name_and_value() {
        use ResourceName::{Cpu, Gpu, Memory, Unknown};
        let cases: [(Result<(), String>, &str); 7] = [
            (
                given(&[(Cpu, "lots")], &[]),
                "CPU of requests is \"lots\", not a quantity such as 500m, 2 or 1.5Gi",
            ),
            (given(&[], &[(Memory, "-1Gi")]), "MEMORY of limits is -1Gi, less than nothing"),
            (given(&[(Gpu, "0.5")], &[]), "GPU of requests is 0.5, a whole number is needed"),
            (
                given(&[(Gpu, "1")], &[(Gpu, "2")]),
                "GPU request 1 and limit 2 differ; for this resource they must be equal",
            ),
            (given(&[(Cpu, "2")], &[(Cpu, "1500m")]), "CPU request 2 is greater than its limit 1500m"),
            (given(&[(Cpu, "1"), (Cpu, "2")], &[]), "requests hold CPU more than once"),
            (given(&[(Unknown, "1")], &[]), "requests hold an unknown resource (number 0)"),
        ];
        for (answer, expected) in cases {
            assert_eq!(answer, Err(expected.to_owned()));
        }
    }
}
