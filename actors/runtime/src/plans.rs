//! Plans by the object they come from: thousands of executions of one workflow share one plan.

use prost::Message as _;
use skein_core::{Plan, PlanError};
use skein_idl::flyteidl::core::CompiledWorkflowClosure;
use skein_log::{BlobError, BlobStore};
use skein_model::nested::Made;
use skein_model::{Attempt, BlobRef, Charge, Failure, FailureCause, NodeId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The plans in use, and those that were used last. Any other that no execution uses any more is dropped.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    plans: BTreeMap<(String, u64), Weak<Plan>>,
    /// What was read last, newest at the end: executions of one workflow often come one after another.
    last: VecDeque<Arc<Plan>>,
}

/// How many plans are kept that nobody may use any more.
const LAST_MAX: usize = 64;
/// How large such a plan may be, in bytes, encoded.
const LAST_BYTES_MAX: u64 = 64 << 10;

/// How many dead entries are tolerated before they are swept out.
const SWEEP_AT: usize = 1_024;

impl Plans {
    /// Answers the plan that stands in `blob`. A workflow that cannot be run gives a plan that says so.
    pub(crate) async fn load(&self, blobs: &BlobStore, blob: &BlobRef) -> Result<Arc<Plan>, BlobError> {
        let key = (blob.uri.clone(), blob.digest);
        if let Some(plan) = self.known().plans.get(&key).and_then(Weak::upgrade) {
            return Ok(plan);
        }
        let bytes = blobs.get_checked(blob).await?;
        let plan = Arc::new(parse(&bytes, None));
        let mut known = self.known();
        if known.plans.len() >= SWEEP_AT {
            known.plans.retain(|_, plan| plan.strong_count() > 0);
        }
        known.plans.insert(key, Arc::downgrade(&plan));
        if blob.size <= LAST_BYTES_MAX {
            if known.last.len() >= LAST_MAX {
                known.last.pop_front();
            }
            known.last.push_back(Arc::clone(&plan));
        }
        Ok(plan)
    }

    /// Answers the plan of nodes that a task made, which stands in `blob`; `made` is its node, and the try that made them.
    pub(crate) async fn load_made(
        &self,
        blobs: &BlobStore,
        blob: &BlobRef,
        (node, attempt): (&NodeId, Attempt),
    ) -> Result<Arc<Plan>, BlobError> {
        let bytes = blobs.get_checked(blob).await?;
        let node = node.clone();
        // 50 000 nodes take long enough to hold up everything else on this thread.
        let plan = tokio::task::spawn_blocking(move || parse(&bytes, Some((&node, attempt))));
        Ok(Arc::new(plan.await.unwrap_or_else(|panic| refused("WorkflowNotRunnable", panic.to_string()))))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Nothing in here is left half-done by a panic: entries are inserted whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(code: &str, message: String) -> Plan {
    Plan::unrunnable(Failure {
        code: code.to_owned(),
        message,
        cause: FailureCause::InvalidRequest,
        charge: Charge::System,
    })
}

fn parse(bytes: &[u8], made: Made<'_>) -> Plan {
    match CompiledWorkflowClosure::decode(bytes) {
        Ok(closure) => Plan::parse_made(closure, made).unwrap_or_else(|error| match error {
            PlanError::Unsupported { .. } | PlanError::UnsupportedTask { .. } => {
                refused("Unsupported", error.to_string())
            }
            _ => refused("WorkflowNotRunnable", error.to_string()),
        }),
        Err(error) => {
            refused("WorkflowNotRunnable", format!("the compiled workflow cannot be read: {error}"))
        }
    }
}
