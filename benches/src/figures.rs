//! How a figure is taken: several runs, the median and the range.

use std::time::{Duration, Instant};

/// How often each figure is taken.
const RUNS: usize = 5;

/// Runs `work` several times and prints how many `unit` it does a second: median, lowest, highest.
pub fn per_second(name: &str, unit: &str, mut work: impl FnMut() -> u64) -> f64 {
    let mut rates: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let count = work();
            rate(count, start.elapsed())
        })
        .collect();
    report(name, unit, &mut rates)
}

/// Prints rates that were taken elsewhere.
pub fn report(name: &str, unit: &str, rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    println!("{name:<52} {median:>12.0} {unit}/s  ({:.0} to {:.0})", rates[0], rates[rates.len() - 1]);
    median
}

/// Answers how many a second.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
pub fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
