"""What the shape of the lungs tells is found, and nothing where it tells nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import cxr
from tests.support.bright_spot import write_config, write_set
from tests.support.drawn_lungs import MASK, drawn_mask, ellipses
from training.audit.outline_alone import OutlineRow, outline_rows, shape_figures

FILMS = 80
CLASSES = ["normal", "pneumonia"] * (FILMS // 2)
SOURCES = ["clinic"] * (FILMS // 2) + ["web"] * (FILMS // 2)
GROUPS = [f"p{film // 2}" for film in range(FILMS)]
DRAWN = torch.cat([drawn_mask(seed) for seed in range(FILMS)])[:, 0]


def rows(masks: torch.Tensor) -> dict[str, OutlineRow]:
    found = (255 * masks).round().byte().numpy()
    told = outline_rows(
        shape_figures(found), classes=CLASSES, origins=SOURCES, sources=SOURCES, groups=GROUPS
    )
    return {row.question: row for row in told}


@pytest.fixture(scope="module")
def unplanted() -> dict[str, OutlineRow]:
    return rows(DRAWN)


def test_lungs_that_are_drawn_alike_tell_nothing(unplanted: dict[str, OutlineRow]) -> None:
    assert list(unplanted) == [
        "within clinic: pneumonia against normal",
        "within web: pneumonia against normal",
        "source of all films",
        "source, among films of normal",
        "source, among films of pneumonia",
    ]
    assert np.mean([row.auroc.estimate for row in unplanted.values()]) == pytest.approx(
        0.5, abs=0.1
    )
    told = [row for row in unplanted.values() if not row.auroc.low < 0.5 < row.auroc.high]
    assert len(told) <= 1  # one of five intervals of 95 % may miss
    for row in unplanted.values():
        assert row.auroc.low < 0.6
        assert row.accuracy.low < 0.6
        assert row.majority == 0.5


def test_a_source_that_cuts_lungs_short_is_told_by_them(unplanted: dict[str, OutlineRow]) -> None:
    short = DRAWN.clone()
    short[FILMS // 2 :, 40:] = 0
    found = rows(short)
    for question in ("source of all films", "source, among films of normal"):
        assert found[question].auroc.low > 0.9
        assert found[question].accuracy.low > found[question].majority
    within = "within web: pneumonia against normal"
    assert found[within].auroc.low < 0.6


def test_a_class_with_one_short_lung_is_told_within_its_origin() -> None:
    short = DRAWN.clone()
    short[1::2, 36:, 32:] = 0
    assert rows(short)["within clinic: pneumonia against normal"].auroc.low > 0.9


def test_what_has_too_few_films_is_not_asked() -> None:
    classes = ["normal"] * (FILMS - 9) + ["pneumonia"] * 9
    features = np.random.default_rng(0).normal(size=(FILMS, 3)).astype(np.float32)
    alone = ["clinic"] * (FILMS - 2) + ["web"] * 2
    told = outline_rows(features, classes=classes, origins=SOURCES, sources=alone, groups=GROUPS)
    assert list(told) == []


def test_a_shape_is_the_same_wherever_the_lungs_are_and_however_large() -> None:
    large, small = (
        (255 * ellipses(*lungs)[0]).round().byte().numpy()
        for lungs in (
            ((0.5, 0.3, 0.32, 0.12), (0.5, 0.7, 0.32, 0.12)),
            ((0.4, 0.25, 0.24, 0.09), (0.4, 0.55, 0.24, 0.09)),
        )
    )
    assert shape_figures(large) == pytest.approx(shape_figures(small), abs=0.12)


def test_a_film_without_lungs_has_finite_figures() -> None:
    assert np.isfinite(shape_figures(np.zeros((1, *MASK), np.uint8))).all()


def test_the_command_tells_it_of_the_train_films_of_a_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, file = write_config(write_set(tmp_path)), tmp_path / "told.json"
    assert cxr.main(["lung-field", "--alone", str(config), "--json", str(file)]) == 0
    assert "within drawn: spot against normal" in capsys.readouterr().out
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["films"], row["majority"]) == (48, 0.5)
