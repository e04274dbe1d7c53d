//! Names of things. A name that came from outside is checked once, here, and trusted afterwards.

use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::core;
use std::fmt;
use std::sync::Arc;

/// The longest name accepted anywhere, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest name of an execution, in characters: it becomes a Kubernetes label.
pub const EXECUTION_NAME_CHARS_MAX: usize = 63;

/// A name that was refused: which field, what it held, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("missing {field}")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// Longer than the limit.
    #[error("{field} has {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The longest accepted, in bytes.
        limit: usize,
    },
    /// Holds a character that would be dangerous in a path, a subject or a log line.
    #[error("{field} {value:?} holds {character:?}; use letters, digits, dots, dashes and underscores")]
    Character {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The first character that is refused.
        character: char,
    },
    /// A name that means a folder.
    #[error("{field} {value:?} names a folder, not a thing")]
    Dots {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// An execution's name that is not one.
    #[error("invalid name format: {value}, does not match regex '^[a-z][a-z\\-0-9]*$'")]
    ExecutionName {
        /// The value, in lower case as it was checked.
        value: String,
    },
    /// An execution's name that is too long.
    #[error("size of name exceeded length {EXECUTION_NAME_CHARS_MAX} : {value}")]
    ExecutionNameTooLong {
        /// The value.
        value: String,
    },
}

/// Checks a name that is to become part of keys, paths and subjects.
///
/// # Errors
/// Whatever is wrong with it, naming `field`.
pub fn check_name(field: &'static str, value: &str) -> Result<(), IdError> {
    if value.is_empty() {
        return Err(IdError::Missing { field });
    }
    if value.len() > NAME_BYTES_MAX {
        return Err(IdError::TooLong { field, bytes: value.len(), limit: NAME_BYTES_MAX });
    }
    if let Some(character) = value.chars().find(|c| c.is_control() || matches!(c, '/' | '\\')) {
        return Err(IdError::Character { field, value: value.to_owned(), character });
    }
    if value == "." || value == ".." {
        return Err(IdError::Dots { field, value: value.to_owned() });
    }
    Ok(())
}

/// What kind of definition an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntityKind {
    /// A task.
    Task,
    /// A workflow.
    Workflow,
    /// A launch plan.
    LaunchPlan,
}

impl EntityKind {
    /// Answers the number in `flyteidl.core.ResourceType`.
    pub const fn as_proto(self) -> core::ResourceType {
        match self {
            Self::Task => core::ResourceType::Task,
            Self::Workflow => core::ResourceType::Workflow,
            Self::LaunchPlan => core::ResourceType::LaunchPlan,
        }
    }

    /// Answers the word used in keys: `task`, `workflow`, `launch_plan`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Workflow => "workflow",
            Self::LaunchPlan => "launch_plan",
        }
    }
}

/// A definition: immutable, one for each version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityId {
    /// Task, workflow or launch plan.
    pub kind: EntityKind,
    /// The project.
    pub project: String,
    /// The domain: development, staging or production.
    pub domain: String,
    /// The name; unique for its kind in project and domain.
    pub name: String,
    /// The version.
    pub version: String,
}

impl EntityId {
    /// Takes an id from a request, where it must be of `kind` (an unset kind counts as that).
    ///
    /// # Errors
    /// The first part that is missing or refused.
    pub fn parse(kind: EntityKind, id: &core::Identifier) -> Result<Self, IdError> {
        check_name("project", &id.project)?;
        check_name("domain", &id.domain)?;
        check_name("name", &id.name)?;
        check_name("version", &id.version)?;
        Ok(Self {
            kind,
            project: id.project.clone(),
            domain: id.domain.clone(),
            name: id.name.clone(),
            version: id.version.clone(),
        })
    }

    /// Answers the id in its protobuf form.
    pub fn to_proto(&self) -> core::Identifier {
        core::Identifier {
            resource_type: self.kind.as_proto().into(),
            project: self.project.clone(),
            domain: self.domain.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            ..Default::default()
        }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, project, domain, name, version } = self;
        write!(f, "{}:{project}:{domain}:{name}:{version}", kind.word())
    }
}

/// One run of a launch plan or task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExecutionId {
    /// The project.
    pub project: String,
    /// The domain.
    pub domain: String,
    /// The name; unique in project and domain for ever.
    pub name: String,
}

impl ExecutionId {
    /// Draws a number for a try of a node: the same each time it is asked for, and like chance from one try to another.
    pub fn draw(&self, node: &NodeId, attempt: Attempt) -> u64 {
        let Self { project, domain, name } = self;
        xxhash_rust::xxh3::xxh3_64(format!("{project}/{domain}/{name}/{node}/{attempt}").as_bytes())
    }

    /// Answers the execution that a node of this one launches: the same each time it is asked for (contract 5.2).
    pub fn child(&self, node: &NodeId) -> Self {
        let Self { project, domain, name } = self;
        let hash = xxhash_rust::xxh3::xxh3_128(format!("{project}/{domain}/{name}/{node}").as_bytes());
        // 19 hexadecimal digits are 76 bits: no two of a thousand million children share them.
        let name = format!("f{:019x}", hash >> 52);
        Self { project: project.clone(), domain: domain.clone(), name }
    }

    /// Checks the three parts.
    ///
    /// # Errors
    /// The first part that is missing or refused.
    pub fn parse(project: &str, domain: &str, name: &str) -> Result<Self, IdError> {
        check_name("project", project)?;
        check_name("domain", domain)?;
        check_name("name", name)?;
        Ok(Self { project: project.to_owned(), domain: domain.to_owned(), name: name.to_owned() })
    }

    /// Checks the name of a new execution: as [`ExecutionId::parse`], and fit for a Kubernetes label.
    ///
    /// # Errors
    /// The first part that is missing or refused.
    pub fn parse_new(project: &str, domain: &str, name: &str) -> Result<Self, IdError> {
        let lower = name.to_lowercase();
        if name.chars().count() > EXECUTION_NAME_CHARS_MAX {
            return Err(IdError::ExecutionNameTooLong { value: name.chars().take(256).collect() });
        }
        let mut chars = lower.chars();
        let starts_well = chars.next().is_some_and(|c| c.is_ascii_lowercase());
        if !starts_well || !chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            return Err(IdError::ExecutionName { value: lower });
        }
        Self::parse(project, domain, name)
    }

    /// Answers the id in its protobuf form.
    pub fn to_proto(&self) -> core::WorkflowExecutionIdentifier {
        core::WorkflowExecutionIdentifier {
            project: self.project.clone(),
            domain: self.domain.clone(),
            name: self.name.clone(),
            ..Default::default()
        }
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.project, self.domain, self.name)
    }
}

/// A node of an execution, unique in it: `n0`, or `n1-0-n0` inside another node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The node that hands out the execution's inputs.
    pub const START: &'static str = "start-node";
    /// The node that takes the execution's outputs.
    pub const END: &'static str = "end-node";

    /// Makes an id of text that the compiler has already accepted.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// Answers the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a try, from 0; fences results: an answer of an older number changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// Answers the number of the next try.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a record came from: a hash of the command, or of the request for a first record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CauseId(pub u64);

/// A pool: the workers of one environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolId(pub String);

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused_by_field() {
        assert_eq!(check_name("project", ""), Err(IdError::Missing { field: "project" }));
        assert!(matches!(check_name("name", "a/b"), Err(IdError::Character { character: '/', .. })));
        assert!(matches!(check_name("name", "a\0b"), Err(IdError::Character { character: '\0', .. })));
        assert!(matches!(check_name("name", ".."), Err(IdError::Dots { .. })));
        let long = "x".repeat(10_240);
        assert_eq!(
            check_name("name", &long),
            Err(IdError::TooLong { field: "name", bytes: 10_240, limit: 255 })
        );
    }

    #[test]
    fn an_execution_name_is_compared_in_lower_case_and_fits_a_label() {
        assert!(ExecutionId::parse_new("p", "d", "abc-1").is_ok());
        assert!(matches!(ExecutionId::parse_new("p", "d", "X_Bad"), Err(IdError::ExecutionName { .. })));
        assert!(matches!(ExecutionId::parse_new("p", "d", "1abc"), Err(IdError::ExecutionName { .. })));
        let long = "a".repeat(64);
        assert!(matches!(ExecutionId::parse_new("p", "d", &long), Err(IdError::ExecutionNameTooLong { .. })));
    }
}
