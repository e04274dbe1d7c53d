"""46, 53, 54, 55: what tasks ask for of the machine, which devices they get, and what happens to those that take more memory."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any, Iterator

import grpc
import pytest
from flyteidl.admin import (
    execution_pb2,
    matchable_resource_pb2,
    project_domain_attributes_pb2,
)
from flyteidl.core import tasks_pb2
from flytekit.extras import accelerators
from flytekit.extras.accelerators import BaseAccelerator

from harness import cli as command_lines
from harness.cli import Cli
from harness.client import Client, identifier, phase, refused, require_success, unique
from harness.groups import require_control_groups
from harness.poll import until
from harness.server import Skein
from harness.settings import DOMAIN, PACKAGE, PROJECT, PROJECT_FOLDER, VERSION, binary, environment
from harness.templates import task_request
from harness.witness import Witness

SECONDS_MAX = 90
RULES = """
[[tasks]]
name = "*.hungry_fresh"
isolation = "fresh"

[[tasks]]
name = "*.hungry_reuse"
isolation = "reuse"
"""
GPUS = ["--gpu", "T4=GPU-one,GPU-two", "--gpu", "A100:2g.10gb=MIG-part", "--gpu", "A100=GPU-whole"]


def started(folder: Path, *words: str) -> Client:
    """A client of a server of its own that knows all workflows of the tests."""
    server = Skein(folder, words=words).start()
    command_lines.pyflyte(server, folder).register(
        PACKAGE, version=VERSION, folder=PROJECT_FOLDER
    ).expect_success()
    return Client(server)


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of a machine with two T4, a whole A100, and a part of another."""
    client = started(tmp_path_factory.mktemp("devices"), *GPUS, "--slots", "4")
    yield client
    client.server.end()
    client.server.check()


@pytest.fixture(scope="module")
def held_to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that holds tasks to their limits; left out where this user may make no control groups."""
    folder = tmp_path_factory.mktemp("held-to")
    require_control_groups(folder)
    (folder / "skein.toml").write_text(RULES)
    client = started(folder, "--resources", "enforce", "--slots", "2", "--config", "skein.toml")
    yield client
    client.server.end()
    client.server.check()


def visible(client: Client, name: str, **options: Any) -> str:
    """What a task without inputs was shown."""
    return client.outputs(f"resources.{name}", {}, task=True, **options)["o0"]


def why(client: Client, execution: Any) -> str:
    """What `skein why` says."""
    told = subprocess.run(
        [str(binary()), "why", execution.id.name],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=environment(FLYTECTL_CONFIG=str(client.server.config)),
        check=True,
    )
    return told.stdout


def error(execution: Any) -> tuple[str, str]:
    """Code and message with which an execution failed."""
    assert phase(execution) == "FAILED"
    return execution.closure.error.code, execution.closure.error.message


def launch_refusal(client: Client, name: str) -> str:
    """Why a task cannot be launched."""
    request = execution_pb2.ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=unique("refused"))
    request.spec.launch_plan.CopyFrom(identifier("TASK", f"{PACKAGE}.resources.{name}"))
    request.spec.metadata.SetInParent()
    code, details = refused(client.admin.CreateExecution, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    return details


def test_the_devices_are_told_on_the_screen(devices: Client) -> None:
    """How many there are of each kind."""
    told = "2 × nvidia-tesla-t4"
    assert told in "".join(devices.server.printed)


def test_who_asks_for_no_gpu_sees_none(devices: Client) -> None:
    """Whatever its own environment says: what it would see is somebody else's."""
    assert visible(devices, "on_any") == ""
    assert visible(devices, "on_its_own_word") == ""


def test_54_a_gpu_of_the_kind_that_is_asked_for(devices: Client) -> None:
    """A GPU limit with accelerator T4 gets a T4, and two of them both; without GPU limit none is given."""
    assert devices.outputs("resources.on_t4", {"name": ""}, task=True)["o0"] in ("GPU-one", "GPU-two")
    assert visible(devices, "on_two") == "GPU-one,GPU-two"


def test_55_a_part_a_whole_or_either(devices: Client) -> None:
    """A100.partition_2g_10gb gets that part, unpartitioned the whole, and plain A100 whichever is free."""
    assert visible(devices, "on_part") == "MIG-part"
    assert visible(devices, "on_whole") == "GPU-whole"
    assert visible(devices, "on_a100") in ("MIG-part", "GPU-whole")


def test_53_a_node_that_says_another_kind_gets_that(devices: Client) -> None:
    """with_overrides(limits, accelerator) changes what one node's attempts get."""
    told = devices.outputs("resources.elsewhere", {})
    assert told["o0"] in ("MIG-part", "GPU-whole") and told["o1"] == "GPU-one,GPU-two"


def test_shared_memory_and_storage_can_be_asked_for(client: Client) -> None:
    """They are the machine's."""
    assert client.outputs("resources.sharing", {}, task=True)["o0"] is True


def test_more_than_there_are_is_refused_at_launch_with_what_there_is(devices: Client) -> None:
    """Nothing is created that would wait for ever."""
    details = launch_refusal(devices, "on_nine")
    assert "nothing here can ever run it: it asks for 9 GPU of nvidia-tesla-t4, and the machine has " in details
    assert "2 × nvidia-tesla-t4" in details and "1 × nvidia-tesla-a100 2g.10gb" in details


def test_no_two_have_one_device_who_waits_says_so_and_who_needs_none_goes_past(
    devices: Client, witness: Witness
) -> None:
    """Twelve tasks want one of two devices: two have one each, ten wait, and a task without a GPU runs meanwhile."""
    gate = unique("gpu")
    begin = lambda: devices.start(  # noqa: E731
        "resources.on_t4", {"name": gate}, task=True, envs=witness.variables
    )
    executions = [begin() for _ in range(12)]
    until("both devices to be had", lambda: len(witness.lines("has")) == 2, SECONDS_MAX)
    assert {words[2] for words in witness.lines("has")} == {"GPU-one", "GPU-two"}
    assert visible(devices, "on_any") == ""
    told = [why(devices, execution) for execution in executions]
    waits = [text for text in told if "1 GPU of nvidia-tesla-t4 to be free: there are 2" in text]
    assert len(waits) == 10, told
    witness.open(gate)
    for execution in executions:
        require_success(devices.wait(execution))
    assert len(witness.lines("has")) == 12


def test_a_device_is_free_again_however_its_attempt_ended(devices: Client, witness: Witness) -> None:
    """One is aborted; afterwards both devices can be had at once."""
    execution = devices.start(
        "resources.on_t4", {"name": unique("never")}, task=True, envs=witness.variables
    )
    until("the device to be had", lambda: len(witness.lines("has")) == 1, SECONDS_MAX)
    devices.remote.terminate(execution, "the test wants it so")
    assert visible(devices, "on_two") == "GPU-one,GPU-two"


def test_a_device_is_free_again_when_its_attempt_is_killed(devices: Client, witness: Witness) -> None:
    """What runs is killed from outside and tried again; what comes after has both devices at once."""
    gate = unique("killed")
    execution = devices.start("resources.on_t4", {"name": gate}, task=True, envs=witness.variables)
    until("the device to be had", lambda: len(witness.lines("has")) == 1, SECONDS_MAX)
    os.kill(int(witness.lines("has")[0][3]), signal.SIGKILL)
    until("it to be had again", lambda: len(witness.lines("has")) == 2, SECONDS_MAX)
    witness.open(gate)
    require_success(devices.wait(execution))
    assert visible(devices, "on_two") == "GPU-one,GPU-two"


def test_items_of_a_map_never_share_a_device(devices: Client, witness: Witness) -> None:
    """Of each device, an item begins only after the one before it has ended."""
    told = devices.outputs("resources.mapped", {"values": list(range(6))}, envs=witness.variables)["o0"]
    assert set(told) <= {"GPU-one", "GPU-two"}
    for device in set(told):
        words = [line[0] for line in witness.lines() if line[2] == device]
        assert words == ["begin", "end"] * (len(words) // 2)


def test_who_hands_none_out_shows_them_all(tmp_path: Path) -> None:
    """With --no-gpus every task sees what the server does, and none is refused for want of one."""
    server = Skein(tmp_path, words=["--no-gpus"], variables={"CUDA_VISIBLE_DEVICES": "0,7"}).start()
    try:
        command_lines.pyflyte(server, tmp_path).register(
            PACKAGE, version=VERSION, folder=PROJECT_FOLDER
        ).expect_success()
        client = Client(server)
        assert visible(client, "on_any") == "0,7"
        assert visible(client, "on_nine") == "0,7"
    finally:
        server.end()
    server.check()


def test_a_machine_without_gpus_says_so(client: Client) -> None:
    """The server of the other tests has none."""
    assert "it asks for 9 GPU of nvidia-tesla-t4, and the machine has no GPU" in launch_refusal(client, "on_nine")


def constants() -> list[tuple[str, BaseAccelerator]]:
    """Every accelerator that the SDK has a name for, with its parts."""
    found = []
    for name, value in vars(accelerators).items():
        if isinstance(value, BaseAccelerator):
            found.append((name, value))
            parts = [part for part in dir(type(value)) if part.startswith(("partition_", "slice_"))]
            found += [(f"{name}.{part}", getattr(value, part)) for part in parts]
    return found


def test_every_accelerator_of_the_sdk_can_be_registered(client: Client) -> None:
    """By its constant, whole and in every part."""
    found = constants()
    assert len(found) > 50
    for name, accelerator in found:
        request = asking(unique("constant"), gpu="1", accelerator=accelerator)
        client.admin.CreateTask(request)
        assert name


def asking(name: str, accelerator: Any = None, **limits: str) -> Any:
    """A request to register a task that asks for something."""
    request = task_request(name, VERSION)
    names = {"cpu": "CPU", "gpu": "GPU", "mem": "MEMORY"}
    for resource, value in limits.items():
        entry = tasks_pb2.Resources.ResourceEntry(name=names[resource], value=value)
        request.spec.template.container.resources.limits.append(entry)
    if accelerator is not None:
        request.spec.template.extended_resources.gpu_accelerator.CopyFrom(accelerator.to_flyte_idl())
    return request


@pytest.mark.parametrize(
    ("limits", "accelerator", "expected"),
    [
        ({"cpu": "lots"}, None, 'CPU of limits is "lots", not a quantity such as 500m, 2 or 1.5Gi'),
        ({"mem": "1GB"}, None, 'MEMORY of limits is "1GB", not a quantity'),
        ({"mem": "-1Gi"}, None, "MEMORY of limits is -1Gi, less than nothing"),
        ({"gpu": "0"}, None, "GPU of limits is 0; it has to be 1 or more"),
        ({"gpu": "500m"}, None, "GPU of limits is 500m, a whole number is needed"),
        ({"cpu": "9E"}, None, "CPU of limits is 9E, more than any machine has; 100000 is the most"),
        ({"gpu": "1"}, "A10O", '"A10O" is unknown (did you mean nvidia-a10g'),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name_and_value(
    client: Client, limits: dict[str, str], accelerator: str, expected: str
) -> None:
    """At registration, with the task, the field, the value, and what would be right."""
    name = unique("impossible")
    kind = accelerators.GPUAccelerator(accelerator) if accelerator else None
    code, details = refused(client.admin.CreateTask, asking(name, accelerator=kind, **limits))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith(f"task {name}: ") and expected in details, details


def test_the_command_line_shows_what_is_wrong(pyflyte: Cli, tmp_path: Path) -> None:
    """A user sees the refusal where they registered."""
    (tmp_path / "wrong.py").write_text(
        "from flytekit import Resources, task\n\n\n"
        '@task(requests=Resources(mem="2Gi"), limits=Resources(mem="1Gi"))\n'
        "def crossed() -> int:\n    return 1\n"
    )
    answer = pyflyte.register("wrong.py", version=unique("v"), folder=tmp_path)
    assert answer.status != 0
    assert "task wrong.crossed: MEMORY request 2Gi is greater than its limit 1Gi" in answer.output


def test_more_memory_than_there_is_is_advice_and_in_nobodys_way(client: Client, witness: Witness) -> None:
    """It runs, and `skein why` says what it asked for and what there is."""
    gate = unique("immense")
    execution = client.start("resources.immense", {"name": gate}, task=True, envs=witness.variables)
    told = "although it requests MEMORY 900Ti, and the machine has "
    until("the task at its gate", lambda: told in why(client, execution), SECONDS_MAX)
    witness.open(gate)
    require_success(client.wait(execution))


def test_46_a_task_that_takes_more_memory_than_its_limit_is_killed_for_that(
    held_to: Client, witness: Witness
) -> None:
    """Its code is OOMKilled, and it is tried again on its own retries: once more, because it has one."""
    execution = held_to.finish("resources.hungry", {"mib": 600}, task=True, envs=witness.variables)
    code, message = error(execution)
    assert code == "RetriesExhausted|OOMKilled"
    assert "USER::it used more memory than its limit of 256Mi, and was killed for that" in message
    assert len(witness.lines("hungry")) == 2
    assert "charged to the task (1), tried again: OOMKilled" in why(held_to, execution)
    # What stays below its limit is left alone.
    assert held_to.outputs("resources.hungry", {"mib": 32}, task=True, envs=witness.variables)["o0"] == 32


def test_46_so_is_one_whose_own_process_takes_it(held_to: Client) -> None:
    """The limit is the attempt's, with all that it starts."""
    code, message = error(held_to.finish("resources.parent_of_hungry", {"mib": 600}, task=True))
    assert code.endswith("OOMKilled"), message


def test_46_the_item_of_a_map_that_takes_too_much_is_the_one_that_fails(held_to: Client) -> None:
    """The others are not charged for it."""
    execution = held_to.finish("resources.hungry_map", {"values": [8, 8, 600, 8]})
    _, message = error(execution)
    assert "it used more memory than its limit of 256Mi" in message
    told = why(held_to, execution)
    assert "[2]  try 1 failed" in told and "OOMKilled" in told
    assert "[0]" not in told and "[1]" not in told and "[3]" not in told


@pytest.mark.parametrize("isolation", ["fresh", "reuse"])
def test_46_in_whatever_process_it_runs(held_to: Client, isolation: str) -> None:
    """An interpreter of its own, and a process that is kept for others, have the limits of the task too."""
    name = f"resources.hungry_{isolation}"
    code, message = error(held_to.finish(name, {"mib": 600}, task=True))
    assert code.endswith("OOMKilled"), message
    held_to.outputs(name, {"mib": 8}, task=True)


def test_53_each_process_has_groups_of_its_own(held_to: Client) -> None:
    """Of version 2 one, of version 1 one for memory and one for the processor; and the processor's limit stands in it."""
    told = held_to.outputs("resources.groups", {}, task=True)["o0"]
    own = re.findall(r"^\d+:(\S*):\S*/skein-\d+/\d+$", told, re.MULTILINE)
    assert own == [""] or {name.split(",")[0] for name in own} == {"memory", "cpu"}, told


def test_53_a_node_that_says_more_memory_gets_more(held_to: Client) -> None:
    """with_overrides(requests, limits) changes what one node's attempts get, and nothing else."""
    assert held_to.outputs("resources.overridden", {"mib": 600}) == {"o0": 600, "o1": 1}
    assert held_to.outputs("resources.overridden_map", {"values": [600, 8]}) == {"o0": [600, 8]}
    code, _ = error(held_to.finish("resources.modest", {"mib": 600}, task=True))
    assert code.endswith("OOMKilled"), "a limit that is missing is the request"


def test_what_the_machine_does_not_have_is_refused_where_it_is_held_to(held_to: Client) -> None:
    """At launch, with what there is."""
    with pytest.raises(Exception, match="it requests MEMORY 900Ti, and the machine has "):
        held_to.start("resources.immense", {"name": "x"}, task=True)


def test_no_group_is_left_behind(held_to: Client) -> None:
    """When nothing runs any more, nothing is left of what ran but what is kept for later."""
    assert held_to.outputs("resources.hungry", {"mib": 8}, task=True, envs={"WITNESS": os.devnull})["o0"] == 8
    line = next(line for line in held_to.server.printed if "control groups below" in line)
    root = Path(line.split("below ")[1].strip())
    held_to.server.end()
    until("the groups to be gone", lambda: not root.exists() or not any(root.glob("*/cgroup.procs")), SECONDS_MAX)


def test_a_quota_of_a_project_is_kept_and_its_defaults_hold(held_to_quota: Client) -> None:
    """TASK_RESOURCE attributes: what is above the limits is refused by value, and who says nothing gets the defaults."""
    name = unique("greedy")
    code, details = refused(held_to_quota.admin.CreateTask, asking(name, mem="2Gi"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details == (
        f"task {name}: MEMORY of limits is 2Gi, and 1Gi is the most that its project and domain allow"
    )


@pytest.fixture
def held_to_quota(tmp_path: Path) -> Iterator[Client]:
    """A server whose project and domain have a quota."""
    server = Skein(tmp_path).start()
    client = Client(server)
    spec = matchable_resource_pb2.TaskResourceSpec
    attributes = matchable_resource_pb2.TaskResourceAttributes(
        defaults=spec(memory="256Mi"), limits=spec(memory="1Gi", gpu="0")
    )
    client.admin.UpdateProjectDomainAttributes(
        project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest(
            attributes=project_domain_attributes_pb2.ProjectDomainAttributes(
                project=PROJECT,
                domain=DOMAIN,
                matching_attributes=matchable_resource_pb2.MatchingAttributes(
                    task_resource_attributes=attributes
                ),
            )
        )
    )
    yield client
    server.end()
    server.check()
