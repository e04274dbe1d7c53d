//! Draws figures beside their bounds: one bar each, as long as the share of the bound that was reached.

use crate::figures::{Bound, Figure, number};
use std::fmt::Write as _;

const ROW: usize = 26;
const LABEL: usize = 470;
const SCALE: f64 = 240.0;
/// How many times the bound the longest bar shows.
const TIMES_MAX: f64 = 2.0;

/// Draws an SVG of all figures that have a bound. The line in the middle is the bound, right of it is better.
pub(crate) fn svg(figures: &[Figure]) -> String {
    let bound: Vec<(&Figure, f64)> =
        figures.iter().filter_map(|figure| Some((figure, times(figure)?))).collect();
    let height = ROW * (bound.len() + 1);
    let (width, line) = (LABEL + 640, LABEL as f64 + SCALE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (row, (figure, times)) in bound.iter().enumerate() {
        let top = row * ROW + 8;
        let length = SCALE * times.min(TIMES_MAX);
        let colour = if figure.is_met() { "#2a7f62" } else { "#c0392b" };
        let value = format!("{} {}", number(figure.median()), figure.unit);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect x=\"{LABEL}\" y=\"{top}\" width=\"{length:.1}\" \
             height=\"16\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{}\">{value} ({times:.1} x)</text>",
            LABEL - 8,
            top + 12,
            escape(&figure.what),
            LABEL as f64 + length + 6.0,
            top + 12,
        );
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{line}\" x2=\"{line}\" y1=\"0\" y2=\"{}\" stroke=\"#555\" stroke-dasharray=\"4 3\"/>\
         <text x=\"{line}\" y=\"{}\" text-anchor=\"middle\">the bound; longer is better</text>\n</svg>",
        height - ROW,
        height - 8,
    );
    svg
}

/// Answers how many times better than its bound a figure is.
fn times(figure: &Figure) -> Option<f64> {
    let median = figure.median();
    let times = match figure.bound {
        Bound::AtLeast(least) => median / least,
        Bound::AtMost(most) => most / median.max(f64::MIN_POSITIVE),
        Bound::None => return None,
    };
    times.is_finite().then_some(times)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_the_bound_is_far() {
        let met = Figure::new("a < b", "items/s", vec![150.0], Bound::AtLeast(100.0));
        let missed = Figure::new("late", "ms", vec![10.0], Bound::AtMost(5.0));
        let untold = Figure::new("by the way", "s", vec![1.0], Bound::None);
        let svg = svg(&[met, missed, untold]);
        assert!(
            svg.contains("a &lt; b") && svg.contains("width=\"360.0\"") && svg.contains("(1.5 x)"),
            "{svg}"
        );
        assert!(
            svg.contains("width=\"120.0\"") && svg.contains("#c0392b") && svg.contains("(0.5 x)"),
            "{svg}"
        );
        assert!(!svg.contains("by the way"));
    }
}
