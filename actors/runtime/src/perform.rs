//! Effects, carried out: each ends in a command to the execution that asked for it.

pub(crate) mod announce;
mod assemble;
pub(crate) mod cache;
pub(crate) mod child;
mod connectors;
mod dynamic;
mod inputs;
mod outcome;
pub(crate) mod work;

use crate::execution::Msg;
use crate::ports::Ports;
use ractor::ActorRef;
use skein_core::{Execution, Target, resolve};
use skein_log::{BlobError, Stop};
use skein_model::envelope::TraceContext;
use skein_model::{Attempt, Charge, Command, ExecutionId, Failure, FailureCause, NodeId, Timestamp};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};

/// The wait before something that cannot be reached is tried again; doubles up to [`AGAIN_MAX`].
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// A try that is to be offered.
pub(crate) struct Wanted {
    pub(crate) node: NodeId,
    pub(crate) attempt: Attempt,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) started: bool,
    pub(crate) on_demand: bool,
    pub(crate) trace: Option<TraceContext>,
}

/// Puts a node's inputs together.
pub(crate) fn resolve_inputs(ports: &Arc<Ports>, execution: &Execution, node: &NodeId, to: ActorRef<Msg>) {
    resolve(ports, resolve::Wanted::of_node(execution, node), to);
}

/// Puts the outputs of the nodes inside a node together.
pub(crate) fn resolve_inside(ports: &Arc<Ports>, execution: &Execution, node: &NodeId, to: ActorRef<Msg>) {
    resolve(ports, resolve::Wanted::of_inside(execution, node), to);
}

/// Reads and compiles what a dynamic task made.
pub(crate) fn compile_nodes(
    ports: &Arc<Ports>,
    execution: &Execution,
    node: NodeId,
    spec: String,
    to: ActorRef<Msg>,
) {
    let Some(wanted) = dynamic::Wanted::of(execution, node, spec).map(Arc::new) else { return };
    answer(to, Arc::clone(ports), move |ports| {
        let wanted = Arc::clone(&wanted);
        async move { dynamic::compile_nodes(&ports, &wanted).await }
    });
}

/// Launches the execution of a launch plan node, and answers when that has ended already.
pub(crate) fn run_child(
    ports: &Arc<Ports>,
    execution: &Execution,
    (node, child): (NodeId, ExecutionId),
    trace: Option<TraceContext>,
    to: ActorRef<Msg>,
) {
    let Some(wanted) = child::Wanted::of(execution, node, child, trace).map(Arc::new) else { return };
    answer(to, Arc::clone(ports), move |ports| {
        let wanted = Arc::clone(&wanted);
        async move { child::run(&ports, &wanted).await }
    });
}

/// Puts the execution's outputs together.
pub(crate) fn resolve_outputs(ports: &Arc<Ports>, execution: &Execution, to: ActorRef<Msg>) {
    resolve(ports, resolve::Wanted::of_outputs(execution), to);
}

fn resolve(ports: &Arc<Ports>, wanted: Option<resolve::Wanted>, to: ActorRef<Msg>) {
    let Some(wanted) = wanted.map(Arc::new) else { return };
    answer(to, Arc::clone(ports), move |ports| {
        let wanted = Arc::clone(&wanted);
        async move { inputs::resolve(&ports, &wanted).await }
    });
}

/// A map whose items have all ended.
pub(crate) struct Assembly(Arc<assemble::Wanted>);

impl Assembly {
    /// Takes it from an execution's state; none when the node runs no map.
    pub(crate) fn of(execution: &Execution, node: &NodeId) -> Option<Self> {
        Some(Self(Arc::new(assemble::Wanted::of(execution, node.clone())?)))
    }
}

/// Puts a map's outputs together.
pub(crate) fn assemble_map(ports: &Arc<Ports>, Assembly(wanted): Assembly, to: ActorRef<Msg>) {
    answer(to, Arc::clone(ports), move |ports| {
        let wanted = Arc::clone(&wanted);
        async move { assemble::outputs(&ports, &wanted).await }
    });
}

/// Offers a try to workers, or recognises that it has ended already.
pub(crate) fn run_attempt(ports: &Arc<Ports>, execution: &Execution, wanted: Wanted, to: ActorRef<Msg>) {
    let Some(task) = work::Task::of(execution, &wanted) else { return };
    if work::adopt(ports, &task) {
        return;
    }
    let task = Arc::new(task);
    answer(to, Arc::clone(ports), move |ports| {
        let task = Arc::clone(&task);
        async move { work::offer_attempt(&ports, &task).await }
    });
}

/// Takes back what was offered for a node.
pub(crate) fn withdraw(ports: &Arc<Ports>, execution: &Execution, node: NodeId) {
    let Some(created) = execution.created() else { return };
    if execution.find(&node).is_some_and(|place| is_launch(execution, place)) {
        let parent = created.execution.clone();
        let child = parent.child(&node);
        return child::end_child(ports, parent, child, created.principal.clone());
    }
    let stop = Stop::Node(created.execution.clone(), node);
    let ports = Arc::clone(ports);
    tokio::spawn(async move {
        for way in ports.ways_out() {
            if let Err(reason) = way.withdraw(stop.clone()).await {
                warn!(%reason, ?stop, "offers cannot be taken back: what still runs of them will be late");
            }
        }
    });
}

fn is_launch(execution: &Execution, place: usize) -> bool {
    matches!(execution.plan().nodes[place].target, Target::Launch { .. })
}

/// What became of carrying out an effect once.
pub(crate) enum Done {
    /// It is answered with this.
    Answer(Box<Command>),
    /// The answer will come from elsewhere.
    Handed,
    /// It cannot be done at present, for this reason.
    Later(String),
}

impl Done {
    fn answer(command: Command) -> Self {
        Self::Answer(Box::new(command))
    }
}

/// Carries something out until it is done or nobody waits for it any more.
fn answer<F, D>(to: ActorRef<Msg>, ports: Arc<Ports>, carry_out: F)
where
    F: Fn(Arc<Ports>) -> D + Send + 'static,
    D: Future<Output = Done> + Send,
{
    tokio::spawn(async move {
        let mut wait = AGAIN_FIRST;
        loop {
            match carry_out(Arc::clone(&ports)).await {
                // An execution that is gone will ask again when it is taken up again.
                Done::Answer(command) => return drop(to.cast(Msg::Answered(*command))),
                Done::Handed => return,
                Done::Later(reason) => warn!(reason, ?wait, "an effect cannot be carried out, trying again"),
            }
            if matches!(to.get_status(), ractor::ActorStatus::Stopped | ractor::ActorStatus::Stopping) {
                return;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(AGAIN_MAX);
        }
    });
}

/// Says whether a value that cannot be had may be had later.
fn later_or(fault: BlobError, failed: impl FnOnce(Failure) -> Command) -> Done {
    match fault {
        BlobError::Unavailable { .. } | BlobError::Full { .. } => Done::Later(fault.to_string()),
        fault => {
            error!(%fault, "a value is lost");
            Done::answer(failed(system_failure("ValueLost", fault.to_string())))
        }
    }
}

/// A failure that is nobody's fault in the workflow and that another try would not mend.
fn system_failure(code: &str, message: String) -> Failure {
    Failure {
        code: code.to_owned(),
        message,
        cause: FailureCause::InputsUnresolvable,
        charge: Charge::System,
    }
}
