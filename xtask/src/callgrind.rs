//! Counts the instructions of one part of the engine with callgrind.
//!
//! Only what stands in the program itself is counted: how many instructions the C library needs to allocate or to copy
//! differs with its version and with the processor.

use crate::repository::{cargo, root, target};
use crate::steps::{loud, quiet};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The function whose instructions are counted, with all that it calls.
const MEASURED: &str = "inner_once::measured*";

/// Says whether callgrind can be run here.
pub(crate) fn is_there() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|answer| answer.status.success())
}

/// Builds the program with the parts, and answers where it is.
///
/// # Errors
/// When it cannot be built; cargo has said why.
pub(crate) fn build() -> Result<PathBuf> {
    let words = ["build", "--quiet", "--profile", "instructions", "--package", "skein-inner"];
    loud(Command::new(cargo()).current_dir(root()).args(words))?;
    // As callgrind names it.
    Ok(target().join("instructions/inner-once").canonicalize()?)
}

/// Lists the parts that the program has.
///
/// # Errors
/// When it cannot be run.
pub(crate) fn parts(program: &Path) -> Result<Vec<String>> {
    let answer = Command::new(program).output().context("the parts cannot be listed")?;
    let said = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success() && !answer.stdout.is_empty(), "the parts cannot be listed: {said}");
    Ok(String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect())
}

/// Answers how many instructions one part executes.
///
/// # Errors
/// When it cannot be run, or nothing was counted.
pub(crate) fn count(program: &Path, part: &str) -> Result<u64> {
    let out = target().join("instructions").join(format!("{part}.callgrind"));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", "--compress-strings=no", "--compress-pos=no"]);
    valgrind.arg(format!("--toggle-collect={MEASURED}"));
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(program).arg(part);
    quiet(&mut valgrind)?;
    let profile = std::fs::read_to_string(&out).with_context(|| format!("{} is not there", out.display()))?;
    match own(&profile, &program.to_string_lossy()) {
        0 => bail!("callgrind counted nothing of {part}: is {MEASURED} still the name of what is measured?"),
        count => Ok(count),
    }
}

/// Adds up what functions of one object file executed themselves, from a profile whose names are not abbreviated.
fn own(profile: &str, object: &str) -> u64 {
    let (mut counts, mut is_ours, mut is_call) = (0, false, false);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            is_ours = name == object;
        } else if line.starts_with("calls=") {
            // The next line has the costs of what was called, which its own lines have too.
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse().ok()).unwrap_or(0);
            counts += if is_ours && !is_call { cost } else { 0 };
            is_call = false;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn what_a_function_executes_itself_counts_and_what_it_calls_does_not_count_twice() {
        let profile = "\
events: Ir

ob=/bin/ours
fl=a.rs
fn=measured
10 5
cfi=b.rs
cfn=inner
calls=1 20
11 100
12 2

fn=inner
20 60
cob=/lib/libc.so
cfn=memcpy
calls=3 0
21 40

ob=/lib/libc.so
fn=memcpy
0 40
totals: 107
";
        assert_eq!(own(profile, "/bin/ours"), 67);
    }
}
