"""Restate's handlers. `hypercorn` serves `app`; the server calls it."""

from __future__ import annotations

import peer
import restate
from restate import Context

# A single handler with ten thousand steps does not end in minutes: the map is cut into calls of so many.
ITEMS_A_CALL = 500

bench = restate.Service("bench")


@bench.handler()
async def detect_some(ctx: Context, values: list) -> list:
    """Runs each item as a durable step, all of them at once."""
    steps = [ctx.run_typed("detect", peer.above_threshold, value=value) for value in values]
    await restate.gather(*steps)
    return [await step for step in steps]


@bench.handler()
async def mark_some(ctx: Context, request: dict) -> int:
    """The same with the function that leaves marks."""
    path = request["path"]
    steps = [ctx.run_typed("mark", peer.marked, value=value, path=path) for value in request["values"]]
    await restate.gather(*steps)
    return len(steps)


@bench.handler()
async def ints(ctx: Context, values: list) -> list:
    """The map: calls the handler above for each part."""
    parts = [values[at : at + ITEMS_A_CALL] for at in range(0, len(values), ITEMS_A_CALL)]
    calls = [ctx.service_call(detect_some, arg=part) for part in parts]
    return [result for call in calls for result in await call]


@bench.handler()
async def marks(ctx: Context, request: dict) -> int:
    """The map that leaves marks; gives how many results there are."""
    values, path = request["values"], request["path"]
    parts = [values[at : at + ITEMS_A_CALL] for at in range(0, len(values), ITEMS_A_CALL)]
    calls = [ctx.service_call(mark_some, arg={"values": part, "path": path}) for part in parts]
    return sum([await call for call in calls])


@bench.handler()
async def chain(ctx: Context, steps: int) -> int:
    """The chain: durable steps, one after another."""
    value = 0
    for _ in range(steps):
        value = await ctx.run_typed("step", add_one, value=value)
    return value


def add_one(value: int) -> int:
    """One step of a chain."""
    return value + 1


app = restate.app([bench])
