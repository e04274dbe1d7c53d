//! `skein up --profile`: where the server's process spends the time of its cores.
//!
//! The system interrupts the process some two hundred times in each second of work, and notes what runs. Workers'
//! Python processes are others, and are not seen.

mod flame;
mod names;

use crate::signals::Asked;
use anyhow::{Context as _, Result};
use flame::Flame;
use names::names;
use pprof::{ProfilerGuard, ProfilerGuardBuilder, Report};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// How often it looks, in one second of work. Not a round number: what happens regularly is not always met alike.
const A_SECOND: i32 = 199;
/// How many functions the table lists.
const FUNCTIONS: usize = 30;
/// Where nothing is noted: the unwinder cannot unwind itself, nor, on every kernel, what the kernel maps into the process.
const NOT_UNWOUND: [&str; 2] = ["libgcc", "vdso"];

/// The parts of the program, by how the names of their functions begin. The first that fits counts.
const PARTS: [(&str, &str); 10] = [
    ("views", "skein_gateway::views"),
    ("gateway", "skein_gateway"),
    ("engine", "skein_runtime"),
    ("engine", "skein_core"),
    ("log", "skein_log"),
    ("workers", "skein_workers"),
    ("workers", "skein_protocol"),
    ("values", "skein_model"),
    ("values", "skein_idl"),
    ("telemetry", "skein_telemetry"),
];
/// What belongs to no part: the runtime, and what it calls by itself.
const OTHER: &str = "other";

/// A profile that is being taken.
pub struct Profile {
    guard: ProfilerGuard<'static>,
    folder: PathBuf,
}

impl Profile {
    /// Begins. What is there of an earlier profile in `folder` is overwritten when this one is written.
    ///
    /// # Errors
    /// When the folder cannot be written, or the system cannot interrupt this process.
    pub fn start(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("profile.md"), "It is written when the server ends.\n"))
            .with_context(|| {
                format!("the profile cannot be kept in {}; say --profile DIR", folder.display())
            })?;
        let guard = ProfilerGuardBuilder::default().frequency(A_SECOND).blocklist(&NOT_UNWOUND).build();
        let guard = guard.context("this system cannot profile the server; start it without --profile")?;
        Ok(Self { guard, folder })
    }

    /// Writes what was seen until now: `profile.svg`, a flamegraph, and `profile.md`, tables. Answers the latter.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self) -> Result<PathBuf> {
        let report = self.guard.report().build().context("what was seen cannot be read")?;
        let svg = self.folder.join("profile.svg");
        std::fs::write(&svg, flame_of(&report).svg()).with_context(|| cannot_write(&svg))?;
        let table = self.folder.join("profile.md");
        std::fs::write(&table, Seen::of(&report).table()).with_context(|| cannot_write(&table))?;
        Ok(table)
    }
}

/// A profile together with whoever waits for SIGUSR1.
pub struct Profiling {
    profile: Arc<Profile>,
    waiting: JoinHandle<()>,
}

impl Profiling {
    /// Has `profile` written on each SIGUSR1.
    ///
    /// # Errors
    /// When the system refuses the signal.
    pub fn start(profile: Profile) -> Result<Self> {
        let mut asked = Asked::take().context("SIGUSR1 cannot be waited for")?;
        let profile = Arc::new(profile);
        let written = Arc::clone(&profile);
        let waiting = tokio::spawn(async move {
            loop {
                asked.next().await;
                write(&written).await;
            }
        });
        Ok(Self { profile, waiting })
    }

    /// Writes it for the last time.
    pub async fn end(self) {
        self.waiting.abort();
        write(&self.profile).await;
    }
}

/// Writes and says where. The names of functions are looked up meanwhile, which takes a second or two.
async fn write(profile: &Arc<Profile>) {
    let profile = Arc::clone(profile);
    match tokio::task::spawn_blocking(move || profile.write()).await {
        Ok(Ok(table)) => eprintln!("skein: the profile is in {}", table.display()),
        Ok(Err(error)) => eprintln!("skein: there is no profile: {error:#}"),
        Err(error) => eprintln!("skein: there is no profile: {error}"),
    }
}

fn cannot_write(file: &Path) -> String {
    format!("{} cannot be written", file.display())
}

fn flame_of(report: &Report) -> Flame {
    let mut flame = Flame::default();
    for (frames, count) in &report.data {
        let names = names(frames);
        flame.add(names.iter().rev().map(String::as_str), u64::try_from(*count).unwrap_or(0));
    }
    flame
}

/// How often what was seen.
#[derive(Debug, Default)]
struct Seen {
    all: u64,
    parts: BTreeMap<&'static str, u64>,
    /// Functions that ran themselves.
    running: BTreeMap<String, u64>,
    /// Functions of ours that ran, or waited for what they called.
    ours: BTreeMap<String, u64>,
}

impl Seen {
    fn of(report: &Report) -> Self {
        let mut seen = Self::default();
        for (frames, count) in &report.data {
            seen.add(&names(frames), u64::try_from(*count).unwrap_or(0));
        }
        seen
    }

    /// Adds a stack, its innermost function first.
    fn add(&mut self, stack: &[String], count: u64) {
        self.all += count;
        let part = stack.iter().find_map(|name| part_of(name)).unwrap_or(OTHER);
        *self.parts.entry(part).or_default() += count;
        if let Some(innermost) = stack.first() {
            *self.running.entry(innermost.clone()).or_default() += count;
        }
        let mut ours: Vec<&String> = stack.iter().filter(|name| part_of(name).is_some()).collect();
        ours.sort_unstable();
        ours.dedup();
        for name in ours {
            *self.ours.entry(name.clone()).or_default() += count;
        }
    }

    fn table(&self) -> String {
        let mut table = format!(
            "# Where the server's time went\n\n{} samples, {A_SECOND} for each second of work of one core. Python \
             processes are not in it. `profile.svg` has the stacks.\n",
            self.all
        );
        let parts = self.parts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        self.section(&mut table, "Parts", "What ran, by the innermost function that is ours", &parts);
        self.section(&mut table, "Functions of ours", "With what they called", &self.ours);
        self.section(&mut table, "Functions", "Themselves, whoever called them", &self.running);
        table
    }

    #[expect(clippy::cast_precision_loss, reason = "a profile has far fewer than 2^52 samples")]
    fn section(&self, table: &mut String, title: &str, what: &str, counts: &BTreeMap<String, u64>) {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
        let _ =
            writeln!(table, "\n## {title}\n\n{what}.\n\n| Share | Samples | Name |\n| ---: | ---: | --- |");
        for (name, count) in counts.into_iter().take(FUNCTIONS) {
            let share = *count as f64 * 100.0 / self.all.max(1) as f64;
            let _ = writeln!(table, "| {share:.1} % | {count} | `{}` |", name.replace('|', "\\|"));
        }
    }
}

/// Answers to which part a function belongs. A trait's function is named `<part::Type as Trait>::name`, and a closure or
/// a future has the name of the function that it stands in.
fn part_of(name: &str) -> Option<&'static str> {
    let name = name.trim_start_matches(['<', '&']);
    PARTS.iter().find(|(_, begin)| name.starts_with(begin)).map(|(part, _)| *part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(stacks: &[(&[&str], u64)]) -> Seen {
        let mut seen = Seen::default();
        for (stack, count) in stacks {
            let stack: Vec<String> = stack.iter().map(|name| (*name).to_owned()).collect();
            seen.add(&stack, *count);
        }
        seen
    }

    #[test]
    fn time_belongs_to_the_innermost_part_that_asked_for_it() {
        let seen = seen(&[
            (&["fdatasync", "skein_log::embedded::append", "skein_runtime::journal::append"], 3),
            (&["sqlite3_step", "skein_gateway::views::fold", "skein_gateway::serve"], 2),
            (&["<skein_core::execution::Execution as Clone>::clone", "skein_runtime::map"], 4),
            (&["epoll_wait", "tokio::park"], 1),
        ]);
        let parts: Vec<_> = seen.parts.iter().map(|(part, count)| (*part, *count)).collect();
        assert_eq!(parts, [("engine", 4), ("log", 3), ("other", 1), ("views", 2)]);
    }

    #[test]
    fn a_function_that_calls_itself_is_counted_once_a_sample() {
        let seen = seen(&[(&["skein_core::walk", "skein_core::walk"], 5)]);
        assert_eq!(seen.ours["skein_core::walk"], 5);
    }

    #[test]
    fn the_table_tells_shares_and_begins_with_the_largest() {
        let table = seen(&[(&["a", "skein_log::a"], 1), (&["b", "skein_core::b"], 3)]).table();
        let (first, second) = (table.find("75.0 % | 3 | `engine`"), table.find("25.0 % | 1 | `log`"));
        assert!(first.is_some() && first < second, "{table}");
    }
}
