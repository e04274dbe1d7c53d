//! A program that has tasks, and its command line.

use crate::register;
use crate::task::Task;
use crate::{child, serve};
use skein_protocol::VERSION;
use skein_protocol::native::{SERVE, VERSION_FLAG};
use std::process::ExitCode;

/// What a program ends with that was called in a way that it does not know.
const WRONG_USE: u8 = 2;

const HELP: &str = "\
Tasks of this program:
{tasks}
  {program} register --endpoint HOST:PORT --project P --domain D --version V [--task NAME]...
      registers them, or those named, at a Skein server; they run from where this program is now

Skein's workers start it with the word serve.
";

/// The tasks of a program.
#[derive(Default)]
pub struct Program {
    tasks: Vec<Task>,
}

impl Program {
    /// Makes a program without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task. No two may have one name.
    #[must_use]
    pub fn with(mut self, task: Task) -> Self {
        self.tasks.push(task);
        self
    }

    /// Does what the command line says: registers the tasks, serves them, or explains itself. It is the last that `main`
    /// does; what `main` does before it, each process of the program does.
    pub fn run(self) -> ExitCode {
        let words: Vec<String> = std::env::args().collect();
        if let Some(fault) = self.fault() {
            return wrong(&fault);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.get(1..).unwrap_or_default() {
            [SERVE, VERSION_FLAG, version] => self.serve(version),
            [serve::CHILD, parent, page] => self.serve_child(parent, page),
            ["register", options @ ..] => self.register(options),
            [] | ["help" | "--help" | "-h"] => {
                print!("{}", self.help());
                ExitCode::SUCCESS
            }
            [word, ..] => wrong(&format!("{word:?} is no command of this program\n\n{}", self.help())),
        }
    }

    /// Answers what is wrong with the tasks, if anything is.
    fn fault(&self) -> Option<String> {
        let twice = self.tasks.iter().enumerate().find_map(|(at, task)| {
            let is_known = self.tasks[..at].iter().any(|known| known.name == task.name);
            is_known.then(|| format!("two tasks are called {}: each needs a name of its own", task.name))
        });
        twice.or_else(|| self.tasks.iter().find_map(Task::fault))
    }

    fn serve(&self, version: &str) -> ExitCode {
        if version != VERSION.to_string() {
            return wrong(&format!(
                "this program speaks version {VERSION} of the worker protocol, and the worker version {version}: build it with the skein-task of the worker's release"
            ));
        }
        ended(serve::run())
    }

    fn serve_child(&self, parent: &str, page: &str) -> ExitCode {
        let Ok(parent) = parent.parse() else { return wrong("a child needs the process id of its zygote") };
        ended(child::run(parent, page, &|name| self.tasks.iter().find(|task| task.name == name)))
    }

    fn register(&self, options: &[&str]) -> ExitCode {
        let target = match register::Target::parse(options) {
            Ok(target) => target,
            Err(fault) => return wrong(&fault),
        };
        let named = |task: &&Task| target.tasks.is_empty() || target.tasks.contains(&task.name);
        let absent = target.tasks.iter().find(|name| self.tasks.iter().all(|task| task.name != **name));
        if let Some(name) = absent {
            return wrong(&format!("there is no task {name} in this program\n\n{}", self.help()));
        }
        match register::all(self.tasks.iter().filter(named), &target) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                eprintln!("{fault}");
                ExitCode::FAILURE
            }
        }
    }

    fn help(&self) -> String {
        let program = std::env::args().next().unwrap_or_else(|| "program".to_owned());
        let tasks: String = self.tasks.iter().map(|task| format!("  {}\n", task.signature())).collect();
        HELP.replace("{tasks}", &tasks).replace("{program}", &program)
    }
}

fn wrong(fault: &str) -> ExitCode {
    eprintln!("{fault}");
    ExitCode::from(WRONG_USE)
}

fn ended(served: std::io::Result<()>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
