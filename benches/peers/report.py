"""Writes the results down: Markdown, and what is to be drawn."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from measure import Results, Series, Workload
from plot import Bar, Chart
from roster import FORKED, OURS, RECOVERY, Peer


@dataclass(frozen=True)
class Taken:
    """All that there is to tell."""

    workloads: list[Workload]
    peers: list[Peer]
    results: Results
    missing: dict[str, str]
    limit: float
    rounds: int
    machine: list[str]


@dataclass(frozen=True)
class Row:
    """One line of a table, with its figure in the unit of the workload."""

    title: str
    keeps: str
    values: list[float]
    beside: str
    why: str
    ours: bool
    base: bool


def unit(workload: Workload) -> str:
    """Gives the unit of a workload's figures."""
    return {"map": "items/s", "chain": "ms a step"}.get(workload.kind, "s")


def _figure(workload: Workload, seconds: float) -> float:
    if workload.kind == "map":
        return workload.count / seconds
    return seconds * 1000 / workload.count if workload.kind == "chain" else seconds


def _beside(workload: Workload, series: Series) -> str:
    """Tells what is counted beside the seconds."""
    if workload.kind != RECOVERY or not series.answers:
        return ""
    median = {name: statistics.median(answer[name] for answer in series.answers) for name in ("before", "twice", "lost")}
    lost = f", **{median['lost']:.0f} lost**" if median["lost"] else ""
    return f"{median['before']:.0f} ran before, {median['twice']:.0f} twice{lost}"


def rows(taken: Taken, workload: Workload) -> list[Row]:
    """Gives a row for each peer, and more for ours where it can be seen in more than one way."""
    made = []
    for peer in taken.peers:
        series = taken.results.get((peer.name, workload))
        if peer.name in taken.missing:
            made.append(Row(peer.title, peer.keeps, [], "", f"left out: {taken.missing[peer.name]}", False, False))
        if series is None:
            continue
        ours = peer.name == OURS
        values = [_figure(workload, seconds) for seconds in series.seconds()]
        made.append(Row(peer.title, peer.keeps, values, _beside(workload, series), series.why, ours, ours))
        if ours:
            made += _more_of_ours(taken, workload, series, peer)
    return made


def _more_of_ours(taken: Taken, workload: Workload, series: Series, peer: Peer) -> list[Row]:
    def row(title: str, seconds: list[float]) -> Row:
        values = [_figure(workload, each) for each in seconds]
        return Row(f"{peer.title}, {title}", peer.keeps, values, "", "", True, False)

    if workload.kind == "map":
        return [row("the map's node by its own clock", [answer["node_seconds"] for answer in series.answers])]
    if workload.kind == "cold":
        without = [answer["seconds"] - answer["registering_seconds"] for answer in series.answers]
        return [row("without the registration", without)]
    if workload.kind == "chain":
        forked = taken.results.get((peer.name, Workload(FORKED, workload.count)))
        return [row("each step in a child of its own (the default)", forked.seconds())] if forked else []
    return []


def number(value: float) -> str:
    """Writes a number with as many digits as mean something."""
    if value < 100:
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{value:,.0f}".replace(",", " ")


def _against(workload: Workload, ours: float, theirs: float) -> str:
    times = ours / theirs if workload.kind == "map" else theirs / ours
    return f"{number(times)} × better" if times >= 1 else f"{number(1 / times)} × worse"


def table(taken: Taken, workload: Workload) -> str:
    """Writes the table of one workload."""
    made = rows(taken, workload)
    base = next((statistics.median(row.values) for row in made if row.base and row.values), None)
    more = workload.kind == RECOVERY
    head = ["Engine", "Keeps its state in", f"Median, {unit(workload)}", "Lowest to highest", "Skein against it"]
    head += ["Items"] if more else []
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in made:
        cells = [f"**{row.title}**" if row.base else row.title, row.keeps]
        if row.values:
            median = statistics.median(row.values)
            runs = f"{len(row.values)} runs" if len(row.values) > 1 else "1 run"
            spread = f"{number(min(row.values))} to {number(max(row.values))}, {runs}"
            against = "" if row.ours or base is None else _against(workload, base, median)
            cells += [number(median), f"{spread}; then {row.why}" if row.why else spread, against]
        else:
            cells += ["–", row.why, ""]
        lines.append(f"| {' | '.join(cells + ([row.beside] if more else []))} |")
    return "\n".join(lines)


MEANS = {
    "map": "From the inputs in Python to the results in Python, after a map of 200 has run. More is better.",
    "chain": "Each step gets what the one before gave; the second run of a process. Less is better.",
    "cold": "From the start of the server, or of the program where there is none, to the first result of a map of one. Less "
    "is better.",
    RECOVERY: "All processes of an engine are killed, server and workers and client, and started again; the seconds are from "
    "the kill to the whole result, with that start in them. A kill tests no flush: the machine stays up. Less is better.",
}


def markdown(taken: Taken) -> str:
    """Writes everything."""
    parts = ["# Skein beside other engines\n"]
    parts.append("Written by [`benches/peers/run.py`](peers/run.py); not by hand.\n")
    parts.append("\n".join(f"- {line}" for line in taken.machine) + "\n")
    rounds = "once" if taken.rounds == 1 else f"{taken.rounds} times"
    parts.append(
        f"Every workload runs {rounds}, each time ours first and then the others, each in new processes on a new folder. "
        f"A run may take {taken.limit:.0f} s. Everything is on one machine, over its loopback interface; a virtual disk may "
        "flush more quickly than a real one. Differences below a third mean little.\n"
    )
    parts.append("![Medians, on a logarithmic scale](results.svg)\n")
    for workload in taken.workloads:
        if workload.kind == FORKED:
            continue
        parts.append(f"## {workload.title}\n\n{MEANS[workload.kind]}\n\n{table(taken, workload)}\n")
    parts.append("## Not like for like\n")
    parts.append("\n".join(f"- **{peer.title}** {_versions(peer)}: {peer.note}" for peer in taken.peers if peer.note))
    return "\n".join(parts) + "\n"


def _versions(peer: Peer) -> str:
    return f"({peer.versions()})" if peer.versions() else "(left out)"


def charts(taken: Taken) -> list[Chart]:
    """Gives what is to be drawn: the same rows, without those that have no figure."""
    drawn = []
    for workload in taken.workloads:
        bars = [
            Bar(row.title, statistics.median(row.values), min(row.values), max(row.values), number, row.ours)
            for row in rows(taken, workload)
            if row.values
        ]
        if bars and workload.kind != FORKED:
            better = "longer" if workload.kind == "map" else "shorter"
            drawn.append(Chart(f"{workload.title}: {unit(workload)}, {better} is better", bars))
    return drawn
