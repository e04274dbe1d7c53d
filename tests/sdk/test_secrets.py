"""Secrets: made with union's own command line, given to the tasks that ask, and nowhere else."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import pytest

from harness import cli as command_lines
from harness.cli import Cli
from harness.client import Client, phase, require_success
from harness.nats import Nats
from harness.poll import until
from harness.server import Skein
from harness.settings import DOMAIN, PACKAGE, PROJECT, PROJECT_FOLDER, VERSION, binary, environment
from harness.witness import Witness
from harness.worker import Worker

VALUE = "correct-horse-battery-staple-93164"
CERT = b"-----BEGIN CERTIFICATE-----\nrUzd-LCuVtN-not-for-your-eyes\n"
BYTES = bytes(range(255, 0, -1))
LONG = "0123456789abcdef" * 16_384
SECRET_BYTES_MAX = 512 * 1024
MODULE = f"{PACKAGE}/secretive.py"
MEMORY = Path("/dev/shm")
COMMAND_SECONDS_MAX = 60


def digest(value: "str | bytes") -> str:
    """What a task tells of a value."""
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()


def field(number: int, value: "bytes | str") -> bytes:
    """A field of a message, as protobuf writes it: flytekit has no messages of union's."""
    value = value.encode() if isinstance(value, str) else value
    rest, length = len(value), b""
    while rest > 127:
        length += bytes([rest & 127 | 128])
        rest >>= 7
    return bytes([number << 3 | 2]) + length + bytes([rest]) + value


class House:
    """A server, a client of it that knows the tasks that ask for secrets, and union's command line."""

    def __init__(self, folder: Path, words: "tuple[str, ...]" = (), **variables: str) -> None:
        self.folder = folder
        server = folder / "server"
        server.mkdir()
        self.server = Skein(server, words=words, variables=variables).start()
        pyflyte = command_lines.pyflyte(self.server, folder)
        pyflyte.register(MODULE, version=VERSION, folder=PROJECT_FOLDER).expect_success()
        self.client = Client(self.server)
        self.union: Cli = command_lines.union(self.server, folder)

    def call(self, method: str, name: str, value: "bytes | str" = b"", project: str = "", domain: str = "") -> None:
        """Calls the service as union's command line does, in a hundredth of the time."""
        kind = 1 if isinstance(value, str) else 2
        id = field(1, field(1, name) + field(3, domain) + field(4, project))
        request = id if method == "DeleteSecret" else id + field(2, field(kind, value))
        call = self.client.channel.unary_unary(f"/cloudidl.secret.SecretService/{method}")
        call(request, timeout=COMMAND_SECONDS_MAX)

    def create(self, name: str, value: "bytes | str", **scope: str) -> None:
        """Makes a secret."""
        self.call("CreateSecret", name, value, **scope)

    def create_all(self) -> None:
        """Makes those that the tasks ask for."""
        self.create("token", VALUE)
        self.create("Cert.pem", CERT)

    def told(self, name: str, **options: Any) -> Any:
        """What a task answers."""
        return self.client.outputs(f"secretive.{name}", task=True, **options)["o0"]

    def error(self, name: str, **options: Any) -> Any:
        """The error of a task that must fail, and how often it was tried."""
        execution = self.client.finish(f"secretive.{name}", task=True, **options)
        assert phase(execution) == "FAILED"
        return execution.error, len(self.client.attempts(execution))

    def again(self) -> None:
        """Starts the server again."""
        self.server.start()
        self.client = Client(self.server)

    def skein(self, *words: str) -> str:
        """What a command for people prints."""
        done = subprocess.run(
            [str(binary()), *words, "--server", self.server.url],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            env=environment(),
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def new_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., House]]:
    """Makes servers of this test alone."""
    made: list[House] = []

    def make(words: "tuple[str, ...]" = (), **variables: str) -> House:
        made.append(House(tmp_path_factory.mktemp("secrets"), words, **variables))
        return made[-1]

    yield make
    for house in made:
        house.server.end()
        house.server.check()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server with the secrets that the tasks ask for."""
    made = House(tmp_path_factory.mktemp("secrets"))
    made.create_all()
    made.create("binary", BYTES)
    made.create("long", LONG)
    yield made
    made.server.end()
    made.server.check()


def test_038_the_command_line_of_union_makes_lists_and_removes_secrets(union: Cli) -> None:
    """A second creation says that it is there; what is not there cannot be updated or removed."""
    assert "No secrets found" in union("get", "secret").expect_success().output
    create = ("create", "secret", "--name", "k", "--value")
    assert "Created secret with name: k" in union(*create, "v").expect_success().output
    listed = union("get", "secret").expect_success().output.split()
    assert {"k", "-", "GENERIC"} <= set(listed)
    again = union(*create, "w")
    assert again.status != 0 and "already exists" in again.output
    union("update", "secret", "--name", "k", "--value", "w").expect_success()
    assert "Deleted secret with name: k" in union("delete", "secret", "--name", "k").expect_success().output
    assert "No secrets found" in union("get", "secret").expect_success().output
    gone = union("delete", "secret", "--name", "k")
    assert gone.status != 0 and "there is no secret k of the organization" in gone.output, gone.output


def test_a_list_of_many_secrets_has_them_all_or_those_of_the_scope_that_is_named(house: House) -> None:
    """The command line reads page after page."""
    many = {f"many{number}" for number in range(22)}
    for name in many:
        house.create(name, "v")
    house.create("narrow", "v", project=PROJECT, domain=DOMAIN)
    house.create("middle", "v", domain=DOMAIN)

    def named(*scope: str) -> "set[str]":
        words = set(house.union("get", "secret", *scope).expect_success().output.split())
        return words & {*many, "narrow", "middle"}

    assert named() == {*many, "narrow", "middle"}
    assert named("--project", PROJECT, "--domain", DOMAIN) == {"narrow"}
    assert named("--domain", DOMAIN) == {"narrow", "middle"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--name", "a/b", "--value", "v"), "name \"a/b\" holds '/'; use letters, digits, dots, dashes and underscores"),
        (("--name", "k", "--value", "v", "--project", PROJECT), f'id has project "{PROJECT}" and no domain'),
        (("--name", "k", "--value", "v", "--domain", "nowhere"), "domain [nowhere] is unrecognized"),
        (("--name", "k", "--value-file", "empty"), "the value of secret_spec is empty"),
        (("--name", "k", "--value-file", "long"), f"has {1 << 20} bytes, the limit is {SECRET_BYTES_MAX}"),
    ],
)
def test_what_cannot_be_a_secret_is_refused_by_field_and_value(
    house: House, tmp_path: Path, words: "tuple[str, ...]", message: str
) -> None:
    """Names, scopes and values; nothing is made."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "long").write_bytes(b"x" * (1 << 20))
    before = house.skein("secrets", "ls")
    refused = house.union("create", "secret", *words, folder=tmp_path)
    assert refused.status != 0 and message in refused.output, refused.output
    assert house.skein("secrets", "ls") == before


def test_056_a_secret_is_found_by_the_sdk_and_in_the_variable_that_the_task_chose(house: House) -> None:
    """In a forked child, in an interpreter of its own, in the items of a map, when it is tried again, and at import."""
    expected = digest(VALUE)
    assert house.told("by_sdk") == expected
    assert house.told("by_variable") == [expected, expected]
    assert house.told("fresh") == expected
    assert house.told("flaky") == expected
    assert house.told("at_import") == expected
    items = house.client.outputs("secretive.mapped", {"values": list(range(40))})["o0"]
    assert items == [f"{number} {expected}" for number in range(40)]


def test_057_a_file_is_at_the_path_that_the_sdk_is_told_for_its_user_alone_and_goes_with_the_attempt(
    house: House, witness: Witness
) -> None:
    """By the task's own variable it is the same file."""
    by_variable, by_sdk, file_mode, folder_mode, path = house.told("by_file", envs=witness.variables)
    assert (by_variable, by_sdk) == (digest(CERT), digest(CERT.strip()))
    assert (file_mode, folder_mode) == ("0o600", "0o700")
    until("the file is gone", lambda: not Path(path).parent.exists())


def test_a_task_gets_no_secret_that_it_does_not_ask_for(house: House) -> None:
    """Nor does it get the variables that say where secrets are."""
    house.told("by_sdk")
    assert house.told("without") == []


def test_a_process_that_runs_one_attempt_after_another_has_no_secret_between_them(house: House) -> None:
    """A thread that an attempt leaves behind sees how it goes."""
    seen: dict[str, list[list[str]]] = {}

    def has_come_back() -> bool:
        process, known, *before = house.told("reused")
        assert known == digest(VALUE)
        seen.setdefault(process, []).append(before)
        return len(seen[process]) > 1

    until("an attempt in a process that had one before", has_come_back)
    assert any(before and set(before) == {"gone"} for tries in seen.values() for before in tries[1:])


def test_039_narrower_scopes_shadow_wider_ones_and_an_update_reaches_the_next_attempt(house: House) -> None:
    """Project and domain before the domain before the organization; made with union's command line."""
    own, create = ("--project", PROJECT, "--domain", DOMAIN), ("create", "secret", "--name", "token", "--value")
    assert house.told("by_sdk") == digest(VALUE)
    house.create("token", "elsewhere", project=PROJECT, domain="staging")
    house.union(*create, "middle", "--domain", DOMAIN).expect_success()
    assert house.told("by_sdk") == digest("middle")
    house.union(*create, "narrow", *own).expect_success()
    assert house.told("by_sdk") == digest("narrow")
    house.union("update", "secret", "--name", "token", "--value", "changed", *own).expect_success()
    assert house.told("by_sdk") == digest("changed")
    house.union("delete", "secret", "--name", "token", *own).expect_success()
    assert house.told("by_sdk") == digest("middle")
    house.call("DeleteSecret", "token", domain=DOMAIN)
    assert house.told("by_sdk") == digest(VALUE)


def test_a_secret_that_is_not_there_fails_the_attempt_before_user_code_runs(house: House, witness: Witness) -> None:
    """Once, charged to the task, with key, group, and where it was looked for."""
    error, tries = house.error("absent", envs=witness.variables)
    assert (error.code, tries) == ("SecretNotFound", 1)
    assert 'task workflows.secretive.absent asks for the secret "not-there" (group "skein"), which is not there' in error.message
    assert f"looked for in project {PROJECT} and domain {DOMAIN}, then in domain {DOMAIN}, then in the organization" in error.message
    assert witness.lines() == []


def test_what_cannot_be_a_variable_is_a_file_or_refused_with_what_to_do(house: House) -> None:
    """Bytes that are no text, and a text that is too long for a variable."""
    assert house.told("binary_file") == digest(BYTES.strip())
    assert house.told("long_file") == digest(LONG)
    for name, why in (("binary", "it is not text in UTF-8"), ("long", f"it has {len(LONG)} bytes, and a variable holds")):
        error, tries = house.error(f"{name}_variable")
        assert (error.code, tries) == ("SecretUnusable", 1)
        assert why in error.message and "Secret.MountType.FILE" in error.message


def files_with(value: bytes, *folders: Path) -> list[Path]:
    """The files below folders that hold a value."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    assert files, "there is something to look at"
    return [file for file in files if value in file.read_bytes()]


def in_memory(house: House) -> list[Path]:
    """The folders with secrets that processes of a server have in memory."""
    link = house.server.data / "scratch" / "secrets"
    return [link.readlink()] if link.is_symlink() and link.readlink().exists() else []


def test_nothing_that_a_run_leaves_behind_has_a_secret_in_it(new_house: Callable[..., House], tmp_path: Path) -> None:
    """Not the log and the views with all their files, the values, scratch, or what the server says when it says all; after
    successes, failures, a kill -9 in the middle of an attempt, a rotation, and an end."""
    house = new_house(SKEIN_LOG="trace")
    house.create_all()
    for name in ("by_sdk", "by_variable", "fresh", "flaky"):
        house.told(name)
    house.client.outputs("secretive.mapped", {"values": list(range(40))})
    house.error("failing")
    witness = Witness(tmp_path)
    house.told("by_file", envs=witness.variables)
    execution = house.client.start("secretive.waiting", task=True, envs=witness.variables)
    until("the attempt that is to be killed has begun", lambda: len(witness.lines()) == 2)
    house.server.kill()
    assert all(files_with(value, house.server.folder) == [] for value in (VALUE.encode(), CERT, CERT.strip()))
    held = Path(witness.lines()[1][0])
    assert held.is_relative_to(MEMORY) == MEMORY.exists()
    house.again()
    assert not held.exists(), "the next start removes what a killed one left"
    witness.open("go")
    execution = house.client.wait(house.client.remote.fetch_execution(name=execution.id.name))
    require_success(execution)
    assert execution.outputs["o0"] == digest(CERT)
    house.skein("secrets", "rotate")
    house.told("by_sdk")
    assert house.server.stop() == 0
    assert in_memory(house) == []
    for value in (VALUE.encode(), CERT, CERT.strip(), CERT[28:-1]):
        assert files_with(value, house.server.folder) == []
        assert value.decode(errors="replace") not in "".join(house.server.printed)


def test_a_restart_keeps_secrets_and_a_wrong_key_is_refused_by_its_setting(new_house: Callable[..., House]) -> None:
    """Nothing is lost by it: with the right key the server goes on."""
    house = new_house()
    house.create_all()
    house.server.kill()
    house.again()
    assert house.told("by_sdk") == digest(VALUE)
    assert house.server.stop() == 0
    key = house.server.data / "secrets.key"
    assert oct(key.stat().st_mode & 0o777) == "0o600"

    def refused(*words: str, **variables: str) -> str:
        command = [str(binary()), "up", "--data", str(house.server.data), "--listen", "127.0.0.1:0", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, env=environment(**variables), check=False
        )
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    other = "ab" * 32
    said = refused(SKEIN_SECRETS_KEY=other)
    assert "the variable SKEIN_SECRETS_KEY has" in said and "nothing was changed" in said and other not in said
    assert "SKEIN_SECRETS_KEY holds no key for secrets: word 1" in refused(SKEIN_SECRETS_KEY="hunter2")
    assert "--secrets-key-command did not print the key" in refused("--secrets-key-command", "exit 3")
    twice = refused("--secrets-key-file", str(key), SKEIN_SECRETS_KEY=other)
    assert "said twice" in twice and "--secrets-key-file" in twice and "SKEIN_SECRETS_KEY" in twice
    key.chmod(0o644)
    said = refused()
    assert f"can be read by others (mode 644): say chmod 600 {key}" in said
    key.chmod(0o600)
    kept = key.rename(key.with_name("elsewhere.key"))
    assert f"which was in the file {key}, and that is gone: put it back" in refused()
    assert not key.exists()
    house.server.words = ("--secrets-key-command", f"cat {kept}")
    house.again()
    assert house.told("by_sdk") == digest(VALUE)


def test_a_rotation_encrypts_all_by_a_new_key_while_the_server_runs(new_house: Callable[..., House]) -> None:
    """The old key is gone then, and another start needs the new one."""
    house = new_house()
    house.create_all()
    house.create("other", VALUE, project=PROJECT, domain=DOMAIN)
    key = house.server.data / "secrets.key"
    before = key.read_text()
    listed = house.skein("secrets", "ls")
    old = listed.split()[-1]
    assert listed.count(old) == 3 and VALUE not in listed
    told = house.skein("secrets", "rotate")
    assert told.startswith("3 secrets are encrypted by the key ") and f"the key {old} is gone" in told
    listed = house.skein("secrets", "ls")
    assert old not in listed and listed.count(listed.split()[-1]) == 3
    assert key.read_text() != before and oct(key.stat().st_mode & 0o777) == "0o600"
    assert house.told("by_sdk") == digest(VALUE)
    house.server.kill()
    house.again()
    assert house.told("by_sdk") == digest(VALUE)


def test_a_worker_apart_needs_the_key_and_says_so_when_it_has_none(tmp_path: Path) -> None:
    """With the key, and after a rotation, it reads the same log."""
    nats = Nats(tmp_path / "nats").start()
    house: Optional[House] = None
    workers: list[Worker] = []
    try:
        house = House(tmp_path, ("--log", nats.url, "--no-workers"))
        house.create_all()
        workers.append(Worker(tmp_path / "without", nats.url).ready())
        assert "no key: tasks that ask for secrets fail here" in workers[0].printed()
        error, _ = house.error("by_sdk")
        assert "this process has no key for secrets" in error.message
        workers[0].stop()
        key = house.server.data / "secrets.key"
        workers.append(Worker(tmp_path / "with", nats.url, "--secrets-key-file", str(key)).ready())
        assert house.told("by_sdk") == digest(VALUE)
        house.skein("secrets", "rotate")
        assert house.told("by_sdk") == digest(VALUE)
        for value in (VALUE.encode(), CERT):
            assert files_with(value, house.server.folder, tmp_path / "nats", tmp_path / "with") == []
    finally:
        for worker in workers:
            worker.stop()
        if house is not None:
            house.server.end()
        nats.kill()
