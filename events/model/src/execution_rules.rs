//! What a server says of executions, by the project and domain that they run in and by the workflow or task that was launched.
//!
//! As the rules for tasks ([`crate::task_rules`]) they take effect when something is asked of the world, and may be others at the
//! next start.

use crate::ids::ExecutionId;
use crate::task_rules::{DOMAIN, NAME, PROJECT, Pattern};
use crate::task_settings::{Given, SettingError, Whole, known};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest time of an execution, in seconds.
pub const SECONDS_MAX: Whole = Whole::new("seconds_max", 1, 31_536_000);

/// The rules of a server, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutionRules(Vec<ExecutionRule>);

impl ExecutionRules {
    /// Takes rules in their order: a later one counts for more.
    pub const fn new(rules: Vec<ExecutionRule>) -> Self {
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

    /// Answers how long `execution` of what is called `name` may take; none is no limit.
    pub fn time_max(&self, execution: &ExecutionId, name: &str) -> Option<Duration> {
        let last = self.0.iter().rev().find(|rule| rule.matches(execution, name))?;
        Some(Duration::from_secs(last.seconds_max.into()))
    }
}

/// One rule: the longest time, and the executions that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionRule {
    project: Option<Pattern>,
    domain: Option<Pattern>,
    name: Option<Pattern>,
    seconds_max: u32,
}

impl ExecutionRule {
    /// Reads a rule: `project`, `domain` and `name` as those of a [`crate::TaskRule`], but that the name is of the workflow that
    /// runs, or of the task that was launched alone; and `seconds_max`, from 1 to 31 536 000.
    ///
    /// # Errors
    /// [`SettingError`] for a name that is none, a value that is none, and a rule without `seconds_max`.
    pub fn read(given: &BTreeMap<String, Given>) -> Result<Self, SettingError> {
        known(given, &[PROJECT, DOMAIN, NAME, SECONDS_MAX.name])?;
        Ok(Self {
            project: Pattern::read(given, PROJECT)?,
            domain: Pattern::read(given, DOMAIN)?,
            name: Pattern::read(given, NAME)?,
            seconds_max: SECONDS_MAX.required(given)?,
        })
    }

    fn matches(&self, execution: &ExecutionId, name: &str) -> bool {
        let is_met =
            |pattern: &Option<Pattern>, text| pattern.as_ref().is_none_or(|pattern| pattern.matches(text));
        is_met(&self.project, &execution.project)
            && is_met(&self.domain, &execution.domain)
            && is_met(&self.name, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(given: &[(&str, Given)]) -> Result<ExecutionRule, SettingError> {
        ExecutionRule::read(&given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    fn text(text: &str) -> Given {
        Given::Text(text.to_owned())
    }

    #[test]
    fn the_last_rule_that_matches_says_how_long() {
        let all = rule(&[("seconds_max", Given::Number(60.0))]).expect("it is right");
        let etl = rule(&[("name", text("etl.*")), ("seconds_max", Given::Number(5.0))]).expect("it is right");
        let rules = ExecutionRules::new(vec![all, etl]);
        let id = ExecutionId { project: "p".to_owned(), domain: "d".to_owned(), name: "n".to_owned() };
        assert_eq!(rules.time_max(&id, "etl.load"), Some(Duration::from_secs(5)));
        assert_eq!(rules.time_max(&id, "train"), Some(Duration::from_secs(60)));
        assert_eq!(ExecutionRules::default().time_max(&id, "train"), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_name_value_and_what_would_be_right() {
        let told = |given: &[(&str, Given)]| rule(given).expect_err("it is wrong").to_string();
        assert_eq!(
            told(&[("seconds_max", Given::Number(0.0))]),
            "seconds_max is 0; it has to be a whole number from 1 to 31536000"
        );
        assert_eq!(
            told(&[("project", text("p"))]),
            "seconds_max is nothing; it has to be a whole number from 1 to 31536000"
        );
        assert_eq!(
            told(&[("weight", Given::Number(1.0))]),
            "weight is unknown; there are project, domain, name and seconds_max"
        );
    }
}
