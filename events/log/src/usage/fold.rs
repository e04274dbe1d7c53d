//! Steps put together: while a series grows, for an answer of so many points, for an item, and to a few numbers.

use super::{GpuUse, Series, Step};
use skein_model::Used;
use std::collections::BTreeMap;
use std::ops::Range;

/// The most steps of a series.
pub const STEPS_MAX: usize = 4_096;
/// The least that steps may become when a series is full, in milliseconds.
const GRAIN_MS_MIN: u64 = 1_000;

impl Series {
    /// Adds what was seen last. Steps become longer when there are too many; those of different items only when there is
    /// no other way.
    pub fn push(&mut self, step: Step) {
        match self.steps.last_mut() {
            Some(last) if joins(last, &step, self.grain_ms) => join(last, &step),
            _ => self.steps.push(step),
        }
        while self.steps.len() > STEPS_MAX {
            self.grain_ms = (self.grain_ms * 2).max(GRAIN_MS_MIN);
            let grain = self.grain_ms;
            self.steps = folded(&self.steps, |last, next| joins(last, next, grain));
            if self.steps.len() > STEPS_MAX / 4 * 3 {
                let mut count = 0_usize;
                self.steps = folded(&self.steps, |_, _| {
                    count += 1;
                    !count.is_multiple_of(2)
                });
            }
        }
    }
}

/// Says whether two steps may become one of at most `grain_ms` with nothing lost but when exactly.
fn joins(last: &Step, next: &Step, grain_ms: u64) -> bool {
    (last.item, last.is_whole) == (next.item, next.is_whole)
        && last.to_ms == next.from_ms
        && next.to_ms - last.from_ms <= grain_ms
}

/// Has `last` be both steps: the greater peaks, and all of the processor time.
fn join(last: &mut Step, next: &Step) {
    if last.item != next.item {
        last.item = None;
    }
    last.is_whole &= next.is_whole;
    last.to_ms = next.to_ms;
    last.memory_bytes = last.memory_bytes.max(next.memory_bytes);
    last.cpu_micros = last.cpu_micros.saturating_add(next.cpu_micros);
    last.cpu_millis = last.cpu_millis.max(next.cpu_millis);
    last.gpus.resize(last.gpus.len().max(next.gpus.len()), GpuUse::default());
    for (last, next) in last.gpus.iter_mut().zip(&next.gpus) {
        last.memory_bytes = last.memory_bytes.max(next.memory_bytes);
        last.percent = last.percent.max(next.percent);
    }
}

/// Joins each step with the one before, as it is by then, where `is_one` says so of the two.
fn folded(steps: &[Step], mut is_one: impl FnMut(&Step, &Step) -> bool) -> Vec<Step> {
    let mut all: Vec<Step> = Vec::new();
    for step in steps {
        match all.last_mut() {
            Some(last) if is_one(last, step) => join(last, step),
            _ => all.push(step.clone()),
        }
    }
    all
}

/// Answers the steps of a range of time, in milliseconds since 1970, as `points` at most, at least 1: of those that become one
/// the greatest values are kept. Each covers an equal part of the time, as far as steps allow.
pub fn thinned(steps: &[Step], range: &Range<u64>, points: usize) -> Vec<Step> {
    let within = |step: &&Step| step.to_ms >= range.start && step.from_ms < range.end;
    let steps: Vec<Step> = steps.iter().filter(within).cloned().collect();
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return steps };
    if steps.len() <= points {
        return steps;
    }
    let (from, points) = (first.from_ms, points.max(1) as u64);
    let width = (last.to_ms - from).div_ceil(points).max(1);
    // A step is in the part that its last moment is in; the first part has that of no length at all.
    let part = |step: &Step| step.to_ms.saturating_sub(from).saturating_sub(1) / width;
    let mut of_last = part(first);
    folded(&steps, |_, step| {
        let of = part(step);
        std::mem::replace(&mut of_last, of) == of
    })
}

/// Answers the steps at whose end `item` ran.
pub fn of_item(steps: &[Step], item: u32) -> Vec<Step> {
    steps.iter().filter(|step| step.item == Some(item)).cloned().collect()
}

/// Answers what was used in all of the steps; none of no steps.
pub fn used(steps: &[Step]) -> Option<Used> {
    steps.iter().map(of_step).reduce(Used::and)
}

/// Answers what each item of a map used, as far as it was seen: memory and accelerators whenever it ran when somebody looked,
/// processor time where nobody else ran in the same step.
pub fn by_item(steps: &[Step]) -> BTreeMap<u32, Used> {
    let mut items = BTreeMap::new();
    for step in steps {
        let Some(item) = step.item else { continue };
        let mut used = of_step(step);
        if !step.is_whole {
            (used.cpu_micros, used.cpu_millis) = (0, 0);
        }
        let all: &mut Used = items.entry(item).or_default();
        *all = all.and(used);
    }
    items
}

fn of_step(step: &Step) -> Used {
    Used {
        memory_bytes: step.memory_bytes,
        cpu_micros: step.cpu_micros,
        cpu_millis: step.cpu_millis,
        gpu_memory_bytes: step.gpus.iter().map(|gpu| gpu.memory_bytes).max(),
        gpu_percent: step.gpus.iter().filter_map(|gpu| gpu.percent).max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(from_ms: u64, to_ms: u64, item: Option<u32>, memory_bytes: u64) -> Step {
        Step {
            from_ms,
            to_ms,
            item,
            is_whole: true,
            memory_bytes,
            cpu_micros: 10,
            cpu_millis: memory_bytes / 2,
            gpus: Vec::new(),
        }
    }

    /// One look after the other, of one item after the other, each of which runs for some of them.
    fn grown(ticks: u64, of_each: u64) -> Series {
        let mut series = Series::default();
        for tick in 0..ticks {
            let item = u32::try_from(tick / of_each).expect("a small number");
            let memory = if tick == ticks / 3 { 1_000_000 } else { tick % 100 };
            series.push(step(tick * 500, (tick + 1) * 500, Some(item), memory));
        }
        series
    }

    fn is_in_order(steps: &[Step]) -> bool {
        steps.windows(2).all(|pair| pair[0].to_ms <= pair[1].from_ms)
    }

    #[test]
    fn a_week_fits_and_loses_no_peak_and_no_processor_time() {
        let ticks = 7 * 24 * 3_600 * 2;
        let series = grown(ticks, u64::MAX);
        assert!((STEPS_MAX / 2..=STEPS_MAX).contains(&series.steps.len()), "{}", series.steps.len());
        let all = used(&series.steps).expect("there are steps");
        assert_eq!((all.memory_bytes, all.cpu_micros, all.cpu_millis), (1_000_000, 10 * ticks, 500_000));
        let longest = series.steps.iter().map(|step| step.to_ms - step.from_ms).max();
        assert!(longest <= Some(300_000), "{longest:?} ms");
        assert!(is_in_order(&series.steps));
    }

    #[test]
    fn items_stay_apart_as_long_as_there_is_room() {
        let series = grown(20_000, 10);
        assert!(series.steps.len() <= STEPS_MAX);
        assert_eq!(by_item(&series.steps).len(), 2_000, "ten looks of an item become one step first");
        assert!(series.steps.iter().all(|step| step.item.is_some() && step.is_whole));
        let crowded = grown(20_000, 1);
        assert!(crowded.steps.len() <= STEPS_MAX);
        assert!(crowded.steps[0].item.is_none(), "nobody is blamed for what several used");
        assert_eq!(used(&crowded.steps).map(|used| used.cpu_micros), Some(200_000));
    }

    #[test]
    fn an_item_has_the_memory_of_when_it_ran_and_the_time_of_when_it_alone_did() {
        let begins = Step { is_whole: false, ..step(500, 1_000, Some(7), 200) };
        let steps = [step(0, 500, Some(6), 50), begins, step(1_000, 1_500, Some(7), 300)];
        let items = by_item(&steps);
        let seen = |item| items.get(&item).map(|used: &Used| (used.memory_bytes, used.cpu_micros));
        assert_eq!(seen(6), Some((50, 10)));
        assert_eq!(seen(7), Some((300, 10)));
        assert_eq!(seen(8), None);
        assert_eq!(of_item(&steps, 7), steps[1..]);
    }

    #[test]
    fn no_more_points_are_answered_than_are_asked_for_and_peaks_stay() {
        let series = grown(1_000, u64::MAX);
        let all = 0..u64::MAX;
        assert_eq!(thinned(&series.steps, &all, 1_000), series.steps, "what fits is left as it is");
        let few = thinned(&series.steps, &all, 10);
        assert_eq!(few.len(), 10);
        assert_eq!(few.iter().map(|step| step.to_ms - step.from_ms).max(), Some(50_000));
        assert_eq!(used(&few), used(&series.steps));
        let part = thinned(&series.steps, &(100_000..200_000), 10);
        assert_eq!((part[0].from_ms, part.last().map(|step| step.to_ms)), (99_500, Some(200_000)));
        assert_eq!(thinned(&series.steps, &(10_000_000..20_000_000), 10), []);
    }

    proptest! {
        #[test]
        fn however_it_is_thinned_nothing_is_lost_but_when(
            times in proptest::collection::vec((0..2_000_u64, 0..2_000_u64, 0..3_u32, 0..1_000_u64), 1..200),
            points in 1..50_usize,
        ) {
            let mut at = 0;
            let steps: Vec<Step> = times
                .into_iter()
                .map(|(pause, time, item, memory)| {
                    let from = at + pause;
                    at = from + time;
                    step(from, at, Some(item), memory)
                })
                .collect();
            let few = thinned(&steps, &(0..u64::MAX), points);
            prop_assert!(few.len() <= points.max(1));
            prop_assert!(is_in_order(&few));
            prop_assert_eq!(used(&few), used(&steps));
            let ends = |steps: &[Step]| (steps[0].from_ms, steps[steps.len() - 1].to_ms);
            prop_assert_eq!(ends(&few), ends(&steps));
        }
    }
}
