//! What accelerators are used, as their driver tells it.

pub(super) use crate::gpus::Metered;
use crate::gpus::{Meter, Nvml};
use std::sync::OnceLock;

/// Whoever is asked; found when there is something to ask.
pub(super) struct Meters {
    meter: OnceLock<Option<Box<dyn Meter>>>,
}

impl Meters {
    /// Asks NVIDIA's driver, where there is one.
    pub(super) const fn nvml() -> Self {
        Self { meter: OnceLock::new() }
    }

    /// Answers what is used of the accelerator with this UUID or number; none when nobody says.
    pub(super) fn read(&self, id: &str) -> Option<Metered> {
        let load = || match Nvml::load() {
            Ok(nvml) => Some(Box::new(nvml) as Box<dyn Meter>),
            Err(error) => {
                tracing::info!(%error, "what GPUs are used for is not known");
                None
            }
        };
        match self.meter.get_or_init(load).as_ref()?.read(id) {
            Ok(metered) => Some(metered),
            Err(error) => {
                tracing::debug!(id, %error, "a GPU does not tell what it is used for");
                None
            }
        }
    }
}
