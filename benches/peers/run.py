"""Skein beside other engines, on this machine, now: one command, one table, one plot. Linux only.

    python benches/peers/run.py --skein target/release/skein

Makes an environment for each peer under `target/peers/` (once, some 700 MB), runs each workload in rounds (ours, then
every peer, and again), each run in a new process on a new folder, and writes `benches/RESULTS.md` and
`benches/results.svg`. With `--quick` everything is small, runs once, and is written to `target/peers/quick/`.

Files: `roster.py` says who and with which versions, `programs/` how each is used, `measure.py` what is done.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import machine
import plot
import report
from environments import ROOT, Environment, NotInstallable, ensure
from measure import Harness, Workload, ours_first
from roster import FORKED, OURS, PEERS, RECOVERY, Peer

STEPS = 100
FULL = [Workload("map", count) for count in (1_000, 10_000, 100_000)]
FULL += [Workload("chain", STEPS), Workload(FORKED, STEPS), Workload("cold", 1), Workload(RECOVERY, 10_000)]
QUICK = [Workload("map", 1_000), Workload("chain", STEPS), Workload(FORKED, STEPS), Workload("cold", 1)]
QUICK += [Workload(RECOVERY, 1_000)]
LIMIT_SECONDS = 120


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    names = [peer.name for peer in PEERS if peer.name != OURS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skein", type=Path, required=True, help="the program, built for release")
    parser.add_argument("--only", help=f"these peers beside ours, with a comma between: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small maps, one round")
    parser.add_argument("--rounds", type=int, help="how often everything runs (3, with --quick 1)")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help=f"seconds that a run may take ({LIMIT_SECONDS})")
    parser.add_argument("--out", type=Path, help="where to write the results (benches/, with --quick target/peers/quick/)")
    parsed = parser.parse_args()
    unknown = set(parsed.only.split(",")) - set(names) if parsed.only else set()
    if unknown:
        parser.error(f"there is no peer {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if not parsed.skein.is_file():
        parser.error(f"{parsed.skein} is not there: build it with `cargo build --release --package skein`")
    return parsed


def said(options: argparse.Namespace) -> str:
    """What was asked for beside the program."""
    words = ["--quick"] if options.quick else []
    words += [f"--only {options.only}"] if options.only else []
    words += [f"--rounds {options.rounds}"] if options.rounds else []
    words += [f"--limit {options.limit:g}"] if options.limit != LIMIT_SECONDS else []
    return "".join(f" {word}" for word in words)


def prepare(peers: list[Peer]) -> tuple[dict[str, Environment], dict[str, str]]:
    """Makes the environments; gives them, and for each peer that cannot be had the reason."""
    there, missing = {}, {}
    for peer in peers:
        if peer.left_out:
            missing[peer.name] = peer.left_out
            continue
        try:
            there[peer.name] = ensure(peer, ROOT / "target/peers")
        except NotInstallable as reason:
            missing[peer.name] = str(reason)
    if OURS in missing:
        raise SystemExit("there is nothing to compare with: flytekit and our plugin cannot be installed")
    return there, missing


def main() -> None:
    """Measures, and writes what came out after each workload, so that what was taken is not lost."""
    options = arguments()
    wanted = options.only.split(",") if options.only else [peer.name for peer in PEERS]
    peers = [peer for peer in PEERS if peer.name in (OURS, *wanted)]
    environments, missing = prepare(peers)
    harness = Harness(options.skein.resolve(), options.limit, environments)
    rounds = options.rounds or (1 if options.quick else 3)
    out = options.out or (ROOT / "target/peers/quick" if options.quick else ROOT / "benches")
    out.mkdir(parents=True, exist_ok=True)
    began, load = time.time(), os.getloadavg()
    there = ours_first([peer for peer in peers if peer.name in environments])
    workloads = QUICK if options.quick else FULL
    for at, workload in enumerate(workloads):
        harness.take(workload, there, rounds)
        taken = report.Taken(
            workloads[: at + 1],
            peers,
            harness.results,
            missing,
            options.limit,
            rounds,
            machine.describe(options.skein, began, load, said(options)),
        )
        (out / "RESULTS.md").write_text(report.markdown(taken), encoding="utf-8")
        (out / "results.svg").write_text(plot.svg(report.charts(taken)), encoding="utf-8")
    raw = {f"{name} {load.kind} {load.count}": vars(series) for (name, load), series in harness.results.items()}
    (ROOT / "target/peers/results.json").write_text(json.dumps(raw, indent=1), encoding="utf-8")
    print(f"written: {out / 'RESULTS.md'}, {out / 'results.svg'} ({(time.time() - began) / 60:.0f} min)")


if __name__ == "__main__":
    main()
