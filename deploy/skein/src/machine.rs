//! What this machine has for attempts: cores, memory, accelerators, and whether limits are held to.

use crate::args::{Given, HeldTo};
use skein_model::resources::Counted;
use skein_model::{Gpu, Offer};
use skein_workers::Cgroups;
use skein_workers::gpus::{self, Device, DriverError, Nvml};
use std::sync::Arc;

/// The variable by which whoever starts this says which accelerators it may see.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
/// How many bytes of each line of `/proc/meminfo` are one unit.
const KIB: u64 = 1_024;

/// What attempts can be given.
pub struct Machine {
    /// Its accelerators; none when nobody hands them out.
    pub gpus: Option<Vec<Device>>,
    /// Where limits are held to.
    pub cgroups: Option<Arc<Cgroups>>,
    /// Why there are no accelerators although there is a driver.
    pub fault: Option<String>,
}

impl Machine {
    /// Looks at the machine, as far as it is not said what it has.
    ///
    /// # Errors
    /// When an accelerator is declared that cannot be, or limits cannot be held to; the text says what to do.
    pub fn find(given: &Given) -> anyhow::Result<Self> {
        let (gpus, fault) = match given {
            Given { no_gpus: true, .. } => (None, None),
            Given { gpu, .. } if !gpu.is_empty() => (Some(gpus::declare(gpu)?), None),
            Given { .. } => match discovered() {
                Ok(devices) => (Some(devices), None),
                Err(DriverError::Absent { .. }) => (Some(Vec::new()), None),
                Err(error) => (Some(Vec::new()), Some(error.to_string())),
            },
        };
        let cgroups = match given.resources {
            HeldTo::Advise => None,
            HeldTo::Enforce => Some(Cgroups::open()?),
        };
        Ok(Self { gpus, cgroups, fault })
    }

    /// Answers what it has, for whoever decides what can run.
    pub fn offer(&self) -> Offer {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Offer {
            cpu_millis: u64::try_from(cores).unwrap_or(u64::MAX).saturating_mul(1_000),
            memory_bytes: memory_bytes(),
            gpus: self.gpus.as_ref().map(|devices| kinds(devices)),
            is_enforced: self.cgroups.is_some(),
        }
    }

    /// Has workers give out what it has.
    pub fn settle(&self, config: &mut skein_workers::Config) {
        config.gpus.clone_from(&self.gpus);
        config.cgroups.clone_from(&self.cgroups);
        config.offer = Some(self.offer());
    }

    /// Says what it has that not every machine does, a name and its value a line.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let mut told = Vec::new();
        match (&self.gpus, &self.fault) {
            (None, _) => told.push(("gpus", "not handed out: every task sees them all".to_owned())),
            (Some(_), Some(fault)) => told.push(("gpus", format!("none: {fault}"))),
            (Some(devices), None) if devices.is_empty() => {}
            (Some(devices), None) => told.push(("gpus", Counted(&kinds(devices)).to_string())),
        }
        if let Some(groups) = &self.cgroups {
            told.push(("limits", format!("held to by control groups below {}", groups.place().display())));
        }
        told
    }
}

/// Asks the driver.
///
/// # Errors
/// As the driver says.
pub fn discovered() -> Result<Vec<Device>, DriverError> {
    let visible = std::env::var(VISIBLE).ok();
    gpus::devices(&Nvml::load()?, visible.as_deref())
}

/// Answers what kinds some devices are of.
pub fn kinds(devices: &[Device]) -> Vec<Gpu> {
    devices.iter().map(|device| device.gpu.clone()).collect()
}

/// Answers how much memory there is in bytes; more than any machine has when the kernel does not say.
fn memory_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    total.and_then(|kib| kib.trim().parse::<u64>().ok()).map_or(u64::MAX, |kib| kib.saturating_mul(KIB))
}
