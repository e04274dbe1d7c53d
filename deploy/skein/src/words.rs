//! What commands for people say alike.

use std::io::Write as _;
use std::process::ExitCode;

/// What a command exits with that could not ask its server.
const NOT_ASKED: u8 = 2;

/// Prints an answer: as the JSON that it came in, if that is asked for, or as lines.
///
/// # Errors
/// When nothing can be written, or there are no lines.
pub fn tell(json: Option<&str>, lines: impl FnOnce() -> anyhow::Result<Vec<String>>) -> anyhow::Result<()> {
    let lines = match json {
        Some(json) => vec![json.to_owned()],
        None => lines()?,
    };
    let mut out = std::io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(out.flush()?)
}

/// Says how a command ends that asked a server; what kept it from asking is printed.
pub fn ended(told: anyhow::Result<()>) -> ExitCode {
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skein: {error:#}");
            ExitCode::from(NOT_ASKED)
        }
    }
}

/// What user code says is shown, and not obeyed by the terminal.
pub fn harmless(text: &str) -> String {
    let shown = |c: char| {
        if c == '\t' {
            ' '
        } else if c.is_control() {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// Says a time as a person does, in its two largest units.
pub fn span(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole seconds from ten on are meant"
    )]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// Whoever reads may have seen enough (`| head`); that is no fault.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_two_units() {
        let spans = [0.04, 9.94, 59.6, 61.0, 7_260.0, 90_000.0].map(span);
        assert_eq!(spans, ["0.0 s", "9.9 s", "1 min 0 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]);
    }
}
