//! Plans by the object they come from: thousands of executions of one workflow share one plan.

use prost::Message as _;
use skein_core::{Plan, PlanError};
use skein_idl::flyteidl::core::CompiledWorkflowClosure;
use skein_log::{BlobError, BlobStore};
use skein_model::{BlobRef, Charge, Failure, FailureCause};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The plans in use. A plan that no execution uses any more is dropped.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    known: Mutex<BTreeMap<(String, u64), Weak<Plan>>>,
}

/// How many dead entries are tolerated before they are swept out.
const SWEEP_AT: usize = 1_024;

impl Plans {
    /// Answers the plan that stands in `blob`. A workflow that cannot be run gives a plan that says so.
    pub(crate) async fn load(&self, blobs: &BlobStore, blob: &BlobRef) -> Result<Arc<Plan>, BlobError> {
        let key = (blob.uri.clone(), blob.digest);
        if let Some(plan) = self.known().get(&key).and_then(Weak::upgrade) {
            return Ok(plan);
        }
        let bytes = blobs.get_checked(blob).await?;
        let plan = Arc::new(parse(&bytes));
        let mut known = self.known();
        if known.len() >= SWEEP_AT {
            known.retain(|_, plan| plan.strong_count() > 0);
        }
        known.insert(key, Arc::downgrade(&plan));
        Ok(plan)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, u64), Weak<Plan>>> {
        // Nothing in here is left half-done by a panic: entries are inserted whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(bytes: &[u8]) -> Plan {
    let refused = |code: &str, message: String| {
        Plan::unrunnable(Failure {
            code: code.to_owned(),
            message,
            cause: FailureCause::InvalidRequest,
            charge: Charge::System,
        })
    };
    match CompiledWorkflowClosure::decode(bytes) {
        Ok(closure) => Plan::parse(closure).unwrap_or_else(|error| match error {
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
