//! Reads amounts from what a task and a node say.

use super::{Amounts, Bound, List, Quota, Resource, ResourceError, SharedMemory, TaskResources};
use crate::accelerators::{self, Accelerator, Gpu, Part};
use crate::quantity::Quantity;
use skein_idl::flyteidl::admin::{TaskResourceAttributes, TaskResourceSpec};
use skein_idl::flyteidl::core::gpu_accelerator::PartitionSizeValue;
use skein_idl::flyteidl::core::resources::{ResourceEntry, ResourceName};
use skein_idl::flyteidl::core::{
    self, ExtendedResources, Resources, TaskNodeOverrides, TaskTemplate, task_template,
};

/// The most characters of a value from outside that a message shows.
const SHOWN_CHARS_MAX: usize = 64;
/// Where the volume in memory is when nobody says.
const SHARED_MEMORY_PATH: &str = "/dev/shm";

/// Answers the least and the most that may be asked for. No machine has more, and nothing runs with less: what is outside was
/// meant otherwise.
const fn bounds(resource: Resource) -> (u64, u64) {
    match resource {
        Resource::Cpu => (1, 100_000 * 1_000),
        Resource::Memory => (4_096, 1 << 50),
        Resource::Storage => (4_096, 1 << 60),
        Resource::Gpu => (1, 10_000),
    }
}

pub(super) fn task(
    template: &TaskTemplate,
    overrides: Option<&TaskNodeOverrides>,
    there: Option<&[Gpu]>,
) -> Result<TaskResources, ResourceError> {
    let own = match &template.target {
        Some(task_template::Target::Container(container)) => container.resources.as_ref(),
        Some(task_template::Target::K8sPod(_) | task_template::Target::Sql(_)) | None => None,
    };
    let (own, over) = (lists(own)?, lists(overrides.and_then(|node| node.resources.as_ref()))?);
    let (requests, limits) = merged(own, over);
    let extended =
        [overrides.and_then(|node| node.extended_resources.as_ref()), template.extended_resources.as_ref()];
    let first = |of: fn(&ExtendedResources) -> bool| extended.into_iter().flatten().find(|all| of(all));
    let accelerator = first(|all| all.gpu_accelerator.is_some()).and_then(|all| all.gpu_accelerator.as_ref());
    let shared = first(|all| all.shared_memory.is_some()).and_then(|all| all.shared_memory.as_ref());
    Ok(TaskResources {
        requests,
        limits,
        accelerator: accelerator.map(|asked| accelerator_of(asked, there)).transpose()?,
        shared_memory: shared.map(shared_memory).transpose()?,
    })
}

/// Answers what holds for a task that a node says something else of. Where the node says one of the two, the other gives way.
fn merged(own: (Amounts, Amounts), over: (Amounts, Amounts)) -> (Amounts, Amounts) {
    let (mut requests, mut limits) = (own.0.overlaid(&over.0), own.1.overlaid(&over.1));
    for resource in Resource::ALL {
        let (Some(request), Some(limit)) = (requests.get(resource), limits.get(resource)) else { continue };
        let is_one_number = resource == Resource::Gpu;
        if over.1.get(resource).is_none() && request > limit {
            limits.set(resource, Some(request));
        } else if over.0.get(resource).is_none() && (request > limit || is_one_number) {
            requests.set(resource, Some(limit));
        }
    }
    (requests, limits)
}

fn accelerator_of(asked: &core::GpuAccelerator, there: Option<&[Gpu]>) -> Result<Accelerator, ResourceError> {
    let part = match &asked.partition_size_value {
        None | Some(PartitionSizeValue::Unpartitioned(false)) => Part::Any,
        Some(PartitionSizeValue::Unpartitioned(true)) => Part::Whole,
        Some(PartitionSizeValue::PartitionSize(part)) => Part::Of(part.clone()),
    };
    match there {
        Some(there) => Ok(Accelerator::read(&asked.device, part, there)?),
        None => Ok(Accelerator { device: accelerators::declared(&asked.device), part }),
    }
}

fn shared_memory(asked: &core::SharedMemory) -> Result<SharedMemory, ResourceError> {
    let path = if asked.mount_path.is_empty() { SHARED_MEMORY_PATH } else { &asked.mount_path };
    if !path.starts_with('/') {
        return Err(ResourceError::MountPath { path: shown(path) });
    }
    let bytes = match asked.size_limit.as_str() {
        "" => None,
        text => {
            let amount = text.parse::<Quantity>().ok().filter(|amount| !amount.is_zero());
            let bytes = amount.and_then(Quantity::units);
            Some(bytes.ok_or_else(|| ResourceError::SharedMemory { text: shown(text) })?)
        }
    };
    Ok(SharedMemory { path: path.to_owned(), bytes })
}

/// Answers requests and limits of a task, or of a node.
fn lists(resources: Option<&Resources>) -> Result<(Amounts, Amounts), ResourceError> {
    let Some(Resources { requests, limits }) = resources else { return Ok(Default::default()) };
    let (requests, limits) = (entries(List::Requests, requests)?, entries(List::Limits, limits)?);
    crossed(&requests, &limits)?;
    if let (Some(request), None) = (requests.gpus, limits.gpus) {
        return Err(ResourceError::GpuWithoutLimit { request });
    }
    Ok((requests, limits))
}

fn crossed(requests: &Amounts, limits: &Amounts) -> Result<(), ResourceError> {
    for resource in Resource::ALL {
        let (Some(request), Some(limit)) = (requests.get(resource), limits.get(resource)) else { continue };
        if resource == Resource::Gpu && request != limit {
            return Err(ResourceError::GpusDiffer { request, limit });
        }
        if request > limit {
            let (request, limit) = (resource.shown(request), resource.shown(limit));
            return Err(ResourceError::RequestOverLimit { resource, request, limit });
        }
    }
    Ok(())
}

fn entries(list: List, given: &[ResourceEntry]) -> Result<Amounts, ResourceError> {
    let mut read = Amounts::default();
    let mut seen = Vec::new();
    for entry in given {
        let unknown = || ResourceError::Unknown { list, number: entry.name };
        let name = ResourceName::try_from(entry.name).map_err(|_| unknown())?;
        let resource = match name {
            ResourceName::Unknown => return Err(unknown()),
            ResourceName::Cpu => Resource::Cpu,
            ResourceName::Gpu => Resource::Gpu,
            ResourceName::Memory => Resource::Memory,
            // The first is the old name of the second.
            ResourceName::Storage | ResourceName::EphemeralStorage => Resource::Storage,
        };
        if seen.contains(&name) {
            return Err(ResourceError::Twice { list, resource });
        }
        seen.push(name);
        let amount = amount(list, resource, &entry.value)?;
        read.set(resource, amount.or(read.get(resource)));
    }
    Ok(read)
}

/// Reads one amount; none when it is 0, which asks for nothing.
fn amount(list: List, resource: Resource, text: &str) -> Result<Option<u64>, ResourceError> {
    let told = || shown(text);
    let quantity: Quantity =
        text.parse().map_err(|source| ResourceError::Malformed { list, resource, text: told(), source })?;
    if quantity.is_negative() {
        return Err(ResourceError::Negative { list, resource, text: told() });
    }
    if resource == Resource::Gpu && !quantity.is_whole() {
        return Err(ResourceError::NotWhole { list, text: told() });
    }
    if quantity.is_zero() {
        // In a project's defaults it says that there are none.
        return match resource {
            Resource::Gpu if list != List::Defaults => Err(ResourceError::NoGpu { list, text: told() }),
            _ => Ok(None),
        };
    }
    let amount = if resource == Resource::Cpu { quantity.millis() } else { quantity.units() };
    let (least, most) = bounds(resource);
    let outside = |bounds| ResourceError::OutOfBounds { list, resource, text: told(), bounds };
    let is_less = resource == Resource::Cpu && quantity < Quantity::of_millis(least);
    match amount {
        Some(amount) if amount < least || is_less => Err(outside(Bound::Least(least))),
        Some(amount) if amount <= most => Ok(Some(amount)),
        Some(_) | None => Err(outside(Bound::Most(most))),
    }
}

pub(super) fn quota(attributes: &TaskResourceAttributes) -> Result<Quota, ResourceError> {
    let defaults = spec(List::Defaults, attributes.defaults.as_ref())?;
    let limits = spec(List::Limits, attributes.limits.as_ref())?;
    for resource in Resource::ALL {
        if let (Some(default), Some(most)) = (defaults.get(resource), limits.get(resource))
            && default > most
        {
            return Err(ResourceError::DefaultOverLimit { resource, default, most });
        }
    }
    Ok(Quota { defaults, limits })
}

fn spec(list: List, spec: Option<&TaskResourceSpec>) -> Result<Amounts, ResourceError> {
    let mut read = Amounts::default();
    let Some(TaskResourceSpec { cpu, gpu, memory, storage, ephemeral_storage }) = spec else {
        return Ok(read);
    };
    let each = [
        (Resource::Cpu, cpu),
        (Resource::Gpu, gpu),
        (Resource::Memory, memory),
        (Resource::Storage, storage),
        (Resource::Storage, ephemeral_storage),
    ];
    for (resource, text) in each.into_iter().filter(|(_, text)| !text.is_empty()) {
        // No GPU is a limit too.
        let none = (resource == Resource::Gpu && list == List::Limits && text == "0").then_some(0);
        let amount = if none.is_some() { none } else { amount(list, resource, text)? };
        read.set(resource, amount.or(read.get(resource)));
    }
    Ok(read)
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
