//! Draws how far an execution is: text from numbers, and nothing else.

use crate::words::{harmless, span};
use skein_gateway::progress::{Items, NodeProgress, Phase, Progress};

/// How many characters a bar has between its brackets.
const BAR_CHARS: usize = 20;
/// How many characters of a node's id are shown.
const ID_CHARS_MAX: usize = 24;
/// How wide a phase is: `SUCCEEDED` and its like.
const PHASE_CHARS: usize = 9;

/// How much room there is, in characters.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// Draws an execution: a line for itself, one for each node, and its error. Of more nodes than fit those are left out
/// that have ended, then those that have not begun.
pub fn picture(progress: &Progress, size: Size) -> Vec<String> {
    let mut lines = vec![title(progress)];
    let tail = error_lines(progress);
    // The title, the line of what is left out, and the one that the cursor waits in.
    let room = size.rows.saturating_sub(tail.len() + 3).max(1);
    let shown = chosen(&progress.nodes, room);
    let id_chars = shown.iter().map(|node| node.id.chars().count()).max().unwrap_or(0).min(ID_CHARS_MAX);
    lines.extend(shown.iter().map(|node| format!("  {}", row(node, id_chars))));
    let left_out = progress.nodes.len() - shown.len();
    if left_out > 0 {
        let ended = progress.nodes.iter().filter(|node| node.phase.is_terminal()).count();
        lines
            .push(format!("  and {left_out} more; of all {} nodes {ended} have ended", progress.nodes.len()));
    }
    lines.extend(tail);
    lines.iter().map(|line| fit(line, size.columns)).collect()
}

/// Answers what to write so that `picture` stands where the last `lines` lines stand.
pub fn over(lines: usize, picture: &[String]) -> String {
    // Up to where the last one began; each line clears what it does not cover, and the last what is below.
    let mut painted = if lines > 0 { format!("\x1b[{lines}F") } else { String::new() };
    for line in picture {
        painted.push_str(line);
        painted.push_str("\x1b[K\n");
    }
    painted.push_str("\x1b[J");
    painted
}

/// Answers a line for everything that has changed since `before`. At first these are the nodes that have begun.
pub fn changes(before: Option<&Progress>, now: &Progress) -> Vec<String> {
    let mut lines = Vec::new();
    if before.is_none() {
        lines.push(title(now));
    }
    for node in &now.nodes {
        let known = before.and_then(|before| before.nodes.iter().find(|known| known.id == node.id));
        let is_new = match known {
            Some(known) => what_counts(known) != what_counts(node),
            None => node.phase != Phase::Waiting,
        };
        if is_new {
            lines.push(row(node, 0));
        }
    }
    if before.is_some_and(|before| before.phase != now.phase) {
        lines.push(title(now));
    }
    if now.phase.is_terminal() {
        lines.extend(error_lines(now));
    }
    lines
}

/// What is worth a line when it changes: not rates and times, which change by themselves.
fn what_counts(node: &NodeProgress) -> (Phase, Option<Items>, Option<u32>, Option<&str>) {
    (node.phase, node.items, node.attempts, node.reason.as_deref())
}

fn title(progress: &Progress) -> String {
    let Progress { execution, phase, seconds, .. } = progress;
    format!("{execution}  {}  {}", phase.word(), span(*seconds))
}

fn error_lines(progress: &Progress) -> Vec<String> {
    let Some(error) = &progress.error else { return Vec::new() };
    let mut lines = error.message.trim_end().lines().map(harmless);
    let first = lines.next().unwrap_or_default();
    let first = format!("{}: {first}", harmless(&error.code));
    std::iter::once(first).chain(lines.map(|line| format!("  {line}"))).collect()
}

/// Takes as many nodes as fit, in their order: those under way first, then those that have failed, then those that wait
/// or have ended.
fn chosen(nodes: &[NodeProgress], room: usize) -> Vec<&NodeProgress> {
    let rank = |node: &NodeProgress| match node.phase {
        Phase::Running | Phase::Queued | Phase::Failing | Phase::Aborting | Phase::Succeeding => 0,
        Phase::Failed | Phase::TimedOut => 1,
        Phase::Waiting => 2,
        Phase::Succeeded | Phase::Aborted | Phase::Skipped | Phase::NotRun => 3,
    };
    let mut places: Vec<usize> = (0..nodes.len()).collect();
    places.sort_by_key(|place| rank(&nodes[*place]));
    places.truncate(room);
    places.sort_unstable();
    places.into_iter().map(|place| &nodes[place]).collect()
}

fn row(node: &NodeProgress, id_chars: usize) -> String {
    let id: String = node.id.chars().take(ID_CHARS_MAX).collect();
    let head = format!("{id:id_chars$}  {:4}  {:PHASE_CHARS$}", node.kind.word(), node.phase.word());
    let rest = match (&node.items, node.attempts) {
        (Some(items), _) => map_row(node, items),
        (None, attempts) => task_row(node, attempts.unwrap_or(0)),
    };
    format!("{head}  {rest}").trim_end().to_owned()
}

fn map_row(node: &NodeProgress, items: &Items) -> String {
    let Items { total, succeeded, failed, waiting: _, aborted, retried, cached } = *items;
    let mut parts = vec![format!("{}  {succeeded}/{total}", bar(succeeded, failed, total))];
    let counts = [
        (u64::from(failed), "failed"),
        (u64::from(aborted), "aborted"),
        (retried, "retried"),
        (u64::from(cached), "cached"),
    ];
    parts
        .extend(counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    parts.extend(node.items_per_second.map(|rate| format!("{}/s", short(rate))));
    match node.seconds_left {
        Some(left) => parts.push(format!("{} left", span(left))),
        None => parts.extend(node.seconds.filter(|_| node.phase.is_terminal()).map(span)),
    }
    parts.extend(node.reason.clone());
    parts.join("  ")
}

fn task_row(node: &NodeProgress, attempts: u32) -> String {
    let (succeeded, failed) = match node.phase {
        Phase::Succeeded => (1, 0),
        Phase::Failed | Phase::TimedOut => (0, 1),
        _ => (0, 0),
    };
    let mut parts = vec![bar(succeeded, failed, 1)];
    if attempts > 1 {
        parts.push(format!("{attempts} attempts"));
    }
    parts.extend(node.seconds.map(span));
    parts.extend(node.reason.clone());
    parts.join("  ")
}

/// Draws what succeeded, what failed, and the rest. It is full only when nothing is left.
fn bar(succeeded: u32, failed: u32, total: u32) -> String {
    let chars = |count: u32| {
        let total = u64::from(total.max(1));
        usize::try_from(u64::from(count) * BAR_CHARS as u64 / total).unwrap_or(BAR_CHARS).min(BAR_CHARS)
    };
    let ended = if total == 0 { BAR_CHARS } else { chars(succeeded.saturating_add(failed)) };
    // One that failed among many is seen nevertheless.
    let bad = if failed > 0 { chars(failed).max(1).min(ended.max(1)) } else { 0 };
    let good = ended.saturating_sub(bad);
    format!("[{}{}{}]", "=".repeat(good), "x".repeat(bad), ".".repeat(BAR_CHARS - good - bad))
}

fn short(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 1.0 => format!("{number:.1}"),
        number => format!("{number:.2}"),
    }
}

fn fit(line: &str, columns: usize) -> String {
    line.chars().take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_gateway::progress::{Cause, Kind};

    const ROOMY: Size = Size { columns: 200, rows: 50 };

    fn task(id: &str, phase: Phase) -> NodeProgress {
        NodeProgress {
            id: id.to_owned(),
            kind: Kind::Task,
            phase,
            reason: None,
            error: None,
            attempts: Some(1),
            items: None,
            started: None,
            ended: None,
            seconds: None,
            items_per_second: None,
            seconds_left: None,
        }
    }

    fn map(items: Items) -> NodeProgress {
        NodeProgress { kind: Kind::Map, attempts: None, items: Some(items), ..task("n0", Phase::Running) }
    }

    fn execution(phase: Phase, nodes: Vec<NodeProgress>) -> Progress {
        Progress {
            execution: "p/d/abc".to_owned(),
            phase,
            error: None,
            created: String::new(),
            started: None,
            ended: None,
            seconds: 75.0,
            nodes,
        }
    }

    #[test]
    fn every_node_has_a_bar_and_says_what_is_known() {
        let items =
            Items { total: 200, succeeded: 100, failed: 10, waiting: 90, retried: 3, ..Items::default() };
        let mapped = NodeProgress { items_per_second: Some(12.5), seconds_left: Some(7.2), ..map(items) };
        let waiting =
            NodeProgress { reason: Some("waits for n0".to_owned()), ..task("after", Phase::Waiting) };
        let done =
            NodeProgress { attempts: Some(2), seconds: Some(0.25), ..task("before", Phase::Succeeded) };
        let drawn = picture(&execution(Phase::Running, vec![done, mapped, waiting]), ROOMY);
        let expected = [
            "p/d/abc  RUNNING  1 min 15 s",
            "  before  task  SUCCEEDED  [====================]  2 attempts  0.2 s",
            "  n0      map   RUNNING    [==========x.........]  100/200  10 failed  3 retried  12.5/s  7.2 s left",
            "  after   task  WAITING    [....................]  waits for n0",
        ];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn a_bar_is_full_only_when_nothing_is_left_and_shows_a_single_failure() {
        assert_eq!(bar(999, 0, 1_000), "[===================.]");
        assert_eq!(bar(1_000, 0, 1_000), "[====================]");
        assert_eq!(bar(999, 1, 1_000), "[===================x]");
        assert_eq!(bar(0, 1, 1_000), "[x...................]");
        assert_eq!(bar(0, 0, 0), "[====================]", "a map over nothing is done");
        assert_eq!(bar(u32::MAX, u32::MAX, u32::MAX), "[xxxxxxxxxxxxxxxxxxxx]");
    }

    #[test]
    fn a_picture_fits_the_terminal_and_keeps_what_is_under_way() {
        let mut nodes: Vec<NodeProgress> =
            (0..100).map(|n| task(&format!("n{n}"), Phase::Succeeded)).collect();
        nodes[50] = task("n50", Phase::Running);
        nodes.extend((100..110).map(|n| task(&format!("n{n}"), Phase::Waiting)));
        let drawn = picture(&execution(Phase::Running, nodes), Size { columns: 30, rows: 8 });
        assert_eq!(drawn.len(), 7, "the cursor has the last row");
        assert!(drawn.iter().all(|line| line.chars().count() <= 30), "{drawn:?}");
        assert!(drawn[1].starts_with("  n50 ") && drawn[2].starts_with("  n100 "), "{drawn:?}");
        assert!(drawn[6].starts_with("  and 105 more; of all 110"), "{drawn:?}");
    }

    #[test]
    fn a_picture_covers_the_one_before() {
        let picture = ["a".to_owned(), "b".to_owned()];
        assert_eq!(over(0, &picture), "a\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(over(3, &picture), "\x1b[3Fa\x1b[K\nb\x1b[K\n\x1b[J");
    }

    #[test]
    fn a_line_is_printed_for_what_changed_and_for_nothing_else() {
        let items = |succeeded| Items { total: 2, succeeded, waiting: 2 - succeeded, ..Items::default() };
        let state = |succeeded, seconds| {
            let node = NodeProgress { seconds: Some(seconds), ..map(items(succeeded)) };
            execution(Phase::Running, vec![node, task("n1", Phase::Waiting)])
        };
        let first = changes(None, &state(0, 1.0));
        assert_eq!(first.len(), 2, "the execution, and the node that has begun: {first:?}");
        assert_eq!(changes(Some(&state(0, 1.0)), &state(0, 2.0)), Vec::<String>::new());
        let next = changes(Some(&state(0, 1.0)), &state(1, 2.0));
        assert_eq!(next, ["n0  map   RUNNING    [==========..........]  1/2"]);
        let ended = execution(Phase::Succeeded, state(1, 2.0).nodes);
        assert_eq!(changes(Some(&state(1, 2.0)), &ended), ["p/d/abc  SUCCEEDED  1 min 15 s"]);
    }

    #[test]
    fn an_error_is_shown_line_by_line_and_cannot_command_the_terminal() {
        let cause = Cause { code: "USER:Bad".to_owned(), message: "one\n\ttwo\x1b[2J\n".to_owned() };
        let failed = Progress { error: Some(cause), ..execution(Phase::Failed, vec![]) };
        let expected = ["p/d/abc  FAILED  1 min 15 s", "USER:Bad: one", "   two\u{fffd}[2J"];
        assert_eq!(picture(&failed, ROOMY), expected);
    }
}
