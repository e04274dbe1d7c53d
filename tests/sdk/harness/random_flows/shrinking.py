"""Makes a program that fails smaller, for as long as it fails."""

from dataclasses import replace
from typing import Callable, Iterator

from harness.random_flows.program import Case, Flow, Operand, Program, Step, Test, Use

AT_ONCE = 8
"""How many smaller programs are tried together."""

Fails = Callable[[list[Program]], list[bool]]
"""Which of these programs fail."""


def shrink(program: Program, fails: Fails, rounds_max: int) -> Program:
    """The smallest program found by going on, for at most so many rounds of trials, with the smallest of each that fails."""
    untried = candidates(program)
    seen = {program}
    for _ in range(rounds_max):
        batch = []
        while len(batch) < AT_ONCE and (smaller := next(untried, None)) is not None:
            if smaller.size() < program.size() and smaller not in seen:
                seen.add(smaller)
                batch.append(smaller)
        if not batch:
            break
        failing = [smaller for smaller, fail in zip(batch, fails(batch)) if fail]
        if failing:
            program = min(failing, key=Program.size)
            untried = candidates(program)
    return program


def candidates(program: Program) -> Iterator[Program]:
    """Smaller programs: those that have lost most come first."""
    for flow in program.flows[:-1]:
        if flow.kind == "workflow":
            yield replace(program, flows=(*program.flows[: program.flows.index(flow)], flow)).needed()
    for place in reversed(range(len(program.flows))):
        for smaller in _flows(program.flows[place]):
            flows = (*program.flows[:place], smaller, *program.flows[place + 1 :])
            yield replace(program, flows=flows).needed()
    if (program.a, program.b) != (1, 1):
        yield replace(program, a=1, b=1)


def _flows(flow: Flow) -> Iterator[Flow]:
    """The flow with fewer or simpler steps."""
    count = len(flow.steps)
    if count > 2:
        yield replace(flow, steps=flow.steps[count // 2 :])
        yield replace(flow, steps=flow.steps[: count // 2])
    for place in reversed(range(count)):
        yield replace(flow, steps=(*flow.steps[:place], *flow.steps[place + 1 :]))
    for place in reversed(range(count)):
        step = flow.steps[place]
        arms = [replace(case.then, name=f"{step.name}_{at}") for at, case in enumerate(step.cases) if case.then]
        if arms:
            yield replace(flow, steps=(*flow.steps[:place], *arms, *flow.steps[place + 1 :]))
        for simpler in _steps(step):
            yield replace(flow, steps=(*flow.steps[:place], simpler, *flow.steps[place + 1 :]))
    if flow.patient:
        yield replace(flow, patient=False)
    if flow.cleans:
        yield replace(flow, cleans=False)


def _steps(step: Step) -> Iterator[Step]:
    """Simpler steps of the same name."""
    if step.kind != "add" and (step.callee or step.kind == "branch"):
        yield Step(step.name, "add", (0, 0))
    for place, case in enumerate(step.cases):
        if case.then:
            yield replace(case.then, name=step.name)
        if len(step.cases) > 2 and place < len(step.cases) - 1:
            yield replace(step, cases=(*step.cases[:place], *step.cases[place + 1 :]))
        for simpler in _cases(case):
            yield replace(step, cases=(*step.cases[:place], simpler, *step.cases[place + 1 :]))
    if step.after:
        yield replace(step, after="")
    for place, arg in enumerate(step.args):
        for simpler_arg in _operands(arg):
            yield replace(step, args=(*step.args[:place], simpler_arg, *step.args[place + 1 :]))
    if step.kind == "total" and step.args:
        yield replace(step, args=())


def _cases(case: Case) -> Iterator[Case]:
    if case.then:
        if case.then.kind != "add":
            yield replace(case, then=Step("", "add", (0, 0)))
        for simpler in _steps(case.then):
            yield replace(case, then=simpler)
    if case.test and case.test.other:
        yield replace(case, test=Test(case.test.left, case.test.operator, case.test.right))


def _operands(operand: Operand) -> Iterator[Operand]:
    if isinstance(operand, Use):
        yield 1
    elif operand not in (0, 1):
        yield 1
