//! The accelerators that NVIDIA's driver tells of, through its library NVML. It is loaded when it is asked, and linked to
//! nothing: on most machines it is not there.

mod library;

pub use library::Nvml;

use super::Device;
use skein_log::usage::GpuUse;
use skein_model::Gpu;
use skein_model::accelerators::of_driver;

/// What keeps a driver from telling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The library is not on this machine, which is no fault.
    #[error("{library} is not there")]
    Absent {
        /// Its name.
        library: &'static str,
    },
    /// It is there, and fails.
    #[error("NVML's {call} answers {code}{}", meaning(*code))]
    Failed {
        /// What was called.
        call: &'static str,
        /// The number that it answered.
        code: u32,
    },
    /// It is there, and lacks what every version has.
    #[error("{library} has no {call}")]
    Foreign {
        /// Its name.
        library: &'static str,
        /// What it lacks.
        call: &'static str,
    },
}

const fn meaning(code: u32) -> &'static str {
    match code {
        3 => " (not supported)",
        4 => " (no permission)",
        9 => " (the driver is not loaded)",
        15 => " (a GPU has fallen off the bus)",
        18 => " (driver and library are of different versions)",
        _ => "",
    }
}

/// A card, as its driver tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its model, such as `NVIDIA A100-SXM4-40GB`.
    pub model: String,
    /// Its UUID.
    pub uuid: String,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// What it is cut into; none when it is whole.
    pub instances: Option<Vec<Instance>>,
}

/// A part of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its model, such as `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
    pub model: String,
    /// Its UUID.
    pub uuid: String,
    /// Its memory in bytes.
    pub memory_bytes: u64,
}

/// Whoever tells of cards.
pub trait Driver {
    /// Lists the cards.
    ///
    /// # Errors
    /// [`DriverError`] when it cannot say.
    fn cards(&self) -> Result<Vec<Card>, DriverError>;
}

/// What a driver tells of how much an accelerator is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    /// What is used at the moment, by whoever uses it.
    pub used: GpuUse,
    /// Its memory in bytes; none when it does not say.
    pub total_bytes: Option<u64>,
}

/// Whoever tells how much an accelerator is used.
pub trait Meter: Send + Sync {
    /// Answers how much the accelerator is used that has this UUID, or this number.
    ///
    /// # Errors
    /// [`DriverError`] when it cannot say.
    fn read(&self, id: &str) -> Result<Metered, DriverError>;
}

/// Answers the accelerators that a driver tells of: each card that is whole, and each part of one that is cut. `visible` is what
/// this process was told to see of them (`CUDA_VISIBLE_DEVICES`), by their numbers or UUIDs; none is all.
///
/// # Errors
/// Those of the driver.
pub fn devices(driver: &impl Driver, visible: Option<&str>) -> Result<Vec<Device>, DriverError> {
    let mut devices = Vec::new();
    for (number, card) in driver.cards()?.into_iter().enumerate() {
        let is_seen = sees(visible, number, &card.uuid);
        let device = of_driver(&card.model, card.memory_bytes);
        match card.instances {
            None if is_seen => devices.push(Device {
                gpu: Gpu { device, part: None },
                id: card.uuid,
                memory_bytes: Some(card.memory_bytes),
            }),
            None => {}
            // The card itself cannot be used as long as it is cut, not even where it has no part.
            Some(instances) => {
                for instance in instances {
                    if !is_seen && !sees_only(visible, &instance.uuid) {
                        continue;
                    }
                    let gpu = Gpu { device: device.clone(), part: Some(profile(&instance.model)) };
                    let memory_bytes = Some(instance.memory_bytes);
                    devices.push(Device { gpu, id: instance.uuid, memory_bytes });
                }
            }
        }
    }
    Ok(devices)
}

fn sees(visible: Option<&str>, number: usize, uuid: &str) -> bool {
    let Some(visible) = visible else { return true };
    visible.split(',').any(|id| id.trim() == number.to_string()) || sees_only(Some(visible), uuid)
}

/// Says whether a UUID is among those that are to be seen; the first letters of one are enough.
fn sees_only(visible: Option<&str>, uuid: &str) -> bool {
    let is_begin = |id: &str| id.len() > 4 && uuid.starts_with(id);
    visible.is_none_or(|visible| visible.split(',').any(|id| is_begin(id.trim())))
}

/// Answers the profile that stands at the end of a part's model.
fn profile(model: &str) -> String {
    model.rsplit_once("MIG ").map_or(model, |(_, profile)| profile).trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Recorded(Result<Vec<Card>, DriverError>);

    impl Driver for Recorded {
        fn cards(&self) -> Result<Vec<Card>, DriverError> {
            self.0.clone()
        }
    }

    fn card(model: &str, uuid: &str, gib: u64) -> Card {
        Card { model: model.to_owned(), uuid: uuid.to_owned(), memory_bytes: gib << 30, instances: None }
    }

    fn cut(card: Card, profiles: &[(&str, &str)]) -> Card {
        let instances = profiles.iter().map(|(profile, uuid)| Instance {
            model: format!("{} MIG {profile}", card.model),
            uuid: (*uuid).to_owned(),
            memory_bytes: 5 << 30,
        });
        Card { instances: Some(instances.collect()), ..card }
    }

    fn told(cards: Vec<Card>, visible: Option<&str>) -> Vec<(String, String)> {
        let devices = devices(&Recorded(Ok(cards)), visible).expect("it says");
        devices.into_iter().map(|device| (device.gpu.to_string(), device.id)).collect()
    }

    fn machine() -> Vec<Card> {
        vec![
            card("Tesla T4", "GPU-aaaa", 15),
            cut(
                card("NVIDIA A100-SXM4-40GB", "GPU-bbbb", 40),
                &[("1g.5gb", "MIG-1111"), ("2g.10gb", "MIG-2222")],
            ),
            card("NVIDIA H100 80GB HBM3", "GPU-cccc", 80),
        ]
    }

    #[test]
    fn a_card_that_is_cut_is_its_parts_and_not_itself() {
        let pair = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
        assert_eq!(
            told(machine(), None),
            [
                pair("nvidia-tesla-t4", "GPU-aaaa"),
                pair("nvidia-tesla-a100 1g.5gb", "MIG-1111"),
                pair("nvidia-tesla-a100 2g.10gb", "MIG-2222"),
                pair("nvidia-h100", "GPU-cccc"),
            ]
        );
        assert_eq!(told(vec![cut(card("NVIDIA H100 PCIe", "GPU-e", 80), &[])], None), []);
    }

    #[test]
    fn what_this_process_is_not_to_see_is_not_handed_out() {
        let ids = |visible| -> Vec<String> {
            told(machine(), Some(visible)).into_iter().map(|(_, id)| id).collect()
        };
        assert_eq!(ids("0,2"), ["GPU-aaaa", "GPU-cccc"]);
        assert_eq!(ids("1"), ["MIG-1111", "MIG-2222"]);
        assert_eq!(ids("GPU-cc"), ["GPU-cccc"]);
        assert_eq!(ids("MIG-2222"), ["MIG-2222"]);
        assert!(ids("").is_empty());
    }

    #[test]
    fn a_driver_that_fails_says_how() {
        let failed = DriverError::Failed { call: "nvmlInit_v2", code: 18 };
        let error = devices(&Recorded(Err(failed)), None).expect_err("it fails");
        let said = "NVML's nvmlInit_v2 answers 18 (driver and library are of different versions)";
        assert_eq!(error.to_string(), said);
    }

    /// Run where there is an NVIDIA driver, as the one below.
    #[test]
    #[ignore = "needs an NVIDIA driver"]
    fn the_driver_of_this_machine_tells_what_each_card_is_used_for() {
        let driver = Nvml::load().expect("the driver is there");
        for (number, card) in driver.cards().expect("it tells of them").iter().enumerate() {
            for id in [card.uuid.clone(), number.to_string()] {
                let metered = driver.read(&id).expect("it tells");
                println!(
                    "{id} {} MiB of {:?}, {:?} %",
                    metered.used.memory_bytes >> 20,
                    metered.total_bytes.map(|bytes| bytes >> 20),
                    metered.used.percent
                );
                assert_eq!(metered.total_bytes, Some(card.memory_bytes));
                assert!(metered.used.memory_bytes <= card.memory_bytes);
            }
        }
        assert!(driver.read("GPU-00000000-0000-0000-0000-000000000000").is_err(), "there is none");
    }

    /// Run where there is an NVIDIA driver: `cargo test -p skein-workers --lib nvml -- --ignored --nocapture`.
    #[test]
    #[ignore = "needs an NVIDIA driver"]
    fn the_driver_of_this_machine_tells_of_cards_whose_names_are_known() {
        let driver = Nvml::load().expect("the driver is there");
        let cards = driver.cards().expect("it tells of them");
        assert!(!cards.is_empty(), "it has a card");
        for card in &cards {
            println!("card      {} {} {} MiB", card.model, card.uuid, card.memory_bytes >> 20);
            println!("cut into  {:?}", card.instances);
            assert!(card.uuid.starts_with("GPU-") && card.memory_bytes > 1 << 30);
        }
        for device in devices(&driver, None).expect("it tells of them") {
            println!("device    {} as {}", device.gpu, device.id);
            assert!(skein_model::accelerators::device(&device.gpu.device).is_some(), "it is known");
        }
    }
}
