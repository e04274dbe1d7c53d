"""Writes every descriptor of the installed flyteidl and union packages to stdout, as one FileDescriptorSet.

What is installed goes to stderr, for the message of a test that fails.
"""

import importlib
import os
import pathlib
import sys
from importlib.metadata import version

os.environ["UNION_USAGE_STATS_ENABLED"] = "0"

import flyteidl
import union
from google.protobuf.descriptor_pb2 import FileDescriptorSet


def modules(package, folder):
    """The dotted names of all generated modules under a folder of a package."""
    root = pathlib.Path(package.__path__[0])
    for path in sorted((root / folder).rglob("*_pb2.py")):
        yield ".".join((package.__name__, *path.relative_to(root).with_suffix("").parts))


def main():
    descriptors = FileDescriptorSet()
    for name in (*modules(flyteidl, "."), *modules(union, "internal")):
        importlib.import_module(name).DESCRIPTOR.CopyToProto(descriptors.file.add())
    installed = (f"{name} {version(name)}" for name in ("flytekit", "flyteidl", "union"))
    print(", ".join(installed), file=sys.stderr)
    sys.stdout.buffer.write(descriptors.SerializeToString())


main()
