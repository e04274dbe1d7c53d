"""Tasks that ask for something of the machine, and tell what they got."""

import multiprocessing
import os

from flytekit import Resources, map_task, task, workflow
from flytekit.extras.accelerators import A100, T4

from workflows import witness

MIB = 1 << 20


def _visible() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "not set")


def _hold(mib: int) -> int:
    """Holds as much memory, every page of it written to."""
    return len(bytearray(b"x") * (mib * MIB)) // MIB


@task
def on_any() -> str:
    """Asks for nothing."""
    return _visible()


@task(environment={"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
def on_its_own_word() -> str:
    """Asks for nothing, and says that it sees everything."""
    return _visible()


@task(limits=Resources(gpu="1"), accelerator=T4)
def on_t4(name: str) -> str:
    """Tells which device it has, and keeps it until its gate is opened."""
    if name:
        witness.note("has", name, _visible(), os.getpid())
        witness.pass_gate(name)
    return _visible()


@task(limits=Resources(gpu="2"), accelerator=T4)
def on_two() -> str:
    """Has two of a kind."""
    return _visible()


@task(limits=Resources(gpu="9"), accelerator=T4)
def on_nine() -> str:
    """Asks for more than there are."""
    return _visible()


@task(limits=Resources(gpu="1"), accelerator=A100)
def on_a100() -> str:
    """Asks for a kind, whole or cut."""
    return _visible()


@task(limits=Resources(gpu="1"), accelerator=A100.partition_2g_10gb)
def on_part() -> str:
    """Asks for a part."""
    return _visible()


@task(limits=Resources(gpu="1"), accelerator=A100.unpartitioned)
def on_whole() -> str:
    """Asks for a whole device."""
    return _visible()


@workflow
def elsewhere() -> tuple[str, str]:
    """The same task twice, once on another kind of device and on two of them."""
    first = on_a100()
    second = on_a100().with_overrides(limits=Resources(gpu="2"), accelerator=T4)
    return first, second


@task(shared_memory="2Gi", limits=Resources(mem="256Mi", ephemeral_storage="1Gi"))
def sharing() -> bool:
    """Asks for a volume in memory, and has one."""
    return os.path.isdir("/dev/shm")


@task(limits=Resources(gpu="1"), accelerator=T4)
def one_of(value: int) -> str:
    """An item of a map that has a device."""
    witness.note("begin", str(value), _visible())
    witness.note("end", str(value), _visible())
    return _visible()


@workflow
def mapped(values: list[int]) -> list[str]:
    """A map whose every item asks for a device."""
    return map_task(one_of)(value=values)


@task(limits=Resources(mem="256Mi"), retries=1)
def hungry(mib: int) -> int:
    """Holds some MiB."""
    witness.note("hungry", str(mib))
    return _hold(mib)


@task(limits=Resources(mem="256Mi"))
def hungry_fresh(mib: int) -> int:
    """Holds some MiB, in an interpreter of its own."""
    return _hold(mib)


@task(limits=Resources(mem="256Mi"))
def hungry_reuse(mib: int) -> int:
    """Holds some MiB, in a process that runs others before and after; tells which."""
    _hold(mib)
    return os.getpid()


@task(limits=Resources(cpu="500m", mem="256Mi"))
def groups() -> str:
    """Tells which control groups it is in."""
    with open("/proc/self/cgroup", encoding="utf-8") as told:
        return told.read()


@task(limits=Resources(mem="256Mi"))
def parent_of_hungry(mib: int) -> int:
    """Has another process hold some MiB, and fails when that one does."""
    child = multiprocessing.get_context("fork").Process(target=_hold, args=(mib,))
    child.start()
    child.join()
    if child.exitcode != 0:
        raise RuntimeError(f"the other ended with {child.exitcode}")
    return mib


@task(requests=Resources(mem="160Mi"))
def modest(mib: int) -> int:
    """Holds some MiB, and asks for little."""
    return _hold(mib)


@task(limits=Resources(mem="256Mi"))
def hungry_item(mib: int) -> int:
    """An item that holds some MiB."""
    return _hold(mib)


@workflow
def hungry_map(values: list[int]) -> list[int]:
    """A map of such items."""
    return map_task(hungry_item)(mib=values)


@workflow
def overridden(mib: int) -> tuple[int, int]:
    """The same task twice, once with more memory."""
    more = modest(mib=mib).with_overrides(requests=Resources(mem="192Mi"), limits=Resources(mem="1Gi"))
    less = modest(mib=1)
    return more, less


@workflow
def overridden_map(values: list[int]) -> list[int]:
    """A map whose items have more memory than their task says."""
    return map_task(hungry_item)(mib=values).with_overrides(limits=Resources(mem="1Gi"))


@task(requests=Resources(mem="900Ti", cpu="1"))
def immense(name: str) -> str:
    """Asks for more memory than any machine of a test has."""
    witness.pass_gate(name)
    return name
