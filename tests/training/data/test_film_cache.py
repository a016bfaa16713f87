"""Films are decoded once, whole or not at all, and workers change nothing."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.bright_spot import write_set
from tests.support.small_networks import small_network
from tests.support.waiting import wait_until
from training.config import AugmentationConfig
from training.data.augmentation import FilmAugmentation
from training.data.dataset import FilmDataset
from training.data.film_cache import FilmMemory
from training.data.manifest import Film, of_split, read_manifest
from training.data.whole_file import whole_file
from training.fitting.loop import TrainingRun
from training.training_config import TrainingConfig


@pytest.fixture
def films(tmp_path: Path) -> tuple[Film, ...]:
    return of_split(read_manifest(write_set(tmp_path / "films", films=8)), "train")


@pytest.fixture
def memory(tmp_path: Path) -> FilmMemory:
    return FilmMemory(tmp_path / "decoded", (64, 64), "stretch")


def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let decoding fail, so that it is noticed."""
    monkeypatch.setattr(FilmMemory, "_bytes", None)


def test_the_next_run_finds_the_films_decoded(
    films: tuple[Film, ...], memory: FilmMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(memory.pixels(films))
    unreadable(monkeypatch)
    again = memory.pixels(films)
    assert isinstance(again, np.memmap)
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, first)
    assert first.std() > 10


@pytest.mark.parametrize(
    "other",
    [{"image_size": (32, 64)}, {"resize_mode": "letterbox"}, {"crop_pct": 0.5}],
    ids=str,
)
def test_another_size_is_another_file(
    films: tuple[Film, ...], memory: FilmMemory, other: dict[str, object]
) -> None:
    memory.pixels(films)
    FilmMemory(**{**vars(memory), **other}).pixels(films)  # type: ignore[arg-type]
    assert len(list(memory.folder.glob("*.npy"))) == 2


def test_a_film_that_changed_is_decoded_again(films: tuple[Film, ...], memory: FilmMemory) -> None:
    before = np.array(memory.pixels(films))
    films[0].path.write_bytes(films[1].path.read_bytes())
    os.utime(films[0].path, (1, 1))
    after = memory.pixels(films)
    np.testing.assert_array_equal(after[0], before[1])


def test_a_kill_while_decoding_leaves_nothing_that_passes_for_whole(
    films: tuple[Film, ...], memory: FilmMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: FilmMemory, film: Film) -> np.ndarray:
        if film == films[2]:
            raise KeyboardInterrupt
        return np.full((64, 64), 7, np.uint8)

    with monkeypatch.context() as patched:
        patched.setattr(FilmMemory, "_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            memory.pixels(films)
    assert not list(memory.folder.glob("*.npy"))
    assert not (memory.pixels(films) == 7).all(axis=(1, 2)).any()


def test_of_several_that_want_a_file_one_writes_it(tmp_path: Path) -> None:
    """The second comes while the first one writes, waits, and reads what that one wrote."""
    file = tmp_path / "file.npy"
    pid = os.fork()
    if pid == 0:
        ready = tmp_path / "writing"
        whole_file(file, lambda path: (ready.touch(), _slowly(path, "child")))  # type: ignore[func-returns-value]
        os._exit(0)
    wait_until((tmp_path / "writing").exists)
    whole_file(file, lambda path: _slowly(path, "parent"))
    os.waitpid(pid, 0)
    assert file.read_text() == "child"


def _slowly(path: Path, text: str) -> None:
    time.sleep(0.2)
    path.write_text(text)


def shown(workers: int) -> list[torch.Tensor]:
    """Return what two epochs show of augmented films."""
    pixels = np.random.default_rng(0).integers(256, size=(8, 32, 32), dtype=np.uint8)
    films = FilmDataset(
        pixels, [0, 1, 2, 3] * 2, augmentation=FilmAugmentation(AugmentationConfig(blur=1))
    )
    config = TrainingConfig(epochs=2, batch_size=3, workers=workers)
    run = TrainingRun(small_network("vgg16", size=(32, 32)), config, films, films)
    return [seen for epoch in range(2) for seen, _ in run.step_films.batches(epoch)]


def test_workers_change_nothing_and_hear_of_the_epoch() -> None:
    alone, together = shown(0), shown(2)
    torch.testing.assert_close(together, alone, rtol=0, atol=0)
    assert not torch.equal(torch.cat(alone[:3]).sort(0)[0], torch.cat(alone[3:]).sort(0)[0])
