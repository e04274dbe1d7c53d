//! What a server says of schedules, by project, domain and name of the launch plan; what a launch plan says of itself, in its
//! annotations, counts for more.

use crate::schedule::{CatchUp, is_time_zone};
use crate::task_rules::{DOMAIN, NAME, PROJECT, Pattern};
use crate::task_settings::{Given, Right, SettingError, known, text};
use std::collections::BTreeMap;

/// The annotation, and the setting without its prefix, that says what is done about times that were missed.
pub const CATCH_UP: &str = "skein/catch-up";
/// The annotation that names the time zone of a cron schedule.
pub const TIME_ZONE: &str = "skein/time-zone";
const CATCH_UP_SETTING: &str = "catch_up";
const TIME_ZONE_SETTING: &str = "time_zone";

/// How a schedule is read and what is done about times that were missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchedulePolicy {
    /// The time zone of a cron schedule that names none itself; none is UTC.
    pub time_zone: Option<String>,
    /// What is done about times that were missed; none is as the default of [`CatchUp`].
    pub catch_up: Option<CatchUp>,
}

impl SchedulePolicy {
    /// Reads what a launch plan says of itself.
    ///
    /// # Errors
    /// [`SettingError`] for an annotation of ours that is none.
    pub fn of(annotations: &BTreeMap<String, String>) -> Result<Self, SettingError> {
        let ours = [CATCH_UP, TIME_ZONE].into_iter().filter_map(|name| {
            annotations.get(name).map(|value| (name.to_owned(), Given::Text(value.clone())))
        });
        Self::read(&ours.collect(), CATCH_UP, TIME_ZONE)
    }

    fn read(
        given: &BTreeMap<String, Given>,
        catch_up: &'static str,
        time_zone: &'static str,
    ) -> Result<Self, SettingError> {
        let zone = text(given, time_zone, Right::TimeZone, is_time_zone)?.map(str::to_owned);
        // A number is as good without quotes.
        let named = match given.get(catch_up) {
            Some(Given::Number(number)) => {
                let word = BTreeMap::from([(catch_up.to_owned(), Given::Text(number.to_string()))]);
                text(&word, catch_up, Right::CatchUp, |word| CatchUp::named(word).is_some())?
                    .and_then(CatchUp::named)
            }
            _ => text(given, catch_up, Right::CatchUp, |word| CatchUp::named(word).is_some())?
                .and_then(CatchUp::named),
        };
        Ok(Self { time_zone: zone, catch_up: named })
    }

    /// Answers what `over`, which counts for more, says, and where it says nothing what this says.
    #[must_use]
    fn overlaid(&self, over: &Self) -> Self {
        Self {
            time_zone: over.time_zone.clone().or_else(|| self.time_zone.clone()),
            catch_up: over.catch_up.or(self.catch_up),
        }
    }
}

/// The rules of a server, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleRules(Vec<ScheduleRule>);

impl ScheduleRules {
    /// Takes rules in their order: a later one counts for more.
    pub const fn new(rules: Vec<ScheduleRule>) -> Self {
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

    /// Answers what counts for a launch plan with what it says itself (`own`).
    pub fn resolve(&self, project: &str, domain: &str, name: &str, own: &SchedulePolicy) -> SchedulePolicy {
        let rules = self.0.iter().filter(|rule| rule.matches(project, domain, name));
        let said = rules.fold(SchedulePolicy::default(), |said, rule| said.overlaid(&rule.policy));
        said.overlaid(own)
    }
}

/// One rule: what it says, and the launch plans that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRule {
    project: Option<Pattern>,
    domain: Option<Pattern>,
    name: Option<Pattern>,
    policy: SchedulePolicy,
}

impl ScheduleRule {
    /// Reads a rule: `project`, `domain` and `name` of the launch plan as those of a [`crate::TaskRule`]; `catch_up`, which is
    /// `none`, `last`, `all` or a whole number from 1 to 1 000; and `time_zone`.
    ///
    /// # Errors
    /// [`SettingError`] for a name that is none, and a value that is none.
    pub fn read(given: &BTreeMap<String, Given>) -> Result<Self, SettingError> {
        known(given, &[PROJECT, DOMAIN, NAME, CATCH_UP_SETTING, TIME_ZONE_SETTING])?;
        Ok(Self {
            project: Pattern::read(given, PROJECT)?,
            domain: Pattern::read(given, DOMAIN)?,
            name: Pattern::read(given, NAME)?,
            policy: SchedulePolicy::read(given, CATCH_UP_SETTING, TIME_ZONE_SETTING)?,
        })
    }

    fn matches(&self, project: &str, domain: &str, name: &str) -> bool {
        let is_met =
            |pattern: &Option<Pattern>, text| pattern.as_ref().is_none_or(|pattern| pattern.matches(text));
        is_met(&self.project, project) && is_met(&self.domain, domain) && is_met(&self.name, name)
    }
}
