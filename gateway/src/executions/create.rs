//! Creates executions: contract 1.5.

use super::encoded::CreateRequest;
use super::{find, launch, settings};
use crate::asked::{self, Asked};
use crate::attributes;
use crate::error::ApiError;
use crate::shared::{Shared, execution_id};
use crate::variables;
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::admin::execution_metadata::ExecutionMode;
use skein_idl::flyteidl::{admin, core};
use skein_log::AppendError;
use skein_model::event::Created;
use skein_model::launch::merge_inputs;
use skein_model::literals;
use skein_model::{
    BlobRef, Category, CauseId, EntityId, Event, ExecutionId, Head, JournalId, Record, codec, paths,
};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_64;

/// How long a made-up name is, in characters.
const NAME_CHARS: usize = 20;

/// What is launched: where its inputs and its plan come from.
pub(super) struct Launch {
    /// What was asked for.
    pub(super) launched: EntityId,
    /// What runs.
    pub(super) workflow: EntityId,
    /// Its compiled closure, which this server can run.
    pub(super) plan: BlobRef,
    /// What its nodes ask for of a machine.
    pub(super) asked: Vec<Asked>,
    /// What may and must be given.
    pub(super) expected_inputs: core::ParameterMap,
    /// What is given always.
    pub(super) fixed_inputs: core::LiteralMap,
    /// What holds unless the request says otherwise; none for a task.
    pub(super) defaults: Option<admin::LaunchPlanSpec>,
}

/// What was launched before, by what was asked for: a version of a definition never changes.
#[derive(Default)]
pub(crate) struct Launches(Mutex<HashMap<EntityId, Arc<Launch>>>);

/// How many are remembered; beyond that all are forgotten, and looked up again when they are needed.
const LAUNCHES_MAX: usize = 1_024;

impl Launches {
    pub(super) fn get(&self, id: &EntityId) -> Option<Arc<Launch>> {
        self.held().get(id).cloned()
    }

    pub(super) fn put(&self, id: EntityId, launch: Launch) -> Arc<Launch> {
        let launch = Arc::new(launch);
        let mut held = self.held();
        if held.len() >= LAUNCHES_MAX {
            held.clear();
        }
        held.insert(id, Arc::clone(&launch));
        launch
    }

    fn held(&self) -> MutexGuard<'_, HashMap<EntityId, Arc<Launch>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Creates an execution.
///
/// # Errors
/// What is wrong with the request, or that the name is taken.
pub(crate) async fn create(
    shared: &Shared,
    request: CreateRequest,
) -> Result<admin::ExecutionCreateResponse, ApiError> {
    let CreateRequest { request, inputs } = request;
    let admin::ExecutionCreateRequest { project, domain, name, spec, inputs: _, org: _ } = request;
    let mut spec = spec.ok_or_else(|| ApiError::missing("spec"))?;
    let old = spec.inputs.take().map(|inputs| inputs.encode_to_vec().into());
    let given = inputs.or(old).unwrap_or_default();
    let id = new_id(&project, &domain, &name)?;
    shared.check_scope(&project, &domain).await?;
    start(shared, id, spec, given).await
}

/// Creates an execution that does what another did, with the inputs that its user gave.
///
/// # Errors
/// [`ApiError::NotFound`] when the other is not there, or as [`create`].
pub(crate) async fn relaunch(
    shared: &Shared,
    request: admin::ExecutionRelaunchRequest,
) -> Result<admin::ExecutionCreateResponse, ApiError> {
    let old = execution_id(request.id.as_ref())?;
    let id = new_id(&old.project, &old.domain, &request.name)?;
    let row = find(shared, &old).await?;
    shared.check_scope(&old.project, &old.domain).await?;
    let mut spec = admin::ExecutionSpec::decode(row.spec.as_slice())?;
    let given = shared.blobs.load(&row.user_inputs).await?;
    let metadata = spec.metadata.get_or_insert_default();
    metadata.set_mode(ExecutionMode::Relaunch);
    metadata.reference_execution = Some(old.to_proto());
    spec.overwrite_cache |= request.overwrite_cache;
    start(shared, id, spec, given).await
}

fn new_id(project: &str, domain: &str, name: &str) -> Result<ExecutionId, ApiError> {
    if name.is_empty() {
        return Ok(ExecutionId::parse(project, domain, &made_up_name())?);
    }
    Ok(ExecutionId::parse_new(project, domain, name)?)
}

/// Makes up a name that nobody has: 19 random letters and digits, easy to tell apart when read aloud.
fn made_up_name() -> String {
    const ALPHABET: &[u8; 32] = b"bcdfghjklmnpqrstvwxz0123456789ae";
    let mut name = String::from("a");
    let mut bits = 0_u64;
    for at in 0..NAME_CHARS - 1 {
        if at % 12 == 0 {
            // Keyed by the operating system's randomness; 12 characters take 60 of the 64 bits.
            bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
        }
        name.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    name
}

/// Checks that what inputs refer to has been uploaded. What lies in another store is for the task to read.
async fn check_offloaded(shared: &Shared, inputs: &Bytes) -> Result<(), ApiError> {
    let unreadable = |error: literals::WireError| ApiError::invalid(format!("inputs: {error}"));
    for (name, value) in literals::literal_map_entries(inputs).map_err(unreadable)? {
        if let Some(uri) = literals::stored_at(&value).map_err(unreadable)?
            && shared.blobs.path_of(&uri).is_ok()
            && shared.blobs.size(&uri).await?.is_none()
        {
            return Err(ApiError::invalid(format!(
                "input {name} is offloaded to {uri}, where nothing is: upload the encoded literal before the \
                 execution is created"
            )));
        }
    }
    Ok(())
}

async fn start(
    shared: &Shared,
    id: ExecutionId,
    spec: admin::ExecutionSpec,
    given: Bytes,
) -> Result<admin::ExecutionCreateResponse, ApiError> {
    variables::check("the execution", spec.envs.iter().flat_map(|envs| &envs.values))?;
    let launch = launch::look_up(shared, &spec).await?;
    let all = merge_inputs(&launch.expected_inputs, &launch.fixed_inputs, &given)?;
    check_offloaded(shared, &all).await?;
    let quota = attributes::quota(shared, &id.project, &id.domain, &launch.workflow.name).await?;
    asked::check(&launch.asked, &quota, shared.config.offer.as_ref())?;
    let spec = settings::normalise(spec, &launch, &shared.config, &id);
    let (merged, raw_root) = settings::of(&spec, &launch, quota)?;
    let data_prefix = paths::data_prefix(shared.blobs.root(), &id);
    let raw_prefix = match raw_root {
        Some(root) => {
            let root = root.trim_end_matches('/');
            format!("{root}/{}-{}-{}", id.project, id.domain, id.name)
        }
        None => paths::raw_prefix(shared.blobs.root(), &id),
    };
    // Named by content, so that of two requests for one name neither overwrites what the other refers to.
    let stored = async |name: &str, bytes: Bytes| {
        let uri = format!("{data_prefix}/{name}-{:016x}.pb", xxh3_64(&bytes));
        shared.blobs.store(&uri, bytes).await
    };
    let is_all_given = all == given;
    let inputs = stored("inputs", all).await?;
    let user_inputs = if is_all_given { inputs.clone() } else { stored("user_inputs", given).await? };
    let created = Created {
        inputs,
        user_inputs,
        execution: id.clone(),
        launched: launch.launched.clone(),
        workflow: launch.workflow.clone(),
        plan: launch.plan.clone(),
        spec: spec.encode_to_vec().into(),
        settings: merged,
        data_prefix: data_prefix.clone(),
        raw_prefix,
        principal: shared.config.principal.clone(),
    };
    append(shared, &id, created).await?;
    Ok(admin::ExecutionCreateResponse { id: Some(id.to_proto()) })
}

async fn append(shared: &Shared, id: &ExecutionId, created: Created) -> Result<(), ApiError> {
    let taken = || {
        ApiError::AlreadyExists(format!("execution {id} already exists: value with matching already exists"))
    };
    let body = codec::encode(&[Event::Created(Box::new(created))])?;
    let time = shared.now();
    let cause = CauseId(xxh3_64(&body));
    let record =
        Record { time, cause, trace: skein_telemetry::trace::current(), closes: false, body: body.clone() };
    let journal = JournalId::execution(id);
    let position = match shared.log.append(&journal, Head::EMPTY, record).await {
        Ok(appended) => appended.position,
        Err(AppendError::Conflict { .. }) => {
            shared.catch_up(Category::Execution).await?;
            return Err(taken());
        }
        Err(AppendError::Unknown { .. }) => {
            let records = shared.log.read(&journal, Head::EMPTY).await?;
            shared.catch_up(Category::Execution).await?;
            return match records.first() {
                Some(first) if first.record.time == time && first.record.body == body => Ok(()),
                Some(_) => Err(taken()),
                None => {
                    Err(ApiError::Unavailable("the log did not say whether it took the execution".to_owned()))
                }
            };
        }
        Err(other) => return Err(other.into()),
    };
    shared.views.wait_for(Category::Execution, position).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_is_one_that_would_be_accepted_and_no_two_are_the_same() {
        let names: std::collections::BTreeSet<String> = (0..1_000).map(|_| made_up_name()).collect();
        assert_eq!(names.len(), 1_000);
        for name in names {
            assert_eq!(name.len(), NAME_CHARS);
            assert!(ExecutionId::parse_new("p", "d", &name).is_ok(), "{name}");
        }
    }
}
