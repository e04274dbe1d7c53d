//! What was measured, against what it has to be.

use std::fmt::Write as _;

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// It may not be less.
    AtLeast(f64),
    /// It may not be more.
    AtMost(f64),
    /// It is told for its own sake.
    None,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// In what.
    pub unit: &'static str,
    /// The figure of each run; at least one.
    pub runs: Vec<f64>,
    /// What their median is held to.
    pub bound: Bound,
}

impl Figure {
    /// Makes a figure of one or more runs.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, runs: Vec<f64>, bound: Bound) -> Self {
        Self { what: what.into(), unit, runs, bound }
    }

    /// Answers the middle one of the runs.
    pub fn median(&self) -> f64 {
        percentile(&self.runs, 50)
    }

    /// Says whether the bound is kept.
    pub fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.median() >= least,
            Bound::AtMost(most) => self.median() <= most,
            Bound::None => true,
        }
    }

    /// Writes it for a terminal.
    pub(crate) fn line(&self) -> String {
        let mark = if self.is_met() { ' ' } else { '!' };
        let value = format!("{} {}", number(self.median()), self.unit);
        format!("{mark} {:<58} {value:>20}   {:<16} {}", self.what, self.bound.words(), self.spread())
    }

    fn spread(&self) -> String {
        if self.runs.len() < 2 {
            return String::new();
        }
        let least = self.runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{} to {}, {} runs", number(least), number(most), self.runs.len())
    }
}

impl Bound {
    fn words(self) -> String {
        match self {
            Self::AtLeast(least) => format!("at least {}", number(least)),
            Self::AtMost(most) => format!("at most {}", number(most)),
            Self::None => String::new(),
        }
    }
}

/// Writes a Markdown table; what misses its bound is bold.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut table = String::from("| What | Figure | Bound | Spread |\n| --- | --- | --- | --- |\n");
    for figure in figures {
        let mark = if figure.is_met() { "" } else { "**" };
        let (value, bound) = (number(figure.median()), figure.bound.words());
        let _ = writeln!(
            table,
            "| {} | {mark}{value} {}{mark} | {bound} | {} |",
            figure.what,
            figure.unit,
            figure.spread()
        );
    }
    table
}

/// Answers the value that `percent` of all are not above; of none, not a number.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut ordered = values.to_vec();
    ordered.sort_by(f64::total_cmp);
    let at = ordered.len().saturating_sub(1).min(ordered.len() * percent / 100);
    ordered.get(at).copied().unwrap_or(f64::NAN)
}

/// Writes a number with as many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        let digits = if value.abs() >= 10.0 { 1 } else { 2 };
        return format!("{value:.digits$}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digit.is_ascii_digit() && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bound_is_bold_and_a_kept_one_is_not() {
        let slow = Figure::new("rate", "items/s", vec![5.0, 7.0, 6.0], Bound::AtLeast(10.0));
        let fast = Figure::new("latency", "ms", vec![2.0], Bound::AtMost(3.0));
        let table = table(&[slow, fast]);
        assert!(
            table.contains("| rate | **6.00 items/s** | at least 10.0 | 5.00 to 7.00, 3 runs |"),
            "{table}"
        );
        assert!(table.contains("| latency | 2.00 ms | at most 3.00 |  |"), "{table}");
    }

    #[test]
    fn numbers_are_written_to_be_read() {
        let written = [0.1234, 12.34, 123.4, 1234.0, 1_234_567.0].map(number);
        assert_eq!(written, ["0.12", "12.3", "123", "1 234", "1 234 567"]);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 50), 51.0);
        assert_eq!(percentile(&values, 99), 100.0);
        assert_eq!(percentile(&[4.0], 99), 4.0);
        assert!(percentile(&[], 50).is_nan());
    }
}
