//! Which items of a map wait to be handed out, and which chunks of them are out.

use skein_model::Attempt;
use skein_model::event::ItemRange;
use std::collections::{BTreeSet, VecDeque};

/// Items that run together, and the number of their try.
pub type Chunk = (ItemRange, Attempt);

/// The items of one map that have not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    waiting: VecDeque<Chunk>,
    out: BTreeSet<Chunk>,
}

impl Items {
    /// Takes what is pending; nothing of it is out.
    pub fn new(pending: Vec<Chunk>) -> Self {
        Self { waiting: pending.into(), out: BTreeSet::new() }
    }

    /// Answers how many items wait.
    pub fn waiting(&self) -> u32 {
        self.waiting.iter().map(|(range, _)| range.len()).sum()
    }

    /// Answers how many chunks are out.
    pub fn out(&self) -> u32 {
        u32::try_from(self.out.len()).unwrap_or(u32::MAX)
    }

    /// Notes that a chunk is out that was cut before; false when not all of its items wait for just that try.
    pub fn adopt(&mut self, chunk: Chunk) -> bool {
        let (range, attempt) = chunk;
        let holds = |(waits, of): &Chunk| {
            *of == attempt && waits.start <= range.start && range.end <= waits.end && !range.is_empty()
        };
        if !self.waiting.iter().any(holds) {
            return false;
        }
        self.drop_waiting(range);
        self.out.insert(chunk)
    }

    /// Lists the ranges that wait.
    pub fn waiting_ranges(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.waiting.iter().copied()
    }

    /// Takes items out of what waits: they need not run.
    pub fn skip(&mut self, need_not: impl Fn(u32) -> bool) {
        let mut left: VecDeque<Chunk> = VecDeque::new();
        for (range, attempt) in self.waiting.drain(..) {
            for item in (range.start..range.end).filter(|item| !need_not(*item)) {
                match left.back_mut() {
                    Some((last, of)) if last.end == item && *of == attempt => last.end = item + 1,
                    _ => left.push_back((ItemRange { start: item, end: item + 1 }, attempt)),
                }
            }
        }
        self.waiting = left;
    }

    /// Takes the next chunk of at most `length` items out of what waits.
    pub fn cut(&mut self, length: u32) -> Option<Chunk> {
        let (range, attempt) = self.waiting.front_mut()?;
        let chunk = ItemRange { start: range.start, end: range.start + length.max(1).min(range.len()) };
        let attempt = *attempt;
        range.start = chunk.end;
        if range.is_empty() {
            self.waiting.pop_front();
        }
        self.out.insert((chunk, attempt));
        Some((chunk, attempt))
    }

    /// Notes that a chunk has ended and that `again` has to run of it. Answers what is out in vain: chunks that share
    /// items with it, whose results will not count; the rest of their items waits again.
    pub fn end(&mut self, chunk: Chunk, again: impl IntoIterator<Item = Chunk>) -> Vec<Chunk> {
        let mut in_vain = Vec::new();
        if !self.out.remove(&chunk) {
            self.drop_waiting(chunk.0);
            in_vain.extend(self.out.iter().filter(|(range, _)| meet(*range, chunk.0)).copied());
            for (range, attempt) in &in_vain {
                self.out.remove(&(*range, *attempt));
                self.waiting.extend(without(*range, chunk.0).map(|rest| (rest, *attempt)));
            }
        }
        self.waiting.extend(again);
        in_vain
    }

    fn drop_waiting(&mut self, gone: ItemRange) {
        let kept = self.waiting.drain(..);
        let kept = kept.flat_map(|(range, attempt)| without(range, gone).map(move |rest| (rest, attempt)));
        self.waiting = kept.collect::<VecDeque<_>>();
    }
}

fn meet(a: ItemRange, b: ItemRange) -> bool {
    a.start < b.end && b.start < a.end
}

/// Answers what is left of a range when another is taken out.
fn without(range: ItemRange, gone: ItemRange) -> impl Iterator<Item = ItemRange> {
    let below = ItemRange { start: range.start, end: range.end.min(gone.start) };
    let above = ItemRange { start: range.start.max(gone.end), end: range.end };
    [below, above].into_iter().filter(|rest| rest.start < rest.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(start: u32, end: u32) -> Chunk {
        (ItemRange { start, end }, Attempt(0))
    }

    fn items(size: u32) -> Items {
        Items::new(vec![chunk(0, size)])
    }

    #[test]
    fn what_need_not_run_waits_no_more() {
        let mut items = items(10);
        assert_eq!(items.cut(2), Some(chunk(0, 2)));
        items.skip(|item| item == 1 || item == 4 || item >= 8);
        let waiting: Vec<Chunk> = items.waiting_ranges().collect();
        assert_eq!(waiting, [chunk(2, 4), chunk(5, 8)]);
        assert_eq!(items.out(), 1, "what is out stays out");
    }

    #[test]
    fn what_is_adopted_is_out_and_is_not_cut_again() {
        let mut items = items(10);
        assert!(items.adopt(chunk(3, 6)));
        assert!(!items.adopt(chunk(5, 7)), "not all of it waits");
        assert!(!items.adopt((ItemRange { start: 0, end: 1 }, Attempt(1))), "that try is not due");
        assert_eq!((items.waiting(), items.out()), (7, 1));
        let cut: Vec<Chunk> = std::iter::from_fn(|| items.cut(9)).collect();
        assert_eq!(cut, [chunk(0, 3), chunk(6, 10)]);
    }

    #[test]
    fn a_chunk_that_ended_leaves_what_has_to_run_again() {
        let mut items = items(4);
        let first = items.cut(4).expect("four wait");
        let again = (ItemRange { start: 2, end: 3 }, Attempt(1));
        assert_eq!(items.end(first, [again]), []);
        assert_eq!(items.cut(9), Some(again));
    }

    #[test]
    fn what_shares_items_with_a_chunk_from_elsewhere_is_out_in_vain_and_its_rest_waits() {
        let mut items = items(20);
        assert_eq!(items.cut(8), Some(chunk(0, 8)));
        assert_eq!(items.end(chunk(4, 12), []), [chunk(0, 8)]);
        let cut: Vec<Chunk> = std::iter::from_fn(|| items.cut(20)).collect();
        assert_eq!(cut, [chunk(12, 20), chunk(0, 4)]);
    }
}
