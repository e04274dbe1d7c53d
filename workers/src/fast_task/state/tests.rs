//! What is decided about workers and their tasks, as examples and as laws.

use super::*;
use proptest::prelude::*;

const START: Duration = Duration::from_secs(1_000);

fn at(seconds: u64) -> Duration {
    START + Duration::from_secs(seconds)
}

fn capacity(slots: i32, backlog: i32) -> Option<Capacity> {
    Some(Capacity { execution_limit: slots, backlog_limit: backlog, ..Capacity::default() })
}

fn heartbeat(worker: &str, slots: i32, backlog: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        worker_id: worker.to_owned(),
        queue_id: "q".to_owned(),
        capacity: capacity(slots, backlog),
        task_statuses: Vec::new(),
    }
}

fn status(task: &str, phase: i32) -> TaskStatus {
    TaskStatus { task_id: task.to_owned(), phase, reason: "because".to_owned(), ..TaskStatus::default() }
}

fn saying(worker: &str, statuses: &[(&str, i32)]) -> HeartbeatRequest {
    let task_statuses = statuses.iter().map(|(task, phase)| status(task, *phase)).collect();
    HeartbeatRequest { task_statuses, ..heartbeat(worker, 1, 0) }
}

/// Workers `a`, `b` and so on, each on the stream of its place, with these slots and backlogs.
fn with(rooms: &[(i32, i32)]) -> State {
    let mut state = State::default();
    for (stream, (name, (slots, backlog))) in (0..).zip(["a", "b", "c"].into_iter().zip(rooms)) {
        state.opens(stream, START);
        state.hears(stream, heartbeat(name, *slots, *backlog), START).expect("a good heartbeat");
    }
    state
}

fn assigned(state: &mut State, task: &str, now: Duration) -> Option<String> {
    let worker = state.keep(task.to_owned(), "q", now)?.worker;
    let message = HeartbeatResponse { task_id: task.to_owned(), ..HeartbeatResponse::default() };
    state.assign(message, now).map(|_| worker)
}

/// What was said, in short: `0 DELETE t`, `t Finished`.
fn short(actions: &[Action]) -> Vec<String> {
    let one = |action: &Action| match action {
        Action::Send(stream, message) => {
            format!("{stream} {} {}", message.operation().as_str_name(), message.task_id)
        }
        Action::Tell(task, Verdict::Failed { is_permanent, is_systems, .. }) => {
            format!("{task} Failed {is_permanent} {is_systems}")
        }
        Action::Tell(task, Verdict::Lost(_)) => format!("{task} Lost"),
        Action::Tell(task, verdict) => format!("{task} {verdict:?}"),
        Action::Close(stream, _) => format!("{stream} closed"),
        Action::Joined(key, _) => format!("{} joined", key.worker),
        Action::Left(key) => format!("{} left", key.worker),
        Action::Odd { task, phase, .. } => format!("{task} odd {phase}"),
    };
    actions.iter().map(one).collect()
}

fn hears(state: &mut State, stream: StreamId, said: HeartbeatRequest, now: Duration) -> Vec<String> {
    short(&state.hears(stream, said, now).expect("a good heartbeat"))
}

#[test]
fn free_slots_go_first_in_the_order_of_the_workers_and_then_their_backlogs() {
    let mut state = with(&[(1, 1), (2, 0), (1, 1)]);
    let order: Vec<_> = (0..7).map(|n| assigned(&mut state, &format!("t{n}"), START)).collect();
    let told = ["a", "b", "b", "c", "a", "c"].map(|name| Some(name.to_owned()));
    assert_eq!(order[..6], told);
    assert_eq!((order[6].as_deref(), state.has_room()), (None, false), "all are full");
    assert_eq!(hears(&mut state, 1, saying("b", &[("t1", 6)]), START), ["t1 Finished", "1 DELETE t1"]);
}

#[test]
fn a_task_goes_to_workers_of_its_own_environment_alone() {
    let mut state = with(&[(1, 0)]);
    assert!(state.serves("q") && !state.serves("q2") && !state.serves(""));
    assert_eq!(state.keep("t".to_owned(), "q2", START), None);
}

#[test]
fn a_worker_that_takes_nothing_keeps_nobody_from_running_tasks() {
    assert!(!with(&[(0, 0)]).serves("q"));
}

#[test]
fn a_task_begins_once_and_is_acknowledged_until_its_end() {
    let mut state = with(&[(1, 0)]);
    assigned(&mut state, "t", START);
    assert_eq!(hears(&mut state, 0, saying("a", &[("t", 3)]), at(1)), ["0 ACK t"]);
    assert_eq!(hears(&mut state, 0, saying("a", &[("t", 5)]), at(2)), ["t Began", "0 ACK t"]);
    assert_eq!(hears(&mut state, 0, saying("a", &[("t", 5), ("t", 3)]), at(3)), ["0 ACK t", "0 ACK t"]);
    assert_eq!(hears(&mut state, 0, saying("a", &[("t", 6)]), at(4)), ["t Finished", "0 DELETE t"]);
    assert_eq!(hears(&mut state, 0, saying("a", &[("t", 6), ("t", 5)]), at(5)), ["0 DELETE t", "0 DELETE t"]);
    assert!(state.has_room(), "and its slot is free");
}

#[test]
fn how_a_task_failed_is_told_apart() {
    for (phase, is_systems, told) in [
        (7, false, "t Failed false false"),
        (7, true, "t Failed false true"),
        (8, false, "t Failed true false"),
        (10, false, "t Lost"),
    ] {
        let mut state = with(&[(1, 0)]);
        assigned(&mut state, "t", START);
        let mut said = saying("a", &[("t", phase)]);
        said.task_statuses[0].system_failure = is_systems;
        assert_eq!(hears(&mut state, 0, said, at(1)), [told, "0 DELETE t"]);
    }
}

#[test]
fn a_phase_that_there_is_not_changes_nothing_and_is_noted() {
    let mut state = with(&[(1, 0)]);
    assigned(&mut state, "t", START);
    for phase in [0, 9, 11, -1, i32::MIN, i32::MAX] {
        assert_eq!(hears(&mut state, 0, saying("a", &[("t", phase)]), at(1)), [format!("t odd {phase}")]);
    }
    assert_eq!(hears(&mut state, 0, saying("a", &[("t", 6)]), at(2)), ["t Finished", "0 DELETE t"]);
}

#[test]
fn what_nobody_knows_or_another_worker_has_is_deleted() {
    let mut state = with(&[(1, 0), (1, 0)]);
    assigned(&mut state, "t", START);
    state.keep("kept".to_owned(), "q", START);
    assert_eq!(hears(&mut state, 1, saying("b", &[("t", 6), ("u", 5)]), at(1)), ["1 DELETE t", "1 DELETE u"]);
    assert_eq!(
        hears(&mut state, 1, saying("b", &[("kept", 6)]), at(1)),
        ["1 DELETE kept"],
        "it has it not yet"
    );
    assert_eq!(hears(&mut state, 0, saying("a", &[("t", 6)]), at(2)), ["t Finished", "0 DELETE t"]);
}

#[test]
fn a_worker_that_comes_again_goes_on_with_what_it_has() {
    let mut state = with(&[(1, 0)]);
    assigned(&mut state, "t", START);
    assert_eq!(short(&state.leaves(0, at(1))), ["a left"]);
    assert!(!state.serves("q"), "meanwhile others may run its tasks");
    assert_eq!(short(&state.passes(at(29))), [""; 0]);
    state.opens(7, at(30));
    assert_eq!(hears(&mut state, 7, saying("a", &[("t", 5)]), at(30)), ["a joined", "t Began", "7 ACK t"]);
    assert_eq!(short(&state.passes(at(60))), [""; 0]);
}

#[test]
fn the_later_of_two_streams_of_a_worker_counts() {
    let mut state = with(&[(1, 0)]);
    assigned(&mut state, "t", START);
    state.opens(7, at(1));
    assert_eq!(hears(&mut state, 7, heartbeat("a", 1, 0), at(1)), ["0 closed", "a joined"]);
    let refused = state.hears(0, heartbeat("a", 1, 0), at(2)).expect_err("it was closed");
    assert!(refused.contains("another stream"), "{refused}");
    assert_eq!(short(&state.leaves(0, at(3))), [""; 0]);
    assert!(state.serves("q"));
    assert_eq!(hears(&mut state, 7, saying("a", &[("t", 6)]), at(4)), ["t Finished", "7 DELETE t"]);
}

#[test]
fn a_task_is_lost_when_its_worker_says_nothing_of_it_or_stays_away() {
    let mut state = with(&[(2, 0)]);
    for task in ["t", "u"] {
        assigned(&mut state, task, START);
    }
    let only_t = HeartbeatRequest { capacity: capacity(2, 0), ..saying("a", &[("t", 5)]) };
    assert_eq!(hears(&mut state, 0, only_t, at(89)), ["t Began", "0 ACK t"]);
    assert_eq!(short(&state.passes(at(89))), [""; 0]);
    assert_eq!(short(&state.passes(at(90))), ["0 DELETE u", "u Lost"]);
    state.leaves(0, at(100));
    assert_eq!(short(&state.passes(at(129))), [""; 0]);
    assert_eq!(short(&state.passes(at(130))), ["t Lost"]);
}

#[test]
fn a_stream_on_which_nothing_is_said_is_ended() {
    let mut state = with(&[(1, 0)]);
    state.opens(7, at(10));
    assert_eq!(short(&state.passes(at(90))), ["0 closed", "a left"]);
    assert_eq!(short(&state.passes(at(100))), ["7 closed"]);
    assert_eq!(state.streams(), 0);
}

#[test]
fn what_nobody_wants_any_more_is_deleted_and_its_end_told_to_nobody() {
    let mut state = with(&[(1, 0)]);
    assigned(&mut state, "t", START);
    let given_up: Vec<_> = state.gives_up("t").into_iter().collect();
    assert_eq!(short(&given_up), ["0 DELETE t"]);
    assert_eq!(state.gives_up("t"), None);
    assert_eq!(hears(&mut state, 0, saying("a", &[("t", 6)]), at(1)), ["0 DELETE t"]);
}

#[test]
fn a_place_whose_worker_went_away_is_none() {
    let mut state = with(&[(1, 0)]);
    state.keep("t".to_owned(), "q", START);
    state.leaves(0, at(1));
    let message = HeartbeatResponse { task_id: "t".to_owned(), ..HeartbeatResponse::default() };
    assert_eq!(state.assign(message, at(1)), None);
    assert_eq!(state.gives_up("t"), None);
}

#[test]
fn a_bad_heartbeat_is_refused_naming_its_field() {
    let mut state = with(&[(1, 0)]);
    let good = heartbeat("a", 1, 0);
    for (said, named) in [
        (HeartbeatRequest { worker_id: String::new(), ..good.clone() }, "worker_id is empty"),
        (HeartbeatRequest { queue_id: String::new(), ..good.clone() }, "queue_id is empty"),
        (HeartbeatRequest { queue_id: "q".repeat(1_025), ..good.clone() }, "queue_id has 1025 bytes"),
        (heartbeat("b", 1, 0), "this stream is of worker_id \"a\""),
        (heartbeat("a", -1, 0), "capacity.execution_limit is -1; it has to be 0 or more"),
        (heartbeat("a", 1, i32::MIN), "capacity.backlog_limit is -2147483648"),
    ] {
        let refused = state.hears(0, said, START).expect_err(named);
        assert!(refused.contains(named), "{refused}");
    }
    let silent = HeartbeatRequest { capacity: None, ..good };
    assert_eq!(hears(&mut state, 0, silent, START), [""; 0], "what is not said is as it was");
    assert!(state.has_room());
}

#[derive(Clone, Debug)]
enum Step {
    Joins(u8),
    Leaves(u8),
    Says(u8, u8, i32),
    Offers,
    GivesUp(u8),
    Passes(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_u8).prop_map(Step::Joins),
        (0..3_u8).prop_map(Step::Leaves),
        (0..3_u8, 0..12_u8, -1..12_i32).prop_map(|(worker, task, phase)| Step::Says(worker, task, phase)),
        Just(Step::Offers),
        (0..12_u8).prop_map(Step::GivesUp),
        (0..60_u8).prop_map(Step::Passes),
    ]
}

proptest! {
    /// Whatever is said in whichever order: no worker has more than it takes, every task that was assigned ends once and is told so
    /// once unless it was given up, and when nobody says anything any more all have.
    #[test]
    fn every_task_ends_once(steps in proptest::collection::vec(step(), 0..120)) {
        let (mut state, mut now, mut streams, mut offered) = (State::default(), START, 0, 0_u8);
        let mut of_worker: [Option<StreamId>; 3] = [None; 3];
        let (mut open, mut ended) = (BTreeSet::new(), BTreeSet::new());
        for step in steps.into_iter().chain((0..4).map(|_| Step::Passes(59))) {
            let actions = match step {
                Step::Joins(worker) => {
                    streams += 1;
                    state.opens(streams, now);
                    of_worker[usize::from(worker)] = Some(streams);
                    state.hears(streams, heartbeat(&worker.to_string(), 2, 1), now).expect("a good heartbeat")
                }
                Step::Leaves(worker) => {
                    of_worker[usize::from(worker)].take().map_or_else(Vec::new, |stream| state.leaves(stream, now))
                }
                Step::Says(worker, task, phase) => {
                    let said = HeartbeatRequest { capacity: capacity(2, 1), ..saying(&worker.to_string(), &[(&task.to_string(), phase)]) };
                    let stream = of_worker[usize::from(worker)];
                    stream.and_then(|stream| state.hears(stream, said, now).ok()).unwrap_or_default()
                }
                Step::Offers => {
                    if assigned(&mut state, &offered.to_string(), now).is_some() {
                        open.insert(offered.to_string());
                        offered += 1;
                    }
                    Vec::new()
                }
                Step::GivesUp(task) => {
                    let action = state.gives_up(&task.to_string());
                    open.remove(&task.to_string());
                    action.into_iter().collect()
                }
                Step::Passes(seconds) => {
                    now += Duration::from_secs(seconds.into());
                    state.passes(now)
                }
            };
            for action in actions {
                if let Action::Tell(task, verdict) = action {
                    prop_assert!(open.contains(&task), "{task} is told {verdict:?}");
                    if verdict != Verdict::Began {
                        open.remove(&task);
                        prop_assert!(ended.insert(task));
                    }
                }
            }
            for worker in 0..3 {
                let has = state.tasks.values().filter(|task| task.worker.worker == worker.to_string()).count();
                prop_assert!(has <= 3);
            }
        }
        prop_assert!(open.is_empty(), "{open:?} never ended");
    }
}
