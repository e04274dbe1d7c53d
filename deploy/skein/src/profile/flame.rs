//! Draws stacks as a flamegraph: a box for each function, as wide as its share, on the box of its caller.
//!
//! Drawn here because the crate that is kept for it, `inferno`, has a licence that is not permissive (CDDL).

use std::collections::BTreeMap;
use std::fmt::Write as _;

const WIDTH: f64 = 1_600.0;
const ROW: f64 = 17.0;
/// What is narrower is left out, in pixels.
const NARROWEST: f64 = 0.4;
/// How wide a letter is, in pixels.
const LETTER: f64 = 6.6;
const COLOURS: [&str; 5] = ["#e8a33d", "#e07a3f", "#d9573f", "#e9bf5a", "#cf8a4a"];

/// Calls that were seen, below one another.
#[derive(Debug, Default)]
pub struct Flame {
    count: u64,
    callees: BTreeMap<String, Flame>,
}

impl Flame {
    /// Adds a stack, its outermost function first.
    pub fn add<'a>(&mut self, stack: impl IntoIterator<Item = &'a str>, count: u64) {
        self.count += count;
        let mut at = self;
        for name in stack {
            at = at.callees.entry(name.to_owned()).or_default();
            at.count += count;
        }
    }

    /// Draws an SVG; whoever points at a box is told its function and its share.
    pub fn svg(&self) -> String {
        let height = (self.depth(WIDTH) + 1.0) * ROW;
        let mut boxes = String::new();
        self.draw(&mut boxes, "all", 0.0, WIDTH, height - ROW, self.count);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"monospace\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             {boxes}</svg>\n"
        )
    }

    /// Answers how many boxes stand on this one, where it is so wide.
    fn depth(&self, width: f64) -> f64 {
        let callees = self.callees.values().map(|callee| (callee, width * callee.share(self.count)));
        callees
            .filter(|(_, width)| *width >= NARROWEST)
            .map(|(callee, width)| 1.0 + callee.depth(width))
            .fold(0.0, f64::max)
    }

    #[expect(clippy::cast_precision_loss, reason = "a profile has far fewer than 2^52 samples")]
    fn share(&self, of: u64) -> f64 {
        self.count as f64 / of.max(1) as f64
    }

    fn draw(&self, boxes: &mut String, name: &str, left: f64, width: f64, top: f64, all: u64) {
        if width < NARROWEST {
            return;
        }
        let share = 100.0 * self.share(all);
        let colour = COLOURS[name.len() % COLOURS.len()];
        let letters = (0..name.len()).take_while(|letter| (*letter as f64 + 2.0) * LETTER < width).count();
        let words: String = name.chars().take(letters).collect();
        let (full, shown) = (escape(name), escape(&words));
        let _ = writeln!(
            boxes,
            "<g><title>{full}: {share:.1} %, {} samples</title><rect x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" \
             height=\"{}\" fill=\"{colour}\" stroke=\"white\"/><text x=\"{:.1}\" y=\"{}\">{shown}</text></g>",
            self.count,
            ROW - 1.0,
            left + 3.0,
            top + 12.0
        );
        let mut at = left;
        for (name, callee) in &self.callees {
            let width = width * callee.share(self.count);
            callee.draw(boxes, name, at, width, top - ROW, all);
            at += width;
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_as_wide_as_the_share_of_its_function() {
        let mut flame = Flame::default();
        flame.add(["main", "<A as B>::work"], 3);
        flame.add(["main", "rest"], 1);
        let svg = flame.svg();
        assert!(svg.contains("&lt;A as B&gt;::work: 75.0 %, 3 samples"), "{svg}");
        assert!(svg.contains("width=\"1200.0\"") && svg.contains("width=\"400.0\""), "{svg}");
        assert_eq!(svg.matches("<title>").count(), 4, "all, main and what it called");
    }
}
