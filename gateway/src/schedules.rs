//! The schedules of launch plans as clients see them: what comes next, what came last, and why something did not.

use crate::error::ApiError;
use crate::progress::rfc3339;
use crate::registry::kind_value;
use crate::shared::Shared;
use crate::views::{EntityRow, Reader as _};
use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::admin;
use skein_log::read_last_two;
use skein_model::schedule::{History, LastTick, Skip};
use skein_model::{
    CatchUp, EntityId, EntityKind, Head, JournalId, RegistryEvent, Schedule, SchedulePolicy, Timestamp, codec,
};
use std::collections::BTreeMap;

/// The schedules that there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedules {
    /// Those of active launch plans, in order of their names.
    pub schedules: Vec<Scheduled>,
}

/// A launch plan that starts by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Its project.
    pub project: String,
    /// Its domain.
    pub domain: String,
    /// Its name.
    pub name: String,
    /// The version that is active.
    pub version: String,
    /// When it became that, by RFC 3339 in UTC.
    pub since: String,
    /// What its schedule says: a cron expression, or "every 5 minutes"; of one that cannot be, what is wrong with it.
    pub expression: String,
    /// The time zone of a cron schedule; none for a rate.
    pub time_zone: Option<String>,
    /// What is done about times that were missed: "all", "last", "none", or a number.
    pub catch_up: String,
    /// Its next time; none when there is none any more.
    pub next: Option<String>,
    /// Its last time for which an execution was to be started, by this or another version.
    pub last: Option<Ticked>,
    /// The times that were last left out.
    pub skipped: Option<Skipped>,
}

/// A time that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticked {
    /// The time.
    pub at: String,
    /// The name of its execution.
    pub execution: String,
    /// The version that was active.
    pub version: String,
    /// Why the execution could not be started; none when it was.
    pub refused: Option<String>,
}

/// Times that got no execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The first.
    pub first: String,
    /// The last.
    pub last: String,
    /// How many they are; [`Skip::TICKS_MAX`] stands for as many or more.
    pub ticks: u32,
    /// Why, in words.
    pub why: String,
}

/// Which schedules are meant; what is none is not asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// The project.
    pub project: Option<String>,
    /// The domain.
    pub domain: Option<String>,
    /// The name of the launch plan.
    pub name: Option<String>,
}

impl Which {
    fn is_meant(&self, id: &EntityId) -> bool {
        let is = |asked: &Option<String>, found: &str| asked.as_deref().is_none_or(|asked| asked == found);
        is(&self.project, &id.project) && is(&self.domain, &id.domain) && is(&self.name, &id.name)
    }
}

/// Reads what a launch plan says of when it starts by itself, with what this server says of it; none when it does not.
///
/// # Errors
/// [`ApiError::InvalidArgument`] naming the launch plan, the field, its value, and what would be right.
pub(crate) fn read(
    shared: &Shared,
    id: &EntityId,
    spec: &admin::LaunchPlanSpec,
) -> Result<Option<(Schedule, CatchUp)>, ApiError> {
    let refused = |what: String| ApiError::invalid(format!("launch plan {}: {what}", id.name));
    let nothing = BTreeMap::new();
    let annotations = spec.annotations.as_ref().map_or(&nothing, |annotations| &annotations.values);
    let own = SchedulePolicy::of(annotations).map_err(|fault| refused(format!("annotation {fault}")))?;
    let given = spec.entity_metadata.as_ref().and_then(|metadata| metadata.schedule.as_ref());
    let Some(given) = given else { return Ok(None) };
    let policy = shared.config.schedule_rules.resolve(&id.project, &id.domain, &id.name, &own);
    let schedule =
        Schedule::read(given, policy.time_zone.as_deref()).map_err(|fault| refused(fault.to_string()))?;
    Ok(schedule.map(|schedule| (schedule, policy.catch_up.unwrap_or_default())))
}

/// Lists the schedules of active launch plans.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn list(shared: &Shared, which: &Which) -> Result<Schedules, ApiError> {
    let tail =
        "FROM entities WHERE kind = ? AND state = 1 AND schedule_type != 0 ORDER BY project, domain, name";
    let values = [kind_value(EntityKind::LaunchPlan)];
    let rows: Vec<EntityRow> = shared.views.read(move |tables| tables.all(tail, &values)).await?;
    let mut schedules = Vec::new();
    for row in rows.into_iter().filter(|row| which.is_meant(&row.id)) {
        schedules.extend(one(shared, row).await?);
    }
    Ok(Schedules { schedules })
}

async fn one(shared: &Shared, row: EntityRow) -> Result<Option<Scheduled>, ApiError> {
    let id = row.id;
    // The views may be behind the log: of what is no longer active nothing comes next.
    let Some(since) = active_since(shared, &id).await? else { return Ok(None) };
    let stored: admin::LaunchPlan = shared.load(&row.closure).await?;
    let read = read(shared, &id, &stored.spec.unwrap_or_default());
    let (schedule, catch_up) = match read {
        Ok(Some((schedule, catch_up))) => (Ok(schedule), catch_up),
        Ok(None) => return Ok(None),
        // Registered before anybody looked: it never starts anything, and the others are to be listed.
        Err(ApiError::InvalidArgument(fault)) => (Err(fault), CatchUp::default()),
        Err(other) => return Err(other),
    };
    let ticks = |segment| JournalId::ticks(&id.project, &id.domain, &id.name, segment);
    let history = match read_last_two(&*shared.log, ticks).await? {
        Some((_, _, records)) => History::of(&records)?,
        None => History::default(),
    };
    let next = schedule
        .as_ref()
        .ok()
        .and_then(|schedule| schedule.next_after(since, history.decided().unwrap_or(since)));
    Ok(Some(Scheduled {
        since: rfc3339(since),
        time_zone: schedule.as_ref().ok().and_then(Schedule::zone).map(str::to_owned),
        expression: schedule.map_or_else(|fault| fault, |schedule| schedule.to_string()),
        catch_up: catch_up.to_string(),
        next: next.map(rfc3339),
        last: history.last.map(ticked),
        skipped: history.skipped.map(skipped),
        project: id.project,
        domain: id.domain,
        name: id.name,
        version: id.version,
    }))
}

/// Answers since when a version is the active one of its name; none when it is not.
async fn active_since(shared: &Shared, id: &EntityId) -> Result<Option<Timestamp>, ApiError> {
    let journal = JournalId::entity_name(EntityKind::LaunchPlan, &id.project, &id.domain, &id.name);
    let mut since = None;
    for record in shared.log.read(&journal, Head::EMPTY).await? {
        for event in codec::decode::<RegistryEvent>(record.schema, &record.record.body)? {
            match event {
                RegistryEvent::Activated { version, .. } => {
                    since = (version == id.version).then_some(record.record.time);
                }
                RegistryEvent::Deactivated { .. } => since = None,
                RegistryEvent::Registered { .. }
                | RegistryEvent::NameUpdated { .. }
                | RegistryEvent::ProjectPut { .. }
                | RegistryEvent::AttributePut { .. }
                | RegistryEvent::SecretPut { .. }
                | RegistryEvent::SecretDeleted { .. }
                | RegistryEvent::SecretKeysUsed { .. } => {}
            }
        }
    }
    Ok(since)
}

fn ticked(LastTick { version, at, execution, refused }: LastTick) -> Ticked {
    Ticked { at: rfc3339(at), execution, version, refused }
}

fn skipped(Skip { first, last, ticks, catch_up }: Skip) -> Skipped {
    let why = match catch_up {
        CatchUp::None => "they were missed, and none of those is caught up with (catch-up none)".to_owned(),
        CatchUp::Latest(1) => {
            "they were missed, and only the last of those is caught up with (catch-up last)".to_owned()
        }
        CatchUp::Latest(number) => {
            format!(
                "they were missed, and only the last {number} of those are caught up with (catch-up {number})"
            )
        }
        // All are caught up with then.
        CatchUp::All => "they were missed".to_owned(),
    };
    Skipped { first: rfc3339(first), last: rfc3339(last), ticks, why }
}
