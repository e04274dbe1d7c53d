"""What a random workflow is before it is text: flows of steps, each of which has a name that later ones can use.

Every value is determined whatever order nodes run in. A use of what is not there stands for what the flow was given, so that any
step can be taken away and the rest is still a workflow.
"""

import re
from dataclasses import dataclass, replace
from typing import Iterator, Optional, Union

LABEL = re.compile(r"(?:raises|again|picky|none)-\d+")
"""What stands in the message of each failure, and says which step it is from."""
RETRIES = 2


@dataclass(frozen=True)
class Use:
    """What a step gave, or a part of it."""

    name: str
    path: str = ""


Operand = Union[int, Use]


@dataclass(frozen=True)
class Test:
    """A comparison of a number with another, and perhaps a second one, joined by `&` or `|`."""

    left: Use
    operator: str
    right: Operand
    joined: str = ""
    other: "Optional[Test]" = None


@dataclass(frozen=True)
class Step:
    """One statement. What `args`, `number` and the rest mean is up to its kind; see `source.py`."""

    name: str
    kind: str
    args: tuple[Operand, ...] = ()
    number: int = 0
    label: str = ""
    callee: str = ""
    cases: "tuple[Case, ...]" = ()
    after: str = ""


@dataclass(frozen=True)
class Case:
    """A case of a branch: the last has no test; one without a step fails with its label."""

    test: Optional[Test]
    then: Optional[Step]
    label: str = ""


@dataclass(frozen=True)
class Flow:
    """A workflow or a dynamic task: takes the numbers a and b, gives the sum of all numbers of its steps."""

    name: str
    kind: str
    steps: tuple[Step, ...]
    patient: bool = False
    cleans: bool = False


@dataclass(frozen=True)
class Program:
    """Flows, each after those that it calls; the last is what runs, with these inputs."""

    seed: int
    flows: tuple[Flow, ...]
    a: int
    b: int

    def size(self) -> int:
        """How much there is to read, for somebody who looks for a mistake."""
        return sum(2 + flow.patient + flow.cleans + sum(map(_weight, flow.steps)) for flow in self.flows)

    def muted(self, labels: frozenset[str]) -> "Program":
        """The same without the failures of these labels."""
        flows = (
            replace(flow, steps=tuple(_muted(step, labels) for step in flow.steps)) for flow in self.flows
        )
        return replace(self, flows=tuple(flows))

    def needed(self) -> "Program":
        """The same without flows that nobody calls."""
        called = {self.flows[-1].name}
        for flow in reversed(self.flows):
            if flow.name in called:
                called |= {step.callee for step in everywhere(flow.steps) if step.callee}
        return replace(self, flows=tuple(flow for flow in self.flows if flow.name in called))


def everywhere(steps: tuple[Step, ...]) -> Iterator[Step]:
    """All steps, those in branches included."""
    for step in steps:
        yield step
        yield from everywhere(tuple(case.then for case in step.cases if case.then))


def _weight(step: Step) -> int:
    inside = sum(3 + (_weight(case.then) if case.then else 0) + bool(case.test and case.test.other) for case in step.cases)
    numbers = sum(1 for arg in step.args if arg not in (0, 1))
    return 4 + (step.kind not in ("add", "sleep")) + 2 * bool(step.callee) + bool(step.after) + numbers + inside


def _muted(step: Step, labels: frozenset[str]) -> Step:
    if step.label in labels:
        step = replace(step, kind={"raises": "add", "picky": "square_sum"}.get(step.kind, step.kind), number=0, label="")
    cases = []
    for case in step.cases:
        if case.then:
            case = replace(case, then=_muted(case.then, labels))
        elif case.label in labels:
            case = replace(case, then=Step("", "add", (0, 0)), label="")
        cases.append(case)
    return replace(step, cases=tuple(cases))
