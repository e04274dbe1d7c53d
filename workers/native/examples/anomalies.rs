//! Tasks that look for what is unusual in numbers. `README.md` shows how Python uses them.

use skein_task::{Error, Program, Result, Task};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Says whether a value is unusual.
fn detect(value: i64) -> bool {
    value % 7 == 0
}

/// Adds to a running total: a step of a chain.
fn add(total: i64, value: i64) -> i64 {
    total.wrapping_add(value)
}

/// Answers the mean of values and how far they lie from it.
fn describe(values: Vec<f64>) -> Result<(f64, f64)> {
    if values.is_empty() {
        return Err(Error::new("there is no mean of nothing"));
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    Ok((mean, variance.sqrt()))
}

/// Counts how often each word is there that is long enough.
fn count_words(text: String, letters_min: Option<i64>) -> BTreeMap<String, i64> {
    let least = letters_min.map_or(1, |least| usize::try_from(least).unwrap_or(0));
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace().filter(|word| word.chars().count() >= least) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

fn main() -> ExitCode {
    Program::new()
        .with(Task::new("anomalies.detect", ["value"], detect))
        .with(Task::new("anomalies.add", ["total", "value"], add))
        .with(Task::new("anomalies.describe", ["values"], describe).outputs(["mean", "deviation"]).cache("1"))
        .with(Task::new("anomalies.count_words", ["text", "letters_min"], count_words))
        .run()
}
