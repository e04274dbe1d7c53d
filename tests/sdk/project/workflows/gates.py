"""Workflows that stop where a test wants them to."""

from dataclasses import dataclass

from flytekit import task, workflow

from workflows import witness


@dataclass
class Passed:
    """A value that is more than a plain one."""

    name: str
    times: int


@task
def at_gate(name: str) -> int:
    """Leaves a line, waits for its gate, and leaves another."""
    witness.note("reached", name)
    witness.pass_gate(name)
    witness.note("passed", name)
    return 1


@task
def at_gate_for_record(name: str) -> Passed:
    """Does the same, and gives a dataclass."""
    witness.note("reached", name)
    witness.pass_gate(name)
    witness.note("passed", name)
    return Passed(name=name, times=1)


@task
def before(value: int) -> int:
    """Leaves a line."""
    witness.note("before", value)
    return value


@task
def after(value: int, passed: int) -> int:
    """Leaves a line."""
    witness.note("after", value)
    return value + passed


@workflow
def waits(name: str) -> int:
    """One task at a gate."""
    return at_gate(name=name)


@workflow
def waits_in_the_middle(name: str, value: int) -> int:
    """A task, then one at a gate, then another."""
    first = before(value=value)
    passed = at_gate(name=name)
    first.ref.node >> passed.ref.node
    return after(value=first, passed=passed)


@workflow
def waits_for_record(name: str) -> Passed:
    """One task at a gate that gives a dataclass."""
    return at_gate_for_record(name=name)
