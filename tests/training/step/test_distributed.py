"""Two processes that torchrun starts train as one does on the same films."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.bright_spot import write_config, write_set
from tests.support.two_processes import TRAININGS, finished, started
from training.config import read_config
from training.fitting.run_folder import RunFolder
from training.fitting.train import train
from training.step.distributed import Processes

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[3]
UNCHANGED = """
rotation = 0
shift = 0
zoom = 0
contrast = 0
brightness = 0
"""


def torchrun(*command: str | Path) -> subprocess.Popen[str]:
    """Start a module in two processes, one thread each."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*start, "-m", "--", *map(str, command)],
        cwd=CHECKOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> str:
    """Return what the processes said, once they have ended well."""
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def records(run: Path) -> list[dict[str, float]]:
    metrics = RunFolder(run).metrics
    return (
        [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
    )


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What two processes found in all the small trainings."""
    file = tmp_path_factory.mktemp("together") / "found.pt"
    output(torchrun("tests.support.two_processes", file))
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_train_as_one(name: str, together: dict[str, dict[str, Any]]) -> None:
    training, found = TRAININGS[name], together[name]
    alone = finished(started(training, **training.alone))
    assert found["losses"] == pytest.approx(alone["losses"], rel=1e-6)
    for kept in ("network", "average"):
        weights = {n: v for n, v in alone[kept].items() if n.endswith(("weight", "bias"))}
        torch.testing.assert_close(
            {n: found[kept][n] for n in weights}, weights, rtol=1e-5, atol=1e-7
        )
    start = started(training, **training.alone).network.head.weight
    assert (found["network"]["head.weight"] - start).abs().max() > 1e-3


@pytest.mark.parametrize("name", [name for name in TRAININGS if "live" not in name])
def test_both_validate_on_all_films(name: str, together: dict[str, dict[str, Any]]) -> None:
    training = TRAININGS[name]
    alone = finished(started(training, **training.alone))["history"]
    for one, two in zip(together[name]["history"], alone, strict=True):
        assert one == pytest.approx(two, rel=1e-5)


def test_one_process_goes_on_where_two_stopped(
    together: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    torch.save({**together["vit_b16"]}, tmp_path / "last.pt")
    run = started(TRAININGS["vit_b16"], epochs=3)
    run.state.restore(tmp_path / "last.pt")
    assert [record["epoch"] for record in run.epochs()] == [2]


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config without augmentation; 20 films make a step of 12 and one of 8.

    In float64: AdamW divides by the gradient's size, and so enlarges the rounding of small ones.
    """
    file = write_config(write_set(tmp_path_factory.mktemp("films"), films=40), epochs=3)
    text = file.read_text().replace("jpeg = 0.2", f"jpeg = 0{UNCHANGED}")
    file.write_text(text + '\n[training.gradients]\nprecision = "float64"\n')
    return file


@pytest.fixture(scope="module")
def whole_run(config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run by torchrun, and what it said."""
    run = tmp_path_factory.mktemp("whole")
    return run, output(torchrun("training", config_file, "--run", run, "--device", "cpu"))


def test_torchrun_gives_the_loss_curve_of_two_passes_normalised_apart(
    config_file: Path, whole_run: tuple[Path, str], tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    text = config_file.read_text()
    file.write_text(text.replace("batch_size = 12", "batch_size = 6\ngrad_accum_steps = 2"))
    train(read_config(file), RunFolder(tmp_path / "alone"))
    losses = [record["train_loss"] for record in records(tmp_path / "alone")]
    assert [record["train_loss"] for record in records(whole_run[0])] == pytest.approx(
        losses, rel=1e-6
    )


def test_one_process_speaks_for_all(whole_run: tuple[Path, str]) -> None:
    assert whole_run[1].count("epoch   3: train loss") == 1
    assert whole_run[1].count("next: cxr export") == 1


def test_torchrun_killed_and_started_again_ends_with_the_same_metrics(
    config_file: Path, whole_run: tuple[Path, str], tmp_path: Path
) -> None:
    command = ("training", config_file, "--run", tmp_path, "--device", "cpu")
    killed = torchrun(*command)
    while not records(tmp_path) and killed.poll() is None:
        time.sleep(0.02)
    killed.send_signal(signal.SIGTERM)
    killed.communicate()
    assert 1 <= len(records(tmp_path)) < 3
    said = output(torchrun(*command))
    assert "resuming after epoch" in said
    assert records(tmp_path) == records(whole_run[0])


def test_passes_of_all_processes_cover_the_step_once() -> None:
    for films in (1, 2, 5, 12):
        for count in (1, 2, 3, 4):
            for wanted in (1, 2, 3):
                own = [Processes(count, rank).passes(films, wanted) for rank in range(count)]
                shown = [film for passes in own for one in passes for film in one]
                assert shown == list(range(films))
                assert len({len(one) for one in own}) == 1


def test_shares_of_all_processes_begin_with_every_film_in_order() -> None:
    shares = [Processes(3, rank).share(7) for rank in range(3)]
    assert shares == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]


def test_more_processes_show_no_pass_more_films_than_batch_size() -> None:
    for rank in range(2):
        assert max(map(len, Processes(2, rank).passes(96, 3))) <= 32
