"""A diamond: one task feeds two that run side by side, and a fourth joins what they made.

Between them travel most kinds of value that a task can take or give: a dataclass, lists, maps, an optional,
an enum, a time, a duration, a file and a folder.
"""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import NamedTuple, Optional

import union


class Unit(enum.Enum):
    """What a reading is counted in."""

    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


@dataclass
class Station:
    """Where the readings come from."""

    name: str
    height_m: int
    sensors: list[str]


class Collected(NamedTuple):
    """What the top of the diamond hands down."""

    station: Station
    readings: list[float]
    started: datetime
    every: timedelta
    note: Optional[str]


class Written(NamedTuple):
    """A table of all readings, and a folder with one file a sensor."""

    table: union.FlyteFile
    by_sensor: union.FlyteDirectory


class Report(NamedTuple):
    """What the diamond ends in."""

    station: Station
    summary: dict[str, float]
    lines: list[str]
    unit: Unit
    ended: datetime
    took: timedelta
    note: Optional[str]
    table: union.FlyteFile
    by_sensor: union.FlyteDirectory


@union.task
def collect(station: str, note: Optional[str]) -> Collected:
    """Reads the station's sensors six times."""
    return Collected(
        station=Station(name=station, height_m=2_962, sensors=["north", "south"]),
        readings=[-4.0, -2.5, 0.0, 1.5, 0.5, -1.5],
        started=datetime(2026, 1, 1, 6, 0, tzinfo=UTC),
        every=timedelta(minutes=10),
        note=note,
    )


@union.task
def summarise(readings: list[float], unit: Unit) -> dict[str, float]:
    """Finds the lowest, the highest and the mean reading, in `unit`."""
    if unit is Unit.FAHRENHEIT:
        readings = [reading * 9 / 5 + 32 for reading in readings]
    return {"lowest": min(readings), "highest": max(readings), "mean": sum(readings) / len(readings)}


@union.task
def write(station: Station, readings: list[float], started: datetime, every: timedelta) -> Written:
    """Writes the readings down: all in one file, and each sensor's in a file of its own."""
    folder = Path(union.current_context().working_directory)
    rows = [f"{(started + every * index).isoformat()},{reading}\n" for index, reading in enumerate(readings)]
    table = folder / "readings.csv"
    table.write_text("".join(rows))
    by_sensor = folder / "by_sensor"
    by_sensor.mkdir()
    for offset, sensor in enumerate(station.sensors):
        (by_sensor / f"{sensor}.csv").write_text("".join(rows[offset :: len(station.sensors)]))
    return Written(table=union.FlyteFile(str(table)), by_sensor=union.FlyteDirectory(str(by_sensor)))


@union.task
def join(
    station: Station,
    summary: dict[str, float],
    unit: Unit,
    started: datetime,
    every: timedelta,
    note: Optional[str],
    table: union.FlyteFile,
    by_sensor: union.FlyteDirectory,
) -> Report:
    """Joins both sides, after reading back what the other task wrote."""
    rows = Path(table.download()).read_text().splitlines()
    files = sorted(file.name for file in Path(by_sensor.download()).iterdir())
    return Report(
        station=station,
        summary=summary,
        lines=[f"{len(rows)} readings", f"files: {', '.join(files)}"],
        unit=unit,
        ended=started + every * len(rows),
        took=every * len(rows),
        note=note,
        table=table,
        by_sensor=by_sensor,
    )


@union.workflow
def diamond(station: str = "Zugspitze", unit: Unit = Unit.CELSIUS, note: Optional[str] = None) -> Report:
    """Collects, then summarises and writes side by side, then joins."""
    collected = collect(station=station, note=note)
    summary = summarise(readings=collected.readings, unit=unit)
    written = write(
        station=collected.station,
        readings=collected.readings,
        started=collected.started,
        every=collected.every,
    )
    return join(
        station=collected.station,
        summary=summary,
        unit=unit,
        started=collected.started,
        every=collected.every,
        note=collected.note,
        table=written.table,
        by_sensor=written.by_sensor,
    )
