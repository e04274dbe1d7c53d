"""Tasks and workflows of which a server's configuration file says how long they may take."""

from flytekit import task, workflow

from workflows import witness


def _at_gate(name: str) -> int:
    witness.note("reached", name)
    witness.pass_gate(name)
    return 1


@task
def has_its_turn(name: str) -> int:
    """Waits for its gate; only one of this and the next may."""
    return _at_gate(name)


@task
def waits_for_its_turn(name: str) -> int:
    """Waits for its gate."""
    return _at_gate(name)


@task(retries=3)
def takes_too_long(name: str) -> int:
    """Waits for its gate."""
    return _at_gate(name)


@task
def unlimited(name: str) -> int:
    """Waits for its gate."""
    return _at_gate(name)


@task(interruptible=True)
def on_spot(name: str) -> int:
    """Waits for its gate, where it can be interrupted."""
    return _at_gate(name)


@workflow
def whole(name: str) -> int:
    """One task, of an execution that is limited."""
    return unlimited(name=name)


@workflow
def interrupted(name: str) -> int:
    """One task, on capacity that can be taken away."""
    return on_spot(name=name)
