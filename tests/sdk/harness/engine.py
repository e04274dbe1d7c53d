"""A container engine of the tests' own: Podman's service on a socket, with images made of a busybox."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Optional

from harness.poll import until

END_SECONDS_MAX = 30
# What Podman needs inside a virtual machine without systemd and with cgroups of both versions. The limits are alike because
# Podman 4.3 takes one for the other behind Docker's API.
SETTINGS = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
oom_score_adj = 0
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""
BOX = "localhost/skein-test-box:1"
APPLETS = (
    "sh cat echo sleep tee wc cp mkdir ls ln mkfifo head tail tr true yes printf awk touch env grep kill setsid seq"
).split()


def missing() -> Optional[str]:
    """Why there can be no engine here; none when there can."""
    absent = [name for name in ("podman", "runc", "busybox") if shutil.which(name) is None]
    if absent:
        return f"container engine tests need {', '.join(absent)}: apt-get install podman runc busybox-static"
    if os.geteuid() != 0:
        return "container engine tests need root"
    return None


class Engine:
    """One service, with storage of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "engine.sock"
        self.process: Optional["subprocess.Popen[bytes]"] = None

    @property
    def variables(self) -> dict[str, str]:
        """The variable by which a server finds it."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def _command(self, *words: str) -> list[str]:
        storage = ["--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]
        return ["podman", *storage, *words]

    def _environment(self) -> dict[str, str]:
        settings = self.folder / "containers.conf"
        settings.write_text(SETTINGS, encoding="utf-8")
        return {**os.environ, "CONTAINERS_CONF": str(settings)}

    def __call__(self, *words: str) -> str:
        """Runs Podman's own command line on the same storage."""
        done = subprocess.run(
            self._command(*words), capture_output=True, text=True, env=self._environment(), timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> "Engine":
        """Starts the service, with the image that the tasks of the tests ask for."""
        self.image(BOX, {})
        self.process = subprocess.Popen(
            self._command("system", "service", "--time=0", f"unix://{self.socket}"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment(),
        )
        until("the container engine answers", self._answers)
        return self

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(END_SECONDS_MAX)
                probe.connect(str(self.socket))
                probe.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
                return b" 200 " in probe.recv(64)
        except OSError:
            return False

    def image(self, name: str, scripts: dict[str, str], folder: str = "/") -> None:
        """Makes an image of a busybox and some scripts, by their paths; commands begin in `folder`."""
        root = self.folder / "image"
        shutil.rmtree(root, ignore_errors=True)
        for path in ("bin", "tmp", "var", "etc"):
            (root / path).mkdir(parents=True)
        busybox = shutil.which("busybox")
        assert busybox is not None, "it was looked for before"
        shutil.copy(busybox, root / "bin/busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        for path, script in scripts.items():
            file = root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(script, encoding="utf-8")
            file.chmod(0o755)
        archive = self.folder / "image.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        self("import", "--change", f"WORKDIR={folder}", str(archive), name)

    def containers(self) -> list[str]:
        """The containers that there are, whether they run or not."""
        return self("ps", "--all", "--quiet").split()

    def end(self) -> None:
        """Ends the service and what it ran, and unmounts what that left."""
        self("rm", "--all", "--force", "--time", "0")
        if self.process is not None:
            self.process.terminate()
            self.process.wait(END_SECONDS_MAX)
        subprocess.run(["umount", "--lazy", str(self.folder / "root/overlay")], capture_output=True, check=False)
