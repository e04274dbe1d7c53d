//! Creates executions: contract 1.5.

use super::encoded::CreateRequest;
use super::{find, launch};
use crate::attributes;
use crate::error::ApiError;
use crate::shared::{Shared, execution_id};
use crate::variables;
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::admin::execution_metadata::ExecutionMode;
use skein_log::AppendError;
use skein_model::event::Created;
use skein_model::launch::{Launchable, Prepared, Server, Stored, nothing_there};
use skein_model::{Category, CauseId, EntityId, Event, ExecutionId, Head, JournalId, Record, codec};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_64;

/// How long a made-up name is, in characters.
const NAME_CHARS: usize = 20;

/// What was launched before, by what was asked for: a version of a definition never changes.
#[derive(Default)]
pub(crate) struct Launches(Mutex<HashMap<EntityId, Arc<Launchable>>>);

/// How many are remembered; beyond that all are forgotten, and looked up again when they are needed.
const LAUNCHES_MAX: usize = 1_024;

impl Launches {
    pub(super) fn get(&self, id: &EntityId) -> Option<Arc<Launchable>> {
        self.held().get(id).cloned()
    }

    pub(super) fn put(&self, id: EntityId, launch: Launchable) -> Arc<Launchable> {
        let launch = Arc::new(launch);
        let mut held = self.held();
        if held.len() >= LAUNCHES_MAX {
            held.clear();
        }
        held.insert(id, Arc::clone(&launch));
        launch
    }

    fn held(&self) -> MutexGuard<'_, HashMap<EntityId, Arc<Launchable>>> {
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
async fn check_offloaded(shared: &Shared, prepared: &Prepared) -> Result<(), ApiError> {
    for (name, uri) in prepared.offloaded()? {
        if shared.blobs.path_of(&uri).is_ok() && shared.blobs.size(&uri).await?.is_none() {
            return Err(ApiError::invalid(nothing_there(&name, &uri)));
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
    let quota = attributes::quota(shared, &id.project, &id.domain, &launch.workflow.name).await?;
    let server = Server {
        max_parallelism: shared.config.max_parallelism,
        offer: shared.config.offer.as_ref(),
        root: shared.blobs.root(),
        principal: &shared.config.principal,
    };
    let prepared = launch.prepare(&id, spec, given, quota, &server)?;
    check_offloaded(shared, &prepared).await?;
    let store = async |stored: &Stored| shared.blobs.store(&stored.uri, stored.bytes.clone()).await;
    let inputs = store(&prepared.inputs).await?;
    let user_inputs = match &prepared.user_inputs {
        Some(given) => Some(store(given).await?),
        None => None,
    };
    append(shared, &id, prepared.created(inputs, user_inputs)).await?;
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
