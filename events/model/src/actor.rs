//! Actor environments: warm processes that several tasks share, as `union.ActorEnvironment` declares them in the `custom` of
//! the templates of its tasks (contract 4.4).
//!
//! Who shares is said by name and version of the environment and by the project and domain of the execution, so that all
//! executions there share, and nobody else does.

use crate::ids::{ExecutionId, check_name};
use crate::task_settings::{Given, Right, SettingError, Whole, text};
use prost_types::value::Kind;
use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::core::{TaskTemplate, task_template};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The types of the tasks that run in actor environments.
pub const TASK_TYPES: [&str; 2] = ["actor", "fast-task"];
/// How long an idle process is kept of an environment that does not say, in seconds.
pub const TTL_SECONDS_DEFAULT: u32 = 90;

/// How long a process is kept that runs nothing, in seconds.
pub const TTL_SECONDS: Whole = Whole::new("ttl_seconds", 30, 900);
/// How many workers there are at most.
pub const REPLICA_COUNT: Whole = Whole::new("replica_count", 1, 10_000);
/// How many workers there are at least; read, and refused where it contradicts the most.
pub const MIN_REPLICA_COUNT: Whole = Whole::new("min_replica_count", 0, 10_000);
/// How many tasks one worker runs at once.
pub const PARALLELISM: Whole = Whole::new("parallelism", 1, 1_000);
/// How many tasks wait at one worker beside those that it runs.
pub const BACKLOG_LENGTH: Whole = Whole::new("backlog_length", 0, 1_000_000);

const NAME: &str = "name";
const VERSION: &str = "version";
const SPEC: &str = "spec";
const CONTAINER_IMAGE: &str = "container_image";
/// The most characters of a name or version.
const NAME_CHARS_MAX: usize = 253;

/// An environment as a task declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorEnvironment {
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// The image of its processes.
    pub image: Arc<str>,
    /// How many workers there are at most, at least 1.
    pub replicas: u32,
    /// How many tasks each of them runs at once, at least 1.
    pub parallelism: u32,
    /// How many tasks may wait at each of them.
    pub backlog: u32,
    /// How long a process is kept that runs nothing, from 30 to 900 seconds.
    pub ttl_seconds: u32,
}

/// A declaration that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActorError {
    /// Something has to be an object.
    #[error("{field} has to be an object, as union.ActorEnvironment writes it, but it is {found}")]
    NoObject {
        /// What.
        field: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A name is missing.
    #[error("custom.{field} is missing; it has to be the {field} of the actor environment")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// One of the fields of the environment is wrong.
    #[error("custom.{0}")]
    Field(SettingError),
    /// One of the fields of its `spec` is wrong.
    #[error("custom.spec.{0}")]
    OfSpec(SettingError),
    /// The least is more than the most.
    #[error("custom.spec.min_replica_count is {min}, which is more than replica_count, {most}")]
    Crossed {
        /// The least.
        min: u32,
        /// The most.
        most: u32,
    },
}

impl ActorEnvironment {
    /// Reads the environment that a task runs in; none when it is no task of one.
    ///
    /// # Errors
    /// [`ActorError`], which names the field, what it is, and what would be right.
    pub fn of(template: &TaskTemplate) -> Result<Option<Self>, ActorError> {
        if !TASK_TYPES.contains(&template.r#type.as_str()) {
            return Ok(None);
        }
        let custom = template.custom.as_ref().map(|custom| given(&custom.fields)).unwrap_or_default();
        let (called, version) = (name(&custom, NAME)?, name(&custom, VERSION)?);
        let spec = match template.custom.as_ref().and_then(|custom| custom.fields.get(SPEC)) {
            None => BTreeMap::new(),
            Some(value) => match &value.kind {
                Some(Kind::StructValue(spec)) => given(&spec.fields),
                Some(Kind::NullValue(_)) | None => BTreeMap::new(),
                Some(_) => {
                    let found = Given::from(value).kind();
                    return Err(ActorError::NoObject { field: "custom.spec", found });
                }
            },
        };
        Self::with(called, version, &spec, template).map(Some)
    }

    fn with(
        name: Arc<str>,
        version: Arc<str>,
        spec: &BTreeMap<String, Given>,
        template: &TaskTemplate,
    ) -> Result<Self, ActorError> {
        let count = |field: Whole| field.count(spec).map_err(ActorError::OfSpec);
        let (most, min) = (count(REPLICA_COUNT)?, count(MIN_REPLICA_COUNT)?);
        if let (Some(min), Some(most)) = (min, most)
            && min > most
        {
            return Err(ActorError::Crossed { min, most });
        }
        let image = text(spec, CONTAINER_IMAGE, Right::Image, |_| true).map_err(ActorError::OfSpec)?;
        let of_container = match &template.target {
            Some(task_template::Target::Container(container)) => container.image.as_str(),
            _ => "",
        };
        Ok(Self {
            name,
            version,
            // The container's counts: what `with_overrides` and the mapping of images go by.
            image: if of_container.is_empty() { image.unwrap_or_default() } else { of_container }.into(),
            replicas: most.or(min).unwrap_or(1).max(1),
            parallelism: count(PARALLELISM)?.unwrap_or(1),
            backlog: count(BACKLOG_LENGTH)?.unwrap_or(0),
            ttl_seconds: count(TTL_SECONDS)?.unwrap_or(TTL_SECONDS_DEFAULT),
        })
    }

    /// Answers what work of it says in an execution.
    pub fn within(&self, execution: &ExecutionId) -> Actor {
        let ExecutionId { project, domain, .. } = execution;
        Actor {
            environment: format!("{project}/{domain}/{}/{}", self.name, self.version),
            image: self.image.to_string(),
            slots: self.slots(),
            backlog: self.replicas.saturating_mul(self.backlog),
            ttl: Duration::from_secs(self.ttl_seconds.into()),
        }
    }

    /// Answers how many of its tasks run at once at most.
    pub const fn slots(&self) -> u32 {
        self.replicas.saturating_mul(self.parallelism)
    }
}

impl fmt::Display for ActorEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, replicas, parallelism, .. } = self;
        let replica = if *replicas == 1 { "replica" } else { "replicas" };
        write!(f, "{name} ({version}), which has {replicas} {replica} for {parallelism} each")
    }
}

/// What a worker is told of the environment that work runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Its identity: `project/domain/name/version`, with the execution's project and domain.
    pub environment: String,
    /// The image that its tasks name.
    pub image: String,
    /// How many of its tasks run at once at most, at least 1.
    pub slots: u32,
    /// How many more may wait at workers.
    #[serde(default, skip_serializing_if = "is_none")]
    pub backlog: u32,
    /// How long a process of it is kept that runs nothing.
    pub ttl: Duration,
}

impl Actor {
    /// Answers what workers of it call their queue: its identity with underscores for slashes, which names have none of.
    pub fn queue(&self) -> String {
        self.environment.replace('/', "_")
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

fn given(fields: &BTreeMap<String, prost_types::Value>) -> BTreeMap<String, Given> {
    fields.iter().map(|(name, value)| (name.clone(), Given::from(value))).collect()
}

fn name(custom: &BTreeMap<String, Given>, field: &'static str) -> Result<Arc<str>, ActorError> {
    let is_good = |name: &str| check_name(field, name).is_ok() && name.chars().count() <= NAME_CHARS_MAX;
    match custom.get(field) {
        None | Some(Given::Nothing) => Err(ActorError::Missing { field }),
        Some(Given::Text(name)) if name.is_empty() => Err(ActorError::Missing { field }),
        Some(_) => {
            let name = text(custom, field, Right::Name, is_good).map_err(ActorError::Field)?;
            name.map(Arc::from).ok_or(ActorError::Missing { field })
        }
    }
}
