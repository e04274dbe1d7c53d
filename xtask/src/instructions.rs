//! How many instructions the inner parts execute, compared with what was recorded: `benches/instructions.toml`.

use crate::callgrind;
use crate::repository::root;
use crate::steps::Steps;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// The step's name.
const STEP: &str = "instructions";
/// By how much a count may differ from the one recorded, either way.
const TOLERANCE: f64 = 0.05;
/// How counts are recorded anew.
const ANEW: &str = "cargo xtask bench --record-instructions";

/// Counts of all parts, and what they hold for.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    /// What `rustc` says of its version: another compiles to other instructions.
    rustc: String,
    /// For which machines it compiles.
    host: String,
    parts: BTreeMap<String, u64>,
}

/// Compares, as a step. Left out where nothing can be counted that is comparable, unless the step was asked for by name.
pub(crate) fn step(steps: &mut Steps) {
    if !steps.wanted(STEP) {
        return;
    }
    let recorded = read();
    let why = match &recorded {
        _ if !callgrind::is_there() => "there is no valgrind here",
        Ok(recorded) if !recorded.is_of_here() => {
            "they were recorded with another rustc, or for other machines"
        }
        _ => return steps.step(STEP, || compare(&recorded?)),
    };
    if steps.is_named(STEP) {
        steps.step(STEP, || bail!("{why}"));
    } else {
        steps.leave_out(STEP, why);
    }
}

/// Counts, and records what was counted.
///
/// # Errors
/// When something cannot be built, counted or written.
pub(crate) fn record() -> Result<()> {
    let counted = count()?;
    let file = file();
    std::fs::write(&file, counted.write())
        .with_context(|| format!("{} cannot be written", file.display()))?;
    println!("recorded {} counts in {}", counted.parts.len(), file.display());
    Ok(())
}

fn compare(recorded: &Counts) -> Result<()> {
    let counted = count()?;
    let (table, out) = table(&recorded.parts, &counted.parts);
    println!("{table}");
    if out > 0 {
        bail!(
            "{out} of {} counts are out by more than {:.0} %: mend it, or record them with `{ANEW}` and say in the \
             commit why they changed",
            counted.parts.len(),
            TOLERANCE * 100.0
        );
    }
    Ok(())
}

fn count() -> Result<Counts> {
    let program = callgrind::build()?;
    let (rustc, host) = compiler();
    let mut parts = BTreeMap::new();
    for part in callgrind::parts(&program)? {
        let count = callgrind::count(&program, &part)?;
        parts.insert(part, count);
    }
    Ok(Counts { rustc, host, parts })
}

/// Writes a line for each part; answers also how many are out.
fn table(recorded: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> (String, usize) {
    let (mut table, mut out) = (String::new(), 0);
    for part in recorded.keys().chain(counted.keys().filter(|part| !recorded.contains_key(*part))) {
        let (before, now) = (recorded.get(part).copied(), counted.get(part).copied());
        let change = match (before, now) {
            (Some(before), Some(now)) => change(before, now),
            _ => f64::INFINITY,
        };
        let is_out = change.abs() > TOLERANCE;
        out += usize::from(is_out);
        let words = |count: Option<u64>| count.map_or_else(|| "none".to_owned(), |count| count.to_string());
        let _ = writeln!(
            table,
            "{} {part:<28} {:>13} recorded {:>13} now  {:+.2} %",
            if is_out { "OUT" } else { "   " },
            words(before),
            words(now),
            change * 100.0
        );
    }
    (table, out)
}

#[expect(clippy::cast_precision_loss, reason = "a part executes far fewer than 2^52 instructions")]
fn change(before: u64, now: u64) -> f64 {
    (now as f64 - before as f64) / before.max(1) as f64
}

fn file() -> PathBuf {
    root().join("benches/instructions.toml")
}

fn read() -> Result<Counts> {
    let file = file();
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("{} cannot be read; record it with `{ANEW}`", file.display()))?;
    Counts::parse(&text).with_context(|| format!("{} is not as it was recorded", file.display()))
}

impl Counts {
    fn is_of_here(&self) -> bool {
        (self.rustc.clone(), self.host.clone()) == compiler()
    }

    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse()?;
        let word = |key: &str| {
            let value = table.get(key).and_then(toml::Value::as_str);
            value.map(str::to_owned).with_context(|| format!("{key} has to be a text"))
        };
        let parts = table.get("parts").and_then(toml::Value::as_table).context("there are no [parts]")?;
        let parts = parts.iter().map(|(part, count)| {
            let count = count.as_integer().and_then(|count| u64::try_from(count).ok());
            Ok((part.clone(), count.with_context(|| format!("{part} has to be a count, 0 or more"))?))
        });
        Ok(Self { rustc: word("rustc")?, host: word("host")?, parts: parts.collect::<Result<_>>()? })
    }

    fn write(&self) -> String {
        let mut text = format!(
            "# Instructions of the inner parts, as callgrind counts them, without those of the C library.\n\
             # Recorded by `{ANEW}`.\nrustc = \"{}\"\nhost = \"{}\"\n\n[parts]\n",
            self.rustc, self.host
        );
        for (part, count) in &self.parts {
            let _ = writeln!(text, "{part} = {count}");
        }
        text
    }
}

/// Answers the version of the compiler that cargo uses, and for which machines it compiles; empty where it does not say.
fn compiler() -> (String, String) {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc).arg("-vV").output().map(|answer| answer.stdout).unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer);
    let line =
        |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
    (line("rustc "), line("host: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(part, count)| ((*part).to_owned(), *count)).collect()
    }

    #[test]
    fn a_count_may_differ_by_five_in_a_hundred_either_way() {
        let recorded = parts(&[("fewer", 1_000), ("less", 1_000), ("more", 1_000), ("same", 1_000)]);
        let counted = parts(&[("fewer", 949), ("less", 950), ("more", 1_051), ("same", 1_000)]);
        let (table, out) = table(&recorded, &counted);
        assert_eq!(out, 2, "{table}");
        assert!(table.contains("OUT fewer") && table.contains("OUT more"), "{table}");
    }

    #[test]
    fn a_part_that_came_or_went_has_to_be_recorded() {
        let (table, out) = table(&parts(&[("gone", 5)]), &parts(&[("new", 5)]));
        assert_eq!(out, 2, "{table}");
    }

    #[test]
    fn what_is_recorded_is_read_as_it_was() {
        let counts = Counts {
            rustc: "1.95.0 (abc 2026-04-14)".to_owned(),
            host: "x86_64-unknown-linux-gnu".to_owned(),
            parts: parts(&[("a-1", 12), ("b", 7)]),
        };
        assert_eq!(Counts::parse(&counts.write()).expect("it was written here"), counts);
        assert!(Counts::parse("rustc = 1").is_err());
    }
}
