//! How time and memory grow: exponents, and a plot of them.

use std::fmt::Write as _;

/// What grows with a count.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What was measured.
    pub name: String,
    /// Counts with what was measured of each, both above 0; in ascending order.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// Answers the exponent by which it grows: the slope of the line of least squares through the logarithms. Not a
    /// number with fewer than two points.
    pub fn exponent(&self) -> f64 {
        slope(&self.points)
    }

    /// Answers the exponent between the last two points: where counts are small, what does not depend on them hides it.
    pub fn last_exponent(&self) -> f64 {
        slope(&self.points[self.points.len().saturating_sub(2)..])
    }
}

#[expect(clippy::cast_precision_loss, reason = "a handful of points")]
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) = (
        logs.iter().map(|log| log.0).sum::<f64>() / count,
        logs.iter().map(|log| log.1).sum::<f64>() / count,
    );
    let above: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let below: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    above / below
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 50.0;
const COLOURS: [&str; 6] = ["#2a7f62", "#c0392b", "#2c5f9e", "#b07d12", "#7b3f98", "#555555"];

/// Draws plots side by side, each with logarithmic axes and its title; beside each curve stands its exponent.
pub fn svg(plots: &[(&str, Vec<Curve>)]) -> String {
    let mut svg = String::new();
    let (mut left, height) = (0.0, HEIGHT + 2.0 * MARGIN + 110.0);
    for (title, curves) in plots {
        let _ = write!(svg, "<g transform=\"translate({left} 0)\">");
        plot(&mut svg, title, curves);
        svg.push_str("</g>\n");
        left += WIDTH + 2.0 * MARGIN;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{left}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{svg}</svg>\n"
    )
}

/// The decades that an axis shows.
#[derive(Clone, Copy)]
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let from = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let to = values.fold(f64::NEG_INFINITY, f64::max).log10().ceil();
        Self { from, to: to.max(from + 1.0) }
    }

    /// Answers where a value is, from 0 to 1.
    fn place(self, value: f64) -> f64 {
        (value.log10() - self.from) / (self.to - self.from)
    }

    fn decades(self) -> impl Iterator<Item = f64> {
        std::iter::successors(Some(self.from), move |decade| (*decade < self.to).then_some(decade + 1.0))
    }
}

fn plot(svg: &mut String, title: &str, curves: &[Curve]) {
    let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let (along, up) = (Axis::of(points().map(|point| point.0)), Axis::of(points().map(|point| point.1)));
    let x = |value: f64| MARGIN + WIDTH * along.place(value);
    let y = |value: f64| MARGIN + HEIGHT * (1.0 - up.place(value));
    let (bottom, right) = (MARGIN + HEIGHT, MARGIN + WIDTH);
    let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">{title}</text>");
    for decade in along.decades() {
        let (at, below) = (x(10_f64.powf(decade)), bottom + 16.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{MARGIN}\" y2=\"{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">10^{decade}</text>"
        );
    }
    for decade in up.decades() {
        let (at, before) = (y(10_f64.powf(decade)), MARGIN - 6.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{MARGIN}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{before}\" y=\"{:.1}\" text-anchor=\"end\">10^{decade}</text>",
            at + 4.0
        );
    }
    for (number, (curve, colour)) in curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let line: Vec<String> =
            curve.points.iter().map(|(count, value)| format!("{:.1},{:.1}", x(*count), y(*value))).collect();
        let below = (0..=number).fold(bottom + 20.0, |below, _| below + 18.0);
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{MARGIN}\" y=\"{below}\" fill=\"{colour}\">{}: exponent {:.2}, at the end {:.2}</text>",
            line.join(" "),
            curve.name,
            curve.exponent(),
            curve.last_exponent()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(of: fn(f64) -> f64) -> Curve {
        let points = [10.0, 100.0, 1_000.0].map(|count| (count, of(count)));
        Curve { name: "grows".to_owned(), points: points.into() }
    }

    #[test]
    fn the_exponent_is_that_of_the_power() {
        assert!((curve(|count| 3.0 * count).exponent() - 1.0).abs() < 1e-9);
        assert!((curve(|count| count * count).exponent() - 2.0).abs() < 1e-9);
        assert!(curve(|_| 7.0).exponent().abs() < 1e-9);
    }

    #[test]
    fn what_does_not_depend_on_the_count_hides_growth_less_at_the_end() {
        let curve = curve(|count| 100.0 + count);
        assert!(curve.last_exponent() > curve.exponent());
    }

    #[test]
    fn each_curve_is_drawn_with_its_exponent() {
        let svg = svg(&[("time", vec![curve(|count| count)]), ("memory", vec![curve(|count| count)])]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("exponent 1.00").count(), 2);
    }
}
