"""Control groups of both versions, drawn as files."""

from pathlib import Path

import pytest

from xai.runtime import processors
from xai.runtime.processors import available_cpus


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(processors, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(processors, "OWN_CONTROL_GROUPS", tmp_path / "own")
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


def limit(group: Path, **files: str) -> None:
    group.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (group / f"cpu.{name}").write_text(text + "\n")


def test_without_control_groups_the_affinity_counts(groups: Path):
    assert available_cpus() == 8


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [("max 100000", 8), ("400000 100000", 4), ("150000 100000", 2), ("50000 100000", 1)],
)
def test_a_quota_of_version_2_is_whole_cpus_and_at_least_one(groups: Path, quota: str, cpus: int):
    limit(groups, max=quota)
    assert available_cpus() == cpus


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 8), ("300000", 3), ("50000", 1)])
def test_a_quota_of_version_1_counts_as_well(groups: Path, quota: str, cpus: int):
    limit(groups / "cpu", cfs_quota_us=quota, cfs_period_us="100000")
    assert available_cpus() == cpus


def test_the_tightest_of_the_groups_around_a_process_counts(groups: Path):
    (groups / "own").write_text("0::/pods/pod7/server\n")
    limit(groups / "pods", max="600000 100000")
    limit(groups / "pods" / "pod7", max="200000 100000")
    limit(groups / "pods" / "pod7" / "server", max="max 100000")
    assert available_cpus() == 2


def test_groups_of_version_1_are_those_that_limit_cpus(groups: Path):
    (groups / "own").write_text("5:memory:/other\n4:cpu,cpuacct:/docker/abc\n0::/\n")
    limit(groups / "cpu" / "other", cfs_quota_us="100000", cfs_period_us="100000")
    limit(groups / "cpu" / "docker" / "abc", cfs_quota_us="500000", cfs_period_us="100000")
    assert available_cpus() == 5


def test_a_path_of_the_hosts_that_a_container_does_not_see_is_passed_over(groups: Path):
    (groups / "own").write_text("0::/system.slice/docker-abc.scope\n")
    limit(groups, max="300000 100000")
    assert available_cpus() == 3
