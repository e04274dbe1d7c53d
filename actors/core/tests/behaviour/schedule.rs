//! Whose work goes first, and what has to wait.

use proptest::prelude::*;
use skein_core::schedule::{Claim, Limit, Schedule};
use std::collections::{BTreeMap, BTreeSet};

fn claim(project: &str, execution: &str, node: &str) -> Claim {
    Claim {
        project: project.to_owned(),
        execution: execution.to_owned(),
        node: node.to_owned(),
        priority: 0,
        weight: 1,
        limits: Vec::new(),
        micros: 1_000,
    }
}

fn limit(key: &str, most: u32) -> Vec<Limit> {
    vec![Limit { key: key.to_owned(), most, takes: 1 }]
}

/// Offers `count` pieces of work, numbered from `first`.
fn offer(schedule: &mut Schedule<u32>, first: u32, count: u32, claim: &Claim) {
    for key in first..first + count {
        assert!(schedule.offer(key, claim.clone()));
    }
}

/// Runs what comes next, one after the other, on one slot.
fn run(schedule: &mut Schedule<u32>, count: usize) -> Vec<u32> {
    let mut ran = Vec::new();
    while ran.len() < count
        && let Some(chosen) = schedule.choose()
    {
        schedule.end(&chosen.key, None);
        ran.push(chosen.key);
    }
    ran
}

fn of(ran: &[u32], from: u32, to: u32) -> usize {
    ran.iter().filter(|key| (from..to).contains(key)).count()
}

#[test]
fn work_of_one_node_runs_in_the_order_in_which_it_came() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 5, &claim("p", "e", "n"));
    assert_eq!(run(&mut schedule, 9), [0, 1, 2, 3, 4]);
    assert_eq!(schedule.choose(), None);
}

#[test]
fn what_was_handed_out_before_counts_as_running_until_it_ends() {
    let mut schedule = Schedule::default();
    let limited = Claim { limits: limit("k", 1), ..claim("p", "e", "n") };
    assert!(schedule.adopt(0, limited.clone()));
    assert!(!schedule.adopt(0, limited.clone()), "it is there");
    assert!(!schedule.offer(0, limited.clone()), "it is there");
    offer(&mut schedule, 1, 1, &limited);
    offer(&mut schedule, 2, 1, &claim("p", "other", "n"));
    let next = schedule.choose().expect("the other has no limit");
    assert_eq!((next.key, next.rank), (2, 0));
    assert_eq!(schedule.choose(), None, "the limit is used up");
    assert!(schedule.end(&0, None));
    assert_eq!(schedule.choose().map(|chosen| chosen.key), Some(1));
}

#[test]
fn what_is_there_already_is_not_taken_twice() {
    let mut schedule = Schedule::default();
    assert!(schedule.offer(1, claim("p", "e", "n")));
    assert!(!schedule.offer(1, claim("p", "e", "n")));
    assert!(schedule.choose().is_some());
    assert!(!schedule.offer(1, claim("p", "e", "n")), "it runs");
    assert!(schedule.end(&1, None));
    assert!(!schedule.end(&1, None));
    assert!(schedule.offer(1, claim("p", "e", "n")), "it is to run again");
}

#[test]
fn a_single_task_goes_before_the_next_chunk_of_a_map() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 100, &claim("p", "map", "n"));
    let running = [schedule.choose(), schedule.choose()].map(|chosen| chosen.expect("there is work"));
    assert_eq!(running.map(|chosen| chosen.rank), [0, 1]);
    offer(&mut schedule, 500, 1, &claim("p", "single", "n"));
    let next = schedule.choose().expect("there is work");
    assert_eq!((next.key, next.rank), (500, 0));
}

#[test]
fn projects_share_evenly_however_many_executions_they_have() {
    let mut schedule = Schedule::default();
    for execution in 0..50 {
        offer(&mut schedule, execution * 10, 10, &claim("many", &execution.to_string(), "n"));
    }
    offer(&mut schedule, 1_000, 100, &claim("one", "e", "n"));
    let ran = run(&mut schedule, 100);
    assert_eq!(of(&ran, 1_000, 1_100), 50);
}

#[test]
fn nodes_share_by_weight() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 100, &Claim { weight: 3, ..claim("p", "e", "heavy") });
    offer(&mut schedule, 100, 100, &claim("p", "e", "light"));
    let ran = run(&mut schedule, 80);
    assert_eq!(of(&ran, 0, 100), 60);
}

#[test]
fn who_takes_longer_gets_as_much_time_and_not_as_many_turns() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 100, &Claim { micros: 9_000, ..claim("p", "long", "n") });
    offer(&mut schedule, 100, 100, &claim("p", "short", "n"));
    let ran = run(&mut schedule, 100);
    assert!((9..=11).contains(&of(&ran, 0, 100)), "{}", of(&ran, 0, 100));
}

#[test]
fn what_it_took_counts_and_not_what_was_expected() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 100, &claim("p", "long", "n"));
    offer(&mut schedule, 100, 100, &claim("p", "short", "n"));
    let mut ran = Vec::new();
    while ran.len() < 100 {
        let key = schedule.choose().expect("there is work").key;
        schedule.end(&key, Some(if key < 100 { 9_000 } else { 1_000 }));
        ran.push(key);
    }
    assert!((9..=11).contains(&of(&ran, 0, 100)), "{}", of(&ran, 0, 100));
}

#[test]
fn who_comes_late_owes_nothing_and_is_owed_nothing() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 1_000, &claim("p", "early", "n"));
    run(&mut schedule, 500);
    offer(&mut schedule, 5_000, 100, &claim("p", "late", "n"));
    let ran = run(&mut schedule, 100);
    assert!((49..=51).contains(&of(&ran, 5_000, 5_100)), "{}", of(&ran, 5_000, 5_100));
}

#[test]
fn a_higher_priority_goes_before_all_that_is_fair() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 3, &claim("p", "e", "n"));
    offer(&mut schedule, 10, 3, &Claim { priority: 5, ..claim("p", "e", "urgent") });
    offer(&mut schedule, 20, 3, &Claim { priority: -5, ..claim("q", "e", "idle") });
    assert_eq!(run(&mut schedule, 9), [10, 11, 12, 0, 1, 2, 20, 21, 22]);
}

#[test]
fn no_more_runs_than_a_limit_allows_and_others_go_past_what_waits() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 5, &Claim { limits: limit("db", 2), ..claim("p", "a", "n") });
    offer(&mut schedule, 10, 1, &Claim { limits: limit("db", 2), ..claim("p", "b", "n") });
    offer(&mut schedule, 20, 1, &claim("p", "c", "n"));
    let mut taken = BTreeSet::new();
    while let Some(chosen) = schedule.choose() {
        taken.insert(chosen.key);
    }
    assert_eq!(taken, BTreeSet::from([0, 10, 20]));
    schedule.end(&10, None);
    assert_eq!(schedule.choose().map(|chosen| chosen.key), Some(1));
    assert_eq!(schedule.choose(), None);
}

#[test]
fn work_that_nobody_wants_any_more_frees_what_it_held() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 3, &Claim { limits: limit("db", 1), ..claim("p", "a", "n") });
    assert_eq!(schedule.choose().map(|chosen| chosen.key), Some(0));
    assert_eq!(schedule.choose(), None);
    assert!(schedule.end(&1, None), "it waits");
    assert!(schedule.end(&0, None), "it runs");
    assert_eq!(schedule.choose().map(|chosen| chosen.key), Some(2));
}

fn several(key: &str, most: u32, takes: u32) -> Vec<Limit> {
    vec![Limit { key: key.to_owned(), most, takes }]
}

#[test]
fn who_needs_several_places_at_once_is_not_overtaken_for_ever_by_those_who_need_one() {
    let mut schedule = Schedule::default();
    let next = |schedule: &mut Schedule<u32>| schedule.choose().map(|chosen| chosen.key);
    offer(&mut schedule, 0, 2, &Claim { limits: several("gpu", 2, 1), ..claim("p", "small", "n") });
    assert_eq!((next(&mut schedule), next(&mut schedule)), (Some(0), Some(1)));
    offer(&mut schedule, 10, 1, &Claim { limits: several("gpu", 2, 2), ..claim("p", "large", "n") });
    assert_eq!(next(&mut schedule), None);
    schedule.end(&0, None);
    assert_eq!(next(&mut schedule), None, "one is free, and kept for it");
    offer(&mut schedule, 20, 1, &Claim { limits: several("gpu", 2, 1), ..claim("p", "later", "n") });
    offer(&mut schedule, 30, 1, &claim("p", "other", "n"));
    assert_eq!(next(&mut schedule), Some(30), "who needs none goes past");
    assert_eq!(next(&mut schedule), None);
    schedule.end(&1, None);
    assert_eq!(next(&mut schedule), Some(10));
    assert_eq!(next(&mut schedule), None);
    schedule.end(&10, None);
    assert_eq!(next(&mut schedule), Some(20));
}

#[test]
fn who_needs_more_places_than_there_are_has_all_of_them() {
    let mut schedule = Schedule::default();
    offer(&mut schedule, 0, 2, &Claim { limits: several("gpu", 2, 5), ..claim("p", "e", "n") });
    assert_eq!(schedule.choose().map(|chosen| chosen.key), Some(0));
    assert_eq!(schedule.choose(), None);
    schedule.end(&0, None);
    assert_eq!(schedule.choose().map(|chosen| chosen.key), Some(1));
}

proptest! {
    #[test]
    fn what_takes_several_places_keeps_the_limits_and_all_of_it_runs_in_the_end(
        steps in steps(),
        most in 1..5_u32,
    ) {
        let mut schedule = Schedule::default();
        let (mut takes, mut waiting, mut running) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let next = |schedule: &mut Schedule<u32>, waiting: &mut BTreeSet<u32>, running: &mut BTreeSet<u32>, takes: &BTreeMap<u32, u32>| {
            let Some(chosen) = schedule.choose() else { return running.is_empty() && !waiting.is_empty() };
            waiting.remove(&chosen.key);
            running.insert(chosen.key);
            let used: u32 = running.iter().map(|key| takes[key]).sum();
            assert!(used <= most, "{used} of {most}");
            false
        };
        for step in steps {
            match step {
                Step::Offer { execution, node, micros } => {
                    let key = u32::try_from(takes.len()).expect("few");
                    let needs = u32::from(node) % (most + 1);
                    let mut limits = if needs == 0 { Vec::new() } else { several("all", most, needs) };
                    if needs > 0 && node % 2 == 1 {
                        limits.insert(0, Limit { key: "kind".to_owned(), most, takes: needs });
                    }
                    let named = claim("p", &execution.to_string(), &node.to_string());
                    let priority = i32::from(execution) % 2;
                    schedule.offer(key, Claim { priority, limits, micros, ..named });
                    takes.insert(key, needs);
                    waiting.insert(key);
                }
                Step::Next => {
                    prop_assert!(!next(&mut schedule, &mut waiting, &mut running, &takes), "stuck");
                }
                Step::End { which, micros } => {
                    if let Some(key) = pick(&running, which) {
                        running.remove(&key);
                        schedule.end(&key, Some(micros));
                    }
                }
                Step::Drop { which } => {
                    if let Some(key) = pick(&waiting, which) {
                        waiting.remove(&key);
                        schedule.end(&key, None);
                    }
                }
            }
        }
        while !(waiting.is_empty() && running.is_empty()) {
            prop_assert!(!next(&mut schedule, &mut waiting, &mut running, &takes), "stuck");
            if let Some(key) = pick(&running, 0) {
                running.remove(&key);
                schedule.end(&key, None);
            }
        }
        prop_assert_eq!(schedule.ready(), 0);
    }
}

/// One step of somebody's use of a schedule.
#[derive(Clone, Debug)]
enum Step {
    Offer { execution: u8, node: u8, micros: u64 },
    Next,
    End { which: usize, micros: u64 },
    Drop { which: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offer = (0..4_u8, 0..6_u8, 1..50_000_u64);
    let offer = offer.prop_map(|(execution, node, micros)| Step::Offer { execution, node, micros });
    let end = (any::<usize>(), 1..100_000_u64).prop_map(|(which, micros)| Step::End { which, micros });
    let step = prop_oneof![
        4 => offer,
        4 => Just(Step::Next),
        3 => end,
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
    ];
    proptest::collection::vec(step, 0..120)
}

/// What a schedule has to hold, kept the slow and plain way.
#[derive(Default)]
struct Model {
    schedule: Schedule<u32>,
    claims: BTreeMap<u32, Claim>,
    waiting: BTreeSet<u32>,
    running: BTreeSet<u32>,
}

impl Model {
    fn offer(&mut self, claim: Claim) {
        let key = u32::try_from(self.claims.len()).expect("few");
        assert!(self.schedule.offer(key, claim.clone()));
        self.claims.insert(key, claim);
        self.waiting.insert(key);
    }

    fn runs(&self, key: &str) -> u32 {
        let counts = |work: &&u32| self.claims[work].limits.iter().any(|limit| limit.key == key);
        u32::try_from(self.running.iter().filter(counts).count()).expect("few")
    }

    fn may_run(&self, work: u32) -> bool {
        self.claims[&work].limits.iter().all(|limit| self.runs(&limit.key) < limit.most)
    }

    fn next(&mut self) {
        match self.schedule.choose() {
            Some(chosen) => {
                assert!(self.waiting.remove(&chosen.key), "what waits is handed out, once");
                assert!(self.may_run(chosen.key), "a limit is kept");
                let priority = self.claims[&chosen.key].priority;
                let better = self
                    .waiting
                    .iter()
                    .find(|work| self.claims[work].priority > priority && self.may_run(**work));
                assert_eq!(better, None, "a higher priority goes first");
                self.running.insert(chosen.key);
            }
            None => {
                let idle: Vec<_> = self.waiting.iter().filter(|work| self.may_run(**work)).collect();
                assert_eq!(idle, Vec::<&u32>::new(), "what may run is handed out");
            }
        }
    }

    fn end(&mut self, which: usize, micros: u64) {
        if let Some(key) = pick(&self.running, which) {
            self.running.remove(&key);
            assert!(self.schedule.end(&key, Some(micros)));
        }
    }

    fn drop(&mut self, which: usize) {
        if let Some(key) = pick(&self.waiting, which) {
            self.waiting.remove(&key);
            assert!(self.schedule.end(&key, None));
        }
    }
}

fn pick(from: &BTreeSet<u32>, which: usize) -> Option<u32> {
    from.iter().nth(which.checked_rem(from.len())?).copied()
}

proptest! {
    #[test]
    fn limits_are_kept_nothing_is_lost_and_no_slot_is_idle_for_nothing(steps in steps()) {
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Offer { execution, node, micros } => {
                    // What work of one node claims is always the same.
                    let limits = match node {
                        1 | 3 => limit(&format!("k{node}"), u32::from(node)),
                        5 => [limit("k1", 1), limit("k3", 3)].concat(),
                        _ => Vec::new(),
                    };
                    let priority = i32::from(execution) % 3 - 1;
                    let named = claim("p", &execution.to_string(), &node.to_string());
                    model.offer(Claim { priority, weight: u32::from(node) + 1, limits, micros, ..named });
                }
                Step::Next => model.next(),
                Step::End { which, micros } => model.end(which, micros),
                Step::Drop { which } => model.drop(which),
            }
            prop_assert_eq!(model.schedule.ready(), model.waiting.len());
            prop_assert_eq!(model.schedule.handed_out(), model.running.len());
        }
        while !(model.waiting.is_empty() && model.running.is_empty()) {
            model.next();
            model.end(0, 1);
        }
        prop_assert_eq!(model.schedule.ready(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_lengths_of_their_work_those_that_share_get_the_same_time(
        lengths in proptest::collection::vec(100..20_000_u64, 2..6),
    ) {
        let mut schedule = Schedule::default();
        for (who, micros) in lengths.iter().enumerate() {
            let first = u32::try_from(who).expect("few") * 10_000;
            let claim = Claim { micros: *micros, ..claim("p", &who.to_string(), "n") };
            offer(&mut schedule, first, 400, &claim);
        }
        let mut given = vec![0_u64; lengths.len()];
        // Not longer than the shortest of them has work for.
        while given.iter().sum::<u64>() < 75_000 {
            let key = schedule.choose().expect("there is work").key;
            let who = usize::try_from(key / 10_000).expect("few");
            given[who] += lengths[who];
            schedule.end(&key, None);
        }
        let longest = lengths.iter().max().expect("some");
        let (least, most) = (given.iter().min().expect("some"), given.iter().max().expect("some"));
        prop_assert!(most - least <= 2 * longest, "{given:?}");
    }
}
