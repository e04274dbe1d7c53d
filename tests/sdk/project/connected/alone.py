"""A task of a type that no connector of the tests does."""

from flytekit.core.base_task import PythonTask
from flytekit.core.interface import Interface

nobodys = PythonTask(
    task_type="nobodys", name="connected.alone.nobodys", task_config=None, interface=Interface(inputs={"x": int})
)
