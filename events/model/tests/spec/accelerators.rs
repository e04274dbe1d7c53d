//! Names of accelerators: every constant of the SDK, other names for the same device, and what drivers call them.

use skein_model::Gpu;
use skein_model::accelerators::{Accelerator, Part, declared, device, names, of_driver};

/// Every constant of `flytekit.extras.accelerators`: its device, and the partitions or slices that hang on it.
const CONSTANTS: &[(&str, &[&str])] = &[
    ("nvidia-a10g", &[]),
    ("nvidia-l4", &[]),
    ("nvidia-l4-vws", &[]),
    ("nvidia-l40s", &[]),
    ("nvidia-tesla-k80", &[]),
    ("nvidia-tesla-m60", &[]),
    ("nvidia-tesla-p4", &[]),
    ("nvidia-tesla-p100", &[]),
    ("nvidia-tesla-t4", &[]),
    ("nvidia-tesla-v100", &[]),
    ("nvidia-h100", &[]),
    ("nvidia-h200", &[]),
    ("nvidia-rtx-pro-6000", &[]),
    ("nvidia-tesla-a100", &["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]),
    ("nvidia-a100-80gb", &["1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"]),
    ("tpu-v5-lite-podslice", &["1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"]),
    (
        "tpu-v5p-slice",
        &[
            "2x2x1", "2x2x2", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16", "16x16x16",
            "16x16x24",
        ],
    ),
    ("tpu-v6e-slice", &["1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"]),
];

fn read(device: &str, part: Part) -> Result<Accelerator, String> {
    Accelerator::read(device, part, &[]).map_err(|error| error.to_string())
}

#[test]
fn every_constant_of_the_sdk_is_known_by_its_own_name_with_all_its_parts() {
    for (name, parts) in CONSTANTS {
        let whole = read(name, Part::Any).expect("it is known");
        assert_eq!(whole.device, *name);
        for part in *parts {
            let cut = read(name, Part::Of((*part).to_owned())).expect("it is known");
            assert_eq!((cut.device.as_str(), cut.part), (*name, Part::Of((*part).to_owned())));
        }
    }
}

#[test]
fn a_device_has_one_name_whatever_it_is_called() {
    let called = [
        ("nvidia-tesla-a100", ["A100", "a100-40gb", "NVIDIA A100", "nvidia_tesla_a100"]),
        ("nvidia-a100-80gb", ["A100 80G", "A100-80GB", "nvidia-tesla-a100-80gb", "a100 80gb"]),
        ("nvidia-tesla-t4", ["T4", "Tesla T4", "nvidia-t4", "t4"]),
        ("nvidia-tesla-v100", ["V100", "nvidia-v100", "TESLA V100", "v100"]),
        ("nvidia-l40s", ["L40s", "l40s", "NVIDIA L40S", "nvidia l40s"]),
        ("nvidia-h100", ["H100", "nvidia-tesla-h100", "h100 80GB", "NVIDIA-H100"]),
        ("tpu-v5-lite-podslice", ["V5E", "v5e", "TPU v5e", "tpu_v5_lite_podslice"]),
        ("tpu-v5p-slice", ["V5P", "tpu-v5p", "v5p", "TPU V5P"]),
        ("tpu-v6e-slice", ["V6E", "tpu-v6e", "v6e", "TPU V6E"]),
        ("amd-mi300x", ["MI300X", "amd mi300x", "AMD Instinct MI300X", "mi300x"]),
        ("aws-trainium1", ["TRN1", "trn1", "aws-trainium1", "Trainium"]),
    ];
    for (name, aliases) in called {
        for alias in aliases {
            assert_eq!(device(alias), Some(name), "{alias}");
        }
    }
}

#[test]
fn no_two_devices_share_a_name() {
    let names: Vec<_> = names().collect();
    for name in &names {
        assert_eq!(device(name), Some(*name));
    }
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn what_a_driver_calls_a_device_is_the_device_that_tasks_ask_for() {
    let told = [
        ("Tesla T4", 15_u64 << 30, "nvidia-tesla-t4"),
        ("Tesla K80", 11 << 30, "nvidia-tesla-k80"),
        ("Tesla V100-SXM2-16GB", 16 << 30, "nvidia-tesla-v100"),
        ("Tesla P100-PCIE-16GB", 16 << 30, "nvidia-tesla-p100"),
        ("NVIDIA A10G", 22 << 30, "nvidia-a10g"),
        ("NVIDIA L4", 22 << 30, "nvidia-l4"),
        ("NVIDIA L40S", 45 << 30, "nvidia-l40s"),
        ("NVIDIA A100-SXM4-40GB", 40 << 30, "nvidia-tesla-a100"),
        ("NVIDIA A100-SXM4-80GB", 80 << 30, "nvidia-a100-80gb"),
        ("NVIDIA A100 80GB PCIe", 80 << 30, "nvidia-a100-80gb"),
        ("NVIDIA H100 80GB HBM3", 80 << 30, "nvidia-h100"),
        ("NVIDIA H100 PCIe", 80 << 30, "nvidia-h100"),
        ("NVIDIA H100 NVL", 94 << 30, "nvidia-h100"),
        ("NVIDIA H200", 141 << 30, "nvidia-h200"),
        ("NVIDIA B200", 180 << 30, "nvidia-b200"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 96 << 30, "nvidia-rtx-pro-6000"),
        // Nobody's constant: it is asked for by the name that its driver tells.
        ("NVIDIA GeForce RTX 4090", 24 << 30, "nvidia-geforce-rtx-4090"),
    ];
    for (model, memory, name) in told {
        assert_eq!(of_driver(model, memory), name, "{model}");
    }
}

#[test]
fn a_device_that_nobody_knows_is_refused_with_all_that_are_known_and_those_that_are_near() {
    let refused = read("A1000", Part::Any).expect_err("there is none");
    assert!(refused.starts_with("\"A1000\" is unknown (did you mean "), "{refused}");
    assert!(refused.contains("nvidia-tesla-a100"), "{refused}");
    for name in names() {
        assert!(refused.contains(name), "{refused}");
    }
    let far = read("abacus-of-brass", Part::Any).expect_err("there is none");
    assert!(far.starts_with("\"abacus-of-brass\" is unknown; known are "), "{far}");
    assert_eq!(read(" ", Part::Any), Err("it names no device".to_owned()));
}

#[test]
fn a_partition_that_the_device_does_not_have_is_refused_with_those_that_it_has() {
    let part = |device, part: &str| read(device, Part::Of(part.to_owned()));
    assert_eq!(
        part("A100", "1g.6gb"),
        Err("nvidia-tesla-a100 has no partition \"1g.6gb\"; it has 1g.5gb, 2g.10gb, 3g.20gb, 4g.20gb, 7g.40gb"
            .to_owned())
    );
    assert_eq!(
        part("T4", "1g.5gb"),
        Err("nvidia-tesla-t4 cannot be partitioned, but partition \"1g.5gb\" is asked for".to_owned())
    );
    assert!(part("V5E", "3x3").expect_err("there is none").contains("it has 1x1, 2x2, 2x4"));
    assert!(part("H100", "1g.10gb+me").is_ok(), "a profile with an engine more");
    assert!(part("H100", "1g.10gb+x").is_err());
}

#[test]
fn what_a_server_has_is_known_whatever_it_is() {
    let there = [
        Gpu { device: declared("NVIDIA GeForce RTX 4090"), part: None },
        Gpu { device: declared("A100"), part: Some("1g.10gb".to_owned()) },
    ];
    assert_eq!(there[0].device, "nvidia-geforce-rtx-4090");
    let read = |device: &str, part| Accelerator::read(device, part, &there);
    assert!(there[0].is(&read("nvidia-geforce-rtx-4090", Part::Any).expect("it is there")));
    assert!(there[1].is(&read("A100", Part::Of("1g.10gb".to_owned())).expect("it is there")));
    let near = read("nvidia-geforce-rtx-4080", Part::Any).expect_err("it is not there").to_string();
    assert!(near.contains("(did you mean nvidia-geforce-rtx-4090?)"), "{near}");
}

#[test]
fn a_partition_is_matched_and_a_whole_device_only_where_it_is_asked_for() {
    let whole = Gpu { device: "nvidia-tesla-a100".to_owned(), part: None };
    let cut = Gpu { part: Some("2g.10gb".to_owned()), ..whole.clone() };
    let asks = |part| read("A100", part).expect("it is known");
    let answers = |part| (whole.is(&asks(part)), cut.is(&asks(Part::Any)));
    assert_eq!(answers(Part::Any), (true, true));
    assert!(whole.is(&asks(Part::Whole)) && !cut.is(&asks(Part::Whole)));
    let second = Part::Of("2g.10gb".to_owned());
    assert!(!whole.is(&asks(second.clone())) && cut.is(&asks(second)));
    assert!(!cut.is(&asks(Part::Of("1g.5gb".to_owned()))));
}
