"""Registration and identity: items 1 to 16 of the conformance checklist."""

import base64
import hashlib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable

import grpc
import pytest
from flyteidl.admin import common_pb2
from flyteidl.core import types_pb2
from flyteidl.service import admin_pb2_grpc, dataproxy_pb2

from harness import cli as command_lines
from harness.cli import Answer, Cli
from harness.client import Client, identifier, refused, require_success, unique
from harness.server import Skein
from harness.settings import DOMAIN, PROJECT, VERSION
from harness.templates import INTEGER, STRING, node, promise, task_request, variables, workflow_request

ONE_FILE = """
from flytekit import task, workflow


@task
def one(a: int) -> int:
    return a + {added}


@workflow
def both(a: int{default}) -> int:
    return one(a=one(a=a))
"""


def one_file(folder: Path, module: str, added: int = 1, default: str = " = 1", extra: str = "") -> str:
    """Writes a module with a task and a workflow, and returns its file name."""
    (folder / f"{module}.py").write_text(ONE_FILE.format(added=added, default=default) + extra)
    return f"{module}.py"


def stored(client: Client, module: str, version: str) -> list[bytes]:
    """The three entities of a module, as bytes."""
    get = common_pb2.ObjectGetRequest
    return [
        client.admin.GetTask(get(id=identifier("TASK", f"{module}.one", version))).SerializeToString(
            deterministic=True
        ),
        client.admin.GetWorkflow(get(id=identifier("WORKFLOW", f"{module}.both", version))).SerializeToString(
            deterministic=True
        ),
        client.admin.GetLaunchPlan(get(id=identifier("LAUNCH_PLAN", f"{module}.both", version))).SerializeToString(
            deterministic=True
        ),
    ]


def versions(client: Client, name: str) -> list[str]:
    """All versions of a task, newest first."""
    request = common_pb2.ResourceListRequest(
        id=common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=name), limit=100
    )
    return [task.id.version for task in client.admin.ListTasks(request).tasks]


def names(call: Callable, domain: str) -> list[str]:
    """All names that a List*Ids call gives for a domain, page by page."""
    found, token = [], ""
    while True:
        page = call(
            common_pb2.NamedEntityIdentifierListRequest(project=PROJECT, domain=domain, limit=50, token=token)
        )
        found += [entity.name for entity in page.entities]
        token = page.token
        if not token:
            return found


def test_001_register_prints_a_success_line_for_every_entity(registration: Answer) -> None:
    """`pyflyte register f.py` on a fresh project prints a success line for every task, workflow and launch plan and exits 0."""
    registration.expect_success()
    lines = {line.strip() for line in registration.output.splitlines()}
    for entity in [
        "Task: workflows.values.double",
        "Task: workflows.failing.boom",
        "Workflow: workflows.values.doubled",
        "Workflow: workflows.branching.low_or_high",
        "Launch Plan: workflows.values.doubled",
        "Launch Plan: values.fixed_plan",
    ]:
        assert f"[✔] {entity}" in lines
    assert "Failed" not in registration.output


def test_002_registering_again_unchanged_creates_nothing(client: Client, pyflyte: Cli, tmp_path: Path) -> None:
    """Running it again unchanged succeeds, creates no new version and leaves stored digests unchanged."""
    module = unique("again").replace("-", "_")
    file = one_file(tmp_path, module)
    pyflyte.register(file).expect_success()
    [version] = versions(client, f"{module}.one")
    plan_version = client.remote.fetch_launch_plan(name=f"{module}.both").id.version
    assert plan_version
    before = client.admin.GetTask(common_pb2.ObjectGetRequest(id=identifier("TASK", f"{module}.one", version)))

    pyflyte.register(file).expect_success()

    assert versions(client, f"{module}.one") == [version]
    after = client.admin.GetTask(common_pb2.ObjectGetRequest(id=identifier("TASK", f"{module}.one", version)))
    assert after.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


def test_003_another_structure_under_the_same_version_is_refused(
    client: Client, pyflyte: Cli, tmp_path: Path
) -> None:
    """Changing one task and registering with the same explicit `--version` fails with INVALID_ARGUMENT naming a different structure."""
    module = unique("changed").replace("-", "_")
    pyflyte.register(one_file(tmp_path, module), version="same").expect_success()
    before = stored(client, module, "same")

    (tmp_path / f"{module}.py").write_text(
        ONE_FILE.format(added=1, default=" = 1").replace("def one(a: int)", "def one(a: int, b: int = 2)")
    )
    answer = pyflyte.register(f"{module}.py", version="same")

    assert answer.status != 0
    assert "INVALID_ARGUMENT" in answer.output
    assert "different structure" in answer.output
    assert stored(client, module, "same") == before


@pytest.mark.parametrize("callers", [8, 1000])
def test_004_one_id_registered_by_many_at_once_is_stored_once(client: Client, server: Skein, callers: int) -> None:
    """Registering the same content twice under concurrency (8 parallel CreateTask of one id) yields exactly one stored task and only OK/ALREADY_EXISTS answers."""
    name = unique("raced")
    request = task_request(name, "v1", variables(a=INTEGER), variables(o0=INTEGER))
    channels = [
        grpc.insecure_channel(server.endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(8)
    ]
    calls = [
        admin_pb2_grpc.AdminServiceStub(channels[index % len(channels)]).CreateTask.future(request, timeout=120)
        for index in range(callers)
    ]
    codes = [call.code() for call in calls]
    for channel in channels:
        channel.close()

    assert codes.count(grpc.StatusCode.OK) == 1
    assert codes.count(grpc.StatusCode.ALREADY_EXISTS) == callers - 1
    assert versions(client, name) == ["v1"]


def test_005_union_register_does_what_pyflyte_register_does(
    client: Client, pyflyte: Cli, union: Cli, tmp_path: Path
) -> None:
    """`union register` against a plaintext endpoint behaves identically to `pyflyte register`."""
    module = unique("both").replace("-", "_")
    file = one_file(tmp_path, module)
    pyflyte.register(file, domain="staging").expect_success()
    union.register(file, domain="production").expect_success()

    for call in (client.admin.ListTaskIds, client.admin.ListWorkflowIds, client.admin.ListLaunchPlanIds):
        by_flytekit = {name for name in names(call, "staging") if name.startswith(module)}
        by_union = {name for name in names(call, "production") if name.startswith(module)}
        assert by_flytekit == by_union
        assert by_flytekit


def test_006_the_task_that_union_adds_is_registered(client: Client, union: Cli, tmp_path: Path) -> None:
    """The extra `union.workspace…_workspace_image_build_noop` task registers without error."""
    module = unique("extra").replace("-", "_")
    answer = union.register(one_file(tmp_path, module)).expect_success()
    assert "Failed" not in answer.output
    assert any(name.endswith("_workspace_image_build_noop") for name in names(client.admin.ListTaskIds, DOMAIN))


def upload_request(content: bytes, filename: str = "code.tar.gz") -> dataproxy_pb2.CreateUploadLocationRequest:
    """A request for a place to put `content`."""
    return dataproxy_pb2.CreateUploadLocationRequest(
        project=PROJECT, domain=DOMAIN, filename=filename, content_md5=hashlib.md5(content).digest()
    )


def put(url: str, content: bytes, md5_of: bytes, headers: dict[str, str]) -> int:
    """Puts `content` with the checksum of `md5_of`, and gives the HTTP status."""
    checksum = base64.b64encode(hashlib.md5(md5_of).digest()).decode()
    request = urllib.request.Request(
        url,
        data=content,
        method="PUT",
        headers={**headers, "Content-MD5": checksum, "Content-Length": str(len(content))},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_007_an_upload_location_is_a_function_of_what_is_uploaded(new_server: Callable[[], Skein]) -> None:
    """`CreateUploadLocation` for equal (project, domain, md5, filename) returns the same native URL on two calls and across server restarts."""
    skein = new_server()
    first, second = (Client(skein).data.CreateUploadLocation(upload_request(b"code")).native_url for _ in range(2))
    assert skein.stop() == 0
    skein.start()
    third = Client(skein).data.CreateUploadLocation(upload_request(b"code")).native_url
    other = Client(skein).data.CreateUploadLocation(upload_request(b"other code")).native_url
    assert first == second == third
    assert other != first


def test_008_an_upload_is_checked_and_then_readable(client: Client) -> None:
    """A PUT with a wrong Content-MD5 is refused; a PUT with the required headers returns 200 and the object is readable through `native_url`."""
    content = unique("content").encode()
    location = client.data.CreateUploadLocation(upload_request(content))
    headers = dict(location.headers)

    assert put(location.signed_url, b"something else", content, headers) >= 400
    assert put(location.signed_url, content, b"something else", headers) >= 400
    assert put(location.signed_url, content, content, headers) in (200, 201)
    assert put(location.signed_url, content, content, headers) in (200, 201), "registering again puts again"

    download = client.data.CreateDownloadLocation(
        dataproxy_pb2.CreateDownloadLocationRequest(native_url=location.native_url)
    )
    with urllib.request.urlopen(download.signed_url, timeout=30) as answer:
        assert answer.read() == content
    assert Path(location.native_url).read_bytes() == content


def registered_task(client: Client, inputs: dict, outputs: dict) -> str:
    """Registers a task by hand and gives its name."""
    name = unique("made")
    client.admin.CreateTask(task_request(name, "v1", variables(**inputs), variables(**outputs)))
    return name


def compile_error(client: Client, nodes: list) -> str:
    """What CreateWorkflow says about these nodes; it must be INVALID_ARGUMENT."""
    code, details = refused(client.admin.CreateWorkflow, workflow_request(unique("refused"), "v1", nodes))
    assert code == grpc.StatusCode.INVALID_ARGUMENT, details
    return details


def test_009_an_unregistered_task_in_a_workflow_is_refused(client: Client) -> None:
    """A workflow that references an unregistered task is rejected with INVALID_ARGUMENT and a TaskReferenceNotFound error."""
    details = compile_error(client, [node("n0", "never_registered", "v1")])
    assert "TaskReferenceNotFound" in details
    assert "never_registered" in details


def test_010_a_cycle_is_refused(client: Client) -> None:
    """A workflow with a dependency cycle built through explicit ordering is rejected with CycleDetected."""
    name = registered_task(client, {}, {})
    nodes = [node("n0", name, "v1", after=["n1"]), node("n1", name, "v1", after=["n0"])]
    assert "CycleDetected" in compile_error(client, nodes)


def test_011_a_text_bound_to_a_number_is_refused(client: Client) -> None:
    """Passing a `str` output to an `int` input (raw protobuf) is rejected with MismatchingTypes."""
    source = registered_task(client, {}, {"o0": STRING})
    target = registered_task(client, {"a": INTEGER}, {"o0": INTEGER})
    nodes = [node("n0", source, "v1"), node("n1", target, "v1", [promise("a", "n0", "o0")], ["n0"])]
    details = compile_error(client, nodes)
    assert "MismatchingTypes" in details
    assert "n1" in details


def union_of(*tagged: tuple[str, types_pb2.LiteralType]) -> types_pb2.LiteralType:
    """A union type of tagged variants."""
    variants = []
    for tag, kind in tagged:
        variant = types_pb2.LiteralType()
        variant.CopyFrom(kind)
        variant.structure.tag = tag
        variants.append(variant)
    return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))


def test_012_a_number_fits_an_optional_number(client: Client) -> None:
    """Passing `int` to `Optional[int]` is accepted (the first half of item 12)."""
    assert client.outputs("values.optional_from_int", {"a": 4}) == {"o0": 8}


def test_012_a_value_that_fits_two_variants_is_ambiguous(client: Client) -> None:
    """A value castable to two variants of a union is reported as ambiguous (the second half of item 12)."""
    source = registered_task(client, {}, {"o0": INTEGER})
    target = registered_task(client, {"a": union_of(("one", INTEGER), ("two", INTEGER))}, {})
    nodes = [node("n0", source, "v1"), node("n1", target, "v1", [promise("a", "n0", "o0")], ["n0"])]
    assert "mbiguous" in compile_error(client, nodes)


def test_013_an_empty_list_fits_a_list_of_texts(client: Client) -> None:
    """A list literal `[]` bound to `List[str]` compiles."""
    assert client.outputs("values.empty_list") == {"o0": 0}


def test_014_a_dataclass_feeds_another_dataclass(client: Client) -> None:
    """A dataclass output feeds a dataclass input of a different but STRUCT type without compile error."""
    assert client.outputs("values.between_dataclasses", {"x": 5}) == {"o0": 5 + 6 + 7}


def test_015_attribute_access_delivers_the_element(client: Client) -> None:
    """`d.y[0]` attribute access compiles and delivers the element at run time."""
    assert client.outputs("values.attribute_access", {"x": 20}) == {"o0": 42}


def test_016_a_compiled_workflow_begins_with_start_and_end(client: Client) -> None:
    """GetWorkflow returns start-node and end-node first and branch inner nodes renamed."""
    request = common_pb2.ObjectGetRequest(id=identifier("WORKFLOW", "workflows.branching.low_or_high", VERSION))
    template = client.admin.GetWorkflow(request).closure.compiled_workflow.primary.template
    assert [each.id for each in template.nodes] == ["start-node", "end-node", "n0"]
    branch = template.nodes[2].branch_node.if_else
    assert branch.case.then_node.id == "n0-n0"
    assert branch.else_node.id == "n0-n1"


def test_a_list_of_tasks_shows_each_registered_task_once(client: Client) -> None:
    """Names come once each, however often they were registered."""
    listed = names(client.admin.ListTaskIds, DOMAIN)
    assert "workflows.values.double" in listed
    assert listed.count("workflows.values.double") == 1


def test_union_register_and_run_with_union_imported_in_the_code(union_server: Skein, tmp_path: Path) -> None:
    """A file that says `import union` is registered by `union register` and run by Skein."""
    (tmp_path / "with_union.py").write_text(
        "import union\n\n\n"
        "@union.task\ndef above(x: int) -> bool:\n    return x > 11\n\n\n"
        "@union.workflow\ndef mapped(xs: list[int] = [10, 12]) -> list[bool]:\n    return union.map(above)(x=xs)\n"
    )
    union = command_lines.union(union_server, tmp_path)
    union.register("with_union.py", version="v1").expect_success()
    name = unique("mapped")
    union.run("--name", name, "--wait", "--poll-interval", "1", "with_union.py", "mapped").expect_success()
    client = Client(union_server)
    execution = client.remote.fetch_execution(name=name)
    client.remote.sync_execution(execution)
    require_success(execution)
    assert execution.outputs["o0"] == [False, True]
