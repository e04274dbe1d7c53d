"""Runs modules in flytekit's local execution: one line of JSON in, one out; each in a forked process.

flytekit 1.16 forgets, after a branch in a workflow that is called from a branch, that it is in a case that holds, and runs
nothing of what comes after it there. A branch has a state of its own here, as it has where it is not in another.
"""

import contextlib
import importlib.util
import json
import os
import sys
import traceback
from typing import Any

from flytekit.core.context_manager import BranchEvalMode, FlyteContext

enter = FlyteContext.Builder.enter_conditional_section


def enter_with_own_state(builder: Any) -> Any:
    """Begins a branch where it is to be run as one that is in no other."""
    state = builder.execution_state
    if state and state.is_local_execution() and state.branch_eval_mode != BranchEvalMode.BRANCH_SKIPPED:
        builder.in_a_condition = False
    return enter(builder)


FlyteContext.Builder.enter_conditional_section = enter_with_own_state


def run(path: str, flow: str, a: int, b: int) -> dict[str, Any]:
    """Imports the module and calls the workflow."""
    try:
        spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
        assert spec and spec.loader, path
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return {"value": getattr(module, flow)(a=a, b=b)}
    except BaseException as error:
        traceback.print_exc()
        return {"failed": str(error)}


for line in sys.stdin:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.redirect_stdout(sys.stderr):
            answer = run(**json.loads(line))
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    print(text, flush=True)
