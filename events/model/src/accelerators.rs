//! Accelerators by name: the devices that the SDK has constants for, under one name each, and the parts that they can be cut
//! into (contract 7.3).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A device that is known, with the names under which it is asked for and tells of itself.
struct Known {
    /// Its one name, which the SDK's constant has.
    name: &'static str,
    /// Its class.
    class: Class,
    /// Other names, without the maker's, in small letters with dashes.
    aliases: &'static [&'static str],
    /// The parts that the SDK names.
    parts: &'static [&'static str],
}

/// What a kind of device can be cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Nothing.
    Whole,
    /// Instances of NVIDIA's MIG, such as `1g.5gb`.
    Mig,
    /// Slices of a topology, such as `2x4`.
    Slices,
}

const V5E_SLICES: &[&str] = &["1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"];
const V5P_SLICES: &[&str] = &[
    "2x2x1", "2x2x2", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16", "16x16x16",
    "16x16x24",
];
const A100_PARTS: &[&str] = &["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"];
const A100_80GB_PARTS: &[&str] = &["1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"];
const H100_PARTS: &[&str] = &["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"];
const H200_PARTS: &[&str] = &["1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"];
const B200_PARTS: &[&str] = &["1g.23gb", "1g.45gb", "2g.45gb", "3g.90gb", "4g.90gb", "7g.180gb"];
const RTX_PRO_6000_PARTS: &[&str] = &["1g.24gb", "2g.48gb", "4g.96gb"];

const fn whole(name: &'static str, aliases: &'static [&'static str]) -> Known {
    Known { name, class: Class::Whole, aliases, parts: &[] }
}

const fn cut(
    name: &'static str,
    class: Class,
    aliases: &'static [&'static str],
    parts: &'static [&'static str],
) -> Known {
    Known { name, class, aliases, parts }
}

/// Every device that is known: the SDK's constants, and the other ones that Union names.
const KNOWN: &[Known] = &[
    whole("nvidia-a10g", &["a10g", "a10"]),
    whole("nvidia-l4", &["l4"]),
    whole("nvidia-l4-vws", &["l4-vws"]),
    whole("nvidia-l40s", &["l40s"]),
    whole("nvidia-tesla-k80", &["k80"]),
    whole("nvidia-tesla-m60", &["m60"]),
    whole("nvidia-tesla-p4", &["p4"]),
    whole("nvidia-tesla-p100", &["p100"]),
    whole("nvidia-tesla-t4", &["t4"]),
    whole("nvidia-tesla-v100", &["v100"]),
    cut("nvidia-tesla-a100", Class::Mig, &["a100", "a100-40gb", "a100-40g"], A100_PARTS),
    cut("nvidia-a100-80gb", Class::Mig, &["a100-80gb", "a100-80g"], A100_80GB_PARTS),
    cut("nvidia-h100", Class::Mig, &["h100", "h100-80gb"], H100_PARTS),
    cut("nvidia-h200", Class::Mig, &["h200", "h200-141gb"], H200_PARTS),
    cut("nvidia-b200", Class::Mig, &["b200"], B200_PARTS),
    cut("nvidia-rtx-pro-6000", Class::Mig, &["rtx-pro-6000"], RTX_PRO_6000_PARTS),
    cut("tpu-v5-lite-podslice", Class::Slices, &["v5e", "tpu-v5e"], V5E_SLICES),
    cut("tpu-v5p-slice", Class::Slices, &["v5p", "tpu-v5p"], V5P_SLICES),
    cut("tpu-v6e-slice", Class::Slices, &["v6e", "tpu-v6e"], V5E_SLICES),
    whole("aws-inferentia1", &["inf1", "inferentia", "inferentia1"]),
    whole("aws-inferentia2", &["inf2", "inferentia2"]),
    whole("aws-trainium1", &["trn1", "trainium", "trainium1"]),
    whole("aws-trainium2", &["trn2", "trainium2"]),
    whole("amd-mi100", &["mi100"]),
    whole("amd-mi210", &["mi210"]),
    whole("amd-mi250", &["mi250"]),
    whole("amd-mi250x", &["mi250x"]),
    whole("amd-mi300x", &["mi300x"]),
    whole("amd-mi325x", &["mi325x"]),
];

/// The makers' words that may stand before a device's name.
const MAKERS: [&str; 5] = ["nvidia-", "tesla-", "amd-", "aws-", "instinct-"];
/// The words by which NVIDIA's driver tells boards of one device apart, and which name no other device.
const BOARDS: [&str; 15] = [
    "sxm",
    "sxm2",
    "sxm3",
    "sxm4",
    "sxm5",
    "sxm6",
    "pcie",
    "pci",
    "hbm2",
    "hbm2e",
    "hbm3",
    "hbm3e",
    "fhhl",
    "nvl",
    "blackwell",
];
/// How far a name may be from one that is known to be told beside it.
const NEAR: usize = 3;

/// Writes a name in one way: small letters, with a dash for whatever stands between words.
fn plain(name: &str) -> String {
    let words =
        name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

fn without_maker(name: &str) -> &str {
    let mut left = name;
    while let Some(rest) = MAKERS.iter().find_map(|maker| left.strip_prefix(maker)) {
        left = rest;
    }
    left
}

fn find(name: &str) -> Option<&'static Known> {
    let plain = plain(name);
    let short = without_maker(&plain);
    KNOWN.iter().find(|known| known.name == plain || known.aliases.contains(&short))
}

/// Answers the one name of a device that is asked for under any of its names; none when no such device is known.
pub fn device(name: &str) -> Option<&'static str> {
    find(name).map(|known| known.name)
}

/// Answers the name of a device as its driver tells it (`Tesla T4`, `NVIDIA A100-SXM4-80GB`), with its memory in bytes: the one
/// name of a device that is known, else its own, written as names are.
pub fn of_driver(model: &str, memory_bytes: u64) -> String {
    let plain = plain(model);
    let words = || without_maker(&plain).split('-');
    let is_size = |word: &str| {
        word.strip_suffix("gb")
            .is_some_and(|size| !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit()))
    };
    let short: Vec<&str> = words().filter(|word| !BOARDS.contains(word) && !is_size(word)).collect();
    let first = match short.as_slice() {
        // The driver tells the size of an A100 only sometimes.
        ["a100"] if memory_bytes > (48 << 30) => "a100-80gb".to_owned(),
        ["rtx", "pro", "6000", ..] => "rtx-pro-6000".to_owned(),
        short => short.join("-"),
    };
    find(&first).map_or(plain, |known| known.name.to_owned())
}

/// Lists the names of every device that is known.
pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name)
}

/// What kind of accelerator a task asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Accelerator {
    /// The device, by its one name.
    pub device: String,
    /// Which part of it.
    pub part: Part,
}

/// Which part of a device a task asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// Any: the whole, or one of its parts.
    Any,
    /// The whole.
    Whole,
    /// This partition or topology.
    Of(
        /// Such as `1g.5gb` or `2x4`.
        String,
    ),
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Part::Any => f.write_str(&self.device),
            Part::Whole => write!(f, "{} unpartitioned", self.device),
            Part::Of(part) => write!(f, "{} {part}", self.device),
        }
    }
}

/// An accelerator that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceleratorError {
    /// There is no name.
    #[error("it names no device")]
    Nameless,
    /// There is no such device.
    #[error("{device:?} is unknown{}; known are {}", near_ones(near), known.join(", "))]
    Device {
        /// What was asked for.
        device: String,
        /// Names that are near.
        near: Vec<String>,
        /// Every name that is known.
        known: Vec<String>,
    },
    /// The device cannot be cut.
    #[error("{device} cannot be partitioned, but partition {part:?} is asked for")]
    Uncut {
        /// The device.
        device: String,
        /// What was asked for.
        part: String,
    },
    /// The device cannot be cut so.
    #[error("{device} has no partition {part:?}; it has {}", known.join(", "))]
    Part {
        /// The device.
        device: String,
        /// What was asked for.
        part: String,
        /// The partitions that it has.
        known: Vec<String>,
    },
}

fn near_ones(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(" or ")) }
}

impl Accelerator {
    /// Reads what a task asks for. `there` is what a server has: whatever that is, it is known too.
    ///
    /// # Errors
    /// [`AcceleratorError`], which names what was asked for and what is known.
    pub fn read(device: &str, part: Part, there: &[Gpu]) -> Result<Self, AcceleratorError> {
        if device.trim().is_empty() {
            return Err(AcceleratorError::Nameless);
        }
        let asked = Self { device: declared(device), part };
        if there.iter().any(|gpu| gpu.is(&asked)) {
            return Ok(asked);
        }
        let Some(known) = find(device) else {
            if there.iter().any(|gpu| gpu.device == asked.device) {
                return Ok(asked);
            }
            return Err(unknown(device, there));
        };
        if let Part::Of(part) = &asked.part {
            check_part(known, part)?;
        }
        Ok(asked)
    }
}

/// An accelerator that a machine has, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gpu {
    /// The device, by its one name.
    pub device: String,
    /// Which part of it this is; none is the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

impl Gpu {
    /// Says whether this is what is asked for.
    pub fn is(&self, asked: &Accelerator) -> bool {
        let is_part = match &asked.part {
            Part::Any => true,
            Part::Whole => self.part.is_none(),
            Part::Of(part) => self.part.as_ref() == Some(part),
        };
        self.device == asked.device && is_part
    }

    /// Says whether this will do for whoever asks for a GPU of any kind.
    pub fn is_gpu(&self) -> bool {
        !["tpu-", "aws-"].iter().any(|other| self.device.starts_with(other))
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            None => f.write_str(&self.device),
            Some(part) => write!(f, "{} {part}", self.device),
        }
    }
}

/// Answers the name of a device that a server declares: the known one, else as it is written there.
pub fn declared(name: &str) -> String {
    device(name).map_or_else(|| plain(name), str::to_owned)
}

fn unknown(device: &str, there: &[Gpu]) -> AcceleratorError {
    let wanted = plain(device);
    let short = without_maker(&wanted);
    let mut near: Vec<(usize, String)> = Vec::new();
    for known in KNOWN {
        let names = known.aliases.iter().copied().chain([without_maker(known.name)]);
        let least = names.map(|name| distance(short, name)).min().unwrap_or(usize::MAX);
        near.push((least, known.name.to_owned()));
    }
    near.extend(there.iter().map(|gpu| (distance(&wanted, &gpu.device), gpu.device.clone())));
    let least = near.iter().map(|(far, _)| *far).min().unwrap_or(usize::MAX);
    near.retain(|(far, _)| *far == least && least <= NEAR.min(short.len() / 2));
    near.sort_unstable();
    near.dedup();
    let mut known: Vec<String> =
        names().map(str::to_owned).chain(there.iter().map(|gpu| gpu.device.clone())).collect();
    known.sort_unstable();
    known.dedup();
    AcceleratorError::Device {
        device: device.chars().take(64).collect(),
        near: near.into_iter().map(|(_, name)| name).collect(),
        known,
    }
}

fn check_part(known: &Known, part: &str) -> Result<(), AcceleratorError> {
    let (device, shown) = (known.name.to_owned(), part.chars().take(64).collect());
    match known.class {
        Class::Whole => Err(AcceleratorError::Uncut { device, part: shown }),
        // Drivers learn profiles of other sizes and with other engines; their form is what stays.
        Class::Mig if known.parts.contains(&part) || is_profile(part) => Ok(()),
        Class::Slices if known.parts.contains(&part) => Ok(()),
        Class::Mig | Class::Slices => {
            let known = known.parts.iter().map(|part| (*part).to_owned()).collect();
            Err(AcceleratorError::Part { device, part: shown, known })
        }
    }
}

/// Says whether a text has the form of a profile that has something beside its plain form, such as `1g.10gb+me`.
fn is_profile(part: &str) -> bool {
    let Some((plain, more)) = part.split_once('+') else { return false };
    let Some((slices, memory)) = plain.split_once("g.") else { return false };
    let is_number =
        |text: &str| !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    is_number(slices)
        && memory.strip_suffix("gb").is_some_and(is_number)
        && matches!(more, "me" | "gfx" | "me.all" | "me+gfx")
}

/// Answers how many letters have to be changed, put in or taken out to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().take(64).enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (column, theirs) in other.iter().enumerate() {
            let change = before + usize::from(letter != *theirs);
            before = row[column + 1];
            row[column + 1] = change.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
