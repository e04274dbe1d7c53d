//! The three laws, on random workflows under random, repeated and stale commands.

use super::jobs::job_told;
use super::plans::*;
use proptest::prelude::*;
use skein_core::plan::Gate;
use skein_core::{Effect, Execution, NodeState, Plan, Target};
use skein_model::cache::CacheFound;
use skein_model::command::ChildOutcome;
use skein_model::{Command, Event, TimeLimit, literals};
use std::sync::Arc;

/// One thing that may happen next, chosen by number among what is possible.
#[derive(Clone, Debug)]
struct Step {
    pick: usize,
    kind: u8,
    repeat: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<usize>(), 0_u8..20, any::<bool>()).prop_map(|(pick, kind, repeat)| Step {
        pick,
        kind,
        repeat,
    });
    prop::collection::vec(step, 1..60)
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let node = (0_u8..12, prop::collection::vec(any::<prop::sample::Index>(), 0..3));
    (prop::collection::vec(node, 1..7), 0_u32..3, any::<bool>(), any::<bool>(), 0_u32..3, any::<bool>())
        .prop_map(|(nodes, retries, patient, failure_node, limit, cached)| {
            let mut sketch = workflow().retries(retries).max_parallelism(limit);
            // One of the numbers that are drawn anyway.
            sketch = if retries == 1 { sketch.interruptible() } else { sketch };
            for (place, (kind, upstream)) in nodes.iter().enumerate() {
                let mut ids: Vec<String> =
                    upstream.iter().filter(|_| place > 0).map(|i| format!("n{}", i.index(place))).collect();
                ids.sort();
                ids.dedup();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let id = format!("n{place}");
                sketch = match kind {
                    0..=2 => sketch.task(&id, &ids),
                    3..=4 => sketch.map(&id, &ids, 0.6),
                    5..=6 => sketch.runs(&id, &ids, inner(retries, patient, failure_node)),
                    7..=8 => sketch.branch(&id, &ids),
                    9 => sketch.sleep(&id, &ids),
                    10 => sketch.signal(&id, &ids, "s"),
                    _ => sketch.launch(&id, &ids),
                };
            }
            let sketch = if cached { sketch.cached() } else { sketch };
            let sketch = if patient { sketch.fail_after_executable_nodes() } else { sketch };
            if failure_node { sketch.with_failure_node() } else { sketch }
        })
}

/// A workflow that is run inside another one, with one inside of it.
fn inner(retries: u32, patient: bool, failure_node: bool) -> Sketch {
    let innermost = workflow().task("x", &[]).signal("y", &[], "t");
    let sketch = workflow().task("a", &[]).branch("b", &["a"]).runs("c", &[], innermost).retries(retries);
    let sketch = if patient { sketch.fail_after_executable_nodes() } else { sketch };
    if failure_node { sketch.with_failure_node() } else { sketch }
}

/// Answers one outstanding effect, well or badly.
fn answer(world: &mut World, step: &Step) -> Option<Command> {
    let outstanding = world.execution.outstanding();
    let effect = outstanding.get(step.pick % outstanding.len().max(1));
    if let (Some(Effect::CompileNodes { node, .. }), 1..) = (effect, step.kind) {
        return Some(world.compiled(node.as_str(), &inner(1, false, false)));
    }
    let execution = &world.execution;
    if step.kind == 19 && step.pick.is_multiple_of(7) {
        return Some(Command::Terminate { cause: "c".to_owned(), principal: "p".to_owned() });
    }
    if step.kind == 19 && step.pick.is_multiple_of(5) {
        return Some(time_up(TimeLimit::Execution));
    }
    if step.kind == 19 && step.pick.is_multiple_of(3) {
        let nodes = &execution.plan().nodes;
        let node = nodes[step.pick % nodes.len()].id.clone();
        return Some(time_up(TimeLimit::Node { node }));
    }
    Some(match effect? {
        Effect::ResolveInputs { node } => {
            let place = execution.find(node)?;
            let is_branch = matches!(execution.plan().nodes[place].target, Target::Branch { .. });
            match (execution.is_map(place), step.kind) {
                (_, 0) => Command::InputsFailed { node: node.clone(), failure: plain() },
                (true, kind) => map_inputs(node.as_str(), u32::from(kind % 5)),
                (false, kind) if is_branch => case(node.as_str(), u32::from(kind % 2)),
                (false, _) => inputs(node.as_str()),
            }
        }
        Effect::ResolveInside { node } if step.kind == 0 => {
            Command::InsideFailed { node: node.clone(), failure: plain() }
        }
        Effect::ResolveInside { node } => Command::InsideResolved { node: node.clone(), outputs: outputs() },
        Effect::CompileNodes { node, .. } => Command::NodesRefused { node: node.clone(), failure: plain() },
        Effect::RunChild { node, child } => {
            let outcome = match step.kind {
                0..=2 => ChildOutcome::Failed(plain()),
                3 => ChildOutcome::Aborted("enough".to_owned()),
                _ => ChildOutcome::Succeeded(outputs()),
            };
            Command::ChildEnded { node: node.clone(), child: child.clone(), outcome }
        }
        Effect::Wait { node } if step.kind < 4 => time_up(TimeLimit::Inside { node: node.clone() }),
        Effect::Wait { node } => match &execution.plan().nodes[execution.find(node)?].target {
            Target::Gate(Gate::Signal { id, .. }) => Command::SetSignal {
                signal: id.clone(),
                value: literals::encode_integer(i64::from(step.kind)),
                principal: "p".to_owned(),
            },
            _ => time_up(TimeLimit::Sleep { node: node.clone() }),
        },
        Effect::PassGate { node } => Command::PassGate { node: node.clone() },
        Effect::RunAttempt { node, attempt, .. } => match step.kind {
            0 => attempt_fails(node.as_str(), attempt.0, plain()),
            1..=4 => attempt_fails(node.as_str(), attempt.0, recoverable()),
            5 => attempt_fails(node.as_str(), attempt.0, worker_lost()),
            17 => time_up(TimeLimit::Queued { node: node.clone(), attempt: *attempt }),
            18 => time_up(TimeLimit::Interruptible { node: node.clone(), attempt: *attempt }),
            16 => attempt_makes_nodes(node.as_str(), attempt.0),
            6 => job_told(node.as_str(), attempt.0, step.pick.is_multiple_of(2)),
            7..=8 => Command::AttemptStarted {
                node: node.clone(),
                attempt: *attempt,
                worker: "w".to_owned(),
                place: None,
            },
            _ => attempt_succeeds(node.as_str(), attempt.0),
        },
        Effect::LookUpCache { node, .. } => {
            let found = match step.kind {
                0..=4 => hit(),
                5..=9 => waiting(),
                10 => CacheFound::Failed { reason: "gone".to_owned() },
                11 => CacheFound::Skipped { reserved: true },
                kind => missing(kind.is_multiple_of(2)),
            };
            let key = (step.kind != 10).then_some(KEY);
            Command::CacheLookedUp { node: node.clone(), key, found }
        }
        Effect::StoreCache { node } => stored(node.as_str()),
        Effect::RunItems { node } if step.kind == 18 => {
            let (range, _) = execution.map_of(node)?.pending()[0];
            items_cached(node.as_str(), range.start, range.end, &[range.start])
        }
        Effect::RunItems { node } => {
            let pending = execution.map_of(node)?.pending();
            let (range, attempt) = pending[step.pick % pending.len()];
            let failed: Vec<u32> = if step.kind < 6 { vec![range.start] } else { Vec::new() };
            let failure = if step.kind < 3 { plain() } else { recoverable() };
            chunk_ends(node.as_str(), range.start, range.end, attempt.0, &failed, &failure)
        }
        Effect::AssembleMap { node } => Command::MapAssembled { node: node.clone(), outputs: outputs() },
        Effect::ResolveOutputs if step.kind == 0 => Command::OutputsFailed { failure: plain() },
        Effect::ResolveOutputs => Command::OutputsResolved { outputs: outputs() },
        Effect::HoldReservation { .. } | Effect::ReleaseReservation { .. } | Effect::Withdraw { .. } => {
            return None;
        }
    })
}

/// The effects asked for so far and not answered by any event since: an obvious model of `outstanding`.
fn unanswered(world: &World, first: Arc<Plan>) -> Vec<Effect> {
    let mut open: Vec<Effect> = Vec::new();
    world.fold(first, |execution, event| {
        open.retain(|effect| !answers(execution, event, effect));
        if let Event::AttemptStarted { node, attempt, .. } = event {
            for effect in &mut open {
                if let Effect::RunAttempt { node: of, attempt: number, started, .. } = effect
                    && of == node
                    && number == attempt
                {
                    *started = true;
                }
            }
        }
        open.extend(
            execution
                .effects_of(event)
                .into_iter()
                .filter(|e| !matches!(e, Effect::Withdraw { .. } | Effect::ReleaseReservation { .. })),
        );
    });
    open.sort();
    open
}

fn answers(execution: &Execution, event: &Event, effect: &Effect) -> bool {
    let node = match effect {
        Effect::ResolveOutputs => {
            return matches!(event, Event::Succeeded { .. } | Event::Failing { .. } | Event::Aborting { .. });
        }
        Effect::Withdraw { .. } | Effect::ReleaseReservation { .. } => return true,
        Effect::ResolveInputs { node }
        | Effect::RunAttempt { node, .. }
        | Effect::LookUpCache { node, .. }
        | Effect::StoreCache { node }
        | Effect::HoldReservation { node, .. }
        | Effect::RunItems { node }
        | Effect::AssembleMap { node }
        | Effect::ResolveInside { node }
        | Effect::CompileNodes { node, .. }
        | Effect::RunChild { node, .. }
        | Effect::Wait { node }
        | Effect::PassGate { node } => node,
    };
    let ended = matches!(execution.node(node), Some(NodeState::Ended { .. }));
    let answered = match (effect, event) {
        (Effect::ResolveInputs { .. }, Event::NodeStarted { node: of, .. }) => of == node,
        (
            Effect::RunAttempt { attempt, .. },
            Event::AttemptSucceeded { node: of, attempt: number, .. }
            | Event::AttemptFailed { node: of, attempt: number, .. }
            | Event::AttemptMoved { node: of, attempt: number, .. }
            | Event::AttemptMadeNodes { node: of, attempt: number, .. }
            | Event::AttemptAborted { node: of, attempt: number },
        ) => of == node && number == attempt,
        (Effect::CompileNodes { .. }, Event::NodesMade { node: of, .. }) => of == node,
        // It goes on by another effect.
        (Effect::Wait { .. }, Event::SignalSet { signal, .. }) => {
            let place = execution.find(node).unwrap();
            matches!(&execution.plan().nodes[place].target, Target::Gate(Gate::Signal { id, .. }) if id == signal)
        }
        // What fails inside fails the node, at once or after what handles it.
        (
            Effect::ResolveInside { .. },
            Event::InsideFailing { node: of, .. } | Event::InsideSucceeded { node: of, .. },
        ) => of == node,
        (Effect::LookUpCache { .. }, Event::CacheLookedUp { node: of, .. }) => of == node,
        (
            Effect::RunItems { .. },
            Event::ItemsFinished { node: of, .. } | Event::ItemsCached { node: of, .. },
        ) => of == node && execution.map_of(node).is_some_and(|map| map.is_complete()),
        _ => false,
    };
    ended || answered
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_three_laws_hold(sketch in sketch(), steps in steps(), at_once in any::<bool>()) {
        let mut world = sketch.created();
        let send = if at_once { World::advance } else { World::send };
        send(&mut world, &Command::Start).unwrap();
        let mut sent: Vec<Command> = vec![Command::Start];
        for step in &steps {
            let command = if step.repeat && step.kind % 3 == 0 {
                sent[step.pick % sent.len()].clone()
            } else {
                let Some(command) = answer(&mut world, step) else { break };
                command
            };
            if send(&mut world, &command).is_ok() {
                // Once: decided again after its events, it yields none (or is refused, having ended the execution).
                let again = world.execution.decide(&command, NOW);
                prop_assert!(matches!(again.as_deref(), Ok([]) | Err(_)), "{command:?} again gave {again:?}");
                let advanced = world.execution.clone().advance(&command, NOW);
                prop_assert!(advanced.is_ok_and(|again| again.events.is_empty()) || again.is_err());
            }
            sent.push(command);

            // Nothing lost. What was answered at once was asked for and answered within one transition.
            let mut outstanding = world.execution.outstanding();
            outstanding.sort();
            prop_assert_eq!(&outstanding, &unanswered(&world, sketch.plan()));

            // An execution that has not ended waits for something.
            prop_assert!(world.execution.phase().is_terminal() || !outstanding.is_empty());
        }
        // Replay.
        let replayed = world.fold(sketch.plan(), |_, _| {});
        prop_assert_eq!(format!("{replayed:?}"), format!("{:?}", world.execution));
        prop_assert_eq!(replayed.differences(&world.execution), Vec::<String>::new());
    }
}
