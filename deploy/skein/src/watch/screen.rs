//! Puts what is drawn onto standard output.

use super::draw::{self, Size};
use skein_gateway::progress::Progress;
use std::io::{IsTerminal as _, Stdout, Write as _};

/// The size of what is no terminal: nothing is cut.
const UNBOUNDED: Size = Size { columns: usize::MAX, rows: usize::MAX };
/// The size of a terminal that does not say it.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// How states are shown.
enum Form {
    Json,
    /// Drawn where it stands; so many lines are there now.
    Picture(usize),
    /// A line for each change; the state before.
    Lines(Option<Box<Progress>>),
}

/// Standard output, and what stands there.
pub struct Screen {
    out: Stdout,
    form: Form,
}

impl Screen {
    /// Takes standard output as what it is.
    pub fn of_stdout(json: bool) -> Self {
        let out = std::io::stdout();
        let can_draw = out.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let form = match (json, can_draw) {
            (true, _) => Form::Json,
            (false, true) => Form::Picture(0),
            (false, false) => Form::Lines(None),
        };
        Self { out, form }
    }

    /// Shows a state that is not followed by others.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn show_once(&mut self, progress: &Progress, json: &str) -> std::io::Result<()> {
        match self.form {
            Form::Json => writeln!(self.out, "{json}")?,
            Form::Picture(_) | Form::Lines(_) => {
                for line in draw::picture(progress, UNBOUNDED) {
                    writeln!(self.out, "{line}")?;
                }
            }
        }
        self.out.flush()
    }

    /// Shows the next state.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn show(&mut self, progress: &Progress, json: &str) -> std::io::Result<()> {
        match &mut self.form {
            Form::Json => writeln!(self.out, "{json}")?,
            Form::Picture(lines) => {
                let size = if progress.phase.is_terminal() {
                    // What stays is to be whole.
                    Size { rows: usize::MAX, ..size(&self.out) }
                } else {
                    size(&self.out)
                };
                let picture = draw::picture(progress, size);
                let painted = draw::over(*lines, &picture);
                *lines = picture.len();
                self.out.write_all(painted.as_bytes())?;
            }
            Form::Lines(before) => {
                for line in draw::changes(before.as_deref(), progress) {
                    writeln!(self.out, "{line}")?;
                }
                *before = Some(Box::new(progress.clone()));
            }
        }
        self.out.flush()
    }

    /// Says something beside the states. The next picture stands below it.
    ///
    /// # Errors
    /// When nobody takes it.
    pub fn note(&mut self, text: &str) -> std::io::Result<()> {
        if let Form::Picture(lines) = &mut self.form {
            *lines = 0;
        }
        writeln!(std::io::stderr(), "skein: {text}")
    }
}

fn size(out: &Stdout) -> Size {
    match rustix::termios::tcgetwinsize(out) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
        }
        _ => USUAL,
    }
}
