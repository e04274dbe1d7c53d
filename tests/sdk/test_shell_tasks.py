"""Shell tasks: item 62 of the conformance checklist."""

from pathlib import Path

from harness import cli as command_lines
from harness.client import Client, require_success
from harness.server import Skein
from harness.settings import FOLDER, VERSION

EXAMPLES = FOLDER.parent.parent / "examples"


def test_062_shell_tasks_have_their_files_interpolated_and_returned(union_server: Skein, tmp_path: Path) -> None:
    """ShellTask inputs and output files are interpolated and returned: the user guide's three tasks, as they stand."""
    union = command_lines.union(union_server, tmp_path)
    union.register("spec/shell_tasks", version=VERSION, folder=EXAMPLES).expect_success()
    client = Client(union_server)
    plan = client.remote.fetch_launch_plan(name="spec.shell_tasks.shell_tasks.shell_task_wf", version=VERSION)
    execution = client.wait(client.remote.execute(plan, inputs={}), nodes=True)
    require_success(execution)
    nodes = execution.node_executions
    written = Path(str(nodes["n1"].outputs["i"].download())).read_text()
    assert written == "Showcasing shell tasks.\nFound it!\n", "grep found what was written just before"
    archive = Path(str(nodes["n2"].outputs["j"].download()))
    assert archive.name.endswith(".tar.gz") and archive.read_bytes()[:2] == b"\x1f\x8b"
    counted = Path(str(execution.outputs["o0"].download())).read_text().strip()
    assert counted.isdigit()
