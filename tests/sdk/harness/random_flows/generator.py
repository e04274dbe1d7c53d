"""Makes a random workflow from a seed."""

import random
from dataclasses import dataclass, field, replace

from harness.random_flows.program import Case, Flow, Operand, Program, Step, Test, Use

DEPTH_MAX = 6
NESTED_MAX = 2
"""Of branches directly in each other."""
STEPS_MAX = (5, 10, 16, 26)
"""Of one program, those of every flow counted once: one of these."""

OPERATORS = ("<", "<=", ">", ">=", "==", "!=")
PARTS = {
    "pack": (".number", ".some[0]", ".some[1]", '.named["one"]', ".inner.number"),
    "three": ("[0]", "[2]"),
    "named": ('["one"]', '["two"]'),
}
"""What can be taken of an output that is more than a number."""
LISTS = ("upto", "square_all", "add_all", "again_all", "three")
PLAIN = (
    *("add", "multiply", "again", "upto", "total", "three", "named", "pack", "sleep", "branch"),
    *("square_all", "add_all", "again_all", "picky"),
)
CALLS = ("sub", "sub", "plan", "dynamic", "dynamic")


def generate(seed: int) -> Program:
    """The program of this seed: always the same."""
    return _Maker(random.Random(seed)).program(seed)


@dataclass
class _Maker:
    dice: random.Random
    flows: list[Flow] = field(default_factory=list)
    depth_of: dict[str, int] = field(default_factory=dict)
    left: int = 0
    count: int = 0

    def program(self, seed: int) -> Program:
        self.left = self.dice.choice(STEPS_MAX)
        self.failing = self.dice.choice((0.0, 0.0, 0.05, 0.15))
        """How often a step fails."""
        self.deep = self.dice.random() < 0.3
        """Whether each flow calls another, down to the greatest depth."""
        self.flow("workflow", 1)
        a, b = self.dice.randrange(12), self.dice.randrange(12)
        main = self.flows[-1]
        assert main.kind == "workflow"
        return Program(seed, tuple(self.flows), a, b)

    def number(self) -> int:
        self.count += 1
        return self.count

    def flow(self, kind: str, depth: int) -> str:
        name = f"{'made' if kind == 'dynamic' else 'flow'}_{self.number()}"
        steps: list[Step] = []
        wanted = self.dice.randint(2, 6) if depth == 1 else self.dice.randint(1, 4)
        deep_at = self.dice.randrange(wanted)
        for place in range(wanted):
            if self.left <= 0 and steps:
                break
            self.left -= 1
            if self.deep and place == deep_at and depth < DEPTH_MAX:
                step = self.call(steps, depth)
            else:
                step = self.step(kind, steps, depth)
            if steps and self.dice.random() < 0.15:
                step = replace(step, after=self.dice.choice(steps).name)
            steps.append(step)
        self.depth_of[name] = depth
        workflow = kind == "workflow"
        patient, cleans = workflow and self.dice.random() < 0.3, workflow and self.dice.random() < 0.25
        self.flows.append(Flow(name, kind, tuple(steps), patient, cleans))
        return name

    def step(self, kind: str, steps: list[Step], depth: int) -> Step:
        if self.dice.random() < self.failing:
            return self.plain("raises", steps, depth)
        if depth < DEPTH_MAX and self.left > 0 and self.dice.random() < 0.3:
            return self.call(steps, depth)
        kinds = (*PLAIN, "loop") if kind == "dynamic" else PLAIN
        return self.plain(self.dice.choice(kinds), steps, depth)

    def call(self, steps: list[Step], depth: int, calls: tuple[str, ...] = CALLS) -> Step:
        kind = self.dice.choice(calls)
        wanted = "dynamic" if kind == "dynamic" else "workflow"
        known = [flow.name for flow in self.flows if flow.kind == wanted and self.depth_of[flow.name] > depth]
        if known and self.dice.random() < 0.25:
            callee = self.dice.choice(known)
        else:
            callee = self.flow(wanted, depth + 1)
        return Step(f"v{self.number()}", kind, (self.operand(steps), self.operand(steps)), callee=callee)

    def plain(self, kind: str, steps: list[Step], depth: int) -> Step:
        at = self.number()
        name = f"v{at}"
        if kind == "branch":
            return Step(name, kind, cases=self.cases(steps, depth, NESTED_MAX))
        if kind == "sleep":
            return Step(name, kind, number=self.dice.randint(1, 60))
        args: tuple[Operand, ...] = (self.operand(steps), self.operand(steps))
        number, label = 0, ""
        if kind == "total":
            args = tuple(self.operand(steps) for _ in range(self.dice.randint(0, 4)))
        elif kind in ("square_all", "add_all", "picky", "again_all"):
            args = (self.list_of(steps), self.operand(steps))
        if kind in ("again", "again_all"):
            # Three failures are more than there are tries for.
            number = 3 if self.dice.random() < self.failing else self.dice.choice((0, 1, 1, 2))
            label = f"again-{at}"
        elif kind == "raises":
            label = f"raises-{at}"
        elif kind == "picky":
            label = f"picky-{at}"
            number = self.dice.choice((25, 50, 75, 90)) if self.failing else 1
        return Step(name, kind, args, number, label)

    def cases(self, steps: list[Step], depth: int, nested: int) -> tuple[Case, ...]:
        cases = [Case(self.test(steps), self.arm(steps, depth, nested)) for _ in range(self.dice.randint(1, 3))]
        if self.dice.random() < self.failing * 3:
            last = Case(None, None, f"none-{self.number()}")
        else:
            last = Case(None, self.arm(steps, depth, nested))
        return (*cases, last)

    def arm(self, steps: list[Step], depth: int, nested: int) -> Step:
        roll = self.dice.random()
        if roll < 0.25 and nested:
            return Step("", "branch", number=self.number(), cases=self.cases(steps, depth, nested - 1))
        if roll < 0.5 and depth < DEPTH_MAX and self.left > 0:
            # With a workflow flytekit sends those that it calls from branches, but not from branches in branches.
            calls = CALLS if nested == NESTED_MAX else ("plan", "dynamic")
            return replace(self.call(steps, depth, calls), name="")
        kind = self.dice.choice(("add", "multiply", "again"))
        kind = "raises" if self.dice.random() < self.failing else kind
        return replace(self.plain(kind, steps, depth), name="")

    def test(self, steps: list[Step]) -> Test:
        def one() -> Test:
            numbers = [Use(step.name) for step in steps if is_number(step)] or [Use("p")]
            right: Operand = self.dice.randrange(20) if self.dice.random() < 0.7 else self.dice.choice(numbers)
            return Test(self.dice.choice(numbers), self.dice.choice(OPERATORS), right)

        first = one()
        if self.dice.random() < 0.3:
            return Test(first.left, first.operator, first.right, self.dice.choice("&|"), one())
        return first

    def operand(self, steps: list[Step]) -> Operand:
        if self.dice.random() < 0.15:
            return self.dice.randrange(10)
        found: list[Use] = [Use("a"), Use("b")]
        for step in steps:
            if is_number(step):
                found += [Use(step.name)] * 2
            found += [Use(step.name, path) for path in PARTS.get(step.kind, ())]
        return self.dice.choice(found)

    def list_of(self, steps: list[Step]) -> Use:
        return self.dice.choice([Use(step.name) for step in steps if step.kind in LISTS] or [Use("")])


def is_number(step: Step) -> bool:
    """Whether a step gives a number."""
    return step.kind not in (*LISTS, *PARTS, "sleep")
