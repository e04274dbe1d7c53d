//! What a workflow may refer to, each looked up once.

use super::interface::Interface;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::{
    Identifier, LiteralMap, ParameterMap, TaskTemplate, VariableMap, WorkflowTemplate,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Registered definitions, as whoever compiles brings them.
pub trait Definitions {
    /// Answers a registered task; none when there is none.
    fn task(&self, id: &Identifier) -> Option<TaskTemplate>;
    /// Answers what a registered launch plan takes and gives; none when there is none.
    fn launch_plan(&self, id: &Identifier) -> Option<LaunchPlanInterface>;
}

/// What a launch plan takes and gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaunchPlanInterface {
    /// The inputs that are not fixed: required, or with a default.
    pub expected_inputs: ParameterMap,
    /// The inputs that nobody can give.
    pub fixed_inputs: LiteralMap,
    /// The outputs of its workflow.
    pub outputs: VariableMap,
}

impl LaunchPlanInterface {
    /// Reads it off a launch plan as it is registered.
    pub fn of(registered: admin::LaunchPlan) -> Self {
        let closure = registered.closure.unwrap_or_default();
        Self {
            expected_inputs: closure.expected_inputs.unwrap_or_default(),
            fixed_inputs: registered.spec.and_then(|spec| spec.fixed_inputs).unwrap_or_default(),
            outputs: closure.expected_outputs.unwrap_or_default(),
        }
    }
}

/// Definitions that were looked up before something is compiled.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Tasks by their ids.
    pub tasks: HashMap<Identifier, TaskTemplate>,
    /// Launch plans by their ids.
    pub launch_plans: HashMap<Identifier, LaunchPlanInterface>,
}

impl Definitions for Known {
    fn task(&self, id: &Identifier) -> Option<TaskTemplate> {
        self.tasks.get(id).cloned()
    }

    fn launch_plan(&self, id: &Identifier) -> Option<LaunchPlanInterface> {
        self.launch_plans.get(id).cloned()
    }
}

/// Definitions that were looked up, and the sub-workflows that came along.
pub(super) struct Catalog<'a> {
    definitions: &'a dyn Definitions,
    tasks: HashMap<Key, Option<(TaskTemplate, Arc<Interface>)>>,
    launch_plans: HashMap<Key, Option<Arc<Interface>>>,
    workflows: HashMap<Key, Arc<Interface>>,
}

/// The parts of an id that tell definitions of one kind apart. Old clients leave the kind unset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key([String; 4]);

impl From<&Identifier> for Key {
    fn from(id: &Identifier) -> Self {
        Self([id.project.clone(), id.domain.clone(), id.name.clone(), id.version.clone()])
    }
}

impl<'a> Catalog<'a> {
    pub(super) fn new(definitions: &'a dyn Definitions, sub_workflows: &[&WorkflowTemplate]) -> Self {
        let interface_of = |workflow: &&WorkflowTemplate| {
            let id = workflow.id.clone().unwrap_or_default();
            (Key::from(&id), Arc::new(Interface::of_typed(workflow.interface.as_ref())))
        };
        Self {
            definitions,
            tasks: HashMap::new(),
            launch_plans: HashMap::new(),
            workflows: sub_workflows.iter().map(interface_of).collect(),
        }
    }

    pub(super) fn task(&mut self, id: &Identifier) -> Option<Arc<Interface>> {
        let definitions = self.definitions;
        let found = self.tasks.entry(id.into()).or_insert_with(|| {
            let template = definitions.task(id)?;
            let interface = Arc::new(Interface::of_typed(template.interface.as_ref()));
            Some((template, interface))
        });
        found.as_ref().map(|(_, interface)| Arc::clone(interface))
    }

    pub(super) fn launch_plan(&mut self, id: &Identifier) -> Option<Arc<Interface>> {
        let definitions = self.definitions;
        let found = self.launch_plans.entry(id.into()).or_insert_with(|| {
            definitions.launch_plan(id).map(|plan| Arc::new(Interface::of_launch_plan(&plan)))
        });
        found.clone()
    }

    pub(super) fn sub_workflow(&self, id: &Identifier) -> Option<Arc<Interface>> {
        self.workflows.get(&id.into()).cloned()
    }

    /// Answers the tasks that were referred to, in the order of their ids.
    pub(super) fn into_tasks(self) -> impl Iterator<Item = TaskTemplate> {
        let found = self.tasks.into_iter().filter_map(|(key, found)| Some((key, found?.0)));
        let mut tasks: Vec<(Key, TaskTemplate)> = found.collect();
        tasks.sort_by(|(left, _), (right, _)| left.cmp(right));
        tasks.into_iter().map(|(_, template)| template)
    }
}
