"""Launch plans and schedules: items 17 to 20 and 98 to 102 of the conformance checklist."""

import json
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import grpc
import pytest
from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2, schedule_pb2

from harness import cli as command_lines
from harness.cli import Cli
from harness.client import Client, create_request, execution_id, identifier, integers, list_request, refused, unique
from harness.poll import until
from harness.server import Skein
from harness.settings import DOMAIN, LONG, PROJECT, binary, environment

ACTIVE, INACTIVE = launch_plan_pb2.ACTIVE, launch_plan_pb2.INACTIVE
SCHEDULED = execution_pb2.ExecutionMetadata.SCHEDULED
# A minute, and what it takes a busy machine to start something.
TICK_SECONDS_MAX = 75

PLANS = """
from datetime import datetime, timedelta

from flytekit import Annotations, CronSchedule, FixedRate, LaunchPlan, task, workflow


@task
def tell(at: datetime, x: int) -> str:
    return f"{at.isoformat()} {x}"


@workflow
def timed(at: datetime, x: int = 1) -> str:
    return tell(at=at, x=x)


@task
def double(x: int) -> int:
    return 2 * x


@workflow
def plain(x: int, y: int) -> int:
    return double(x=x)


open_plan = LaunchPlan.get_or_create(plain, "NAME.open", default_inputs={"y": 3})
fixed_plan = LaunchPlan.get_or_create(plain, "NAME.fixed", default_inputs={"x": 2}, fixed_inputs={"y": 3})
"""

CRON = """
LaunchPlan.get_or_create(
    timed, "NAME.cron", schedule=CronSchedule(schedule="SCHEDULE", kickoff_time_input_arg="at"), ARGUMENTS
)
"""

RATE = """
LaunchPlan.get_or_create(
    timed, "NAME.rate", schedule=FixedRate(duration=timedelta(SPAN), kickoff_time_input_arg="at"), ARGUMENTS
)
"""


class Plans:
    """Launch plans of one test alone, under a name of its own."""

    def __init__(self, server: Skein, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.name = unique("plans").replace("-", "_")
        self.pyflyte: Cli = command_lines.pyflyte(server, folder)

    def register(self, version: str, *more: str) -> command_lines.Answer:
        """Registers a version of them."""
        folder = self.folder / version
        folder.mkdir(exist_ok=True)
        text = (PLANS + "".join(more)).replace("NAME", self.name)
        (folder / f"{self.name}.py").write_text(text)
        return self.pyflyte.register(f"{self.name}.py", version=version, folder=folder)

    def turn(self, how: str, plan: str, *version: str) -> command_lines.Answer:
        """Activates or deactivates one, as a user does."""
        return self.pyflyte("launchplan", "-p", PROJECT, "-d", DOMAIN, how, f"{self.name}.{plan}", *version)

    def schedule_ls(self, plan: str = "") -> Any:
        """What `skein schedule ls` says in JSON; of one of them, or of all that there are."""
        words = [f"{self.name}.{plan}"] if plan else []
        return json.loads(skein(self.server, "schedule", "ls", "--json", *words))["schedules"]


def skein(server: Skein, *words: str) -> str:
    """What a command of the program prints."""
    done = subprocess.run(
        [str(binary()), *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(FLYTECTL_CONFIG=str(server.config)),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cron(schedule: str, arguments: str = "") -> str:
    """A launch plan with a cron schedule."""
    return CRON.replace("SCHEDULE", schedule).replace("ARGUMENTS", arguments)


def rate(span: str, arguments: str = "") -> str:
    """A launch plan with a fixed rate."""
    return RATE.replace("SPAN", span).replace("ARGUMENTS", arguments)


def active(client: Client, name: str) -> launch_plan_pb2.LaunchPlan:
    """The active version of a launch plan."""
    id = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=name)
    return client.admin.GetActiveLaunchPlan(launch_plan_pb2.ActiveLaunchPlanRequest(id=id))


def parsed(text: str) -> datetime:
    """A time that the server says."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.fixture
def plans(server: Skein, tmp_path: Path) -> Plans:
    """Launch plans on the server of the session."""
    return Plans(server, tmp_path)


def test_017_an_unknown_input_and_an_unknown_workflow_are_refused(client: Client, plans: Plans) -> None:
    """CreateLaunchPlan with an unknown input name is INVALID_ARGUMENT; with an unknown workflow NOT_FOUND."""
    plans.register("v1").expect_success()
    spec = launch_plan_pb2.LaunchPlanSpec(
        workflow_id=identifier("WORKFLOW", f"{plans.name}.plain", "v1"), fixed_inputs=integers(zz=1)
    )
    request = launch_plan_pb2.LaunchPlanCreateRequest(id=identifier("LAUNCH_PLAN", "bad", "v1"), spec=spec)
    status, told = refused(client.admin.CreateLaunchPlan, request)
    assert (status, told) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid input zz")
    request.spec.workflow_id.name = f"{plans.name}.nothing"
    status, told = refused(client.admin.CreateLaunchPlan, request)
    assert status == grpc.StatusCode.NOT_FOUND, told


def test_018_what_the_author_left_open_is_required(client: Client, plans: Plans) -> None:
    """`expected_inputs` lists as required what has neither default nor fixed value."""
    plans.register("v1").expect_success()

    def expected(plan: str) -> Any:
        id = identifier("LAUNCH_PLAN", f"{plans.name}.{plan}", "v1")
        return client.admin.GetLaunchPlan(common_pb2.ObjectGetRequest(id=id)).closure.expected_inputs.parameters

    assert expected("open")["x"].required and expected("open")["y"].default.scalar.primitive.integer == 3
    assert set(expected("fixed")) == {"x"}


def test_019_activating_a_version_deactivates_the_one_before(client: Client, plans: Plans) -> None:
    """`pyflyte launchplan --activate NAME V2` deactivates V1; GetActiveLaunchPlan answers V2."""
    plans.register("v1").expect_success()
    plans.register("v2").expect_success()
    name = f"{plans.name}.open"
    plans.turn("--activate", "open", "v1").expect_success()
    assert active(client, name).id.version == "v1"
    plans.turn("--activate", "open", "v2").expect_success()
    assert (active(client, name).id.version, active(client, name).closure.state) == ("v2", ACTIVE)
    before = client.remote.client.get_launch_plan(client.remote.fetch_launch_plan(name=name, version="v1").id)
    assert before.closure.state == INACTIVE


def test_020_without_an_active_version_there_is_none_and_the_newest_runs(client: Client, plans: Plans) -> None:
    """GetActiveLaunchPlan is NOT_FOUND, and `run remote-launchplan` takes the newest version."""
    plans.register("v1").expect_success()
    plans.register("v2").expect_success()
    plans.turn("--activate", "open", "v1").expect_success()
    plans.turn("--deactivate", "open", "v1").expect_success()
    id = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=f"{plans.name}.open")
    request = launch_plan_pb2.ActiveLaunchPlanRequest(id=id)
    status, told = refused(client.admin.GetActiveLaunchPlan, request)
    assert status == grpc.StatusCode.NOT_FOUND, told
    name = unique("newest")
    plans.pyflyte.run("--name", name, "remote-launchplan", f"{plans.name}.open", "--x", "4").expect_success()
    started = client.admin.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=execution_id(name)))
    assert started.spec.launch_plan.version == "v2"


def test_every_schedule_that_the_sdk_makes_is_taken_and_told(plans: Plans) -> None:
    """Aliases, fields and rates as flytekit sends them: `skein schedule ls` says what each means."""
    each = [
        (cron("@daily"), "cron", "@daily", timedelta(days=1)),
        (cron("hourly"), "cron", "hourly", timedelta(hours=1)),
        (cron("*/1 * * * *"), "cron", "*/1 * * * *", timedelta(minutes=1)),
        (cron("0 9 * * MON-FRI"), "cron", "0 9 * * MON-FRI", timedelta(days=4)),
        (rate("minutes=10"), "rate", "every 10 minutes", timedelta(minutes=10)),
        (rate("hours=2"), "rate", "every 2 hours", timedelta(hours=2)),
        (rate("days=1"), "rate", "every day", timedelta(days=1)),
    ]
    for number, (plan, kind, expression, longest) in enumerate(each):
        version = f"v{number}"
        plans.register(version, plan).expect_success()
        plans.turn("--activate", kind, version).expect_success()
        [listed] = plans.schedule_ls(kind)
        assert (listed["version"], listed["expression"], listed["last"]) == (version, expression, None)
        assert listed["time_zone"] == ("UTC" if kind == "cron" else None)
        assert timedelta() < parsed(listed["next"]) - parsed(listed["since"]) <= longest
    shown = skein(plans.server, "schedule", "ls", f"{plans.name}.rate").splitlines()
    assert shown[0].startswith(f"{PROJECT}/{DOMAIN}/{plans.name}.rate  version v6, active since ")
    assert shown[1] == "  every day, catch-up all"
    assert shown[3] == "  last  none yet"
    plans.turn("--deactivate", "rate", "v6").expect_success()
    plans.turn("--deactivate", "cron", "v3").expect_success()
    assert not plans.schedule_ls("rate") and not plans.schedule_ls("cron")
    assert skein(plans.server, "schedule", "ls", f"{plans.name}.rate") == "no launch plan with a schedule is active\n"


def test_a_launch_plan_that_activates_itself_says_its_time_zone_and_what_to_catch_up(plans: Plans) -> None:
    """`auto_activate`, and annotations that say what the SDK has no words for."""
    annotations = 'Annotations({"skein/time-zone": "Asia/Tokyo", "skein/catch-up": "last"})'
    plan = cron("0 9 * * *", f"auto_activate=True, annotations={annotations}")
    plans.register("v1", plan).expect_success()
    [listed] = plans.schedule_ls("cron")
    assert (listed["time_zone"], listed["catch_up"], listed["version"]) == ("Asia/Tokyo", "last", "v1")
    assert parsed(listed["next"]).astimezone(timezone.utc).hour == 0
    plans.turn("--deactivate", "cron", "v1").expect_success()


def test_a_backfill_is_made_of_the_times_of_the_schedule(client: Client, plans: Plans) -> None:
    """`pyflyte backfill` registers a workflow with a launch plan node for each time of a range."""
    plans.register("v1", cron("0 */6 * * *")).expect_success()
    window = ("--from-date", "2026-11-20", "--backfill-window", "1d", "--do-not-execute")
    version = unique("backfill")
    name = f"{plans.name}.cron"
    plans.pyflyte(
        "backfill", "-p", PROJECT, "-d", DOMAIN, *window, "--version", version, name, "v1"
    ).expect_success()
    listed = client.admin.ListWorkflows(list_request(100, f"eq(workflow.version,{version})")).workflows
    [found] = listed
    workflow = client.admin.GetWorkflow(common_pb2.ObjectGetRequest(id=found.id))
    template = workflow.closure.compiled_workflow.primary.template
    nodes = [node for node in template.nodes if node.HasField("workflow_node")]
    assert {node.workflow_node.launchplan_ref.name for node in nodes} == {name}
    given = [node.inputs[0].binding.scalar.primitive.datetime.ToDatetime() for node in nodes]
    assert sorted(given) == [datetime(2026, 11, 20) + timedelta(hours=6 * hour) for hour in range(1, 4)]


def test_101_a_schedule_that_leaves_an_input_open_is_refused(plans: Plans) -> None:
    """A launch plan with a schedule and an unbound required input is INVALID_ARGUMENT, named."""
    schedule = 'schedule=CronSchedule(schedule="@daily")'
    plan = f'LaunchPlan.get_or_create(plain, "NAME.left", {schedule}, default_inputs={{"y": 1}})\n'
    answer = plans.register("v1", plan)
    assert answer.status != 0
    assert 'a launch plan with a schedule needs a value for input "x"' in answer.output
    answer = plans.register("v2", cron("@daily").replace('"at"', '"when"'))
    assert answer.status != 0
    assert 'kickoff_time_input_arg is "when", and its workflow has no such input' in answer.output


def test_a_schedule_that_cannot_be_is_refused_with_what_would_be_right(client: Client, plans: Plans) -> None:
    """Dates that never come, zones that there are not and rates of nothing are INVALID_ARGUMENT."""
    plans.register("v1").expect_success()
    cron_schedule = schedule_pb2.CronSchedule
    each = [
        (schedule_pb2.Schedule(cron_schedule=cron_schedule(schedule="0 0 30 2 *")), "there is no such date"),
        (schedule_pb2.Schedule(cron_schedule=cron_schedule(schedule="CRON_TZ=Mars/Base @daily")), "Mars/Base"),
        (schedule_pb2.Schedule(rate=schedule_pb2.FixedRate(value=0, unit=schedule_pb2.MINUTE)), "rate.value is 0"),
        (schedule_pb2.Schedule(cron_schedule=cron_schedule(schedule="* * * * * *")), "five fields"),
    ]
    for schedule, expected in each:
        metadata = launch_plan_pb2.LaunchPlanMetadata(schedule=schedule)
        spec = launch_plan_pb2.LaunchPlanSpec(
            workflow_id=identifier("WORKFLOW", f"{plans.name}.plain", "v1"),
            entity_metadata=metadata,
            fixed_inputs=integers(x=1, y=1),
        )
        request = launch_plan_pb2.LaunchPlanCreateRequest(id=identifier("LAUNCH_PLAN", "bad", "v1"), spec=spec)
        status, told = refused(client.admin.CreateLaunchPlan, request)
        assert status == grpc.StatusCode.INVALID_ARGUMENT and expected in told, told


def test_102_fixed_inputs_stay_and_defaults_can_be_replaced(client: Client, plans: Plans) -> None:
    """A fixed input cannot be given at launch; a default one can."""
    plans.register("v1").expect_success()
    request = create_request(f"{plans.name}.fixed", integers(y=4), version="v1")
    status, told = refused(client.admin.CreateExecution, request)
    assert (status, told) == (grpc.StatusCode.INVALID_ARGUMENT, "invalid input y")
    plan = client.remote.fetch_launch_plan(name=f"{plans.name}.fixed", version="v1")
    execution = client.wait(client.remote.execute(plan, inputs={"x": 21}))
    assert execution.outputs["o0"] == 42
    assert client.wait(client.remote.execute(plan, inputs={})).outputs["o0"] == 4


def now() -> datetime:
    """The time, as executions say theirs."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def started(client: Client, plan: str) -> list[execution_pb2.Execution]:
    """What a schedule has started, in the order of its times."""
    found = client.admin.ListExecutions(list_request(100, f"eq(launch_plan.name,{plan})")).executions
    return sorted(found, key=lambda execution: execution.spec.metadata.scheduled_at.ToDatetime())


def minutes(executions: list[execution_pb2.Execution]) -> list[datetime]:
    """The times of executions."""
    return [execution.spec.metadata.scheduled_at.ToDatetime() for execution in executions]


@pytest.mark.skipif(not LONG, reason="waits for minutes to come: --long")
def test_098_to_100_ticks_come_at_the_minute_once_each_through_a_crash_until_it_is_deactivated(
    new_server: Callable[[], Skein], tmp_path: Path
) -> None:
    """Mode, `scheduled_at`, the kickoff input; none doubled or lost by a kill -9; none after a deactivation."""
    server = new_server()
    client, plans = Client(server), Plans(server, tmp_path)
    plans.register("v1", cron("*/1 * * * *")).expect_success()
    name = f"{plans.name}.cron"
    plans.turn("--activate", "cron", "v1").expect_success()
    [first] = until("the first tick", lambda: started(client, name), TICK_SECONDS_MAX)
    metadata = first.spec.metadata
    scheduled = metadata.scheduled_at.ToDatetime()
    assert metadata.mode == SCHEDULED
    assert (scheduled.second, scheduled.microsecond) == (0, 0)
    assert not metadata.principal, "nobody asked for it"
    done = client.wait(client.remote.fetch_execution(name=first.id.name))
    assert done.outputs["o0"] == f"{scheduled.replace(tzinfo=timezone.utc).isoformat()} 1"
    [listed] = plans.schedule_ls("cron")
    assert listed["last"]["execution"] == first.id.name
    assert parsed(listed["next"]).replace(tzinfo=None) == scheduled + timedelta(minutes=1)

    server.kill()
    until("the next minute", lambda: now() > scheduled + timedelta(seconds=65), TICK_SECONDS_MAX)
    server.start()
    client = Client(server)
    until("the tick that was missed", lambda: len(started(client, name)) == 2, 10)
    server.kill()
    server.start()
    client = Client(server)
    until("one more", lambda: len(started(client, name)) == 3, TICK_SECONDS_MAX)
    plans.turn("--deactivate", "cron", "v1").expect_success()
    expected = [scheduled + timedelta(minutes=minute) for minute in range(3)]
    assert minutes(started(client, name)) == expected
    after = now() + timedelta(seconds=65)
    until("a minute in which nothing comes", lambda: now() > after, TICK_SECONDS_MAX)
    assert minutes(started(client, name)) == expected
