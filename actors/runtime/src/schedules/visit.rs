//! Does for one launch plan what its schedule wants by now.

use super::ticks::{Ticks, TicksError};
use super::{Activation, Name};
use crate::launch::{self, Fault, Launch, LaunchError};
use crate::ports::Ports;
use bytes::Bytes;
use skein_core::ticks::{Next, Ticking};
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::admin::execution_metadata::ExecutionMode;
use skein_model::literals::{encode_datetime, encode_literal_map};
use skein_model::schedule::{LastTick, ScheduleError, tick_name};
use skein_model::task_settings::SettingError;
use skein_model::{EntityId, EntityKind, ExecutionId, Schedule, ScheduleEvent, SchedulePolicy, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::{error, info, warn};

/// A visit of one schedule.
pub(super) struct Visit {
    pub(super) ports: Arc<Ports>,
    pub(super) name: Name,
    pub(super) active: Option<Activation>,
    /// No longer true once the active version is another.
    pub(super) wanted: Arc<AtomicBool>,
}

/// Why a visit cannot be ended.
#[derive(Debug, thiserror::Error)]
enum VisitError {
    #[error(transparent)]
    Ticks(#[from] TicksError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("its schedule cannot be read")]
    Schedule(#[from] ScheduleError),
    #[error("its annotations cannot be read")]
    Policy(#[from] SettingError),
}

impl VisitError {
    fn is_passing(&self) -> bool {
        match self {
            Self::Ticks(fault) => fault.is_passing(),
            Self::Launch(fault) => fault.fault() == Fault::Passing,
            Self::Schedule(_) | Self::Policy(_) => false,
        }
    }
}

impl Visit {
    /// Starts what is due; answers when the next time is, and where the ticks are. Tries until it can.
    pub(super) async fn run(&self, mut ticks: Option<Ticks>) -> (Option<Timestamp>, Option<Ticks>) {
        let config = &self.ports.config;
        let mut pause = config.restart_first;
        loop {
            let fault = match self.try_run(&mut ticks).await {
                Ok(next) => return (next, ticks),
                Err(fault) => fault,
            };
            // What is in the log counts, and not what was believed to be.
            ticks = None;
            let Name { project, domain, name } = &self.name;
            if !fault.is_passing() {
                error!(project, domain, name, fault = %chain(&fault), "a schedule starts nothing until the next start");
                return (None, None);
            }
            if !self.is_wanted() {
                return (None, None);
            }
            warn!(project, domain, name, fault = %chain(&fault), "a schedule is held up, trying again");
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(config.restart_max);
        }
    }

    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    async fn try_run(&self, ticks: &mut Option<Ticks>) -> Result<Option<Timestamp>, VisitError> {
        let ticks = match ticks {
            Some(ticks) => ticks,
            None => {
                let mut loaded = Ticks::load(&self.ports, &self.name).await?;
                if let Some(tick) = loaded.history.outstanding().cloned() {
                    self.start(&mut loaded, &tick).await?;
                }
                ticks.insert(loaded)
            }
        };
        let Some(active) = &self.active else { return Ok(None) };
        let Some(ticking) = self.ticking(active).await? else { return Ok(None) };
        while self.is_wanted() {
            match ticking.next(ticks.history.decided(), (self.ports.clock)()) {
                Next::Wait(at) => return Ok(Some(at)),
                Next::Never => return Ok(None),
                Next::Skip(skip) => {
                    let Name { project, domain, name } = &self.name;
                    let (first, last, catch_up) =
                        (skip.first.as_micros(), skip.last.as_micros(), skip.catch_up);
                    info!(project, domain, name, first, last, %catch_up, "times of a schedule were missed and are left out");
                    self.ports.metrics.ticks_skipped.inc_by(skip.ticks.into());
                    let version = active.version.clone();
                    ticks.append(&self.ports, &self.name, ScheduleEvent::Skipped { version, skip }).await?;
                }
                Next::Start(at) => {
                    let Name { project, domain, name } = &self.name;
                    let execution = tick_name(project, domain, name, at);
                    let version = active.version.clone();
                    let tick = LastTick { version, at, execution, refused: None };
                    let (version, execution) = (tick.version.clone(), tick.execution.clone());
                    let event = ScheduleEvent::Ticked { version, at, execution };
                    ticks.append(&self.ports, &self.name, event).await?;
                    self.start(ticks, &tick).await?;
                }
            }
        }
        Ok(None)
    }

    /// Starts the execution of a tick that is recorded, unless it is there already; records that it cannot be.
    async fn start(&self, ticks: &mut Ticks, tick: &LastTick) -> Result<(), VisitError> {
        let Name { project, domain, name } = &self.name;
        let execution =
            ExecutionId { project: project.clone(), domain: domain.clone(), name: tick.execution.clone() };
        match self.launch(execution.clone(), tick).await {
            Ok(is_new) => {
                if is_new {
                    self.ports.metrics.ticks.inc();
                    info!(%execution, launch_plan = name, version = tick.version, "started by its schedule");
                }
                Ok(())
            }
            Err(VisitError::Launch(refusal)) if refusal.fault() == Fault::User => {
                warn!(%execution, launch_plan = name, version = tick.version, %refusal, "cannot be started by its schedule");
                self.ports.metrics.ticks_refused.inc();
                let event = ScheduleEvent::Refused { at: tick.at, reason: refusal.to_string() };
                Ok(ticks.append(&self.ports, &self.name, event).await?)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn launch(&self, execution: ExecutionId, tick: &LastTick) -> Result<bool, VisitError> {
        let id = self.id(&tick.version);
        let spec = launch::stored(&self.ports, &id).await?.spec.unwrap_or_default();
        let schedule = spec.entity_metadata.and_then(|metadata| metadata.schedule).unwrap_or_default();
        let kickoff = schedule.kickoff_time_input_arg;
        let inputs = match kickoff.as_str() {
            "" => Bytes::new(),
            name => encode_literal_map([(name, encode_datetime(tick.at).as_ref())]),
        };
        let mut metadata =
            admin::ExecutionMetadata { scheduled_at: Some(tick.at.into()), ..Default::default() };
        metadata.set_mode(ExecutionMode::Scheduled);
        let launched = launch::launch(
            &self.ports,
            Launch {
                execution,
                launch_plan: id,
                inputs,
                metadata,
                inherited: admin::ExecutionSpec::default(),
                // Nobody asked for this one; the original leaves it empty too.
                principal: String::new(),
                trace: None,
            },
        );
        Ok(launched.await?.is_new)
    }

    /// Answers what the schedule of a version says; none when it has none.
    async fn ticking(&self, active: &Activation) -> Result<Option<Ticking>, VisitError> {
        let spec = launch::stored(&self.ports, &self.id(&active.version)).await?.spec.unwrap_or_default();
        let Some(given) = spec.entity_metadata.and_then(|metadata| metadata.schedule) else {
            return Ok(None);
        };
        let annotations = spec.annotations.map(|annotations| annotations.values).unwrap_or_default();
        let own = SchedulePolicy::of(&annotations)?;
        let Name { project, domain, name } = &self.name;
        let policy = self.ports.config.schedule_rules.resolve(project, domain, name, &own);
        let schedule = Schedule::read(&given, policy.time_zone.as_deref())?;
        let catch_up = policy.catch_up.unwrap_or_default();
        Ok(schedule.map(|schedule| Ticking { schedule, since: active.since, catch_up }))
    }

    fn id(&self, version: &str) -> EntityId {
        let Name { project, domain, name } = &self.name;
        EntityId {
            kind: EntityKind::LaunchPlan,
            project: project.clone(),
            domain: domain.clone(),
            name: name.clone(),
            version: version.to_owned(),
        }
    }
}

/// Tells a fault with what caused it.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
