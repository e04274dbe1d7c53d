"""Who is told of the end of an execution: by mail and by webhook, once, and until it is taken (contract 1.5, 8.2)."""

import json
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest
from flyteidl.admin import common_pb2, execution_pb2
from flytekit import WorkflowExecutionPhase
from flytekit.remote.executions import FlyteWorkflowExecution

from harness import cli as command_lines
from harness.cli import Cli
from harness.client import Client, create_request, integers, phase, refused, require_success, unique
from harness.poll import until
from harness.receivers import MailServer, Request, Webhook
from harness.server import Skein
from harness.settings import PROJECT_FOLDER, VERSION, binary, environment

SECONDS_MAX = 60

SETTINGS = """
[notifications]
tries = 3
link = "https://console.example/{{project}}/{{domain}}/{{name}}"

[notifications.email]
host = "127.0.0.1"
port = {mail}
tls = "none"
from = "Skein <skein@example.org>"
user = "skein"
password = {{ file = "password" }}

[[notifications.webhooks]]
name = "all"
url = "{url}/all"
headers = {{ Authorization = {{ env = "RECEIVER_TOKEN" }} }}

[[notifications.webhooks]]
name = "chat"
url = "{url}/chat"
format = "slack"
workflow = "telling.flows.*"
phases = ["FAILED"]

[[notifications.webhooks]]
name = "dead"
url = "{url}/dead"
launch_plan = "telling.told"
phases = ["FAILED"]

[[notifications.webhooks]]
name = "others"
url = "{url}/others"
domain = "production"
"""


class World:
    """A server with everybody whom it tells."""

    def __init__(self, folder: Path) -> None:
        self.webhook = Webhook().start()
        self.mail = MailServer(login=("skein", "wool"), refused="moved@example.org").start()
        (folder / "password").write_text("wool\n")
        (folder / "skein.toml").write_text(SETTINGS.format(url=self.webhook.url(""), mail=self.mail.port))
        self.server = Skein(
            folder, words=["--config", "skein.toml"], variables={"RECEIVER_TOKEN": "Bearer fleece"}
        ).start()
        self.pyflyte: Cli = command_lines.pyflyte(self.server, folder)
        self.pyflyte.register("telling", version=VERSION, folder=PROJECT_FOLDER).expect_success()
        self.client = Client(self.server)

    def run(self, plan: str, wool: int, **options: Any) -> FlyteWorkflowExecution:
        """Runs a launch plan to its end."""
        entity = self.client.remote.fetch_launch_plan(name=f"telling.{plan}", version=VERSION)
        execution = self.client.remote.execute(entity, inputs={"wool": wool}, **options)
        return self.client.wait(execution)

    def told(self, path: str, name: str, count: int = 1) -> list[Request]:
        """Waits until a receiver has been told of an execution as often as that."""
        return until(
            f"{count} requests of {name} at {path}",
            lambda: sent if len(sent := self.webhook.at(path, name)) >= count else None,
            SECONDS_MAX,
        )

    def notices(self, name: str, *words: str) -> dict[str, dict[str, Any]]:
        """What the server says of the notices of an execution, by where they go."""
        listed = json.loads(skein(self, "notifications", "ls", "--json", *words).stdout)["notices"]
        return {notice["channel"]: notice for notice in listed if f"/{name}/" in notice["id"]}

    def settled(self, name: str) -> dict[str, dict[str, Any]]:
        """Waits until no notice of an execution is to be sent any more."""
        return until(
            f"everybody to be told of {name}",
            lambda: found if (found := self.notices(name)) and all(n["state"] != "due" for n in found.values()) else None,
            SECONDS_MAX,
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server for all of them."""
    made = World(tmp_path_factory.mktemp("telling"))
    yield made
    made.server.end()
    made.webhook.end()
    made.mail.end()
    made.server.check()


def skein(world: World, *words: str) -> "subprocess.CompletedProcess[str]":
    """`skein`, which finds the server by the configuration that the server wrote."""
    return subprocess.run(
        [str(binary()), *words],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=environment(FLYTECTL_CONFIG=str(world.server.config)),
        check=False,
    )


def mails_to(recipient: str) -> execution_pb2.NotificationList:
    """What asks for mail to somebody of a failure."""
    email = common_pb2.EmailNotification(recipients_email=[recipient])
    one = common_pb2.Notification(phases=[WorkflowExecutionPhase.FAILED], email=email)
    return execution_pb2.NotificationList(notifications=[one])


def test_a_failure_is_told_to_whom_the_launch_plan_names_and_to_whom_the_settings_name(world: World) -> None:
    """Each once, with what it is about; one who is refused keeps it from nobody else."""
    world.webhook.statuses["/dead"] = [404]
    execution = world.run("told", 0)
    name = execution.id.name
    assert phase(execution) == "FAILED"
    notices = world.settled(name)
    states = {channel: (notice["state"], notice["tries"]) for channel, notice in notices.items()}
    assert states == {
        "email shepherd@example.org": ("sent", 1),
        "email moved@example.org": ("dead", 1),
        "slack flock@slack.example": ("sent", 1),
        "pager_duty night@pagerduty.example": ("sent", 1),
        "webhook all": ("sent", 1),
        "webhook chat": ("sent", 1),
        "webhook dead": ("dead", 1),
    }
    assert "no moved@example.org here" in notices["email moved@example.org"]["reason"]
    [mail] = [mail for mail in world.mail.to("shepherd@example.org") if name in mail.text]
    assert mail.subject == f"FAILED: flytesnacks/development/{name} (telling.flows.spinning)"
    assert mail.message["from"] == '"Skein" <skein@example.org>' or mail.message["from"] == "Skein <skein@example.org>"
    for part in ["no wool left", f"https://console.example/flytesnacks/development/{name}", "telling.told"]:
        assert part in mail.text
    assert world.mail.logins
    [request] = world.webhook.at("/all", name)
    assert request.headers["authorization"] == "Bearer fleece"
    assert request.headers["skein-notice-id"] == request.body["id"] == notices["webhook all"]["id"]
    assert request.body["execution"] == {"project": "flytesnacks", "domain": "development", "name": name}
    assert request.body["phase"] == "FAILED" and "no wool left" in request.body["error"]["message"]
    assert request.body["launch_plan"] == {"name": "telling.told", "version": VERSION}
    [chat] = world.webhook.at("/chat", name)
    assert list(chat.body) == ["text"] and f"*FAILED* <https://console.example/flytesnacks/development/{name}|" in chat.body["text"]
    assert not world.webhook.at("/others")
    shown = world.client.get(execution).closure.notifications
    assert [list(one.email.recipients_email or one.slack.recipients_email) for one in shown[:2]] == [
        ["shepherd@example.org", "moved@example.org"],
        ["flock@slack.example"],
    ]


def test_a_success_is_told_to_whom_asks_for_it_alone(world: World) -> None:
    """Who wants to know of failures hears nothing."""
    name = world.run("told", 1).id.name
    assert set(world.settled(name)) == {"slack flock@slack.example", "webhook all"}
    [request] = world.webhook.at("/all", name)
    assert request.body["phase"] == "SUCCEEDED" and request.body["error"] is None


def test_an_execution_that_another_one_launches_tells_whom_its_own_launch_plan_names(world: World) -> None:
    """Whoever the outer one's launch plan names hears of that alone."""
    execution = world.run("apart", 1)
    require_success(execution)
    nodes = world.client.nodes(execution)
    [child] = [n for node in nodes if (n := node.closure.workflow_node_metadata.executionId.name)]
    assert set(world.settled(child)) == {"slack flock@slack.example", "webhook all"}
    assert set(world.settled(execution.id.name)) == {"webhook all"}
    shown = json.loads(skein(world, "show", execution.id.name, "--json").stdout)["nodes"]
    inner = [node for node in shown if node["depth"] == 1]
    assert [node["parent"] for node in inner] == [node["id"] for node in shown if node["depth"] == 0][:1], shown


def test_an_execution_that_is_ended_by_somebody_says_why(world: World) -> None:
    """ABORTED is a phase as the others are."""
    entity = world.client.remote.fetch_launch_plan(name="telling.told", version=VERSION)
    name = unique("aborted")
    execution = world.client.remote.execute(entity, inputs={"wool": -1}, execution_name=name)
    world.client.remote.terminate(execution, "shearing is over")
    assert phase(world.client.wait(execution)) == "ABORTED"
    [request] = world.told("/all", name)
    assert (request.body["phase"], request.body["error"]["code"]) == ("ABORTED", "ABORTED")
    assert "shearing is over" in request.body["error"]["message"]


def test_what_the_request_names_counts_for_more_than_what_the_launch_plan_names(world: World) -> None:
    """The launch plan's list is replaced, not added to. The SDK's own client loses such a list on its way (it says beside it
    that notifications are not disabled, in the same place), so others send it."""
    request = create_request("telling.told", integers(wool=0))
    request.spec.notifications.CopyFrom(mails_to("mine@example.org"))
    name = world.client.admin.CreateExecution(request).id.name
    world.told("/all", name)
    mails = {channel for channel in world.settled(name) if not channel.startswith("webhook")}
    assert mails == {"email mine@example.org"}


def test_nobody_is_told_where_notifications_are_disabled(world: World) -> None:
    """`pyflyte run --disable-notifications`, neither by mail nor by webhook (checklist 103)."""
    name = unique("disabled")
    flags = ["--name", name, "--disable-notifications"]
    words = [*flags, "telling/flows.py", "spinning", "--wool", "0"]
    world.pyflyte.run(*words, folder=PROJECT_FOLDER).expect_success()
    execution = world.client.remote.fetch_execution(name=name)
    assert phase(world.client.wait(execution)) == "FAILED"
    after = world.run("quiet", 0).id.name
    world.settled(after)
    assert world.notices(name) == {} and not world.webhook.at("/all", name)


def test_a_receiver_that_fails_at_first_is_told_once_it_does_not(world: World) -> None:
    """Two tries fail, the third is taken, and there is no fourth."""
    world.webhook.statuses["/all"] = [500, 503]
    name = world.run("quiet", 1).id.name
    notice = world.settled(name)["webhook all"]
    assert (notice["state"], notice["tries"]) == ("sent", 3)
    assert len(world.webhook.at("/all", name)) == 3


def test_what_is_never_taken_is_given_up_listed_and_sent_again_when_asked(world: World) -> None:
    """Also by a server that was killed in between."""
    world.webhook.statuses["/dead"] = [500, 500, 500]
    name = world.run("told", 0).id.name
    notice = world.settled(name)["webhook dead"]
    assert (notice["state"], notice["tries"]) == ("dead", 3)
    assert notice["reason"] == "it answers 500 Internal Server Error"
    lines = skein(world, "notifications", "ls", "--dead").stdout.splitlines()
    [line] = [line for line in lines if line.startswith(notice["id"] + " ")]
    assert "to webhook dead  dead at " in line and line.endswith(", tried 3 times: it answers 500 Internal Server Error")
    world.server.kill()
    world.server.start()
    assert world.notices(name)["webhook dead"] == notice, "a restart changes nothing"
    said = skein(world, "notifications", "resend", notice["id"])
    assert said.stdout == f"{notice['id']} is sent again to webhook dead\n", said.stderr
    until("the notice to be taken", lambda: world.notices(name)["webhook dead"]["state"] == "sent", SECONDS_MAX)
    assert len(world.webhook.at("/dead", name)) == 4
    assert notice["id"] not in skein(world, "notifications", "ls", "--dead").stdout


def test_a_kill_between_end_and_notice_loses_none(world: World) -> None:
    """What was not taken when the server died is sent by the next."""
    world.webhook.statuses["/all"] = [500, 500]
    name = world.run("quiet", 1).id.name
    world.told("/all", name)
    world.server.kill()
    world.server.start()
    notice = world.settled(name)["webhook all"]
    assert notice["state"] == "sent"


def test_what_cannot_be_told_is_refused(world: World) -> None:
    """With the place, the value, and what would be right."""
    unknown = skein(world, "notifications", "resend", "absent/0")
    assert unknown.returncode == 2 and "there is no notice flytesnacks/development/absent/0" in unknown.stderr
    malformed = skein(world, "notifications", "resend", "absent")
    assert malformed.returncode == 2 and "NAME/NUMBER" in malformed.stderr
    request = create_request("telling.quiet", integers(wool=1))
    request.spec.notifications.CopyFrom(mails_to("nobody"))
    code, details = refused(world.client.admin.CreateExecution, request)
    assert code.name == "INVALID_ARGUMENT"
    assert details == 'notification 1: recipients_email has "nobody", which is no address of mail, such as a@example.org'
