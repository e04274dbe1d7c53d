"""The user guide's pages on tasks, each of its code blocks as `examples/spec` has it: README.md there says what is left out.

Container tasks are tried in `test_container_tasks.py`, shell tasks in `test_shell_tasks.py`.
"""

import urllib.request
from pathlib import Path
from typing import Any, Iterator, Optional

import pytest
from flyteidl.admin import common_pb2
from flyteidl.event import event_pb2
from flyteidl.service import dataproxy_pb2
from google.protobuf import json_format

from harness import cli as command_lines
from harness.cli import Cli
from harness.client import Client, execution_id, identifier, phase, require_success
from harness.environments import alike
from harness.server import Skein
from harness.settings import FOLDER, PROJECT_FOLDER, guide_python

EXAMPLES = FOLDER.parent.parent / "examples"
PAGES = [
    "map_tasks",
    "task_types",
    "task_parameters",
    "partials",
    "named_outputs",
    "several_images",
    "environment_variables",
    "task_resources",
    "accelerators",
    "retries_and_timeouts",
]
GPUS = ["--gpu", "T4=GPU-t4", "--gpu", "A100:2g.10gb=MIG-part", "--gpu", "A100=GPU-whole"]
VERSION = "guide"
"""Another than the page on references says: the command line of union registers a task of its own with every file, and of two
files with one version it refuses the second."""
ANOMALIES = [False, True, False, False, True, True, True, False, True, False]


class Guide:
    """A server that has the examples, with the environment that stands for all their images."""

    def __init__(self, folder: Path) -> None:
        self.image = alike(guide_python(), folder / "image")
        images = ["--image", f"ghcr.io/flyteorg/*={self.image}"]
        self.server = Skein(folder, guide_python(), words=[*images, *GPUS, "--slots", "4"]).start()
        self.union: Cli = command_lines.guide(self.server, folder)
        files = [f"spec/{page}.py" for page in PAGES]
        self.union.register(*files, version=VERSION, folder=EXAMPLES).expect_success()
        self.client = Client(self.server)

    def finish(self, name: str, task: bool = False, version: Optional[str] = VERSION, **inputs: Any) -> Any:
        """Runs a workflow or a task to its end: the latest version where none is named."""
        remote = self.client.remote
        fetch = remote.fetch_task if task else remote.fetch_launch_plan
        return self.client.wait(remote.execute(fetch(name=name, version=version), inputs=inputs))

    def outputs(self, name: str, task: bool = False, **inputs: Any) -> Any:
        """What it gives; without its name where that is nobody's choice."""
        execution = self.finish(name, task, **inputs)
        require_success(execution)
        given = {each: execution.outputs[each] for each in execution.outputs.literals}
        return given["o0"] if set(given) == {"o0"} else given


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    """One for all pages."""
    made = Guide(tmp_path_factory.mktemp("guide"))
    yield made
    made.server.end()
    made.server.check()


def test_map_tasks(guide: Guide) -> None:
    """Over a list, with more memory for each item, and one at a time with a ratio."""
    assert guide.outputs("spec.map_tasks.map_workflow") == ANOMALIES
    assert guide.outputs("spec.map_tasks.map_workflow", data=[12, 1]) == [True, False]
    assert guide.outputs("spec.map_tasks.map_workflow_with_resource_overrides") == ANOMALIES
    assert guide.outputs("spec.map_tasks.map_workflow_with_additional_params") == ANOMALIES


def test_the_overrides_of_a_map_are_those_of_its_items(guide: Guide) -> None:
    """What was registered says 2 GiB for each."""
    name = "spec.map_tasks.map_workflow_with_resource_overrides"
    request = common_pb2.ObjectGetRequest(id=identifier("WORKFLOW", name, VERSION))
    [node] = [
        node
        for node in guide.client.admin.GetWorkflow(request).closure.compiled_workflow.primary.template.nodes
        if node.HasField("array_node")
    ]
    [asked] = node.array_node.node.task_node.overrides.resources.requests
    assert asked.value == "2Gi"


def test_a_data_frame_goes_from_task_to_task(guide: Guide) -> None:
    """The page on types of tasks."""
    assert guide.outputs("spec.task_types.wine_kinds") == [0, 1, 2]


def test_a_deck_shows_what_its_task_took(guide: Guide) -> None:
    """`enable_deck` of the page on parameters."""
    execution = guide.finish("spec.task_parameters.my_task", task=True, my_str="out of the guide")
    require_success(execution)
    request = dataproxy_pb2.CreateDownloadLinkRequest(artifact_type=dataproxy_pb2.ARTIFACT_TYPE_DECK)
    request.node_execution_id.execution_id.CopyFrom(execution_id(execution))
    request.node_execution_id.node_id = guide.client.only_node(execution)
    [url] = guide.client.data.CreateDownloadLink(request).pre_signed_urls.signed_url
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert "out of the guide" in answer.read().decode()


def test_a_hint_has_a_launch_plan_registered(guide: Guide) -> None:
    """`node_dependency_hints` of the page on parameters; the dynamic task itself is registered too."""
    require_success(guide.finish("spec.task_parameters.workflow0"))
    remote = guide.client.remote
    assert remote.fetch_task(name="spec.task_parameters.launch_dynamically", version=VERSION).id.version == VERSION


def test_inputs_are_bound_beforehand(guide: Guide) -> None:
    """`functools.partial` of the page on parameters."""
    assert guide.outputs("spec.partials.simple_wf_with_partial", x=[-3, 0, 3], y=[7, 4, -2]) == pytest.approx(-1.5)


def test_outputs_have_names(guide: Guide) -> None:
    """Of both tasks and of the workflow; on the server, and locally as the page runs it."""
    expected = {"slope": pytest.approx(-1.5), "intercept": pytest.approx(3.0)}
    assert guide.outputs("spec.named_outputs.simple_wf_with_named_outputs") == expected
    assert guide.outputs("spec.named_outputs.flat", task=True) == {"slope": 0.0}
    local = guide.union("run", "spec/named_outputs.py", "simple_wf_with_named_outputs", folder=EXAMPLES)
    assert "-1.5" in local.expect_success().output


def test_an_image_is_an_environment_of_this_machine(guide: Guide) -> None:
    """The page on images: run locally, registered, and run in what stands for the image."""
    folder = EXAMPLES / "spec" / "image_spec"
    path = "workflows/imagespec_simple_example.py"
    assert "trestbps" in guide.union("run", path, "wf", folder=folder).expect_success().output
    guide.union("register", path, folder=folder).expect_success()
    execution = guide.finish("workflows.imagespec_simple_example.wf", version=None)
    require_success(execution)
    reason = guide.client.attempts(execution, "n0")[0].closure.reason
    assert reason.endswith(f"in the environment of the interpreter {guide.image}/bin/python")
    assert execution.outputs.literals["o0"].scalar.structured_dataset.uri


def test_each_task_has_its_own_image(guide: Guide) -> None:
    """The page's two: one needs a GPU."""
    assert guide.outputs("spec.several_images.train") == [3.0, 1.0]


def test_a_variable_of_a_task_is_in_its_environment(guide: Guide) -> None:
    """The page on variables."""
    assert guide.outputs("spec.environment_variables.my_task", task=True) == "my_value"


def test_a_task_is_known_by_reference(guide: Guide) -> None:
    """The page's commands, one after the other, and its workflow."""
    folder = EXAMPLES / "spec" / "reference_tasks"
    scope = ["--project", "flytesnacks", "--domain", "development"]
    guide.union("register", *scope, "--version", "v1", "task.py", folder=folder).expect_success()
    guide.union("register", *scope, "wf_ref_task.py", folder=folder).expect_success()
    execution = guide.finish("wf_ref_task.wf", version=None, a=2, b=40)
    require_success(execution)
    assert execution.outputs["o0"] == 42


def test_what_can_never_be_had_fails_at_once(guide: Guide) -> None:
    """The page on resources: twelve A100 are not there, and the launch says what is."""
    with pytest.raises(Exception, match="nothing here can ever run it: .*A100.*|nothing here can ever run it: .*a100"):
        guide.finish("spec.task_resources.my_large_task", task=True)


def test_a_node_may_ask_for_more_than_its_task(guide: Guide) -> None:
    """`with_overrides` of the page on resources; and requests that are advice here."""
    assert guide.outputs("spec.task_resources.my_workflow") == {"o0": 1, "o1": 1000}
    assert guide.outputs("spec.task_resources.my_monitored_task", task=True) == 1


@pytest.mark.parametrize(
    ("task", "devices"),
    [
        ("my_task_on_a100", {"GPU-whole", "MIG-part"}),
        ("my_task_on_t4", {"GPU-t4"}),
        ("my_task_on_a_part", {"MIG-part"}),
    ],
)
def test_an_accelerator_is_one_that_is_asked_for(guide: Guide, task: str, devices: set[str]) -> None:
    """The page on accelerators: any part of one kind, another kind, and a certain part."""
    assert guide.outputs(f"spec.accelerators.{task}", task=True) in devices


def test_a_failed_try_is_tried_again(guide: Guide) -> None:
    """The page on retries: the first try has bad luck, the second has not; and a time limit that is far away."""
    execution = guide.finish("spec.retries_and_timeouts.compute_mean", task=True, data=[1.0, 2.0, 6.0])
    require_success(execution)
    assert execution.outputs["o0"] == 3.0
    assert len(guide.client.attempts(execution)) == 2
    name = "spec.retries_and_timeouts.compute_mean_within_an_hour"
    assert guide.outputs(name, task=True, data=[1.0, 3.0]) == 2.0


def test_the_last_of_the_tries_runs_on_demand(guide: Guide) -> None:
    """The page on interruptible instances: with three retries, three tries may be interrupted."""
    name = "spec.retries_and_timeouts.compute_mean_on_spare_capacity"
    execution = guide.finish(name, task=True, data=[1.0])
    assert phase(execution) == "FAILED"
    interruptible = event_pb2.TaskExecutionMetadata.INTERRUPTIBLE
    classes = [attempt.closure.metadata.instance_class for attempt in guide.client.attempts(execution)]
    assert [each == interruptible for each in classes] == [True, True, True, False]


def test_a_pod_template_of_the_sdk_is_kept(guide: Guide) -> None:
    """The page on the hardware environment: its words arrive as they were, and the launch says that no pods are here."""
    guide.union("register", "--version", "pods", "podded.py", folder=PROJECT_FOLDER).expect_success()
    request = common_pb2.ObjectGetRequest(id=identifier("TASK", "podded.podded", "pods"))
    template = guide.client.admin.GetTask(request).closure.compiled_task.template
    spec = json_format.MessageToDict(template.k8s_pod.pod_spec)
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert [container["name"] for container in spec["containers"]] == ["main", "beside"]
    assert "pyflyte-execute" in spec["containers"][0]["args"], "the SDK fills in the one that runs the task"
    assert dict(template.k8s_pod.metadata.labels) == {"team": "waders"}
    assert template.metadata.pod_template_name == "base"
    with pytest.raises(Exception, match="task podded.podded of type python-task has a .*pod"):
        guide.finish("podded.podded", task=True, version="pods", x=1)
