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

/// How many turns are taken when things are compared: many short ones, for a machine is seldom quiet for long.
pub const TURNS: usize = 31;

/// Rates of things that take turns, so that whatever else the machine does meets all of them.
#[derive(Debug, Default)]
pub struct Turns {
    /// By name, in the order of the first turn.
    rates: Vec<(&'static str, Vec<f64>)>,
}

impl Turns {
    /// Begins with nothing taken.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one turn of `name`; `work` answers how many it did.
    pub fn take(&mut self, name: &'static str, work: impl FnOnce() -> u64) {
        let start = Instant::now();
        let count = work();
        self.note(name, rate(count, start.elapsed()));
    }

    /// As [`Turns::take`], for work that waits.
    pub async fn take_async(&mut self, name: &'static str, work: impl Future<Output = u64>) {
        let start = Instant::now();
        let count = work.await;
        self.note(name, rate(count, start.elapsed()));
    }

    fn note(&mut self, name: &'static str, rate: f64) {
        match self.rates.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rates)) => rates.push(rate),
            None => self.rates.push((name, vec![rate])),
        }
    }

    /// Prints the rates of each.
    pub fn report(&self, unit: &str, how: &str) {
        for (name, rates) in &self.rates {
            report(&format!("{name}, {how}"), unit, &mut rates.clone());
        }
    }

    /// Prints how many times as fast as `base` `name` is: the median over the turns, and the quarter below and above it.
    /// Nothing for a name that took no turn.
    pub fn ratio(&self, name: &str, base: &str) {
        let of = |name| self.rates.iter().find(|(known, _)| *known == name).map(|(_, rates)| rates);
        let (Some(ours), Some(theirs)) = (of(name), of(base)) else { return };
        let mut ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        let at = |quarter: usize| ratios[(ratios.len() - 1) * quarter / 4];
        println!("  {name} over {base}: {:.2} (a quarter below {:.2}, above {:.2})", at(2), at(1), at(3));
    }
}
