//! The journals of the log: what each is of, and how they are called.

use crate::cache::{CacheKey, Dataset};
use crate::ids::{EntityId, EntityKind, ExecutionId};
use crate::secret::SecretId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A family of journals that is followed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Category {
    /// Definitions and projects: [`crate::RegistryEvent`].
    Registry,
    /// Executions: [`crate::Event`].
    Execution,
    /// What cached tasks produced: [`crate::CatalogEvent`].
    Catalog,
    /// Who is told of the end of an execution: [`crate::NotificationEvent`].
    Notification,
    /// The ticks of schedules: [`crate::ScheduleEvent`].
    Schedule,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 5] =
        [Self::Registry, Self::Execution, Self::Catalog, Self::Notification, Self::Schedule];

    /// Answers the word used in keys and subjects.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Execution => "execution",
            Self::Catalog => "catalog",
            Self::Notification => "notification",
            Self::Schedule => "schedule",
        }
    }
}

/// The ordered records of one thing: an execution, or one version of one definition.
///
/// A journal for each definition (rather than one for all) lets the log itself decide who was first: whoever
/// appends after version 0 owns the name, however many gateways race.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JournalId {
    category: Category,
    key: Arc<str>,
}

impl JournalId {
    /// The journal of an execution.
    pub fn execution(id: &ExecutionId) -> Self {
        Self { category: Category::Execution, key: id.to_string().into() }
    }

    /// The journal of those who are told when an execution ends.
    pub fn notices(id: &ExecutionId) -> Self {
        Self { category: Category::Notification, key: id.to_string().into() }
    }

    /// The journal of one version of a definition.
    pub fn entity(id: &EntityId) -> Self {
        let EntityId { kind, project, domain, name, version } = id;
        Self {
            category: Category::Registry,
            key: format!("{}/{project}/{domain}/{name}/{version}", kind.word()).into(),
        }
    }

    /// The journal of what all versions of a name share: which is active, its description.
    pub fn entity_name(kind: EntityKind, project: &str, domain: &str, name: &str) -> Self {
        Self {
            category: Category::Registry,
            key: format!("{}/{project}/{domain}/{name}", kind.word()).into(),
        }
    }

    /// One of the journals of the ticks of a launch plan, whichever of its versions is active: they follow one another, see
    /// [`crate::schedule::SEGMENT_TICKS_MAX`].
    pub fn ticks(project: &str, domain: &str, launch_plan: &str, segment: u32) -> Self {
        Self {
            category: Category::Schedule,
            key: format!("{project}/{domain}/{launch_plan}/{segment}").into(),
        }
    }

    /// Answers the project, domain and name of a launch plan of which this is the journal that all its versions share.
    pub fn as_launch_plan_name(&self) -> Option<(&str, &str, &str)> {
        if self.category != Category::Registry {
            return None;
        }
        let mut parts = self.key.split('/');
        if parts.next()? != EntityKind::LaunchPlan.word() {
            return None;
        }
        let name = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(name)
    }

    /// The journal of a project.
    pub fn project(project: &str) -> Self {
        Self { category: Category::Registry, key: format!("project/{project}").into() }
    }

    /// The journal of what is kept in a dataset.
    pub fn dataset(dataset: &Dataset) -> Self {
        let Dataset { project, domain, task, version, interface } = dataset;
        // A version may hold anything, so its hash stands here.
        let version = xxhash_rust::xxh3::xxh3_128(version.as_bytes());
        let key = format!("{project}/{domain}/{task}/{version:032x}-{interface:032x}");
        Self { category: Category::Catalog, key: key.into() }
    }

    /// The journal of who computes what a key of a dataset stands for.
    pub fn reservation(dataset: &Dataset, key: CacheKey) -> Self {
        let of = Self::dataset(dataset);
        Self { category: Category::Catalog, key: format!("{}/{key}", of.key).into() }
    }

    /// Says whether this is the journal of a dataset.
    pub fn is_dataset(&self) -> bool {
        self.category == Category::Catalog && self.key.split('/').count() == 4
    }

    /// The journal of a secret. Each scope begins with a word of its own, so that no two have one journal.
    pub fn secret(id: &SecretId) -> Self {
        let SecretId { project, domain, name } = id;
        let key = match (project.as_str(), domain.as_str()) {
            ("", "") => format!("secret/organization/{name}"),
            ("", domain) => format!("secret/domain/{domain}/{name}"),
            (project, domain) => format!("secret/project/{project}/{domain}/{name}"),
        };
        Self { category: Category::Registry, key: key.into() }
    }

    /// The journal of the keys that secrets are encrypted by.
    pub fn secret_keys() -> Self {
        Self { category: Category::Registry, key: "secret-keys".into() }
    }

    /// Takes a journal from its stored parts.
    pub fn from_parts(category: Category, key: &str) -> Self {
        Self { category, key: key.into() }
    }

    /// Answers the family it belongs to.
    pub const fn category(&self) -> Category {
        self.category
    }

    /// Answers its name inside the category, parts separated by `/`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Answers the execution whose journal this is; none for other categories.
    pub fn as_execution(&self) -> Option<ExecutionId> {
        (self.category == Category::Execution).then(|| self.execution_of_key())?
    }

    /// Answers the execution of whose end this journal has who is told; none for other categories.
    pub fn as_notices(&self) -> Option<ExecutionId> {
        (self.category == Category::Notification).then(|| self.execution_of_key())?
    }

    fn execution_of_key(&self) -> Option<ExecutionId> {
        let mut parts = self.key.splitn(3, '/');
        Some(ExecutionId {
            project: parts.next()?.to_owned(),
            domain: parts.next()?.to_owned(),
            name: parts.next()?.to_owned(),
        })
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.category.word(), self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_found_again_from_the_name_of_its_journal() {
        let id = ExecutionId::parse("flytesnacks", "development", "abc").expect("a good id");
        assert_eq!(JournalId::execution(&id).as_execution(), Some(id.clone()));
        assert_eq!(JournalId::notices(&id).as_notices(), Some(id.clone()));
        assert_eq!(JournalId::notices(&id).as_execution(), None);
    }
}
