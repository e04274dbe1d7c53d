//! Whatever goes wrong, and however often: who pays for it, and that it ends.

use super::plans::*;
use proptest::prelude::*;
use skein_core::retry::{INTERRUPTIONS, SYSTEM_RETRIES};
use skein_model::{Charge, Event, ExecutionPhase, Failure, FailureCause};
use std::collections::BTreeMap;

/// Everything that can be observed when an attempt ends without success.
fn causes() -> impl Strategy<Value = FailureCause> {
    prop_oneof![
        any::<bool>().prop_map(|recoverable| FailureCause::TaskRaised { recoverable }),
        any::<bool>().prop_map(|recoverable| FailureCause::SdkFault { recoverable }),
        (1_i32..=255).prop_map(FailureCause::ExitCode),
        (1_i32..=64).prop_map(FailureCause::Signal),
        Just(FailureCause::OutOfMemory),
        Just(FailureCause::OutputsNotFound),
        Just(FailureCause::OutputsUnreadable),
        Just(FailureCause::TimedOut),
        Just(FailureCause::WorkerLost),
        Just(FailureCause::Interrupted),
        Just(FailureCause::StartFailed),
        Just(FailureCause::InputsUnresolvable),
        Just(FailureCause::InvalidRequest),
    ]
}

fn failures() -> impl Strategy<Value = Vec<Failure>> {
    let charge = prop_oneof![Just(Charge::User), Just(Charge::System), Just(Charge::Interruption)];
    let failure = (causes(), charge).prop_map(|(cause, charge)| Failure {
        code: "C".to_owned(),
        message: "m".to_owned(),
        cause,
        charge,
    });
    prop::collection::vec(failure, 1..40)
}

/// How many tries each budget pays for, the first included.
fn budgets(retries: u32) -> [(Charge, u32); 3] {
    [
        (Charge::User, retries + 1),
        (Charge::System, SYSTEM_RETRIES + 1),
        (Charge::Interruption, INTERRUPTIONS + 1),
    ]
}

/// The failure after which there is no further try, by an obvious model: it cannot go differently another time, or its own budget
/// is used up. `failures` go on from the beginning when they are through.
fn last_of(failures: &[Failure], retries: u32) -> usize {
    let mut spent = BTreeMap::new();
    for (place, failure) in failures.iter().cycle().enumerate() {
        let number = failure.charge as u32;
        let used = spent.entry(number).or_insert(0);
        *used += 1;
        let of = budgets(retries).into_iter().find(|(charge, _)| *charge == failure.charge);
        if !failure.is_retryable() || of.is_some_and(|(_, most)| *used == most) {
            return place;
        }
    }
    unreachable!("each failure is charged to a budget, and each has an end")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_task_is_tried_until_a_budget_of_its_own_is_used_up_and_then_the_execution_ends(
        failures in failures(),
        retries in 0_u32..4,
        interruptible in any::<bool>(),
    ) {
        let sketch = workflow().task("n0", &[]).retries(retries);
        let sketch = if interruptible { sketch.interruptible() } else { sketch };
        let mut world = sketch.started().inputs(&["n0"]);
        let last = last_of(&failures, retries);
        for (attempt, failure) in (0_u32..).zip(failures.iter().cycle().take(last + 1)) {
            prop_assert!(!world.execution.phase().is_terminal(), "it ended before try {attempt}");
            world.send(&attempt_fails("n0", attempt, failure.clone())).unwrap();
        }
        prop_assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
        let charged = |charge| {
            let is_so = |event: &&Event| {
                matches!(event, Event::AttemptFailed { failure, .. } if failure.charge == charge)
            };
            world.journal.iter().filter(is_so).count()
        };
        for (charge, most) in budgets(retries) {
            let given = failures.iter().cycle().take(last + 1).filter(|failure| failure.charge == charge);
            prop_assert_eq!(charged(charge), given.count(), "each is charged as it was observed");
            prop_assert!(charged(charge) <= most as usize);
        }
        let ended = failures.iter().cycle().nth(last).map(|failure| failure.charge);
        prop_assert_eq!(world.execution.failure().map(|failure| failure.charge), ended);
    }

    #[test]
    fn an_item_of_a_map_pays_for_its_own_failures_alone(
        failures in failures(),
        others in failures(),
        retries in 0_u32..4,
    ) {
        let mut world = workflow().map("n0", &[], 0.1).retries(retries).started().items("n0", 2);
        let mut tries = [0_usize; 2];
        while let Some(map) = world.execution.map_of(&node("n0")) {
            let Some((range, attempt)) = map.pending().first().copied() else { break };
            let item = range.start;
            let of = if item == 0 { &failures } else { &others };
            let failure = of.iter().cycle().nth(tries[item as usize]).unwrap().clone();
            tries[item as usize] += 1;
            let chunk = chunk_ends("n0", item, item + 1, attempt.0, &[item], &failure);
            world.send(&chunk).unwrap();
        }
        let expected = [last_of(&failures, retries) + 1, last_of(&others, retries) + 1];
        prop_assert_eq!(tries, expected);
        prop_assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
    }
}
