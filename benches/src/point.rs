//! One measurement of the simulated engine, made in a process of its own so that its memory is its own.

use crate::process;
use crate::simulation::{Kept, Pace, Simulation, events, node_took};
use skein_core::{Execution, Plan};
use skein_inner::{values, workflows};
use skein_model::{DataRef, ExecutionId};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Load {
    /// One map of so many items.
    Items,
    /// One execution of so many nodes, each after the one before.
    Chain,
    /// One execution of so many nodes that wait for none of the others.
    Fan,
    /// So many executions of one node, all under way before any of them is answered.
    Executions,
    /// So many executions of one node, created by 64 clients while workers answer.
    Swarm,
    /// A map of so many items, left at half: reading its journal in another process, and folding it.
    Fold,
    /// The same in chunks of 16 items, so that its journal is long.
    LongFold,
}

/// What one measurement gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// How many of whatever the load counts; of a fold, the records of the journal.
    pub count: f64,
    /// From the creation to the end of all, in seconds; of a fold, reading and folding.
    pub seconds: f64,
    /// Of a map: its node alone, in seconds; of a fold: from opening the log to the first work handed out. Otherwise 0.
    pub node_seconds: f64,
    /// The most memory that was in use beyond what the idle engine has, in MiB.
    pub mib: f64,
}

/// Has one measurement made by another process of this program.
///
/// # Panics
/// When that cannot be started, or does not answer: a bench has nobody to tell.
pub fn measure(load: Load, kept: Kept, count: u32) -> Point {
    let folder = crate::folder();
    if matches!(load, Load::Fold | Load::LongFold) {
        leave_at_half(load, count, folder.path());
    }
    let answer = this_program(load, kept, count, folder.path()).output().expect("this program is there");
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let said = String::from_utf8_lossy(&answer.stderr);
    assert_eq!(numbers.len(), 4, "no answer for {load:?} of {count}: {text} {said}");
    let (count, seconds, node_seconds, mib) = (numbers[0], numbers[1], numbers[2], numbers[3]);
    Point { count, seconds, node_seconds, mib }
}

fn this_program(load: Load, kept: Kept, count: u32, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the system says"));
    command.arg("point").arg(word(load)).arg(word(kept)).arg(count.to_string()).arg(folder);
    command
}

fn word(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What a process says when its map is half way.
const HALF: &str = "half";

/// Has another process run a map to its half, and kills it there.
fn leave_at_half(load: Load, count: u32, folder: &Path) {
    let mut command = this_program(load, Kept::Embedded, count, folder);
    let mut child = command.arg("--leave").stdout(Stdio::piped()).spawn().expect("this program is there");
    let mut line = String::new();
    let out = child.stdout.take().expect("it is piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("it says when");
    assert_eq!(line.trim(), HALF, "it was to say when it is half way");
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
}

/// Makes one measurement and prints it, for [`measure`].
pub fn print(load: Load, kept: Kept, count: u32, folder: &Path, leave: bool) {
    process::to_one_core();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let point = runtime.block_on(async {
        match load {
            Load::Fold | Load::LongFold if leave => run_to_half(load, count, folder).await,
            Load::Fold | Load::LongFold => fold(folder).await,
            Load::Items | Load::Chain | Load::Fan | Load::Executions | Load::Swarm => {
                run(load, kept, count, folder).await
            }
        }
    });
    println!("{} {} {} {}", point.count, point.seconds, point.node_seconds, point.mib);
}

async fn run(load: Load, kept: Kept, count: u32, folder: &Path) -> Point {
    let simulation = Simulation::start(kept, folder).await;
    let many = matches!(load, Load::Executions | Load::Swarm);
    let closure = match load {
        Load::Items => workflows::map(),
        Load::Chain => workflows::chain(count as usize),
        Load::Fan => workflows::fan(count as usize),
        Load::Executions | Load::Swarm | Load::Fold | Load::LongFold => workflows::chain(1),
    };
    let plan = simulation.plan(&closure).await;
    drop(closure);
    let inputs = match load {
        Load::Items => simulation.list(count).await,
        _ => DataRef::Inline(values::one()),
    };
    process::forget_peak();
    let idle = process::memory_kib();
    let executions = if many { count as usize } else { 1 };
    let workers = if load == Load::Executions { None } else { Some(simulation.work(Pace::default())) };
    let start = Instant::now();
    simulation.create_many(executions, &plan, &inputs).await;
    let workers = match workers {
        Some(workers) => workers,
        None => {
            simulation.under_way(executions).await;
            simulation.work(Pace::default())
        }
    };
    simulation.ended(executions).await;
    let took = start.elapsed();
    let mib = mib(process::peak_kib().saturating_sub(idle));
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    let node = match load {
        Load::Items => node_took(&simulation.journal(&first()).await),
        _ => Duration::ZERO,
    };
    simulation.stop().await;
    Point { count: f64::from(count), seconds: took.as_secs_f64(), node_seconds: node.as_secs_f64(), mib }
}

async fn run_to_half(load: Load, count: u32, folder: &Path) -> Point {
    let simulation = Simulation::start(Kept::Embedded, folder).await;
    let plan = simulation.plan(&workflows::map()).await;
    let inputs = simulation.list(count).await;
    let item_micros = if load == Load::LongFold { 1_500 } else { 1 };
    let half = u64::from(count / 2);
    let _workers = simulation.work(Pace { item_micros, items_max: half });
    simulation.create_many(1, &plan, &inputs).await;
    // The chunk that goes beyond half is not answered.
    let most = u64::from(skein_core::chunk::ITEMS_MAX);
    while simulation.items() + most * 2 < half {
        tokio::task::yield_now().await;
    }
    println!("{HALF}");
    std::future::pending().await
}

/// Reads and folds as the engine does when it takes an execution up, and then has an engine take it up.
async fn fold(folder: &Path) -> Point {
    let begun = Instant::now();
    let simulation = Simulation::start(Kept::Embedded, folder).await;
    let lease = simulation.first_work().await;
    let taken_up = begun.elapsed();
    drop(lease);
    process::forget_peak();
    let idle = process::memory_kib();
    let plan = Arc::new(Plan::parse(workflows::map()).expect("a good workflow"));
    let start = Instant::now();
    let journal = simulation.journal(&first()).await;
    let mut execution = Execution::new(plan);
    journal.iter().flat_map(events).for_each(|event| execution.apply(&event));
    let took = start.elapsed();
    assert!(!execution.outstanding().is_empty(), "half of it has still to run");
    let mib = mib(process::peak_kib().saturating_sub(idle));
    let count = f64::from(u32::try_from(journal.len()).unwrap_or(u32::MAX));
    simulation.stop().await;
    Point { count, seconds: took.as_secs_f64(), node_seconds: taken_up.as_secs_f64(), mib }
}

fn first() -> ExecutionId {
    ExecutionId::parse("p", "d", "x0").expect("a good id")
}

#[expect(clippy::cast_precision_loss, reason = "a process has far less than 2^52 KiB")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1_024.0
}
