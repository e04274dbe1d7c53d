//! What is launched, and the first record that comes of it: the same whoever launches.

use super::asked::{self, Asked, AskedError};
use super::{InputError, merge_inputs, settings};
use crate::data::{BlobRef, DataRef};
use crate::event::{Created, ParentNode};
use crate::ids::{EntityId, ExecutionId, NodeId};
use crate::literals;
use crate::notification::NotificationError;
use crate::paths;
use crate::resources::{Offer, Quota};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use xxhash_rust::xxh3::xxh3_64;

/// How many nodes of an execution may run at once when neither request nor launch plan says: as the original has it.
pub const MAX_PARALLELISM: u32 = 25;

/// What can be launched. A version of a definition never changes, so neither does this.
#[derive(Clone, Debug)]
pub struct Launchable {
    /// What was asked for: a launch plan, or a task.
    pub launched: EntityId,
    /// What runs.
    pub workflow: EntityId,
    /// Its compiled closure.
    pub plan: BlobRef,
    /// What its nodes ask for of a machine.
    pub asked: Vec<Asked>,
    /// What may and must be given.
    pub expected_inputs: core::ParameterMap,
    /// What is given always.
    pub fixed_inputs: core::LiteralMap,
    /// What holds unless the request says otherwise; none for a task.
    pub defaults: Option<admin::LaunchPlanSpec>,
}

/// What the server says of everything that is launched on it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// How many nodes of an execution may run at once when nobody says; 0 is no limit.
    pub max_parallelism: u32,
    /// What the machine has that runs attempts; none when that is not known here.
    pub offer: Option<&'a Offer>,
    /// Where its blob store begins; ends without a slash.
    pub root: &'a str,
    /// Who launches.
    pub principal: &'a str,
}

/// A launch that was refused. The texts are for whoever launches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Inputs that it does not take.
    #[error(transparent)]
    Inputs(#[from] InputError),
    /// Resources that its project does not allow, or the machine does not have.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// Somebody to be told of its end who cannot be told.
    #[error(transparent)]
    Notifications(#[from] NotificationError),
}

/// An execution that is to be: what is to be stored for it, and the rest of its first record.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// All its inputs, and where they go.
    pub inputs: Stored,
    /// What was given of them, and where that goes; none when it is all.
    pub user_inputs: Option<Stored>,
    created: Created,
}

/// An object that is to be. Named by content, so that of two launches for one name neither overwrites what the other refers
/// to.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where it goes.
    pub uri: String,
    /// What it holds.
    pub bytes: Bytes,
}

impl Launchable {
    /// Answers what a registered launch plan launches: `workflow`, whose compiled closure is at `plan` and asks for `asked`.
    pub fn of_launch_plan(
        id: EntityId,
        stored: admin::LaunchPlan,
        workflow: EntityId,
        plan: BlobRef,
        asked: Vec<Asked>,
    ) -> Self {
        let closure = stored.closure.unwrap_or_default();
        let spec = stored.spec.unwrap_or_default();
        Self {
            launched: id,
            workflow,
            plan,
            asked,
            expected_inputs: closure.expected_inputs.unwrap_or_default(),
            fixed_inputs: spec.fixed_inputs.clone().unwrap_or_default(),
            defaults: Some(spec),
        }
    }

    /// Prepares the execution `id` with what is `given`, an encoded `LiteralMap`, and with what `spec` says. `quota` is what
    /// project and domain say of resources.
    ///
    /// # Errors
    /// [`Refusal`]: asking again does not help.
    pub fn prepare(
        &self,
        id: &ExecutionId,
        spec: admin::ExecutionSpec,
        given: Bytes,
        quota: Quota,
        server: &Server<'_>,
    ) -> Result<Prepared, Refusal> {
        let all = merge_inputs(&self.expected_inputs, &self.fixed_inputs, &given)?;
        asked::check(&self.asked, &quota, server.offer)?;
        let spec = settings::normalise(spec, self, server, id);
        let (merged, raw_root) = settings::of(&spec, self, quota)?;
        let data_prefix = paths::data_prefix(server.root, id);
        let raw_prefix = match raw_root {
            Some(root) => {
                let root = root.trim_end_matches('/');
                format!("{root}/{}-{}-{}", id.project, id.domain, id.name)
            }
            None => paths::raw_prefix(server.root, id),
        };
        let stored = |name: &str, bytes: Bytes| Stored {
            uri: format!("{data_prefix}/{name}-{:016x}.pb", xxh3_64(&bytes)),
            bytes,
        };
        let user_inputs = (all != given).then(|| stored("user_inputs", given));
        let inputs = stored("inputs", all);
        let created = Created {
            execution: id.clone(),
            launched: self.launched.clone(),
            workflow: self.workflow.clone(),
            plan: self.plan.clone(),
            inputs: DataRef::empty(),
            user_inputs: DataRef::empty(),
            spec: spec.encode_to_vec().into(),
            settings: merged,
            data_prefix,
            raw_prefix,
            principal: server.principal.to_owned(),
            parent: parent_of(&spec),
        };
        Ok(Prepared { inputs, user_inputs, created })
    }
}

impl Prepared {
    /// Lists the inputs that stand somewhere by themselves, each with its address.
    ///
    /// # Errors
    /// [`InputError`] when they cannot be read.
    pub fn offloaded(&self) -> Result<Vec<(String, String)>, InputError> {
        let mut offloaded = Vec::new();
        for (name, value) in literals::literal_map_entries(&self.inputs.bytes)? {
            if let Some(uri) = literals::stored_at(&value)? {
                offloaded.push((name, uri));
            }
        }
        Ok(offloaded)
    }

    /// Answers the first record's event, once its inputs are stored; `user_inputs` as [`Prepared::user_inputs`].
    pub fn created(self, inputs: DataRef, user_inputs: Option<DataRef>) -> Created {
        Created { user_inputs: user_inputs.unwrap_or_else(|| inputs.clone()), inputs, ..self.created }
    }
}

/// Answers the node that launches, if one does.
fn parent_of(spec: &admin::ExecutionSpec) -> Option<ParentNode> {
    let node = spec.metadata.as_ref()?.parent_node_execution.as_ref()?;
    let of = node.execution_id.as_ref()?;
    let execution = ExecutionId::parse(&of.project, &of.domain, &of.name).ok()?;
    Some(ParentNode { execution, node: NodeId::new(node.node_id.as_str()) })
}

/// What is told of an input that stands at `uri`, where nothing is.
pub fn nothing_there(name: &str, uri: &str) -> String {
    format!(
        "input {name} is offloaded to {uri}, where nothing is: upload the encoded literal before the execution is created"
    )
}
