//! Accelerators that whoever runs a server says are there, for machines whose driver is not to be seen.

use super::Device;
use skein_model::Gpu;
use skein_model::accelerators::{Accelerator, Part, declared};

/// The most devices of one declaration.
const COUNT_MAX: usize = 1_024;

/// A declaration that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// It names no device.
    #[error("--gpu {given:?} names no device; say NAME, NAME=COUNT or NAME:PARTITION=UUID,UUID")]
    Nameless {
        /// What was said.
        given: String,
    },
    /// It says neither how many nor which.
    #[error("--gpu {given:?}: {what:?} is neither a number from 1 to {COUNT_MAX} nor a list of UUIDs")]
    Which {
        /// What was said.
        given: String,
        /// What follows on the name.
        what: String,
    },
    /// The device has no such part.
    #[error("--gpu {given:?}: {why}")]
    Part {
        /// What was said.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two devices would be the same.
    #[error("--gpu: device {id} is declared twice")]
    Twice {
        /// Its id.
        id: String,
    },
}

/// Reads declarations, each `NAME[:PARTITION][=COUNT|=UUID,UUID]`; one without a number is one device. Those that are counted
/// are numbered from 0 on, over all of them, as `CUDA_VISIBLE_DEVICES` numbers them.
///
/// # Errors
/// [`DeclareError`], which shows the declaration and says what would be right.
pub fn declare(given: &[String]) -> Result<Vec<Device>, DeclareError> {
    let mut devices: Vec<Device> = Vec::new();
    let mut numbers = 0..;
    for text in given {
        let (kind, which) = text.split_once('=').unwrap_or((text, "1"));
        let gpu = kind_of(text, kind)?;
        let ids: Vec<String> = match which.trim().parse::<usize>() {
            Ok(count @ 1..=COUNT_MAX) => numbers.by_ref().take(count).map(|at: u32| at.to_string()).collect(),
            Ok(_) => return Err(DeclareError::Which { given: text.clone(), what: which.to_owned() }),
            Err(_) => which.split(',').map(|id| id.trim().to_owned()).collect(),
        };
        let is_id = |id: &String| {
            !id.is_empty()
                && id.len() <= 96
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/_".contains(&b))
        };
        if !ids.iter().all(is_id) {
            return Err(DeclareError::Which { given: text.clone(), what: which.to_owned() });
        }
        for id in ids {
            if devices.iter().any(|known| known.id == id) {
                return Err(DeclareError::Twice { id });
            }
            devices.push(Device { gpu: gpu.clone(), id, memory_bytes: None });
        }
    }
    Ok(devices)
}

fn kind_of(given: &str, kind: &str) -> Result<Gpu, DeclareError> {
    let (name, part) = match kind.split_once(':') {
        Some((name, part)) => (name, Some(part.trim())),
        None => (kind, None),
    };
    let device = declared(name);
    if device.is_empty() {
        return Err(DeclareError::Nameless { given: given.to_owned() });
    }
    let Some(part) = part else { return Ok(Gpu { device, part: None }) };
    let gpu = Gpu { device, part: Some(part.to_owned()) };
    // Of a device that nobody knows any part is taken.
    let known = Accelerator::read(&gpu.device, Part::Any, &[]).is_ok();
    if known && let Err(error) = Accelerator::read(&gpu.device, Part::Of(part.to_owned()), &[]) {
        return Err(DeclareError::Part { given: given.to_owned(), why: error.to_string() });
    }
    Ok(gpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(given: &[&str]) -> Result<Vec<(String, String)>, String> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        let devices = declare(&given).map_err(|error| error.to_string())?;
        Ok(devices.into_iter().map(|device| (device.gpu.to_string(), device.id)).collect())
    }

    #[test]
    fn devices_are_declared_by_name_and_number_or_by_their_ids() {
        let pair = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
        assert_eq!(
            told(&["T4=2", "A100:1g.5gb=MIG-x,MIG-y", "nvidia-geforce-rtx-4090"]),
            Ok(vec![
                pair("nvidia-tesla-t4", "0"),
                pair("nvidia-tesla-t4", "1"),
                pair("nvidia-tesla-a100 1g.5gb", "MIG-x"),
                pair("nvidia-tesla-a100 1g.5gb", "MIG-y"),
                pair("nvidia-geforce-rtx-4090", "2"),
            ])
        );
    }

    #[test]
    fn what_is_no_declaration_is_refused_with_what_would_be_right() {
        let cases = [
            ("=2", "--gpu \"=2\" names no device; say NAME, NAME=COUNT or NAME:PARTITION=UUID,UUID"),
            ("T4=0", "--gpu \"T4=0\": \"0\" is neither a number from 1 to 1024 nor a list of UUIDs"),
            ("T4=a,,b", "--gpu \"T4=a,,b\": \"a,,b\" is neither a number from 1 to 1024 nor a list of UUIDs"),
            (
                "T4:1g.5gb=1",
                "--gpu \"T4:1g.5gb=1\": nvidia-tesla-t4 cannot be partitioned, but partition \"1g.5gb\" is asked for",
            ),
            ("T4=GPU-a,GPU-a", "--gpu: device GPU-a is declared twice"),
        ];
        for (given, expected) in cases {
            assert_eq!(told(&[given]), Err(expected.to_owned()));
        }
    }
}
