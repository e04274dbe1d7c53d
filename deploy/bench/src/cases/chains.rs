//! Chains of dependent steps: how long one takes.

use super::Bench;
use crate::client::{What, request, seconds};
use crate::figures::{Bound, Figure, percentile};

/// What runs, and what a step may take at p50 and p99, in milliseconds.
const KINDS: [(&str, &str, f64, f64); 3] = [
    ("chain of plain values, reuse", "chains.chain_reused", 1.0, 3.0),
    ("chain of a dataclass, reuse", "chains.chain_dispatched", 2.0, 6.0),
    ("chain of plain values, fork", "chains.chain_forked", 12.0, 25.0),
];

/// Runs every kind once to warm up and several times for the figures.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let client = bench.client().await?;
    let mut figures = Vec::new();
    for (what, workflow, p50_max, p99_max) in KINDS {
        let (mut p50, mut p99) = (Vec::new(), Vec::new());
        for run in 0..=bench.effort.runs() {
            let id = client.create(request(What::Workflow(workflow), &[])).await?;
            client.wait(&id).await?;
            let nodes = client.nodes(&id).await?;
            let named =
                nodes.iter().filter(|node| node.id.as_ref().is_some_and(|id| id.node_id.starts_with('n')));
            let mut ends: Vec<f64> = named
                .map(|node| seconds(node.closure.as_ref().and_then(|closure| closure.updated_at.as_ref())))
                .collect();
            ends.sort_by(f64::total_cmp);
            let steps: Vec<f64> = ends.windows(2).map(|pair| (pair[1] - pair[0]) * 1_000.0).collect();
            if run > 0 {
                p50.push(percentile(&steps, 50));
                p99.push(percentile(&steps, 99));
            }
        }
        figures.push(Figure::new(format!("{what}, a step, p50"), "ms", p50, Bound::AtMost(p50_max)));
        figures.push(Figure::new(format!("{what}, a step, p99"), "ms", p99, Bound::AtMost(p99_max)));
    }
    Ok(figures)
}
