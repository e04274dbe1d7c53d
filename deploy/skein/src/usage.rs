//! `skein usage`: says what the tries of an execution used of their machines at most.

use crate::address::{self, Asked};
use crate::ask::{self, Question};
use crate::words::{ended, span, tell};
use skein_gateway::usage::{Peaks, Tried, Usages};
use skein_model::ExecutionId;
use std::process::ExitCode;

/// Say what each try of an execution used of its machine at most, and what it may use.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each try of a task has a line, and each range of items of a map that ran together and long enough to be looked at: workers look
twice a second, and a try that ended before that has no figures. Processor time is the most for about half a second, in
cores, and all of it, in time of one core. Ends with 0, and with 2 when the server cannot be asked or has no such execution
or node.")]
pub struct UsageOf {
    /// Which: NAME, or PROJECT/DOMAIN/NAME. Default project and domain: flytesnacks and development
    #[arg(value_name = "EXECUTION", value_parser = address::execution)]
    pub execution: ExecutionId,
    /// Only this node of it, such as n0.
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
    #[command(flatten)]
    pub asked: Asked,
}

/// Asks, and prints the answer. What keeps it from asking is printed.
pub async fn run(usage: &UsageOf) -> ExitCode {
    ended(print(usage).await)
}

async fn print(usage: &UsageOf) -> anyhow::Result<()> {
    let server = usage.asked.server()?;
    let asked: Vec<_> = usage.node.iter().map(|node| ("node", node.clone())).collect();
    let question = Question::of(&server, &usage.execution, &[])?.about(&["usage"], &asked);
    let json = question.json().await?;
    tell(usage.asked.raw(&json), || Ok(lines(&ask::read(&json)?)))
}

fn lines(usages: &Usages) -> Vec<String> {
    let heads = ["NODE", "TRY", "MEMORY", "CORES", "CPU TIME", "GPU MEMORY", "GPU"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(heads).chain(usages.tries.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![usages.execution.clone()];
    lines.extend(rows.iter().map(line));
    if usages.tries.is_empty() {
        lines.push("nothing has run yet that could be looked at".to_owned());
    }
    if usages.left_out > 0 {
        lines.push(format!("and {} more; name a node to see its own", usages.left_out));
    }
    lines
}

fn row(tried: &Tried) -> [String; 7] {
    let of = tried.items.map(|(start, end)| format!("[{start}-{end}]")).unwrap_or_default();
    let (node, attempt) = (format!("{}{of}", tried.node), tried.attempt.saturating_add(1).to_string());
    let Some(Peaks { memory, cpu, cpu_seconds, gpu_memory, gpu }) = tried.peaks else {
        let none = || "-".to_owned();
        return [node, attempt, none(), none(), none(), none(), none()];
    };
    let limited = |used: String, limit: Option<String>| match limit {
        Some(limit) => format!("{used} of {limit}"),
        None => used,
    };
    let or_none = |shown: Option<String>| shown.unwrap_or_else(|| "-".to_owned());
    [
        node,
        attempt,
        limited(bytes(memory), tried.memory_limit.map(bytes)),
        limited(format!("{cpu:.2}"), tried.cpu_limit.map(|cores| cores.to_string())),
        span(cpu_seconds),
        or_none(gpu_memory.map(bytes)),
        or_none(gpu.map(|percent| format!("{percent} %"))),
    ]
}

/// Writes an amount of memory with a digit after the point, in the largest unit that it has one of.
fn bytes(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_has_a_line_of_what_it_used_and_may_use() {
        let peaks = Peaks { memory: 220_515_532, cpu: 0.98, cpu_seconds: 75.0, gpu_memory: None, gpu: None };
        let of_task = Tried {
            node: "n0".to_owned(),
            attempt: 0,
            items: None,
            ended: true,
            memory_limit: Some(1 << 30),
            cpu_limit: Some(2.0),
            peaks: Some(peaks),
        };
        let on_gpu = Peaks { memory: 512, gpu_memory: Some(3 << 40), gpu: Some(87), ..peaks };
        let of_map = Tried {
            node: "n1".to_owned(),
            items: Some((0, 10)),
            memory_limit: None,
            cpu_limit: None,
            peaks: Some(on_gpu),
            ..of_task.clone()
        };
        let short = Tried { node: "n2".to_owned(), attempt: 1, peaks: None, ..of_task.clone() };
        let usages = Usages {
            execution: "p/d/abc".to_owned(),
            ended: true,
            tries: vec![of_task, of_map, short],
            left_out: 2,
        };
        let expected = [
            "p/d/abc",
            "NODE      TRY  MEMORY               CORES      CPU TIME      GPU MEMORY  GPU",
            "n0        1    210.2 MiB of 1.0 GiB  0.98 of 2  1 min 15 s  -           -",
            "n1[0-10]  1    512 B                0.98       1 min 15 s    3.0 TiB     87 %",
            "n2        2    -                    -          -             -           -",
            "and 2 more; name a node to see its own",
        ];
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = lines(&usages);
        let shown: Vec<String> = shown.iter().map(|line| squeezed(line)).collect();
        assert_eq!(shown, expected.map(squeezed));
    }

    #[test]
    fn of_what_has_not_run_it_says_so() {
        let usages = Usages { execution: "p/d/abc".to_owned(), ended: false, tries: Vec::new(), left_out: 0 };
        assert_eq!(lines(&usages)[2..], ["nothing has run yet that could be looked at"]);
    }
}
