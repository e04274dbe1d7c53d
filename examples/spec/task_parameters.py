"""The user guide's parameters of tasks: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-parameters"""

import union
from flytekit import LaunchPlan


@union.task(enable_deck=True)
def my_task(my_str: str):
    """Has a deck, which shows its inputs and where its time went."""
    print(f"hello {my_str}")


@union.workflow
def workflow0():
    """Is launched by the plan below."""
    my_task(my_str="from a launch plan")


launchplan0 = LaunchPlan.get_or_create(workflow0)


@union.dynamic(node_dependency_hints=[launchplan0])
def launch_dynamically():
    """Names the plan only while it runs; the hint has it registered beforehand."""
    return [launchplan0] * 10
