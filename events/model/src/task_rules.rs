//! What a server says of tasks, by the project and domain that they run in and by their names; a task's own word counts
//! for more.
//!
//! Rules come from a file that may be another one at the next start. That is harmless: they take effect when something
//! is asked of the world, and nothing that is recorded depends on them ([`crate::task_settings`]).

use crate::ids::ExecutionId;
use crate::task_settings::{Given, Right, SettingError, TaskSettings, text};
use std::collections::BTreeMap;

/// What stands for any run of characters in a pattern, also for none.
const ANY: char = '*';
pub(crate) const PROJECT: &str = "project";
pub(crate) const DOMAIN: &str = "domain";
pub(crate) const NAME: &str = "name";

/// The rules of a server, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRules(Vec<TaskRule>);

impl TaskRules {
    /// Takes rules in their order: a later one counts for more.
    pub const fn new(rules: Vec<TaskRule>) -> Self {
        Self(rules)
    }

    /// Answers how many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether any of them limits a time that the engine has to watch.
    pub fn are_timed(&self) -> bool {
        self.0.iter().any(TaskRule::is_timed)
    }

    /// Answers what counts for the task `name` in `execution`: of each setting what the task says itself (`own`), else
    /// what the last rule says that matches. What contradicts someone who counts for more is left out.
    pub fn resolve(&self, execution: &ExecutionId, name: &str, own: &TaskSettings) -> TaskSettings {
        let rules = self.0.iter().filter(|rule| rule.matches(execution, name));
        let said = rules.fold(TaskSettings::default(), |said, rule| said.overlaid(&rule.settings));
        said.overlaid(own)
    }
}

/// One rule: settings, and the tasks that they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRule {
    project: Option<Pattern>,
    domain: Option<Pattern>,
    name: Option<Pattern>,
    settings: TaskSettings,
}

impl TaskRule {
    /// Reads a rule: `project` and `domain` of the execution and `name` of the task, each exact or with `*` for any run of
    /// characters, each any when it is not there; and the settings by their names.
    ///
    /// # Errors
    /// [`SettingError`], as [`TaskSettings::read`] and for the three patterns.
    pub fn read(given: &BTreeMap<String, Given>) -> Result<Self, SettingError> {
        let patterns = [PROJECT, DOMAIN, NAME];
        let is_setting = |name: &&String| !patterns.contains(&name.as_str());
        let settings = given.iter().filter(|(name, _)| is_setting(name));
        let settings = settings.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self {
            project: Pattern::read(given, PROJECT)?,
            domain: Pattern::read(given, DOMAIN)?,
            name: Pattern::read(given, NAME)?,
            settings: TaskSettings::read(&settings).map_err(|error| naming(error, &patterns))?,
        })
    }

    /// Says whether its settings limit a time that the engine has to watch.
    const fn is_timed(&self) -> bool {
        self.settings.is_timed()
    }

    fn matches(&self, execution: &ExecutionId, name: &str) -> bool {
        let is_met =
            |pattern: &Option<Pattern>, text| pattern.as_ref().is_none_or(|pattern| pattern.matches(text));
        is_met(&self.project, &execution.project)
            && is_met(&self.domain, &execution.domain)
            && is_met(&self.name, name)
    }
}

/// A rule has more names than settings alone.
fn naming(error: SettingError, more: &[&'static str]) -> SettingError {
    match error {
        SettingError::Unknown { name, known } => {
            SettingError::Unknown { name, known: more.iter().copied().chain(known).collect() }
        }
        other => other,
    }
}

/// A text in which `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What comes before the first `*`.
    first: String,
    /// What comes between two of them, and after the last; none when there is none.
    rest: Vec<String>,
}

impl Pattern {
    pub(crate) fn read(
        given: &BTreeMap<String, Given>,
        name: &'static str,
    ) -> Result<Option<Self>, SettingError> {
        let is_good = |pattern: &str| !pattern.is_empty();
        Ok(text(given, name, Right::Pattern, is_good)?.map(Self::of))
    }

    /// Makes one of what users write.
    pub fn of(text: &str) -> Self {
        let mut parts = text.split(ANY).map(str::to_owned);
        Self { first: parts.next().unwrap_or_default(), rest: parts.collect() }
    }

    /// Says whether all of `text` is so.
    pub fn matches(&self, text: &str) -> bool {
        let Some((last, between)) = self.rest.split_last() else { return text == self.first };
        let Some(mut left) = text.strip_prefix(self.first.as_str()) else { return false };
        for part in between {
            // The first place will do: it leaves the most for what follows.
            match left.find(part.as_str()) {
                Some(at) => left = &left[at + part.len()..],
                None => return false,
            }
        }
        left.ends_with(last.as_str())
    }
}
