//! An execution that takes over what another left.

use super::plans::*;
use skein_core::Effect;
use skein_model::{Attempt, Command, Event, ExecutionPhase, NodePhase};

fn phase_of(world: &World, id: &str) -> NodePhase {
    match world.execution.node(&node(id)) {
        Some(skein_core::NodeState::Ended { phase, .. }) => *phase,
        other => panic!("{id} is {other:?}"),
    }
}

fn asked_to_run(world: &World) -> Vec<String> {
    let run = |effect: &Effect| match effect {
        Effect::RunAttempt { node, .. } | Effect::RunItems { node } => Some(node.to_string()),
        _ => None,
    };
    world.execution.outstanding().iter().filter_map(run).collect()
}

#[test]
fn what_had_succeeded_counts_and_what_had_not_runs_again() {
    let sketch = workflow().task("n0", &[]).task("n1", &["n0"]).task("n2", &["n1"]);
    let mut failed = sketch.advanced();
    failed.advance(&attempt_succeeds("n0", 0)).unwrap();
    failed.advance(&attempt_fails("n1", 0, plain())).unwrap();
    let mut world = sketch.recovering(&failed);
    assert_eq!(phase_of(&world, "n0"), NodePhase::Recovered);
    assert_eq!(asked_to_run(&world), ["n1"]);
    world.advance(&attempt_succeeds("n1", 0)).unwrap();
    world.advance(&attempt_succeeds("n2", 0)).unwrap();
    assert_eq!(world.execution.phase(), ExecutionPhase::Succeeded);
}

#[test]
fn one_that_had_succeeded_keeps_its_outputs_and_runs_nothing() {
    let sketch =
        workflow().task("n0", &[]).runs("n1", &["n0"], workflow().task("a", &[])).branch("n2", &["n1"]);
    let mut done = sketch.started().inputs(&["n0"]);
    done.send(&attempt_succeeds("n0", 0)).unwrap();
    let mut done = done.inputs(&["n1", "n1-0-a"]);
    done.send(&attempt_succeeds("n1-0-a", 0)).unwrap();
    done.send(&Command::InsideResolved { node: node("n1"), outputs: outputs() }).unwrap();
    done.send(&case("n2", 1)).unwrap();
    let mut done = done.inputs(&["n2-0-b"]);
    done.send(&attempt_succeeds("n2-0-b", 0)).unwrap();
    let world = sketch.recovering(&done);
    assert_eq!(["n0", "n1", "n2"].map(|id| phase_of(&world, id)), [NodePhase::Recovered; 3]);
    assert_eq!(world.execution.phase(), ExecutionPhase::Succeeded);
    assert_eq!(world.execution.outputs_of(&node("n2")), Some(&outputs()));
}

#[test]
fn inside_a_workflow_that_had_failed_each_node_counts_by_itself() {
    let sketch = workflow().runs("n0", &[], workflow().task("a", &[]).task("b", &["a"]));
    let mut failed = sketch.advanced();
    failed.advance(&attempt_succeeds("n0-0-a", 0)).unwrap();
    failed.advance(&attempt_fails("n0-0-b", 0, plain())).unwrap();
    let world = sketch.recovering(&failed);
    assert_eq!(phase_of(&world, "n0-0-a"), NodePhase::Recovered);
    assert_eq!(asked_to_run(&world), ["n0-0-b"]);
}

#[test]
fn the_nodes_that_a_task_had_made_are_not_made_again() {
    let sketch = workflow().task("n0", &[]);
    let mut failed = sketch.advanced();
    failed.advance(&attempt_makes_nodes("n0", 0)).unwrap();
    let compiled = failed.compiled("n0", &workflow().task("a", &[]).task("b", &["a"]));
    failed.advance(&compiled).unwrap();
    failed.advance(&attempt_succeeds("n0-0-a", 0)).unwrap();
    failed.advance(&attempt_fails("n0-0-b", 0, plain())).unwrap();
    let mut world = sketch.recovering(&failed);
    assert_eq!(phase_of(&world, "n0-0-a"), NodePhase::Recovered);
    assert_eq!(asked_to_run(&world), ["n0-0-b"], "and the dynamic task itself does not run");
    world.advance(&attempt_succeeds("n0-0-b", 0)).unwrap();
    world.advance(&Command::InsideResolved { node: node("n0"), outputs: outputs() }).ok();
    assert_eq!(phase_of(&world, "n0"), NodePhase::Succeeded);
}

#[test]
fn of_a_map_that_had_failed_only_the_items_run_that_had_not_succeeded() {
    let sketch = workflow().map("n0", &[], 1.0);
    let mut failed = sketch.started().items("n0", 10);
    failed.send(&chunk_ends("n0", 0, 4, 0, &[2], &plain())).unwrap();
    assert_eq!(failed.execution.phase(), ExecutionPhase::Failed);
    let mut world = sketch.about_to_recover(&failed);
    world.send(&Command::Start).unwrap();
    let world = world.items("n0", 10);
    let pending = world.execution.map_of(&node("n0")).unwrap().pending();
    let ranges: Vec<(u32, u32)> = pending.iter().map(|(range, _)| (range.start, range.end)).collect();
    assert_eq!(ranges, [(2, 3), (4, 10)]);
}

#[test]
fn an_execution_that_a_node_had_launched_is_recovered_itself() {
    let sketch = workflow().launch("n0", &[]);
    let mut failed = sketch.started().inputs(&["n0"]);
    let child = execution_id().child(&node("n0"));
    let outcome = skein_model::command::ChildOutcome::Failed(plain());
    failed.send(&Command::ChildEnded { node: node("n0"), child: child.clone(), outcome }).unwrap();
    let world = sketch.recovering(&failed);
    assert_eq!(world.execution.recovered_child(&node("n0")), Some(&child));
}

#[test]
fn what_was_recovered_can_be_recovered_once_more() {
    let sketch = workflow().task("n0", &[]).task("n1", &["n0"]);
    let mut failed = sketch.advanced();
    failed.advance(&attempt_succeeds("n0", 0)).unwrap();
    failed.advance(&attempt_fails("n1", 0, plain())).unwrap();
    let mut again = sketch.recovering(&failed);
    again.advance(&attempt_fails("n1", 0, plain())).unwrap();
    let third = sketch.recovering(&again);
    assert_eq!(phase_of(&third, "n0"), NodePhase::Recovered);
    assert_eq!(asked_to_run(&third), ["n1"]);
}

#[test]
fn its_journal_alone_gives_its_state() {
    let sketch = workflow().task("n0", &[]).map("n1", &["n0"], 0.5).task("n2", &["n1"]);
    let mut failed = sketch.advanced();
    failed.advance(&attempt_succeeds("n0", 0)).unwrap();
    let world = sketch.recovering(&failed);
    let replayed = world.fold(sketch.plan(), |_, _| {});
    assert_eq!(replayed.differences(&world.execution), Vec::<String>::new());
    let recovered = |event: &Event| matches!(event, Event::NodeRecovered { .. });
    assert!(world.journal.iter().any(recovered));
    assert!(!world.journal.contains(&Event::AttemptQueued {
        node: node("n0"),
        attempt: Attempt(0),
        not_before: None
    }));
}
