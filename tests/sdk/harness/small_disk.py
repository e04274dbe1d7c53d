"""A disk of a few MiB, which a test can fill and make room on."""

import os
import subprocess
from pathlib import Path

BLOCK = bytes(4096)


class SmallDisk:
    """A file system in memory, mounted on a folder; only root may do that."""

    def __init__(self, folder: Path, mib: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        self.refused = mounted.stderr.strip() if mounted.returncode else ""

    @property
    def ballast(self) -> Path:
        """What takes the room."""
        return self.folder / "ballast"

    def fill(self) -> None:
        """Takes all the room that is left."""
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                while file.write(BLOCK) == len(BLOCK):
                    pass
            except OSError:
                return

    def make_room(self) -> None:
        """Gives back what was taken."""
        self.ballast.unlink()

    def end(self) -> None:
        """Takes the disk away, whoever still has a file of it open."""
        if not self.refused:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)

    @staticmethod
    def why_not() -> str:
        """Why there can be none here; empty where there can."""
        if os.geteuid() != 0:
            return "only root can mount the small disk that this test fills"
        return ""
