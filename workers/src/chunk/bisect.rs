//! Finds out which item ended its process, when that is not plain.
//!
//! An item that raises says so, and one that ran alone in a new process is the only one that can have ended it. Otherwise
//! an earlier item may have: by a thread that it left behind, or by memory that it spoiled. Then nobody is charged; what had
//! begun runs again in new processes, the item that ran alone and what came before it in halves, until the culprit is
//! alone with its deed, or nobody does it again.

use skein_model::event::ItemRange;

/// Which process runs a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// One that has the task loaded, and may be used again.
    Any,
    /// A new one, for this piece alone.
    New,
}

/// Items that run in one process, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub items: ItemRange,
    pub process: Process,
}

/// How a process ended before its piece did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death {
    /// The first item of the piece whose fate is not known.
    pub next: u32,
    /// The item that ran; none when none had begun.
    pub running: Option<u32>,
    /// Whether the process ended because of what that item raised.
    pub is_raised: bool,
    /// Whether the process had run other items before this piece.
    pub is_used: bool,
}

/// The pieces of a chunk that have not run, the next one at the end.
#[derive(Debug)]
pub(super) struct Pieces {
    left: Vec<Piece>,
}

impl Pieces {
    pub(super) fn of(items: ItemRange) -> Self {
        Self { left: vec![Piece { items, process: Process::Any }] }
    }

    /// Takes the next piece out. Pieces come in the order of their items.
    pub(super) fn next(&mut self) -> Option<Piece> {
        self.left.pop()
    }

    /// Answers the item that is to be charged with the end of a process; none when more has to run before that is known,
    /// which comes next then.
    pub(super) fn charge(&mut self, piece: Piece, death: Death) -> Option<u32> {
        let Piece { items, process } = piece;
        let is_own = |item: &u32| (death.next..items.end).contains(item);
        let Some(ran) = death.running.filter(is_own) else {
            if death.is_used {
                self.push(death.next, items.end);
                return None;
            }
            // It ends as soon as it has the task, or before: so would every other.
            return Some(death.next);
        };
        if death.is_raised || (ran == items.start && !death.is_used) {
            return Some(ran);
        }
        // What was to come after it in the whole chunk has not begun, and need not run here.
        if process == Process::New {
            self.push(ran + 1, items.end);
        }
        self.push(ran, ran + 1);
        let middle = death.next + (ran - death.next).div_ceil(2);
        self.push(middle, ran);
        self.push(death.next, middle);
        None
    }

    fn push(&mut self, start: u32, end: u32) {
        let items = ItemRange { start, end };
        if !items.is_empty() {
            self.left.push(Piece { items, process: Process::New });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    const fn range(start: u32, end: u32) -> ItemRange {
        ItemRange { start, end }
    }

    const fn first(start: u32, end: u32) -> Piece {
        Piece { items: range(start, end), process: Process::Any }
    }

    fn death(next: u32, running: impl Into<Option<u32>>) -> Death {
        Death { next, running: running.into(), is_raised: false, is_used: false }
    }

    fn left(pieces: &mut Pieces) -> Vec<(u32, u32)> {
        std::iter::from_fn(|| pieces.next()).map(|piece| (piece.items.start, piece.items.end)).collect()
    }

    /// The pieces of a chunk whose first is under way.
    fn begun(start: u32, end: u32) -> Pieces {
        let mut pieces = Pieces::of(range(start, end));
        assert_eq!(pieces.next(), Some(first(start, end)));
        pieces
    }

    #[test]
    fn an_item_that_raises_is_charged_whoever_ran_before_it() {
        let death = Death { is_raised: true, is_used: true, ..death(2, 5) };
        assert_eq!(begun(0, 9).charge(first(0, 9), death), Some(5));
    }

    #[test]
    fn the_first_item_of_a_new_process_is_charged() {
        assert_eq!(begun(4, 9).charge(first(4, 9), death(4, 4)), Some(4));
    }

    #[test]
    fn a_new_process_that_ends_before_any_item_begins_is_charged_to_the_first() {
        assert_eq!(begun(4, 9).charge(first(4, 9), death(4, None)), Some(4));
    }

    #[test]
    fn a_used_process_that_ends_before_any_item_begins_is_charged_to_nobody() {
        let mut pieces = begun(4, 9);
        let death = Death { is_used: true, ..death(4, None) };
        assert_eq!(pieces.charge(first(4, 9), death), None);
        assert_eq!(left(&mut pieces), [(4, 9)]);
    }

    #[test]
    fn the_first_item_of_a_used_process_runs_again_in_a_new_one() {
        let mut pieces = begun(4, 9);
        let death = Death { is_used: true, ..death(4, 4) };
        assert_eq!(pieces.charge(first(4, 9), death), None);
        assert_eq!(left(&mut pieces), [(4, 5)]);
    }

    #[test]
    fn what_had_begun_runs_again_in_halves_and_the_item_that_ran_alone() {
        let mut pieces = begun(0, 20);
        assert_eq!(pieces.charge(first(0, 20), death(2, 10)), None);
        assert_eq!(left(&mut pieces), [(2, 6), (6, 10), (10, 11)], "what comes after has not begun");
    }

    /// What items do to the process that runs them.
    #[derive(Clone, Copy, Debug)]
    enum Deed {
        /// Ends it.
        Dies,
        /// Ends it some items later, if it is there by then.
        Leaves(u32),
    }

    /// Runs a chunk as a worker does; answers who was charged and who finished.
    fn run(
        size: u32,
        deeds: &BTreeMap<u32, Deed>,
        told_every: u32,
        used: bool,
    ) -> (BTreeSet<u32>, BTreeSet<u32>, u32) {
        let (mut charged, mut done, mut processes) = (BTreeSet::new(), BTreeSet::new(), 0);
        let mut pending = vec![range(0, size)];
        let mut is_used = used;
        while let Some(chunk) = pending.pop() {
            let mut pieces = Pieces::of(chunk);
            let mut next = chunk.start;
            let mut culprit = None;
            while let Some(piece) = pieces.next() {
                processes += 1;
                assert!(next == piece.items.start, "in order, without gaps");
                let had_run = std::mem::take(&mut is_used) && piece.process == Process::Any;
                let mut bomb = had_run.then_some(piece.items.start + 1);
                let mut died = None;
                for item in piece.items.start..piece.items.end {
                    match deeds.get(&item) {
                        Some(Deed::Dies) => died = Some(item),
                        Some(Deed::Leaves(after)) => bomb = bomb.or(Some(item + after)),
                        None => {}
                    }
                    if died.is_some() || bomb.is_some_and(|at| at <= item) {
                        died = Some(item);
                        break;
                    }
                    if (item + 1 - piece.items.start).is_multiple_of(told_every) {
                        next = item + 1;
                    }
                }
                let Some(running) = died else {
                    next = piece.items.end;
                    continue;
                };
                let death = Death { next, running: Some(running), is_raised: false, is_used: had_run };
                culprit = pieces.charge(piece, death);
                if culprit.is_some() {
                    break;
                }
            }
            done.extend(chunk.start..next);
            if let Some(item) = culprit {
                assert!(charged.insert(item), "once");
                next = item + 1;
            }
            if next < chunk.end {
                pending.push(range(next, chunk.end));
            }
        }
        (charged, done, processes)
    }

    proptest::proptest! {
        #[test]
        fn every_item_finishes_but_those_that_end_their_process_and_only_those_are_charged(
            size in 1_u32..200,
            poison in proptest::collection::btree_map(0_u32..200, proptest::option::of(1_u32..8), 0..4),
            told_every in 1_u32..20,
            used: bool,
        ) {
            let deed = |after: Option<u32>| after.map_or(Deed::Dies, Deed::Leaves);
            let deeds: BTreeMap<_, _> = poison.into_iter().map(|(item, after)| (item, deed(after))).collect();
            let (charged, done, processes) = run(size, &deeds, told_every, used);
            let guilty: BTreeSet<u32> =
                deeds.iter().filter(|(item, deed)| **item < size && matches!(deed, Deed::Dies)).map(|(item, _)| *item).collect();
            proptest::prop_assert_eq!(&charged, &guilty);
            proptest::prop_assert!(charged.is_disjoint(&done));
            proptest::prop_assert_eq!(charged.len() + done.len(), size as usize);
            proptest::prop_assert!(processes <= 200, "{} processes", processes);
        }
    }

    #[test]
    fn one_culprit_among_many_costs_a_few_processes() {
        let deeds = BTreeMap::from([(700, Deed::Dies)]);
        let (charged, done, processes) = run(1_000, &deeds, 1_000, false);
        assert_eq!((charged, done.len()), (BTreeSet::from([700]), 999));
        assert!(processes <= 5, "{processes}");
    }
}
