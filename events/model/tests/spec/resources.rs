//! What a task asks for: which words are amounts, what cannot be asked for, and whose word counts.

use proptest::prelude::*;
use skein_idl::flyteidl::admin::{TaskResourceAttributes, TaskResourceSpec};
use skein_idl::flyteidl::core::gpu_accelerator::PartitionSizeValue;
use skein_idl::flyteidl::core::resources::{ResourceEntry, ResourceName};
use skein_idl::flyteidl::core::{
    Container, ExtendedResources, GpuAccelerator, Resources, SharedMemory, TaskNodeOverrides, TaskTemplate,
    task_template,
};
use skein_model::accelerators::Part;
use skein_model::resources::{Amounts, Resource};
use skein_model::{Gpu, Offer, Quota, TaskResources};

type Given<'g> = &'g [(ResourceName, &'g str)];

const GI: u64 = 1 << 30;

fn list(list: Given<'_>) -> Vec<ResourceEntry> {
    let entry = |(name, value): &(ResourceName, &str)| ResourceEntry {
        name: (*name).into(),
        value: (*value).to_owned(),
    };
    list.iter().map(entry).collect()
}

fn task(requests: Given<'_>, limits: Given<'_>) -> TaskTemplate {
    let resources = Some(Resources { requests: list(requests), limits: list(limits) });
    let container = Container { resources, ..Container::default() };
    TaskTemplate { target: Some(task_template::Target::Container(container)), ..TaskTemplate::default() }
}

fn read(requests: Given<'_>, limits: Given<'_>) -> Result<TaskResources, String> {
    TaskResources::of(&task(requests, limits), None, Some(&[])).map_err(|error| error.to_string())
}

fn overridden(requests: Given<'_>, limits: Given<'_>, own: &TaskTemplate) -> Result<TaskResources, String> {
    let resources = Some(Resources { requests: list(requests), limits: list(limits) });
    let node = TaskNodeOverrides { resources, ..TaskNodeOverrides::default() };
    TaskResources::of(own, Some(&node), Some(&[])).map_err(|error| error.to_string())
}

use ResourceName::{Cpu, EphemeralStorage, Gpu as GPU, Memory, Storage, Unknown};

#[test]
fn words_become_amounts() {
    let read = read(
        &[(Cpu, "2500m"), (Memory, "1.5Gi"), (EphemeralStorage, "100Gi")],
        &[(Cpu, "3"), (Memory, "2Gi"), (Storage, "200Gi"), (GPU, "3000m")],
    );
    let read = read.expect("it can be asked for");
    let requests = Amounts {
        cpu_millis: Some(2_500),
        memory_bytes: Some(3 * GI / 2),
        storage_bytes: Some(100 * GI),
        gpus: None,
    };
    assert_eq!(read.requests, requests);
    assert_eq!(read.limits.gpus, Some(3));
    assert_eq!(read.limits.storage_bytes, Some(200 * GI));
}

#[test]
fn what_cannot_be_asked_for_is_refused_by_list_resource_and_value() {
    let cases: [(Given<'_>, Given<'_>, &str); 17] = [
        (&[(Cpu, "lots")], &[], "CPU of requests is \"lots\", not a quantity such as 500m, 2 or 1.5Gi"),
        (&[], &[(Memory, "1Gb")], "MEMORY of limits is \"1Gb\", not a quantity such as 500m, 2 or 1.5Gi"),
        (&[], &[(Memory, "-1Gi")], "MEMORY of limits is -1Gi, less than nothing"),
        (&[], &[(GPU, "0.5")], "GPU of limits is 0.5, a whole number is needed"),
        (
            &[],
            &[(GPU, "0")],
            "GPU of limits is 0; it has to be 1 or more, and a task that needs none leaves it out",
        ),
        (
            &[(GPU, "1")],
            &[(GPU, "2")],
            "GPU request 1 and limit 2 differ; for this resource they must be equal",
        ),
        (&[(GPU, "2")], &[], "GPU is 2 in requests and not in limits; say limits=Resources(gpu=\"2\")"),
        (&[(Cpu, "2")], &[(Cpu, "1500m")], "CPU request 2 is greater than its limit 1500m"),
        (&[(Memory, "2Gi")], &[(Memory, "1Gi")], "MEMORY request 2Gi is greater than its limit 1Gi"),
        (&[(Cpu, "1"), (Cpu, "2")], &[], "requests hold CPU more than once"),
        (&[(Unknown, "1")], &[], "requests hold an unknown resource (number 0)"),
        (
            &[(Memory, "500m")],
            &[],
            "MEMORY of requests is 500m, which is counted in bytes: 4096 is the least, and Mi or Gi are what is mostly meant",
        ),
        (
            &[(EphemeralStorage, "512")],
            &[],
            "EPHEMERAL_STORAGE of requests is 512, which is counted in bytes: 4096 is the least, and Mi or Gi are what is mostly meant",
        ),
        (&[(Cpu, "0.0001")], &[], "CPU of requests is 0.0001, less than can be given; 1m is the least"),
        (&[(Cpu, "1M")], &[], "CPU of requests is 1M, more than any machine has; 100000 is the most"),
        (&[], &[(Memory, "9E")], "MEMORY of limits is 9E, more than any machine has; 1024Ti is the most"),
        (&[], &[(GPU, "99999")], "GPU of limits is 99999, more than any machine has; 10000 is the most"),
    ];
    for (requests, limits, expected) in cases {
        assert_eq!(read(requests, limits), Err(expected.to_owned()));
    }
}

#[test]
fn nothing_is_asked_for_by_nothing() {
    assert_eq!(read(&[], &[]), Ok(TaskResources::default()));
    assert_eq!(read(&[(Cpu, "0"), (EphemeralStorage, "0")], &[]), Ok(TaskResources::default()));
}

#[test]
fn what_the_node_says_counts_for_more_than_what_the_task_says_entry_by_entry() {
    let own = task(&[(Cpu, "1"), (Memory, "1Gi")], &[(Memory, "2Gi"), (GPU, "1")]);
    let read = overridden(&[(Memory, "4Gi")], &[], &own).expect("it can be asked for");
    assert_eq!(read.requests.cpu_millis, Some(1_000), "what it does not say stays");
    assert_eq!(
        (read.requests.memory_bytes, read.limits.memory_bytes),
        (Some(4 * GI), Some(4 * GI)),
        "a limit that the node says nothing of gives way"
    );
    let read = overridden(&[], &[(Memory, "512Mi"), (GPU, "4")], &own).expect("it can be asked for");
    assert_eq!((read.requests.memory_bytes, read.limits.memory_bytes), (Some(GI / 2), Some(GI / 2)));
    assert_eq!(read.gpus(), 4);
    assert_eq!(
        overridden(&[(Cpu, "2")], &[(Cpu, "1")], &own),
        Err("CPU request 2 is greater than its limit 1".to_owned())
    );
}

#[test]
fn kind_and_volume_are_the_nodes_where_it_says_them() {
    let accelerator = |device: &str, part: Option<PartitionSizeValue>| ExtendedResources {
        gpu_accelerator: Some(GpuAccelerator { device: device.to_owned(), partition_size_value: part }),
        shared_memory: None,
    };
    let volume = |path: &str, size: &str| SharedMemory {
        mount_path: path.to_owned(),
        mount_name: "flyte-shared-memory".to_owned(),
        size_limit: size.to_owned(),
    };
    let own = TaskTemplate {
        extended_resources: Some(ExtendedResources {
            shared_memory: Some(volume("/dev/shm", "2Gi")),
            ..accelerator("T4", None)
        }),
        ..task(&[], &[(GPU, "1")])
    };
    let part = Some(PartitionSizeValue::PartitionSize("2g.10gb".to_owned()));
    let node = TaskNodeOverrides {
        extended_resources: Some(accelerator("A100", part)),
        ..TaskNodeOverrides::default()
    };
    let read = TaskResources::of(&own, Some(&node), Some(&[])).expect("it can be asked for");
    assert_eq!(read.kind(), "nvidia-tesla-a100 2g.10gb");
    assert_eq!(read.shared_memory.as_ref().and_then(|volume| volume.bytes), Some(2 * GI));
    let alone = TaskResources::of(&own, None, Some(&[])).expect("it can be asked for");
    assert_eq!(
        alone.accelerator.map(|asked| (asked.device, asked.part)),
        Some(("nvidia-tesla-t4".to_owned(), Part::Any))
    );

    let refused = |volume| {
        let extended_resources =
            Some(ExtendedResources { gpu_accelerator: None, shared_memory: Some(volume) });
        let own = TaskTemplate { extended_resources, ..task(&[], &[]) };
        TaskResources::of(&own, None, Some(&[])).expect_err("it cannot be asked for").to_string()
    };
    assert_eq!(
        refused(volume("", "big")),
        "size_limit of shared_memory is \"big\"; it has to be a quantity above 0, such as 2Gi"
    );
    assert_eq!(
        refused(volume("shm", "")),
        "mount_path of shared_memory is \"shm\"; it has to be an absolute path, such as /dev/shm"
    );
}

fn quota(defaults: TaskResourceSpec, limits: TaskResourceSpec) -> Result<Quota, String> {
    let attributes = TaskResourceAttributes { defaults: Some(defaults), limits: Some(limits) };
    Quota::read(&attributes).map_err(|error| error.to_string())
}

fn spec(cpu: &str, memory: &str, gpu: &str) -> TaskResourceSpec {
    TaskResourceSpec {
        cpu: cpu.to_owned(),
        memory: memory.to_owned(),
        gpu: gpu.to_owned(),
        ..TaskResourceSpec::default()
    }
}

#[test]
fn a_task_that_does_not_ask_gets_the_defaults_and_nobody_gets_more_than_the_limits() {
    let quota = quota(spec("1", "1Gi", "2"), spec("2", "4Gi", "")).expect("it is one");
    let within = |requests, limits| read(requests, limits).expect("it can be asked for").within(&quota);
    let silent = within(&[], &[]).expect("it is within");
    assert_eq!((silent.requests.cpu_millis, silent.limits.memory_bytes), (Some(1_000), Some(GI)));
    assert_eq!(silent.gpus(), 0, "nobody gets a GPU who asks for none");
    let half = within(&[(Memory, "2Gi")], &[(Cpu, "2")]).expect("it is within");
    assert_eq!((half.requests.cpu_millis, half.limits.memory_bytes), (Some(2_000), Some(2 * GI)));
    let over = within(&[], &[(Memory, "8Gi")]).expect_err("it is more").to_string();
    assert_eq!(over, "MEMORY of limits is 8Gi, and 4Gi is the most that its project and domain allow");
}

#[test]
fn defaults_and_limits_that_are_none_are_refused() {
    let none = || spec("", "", "");
    assert_eq!(
        quota(spec("4", "", ""), spec("2", "", "")),
        Err("CPU of defaults is 4, above the 2 of limits".to_owned())
    );
    assert_eq!(
        quota(none(), spec("", "much", "")),
        Err("MEMORY of limits is \"much\", not a quantity such as 500m, 2 or 1.5Gi".to_owned())
    );
    let without_gpus = quota(none(), spec("", "", "0")).expect("no GPU is a limit");
    let one = read(&[], &[(GPU, "1")]).expect("it can be asked for");
    assert_eq!(
        one.within(&without_gpus).expect_err("it is more").to_string(),
        "GPU of limits is 1, and 0 is the most that its project and domain allow"
    );
}

#[test]
fn what_no_machine_has_is_refused_with_what_there_is() {
    let t4 = || Gpu { device: "nvidia-tesla-t4".to_owned(), part: None };
    let a100 = Gpu { device: "nvidia-tesla-a100".to_owned(), part: Some("1g.5gb".to_owned()) };
    let offer = |gpus| Offer { cpu_millis: 2_000, memory_bytes: 8 * GI, gpus, is_enforced: false };
    let asks = |device: Option<&str>, count: &str| {
        let extended_resources = device.map(|device| ExtendedResources {
            gpu_accelerator: Some(GpuAccelerator { device: device.to_owned(), partition_size_value: None }),
            shared_memory: None,
        });
        let own = TaskTemplate { extended_resources, ..task(&[], &[(GPU, count)]) };
        TaskResources::of(&own, None, Some(&[])).expect("it can be asked for")
    };
    let some = offer(Some(vec![t4(), t4(), a100]));
    assert_eq!(some.refusal(&asks(Some("T4"), "2")), None);
    assert_eq!(some.refusal(&asks(None, "3")), None);
    assert_eq!(
        some.refusal(&asks(Some("T4"), "3")).as_deref(),
        Some(
            "it asks for 3 GPU of nvidia-tesla-t4, and the machine has 1 × nvidia-tesla-a100 1g.5gb, 2 × nvidia-tesla-t4"
        )
    );
    assert_eq!(
        offer(Some(Vec::new())).refusal(&asks(None, "1")).as_deref(),
        Some("it asks for 1 GPU of any kind, and the machine has no GPU")
    );
    assert_eq!(offer(None).refusal(&asks(None, "1")), None, "they are nobody's to hand out");

    let large = read(&[(Memory, "9Gi"), (Cpu, "1")], &[]).expect("it can be asked for");
    let lack = "it requests MEMORY 9Gi, and the machine has 8Gi";
    assert_eq!(offer(None).lack(&large).as_deref(), Some(lack));
    assert_eq!(offer(None).refusal(&large), None, "it is advice");
    let held_to = Offer { is_enforced: true, ..offer(None) };
    assert_eq!(held_to.refusal(&large).as_deref(), Some(lack));
}

proptest! {
    #[test]
    fn whatever_is_said_of_resources_is_read_or_refused_and_never_more_than_the_limit(
        requests in proptest::collection::vec((0_i32..7, "[-+0-9.eEKMGi]{0,8}"), 0..4),
        limits in proptest::collection::vec((0_i32..7, "[-+0-9.eEKMGi]{0,8}"), 0..4),
    ) {
        let list = |given: Vec<(i32, String)>| {
            given.into_iter().map(|(name, value)| ResourceEntry { name, value }).collect()
        };
        let resources = Some(Resources { requests: list(requests), limits: list(limits) });
        let container = Container { resources, ..Container::default() };
        let own =
            TaskTemplate { target: Some(task_template::Target::Container(container)), ..TaskTemplate::default() };
        if let Ok(read) = TaskResources::of(&own, None, Some(&[])) {
            let all = read.within(&Quota::default()).expect("there is no quota");
            for resource in Resource::ALL {
                prop_assert!(all.requests.get(resource) <= all.limits.get(resource));
                prop_assert_eq!(all.requests.get(resource).is_some(), all.limits.get(resource).is_some());
            }
        }
    }
}
