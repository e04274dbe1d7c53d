//! What can be wrong with a workflow, and how it is told.

use crate::types::describe;
use skein_idl::flyteidl::core::{Identifier, LiteralType, ResourceType};
use std::fmt::{self, Write as _};

/// What is wrong, in the original's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Nodes wait for each other.
    CycleDetected,
    /// Nodes that can never start.
    UnreachableNodes,
    /// A node that there is not.
    NodeReferenceNotFound,
    /// A task that is not registered.
    TaskReferenceNotFound,
    /// A sub-workflow that was not sent along, or a launch plan that is not registered.
    WorkflowReferenceNotFound,
    /// A required input without a value.
    ParameterNotBound,
    /// An input with several values.
    ParameterBoundMoreThanOnce,
    /// A value of another type than is declared.
    MismatchingTypes,
    /// A list or map where something else is declared.
    MismatchingBindings,
    /// An output that branches give different types.
    MismatchingInterfaces,
    /// A variable that there is not.
    VariableNameNotFound,
    /// A case of a branch that holds no condition.
    BranchNodeHasNoCondition,
    /// A branch that says nothing about what happens when no case holds.
    BranchNodeHasNoDefault,
    /// A case of a branch without a node.
    BranchNodeIdNotFound,
    /// A gate that waits for nothing.
    NoConditionFound,
    /// Something that must be there is not.
    ValueRequired,
    /// Something has a value that it cannot have.
    InvalidValue,
    /// A workflow without nodes.
    NoNodesFound,
    /// An id that two have.
    DuplicateId,
    /// An alias that two outputs of a node have.
    DuplicateAlias,
    /// A constant that is not one of an enum's values.
    IllegalEnumValue,
    /// A constant that several variants of a union would take.
    AmbiguousBindingUnionValue,
    /// A constant that no variant of a union takes.
    IncompatibleBindingUnionValue,
    /// A constant without a value.
    InvalidLiteralType,
    /// A part that a type does not have.
    FieldNotFound,
    /// A reference that cannot be read.
    SyntaxError,
    /// A workflow beyond a limit.
    WorkflowBuildError,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// What kind of thing.
    pub code: Code,
    /// The node it concerns; for the workflow as a whole, its id.
    pub node: String,
    /// The variable it concerns; empty when it concerns none.
    pub variable: String,
    /// In words.
    pub description: String,
}

/// The longest message, in bytes: it travels in a trailer, of which clients take 32 KiB with everything else.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// How many errors are kept; further ones are only counted.
const ERRORS_MAX: usize = 1_000;

/// Everything that is wrong with a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileErrors {
    /// The workflow's id, as [`id_text`] writes it.
    pub workflow: String,
    /// What is wrong, the first thousand.
    pub errors: Vec<CompileError>,
    /// How many there are in all.
    pub total: usize,
}

impl std::error::Error for CompileErrors {}

impl fmt::Display for CompileErrors {
    /// Writes the original's message, cut to [`MESSAGE_BYTES_MAX`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.workflow;
        let mut text =
            format!("failed to compile workflow for [{id}] with err: Collected Errors: {}\n", self.total);
        let mut written = 0;
        for (index, error) in self.errors.iter().enumerate() {
            let CompileError { code, node, variable: _, description } = error;
            let line =
                format!("\tError {index}: Code: {code}, Node Id: {node}, Description: {description}\n");
            // Room for the last line.
            if text.len() + line.len() + 64 > MESSAGE_BYTES_MAX {
                break;
            }
            text.push_str(&line);
            written += 1;
        }
        if written < self.total {
            writeln!(text, "\t... and {} more", self.total - written)?;
        }
        f.write_str(&text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)])
    }
}

/// Answers an id as the original writes it into messages.
pub fn id_text(id: &Identifier) -> String {
    let mut text = String::new();
    if id.resource_type() != ResourceType::Unspecified {
        text = format!("resource_type:{}", id.resource_type().as_str_name());
    }
    let parts = [
        ("project", &id.project),
        ("domain", &id.domain),
        ("name", &id.name),
        ("version", &id.version),
        ("org", &id.org),
    ];
    for (field, value) in parts {
        if !value.is_empty() {
            let space = if text.is_empty() { "" } else { "  " };
            let cut = &value[..value.floor_char_boundary(crate::ids::NAME_BYTES_MAX)];
            text.push_str(&format!("{space}{field}:{cut:?}"));
        }
    }
    text
}

/// Where something is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) node: &'a str,
    pub(super) variable: &'a str,
}

/// Collects errors.
#[derive(Debug)]
pub(super) struct Collector {
    workflow: Identifier,
    /// What descriptions begin with: empty for the workflow itself.
    place: String,
    errors: Vec<CompileError>,
    total: usize,
}

impl Collector {
    pub(super) const fn new(workflow: Identifier) -> Self {
        Self { workflow, place: String::new(), errors: Vec::new(), total: 0 }
    }

    /// Answers an empty collector, for what is only tried.
    pub(super) fn scratch(&self) -> Self {
        Self { place: self.place.clone(), ..Self::new(Identifier::default()) }
    }

    pub(super) fn enter_sub_workflow(&mut self, id: Option<&Identifier>) {
        let name = id.map_or("", |id| id.name.as_str());
        self.place = format!("In sub-workflow [{name}]: ");
    }

    pub(super) fn add(&mut self, code: Code, at: Site<'_>, description: impl fmt::Display) {
        self.total += 1;
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        let mut description = format!("{}{description}", self.place);
        let end = description.floor_char_boundary(4 * crate::ids::NAME_BYTES_MAX + 1024);
        description.truncate(end);
        let cut = |text: &str| text[..text.floor_char_boundary(4 * crate::ids::NAME_BYTES_MAX)].to_owned();
        self.errors.push(CompileError { code, node: cut(at.node), variable: cut(at.variable), description });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.total == 0
    }

    pub(super) fn mismatching_types(&mut self, at: Site<'_>, found: &LiteralType, expected: &LiteralType) {
        let description = format!(
            "Variable [{}] (type [{}]) doesn't match expected type [{}].",
            at.variable,
            describe(found),
            describe(expected)
        );
        self.add(Code::MismatchingTypes, at, description);
    }

    pub(super) fn finish(self) -> Result<(), CompileErrors> {
        match self.total {
            0 => Ok(()),
            total => Err(CompileErrors { workflow: id_text(&self.workflow), errors: self.errors, total }),
        }
    }
}

impl<'a> Site<'a> {
    pub(super) const fn node(node: &'a str) -> Self {
        Self { node, variable: "" }
    }

    pub(super) const fn variable(self, variable: &'a str) -> Self {
        Self { variable, ..self }
    }
}
