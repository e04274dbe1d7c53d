//! The engine alone: real runtime, core and log, workers that answer at once, one core, no Python.
//! `cargo run --release -p skein-benches --bin bench-engine [-- --quick] [--out DIR]` takes throughput, how time and
//! memory grow, and how long a journal takes to fold after a kill; with a folder it writes `engine.md` and `engine.svg`.

use clap::{Parser, Subcommand};
use skein_benches::curve::{self, Curve};
use skein_benches::point::{self, Load, Point};
use skein_benches::simulation::Kept;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Counts up to a tenth of the largest, and one run of each throughput.
    #[arg(long)]
    quick: bool,
    /// Where to write a table and a plot
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Makes one measurement and prints the count, seconds, seconds of the node, and MiB.
    Point {
        load: Load,
        kept: Kept,
        count: u32,
        folder: PathBuf,
        #[arg(long)]
        leave: bool,
    },
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(Command::Point { load, kept, count, folder, leave }) = arguments.command {
        return point::print(load, kept, count, &folder, leave);
    }
    let mut report = Report::default();
    throughput(&mut report, arguments.quick);
    folds(&mut report);
    let plots = curves(&mut report, arguments.quick);
    if let Some(out) = arguments.out {
        std::fs::create_dir_all(&out).expect("the folder can be made");
        std::fs::write(out.join("engine.md"), report.text).expect("the folder can be written");
        std::fs::write(out.join("engine.svg"), curve::svg(&plots)).expect("the folder can be written");
    }
}

/// Lines that are printed as they come, and kept.
#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    fn line(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.text, "{line}");
    }
}

fn throughput(report: &mut Report, quick: bool) {
    report.line("# The engine alone\n");
    report.line("Real runtime, core and log; workers that answer at once; one core; no Python. Median, lowest and highest.\n");
    report.line("| What | Log | A second | From creation to the end | MiB over idle |");
    report.line("| --- | --- | --- | --- | --- |");
    let runs = if quick { 1 } else { 3 };
    let larger = (!quick).then_some((Load::Items, 10_000_000));
    let others = [(Load::Chain, 1_000), (Load::Swarm, 10_000)];
    for (load, count) in [(Load::Items, 1_000_000)].into_iter().chain(larger).chain(others) {
        for kept in [Kept::Memory, Kept::Embedded] {
            let points: Vec<Point> = (0..runs).map(|_| point::measure(load, kept, count)).collect();
            let whole = rates(&points, |point| point.seconds);
            let node = match load {
                Load::Items => rates(&points, |point| point.node_seconds),
                _ => whole.clone(),
            };
            let mib = points.iter().map(|point| point.mib).fold(0.0, f64::max);
            report.line(&format!("| {} | {kept:?} | {node} | {whole} | {mib:.0} |", what(load, count)));
        }
    }
}

fn what(load: Load, count: u32) -> String {
    match load {
        Load::Items => format!("items of one map of {count}: the node"),
        Load::Chain => format!("steps of a chain of {count}"),
        Load::Fan => format!("nodes of a fan of {count}"),
        Load::Executions => format!("{count} executions at once"),
        Load::Swarm => format!("executions of one node, {count} by 64 clients"),
        Load::Fold => format!("map of {count}"),
        Load::LongFold => format!("map of {count} in chunks of 16"),
    }
}

fn rates(points: &[Point], seconds: impl Fn(&Point) -> f64) -> String {
    let mut rates: Vec<f64> = points.iter().map(|point| point.count / seconds(point)).collect();
    rates.sort_by(f64::total_cmp);
    format!("{:.0} ({:.0} to {:.0})", rates[rates.len() / 2], rates[0], rates[rates.len() - 1])
}

fn folds(report: &mut Report) {
    report.line("\n## After a kill at half of a map of 1 000 000\n");
    report.line("| Journal | Records | Read and folded | Open, take up, first work out |");
    report.line("| --- | --- | --- | --- |");
    for load in [Load::Fold, Load::LongFold] {
        let point = point::measure(load, Kept::Embedded, 1_000_000);
        let (fold, all) = (point.seconds, point.node_seconds);
        report.line(&format!("| {} | {} | {fold:.3} s | {all:.3} s |", what(load, 1_000_000), point.count));
    }
}

/// What grows, with the counts at which it is measured.
const GROWING: [(Load, &str, &[u32]); 4] = [
    (Load::Items, "items of one map", &[1_000, 10_000, 100_000, 1_000_000, 10_000_000]),
    (Load::Chain, "nodes in a chain", &[10, 100, 1_000, 10_000]),
    (Load::Fan, "nodes side by side", &[10, 100, 1_000, 10_000]),
    (Load::Executions, "executions at once", &[1, 10, 100, 1_000, 10_000]),
];

fn curves(report: &mut Report, quick: bool) -> [(&'static str, Vec<Curve>); 2] {
    report.line("\n## How time and memory grow\n");
    report.line("Exponents of the least squares through all logarithms, and between the last two counts. At most 1 is linear.\n");
    report.line("| What | Counts | Seconds | Exponent, at the end | MiB over idle | Exponent, at the end |");
    report.line("| --- | --- | --- | --- | --- | --- |");
    let (mut time, mut memory) = (Vec::new(), Vec::new());
    for (load, name, counts) in GROWING {
        let counts = &counts[..counts.len() - usize::from(quick)];
        let points: Vec<Point> =
            counts.iter().map(|count| point::measure(load, Kept::Memory, *count)).collect();
        let curve = |of: fn(&Point) -> f64| Curve {
            name: name.to_owned(),
            points: points.iter().map(|point| (point.count, of(point))).collect(),
        };
        // Less than a page cannot be told from nothing.
        let (seconds, mib) = (curve(|point| point.seconds), curve(|point| point.mib.max(1.0 / 256.0)));
        report.line(&format!(
            "| {name} | {} to {} | {:.4} to {:.2} | {} | {:.1} to {:.1} | {} |",
            counts[0],
            counts[counts.len() - 1],
            points[0].seconds,
            points[points.len() - 1].seconds,
            exponents(&seconds),
            points[0].mib,
            points[points.len() - 1].mib,
            exponents(&mib),
        ));
        time.push(seconds);
        memory.push(mib);
    }
    [("seconds", time), ("MiB over idle", memory)]
}

fn exponents(curve: &Curve) -> String {
    format!("{:.2}, {:.2}", curve.exponent(), curve.last_exponent())
}
