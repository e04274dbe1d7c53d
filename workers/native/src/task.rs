//! A task: a function with a name, named inputs and outputs, and what the server is told about it.

use crate::error::Result;
use crate::function::{Arguments, Form, Function, Given};
use prost_types::value::Kind;
use skein_idl::flyteidl::core::{
    Container, LiteralType, RetryStrategy, RuntimeMetadata, TaskMetadata, TaskTemplate, TypedInterface,
    Variable, VariableMap, runtime_metadata, task_template,
};
use skein_protocol::NativeCommand;
use skein_protocol::native::TASK_TYPE;
use std::collections::BTreeMap;
use std::time::Duration;

/// What stands for an image: the program itself is what runs.
const IMAGE: &str = "skein-native";

/// How much of a process the attempts and items of a task share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// One process runs attempt after attempt: the fastest. What the program keeps in statics stays.
    #[default]
    Reuse,
    /// Each attempt, and each chunk of a map, has a process of its own.
    Fresh,
}

type Call = Box<dyn Fn(&mut Arguments<'_>, Form) -> Result<Vec<Given>> + Send + Sync>;

/// A task. Made of a typed function, and given to [`Program::with`](crate::Program::with).
///
/// ```
/// use skein_task::{Result, Task};
/// use std::time::Duration;
///
/// fn divide(dividend: i64, divisor: i64) -> Result<(i64, i64)> {
///     let quotient = dividend.checked_div(divisor).ok_or_else(|| skein_task::Error::new("division by zero"))?;
///     Ok((quotient, dividend % divisor))
/// }
///
/// let task = Task::new("numbers.divide", ["dividend", "divisor"], divide)
///     .outputs(["quotient", "remainder"])
///     .retries(3)
///     .timeout(Duration::from_secs(60))
///     .cache("1.0");
/// ```
pub struct Task {
    pub(crate) name: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    input_types: Vec<LiteralType>,
    output_types: Vec<LiteralType>,
    retries: u32,
    timeout: Option<Duration>,
    cache_version: Option<String>,
    isolation: Isolation,
    settings: BTreeMap<String, Kind>,
    call: Call,
}

impl Task {
    /// Makes a task of a function. `name` is what `reference_task` names in Python, by convention with dots; `inputs` are
    /// the names of its arguments, in their order. Its outputs are called `o0`, `o1` and so on, as the SDK calls them that
    /// have no names, unless [`Task::outputs`] says otherwise.
    pub fn new<Args, F, const N: usize>(name: impl Into<String>, inputs: [&str; N], function: F) -> Self
    where
        F: Function<Args, N>,
    {
        let output_types = F::outputs();
        Self {
            name: name.into(),
            inputs: inputs.map(str::to_owned).to_vec(),
            outputs: (0..output_types.len()).map(|number| format!("o{number}")).collect(),
            input_types: F::inputs().to_vec(),
            output_types,
            retries: 0,
            timeout: None,
            cache_version: None,
            isolation: Isolation::default(),
            settings: BTreeMap::new(),
            call: Box::new(move |arguments, form| function.call(arguments, form)),
        }
    }

    /// Names the outputs, in their order; there must be as many as the function gives.
    #[must_use]
    pub fn outputs<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.outputs = names.map(str::to_owned).to_vec();
        self
    }

    /// Has an attempt that failed with [`Error::recoverable`](crate::Error::recoverable) tried again, as often. Default 0.
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Ends an attempt that takes longer. Default: none is too long.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says that equal inputs give equal outputs, for as long as `version` stays the same. It is kept with the task, for
    /// servers that have a cache.
    #[must_use]
    pub fn cache(mut self, version: impl Into<String>) -> Self {
        self.cache_version = Some(version.into());
        self
    }

    /// Says how much of a process its attempts share. Default [`Isolation::Reuse`].
    #[must_use]
    pub const fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Gives it a setting that is a whole number, by the name that it has in the server's configuration, such as
    /// `priority`, `pool_size` or `process_attempts_max`. The server checks it at registration.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: i32) -> Self {
        self.settings.insert(name.into(), Kind::NumberValue(value.into()));
        self
    }

    /// Calls the function with values by the position of their inputs.
    pub(crate) fn call(&self, values: &mut dyn FnMut(usize) -> Given, form: Form) -> Result<Vec<Given>> {
        (self.call)(&mut Arguments::new(&self.inputs, values), form)
    }

    /// Answers what is wrong with its names, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty() {
            return Some("a task has an empty name: it needs one".to_owned());
        }
        if self.outputs.len() != self.output_types.len() {
            let (found, wanted) = (self.outputs.len(), self.output_types.len());
            return Some(format!(
                "task {name} has {found} names for its outputs, and its function gives {wanted}"
            ));
        }
        for (kind, names) in [("input", &self.inputs), ("output", &self.outputs)] {
            for (at, each) in names.iter().enumerate() {
                if !is_identifier(each) {
                    return Some(format!(
                        "{kind} {each:?} of task {name} is no name that Python could use: letters, digits and _, not a digit first"
                    ));
                }
                if names[..at].contains(each) {
                    return Some(format!("task {name} has two {kind}s that are called {each}"));
                }
            }
        }
        None
    }

    /// Answers what is registered, for the program with this path and digest.
    pub(crate) fn template(&self, program: &str, digest: &str) -> TaskTemplate {
        let command =
            NativeCommand { program: program.to_owned(), digest: digest.to_owned(), task: self.name.clone() };
        let container =
            Container { image: IMAGE.to_owned(), args: command.arguments(), ..Container::default() };
        TaskTemplate {
            r#type: TASK_TYPE.to_owned(),
            metadata: Some(self.metadata()),
            interface: Some(TypedInterface {
                inputs: Some(variables(&self.inputs, &self.input_types)),
                outputs: Some(variables(&self.outputs, &self.output_types)),
            }),
            custom: Some(self.custom()),
            target: Some(task_template::Target::Container(container)),
            ..TaskTemplate::default()
        }
    }

    fn metadata(&self) -> TaskMetadata {
        let retries = Some(RetryStrategy { retries: self.retries });
        let timeout = self.timeout.and_then(|timeout| timeout.try_into().ok());
        TaskMetadata {
            discoverable: self.cache_version.is_some(),
            discovery_version: self.cache_version.clone().unwrap_or_default(),
            runtime: Some(RuntimeMetadata {
                r#type: runtime_metadata::RuntimeType::Other.into(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                flavor: "rust".to_owned(),
            }),
            timeout,
            retries,
            ..TaskMetadata::default()
        }
    }

    /// The settings, where the server looks for them.
    fn custom(&self) -> prost_types::Struct {
        let isolation = match self.isolation {
            Isolation::Reuse => "reuse",
            Isolation::Fresh => "fresh",
        };
        let mut settings = self.settings.clone();
        settings.insert("isolation".to_owned(), Kind::StringValue(isolation.to_owned()));
        let fields = settings
            .into_iter()
            .map(|(name, kind)| (name, prost_types::Value { kind: Some(kind) }))
            .collect();
        let skein = Kind::StructValue(prost_types::Struct { fields });
        prost_types::Struct {
            fields: [("skein".to_owned(), prost_types::Value { kind: Some(skein) })].into(),
        }
    }

    /// Answers its signature, as a Python user would write it.
    pub(crate) fn signature(&self) -> String {
        let part = |(name, declared): (&String, &LiteralType)| {
            format!("{name}: {}", crate::describe::literal_type(declared))
        };
        let list = |names: &[String], types: &[LiteralType]| {
            names.iter().zip(types).map(part).collect::<Vec<_>>().join(", ")
        };
        let inputs = list(&self.inputs, &self.input_types);
        format!("{}({inputs}) -> ({})", self.name, list(&self.outputs, &self.output_types))
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|each| each.is_ascii_alphanumeric() || each == '_')
}

fn variables(names: &[String], types: &[LiteralType]) -> VariableMap {
    let variable =
        |declared: &LiteralType| Variable { r#type: Some(declared.clone()), ..Variable::default() };
    VariableMap {
        variables: names
            .iter()
            .zip(types)
            .map(|(name, declared)| (name.clone(), variable(declared)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide(dividend: i64, divisor: i64) -> (i64, i64) {
        (dividend / divisor, dividend % divisor)
    }

    #[test]
    fn a_task_is_registered_with_all_that_was_said_about_it() {
        let task = Task::new("numbers.divide", ["dividend", "divisor"], divide)
            .retries(3)
            .timeout(Duration::from_secs(60))
            .cache("1.0")
            .setting("priority", 7);
        let template = task.template("/opt/numbers", "xxh3:1");
        let metadata = template.metadata.expect("it has some");
        assert_eq!((metadata.retries.map(|it| it.retries), metadata.discoverable), (Some(3), true));
        assert_eq!((metadata.timeout.map(|it| it.seconds), &*metadata.discovery_version), (Some(60), "1.0"));
        let outputs = template.interface.and_then(|it| it.outputs).expect("it has some").variables;
        assert_eq!(outputs.keys().collect::<Vec<_>>(), ["o0", "o1"]);
        let Some(task_template::Target::Container(container)) = template.target else {
            panic!("no container")
        };
        let command = NativeCommand::parse(&container.args).expect("ours").expect("whole");
        assert_eq!((&*command.program, &*command.task), ("/opt/numbers", "numbers.divide"));
        assert_eq!(task.signature(), "numbers.divide(dividend: int, divisor: int) -> (o0: int, o1: int)");
    }

    #[test]
    fn names_that_cannot_be_are_told_before_anything_is_done_with_them() {
        let faults = [
            Task::new("", ["a", "b"], divide),
            Task::new("t", ["a", "a"], divide),
            Task::new("t", ["a", "2nd"], divide),
            Task::new("t", ["a", "b"], divide).outputs(["only"]),
        ];
        let told: Vec<_> = faults.iter().map(|task| task.fault().expect("something is wrong")).collect();
        assert_eq!(told[1], "task t has two inputs that are called a");
        assert_eq!(told[3], "task t has 1 names for its outputs, and its function gives 2");
        assert_eq!(Task::new("t", ["a", "b"], divide).fault(), None);
    }

    #[test]
    fn a_wrong_and_a_missing_input_are_named_with_what_would_be_right() {
        let task = Task::new("t", ["a", "b"], divide);
        let call = |second: Given| {
            let mut values =
                |at| if at == 0 { Given::Plain(skein_protocol::Plain::Int(1)) } else { second.clone() };
            task.call(&mut values, Form::Plain).expect_err("it is wrong").message().to_owned()
        };
        let text = Given::Plain(skein_protocol::Plain::Str("x".to_owned()));
        assert_eq!(call(text), "input b is a text, and has to be int");
        assert_eq!(call(Given::Absent), "input b is missing: it has to be int");
    }
}
