"""Virtual environments that have what another has, and are told apart by where they are."""

import subprocess
from pathlib import Path

SITE = "import site; print(site.getsitepackages()[0])"


def alike(python: Path, folder: Path) -> Path:
    """Makes one in `folder` that finds the packages of `python`."""
    subprocess.run([str(python), "-m", "venv", "--without-pip", str(folder)], check=True)
    shared = subprocess.run([str(python), "-c", SITE], capture_output=True, text=True, check=True).stdout
    [packages] = folder.glob("lib/python3*/site-packages")
    (packages / "shared.pth").write_text(shared, encoding="utf-8")
    return folder
