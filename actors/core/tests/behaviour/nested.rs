//! Nodes within nodes: sub-workflows, branches, what dynamic tasks make.

use super::plans::*;
use skein_core::Effect;
use skein_model::{Attempt, Command, DataRef, Event, ExecutionPhase, NodePhase};

fn queued(id: &str) -> Event {
    Event::NodeQueued { node: node(id) }
}

fn started(id: &str) -> Event {
    Event::NodeStarted { node: node(id), inputs: DataRef::empty() }
}

fn succeeded(id: &str) -> Event {
    Event::NodeSucceeded { node: node(id), outputs: outputs() }
}

fn failed(id: &str) -> Event {
    Event::NodeFailed { node: node(id), failure: plain() }
}

fn aborted(id: &str, reason: &str) -> Event {
    Event::NodeAborted { node: node(id), reason: reason.to_owned() }
}

fn tried(id: &str) -> Event {
    Event::AttemptSucceeded {
        node: node(id),
        attempt: Attempt(0),
        outputs: outputs(),
        deck: None,
        used: None,
    }
}

fn given(id: &str) -> Command {
    Command::InsideResolved { node: node(id), outputs: outputs() }
}

fn two_tasks() -> Sketch {
    workflow().task("a", &[]).task("b", &["a"])
}

const SIBLING: &str = "Some node execution failed, auto-abort.";

#[test]
fn the_first_nodes_inside_begin_with_the_node_that_they_are_inside_of() {
    workflow()
        .runs("n0", &[], two_tasks())
        .started()
        .when(inputs("n0"))
        .asks(&[Effect::ResolveInputs { node: node("n0-0-a") }])
        .then(&[started("n0"), Event::InsideStarted { node: node("n0") }, queued("n0-0-a")]);
}

#[test]
fn what_is_inside_gives_its_outputs_to_the_node_and_the_next_one_begins() {
    let mut world = workflow()
        .runs("n0", &[], two_tasks())
        .task("n1", &["n0"])
        .started()
        .inputs(&["n0", "n0-0-a"])
        .when(attempt_succeeds("n0-0-a", 0))
        .then(&[tried("n0-0-a"), succeeded("n0-0-a"), queued("n0-0-b")])
        .inputs(&["n0-0-b"])
        .when(attempt_succeeds("n0-0-b", 0))
        .asks(&[Effect::ResolveInside { node: node("n0") }])
        .then(&[tried("n0-0-b"), succeeded("n0-0-b")]);
    let inside = Event::InsideSucceeded { node: node("n0"), attempt: Attempt(0), outputs: outputs() };
    world = world.when(given("n0")).then(&[inside, succeeded("n0"), queued("n1")]);
    assert_eq!(world.send(&given("n0")).unwrap(), [], "told again it changes nothing");
}

#[test]
fn a_workflow_without_nodes_gives_its_outputs_at_once() {
    workflow()
        .runs("n0", &[], workflow())
        .started()
        .when(inputs("n0"))
        .asks(&[Effect::ResolveInside { node: node("n0") }])
        .then(&[started("n0"), Event::InsideStarted { node: node("n0") }]);
}

#[test]
fn a_failure_inside_fails_every_node_around_it_and_stops_what_runs_beside_them() {
    let inner = workflow().task("a", &[]).task("b", &[]);
    let world = workflow().runs("n0", &[], workflow().runs("m", &[], inner)).task("n1", &[]).started();
    let world = world.inputs(&["n0", "n0-0-m", "n0-0-m-0-a"]);
    let failure = plain();
    let world = world.when(attempt_fails("n0-0-m-0-a", 0, failure.clone())).then(&[
        Event::AttemptFailed {
            node: node("n0-0-m-0-a"),
            attempt: Attempt(0),
            failure: failure.clone(),
            used: None,
        },
        failed("n0-0-m-0-a"),
        aborted("n0-0-m-0-b", SIBLING),
        failed("n0-0-m"),
        failed("n0"),
        aborted("n1", SIBLING),
        Event::Failing { failure: failure.clone() },
        Event::Failed { failure },
    ]);
    assert!(world.execution.outstanding().is_empty());
}

#[test]
fn the_patient_policy_of_a_workflow_inside_lets_its_own_nodes_end_first() {
    let inner = workflow().task("a", &[]).task("b", &[]).task("c", &["a"]).fail_after_executable_nodes();
    let world = workflow().runs("n0", &[], inner).started().inputs(&["n0", "n0-0-a", "n0-0-b"]);
    let failure = plain();
    let mut world = world.when(attempt_fails("n0-0-a", 0, failure.clone())).then(&[
        Event::AttemptFailed {
            node: node("n0-0-a"),
            attempt: Attempt(0),
            failure: failure.clone(),
            used: None,
        },
        failed("n0-0-a"),
        Event::NodeSkipped { node: node("n0-0-c") },
    ]);
    world = world.when(attempt_succeeds("n0-0-b", 0)).then(&[
        tried("n0-0-b"),
        succeeded("n0-0-b"),
        failed("n0"),
        Event::Failing { failure: failure.clone() },
        Event::Failed { failure },
    ]);
    assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
}

#[test]
fn the_failure_node_of_a_workflow_inside_runs_before_its_node_fails() {
    let inner = workflow().task("a", &[]).with_failure_node();
    let world = workflow().runs("n0", &[], inner).started().inputs(&["n0", "n0-0-a"]);
    let failure = plain();
    let world = world.when(attempt_fails("n0-0-a", 0, failure.clone())).then(&[
        Event::AttemptFailed {
            node: node("n0-0-a"),
            attempt: Attempt(0),
            failure: failure.clone(),
            used: None,
        },
        failed("n0-0-a"),
        Event::InsideFailing { node: node("n0"), failure: failure.clone() },
        queued("n0-0-fn0"),
    ]);
    world.inputs(&["n0-0-fn0"]).when(attempt_succeeds("n0-0-fn0", 0)).then(&[
        tried("n0-0-fn0"),
        succeeded("n0-0-fn0"),
        failed("n0"),
        Event::Failing { failure: failure.clone() },
        Event::Failed { failure },
    ]);
}

#[test]
fn the_limit_on_nodes_at_once_holds_across_all_workflows_and_counts_only_what_runs() {
    let inner = workflow().task("a", &[]).task("b", &[]);
    let world = workflow().runs("n0", &[], inner).task("n1", &[]).max_parallelism(1).started();
    assert_eq!(world.journal[1..], [Event::Started, queued("n0"), queued("n1")]);
    let world = world.inputs(&["n0"]);
    assert_eq!(world.journal.last(), Some(&Event::InsideStarted { node: node("n0") }), "n1 has the place");
    let world = world.inputs(&["n1"]).when(attempt_succeeds("n1", 0));
    let world = world.then(&[tried("n1"), succeeded("n1"), queued("n0-0-a")]);
    let world = world.inputs(&["n0-0-a"]).when(attempt_succeeds("n0-0-a", 0));
    world.then(&[tried("n0-0-a"), succeeded("n0-0-a"), queued("n0-0-b")]);
}

#[test]
fn a_branch_runs_the_case_that_holds_and_gives_what_that_gives() {
    let world = workflow().branch("n0", &[]).task("n1", &["n0"]).started();
    let world = world.when(case("n0", 1)).then(&[
        started("n0"),
        Event::BranchTaken { node: node("n0"), case: 1 },
        queued("n0-0-b"),
    ]);
    let world = world.inputs(&["n0-0-b"]).when(attempt_succeeds("n0-0-b", 0));
    let world = world.then(&[tried("n0-0-b"), succeeded("n0-0-b"), succeeded("n0"), queued("n1")]);
    assert!(world.execution.outputs_of(&node("n0-0-a")).is_none(), "the other never ran");
}

#[test]
fn a_branch_that_has_no_such_case_takes_none() {
    let mut world = workflow().branch("n0", &[]).started();
    world.send(&case("n0", 2)).expect_err("there is a failure in the place of a third");
}

#[test]
fn a_branch_of_which_no_case_holds_fails_with_what_it_was_given_and_what_its_author_says() {
    let mut world = workflow().branch("n0", &[]).started();
    let events = world.send(&inputs("n0")).expect("no case holds");
    assert_eq!(events[0], started("n0"));
    let Event::NodeFailed { node: failed, failure } = &events[1] else { panic!("{events:?}") };
    assert_eq!((failed, failure.code.as_str()), (&node("n0"), "UserProvidedError"));
    assert!(matches!(events.last(), Some(Event::Failed { .. })), "{events:?}");
}

#[test]
fn a_failed_case_fails_the_branch() {
    let world = workflow().branch("n0", &[]).started();
    let mut world = world.when(case("n0", 0)).then(&[
        started("n0"),
        Event::BranchTaken { node: node("n0"), case: 0 },
        queued("n0-0-a"),
    ]);
    world = world.inputs(&["n0-0-a"]);
    world.send(&attempt_fails("n0-0-a", 0, plain())).unwrap();
    assert_eq!(
        world.journal[world.journal.len() - 4..world.journal.len() - 2],
        [failed("n0-0-a"), failed("n0")]
    );
    assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
}

fn with_made_nodes() -> World {
    let mut world = workflow().task("n0", &[]).task("n1", &["n0"]).started().inputs(&["n0"]);
    let events = world.send(&attempt_makes_nodes("n0", 0)).unwrap();
    let spec = "file:///n0/futures.pb".to_owned();
    assert_eq!(
        events,
        [Event::AttemptMadeNodes {
            node: node("n0"),
            attempt: Attempt(0),
            spec: spec.clone(),
            deck: None,
            used: None
        }]
    );
    assert_eq!(world.asked.last(), Some(&Effect::CompileNodes { node: node("n0"), spec }));
    world
}

#[test]
fn the_nodes_that_a_task_made_run_inside_its_node_and_give_its_outputs() {
    let mut world = with_made_nodes();
    let compiled = world.compiled("n0", &two_tasks());
    let events = world.send(&compiled).unwrap();
    assert!(matches!(&events[..], [Event::NodesMade { .. }, next] if *next == queued("n0-0-a")));
    assert_eq!(world.send(&compiled).unwrap(), [], "told again it changes nothing");
    world = world.inputs(&["n0-0-a"]);
    world.send(&attempt_succeeds("n0-0-a", 0)).unwrap();
    world = world.inputs(&["n0-0-b"]);
    world.send(&attempt_succeeds("n0-0-b", 0)).unwrap();
    let events = world.send(&given("n0")).unwrap();
    assert_eq!(events[1..], [succeeded("n0"), queued("n1")]);
}

#[test]
fn a_node_that_a_task_made_and_that_fails_fails_its_node_and_stops_its_siblings_by_the_originals_words() {
    let mut world = with_made_nodes();
    let compiled = world.compiled("n0", &workflow().task("dn0", &[]).task("dn1", &[]));
    world.send(&compiled).unwrap();
    world = world.inputs(&["n0-0-dn0"]);
    world.send(&attempt_fails("n0-0-dn0", 0, plain())).unwrap();
    assert!(world.journal.contains(&aborted("n0-0-dn1", "Dynamic workflow failed")));
    assert!(world.journal.contains(&failed("n0")), "and it is not tried again");
    assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
}

#[test]
fn nodes_that_cannot_be_compiled_fail_the_node_that_made_them() {
    let mut world = with_made_nodes();
    let refused = Command::NodesRefused { node: node("n0"), failure: plain() };
    assert_eq!(world.send(&refused).unwrap()[0], failed("n0"));
}

#[test]
fn a_task_that_makes_a_node_of_a_name_that_is_taken_fails_and_names_it() {
    let mut world = workflow().task("n0", &[]).task("n0-0-a", &[]).started().inputs(&["n0"]);
    world.send(&attempt_makes_nodes("n0", 0)).unwrap();
    let compiled = world.compiled("n0", &two_tasks());
    match &world.send(&compiled).unwrap()[0] {
        Event::NodeFailed { failure, .. } => {
            assert_eq!(failure.code, "DynamicWorkflowBuildFailed");
            assert!(failure.message.contains("n0-0-a"), "{}", failure.message);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn ending_an_execution_stops_everything_at_every_depth() {
    let world = workflow().runs("n0", &[], workflow().runs("m", &[], two_tasks())).started();
    let mut world = world.inputs(&["n0", "n0-0-m", "n0-0-m-0-a"]);
    let end = Command::Terminate { cause: "enough".to_owned(), principal: "p".to_owned() };
    let events = world.send(&end).unwrap();
    let stopped: Vec<&Event> =
        events.iter().filter(|event| matches!(event, Event::NodeAborted { .. })).collect();
    assert_eq!(stopped.len(), 3);
    let ended = |id| match world.execution.node(&node(id)) {
        Some(skein_core::NodeState::Ended { phase, .. }) => *phase,
        other => panic!("{id} is {other:?}"),
    };
    assert_eq!(["n0", "n0-0-m", "n0-0-m-0-a"].map(ended), [NodePhase::Aborted; 3]);
}

#[test]
fn a_place_that_a_failure_frees_is_given_once_however_many_workflows_fail_by_it() {
    let inner = workflow().task("a", &[]).fail_after_executable_nodes();
    let sketch = workflow().runs("n0", &[], inner).task("n1", &[]).task("n2", &[]);
    let world = sketch.fail_after_executable_nodes().max_parallelism(2).started();
    let world = world.inputs(&["n0", "n1"]);
    let mut world = world.inputs(&["n2"]);
    let events = world.send(&attempt_fails("n1", 0, plain())).unwrap();
    assert_eq!(events.last(), Some(&queued("n0-0-a")));
    let events = world.inputs(&["n0-0-a"]).send(&attempt_fails("n0-0-a", 0, plain())).unwrap();
    let again = events.iter().filter(|event| matches!(event, Event::NodeQueued { .. })).count();
    assert_eq!(again, 0, "{events:?}");
}
