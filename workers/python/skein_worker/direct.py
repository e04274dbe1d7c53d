"""Whether a task's function can be called directly: with plain values, and without the SDK's dispatch."""

from typing import Any, Dict, Optional

from flytekit.core import python_auto_container, type_engine
from flytekit.core.python_function_task import PythonFunctionTask

from skein_worker import plain

RESOLVER = "flytekit.core.python_auto_container.default_task_resolver"
# The task type of the plugin `flytekitplugins-skein`, which changes where a function runs and not how it is called.
_PLUGIN = "flytekitplugins.skein.task"


def obstacle(task: Any, shapes: Dict[str, str], output: Optional[str]) -> Optional[str]:
    """Answers why not, in words; none when it can. `shapes` and `output` are what was registered."""
    kind = type(task)
    if kind is not PythonFunctionTask and kind.__module__ != _PLUGIN:
        return "the task is not a plain function task"
    if type(task.task_resolver) is not type(python_auto_container.default_task_resolver):
        return "the task has a resolver of its own"
    if task.execution_mode != PythonFunctionTask.ExecutionBehavior.DEFAULT:
        return "the task is dynamic"
    if task.enable_deck:
        return "the task has a deck"
    interface = task.python_interface
    if {name: plain.shape_of(annotation) for name, annotation in interface.inputs.items()} != shapes:
        return "the inputs are declared otherwise than they were registered"
    outputs = [plain.shape_of(annotation) for annotation in interface.outputs.values()]
    if outputs != ([] if output is None else [output]) or interface.output_tuple_name:
        return "the output is declared otherwise than it was registered"
    if type_engine.TypeEngine.get_transformer(int) is not type_engine.IntTransformer:
        return "a plain type has a transformer of its own"
    return None
