//! What has happened to definitions and projects.

use crate::data::DataRef;
use crate::ids::EntityId;
use crate::secret::{Sealed, SecretId, SecretKind};
use crate::time::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One change of the registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RegistryEvent {
    /// A version of a definition came to be; always the only record of its journal.
    Registered {
        /// Its id.
        id: EntityId,
        /// xxh3-128 of the compiled form, by which a second registration is told apart from a changed one.
        digest: u128,
        /// The encoded closure (`TaskClosure`, `CompiledWorkflowClosure`, or `LaunchPlan`) that a Get answers, but for
        /// its times.
        closure: DataRef,
        /// The type of a task; empty for others.
        task_type: String,
        /// The first sentence of its documentation.
        short_description: String,
        /// The rest of it: an encoded `DescriptionEntity` without its id. None when there is no more, and in journals that
        /// are older than this field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        docs: Option<DataRef>,
    },
    /// A version of a launch plan became the active one of its name; the one before it no longer is.
    Activated {
        /// The version.
        version: String,
        /// Who asked.
        principal: String,
    },
    /// A version of a launch plan is no longer active.
    Deactivated {
        /// The version.
        version: String,
        /// Who asked.
        principal: String,
    },
    /// What all versions of a name share was changed.
    NameUpdated {
        /// Its description.
        description: String,
        /// Whether it is hidden from lists.
        archived: bool,
        /// Who asked.
        principal: String,
    },
    /// A project came to be, or was changed.
    ProjectPut {
        /// Its id.
        project: String,
        /// The name people read.
        name: String,
        /// What it is for.
        description: String,
        /// Whether it is hidden and closed for new work.
        archived: bool,
        /// Labels of every execution in it.
        labels: BTreeMap<String, String>,
    },
    /// A matchable attribute was set, or removed (no value).
    AttributePut {
        /// The domain.
        domain: String,
        /// The workflow's name; empty for the whole project and domain.
        workflow: String,
        /// Its kind, a number of `flyteidl.admin.MatchableResource`.
        resource: i32,
        /// The encoded `MatchingAttributes`.
        value: Option<Bytes>,
    },
    /// A secret came to be, got another value, or was encrypted anew.
    SecretPut {
        /// Its id.
        id: SecretId,
        /// What it is for.
        kind: SecretKind,
        /// When it came to be.
        created: Timestamp,
        /// Its value, encrypted.
        sealed: Sealed,
        /// Who asked.
        principal: String,
    },
    /// A secret was removed; another one of its name may come to be.
    SecretDeleted {
        /// Its id.
        id: SecretId,
        /// Who asked.
        principal: String,
    },
    /// The keys by which the secrets are encrypted that there are: a server without one of them does not start.
    SecretKeysUsed {
        /// Their names, see [`Sealed::key`]; the first encrypts what comes.
        keys: Vec<String>,
    },
}
