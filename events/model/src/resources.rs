//! What a task asks for of a machine: cores, memory, storage and accelerators, from the words of its template and of the node
//! that runs it to amounts (contract 2.4, 5.3).
//!
//! ```text
//!  node's override ──► task ──► defaults of project and domain     what is asked for: the first that says it
//!                                 limits of project and domain     the most that it may be
//! ```

mod error;
mod read;

pub use error::{Bound, List, ResourceError};

use crate::accelerators::{Accelerator, Gpu};
use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::admin::TaskResourceAttributes;
use skein_idl::flyteidl::core::{TaskNodeOverrides, TaskTemplate};
use std::fmt;

/// A resource that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Storage that goes with the attempt.
    Storage,
    /// Accelerators.
    Gpu,
}

impl Resource {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Storage, Self::Gpu];

    /// Answers its name, as the SDK has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Memory => "MEMORY",
            Self::Storage => "EPHEMERAL_STORAGE",
            Self::Gpu => "GPU",
        }
    }

    /// Writes an amount as users write it.
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::Cpu if amount.is_multiple_of(1_000) => (amount / 1_000).to_string(),
            Self::Cpu => format!("{amount}m"),
            Self::Gpu => amount.to_string(),
            Self::Memory | Self::Storage => bytes(amount),
        }
    }
}

fn bytes(amount: u64) -> String {
    let units = [("Ti", 1_u64 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    match units.into_iter().find(|(_, unit)| amount >= *unit && amount.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", amount / unit),
        None => amount.to_string(),
    }
}

/// An amount of each resource; what is none is not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Storage in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u64>,
    /// Accelerators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u64>,
}

impl Amounts {
    /// Says whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Answers one of them.
    pub const fn get(&self, resource: Resource) -> Option<u64> {
        match resource {
            Resource::Cpu => self.cpu_millis,
            Resource::Memory => self.memory_bytes,
            Resource::Storage => self.storage_bytes,
            Resource::Gpu => self.gpus,
        }
    }

    fn set(&mut self, resource: Resource, amount: Option<u64>) {
        match resource {
            Resource::Cpu => self.cpu_millis = amount,
            Resource::Memory => self.memory_bytes = amount,
            Resource::Storage => self.storage_bytes = amount,
            Resource::Gpu => self.gpus = amount,
        }
    }

    /// Answers what `over` says, and where it says nothing what these say.
    fn overlaid(&self, over: &Self) -> Self {
        let mut all = *self;
        for resource in Resource::ALL {
            all.set(resource, over.get(resource).or(self.get(resource)));
        }
        all
    }
}

/// What a project and domain say of all tasks that run there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// What a task gets that does not ask.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub defaults: Amounts,
    /// The most that a task may ask for.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub limits: Amounts,
}

impl Quota {
    /// Says whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`ResourceError`] for the first amount that is none, and for a default above its limit.
    pub fn read(attributes: &TaskResourceAttributes) -> Result<Self, ResourceError> {
        read::quota(attributes)
    }

    /// Answers what `over`, which is nearer to the task, says, and where it says nothing what this says.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        Self { defaults: self.defaults.overlaid(&over.defaults), limits: self.limits.overlaid(&over.limits) }
    }
}

/// A volume in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedMemory {
    /// Where it is.
    pub path: String,
    /// How large it is in bytes; none is as large as the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What a task asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResources {
    /// What it needs.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub requests: Amounts,
    /// What it gets at most.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub limits: Amounts,
    /// Of what kind the accelerators are; none is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<Accelerator>,
    /// A volume in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory: Option<SharedMemory>,
}

impl TaskResources {
    /// Says whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads what a task asks for, run by a node with `overrides`. `there` are accelerators that are known beside those that
    /// always are; with none any name is taken, of what was checked before.
    ///
    /// # Errors
    /// [`ResourceError`] for the first thing that is wrong: it names list, resource and value, and says what would be right.
    pub fn of(
        template: &TaskTemplate,
        overrides: Option<&TaskNodeOverrides>,
        there: Option<&[Gpu]>,
    ) -> Result<Self, ResourceError> {
        read::task(template, overrides, there)
    }

    /// Answers what it gets where `quota` holds: a request that is missing is its limit, else the default; a limit that is
    /// missing is the request.
    ///
    /// # Errors
    /// [`ResourceError::OverQuota`] when it asks for more than it may.
    pub fn within(&self, quota: &Quota) -> Result<Self, ResourceError> {
        let mut all = self.clone();
        for resource in Resource::ALL {
            let (request, limit) = (self.requests.get(resource), self.limits.get(resource));
            let most = quota.limits.get(resource);
            for (list, amount) in [(List::Requests, request), (List::Limits, limit)] {
                if let (Some(amount), Some(most)) = (amount, most)
                    && amount > most
                {
                    return Err(ResourceError::OverQuota { list, resource, amount, most });
                }
            }
            let default = quota.defaults.get(resource).filter(|_| resource != Resource::Gpu);
            let default = default.map(|default| most.map_or(default, |most| default.min(most)));
            let request = request.or(limit).or(default);
            all.requests.set(resource, request);
            all.limits.set(resource, limit.or(request));
        }
        Ok(all)
    }

    /// Answers how many accelerators it needs.
    pub fn gpus(&self) -> u32 {
        u32::try_from(self.limits.gpus.or(self.requests.gpus).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// Says whether an accelerator will do for it.
    pub fn takes(&self, gpu: &Gpu) -> bool {
        self.accelerator.as_ref().map_or_else(|| gpu.is_gpu(), |asked| gpu.is(asked))
    }

    /// Says of what kind its accelerators have to be, in words.
    pub fn kind(&self) -> String {
        self.accelerator.as_ref().map_or_else(|| "any kind".to_owned(), Accelerator::to_string)
    }
}

/// What the machine that runs attempts has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Its accelerators; none when they are nobody's to hand out.
    pub gpus: Option<Vec<Gpu>>,
    /// Whether what is asked for is held to, and not only noted.
    pub is_enforced: bool,
}

impl Offer {
    /// Says why no attempt can ever have what it asks for here, and what there is; none when it can.
    pub fn refusal(&self, asked: &TaskResources) -> Option<String> {
        self.lack_of_gpus(asked).or_else(|| self.lack(asked).filter(|_| self.is_enforced))
    }

    /// Says what of cores and memory is asked for beyond what there is; none when nothing is.
    pub fn lack(&self, asked: &TaskResources) -> Option<String> {
        let there = [(Resource::Cpu, self.cpu_millis), (Resource::Memory, self.memory_bytes)];
        let mut lacks = there.into_iter().filter_map(|(resource, there)| {
            let wanted = asked.requests.get(resource).filter(|wanted| *wanted > there)?;
            let (wanted, there) = (resource.shown(wanted), resource.shown(rounded(resource, there)));
            Some(format!("it requests {} {wanted}, and the machine has {there}", resource.name()))
        });
        lacks.next()
    }

    fn lack_of_gpus(&self, asked: &TaskResources) -> Option<String> {
        let (there, wanted) = (self.gpus.as_ref()?, asked.gpus());
        if wanted == 0 {
            return None;
        }
        let fitting = there.iter().filter(|gpu| asked.takes(gpu)).count();
        if usize::try_from(wanted).is_ok_and(|wanted| wanted <= fitting) {
            return None;
        }
        let kind = asked.kind();
        Some(format!("it asks for {wanted} GPU of {kind}, and the machine has {}", Counted(there)))
    }
}

/// A machine's memory is never a round number; what is told is as exact as it is useful.
const fn rounded(resource: Resource, amount: u64) -> u64 {
    match resource {
        Resource::Memory if amount > 1 << 20 => amount & !((1 << 20) - 1),
        Resource::Cpu | Resource::Memory | Resource::Storage | Resource::Gpu => amount,
    }
}

/// Accelerators, told as how many there are of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a>(
    /// The accelerators.
    pub &'a [Gpu],
);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = std::collections::BTreeMap::<&Gpu, usize>::new();
        for gpu in self.0 {
            *kinds.entry(gpu).or_default() += 1;
        }
        if kinds.is_empty() {
            return f.write_str("no GPU");
        }
        let each: Vec<String> = kinds.iter().map(|(gpu, count)| format!("{count} × {gpu}")).collect();
        f.write_str(&each.join(", "))
    }
}
