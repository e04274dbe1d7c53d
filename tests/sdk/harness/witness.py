"""The other end of what the tasks leave behind: their lines, and the gates they wait at."""

from pathlib import Path


class Witness:
    """A file that tasks append lines to, and a folder of gates."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "witness.txt"
        self.gates = folder / "gates"
        self.gates.mkdir(parents=True, exist_ok=True)

    @property
    def variables(self) -> dict[str, str]:
        """The variables that a task needs to find both."""
        return {"WITNESS": str(self.file), "GATES": str(self.gates)}

    def open(self, gate: str) -> None:
        """Lets every task through that waits, or will wait, at `gate`."""
        (self.gates / gate).touch()

    def lines(self, first_word: str = "") -> list[list[str]]:
        """All lines so far, each as its words, or those that begin with one word."""
        if not self.file.exists():
            return []
        lines = [line.split() for line in self.file.read_text(encoding="utf-8").splitlines()]
        return [words for words in lines if not first_word or words[0] == first_word]
