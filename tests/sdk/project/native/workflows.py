"""Tasks of two programs, by what Python says of them, and workflows of unmodified `flytekit` that use them."""

from datetime import datetime, timedelta
from typing import Dict, List, NamedTuple, Optional, Tuple

from flytekit import map_task, reference_task, task, workflow

from native.settings import PLACE


class Summary(NamedTuple):
    """What `describe` answers."""

    mean: float
    deviation: float


class Everything(NamedTuple):
    """What `everything` takes and answers."""

    flag: bool
    number: float
    text: str
    time: datetime
    span: timedelta
    list: List[int]


@reference_task(name="anomalies.detect", **PLACE)
def detect(value: int) -> bool: ...


@reference_task(name="anomalies.add", **PLACE)
def add(total: int, value: int) -> int: ...


@reference_task(name="anomalies.describe", **PLACE)
def describe(values: List[float]) -> Summary: ...


@reference_task(name="anomalies.count_words", **PLACE)
def count_words(text: str, letters_min: Optional[int]) -> Dict[str, int]: ...


@reference_task(name="trials.everything", **PLACE)
def everything(flag: bool, number: float, text: str, time: datetime, span: timedelta, list: List[int]) -> Everything: ...


@reference_task(name="trials.known_square", **PLACE)
def known_square(x: int) -> int: ...


@reference_task(name="trials.third_time", **PLACE)
def third_time(x: int) -> int: ...


@reference_task(name="trials.end", **PLACE)
def end(how: str) -> int: ...


@reference_task(name="trials.square", **PLACE)
def square(x: int) -> int: ...


@task
def between(mean: float, deviation: float) -> List[float]:
    """A step in Python between two in Rust."""
    return [mean - deviation, mean + deviation]


@workflow
def chain(values: List[float]) -> Tuple[float, float]:
    """Rust, Python, Rust."""
    first = describe(values=values)
    second = describe(values=between(mean=first.mean, deviation=first.deviation))
    return second.mean, second.deviation


@workflow
def sums(value: int) -> int:
    """A chain of twenty steps in Rust."""
    total = add(total=0, value=value)
    for _ in range(19):
        total = add(total=total, value=value)
    return total


@workflow
def words(text: str, letters_min: Optional[int] = None) -> Dict[str, int]:
    """An optional input, and a map that comes back."""
    return count_words(text=text, letters_min=letters_min)


@workflow
def there_and_back(flag: bool, number: float, text: str, time: datetime, span: timedelta, list: List[int]) -> Everything:
    """Each type, through a task in Rust."""
    return everything(flag=flag, number=number, text=text, time=time, span=span, list=list)


@workflow
def retried(x: int) -> int:
    """A task that fails twice."""
    return third_time(x=x)


@workflow
def ended(how: str) -> int:
    """A task that ends as it is told."""
    return end(how=how)


@workflow
def mapped(values: List[int]) -> List[bool]:
    """A map over a task in Rust."""
    return map_task(detect)(value=values)


@workflow
def known_squares(xs: List[int]) -> List[int]:
    """A map over a task in Rust whose outputs are kept."""
    return map_task(known_square)(x=xs)


@workflow
def known_square_alone(x: int) -> int:
    """The same task by itself."""
    return known_square(x=x)


@workflow
def mapped_ends(hows: List[str]) -> List[Optional[int]]:
    """A map of which some items may fail."""
    return map_task(end, min_success_ratio=0.5)(how=hows)
