//! Executions that nodes launch: launched once, waited for, and ended with whoever launched them (contract 5.6).
//!
//! Nothing of this is kept in memory alone. A child knows its parent by its first record, and tells it of its end until that has
//! heard; a parent that is taken up again looks at the child's journal. A child that is taken up asks whether it is still
//! waited for, so that one whose parent ended while nobody was there does not go on.

use super::{AGAIN_FIRST, AGAIN_MAX, Done};
use crate::launch::{self, Fault, Launch, LaunchError};
use crate::ports::Ports;
use prost::Message as _;
use skein_core::{Execution, NodeState, Target};
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::admin::execution_metadata::ExecutionMode;
use skein_idl::flyteidl::core;
use skein_log::{Refusal, SendError};
use skein_model::codec;
use skein_model::command::ChildOutcome;
use skein_model::envelope::TraceContext;
use skein_model::event::{Created, ParentNode};
use skein_model::{
    Charge, Command, DataRef, EntityId, Event, ExecutionId, Failure, FailureCause, Head, JournalId, NodeId,
};
use std::sync::Arc;
use tracing::warn;

/// How deeply executions may launch each other.
pub(crate) const NESTING_MAX: u32 = 50;

/// What a node launches, taken from an execution's state.
pub(super) struct Wanted {
    node: NodeId,
    child: ExecutionId,
    launch_plan: EntityId,
    inputs: DataRef,
    created: Arc<Created>,
    trace: Option<TraceContext>,
}

impl Wanted {
    pub(super) fn of(
        execution: &Execution,
        node: NodeId,
        child: ExecutionId,
        trace: Option<TraceContext>,
    ) -> Option<Self> {
        let place = execution.find(&node)?;
        let Target::Launch { launch_plan } = &execution.plan().nodes[place].target else { return None };
        let NodeState::Child(run) = execution.at(place) else { return None };
        Some(Self {
            child,
            launch_plan: launch_plan.clone(),
            inputs: run.inputs.clone(),
            created: Arc::clone(execution.created()?),
            node,
            trace,
        })
    }

    fn ended(&self, outcome: ChildOutcome) -> Done {
        let (node, child) = (self.node.clone(), self.child.clone());
        Done::answer(Command::ChildEnded { node, child, outcome })
    }

    fn failed(&self, code: &str, message: String) -> Done {
        self.ended(ChildOutcome::Failed(Failure {
            code: code.to_owned(),
            message,
            cause: FailureCause::InvalidRequest,
            charge: Charge::User,
        }))
    }

    /// What the child is told of how it came to be; none when executions are nested too deeply.
    fn metadata(&self, spec: &admin::ExecutionSpec) -> Option<admin::ExecutionMetadata> {
        let nesting = spec.metadata.as_ref().map_or(0, |metadata| metadata.nesting) + 1;
        (nesting <= NESTING_MAX).then(|| admin::ExecutionMetadata {
            mode: ExecutionMode::ChildWorkflow.into(),
            nesting,
            parent_node_execution: Some(core::NodeExecutionIdentifier {
                node_id: self.node.to_string(),
                execution_id: Some(self.created.execution.to_proto()),
            }),
            ..Default::default()
        })
    }
}

/// What a child takes over from the execution that launches it: contract 5.6.
fn inherited(spec: admin::ExecutionSpec) -> admin::ExecutionSpec {
    admin::ExecutionSpec {
        max_parallelism: spec.max_parallelism,
        security_context: spec.security_context,
        raw_output_data_config: spec.raw_output_data_config,
        labels: spec.labels,
        annotations: spec.annotations,
        interruptible: spec.interruptible,
        overwrite_cache: spec.overwrite_cache,
        envs: spec.envs,
        cluster_assignment: spec.cluster_assignment,
        ..Default::default()
    }
}

/// Launches the child, unless it is there already, and looks whether it has ended. If it has not, it tells of that itself.
pub(super) async fn run(ports: &Ports, wanted: &Wanted) -> Done {
    let Ok(spec) = admin::ExecutionSpec::decode(wanted.created.spec.clone()) else {
        return wanted.failed("BadExecutionSpec", "the execution's own spec cannot be read".to_owned());
    };
    let Some(metadata) = wanted.metadata(&spec) else {
        let message =
            format!("launch plans launch each other more than {NESTING_MAX} deep: does one launch itself?");
        return wanted.failed("NestingTooDeep", message);
    };
    let inputs = match ports.blobs.load(&wanted.inputs).await {
        Ok(inputs) => inputs,
        Err(fault) => {
            return super::later_or(fault, |failure| Command::ChildEnded {
                node: wanted.node.clone(),
                child: wanted.child.clone(),
                outcome: ChildOutcome::Failed(failure),
            });
        }
    };
    let launched = launch::launch(
        ports,
        Launch {
            execution: wanted.child.clone(),
            launch_plan: wanted.launch_plan.clone(),
            inputs,
            metadata,
            inherited: inherited(spec),
            principal: wanted.created.principal.clone(),
            trace: wanted.trace,
        },
    );
    match launched.await {
        Ok(launched) if launched.is_new => Done::Handed,
        Ok(_) => match outcome_of(ports, &wanted.child).await {
            Ok(Some(outcome)) => wanted.ended(outcome),
            Ok(None) => Done::Handed,
            Err(fault) => Done::Later(fault.to_string()),
        },
        Err(fault) => match fault.fault() {
            Fault::Passing => Done::Later(fault.to_string()),
            Fault::User | Fault::System => wanted.failed("RemoteChildLaunchFailed", fault.to_string()),
        },
    }
}

/// Answers how an execution ended, by its journal; none when it has not.
async fn outcome_of(ports: &Ports, child: &ExecutionId) -> Result<Option<ChildOutcome>, LaunchError> {
    let mut outcome = None;
    let mut cause = String::new();
    for envelope in ports.log.read(&JournalId::execution(child), Head::EMPTY).await? {
        let events: Vec<Event> = codec::decode(envelope.schema, &envelope.record.body)?;
        for event in &events {
            if let Event::Aborting { cause: why, .. } = event {
                cause.clone_from(why);
            }
            outcome = how_it_ended(event, &cause).or(outcome);
        }
    }
    Ok(outcome)
}

/// Answers how an execution has ended by `event`; none when it has not. `cause` is why somebody ended it, if somebody did.
pub(crate) fn how_it_ended(event: &Event, cause: &str) -> Option<ChildOutcome> {
    match event {
        Event::Succeeded { outputs } => Some(ChildOutcome::Succeeded(outputs.clone())),
        Event::Failed { failure } => Some(ChildOutcome::Failed(failure.clone())),
        Event::Aborted => Some(ChildOutcome::Aborted(cause.to_owned())),
        _ => None,
    }
}

/// Tells the node that launched an execution how that has ended, until it has heard.
pub(crate) fn tell_parent(
    ports: &Arc<Ports>,
    parent: &ParentNode,
    child: ExecutionId,
    outcome: ChildOutcome,
) {
    let (ports, parent) = (Arc::clone(ports), parent.clone());
    let command = Command::ChildEnded { node: parent.node, child, outcome };
    tokio::spawn(async move { drop(insist(&ports, &parent.execution, command).await) });
}

/// Ends an execution that a node launched and does not wait for any more.
pub(crate) fn end_child(ports: &Arc<Ports>, parent: ExecutionId, child: ExecutionId, principal: String) {
    let ports = Arc::clone(ports);
    tokio::spawn(async move {
        let cause = format!("the execution that launched it, {}, does not wait for it any more", parent.name);
        drop(insist(&ports, &child, Command::Terminate { cause, principal }).await);
    });
}

/// Asks the node that launched an execution whether it still waits for it; ends the execution when it does not.
pub(crate) fn ask_parent(ports: &Arc<Ports>, parent: &ParentNode, created: &Created) {
    let (ports, parent) = (Arc::clone(ports), parent.clone());
    let (child, principal) = (created.execution.clone(), created.principal.clone());
    tokio::spawn(async move {
        let command = Command::ChildAsks { node: parent.node.clone(), child: child.clone() };
        if let Err(Refusal::FailedPrecondition(why)) = insist(&ports, &parent.execution, command).await {
            warn!(execution = %child, why, "an execution that nobody waits for is ended");
            end_child(&ports, parent.execution, child, principal);
        }
    });
}

/// Sends a command until it is taken or refused. One to an execution that is not there is refused.
async fn insist(ports: &Ports, to: &ExecutionId, command: Command) -> Result<(), Refusal> {
    let mut wait = AGAIN_FIRST;
    loop {
        match ports.inbox.send(to, command.clone()).await {
            Ok(()) => return Ok(()),
            Err(SendError::Refused(refusal)) => return Err(refusal),
            Err(fault) => warn!(%fault, execution = %to, ?wait, "a command is not taken, trying again"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(AGAIN_MAX);
    }
}
