//! Which task types connectors do, as far as that is known: said by a server's configuration, or told by connectors.
//!
//! Whoever registers tasks, whoever hands work out and whoever calls connectors look at one list. It influences where work goes
//! and what is refused, never what is recorded.

use crate::runnable::is_runnable;
use skein_idl::flyteidl::core::TaskTemplate;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Types that run here whatever a connector says of itself.
const OURS: [&str; 4] = ["python-task", "raw-container", "container", "sidecar"];

/// A type of tasks, with the version of what the type means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category {
    /// The type, such as `sensor`.
    pub name: String,
    /// The version; none stands for every one.
    pub version: Option<i32>,
}

impl Category {
    /// Says whether tasks of `name` and `version` are of it.
    pub fn covers(&self, name: &str, version: i32) -> bool {
        self.name == name && self.version.is_none_or(|own| own == version)
    }

    /// Answers the category of a task.
    pub fn of(template: &TaskTemplate) -> Self {
        Self { name: template.r#type.clone(), version: Some(template.task_type_version) }
    }
}

/// Who does tasks of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Which of the configured connectors, from 0.
    pub connector: usize,
    /// Whether its tasks are done within one call; none when it has not said.
    pub is_sync: Option<bool>,
}

/// What one connector does: of each type whether its tasks are done within one call, or none when that was not said.
pub type Types = BTreeMap<Category, Option<bool>>;

/// The list, shared.
#[derive(Clone, Debug, Default)]
pub struct ServedTypes {
    of: Arc<RwLock<Vec<Types>>>,
}

impl ServedTypes {
    /// Puts what the connector with this number does in the place of what was known of it.
    pub fn put(&self, connector: usize, types: Types) {
        let mut of = self.of.write().unwrap_or_else(PoisonError::into_inner);
        if of.len() <= connector {
            of.resize_with(connector + 1, Types::new);
        }
        of[connector] = types;
    }

    /// Answers who does tasks of a type; of several connectors the first, and of one the category with the version.
    pub fn server(&self, name: &str, version: i32) -> Option<Server> {
        let of = self.of.read().unwrap_or_else(PoisonError::into_inner);
        of.iter().enumerate().find_map(|(connector, types)| {
            let covering = types.iter().filter(|(category, _)| category.covers(name, version));
            let (_, is_sync) = covering.max_by_key(|(category, _)| category.version.is_some())?;
            Some(Server { connector, is_sync: *is_sync })
        })
    }

    /// Lists all types, each once.
    pub fn names(&self) -> Vec<String> {
        let of = self.of.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = of.iter().flat_map(BTreeMap::keys).map(|of| of.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Says whether a connector does the task: one does its type, and it is not a type that runs here.
    pub fn serves(&self, template: &TaskTemplate) -> bool {
        let name = template.r#type.as_str();
        !is_ours(name) && self.server(name, template.task_type_version).is_some()
    }

    /// Says whether a task goes to connectors: one does it, or nothing else could run it.
    pub fn takes(&self, template: &TaskTemplate) -> bool {
        !is_runnable(template) || self.serves(template)
    }
}

/// Says whether tasks of a type run here whatever a connector says of itself.
pub fn is_ours(name: &str) -> bool {
    OURS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::{Container, task_template};

    fn category(name: &str, version: Option<i32>) -> Category {
        Category { name: name.to_owned(), version }
    }

    fn served(types: &[(&str, Option<i32>, Option<bool>)]) -> ServedTypes {
        let served = ServedTypes::default();
        let types = types.iter().map(|(name, version, is_sync)| (category(name, *version), *is_sync));
        served.put(0, types.collect());
        served
    }

    #[test]
    fn a_category_with_the_version_goes_before_one_for_every_version() {
        let served = served(&[("a", None, None), ("a", Some(1), Some(true)), ("b", Some(2), None)]);
        assert_eq!(served.server("a", 1), Some(Server { connector: 0, is_sync: Some(true) }));
        assert_eq!(served.server("a", 3), Some(Server { connector: 0, is_sync: None }));
        assert_eq!(served.server("b", 0), None);
        assert_eq!(served.names(), ["a", "b"]);
    }

    #[test]
    fn of_several_connectors_that_do_a_type_the_first_counts() {
        let served = ServedTypes::default();
        for connector in [2, 1] {
            served.put(connector, BTreeMap::from([(category("a", Some(0)), None)]));
        }
        assert_eq!(served.server("a", 0).map(|server| server.connector), Some(1));
        served.put(1, BTreeMap::new());
        assert_eq!(served.server("a", 0).map(|server| server.connector), Some(2));
    }

    #[test]
    fn what_runs_here_goes_to_connectors_only_where_one_does_its_type() {
        let container = Container { args: vec!["pyflyte-execute".to_owned()], ..Container::default() };
        let task = |task_type: &str, has_container: bool| TaskTemplate {
            r#type: task_type.to_owned(),
            target: has_container.then(|| task_template::Target::Container(container.clone())),
            ..TaskTemplate::default()
        };
        let served = served(&[("databricks", Some(0), None), ("python-task", Some(0), None)]);
        assert!(served.takes(&task("databricks", true)));
        assert!(served.takes(&task("sensor", false)), "nothing else could run it");
        assert!(!served.takes(&task("spark", true)));
        assert!(!served.takes(&task("python-task", true)), "a connector cannot take that over");
    }
}
