"""Takes the figures: every workload in rounds, and in each round everybody after one another."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import Environment, clean_environment
from processes import LOOK_SECONDS, Failed, Program
from roster import FORKED, OURS, RECOVERY, Peer

PROGRAMS = Path(__file__).resolve().parent / "programs"
MARK_BYTES = 4
# No usage reports.
QUIET = {
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RESTATE_DISABLE_TELEMETRY": "true",
    "UNION_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Workload:
    """What is measured."""

    kind: str
    count: int

    @property
    def title(self) -> str:
        """Names it for the results."""
        count = f"{self.count:,}".replace(",", " ")
        return {
            "map": f"Map of {count}, int to bool",
            "chain": f"Chain of {count} steps",
            FORKED: f"Chain of {count} steps, each in a child of its own",
            "cold": "Cold start",
            RECOVERY: f"kill -9 when half of a map of {count} has run",
        }[self.kind]


@dataclass
class Series:
    """What one peer did in one workload."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    """What its program said in each run: `seconds`, and what it told beside them."""
    why: str = ""
    """Why there are no (more) runs."""

    def seconds(self) -> list[float]:
        """Gives the seconds of all runs."""
        return [answer["seconds"] for answer in self.answers]


Results = dict[tuple[str, Workload], Series]


@dataclass
class Harness:
    """Runs peers."""

    skein: Path
    limit: float
    environments: dict[str, Environment]
    results: Results = field(default_factory=dict)

    def take(self, workload: Workload, peers: list[Peer], rounds: int) -> None:
        """Runs a workload: ours, then each peer, and all over again."""
        for turn in range(rounds):
            for peer in peers:
                if not peer.has(workload.kind):
                    continue
                series = self.results.setdefault((peer.name, workload), Series())
                series.why = series.why or self._hopeless(peer, workload)
                if series.why:
                    continue
                try:
                    answer = self._run(peer, workload)
                except Failed as failed:
                    series.why = str(failed)
                    print(f"{workload.title}, round {turn + 1}, {peer.title}: {failed}", flush=True)
                    continue
                series.answers.append(answer)
                print(f"{workload.title}, round {turn + 1}, {peer.title}: {_shown(answer)}", flush=True)

    def _hopeless(self, peer: Peer, workload: Workload) -> str:
        """Says why a map need not be tried: a smaller one took so long that this one takes too long."""
        smaller = [
            (known.count, series)
            for (name, known), series in self.results.items()
            if name == peer.name and known.kind == workload.kind == "map" and known.count < workload.count
        ]
        if not smaller:
            return ""
        count, series = max(smaller, key=lambda pair: pair[0])
        if not series.answers:
            return f"not tried: the map of {count} gave no figure"
        expected = statistics.median(series.seconds()) * workload.count / count
        return f"not tried: some {expected:.0f} s by the map of {count}" if expected > self.limit else ""

    def _run(self, peer: Peer, workload: Workload) -> dict[str, Any]:
        folder = Path(tempfile.mkdtemp(prefix="skein-peers-"))
        try:
            if workload.kind == RECOVERY:
                return self._crash(peer, workload.count, folder)
            program = self._program(peer, workload.kind, workload.count, folder)
            program.start()
            return program.answer(self.limit)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _program(self, peer: Peer, word: str, count: int, folder: Path, **more: str) -> Program:
        environment = self.environments[peer.name]
        program = PROGRAMS / f"{peer.name}_peer.py"
        variables = {**clean_environment(), **QUIET, "PEER_NPM": str(environment.npm), "PEER_SKEIN": str(self.skein)}
        return Program([str(environment.python), str(program), word, str(count), str(folder)], {**variables, **more}, folder)

    def _crash(self, peer: Peer, count: int, folder: Path) -> dict[str, Any]:
        """Kills everything of a peer when half of a map has run, starts it again, and counts what ran.

        Raises:
            Failed: When half of it does not run in time, or the rest does not end.
        """
        marks = folder / "marks"
        victim = self._program(peer, "victim", count, folder)
        victim.start()
        until = time.monotonic() + self.limit
        while _size(marks) < count // 2 * MARK_BYTES:
            if victim.has_ended() or time.monotonic() > until:
                victim.kill()
                victim.complain()
                raise Failed(f"half of the map had not run after {self.limit:.0f} s")
            time.sleep(LOOK_SECONDS)
        killed = victim.kill()
        before = _size(marks) // MARK_BYTES
        again = self._program(peer, "resume", count, folder, PEER_KILLED=repr(killed))
        again.start()
        answer = again.answer(self.limit)
        ran = marks.read_bytes()
        items = [ran[at : at + MARK_BYTES] for at in range(0, len(ran), MARK_BYTES)]
        answer.update(before=before, twice=len(items) - len(set(items)), lost=count - answer["results"])
        return answer


def _size(marks: Path) -> int:
    return marks.stat().st_size if marks.exists() else 0


def _shown(answer: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}" for name, value in answer.items())


def ours_first(peers: list[Peer]) -> list[Peer]:
    """Orders peers so that a round begins with ours."""
    return sorted(peers, key=lambda peer: peer.name != OURS)
