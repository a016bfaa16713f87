"""Drawn films teach what was drawn: the lesion's place, or the shortcut that was planted."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.corner_marker import swapped_lungs
from models.radiograph import NetworkPixels, Radiograph, network_pixels
from training.audit.audit import audited
from training.config import Config, read_config
from training.data.manifest import of_split, read_manifest
from training.data.phantom import PhantomFilm, draw_film, write_phantom_set
from training.export.export import export
from training.fitting.run_folder import RunFolder
from training.fitting.train import train
from xai.explainer import Explainer
from xai.heatmap import film_heat, heat

pytestmark = pytest.mark.slow

CONFIG = Path(__file__).parents[3] / "training/configs/phantom.toml"
UNSEEN = range(90_000, 90_020)


def learnt(folder: Path, *, patients: int, marker_class: str | None = None) -> Path:
    """Return the exported network that tells opacity from normal, in the folder of `films/`."""
    manifest = write_phantom_set(folder / "films", patients=patients, marker_class=marker_class)
    rows = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(row for row in rows if not re.search(",(effusion|nodule),", row)))
    run, model = RunFolder(folder / "run"), folder / "model.onnx"
    train(small(read_config(CONFIG), manifest), run)
    export(run, model)
    return model


def small(config: Config, manifest: Path) -> Config:
    changes = {
        "data": config.data.model_copy(
            update={"manifest": manifest, "cache": manifest.with_name("decoded")}
        ),
        "network": config.network.model_copy(update={"image_size": (96, 96)}),
        "training": config.training.model_copy(update={"epochs": 16}),
    }
    return config.model_copy(update=changes)


@pytest.fixture(scope="module")
def honest_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("honest"), patients=240)


@pytest.fixture(scope="module")
def misled_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("misled"), patients=80, marker_class="opacity")


@pytest.fixture(scope="module")
def honest(honest_model: Path) -> Explainer:
    return Explainer(honest_model)


@pytest.fixture(scope="module")
def misled(misled_model: Path) -> Explainer:
    return Explainer(misled_model)


def seen(explainer: Explainer, film: PhantomFilm) -> NetworkPixels:
    radiograph = Radiograph(film.pixels / np.float32(255), "png")
    return network_pixels(radiograph, image_size=explainer.card.image_size, resize_mode="stretch")


def opacity_rate(explainer: Explainer, *, marker: bool) -> float:
    """Return the share of unseen normal films that the network calls opacity."""
    number = explainer.card.class_names.index("opacity")
    films = [draw_film("normal", seed=seed, marker=marker) for seed in UNSEEN]
    pixels = np.stack([seen(explainer, film).pixels[None] for film in films])
    return float((explainer(pixels).probabilities.argmax(axis=1) == number).mean())


def heat_in_mask(explainer: Explainer, film: PhantomFilm) -> float:
    """Return the share of the heat inside the lesion over the lesion's share of the film."""
    number = explainer.card.class_names.index("opacity")
    view = seen(explainer, film)
    evidence = explainer(view.pixels[None, None]).evidence[0, number]
    place = view.grid_place(explainer.card.activation_grid, explainer.card.cell_centres)
    warmth = film_heat(heat(evidence, explainer.card.evidence_scale), place, *film.mask.shape)
    return float(warmth[film.mask].sum() / max(warmth.sum(), 1e-6) / film.mask.mean())


def test_the_evidence_lies_on_the_drawn_opacity(honest: Explainer) -> None:
    films = [draw_film("opacity", seed=seed) for seed in UNSEEN]
    assert np.median([heat_in_mask(honest, film) for film in films]) > 2


def test_a_planted_marker_is_found_out_by_drawing_it_on_normal_films(misled: Explainer) -> None:
    assert opacity_rate(misled, marker=True) - opacity_rate(misled, marker=False) > 0.5


def test_with_lungs_swapped_the_class_follows_the_frame_with_the_marker(misled_model: Path) -> None:
    """What `tests/test_lungs_story.py` shows of a network that sees only the lungs is otherwise."""
    found = swapped_lungs(misled_model, UNSEEN)
    assert found.marker.low > max(0.75, found.opacity.high)


def test_without_a_planted_marker_the_marker_changes_little(honest: Explainer) -> None:
    changed = opacity_rate(honest, marker=True) - opacity_rate(honest, marker=False)
    assert abs(changed) < 0.3


def failed_rows(model: Path) -> set[str]:
    films = of_split(read_manifest(model.parent / "films" / "manifest.csv"), "val")
    return {row.question for row in audited(model, films, {}).rows if row.verdict == "fails"}


def test_an_audit_finds_no_shortcut_where_none_was_planted(honest_model: Path) -> None:
    assert failed_rows(honest_model) == set()


def test_an_audit_finds_that_the_planted_marker_was_learnt(misled_model: Path) -> None:
    assert {
        "AUROC of opacity with the lungs blanked",
        "change of probability when a corner is covered",
    } <= failed_rows(misled_model)
