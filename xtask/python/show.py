"""Prints what executions ended in: phase, time, outputs and address, each read through the SDK."""

import sys
from datetime import datetime, timedelta
from typing import Any

from flytekit.configuration import Config
from flytekit.models.core.execution import WorkflowExecutionPhase
from flytekit.remote import FlyteRemote

ELEMENTS_SHOWN = 10


def readable(value: Any) -> str:
    """A value on one line; of a long list its size and its beginning."""
    if isinstance(value, list) and len(value) > ELEMENTS_SHOWN:
        shown = ", ".join(readable(element) for element in value[:ELEMENTS_SHOWN])
        counted = f", {sum(value)} of them true" if all(isinstance(element, bool) for element in value) else ""
        return f"[{shown}, …] ({len(value)} elements{counted})"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return getattr(value, "remote_source", None) or repr(value)


def show(remote: FlyteRemote, name: str) -> None:
    """Prints one execution."""
    execution = remote.sync_execution(remote.fetch_execution(name=name))
    phase = WorkflowExecutionPhase.enum_to_string(execution.closure.phase)
    seconds = execution.closure.duration.total_seconds()
    print(f"\n{name}: {phase} after {seconds:.2f} s")
    print(f"  {remote.generate_console_url(execution)}")
    if phase != "SUCCEEDED":
        print(f"  {execution.error.message if execution.error else 'no outputs'}")
        return
    outputs = execution.outputs
    for variable in sorted(outputs.literals):
        print(f"  {variable} = {readable(outputs.get(variable))}")


def main() -> None:
    """Shows the executions that were named."""
    remote = FlyteRemote(Config.auto(), default_project="flytesnacks", default_domain="development")
    for name in sys.argv[1:]:
        show(remote, name)


main()
