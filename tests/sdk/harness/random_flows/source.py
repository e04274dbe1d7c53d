"""Writes a random workflow as a module of flytekit."""

from harness.random_flows.generator import LISTS, PARTS, is_number
from harness.random_flows.program import RETRIES, Flow, Operand, Program, Step, Test, Use

PRELUDE = f'''\
import functools
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Optional

from flytekit import LaunchPlan, WorkflowFailurePolicy, conditional, dynamic, map_task, sleep, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.error.error import FlyteError

BELOW = 1009
RETRIES = {RETRIES}


@dataclass
class Inner:
    number: int


@dataclass
class Pack:
    number: int
    some: list[int]
    named: dict[str, int]
    inner: Inner


@task
def add(x: int, y: int) -> int:
    return (x + y) % BELOW


@task
def multiply(x: int, y: int) -> int:
    return x * y % BELOW


@task
def raises(x: int, label: str) -> int:
    if label:
        raise ValueError(label)
    return x


@task(retries=RETRIES)
def again(x: int, label: str, times: int) -> int:
    # Locally there is one try, which stands for all of them.
    attempt = int(os.environ.get("FLYTE_ATTEMPT_NUMBER", RETRIES))
    if attempt < times:
        raise FlyteRecoverableException(label)
    return x


@task
def picky(x: int, label: str) -> int:
    if x % 2:
        raise ValueError(label)
    return x


@task
def upto(x: int, y: int) -> list[int]:
    return [(each + y) % BELOW for each in range(x % 5)]


@task
def three(x: int, y: int) -> list[int]:
    return [x, y, (x + y) % BELOW]


@task
def named(x: int, y: int) -> dict[str, int]:
    return {{"one": x, "two": y}}


@task
def pack(x: int, y: int) -> Pack:
    return Pack(x, [y, (x + y) % BELOW], {{"one": x}}, Inner(y))


@task
def square(x: int) -> int:
    return x * x % BELOW


@task
def total(xs: list[int]) -> int:
    return sum(xs) % BELOW


@task
def total_of_some(xs: list[Optional[int]]) -> int:
    return sum(1 if x is None else x for x in xs) % BELOW


@task
def clean(a: int, b: int, err: Optional[FlyteError] = None) -> int:
    return a + b
'''


def source(program: Program, module: str) -> str:
    """The whole module, as it is called when it is registered."""
    cleaning = frozenset(flow.name for flow in program.flows if flow.cleans)
    return "\n\n\n".join([PRELUDE.rstrip(), *(_Writer(flow, module, cleaning).text() for flow in program.flows)]) + "\n"


def own_source(program: Program) -> str:
    """What is this program's own, for somebody to read."""
    return source(program, "module")[len(PRELUDE) :].strip()


class _Writer:
    def __init__(self, flow: Flow, module: str, cleaning: frozenset[str]) -> None:
        self.flow = flow
        self.module = module
        self.cleaning = cleaning
        self.kinds: dict[str, Step] = {}

    def text(self) -> str:
        flow = self.flow
        words = [
            *(["failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE"] if flow.patient else []),
            *(["on_failure=clean"] if flow.cleans else []),
        ]
        decorator = f"@{flow.kind}({', '.join(words)})" if words else f"@{flow.kind}"
        # A dynamic task is given values, which no branch can go by.
        first = "p = add(x=a, y=b)" if flow.kind == "dynamic" else "p = a"
        lines = [decorator, f"def {flow.name}(a: int, b: int) -> int:", f"    {first}"]
        for step in flow.steps:
            lines += [f"    {line}" for line in self.lines(step)]
            if step.after in self.kinds:
                lines.append(f"    {step.after} >> {step.name}")
            self.kinds[step.name] = step
        numbers = [step.name for step in flow.steps if is_number(step)]
        lists = [f"total(xs={step.name})" for step in flow.steps if step.kind in LISTS]
        lines.append(f"    return total(xs=[{', '.join(['p', *numbers, *lists])}])")
        if flow.kind == "workflow":
            plan = f'{flow.name}_plan = LaunchPlan.get_or_create({flow.name}, name="{self.module}.{flow.name}_plan")'
            lines += ["", "", plan]
        return "\n".join(lines)

    def lines(self, step: Step) -> list[str]:
        if step.kind == "picky":
            each = f'functools.partial(picky, label="{step.label}")'
            mapped = f"map_task({each}, min_success_ratio={step.number / 100})(x={self.listed(step)})"
            return [f"{step.name}_some = {mapped}", f"{step.name} = total_of_some(xs={step.name}_some)"]
        if step.kind == "square_sum":
            return [f"{step.name} = total(xs=map_task(square)(x={self.listed(step)}))"]
        return [f"{step.name} = {self.call(step)}"]

    def call(self, step: Step) -> str:
        kind = step.kind
        if kind == "branch":
            return self.branch(step)
        if kind == "sleep":
            return f"sleep(timedelta(milliseconds={step.number}))"
        if kind == "total":
            return f"total(xs=[{', '.join(map(self.operand, step.args))}])"
        if kind == "square_all":
            return f"map_task(square)(x={self.listed(step)})"
        args = step.args[-2:]
        if kind in ("sub", "plan"):
            args = tuple(Use("p") if self.is_not_given(arg, step.callee) else arg for arg in args)
        x, y = map(self.operand, args)
        if kind == "add_all":
            return f"map_task(functools.partial(add, y={y}))(x={self.listed(step)})"
        if kind == "again_all":
            each = f'functools.partial(again, label="{step.label}", times={step.number})'
            return f"map_task({each})(x={self.listed(step)})"
        if kind == "loop":
            return f"total(xs=[add(x=each, y={y}) for each in range(a % 4)])"
        if kind == "raises":
            return f'raises(x={x}, label="{step.label}")'
        if kind == "again":
            return f'again(x={x}, label="{step.label}", times={step.number})'
        if kind in ("sub", "dynamic"):
            return f"{step.callee}(a={x}, b={y})"
        if kind == "plan":
            return f"{step.callee}_plan(a={x}, b={y})"
        return f"{kind}(x={x}, y={y})"

    def is_not_given(self, arg: Operand, callee: str) -> bool:
        """Whether a workflow is not given this, as flytekit's local execution cannot: a part of a data class, by which no branch in it
        can go, or any part if it has a failure node, for which the part is taken twice."""
        if isinstance(arg, int) or not arg.path or arg.name not in self.kinds:
            return False
        return self.kinds[arg.name].kind == "pack" or callee in self.cleaning

    def branch(self, step: Step) -> str:
        words = [f'conditional("{step.name or f"c{step.number}"}")']
        for place, case in enumerate(step.cases):
            if case.test:
                words.append(f"{'elif_' if place else 'if_'}({self.test(case.test)})")
            else:
                words.append("else_()")
            words.append(f"then({self.call(case.then)})" if case.then else f'fail("{case.label}")')
        return ".".join(words)

    def test(self, test: Test) -> str:
        left = self.operand(Use(test.left.name) if test.left.name in self.kinds else Use("p"))
        one = f"({left} {test.operator} {self.operand(test.right)})"
        return f"{one} {test.joined} {self.test(test.other)}" if test.other else one

    def operand(self, operand: Operand) -> str:
        if isinstance(operand, int):
            return str(operand)
        step = self.kinds.get(operand.name)
        if operand.name in ("a", "b"):
            return operand.name
        usable = step is not None and (operand.path in PARTS.get(step.kind, ()) if operand.path else is_number(step))
        return f"{operand.name}{operand.path}" if usable else "p"

    def listed(self, step: Step) -> str:
        name = step.args[0].name if isinstance(step.args[0], Use) else ""
        return name if name in self.kinds and self.kinds[name].kind in LISTS else "[3, 4, 6]"
