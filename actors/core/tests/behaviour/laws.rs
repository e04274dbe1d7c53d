//! The three laws, on random workflows under random, repeated and stale commands.

use super::jobs::job_told;
use super::plans::*;
use proptest::prelude::*;
use skein_core::{Effect, Execution, NodeState};
use skein_model::cache::CacheFound;
use skein_model::{Command, Event, TimeLimit};

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
    let node = (any::<bool>(), prop::collection::vec(any::<prop::sample::Index>(), 0..3));
    (prop::collection::vec(node, 1..7), 0_u32..3, any::<bool>(), any::<bool>(), 0_u32..3, any::<bool>())
        .prop_map(|(nodes, retries, patient, failure_node, limit, cached)| {
            let mut sketch = workflow().retries(retries).max_parallelism(limit);
            // One of the numbers that are drawn anyway.
            sketch = if retries == 1 { sketch.interruptible() } else { sketch };
            for (place, (is_map, upstream)) in nodes.iter().enumerate() {
                let mut ids: Vec<String> =
                    upstream.iter().filter(|_| place > 0).map(|i| format!("n{}", i.index(place))).collect();
                ids.sort();
                ids.dedup();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let id = format!("n{place}");
                sketch = if *is_map { sketch.map(&id, &ids, 0.6) } else { sketch.task(&id, &ids) };
            }
            let sketch = if cached { sketch.cached() } else { sketch };
            let sketch = if patient { sketch.fail_after_executable_nodes() } else { sketch };
            if failure_node { sketch.with_failure_node() } else { sketch }
        })
}

/// Answers one outstanding effect, well or badly.
fn answer(execution: &Execution, step: &Step) -> Option<Command> {
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
    let outstanding = execution.outstanding();
    let effect = outstanding.get(step.pick % outstanding.len().max(1))?;
    Some(match effect {
        Effect::ResolveInputs { node } => {
            let place = execution.plan().find(node)?;
            match (execution.is_map(place), step.kind) {
                (_, 0) => Command::InputsFailed { node: node.clone(), failure: plain() },
                (true, kind) => map_inputs(node.as_str(), u32::from(kind % 5)),
                (false, _) => inputs(node.as_str()),
            }
        }
        Effect::RunAttempt { node, attempt, .. } => match step.kind {
            0 => attempt_fails(node.as_str(), attempt.0, plain()),
            1..=4 => attempt_fails(node.as_str(), attempt.0, recoverable()),
            5 => attempt_fails(node.as_str(), attempt.0, worker_lost()),
            17 => time_up(TimeLimit::Queued { node: node.clone(), attempt: *attempt }),
            18 => time_up(TimeLimit::Interruptible { node: node.clone(), attempt: *attempt }),
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
fn unanswered(world: &World) -> Vec<Effect> {
    let mut open: Vec<Effect> = Vec::new();
    let mut execution = Execution::new(world.execution.plan().clone());
    for event in &world.journal {
        execution.apply(event);
        open.retain(|effect| !answers(&execution, event, effect));
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
    }
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
        | Effect::AssembleMap { node } => node,
    };
    let ended = matches!(execution.node(node), Some(NodeState::Ended { .. }));
    let answered = match (effect, event) {
        (Effect::ResolveInputs { .. }, Event::NodeStarted { node: of, .. }) => of == node,
        (
            Effect::RunAttempt { attempt, .. },
            Event::AttemptSucceeded { node: of, attempt: number, .. }
            | Event::AttemptFailed { node: of, attempt: number, .. }
            | Event::AttemptMoved { node: of, attempt: number, .. }
            | Event::AttemptAborted { node: of, attempt: number },
        ) => of == node && number == attempt,
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
                let Some(command) = answer(&world.execution, step) else { break };
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
            prop_assert_eq!(&outstanding, &unanswered(&world));

            // An execution that has not ended waits for something.
            prop_assert!(world.execution.phase().is_terminal() || !outstanding.is_empty());
        }
        // Replay.
        let mut replayed = Execution::new(sketch.plan());
        for event in &world.journal {
            replayed.apply(event);
        }
        prop_assert_eq!(format!("{replayed:?}"), format!("{:?}", world.execution));
        prop_assert_eq!(replayed.differences(&world.execution), Vec::<String>::new());
    }
}
