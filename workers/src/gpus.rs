//! The accelerators of a machine, and which attempt has which.
//!
//! An attempt, or a chunk of a map, that asks for accelerators gets as many as it asks for, all at once, and nobody else has them
//! until it has ended, however it ends. What it gets it finds in `CUDA_VISIBLE_DEVICES`. Whoever asks for none sees none:
//! else it would take memory from somebody who was given that device alone.
//!
//! Which work goes first is the engine's to say; it hands out no more than there is. Here is only made sure that no two have
//! the same.

mod declared;
mod nvml;

pub use declared::{DeclareError, declare};
pub use nvml::{Card, Driver, DriverError, Instance, Meter, Metered, Nvml, devices};

use crate::places::Places;
use skein_model::{Gpu, TaskResources, Work};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The variable that says which accelerators a process sees; empty is none.
pub(crate) const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// An accelerator of this machine, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub gpu: Gpu,
    /// By what `CUDA_VISIBLE_DEVICES` knows it: its UUID, or a number.
    pub id: String,
    /// Its memory in bytes; none when nobody says.
    pub memory_bytes: Option<u64>,
}

/// The accelerators that are handed out.
pub(crate) struct Gpus {
    devices: Vec<Device>,
    /// Of each whether somebody has it.
    taken: Mutex<Vec<bool>>,
}

/// Some accelerators, had by one attempt or chunk until this is dropped.
pub(crate) struct Grant {
    gpus: Arc<Gpus>,
    places: Arc<Places>,
    devices: Vec<usize>,
}

impl Gpus {
    pub(crate) fn new(devices: Vec<Device>) -> Arc<Self> {
        let taken = Mutex::new(vec![false; devices.len()]);
        Arc::new(Self { devices, taken })
    }

    /// Takes what `work` asks for; none when too little of it is free. Who waits for some looks again when `places` changes.
    pub(crate) fn take(self: &Arc<Self>, work: &Work, places: &Arc<Places>) -> Option<Grant> {
        let devices = self.choose(&work.resources)?;
        Some(Grant { gpus: Arc::clone(self), places: Arc::clone(places), devices })
    }

    /// Says whether there are as many as are asked for, free or not.
    pub(crate) fn could_give(&self, asked: &TaskResources) -> bool {
        let fitting = self.devices.iter().filter(|device| asked.takes(&device.gpu)).count();
        usize::try_from(asked.gpus()).is_ok_and(|wanted| wanted <= fitting)
    }

    /// Marks as many as are asked for as taken.
    fn choose(&self, asked: &TaskResources) -> Option<Vec<usize>> {
        let wanted = usize::try_from(asked.gpus()).ok()?;
        let mut taken = self.taken();
        let free = |(at, device): &(usize, &Device)| !taken[*at] && asked.takes(&device.gpu);
        let chosen: Vec<usize> =
            self.devices.iter().enumerate().filter(free).map(|(at, _)| at).take(wanted).collect();
        if chosen.len() < wanted {
            return None;
        }
        for at in &chosen {
            taken[*at] = true;
        }
        Some(chosen)
    }

    fn taken(&self) -> MutexGuard<'_, Vec<bool>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    /// Answers what the processes of whoever has it are told.
    pub(crate) fn visible(&self) -> String {
        let ids: Vec<&str> = self.devices.iter().map(|at| self.gpus.devices[*at].id.as_str()).collect();
        ids.join(",")
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut taken = self.gpus.taken();
        for at in &self.devices {
            taken[*at] = false;
        }
        drop(taken);
        self.places.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skein_model::accelerators::{Accelerator, Part};
    use skein_model::resources::Amounts;
    use std::collections::BTreeSet;

    fn device(name: &str, part: Option<&str>, id: &str) -> Device {
        let gpu = Gpu { device: name.to_owned(), part: part.map(str::to_owned) };
        Device { gpu, id: id.to_owned(), memory_bytes: None }
    }

    fn machine() -> Arc<Gpus> {
        Gpus::new(vec![
            device("nvidia-tesla-t4", None, "GPU-a"),
            device("nvidia-tesla-a100", Some("1g.5gb"), "MIG-b"),
            device("nvidia-tesla-a100", Some("1g.5gb"), "MIG-c"),
            device("nvidia-tesla-t4", None, "GPU-d"),
        ])
    }

    fn asks(count: u64, kind: Option<(&str, Part)>) -> Work {
        let accelerator = kind.map(|(device, part)| Accelerator { device: device.to_owned(), part });
        let limits = Amounts { gpus: Some(count), ..Amounts::default() };
        let pool = skein_model::PoolId("p".to_owned());
        Work {
            resources: TaskResources { limits, accelerator, ..TaskResources::default() },
            ..skein_log::conformance::task_queue::work(&pool, "e", "n", 0)
        }
    }

    #[test]
    fn a_task_gets_as_many_of_its_kind_as_it_asks_for_or_waits() {
        let (gpus, places) = (machine(), Places::new());
        let take = |work: &Work| gpus.take(work, &places);
        let both = take(&asks(2, Some(("nvidia-tesla-t4", Part::Any)))).expect("both are free");
        assert_eq!(both.visible(), "GPU-a,GPU-d");
        assert!(take(&asks(1, Some(("nvidia-tesla-t4", Part::Any)))).is_none(), "none is free");
        let part = Part::Of("1g.5gb".to_owned());
        let other = take(&asks(1, Some(("nvidia-tesla-a100", part.clone())))).expect("another kind is free");
        assert_eq!(other.visible(), "MIG-b");
        assert!(take(&asks(1, Some(("nvidia-tesla-a100", Part::Whole)))).is_none(), "only parts are there");
        assert!(take(&asks(2, None)).is_none(), "all or nothing");
        let mut waits = places.changes();
        waits.mark_unchanged();
        drop(both);
        assert!(waits.has_changed().expect("the places are there"), "who waits is told");
        assert_eq!(take(&asks(3, None)).expect("three are free").visible(), "GPU-a,MIG-c,GPU-d");
    }

    proptest! {
        #[test]
        fn no_two_ever_have_the_same_and_none_is_lost(
            steps in proptest::collection::vec((any::<bool>(), 1..4_u64, any::<usize>()), 0..200),
        ) {
            let (gpus, places) = (machine(), Places::new());
            let mut held: Vec<Grant> = Vec::new();
            for (takes, count, which) in steps {
                let kinds = [None, Some(("nvidia-tesla-t4", Part::Any)), Some(("nvidia-tesla-a100", Part::Any))];
                let kind = kinds[which % 3].clone();
                if takes {
                    held.extend(gpus.take(&asks(count, kind), &places));
                } else if !held.is_empty() {
                    held.remove(which % held.len());
                }
                let ids: Vec<String> =
                    held.iter().flat_map(|grant| grant.visible().split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
                prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
            }
            held.clear();
            prop_assert!(gpus.take(&asks(4, None), &places).is_some(), "all are free again");
        }
    }
}
