"""Random workflows, run three ways: flytekit's local execution, Skein, and Skein killed with kill -9; what they come to agrees.

A seed makes a module of tasks and workflows of every kind, in each other to depth 6, some of which fail. What is compared is the
value, or that it fails, with a failure that it can fail with: of several at once, which is told is not determined.
Where the ways differ the workflow is made smaller for as long as they do, and printed with its seed.

`SKEIN_RANDOM_SEED=7` runs that seed alone (`7-90`: those from 7 to 89); `SKEIN_LONG=1`, as `--long` sets it, runs 100.
"""

import os
from dataclasses import replace
from typing import Iterator

import pytest

from harness.random_flows.generator import DEPTH_MAX, generate
from harness.random_flows.locally import Locally
from harness.random_flows.program import Program, Step, everywhere
from harness.random_flows.shrinking import shrink
from harness.random_flows.source import own_source
from harness.random_flows.ways import Killed, Undisturbed, Ways
from harness.server import Skein
from harness.settings import LONG

AT_ONCE = 5
"""How many seeds are registered and run together."""
SHRINK_ROUNDS_MAX = 60 if LONG else 12


def seeds() -> range:
    """Those that are run."""
    asked = os.environ.get("SKEIN_RANDOM_SEED", "")
    if not asked:
        return range(100 if LONG else AT_ONCE)
    first, _, end = asked.partition("-")
    return range(int(first), int(end) if end else int(first) + 1)


BATCHES = [seeds()[place : place + AT_ONCE] for place in range(0, len(seeds()), AT_ONCE)]


@pytest.fixture(scope="module")
def locally(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locally]:
    """flytekit's local execution."""
    made = Locally(tmp_path_factory.mktemp("locally"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def ways(locally: Locally, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """All three, with a server that is killed."""
    server = Skein(tmp_path_factory.mktemp("random")).start()
    yield Ways(locally, server, tmp_path_factory.mktemp("sources"))
    server.end()
    server.check()


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: f"{batch.start}-{batch.stop}")
def test_random_workflows_come_to_the_same_locally_and_on_skein_killed_or_not(ways: Ways, batch: range) -> None:
    """Values, or failures; a workflow for which they differ is made smaller and shown."""
    programs = [generate(seed) for seed in batch]
    for way in (Undisturbed(), Killed(batch.start)):
        for program, difference in zip(programs, ways.differences(programs, way)):
            if difference:
                pytest.fail(explain(ways, way, program, difference), pytrace=False)


def explain(ways: Ways, way: "Undisturbed | Killed", program: Program, difference: str) -> str:
    """What differs, first as it was found and then in the smallest workflow in which something does."""

    def fails(smaller: list[Program]) -> list[bool]:
        return [bool(found) for found in ways.differences(smaller, way)]

    small = shrink(program, fails, SHRINK_ROUNDS_MAX)
    [after] = ways.differences([small], way)
    return "\n".join(
        [
            f"SKEIN_RANDOM_SEED={program.seed}, {way.words}: {difference}",
            f"made smaller, with a={small.a}, b={small.b}: {after or 'it does not differ each time'}",
            "",
            own_source(small),
        ]
    )


def kinds(program: Program) -> set[str]:
    """All kinds of steps in a program."""
    return {step.kind for flow in program.flows for step in everywhere(flow.steps)}


def depth(program: Program, name: str = "") -> int:
    """How deep flows are in each other."""
    flow = next(flow for flow in program.flows if flow.name == (name or program.flows[-1].name))
    called = {step.callee for step in everywhere(flow.steps) if step.callee}
    return 1 + max((depth(program, each) for each in called), default=0)


def test_a_seed_gives_the_same_program_again_and_many_give_every_kind_and_depth() -> None:
    """That the other tests look at all that they should."""
    assert generate(3) == generate(3)
    many = [generate(seed) for seed in range(100)]
    assert set().union(*map(kinds, many)) >= {
        *("add", "multiply", "raises", "again", "upto", "total", "square_all", "add_all", "again_all", "picky"),
        *("three", "named", "pack", "sleep", "branch", "loop", "sub", "plan", "dynamic"),
    }
    assert {depth(program) for program in many} == set(range(1, DEPTH_MAX + 1))
    for of in ("patient", "cleans"):
        assert any(getattr(flow, of) for program in many for flow in program.flows)


def test_what_fails_is_made_as_small_as_it_can_be() -> None:
    """A workflow that is wrong whenever a product is made of a loop's sum somewhere inside it is left with nothing else."""

    def is_wrong(program: Program) -> bool:
        return {"loop", "multiply"} <= kinds(program)

    for program in [each for each in map(generate, range(300)) if is_wrong(each)][:20]:
        small = shrink(program, lambda batch: list(map(is_wrong, batch)), 500)
        assert sorted(kinds(small) - {"dynamic", "sub", "plan"}) == ["loop", "multiply"], own_source(small)
        steps = [step for flow in small.flows for step in everywhere(flow.steps)]
        assert len([step for step in steps if not step.callee]) == 2, own_source(small)


def test_a_mistake_of_one_way_is_found_and_made_small(locally: Locally) -> None:
    """A way that multiplies wrongly, as a bug would: it is seen, and one product is what is left to read."""

    def wrongly(program: Program) -> Program:
        def wrong(step: Step) -> Step:
            cases = tuple(replace(case, then=wrong(case.then)) if case.then else case for case in step.cases)
            return replace(step, kind="add" if step.kind == "multiply" else step.kind, cases=cases)

        flows = (replace(flow, steps=tuple(map(wrong, flow.steps))) for flow in program.flows)
        return replace(program, flows=tuple(flows))

    def comes_to(program: Program) -> "int | bool":
        return locally.once(program).get("value", False)

    def fails(batch: list[Program]) -> list[bool]:
        return [comes_to(program) != comes_to(wrongly(program)) for program in batch]

    few = (program for program in map(generate, range(60)) if program.size() < 50)
    found = next(program for program in few if fails([program])[0])
    small = shrink(found, fails, 100)
    assert sum(step.kind == "multiply" for flow in small.flows for step in everywhere(flow.steps)) == 1
    assert len(own_source(small).splitlines()) <= 30, own_source(small)
