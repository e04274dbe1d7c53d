"""Tasks that ask for secrets. They answer digests: what a task gives away of a secret is in its outputs."""

import hashlib
import os
import threading
import time
from typing import Union

from flytekit import Secret, current_context, map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekitplugins.skein import Skein

from workflows import witness

TOKEN = Secret(group="skein", key="token", env_var="MY_TOKEN")
AS_FILE = Secret(group="Skein", key="Cert.pem", env_var="CERT", mount_requirement=Secret.MountType.FILE)

AT_IMPORT = os.environ.get("TOKEN_AT_IMPORT", "")
SEEN: list[str] = []


def digest(value: Union[str, bytes]) -> str:
    """What is told of a value."""
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()


def told() -> str:
    """The digest of what the SDK finds."""
    return digest(current_context().secrets.get(group="skein", key="token"))


@task(secret_requests=[TOKEN])
def by_sdk() -> str:
    """Asks the SDK."""
    return told()


@task(secret_requests=[TOKEN])
def by_variable() -> list[str]:
    """Looks into the variable that it chose, and into the one that has the key's name."""
    return [digest(os.environ["MY_TOKEN"]), digest(os.environ["_UNION_TOKEN"])]


@task(secret_requests=[AS_FILE])
def by_file() -> list[str]:
    """Reads the file by its variable and through the SDK; tells the path, and the modes of file and folder."""
    path = os.environ["CERT"]
    witness.note(path)
    secrets = current_context().secrets
    with open(path, "rb") as file:
        value = file.read()
    asked = secrets.get(group="Skein", key="Cert.pem", encode_mode="rb")
    modes = [oct(os.stat(place).st_mode & 0o777) for place in (path, os.path.dirname(path))]
    return [digest(value), digest(asked), *modes, path]


@task
def without() -> list[str]:
    """Tells which variables it has that a secret could be in."""
    return sorted(name for name in os.environ if name.startswith(("_UNION_", "MY_TOKEN", "CERT", "FLYTE_SECRETS")))


@task(secret_requests=[Secret(group="skein", key="token", env_var="TOKEN_AT_IMPORT")])
def at_import() -> str:
    """Tells what its module found when it was imported."""
    return digest(AT_IMPORT)


@task(secret_requests=[TOKEN], task_config=Skein(isolation="fresh"))
def fresh() -> str:
    """Asks in an interpreter of its own."""
    return told()


@task(secret_requests=[TOKEN], task_config=Skein(isolation="reuse"))
def reused() -> list[str]:
    """Tells its process, the secret, and what the process had of it after the attempt before."""
    before, known = list(SEEN), told()
    threading.Thread(target=look_until_it_is_gone, daemon=True).start()
    return [str(os.getpid()), known, *before]


def look_until_it_is_gone() -> None:
    """Notes that the environment of this process has no secret any more."""
    deadline = time.monotonic() + witness.GATE_SECONDS_MAX
    while time.monotonic() < deadline:
        if not any(name in os.environ for name in ("MY_TOKEN", "_UNION_TOKEN", "_UNION_SKEIN_TOKEN")):
            SEEN.append("gone")
            return
        time.sleep(0.001)


@task(secret_requests=[TOKEN], retries=2)
def flaky() -> str:
    """Fails once."""
    if os.environ["FLYTE_ATTEMPT_NUMBER"] == "0":
        raise FlyteRecoverableException("once more")
    return told()


@task(secret_requests=[TOKEN])
def item(value: int) -> str:
    """Asks for each item."""
    return f"{value} {digest(os.environ['MY_TOKEN'])}"


@workflow
def mapped(values: list[int]) -> list[str]:
    """A map of items that ask."""
    return map_task(item)(value=values)


@task(secret_requests=[TOKEN, AS_FILE])
def failing() -> str:
    """Fails, with a secret in its hands."""
    value = current_context().secrets.get(group="skein", key="token")
    if value:
        raise ValueError(f"of {len(value)} characters")
    return value


@task(secret_requests=[AS_FILE])
def waiting() -> str:
    """Holds a file until it is let go on."""
    witness.note(os.environ["CERT"])
    witness.pass_gate("go")
    with open(os.environ["CERT"], "rb") as file:
        return digest(file.read())


@task(secret_requests=[Secret(group="skein", key="not-there")])
def absent() -> str:
    """Asks for what nobody made."""
    witness.note("ran")
    return "it ran"


@task(secret_requests=[Secret(group="skein", key="binary", mount_requirement=Secret.MountType.ENV_VAR)])
def binary_variable() -> str:
    """Asks for bytes as text."""
    return "it ran"


@task(secret_requests=[Secret(group="skein", key="binary", mount_requirement=Secret.MountType.FILE)])
def binary_file() -> str:
    """Asks for bytes as a file."""
    return digest(current_context().secrets.get(group="skein", key="binary", encode_mode="rb"))


@task(secret_requests=[Secret(group="skein", key="long", mount_requirement=Secret.MountType.ENV_VAR)])
def long_variable() -> str:
    """Asks for more than a variable holds."""
    return "it ran"


@task(secret_requests=[Secret(group="skein", key="long", mount_requirement=Secret.MountType.FILE)])
def long_file() -> str:
    """Asks for the same as a file."""
    return digest(current_context().secrets.get(group="skein", key="long"))
