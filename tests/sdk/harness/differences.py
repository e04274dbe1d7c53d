"""The table of what was compared with the original's answers, field by field, which ends a run of the tests."""

from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping

ABSENT = "<absent>"


@dataclass(frozen=True)
class Row:
    """One case or call: how many fields there are, those that differ on purpose, and those that should not."""

    name: str
    fields: int
    intended: Mapping[str, str]
    wrong: Mapping[str, str]


@dataclass
class Table:
    """All comparisons of one run."""

    rows: list[Row] = field(default_factory=list)

    def compare(
        self,
        name: str,
        original: Mapping[str, Any],
        answered: Mapping[str, Any],
        intended: Mapping[str, Any],
    ) -> None:
        """Requires every field to be the original's, or where `intended` names it what that says; `ABSENT` stands for none."""
        asked = {**original, **intended}
        both = {path: (asked.get(path, ABSENT), answered.get(path, ABSENT)) for path in {**asked, **answered}}
        wrong = {
            path: f"{ours!r} instead of {theirs!r}" for path, (theirs, ours) in both.items() if theirs != ours
        }
        differs = {
            path: f"{ours!r} instead of {original.get(path, ABSENT)!r}"
            for path, ours in intended.items()
            if original.get(path, ABSENT) != ours
        }
        self.rows.append(Row(name, len(both), differs, wrong))
        assert not wrong, "\n".join(f"{path}: {words}" for path, words in wrong.items())

    def lines(self) -> Iterator[str]:
        """The table as it is printed."""
        wide = max((len(row.name) for row in self.rows), default=0)
        for row in self.rows:
            yield f"{row.name:{wide}}  {row.fields:4} fields, {len(row.intended):2} on purpose, {len(row.wrong):2} wrong"
            for path, words in row.intended.items():
                yield f"{'':{wide}}    on purpose: {path}: {words}"
            for path, words in row.wrong.items():
                yield f"{'':{wide}}    WRONG: {path}: {words}"


TABLE = Table()
"""That of this run."""
