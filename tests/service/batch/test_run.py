"""`cxr batch` from without; the tests that start Ray take some seconds each."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest

import cxr
from service.answers.film_answer import answer_film
from tests.support import waiting
from tests.support.archive_films import PATIENT, write_archive
from tests.support.tiny_model import CLASS_NAMES, FILM, write_model
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    write_archive(tmp_path / "films")
    return tmp_path / "films"


@pytest.fixture(autouse=True)
def ray_files(monkeypatch) -> Iterator[None]:
    """A short path for Ray's files, which those that are killed here leave behind."""
    with TemporaryDirectory(prefix="cxr-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield


def arguments(archive: Path, out: Path, model: Path, *more: str) -> list[str]:
    return ["batch", str(archive), "--out", str(out), "--model", str(model), *more]


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cxr", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_until(ready: Callable[[], object], process: subprocess.Popen[str]) -> None:
    def is_ready_or_ended() -> object:
        assert process.poll() is None, process.communicate()[1]
        return ready()

    waiting.wait_until(is_ready_or_ended, seconds=600)


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Return Ray's processes that hold the model: grandchildren, by way of Ray's daemon."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = status.read_text().partition(" (")
        except OSError:  # it has ended meanwhile
            continue
        name, _, fields = rest.rpartition(") ")
        parents[int(number)] = name, int(fields.split()[1])
    return [
        number
        for number, (name, parent) in parents.items()
        if name.startswith("ray::Map") and parents[parent][1] == process.pid
    ]


def fill(pipe: Path, content: bytes, process: subprocess.Popen[str]) -> None:
    """Write to a pipe, once it is read."""

    def is_written() -> bool:
        try:
            opened = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        os.write(opened, content)
        os.close(opened)
        return True

    wait_until(is_written, process)


def test_killed_and_started_again_it_loses_no_film_and_scores_none_twice(
    archive: Path, model: Path, tmp_path: Path
):
    out, parts = tmp_path / "results.parquet", tmp_path / "results.parquet.parts"
    names = [f"{PATIENT}/film{number:02}.png" for number in range(20)] + ["broken.PNG", "pipe.png"]
    (archive / "manifest.csv").write_text("\n".join(["path", *names]))
    os.mkfifo(archive / "pipe.png")  # reading the last film waits
    command = arguments(archive / "manifest.csv", out, model, "--part-size=4", "--workers=1")

    first = started(*command)
    wait_until((parts / "00000005.begun").exists, first)
    first.kill()
    first.communicate()
    assert not out.exists()

    second = started(*command)
    wait_until(lambda: workers(second) and (parts / "00000005.begun").exists(), second)
    for worker in workers(second):
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda killed=worker: killed not in workers(second), second)
    fill(archive / "pipe.png", FILM, second)
    said = second.communicate()[1]
    assert second.returncode == 0, said
    assert "5 of 6 parts were scored before" in said
    assert "22 films: 21 answered, 0 of them refused and 0 undecided; 1 errors (unreadable" in said
    assert not parts.exists()
    assert_answered_as_alone(pq.read_table(out).to_pylist(), sorted(names), Explainer(model))


def assert_answered_as_alone(rows, names: list[str], explainer: Explainer) -> None:
    alone = answer_film(explainer, FILM).prediction().findings
    assert [row["path"] for row in rows] == names
    for row in rows:
        if row["path"] != "broken.PNG":
            found = [row[f"probability:{name}"] for name in CLASS_NAMES]
            assert found == pytest.approx([finding.probability for finding in alone], abs=1e-6)


@pytest.fixture
def cluster(monkeypatch) -> Iterator[tuple[str, Path]]:
    """Address of a Ray cluster of this machine alone, and the folder of Ray's files."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "0")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory(prefix="ray-") as folder:
        options = (
            f"--head --block --port={port} --num-cpus=2 --temp-dir={folder} --disable-usage-stats "
            "--include-dashboard=false --min-worker-port=0 --max-worker-port=0"
        )
        command = [Path(sys.executable).with_name("ray"), "start", *options.split()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as head:
            while head.poll() is None and b"runtime started" not in head.stdout.readline():
                pass
            yield f"127.0.0.1:{port}", Path(folder)
            head.terminate()
            head.communicate()


def test_a_cluster_scores_an_archive_and_its_logs_name_no_film(
    cluster: tuple[str, Path], archive: Path, model: Path, tmp_path: Path
):
    address, folder = cluster
    out = tmp_path / "results.parquet"
    done = started(*arguments(archive, out, model, "--address", address, "--part-size=10"))
    said = done.communicate()[1]
    assert done.returncode == 0, said
    assert "27 films; 3 other files are left out" in said
    assert Counter(pq.read_table(out)["format"].to_pylist())["dicom"] == 2
    logs = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert b"MapWorker" in logs
    assert PATIENT.encode() not in logs + said.encode()


def test_results_that_are_there_are_not_replaced_unasked(archive: Path, model, tmp_path, capsys):
    (tmp_path / "old.parquet").write_bytes(b"")
    assert cxr.main(arguments(archive, tmp_path / "old.parquet", model)) == 1
    assert "exists already; --overwrite replaces it" in capsys.readouterr().err


def test_an_address_without_a_listener_is_refused_at_once(archive, model, tmp_path, capsys):
    out = tmp_path / "results.parquet"
    assert cxr.main(arguments(archive, out, model, "--address", "127.0.0.1:1")) == 1
    assert "--address must be HOST:PORT of a running Ray" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["ray", "pyarrow"])
def test_without_ray_it_says_what_to_install(
    archive, model, tmp_path, capsys, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    assert cxr.main(arguments(archive, tmp_path / "results.parquet", model)) == 1
    assert f"the package {package} is missing" in (said := capsys.readouterr().err)
    assert "pip install '.[ray]'" in said


@pytest.mark.parametrize("option", ["--workers", "--threads", "--batch-size", "--part-size"])
def test_numbers_below_one_are_wrongly_given(archive, model, tmp_path, capsys, option: str):
    with pytest.raises(SystemExit, match="2"):
        cxr.main(arguments(archive, tmp_path / "results.parquet", model, option, "0"))
    assert "must be 1 or more, not 0" in capsys.readouterr().err


def test_help_needs_no_ray():
    script = "import sys, cxr, service.batch; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
