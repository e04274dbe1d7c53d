"""Tasks that declare what most tasks do not."""

import functools
import os
from typing import NamedTuple

import flytekit
from flytekit import Deck, LaunchPlan, current_context, dynamic, map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.models.documentation import Description, Documentation, SourceCode

from workflows import witness

DOCS = Documentation(
    short_description="Adds one.",
    long_description=Description(value="Adds **one**, and nothing else."),
    source_code=SourceCode(link="https://example.com/declared.py"),
)


@task(docs=DOCS, deprecated="use something newer")
def documented(x: int) -> int:
    """Adds one."""
    return x + 1


@task(enable_deck=True)
def with_deck(name: str) -> int:
    """Shows a first deck, waits at a gate, and shows another."""
    Deck("first", "<p>half of it</p>")
    Deck.publish()
    witness.note("published")
    witness.pass_gate(name)
    Deck("second", "<p>all of it</p>")
    return 1


@task(enable_deck=True)
def fails_with_deck() -> int:
    """Shows a deck and fails."""
    Deck("first", "<p>before the end</p>")
    Deck.publish()
    raise ValueError("after the deck")
    return 1


@task(retries=3)
def counts(to: int) -> str:
    """Counts as far as it is told, one step a try, from where the try before has left off."""
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    done = [*(before.decode().split(",") if before else []), os.environ["FLYTE_ATTEMPT_NUMBER"]]
    checkpoint.write(",".join(done).encode())
    if len(done) < to:
        raise FlyteRecoverableException(f"{len(done)} of {to}")
    return ",".join(done)


@workflow
def counts_each(tos: list[int]) -> list[str]:
    """Counts in several items, each for itself."""
    return map_task(counts)(to=tos)


@workflow
def hinted() -> int:
    """Is launched by a plan that nobody names but a hint."""
    return documented(x=1)


hinted_plan = LaunchPlan.get_or_create(hinted, name="declared_hinted_plan")


@dynamic(node_dependency_hints=[hinted_plan])
def launches_later() -> int:
    """Would launch the plan."""
    return hinted_plan()


Sums = NamedTuple("Sums", [("total", int), ("count", int)])


@task
def summed(xs: list[int], start: int) -> Sums:
    """Gives two values by name."""
    return Sums(sum(xs, start), len(xs))


@workflow
def named(xs: list[int]) -> Sums:
    """Binds a start to a task, and one to the next; and gives values by name."""
    from_ten = functools.partial(summed, start=10)
    first = from_ten(xs=xs)
    second = functools.partial(summed, xs=xs)(start=first.total)
    return Sums(second.total, first.count)


@task
def leaves_outputs(kind: str) -> int:
    """Leaves in place of its outputs something that is no file, and ends at once as if all were well."""
    folder = flytekit.current_context().output_metadata_prefix
    os.makedirs(folder, exist_ok=True)
    place = os.path.join(folder, "outputs.pb")
    if kind == "link":
        os.symlink("/etc/passwd", place)
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        os.mkdir(place)
    else:
        with open(place, "wb") as file:
            file.write(b"root:x:0:0")
    os._exit(0)
    return 1
