"""What a config says of films reaches the data sets: boxes, origins, films held out."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.bright_spot import config, write_set
from tests.support.training_tables import merged
from training.config import Config
from training.data.manifest import read_manifest
from training.data.split import split_sha256, training_data
from training.fitting.start import checked_films, datasets


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return the manifest of 32 films; those of every second pair are of another source."""
    manifest = write_set(tmp_path / "films", films=32)
    head, *rows = manifest.read_text().splitlines()
    other = [row.replace("drawn", "seen") if n // 8 % 2 else row for n, row in enumerate(rows)]
    manifest.write_text("\n".join([head, *other]) + "\n")
    return manifest


def test_boxes_and_origins_reach_the_training_films_alone(manifest: Path) -> None:
    boxes = manifest.with_name("boxes.csv")
    boxes.write_text("path,x,y,width,height\n1.png,0,0,32,64\n5.png,0,0,9,9\n")
    data = {"boxes": boxes, "origins": {"both": ["drawn", "seen"]}}
    fields = merged(config(manifest).model_dump(), {"data": data, "training": {"evidence": {}}})
    fields["training"]["sampling"] = {"by": "class_and_origin"}
    own = Config.model_validate(fields)
    train, val, _ = datasets(own, checked_films(own))
    assert set(train.sources) == set(val.sources) == {"both"}
    assert val[0][0].shape == (1, 64, 64)
    barred = np.stack([train[number][0][1].numpy() for number in range(len(train))])
    (boxed,) = np.flatnonzero(barred.any(axis=(1, 2)))  # 5.png is of val
    assert train.targets[int(boxed)] == 1
    assert train.barred is not None
    assert 0.4 < (train.barred[int(boxed)] == 255).mean() < 0.6


def test_a_run_with_an_origin_held_out_says_so_and_finds_its_films_again(manifest: Path) -> None:
    fields = merged(config(manifest).model_dump(), {"data": {"hold_out": "seen"}})
    own = Config.model_validate(fields)
    films = checked_films(own)
    data = training_data(films, own)
    assert data.films == {"train": 8, "val": 16, "test": 8}
    assert data.description.endswith(
        "Films of seen chose epoch and thresholds, and taught nothing."
    )
    assert data.split_sha256 != split_sha256(read_manifest(manifest))
    train, val, _ = datasets(own, films)
    assert (len(train), len(val)) == (8, 16)
    assert "seen" not in train.sources
