//! Runs other programs: quietly, or as one step of several with its time.

use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::{Duration, Instant};

/// Variables that would lead an SDK to another server, or make each of its starts slow.
const CLEARED: [&str; 6] = [
    "FLYTECTL_CONFIG",
    "FLYTE_PLATFORM_URL",
    "PYTHONDONTWRITEBYTECODE",
    "UNION_API_KEY",
    "UNION_CONFIG",
    "VIRTUAL_ENV",
];

/// Clears what this shell may have set for other servers, and asks `union` to send no usage reports.
pub(crate) fn sdk_environment(command: &mut Command) -> &mut Command {
    for name in CLEARED {
        command.env_remove(name);
    }
    command.env("UNION_USAGE_STATS_ENABLED", "0")
}

/// Runs a program and shows what it printed only if it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    let answer = command.output().with_context(|| format!("cannot start {}", name_of(command)))?;
    if !answer.status.success() {
        eprint!("{}", String::from_utf8_lossy(&answer.stdout));
        eprint!("{}", String::from_utf8_lossy(&answer.stderr));
        bail!("{} ended with {}", name_of(command), answer.status);
    }
    Ok(())
}

/// Runs a program that prints for itself.
pub(crate) fn loud(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", name_of(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", name_of(command));
    }
    Ok(())
}

fn name_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// How one step ended.
struct Ended {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed,
    /// It cannot be run here, for this reason.
    LeftOut(&'static str),
}

/// Steps that all run, whatever becomes of those before, and a summary at the end.
#[derive(Default)]
pub(crate) struct Steps {
    only: Vec<String>,
    ended: Vec<Ended>,
}

impl Steps {
    /// Runs all steps, or only those named.
    pub(crate) fn only(only: Vec<String>) -> Self {
        Self { only, ended: Vec::new() }
    }

    /// Whether a step of this name is going to run.
    pub(crate) fn wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.is_named(name)
    }

    /// Whether a step was asked for by its name.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.only.iter().any(|only| only == name)
    }

    /// Notes that a step cannot be run here. It stands in the summary, where it is not overlooked, and fails nothing.
    pub(crate) fn leave_out(&mut self, name: &'static str, why: &'static str) {
        if self.wanted(name) {
            self.ended.push(Ended { name, took: Duration::ZERO, outcome: Outcome::LeftOut(why) });
        }
    }

    /// Runs one step and remembers how it ended.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Result<()>) {
        if !self.wanted(name) {
            return;
        }
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = match run() {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                eprintln!("=== {name} failed: {error:#}");
                Outcome::Failed
            }
        };
        self.ended.push(Ended { name, took: start.elapsed(), outcome });
    }

    /// Prints a line for each step and one for all.
    ///
    /// # Errors
    ///
    /// When a step failed, or none of the names was a step's.
    pub(crate) fn finish(self) -> Result<()> {
        if self.ended.is_empty() {
            bail!("no step is called {}", self.only.join(" or "));
        }
        println!();
        let (mut passed, mut failed) = (0, 0);
        for Ended { name, took, outcome } in &self.ended {
            let seconds = took.as_secs_f64();
            match outcome {
                Outcome::Passed => {
                    passed += 1;
                    println!("passed    {name:<12} {seconds:7.1} s");
                }
                Outcome::Failed => {
                    failed += 1;
                    println!("FAILED    {name:<12} {seconds:7.1} s");
                }
                Outcome::LeftOut(why) => println!("left out  {name:<12} {why}"),
            }
        }
        println!("{passed} steps passed, {failed} failed");
        if failed > 0 {
            bail!("{failed} of {} steps failed", self.ended.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Steps;
    use anyhow::bail;

    #[test]
    fn a_failed_step_does_not_stop_the_next_and_fails_the_whole() {
        let mut ran = Vec::new();
        let mut steps = Steps::default();
        steps.step("one", || {
            ran.push("one");
            bail!("no")
        });
        steps.step("two", || {
            ran.push("two");
            Ok(())
        });
        assert!(steps.finish().is_err());
        assert_eq!(ran, ["one", "two"]);
    }

    #[test]
    fn only_the_named_steps_run() {
        let mut steps = Steps::only(vec!["two".to_owned()]);
        steps.step("one", || bail!("must not run"));
        steps.step("two", || Ok(()));
        assert!(steps.finish().is_ok());
    }

    #[test]
    fn a_step_that_is_left_out_fails_nothing_and_is_known_by_name() {
        let mut steps = Steps::default();
        steps.step("one", || Ok(()));
        steps.leave_out("two", "it is far away");
        assert!(steps.finish().is_ok());
        let mut steps = Steps::only(vec!["two".to_owned()]);
        assert!(steps.is_named("two") && !steps.is_named("one"));
        steps.leave_out("one", "nobody asked for it");
        assert!(steps.finish().is_err());
    }

    #[test]
    fn a_name_that_no_step_has_is_an_error() {
        let mut steps = Steps::only(vec!["three".to_owned()]);
        steps.step("one", || Ok(()));
        assert!(steps.finish().is_err());
    }
}
