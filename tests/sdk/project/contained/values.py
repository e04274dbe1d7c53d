"""Containers that take and give values of every type."""

from datetime import datetime, timedelta
from typing import Optional

from flytekit import ContainerTask, kwtypes, workflow
from flytekit.core.base_task import TaskMetadata
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile

IMAGE = "localhost/skein-test-box:1"
FOLDERS = {"input_data_dir": "/var/inputs", "output_data_dir": "/var/outputs"}


def shell(name: str, script: str, **more: object) -> ContainerTask:
    """A container that runs one script."""
    return ContainerTask(name=f"contained.{name}", image=IMAGE, command=["/bin/sh", "-c", script], **{**FOLDERS, **more})


greet = shell(
    "greet",
    "echo 'Hello, my name is {{.inputs.name}}.' | tee -a /var/outputs/greeting",
    inputs=kwtypes(name=str),
    outputs=kwtypes(greeting=str),
)

kept = shell(
    "kept",
    "date +%s%N > /var/outputs/at",
    inputs=kwtypes(salt=str),
    outputs=kwtypes(at=str),
    metadata=TaskMetadata(cache=True, cache_version="1.0"),
)

files = shell(
    "files",
    "mkdir /var/outputs/d/inner -p; cat /var/inputs/f > /var/outputs/d/inner/copy; "
    "wc -c < /var/inputs/f > /var/outputs/n; cat /var/inputs/d/* > /var/outputs/g",
    inputs=kwtypes(f=FlyteFile, d=FlyteDirectory),
    outputs=kwtypes(n=int, d=FlyteDirectory, g=FlyteFile),
)

TYPES = kwtypes(
    i=int, f=float, b=bool, s=str, t=datetime, d=timedelta, o=dict, m=Optional[int], n=Optional[int]
)

every_type = shell(
    "every_type",
    "cd /var/inputs; for v in i f b s t d o m; do cat $v > /var/outputs/$v; echo >> /var/outputs/$v; done; cat n",
    inputs=TYPES,
    outputs=TYPES,
)

lenient = shell(
    "lenient",
    "cd /var/outputs; printf ' 42\\n\\n' > i; echo 1e-3 > f; echo True > b; echo '  text ' > s",
    outputs=kwtypes(i=int, f=float, b=bool, s=str),
)

LISTED = kwtypes(x=int, y=list[str], z=FlyteFile)
LIST = "cd /var/inputs; ls > /var/outputs/files; cat inputs.json inputs.yaml > /var/outputs/listed 2>/dev/null; cat y/1 > /var/outputs/second"
GIVEN = kwtypes(files=str, listed=str, second=str)

listed_json = shell("listed_json", LIST, inputs=LISTED, outputs=GIVEN)
listed_yaml = shell(
    "listed_yaml", LIST, inputs=LISTED, outputs=GIVEN, metadata_format=ContainerTask.MetadataFormat.YAML
)
listed_proto = shell(
    "listed_proto", LIST, inputs=LISTED, outputs=GIVEN, metadata_format=ContainerTask.MetadataFormat.PROTO
)

variables = shell(
    "variables",
    "echo $OWN $FLYTE_INTERNAL_EXECUTION_ID $FLYTE_ATTEMPT_NUMBER $MORE > /var/outputs/v; env | grep -c ^SKEIN > /var/outputs/n; true",
    outputs=kwtypes(v=str, n=int),
    environment={"OWN": "own"},
)

arguments = ContainerTask(
    name="contained.arguments",
    image=IMAGE,
    command=["/bin/sh", "-c"],
    arguments=['printf "%s|" "$@" > /var/outputs/v', "sh", "{{.inputs.x}}", "", "{{.inputs.l}}", "{{.Other}}", "a b"],
    inputs=kwtypes(x=str, l=list[int]),
    outputs=kwtypes(v=str),
    **FOLDERS,
)

elsewhere = ContainerTask(
    name="contained.elsewhere",
    image=IMAGE,
    command=["/bin/sh", "-c", "cat /in/side/x > /deep/er/out/y"],
    inputs=kwtypes(x=str),
    outputs=kwtypes(y=str),
    input_data_dir="/in/side",
    output_data_dir="/deep/er/out",
)

@workflow
def between(name: str = "a") -> str:
    """A container's output is the input of another."""
    return greet(name=greet(name=name))
