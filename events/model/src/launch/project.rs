//! What a project says of what is launched in it.

use crate::registry::RegistryEvent;
use crate::resources::Quota;
use bytes::Bytes;
use prost::{DecodeError, Message as _};
use skein_idl::flyteidl::admin::{self, matching_attributes::Target};
use std::collections::BTreeMap;

/// A project, as a fold of its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    is_archived: bool,
    /// What was set, by domain, workflow (both may be empty) and kind.
    attributes: BTreeMap<(String, String, i32), Bytes>,
}

impl Project {
    /// Takes what happened next.
    pub fn apply(&mut self, event: &RegistryEvent) {
        match event {
            RegistryEvent::ProjectPut { archived, .. } => self.is_archived = *archived,
            RegistryEvent::AttributePut { domain, workflow, resource, value } => {
                let key = (domain.clone(), workflow.clone(), *resource);
                match value {
                    Some(value) => drop(self.attributes.insert(key, value.clone())),
                    None => drop(self.attributes.remove(&key)),
                }
            }
            RegistryEvent::Registered { .. }
            | RegistryEvent::Activated { .. }
            | RegistryEvent::Deactivated { .. }
            | RegistryEvent::NameUpdated { .. }
            | RegistryEvent::SecretPut { .. }
            | RegistryEvent::SecretDeleted { .. }
            | RegistryEvent::SecretKeysUsed { .. } => {}
        }
    }

    /// Says whether it takes no new work.
    pub const fn is_archived(&self) -> bool {
        self.is_archived
    }

    /// Answers what holds for the resources of tasks in `domain`, run by `workflow` if that has a name.
    ///
    /// # Errors
    /// When what is stored is no attribute.
    pub fn quota(&self, domain: &str, workflow: &str) -> Result<Quota, DecodeError> {
        let resource = admin::MatchableResource::TaskResource as i32;
        let said = scopes(domain, workflow).filter_map(|(domain, workflow)| {
            self.attributes.get(&(domain.to_owned(), workflow.to_owned(), resource)).cloned()
        });
        quota(said)
    }
}

/// Lists where something is said of a workflow in a domain, the farthest from it first: (domain, workflow), empty for all.
pub fn scopes<'a>(domain: &'a str, workflow: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let nearest = (!workflow.is_empty()).then_some((domain, workflow));
    [("", ""), (domain, "")].into_iter().chain(nearest)
}

/// Answers what is said of resources in all, of encoded `MatchingAttributes` in the order of [`scopes`]: of each amount what is
/// said nearest to the task.
///
/// # Errors
/// When one of them is none.
pub fn quota(said: impl IntoIterator<Item = Bytes>) -> Result<Quota, DecodeError> {
    let mut quota = Quota::default();
    for value in said {
        let attributes = admin::MatchingAttributes::decode(value)?;
        if let Some(Target::TaskResourceAttributes(attributes)) = attributes.target {
            // What was set before amounts were checked, and is none, counts as not set.
            quota = quota.overlaid(&Quota::read(&attributes).unwrap_or_default());
        }
    }
    Ok(quota)
}
