"""Count the CPUs that this process may use, since ONNX Runtime ignores a container's limits."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_CONTROL_GROUPS = Path("/proc/self/cgroup")
"""One line for each control group, "number:controllers:path"; in version 2, without controllers."""


def available_cpus() -> int:
    """Return the number of CPUs this process may use, by affinity and by the container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min([cpus, *_quotas()])


def _quotas() -> Iterator[int]:
    """Yield the number of whole CPUs, at least 1, that each limit on this process allows."""
    for limit in _limits():
        match limit.split():
            case [quota, period] if quota.isdecimal():  # not "max", nor -1
                yield max(1, math.ceil(int(quota) / int(period)))


def _limits() -> Iterator[str]:
    """Yield "quota period", or "max" or -1 for no limit, of the control groups of both versions."""
    for group in _own_groups():
        yield _text(CONTROL_GROUPS / group / "cpu.max")
        first_version = CONTROL_GROUPS / "cpu" / group
        quota = _text(first_version / "cpu.cfs_quota_us")
        yield f"{quota} {_text(first_version / 'cpu.cfs_period_us')}"


def _own_groups() -> set[PurePosixPath]:
    """Return the paths of this process's control groups and of all that contain them.

    The outermost is always included: a container without its own namespace gets the host's path,
    but sees its own group as the outermost.
    """
    own = [PurePosixPath("/")]
    for line in _text(OWN_CONTROL_GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            own.append(PurePosixPath(path))
    return {outer.relative_to("/") for group in own for outer in (group, *group.parents)}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
