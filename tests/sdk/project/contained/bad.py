"""Containers that fail, never end, or harm where they run."""

from datetime import timedelta

from flytekit import ContainerTask, Resources, TaskMetadata, kwtypes
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile

from contained.values import FOLDERS, IMAGE, shell

says_why = shell("says_why", "echo 'no luck: 7' > /var/outputs/_ERROR; echo 1 > /var/outputs/x", outputs=kwtypes(x=int))
exits = shell("exits", "echo last words; exit 3", metadata=TaskMetadata(retries=1))
killed = shell("killed", "kill -9 $$")
forgets = shell("forgets", "true", outputs=kwtypes(x=int))
nonsense = shell("nonsense", "echo twelve > /var/outputs/x", outputs=kwtypes(x=int))
linked = shell("linked", "ln -s /etc/passwd /var/outputs/x", outputs=kwtypes(x=str))
linked_file = shell("linked_file", "ln -s /etc/passwd /var/outputs/x", outputs=kwtypes(x=FlyteFile))
linked_inside = shell(
    "linked_inside", "mkdir /var/outputs/x; ln -s /etc /var/outputs/x/etc", outputs=kwtypes(x=FlyteDirectory)
)
fifo = shell("fifo", "mkfifo /var/outputs/x", outputs=kwtypes(x=str))
folder = shell("folder", "mkdir /var/outputs/x", outputs=kwtypes(x=int))
too_long = shell("too_long", "head -c 2000 /dev/zero | tr '\\0' 1 > /var/outputs/x", outputs=kwtypes(x=int))
binary = shell("binary", "printf '\\377\\376' > /var/outputs/x", outputs=kwtypes(x=str))

never_ends = shell(
    "never_ends",
    "echo alive; (sleep 1000 &) ; sleep 1000",
    metadata=TaskMetadata(timeout=timedelta(seconds=2)),
)
floods = shell(
    "floods", "head -c 200000000 /dev/zero | tr '\\0' x; echo; echo end; echo 1 > /var/outputs/x", outputs=kwtypes(x=int)
)
forks = shell(
    "forks",
    "(setsid sh -c 'while true; do sleep 1; done' >/dev/null 2>&1 &) ; echo 1 > /var/outputs/x",
    outputs=kwtypes(x=int),
)
waits = shell(
    "waits",
    "echo begun; n=$(cat /var/inputs/n); while [ ! -e /var/gate/open ] && [ $n -gt 0 ]; do sleep 1; n=$((n-1)); done; "
    "echo $FLYTE_ATTEMPT_NUMBER > /var/outputs/x",
    inputs=kwtypes(n=int),
    outputs=kwtypes(x=int),
)
eats = shell(
    "eats",
    "exec awk 'BEGIN { s = \"xxxxxxxxxxxxxxxx\"; while (1) s = s s }'",
    outputs=kwtypes(x=int),
    limits=Resources(mem="64Mi", cpu="1"),
)
holds = shell(
    "holds",
    "exec awk 'BEGIN { s = \"xxxxxxxxxxxxxxxx\"; while (length(s) < 67108864) s = s s; while (1) i++ }'",
    outputs=kwtypes(x=int),
    limits=Resources(mem="1Gi", cpu="1"),
)
nowhere = ContainerTask(
    name="contained.nowhere", image="localhost/skein-test-nothing:1", command=["true"], **FOLDERS
)
no_command = ContainerTask(name="contained.no_command", image=IMAGE, command=["skein-no-such-command"], **FOLDERS)
climbs = ContainerTask(
    name="contained.climbs", image=IMAGE, command=["true"], input_data_dir="/var/../etc", output_data_dir="/var/outputs"
)
beside = ContainerTask(
    name="contained.beside",
    image=IMAGE,
    command=["/bin/sh", "-c", "echo 1 > /deep/er/out/x; echo 2 > /deep/er/out/../y"],
    outputs=kwtypes(x=int, y=int),
    input_data_dir="/in/side",
    output_data_dir="/deep/er/out",
)
given_list = shell("given_list", "true", outputs=kwtypes(x=list[int]))
