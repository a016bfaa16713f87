"""The story of films with several findings: learn, export, measure, serve, find each in the map."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

import cxr
from models import architectures
from models.card import ModelCard
from models.checkpoint import load_checkpoint
from models.chest_cnn import ChestCNN
from service.app import create_app
from service.settings import Settings
from tests.support.bright_shapes import (
    CORNERS,
    FINDINGS,
    SHAPE,
    Places,
    film,
    write_config,
    write_set,
)
from tests.test_story import explained, hottest_pixel
from training.data.manifest import read_manifest
from xai.explainer import Explainer

pytestmark = pytest.mark.slow


class NarrowChestCNN(ChestCNN):
    """One narrow block per stage: enough for shapes."""

    widths = (24, 32, 48, 64)
    blocks_per_stage = 1


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Build a small network under the real one's name."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(architectures, "ChestCNN", NarrowChestCNN)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where films, run and model lie."""
    folder = tmp_path_factory.mktemp("shapes")
    config = write_config(write_set(folder))
    assert cxr.main(["train", str(config), "--run", str(folder / "run")]) == 0
    exported = ["export", str(folder / "run"), "-o", str(folder / "shapes_cnn.onnx"), "--test"]
    assert cxr.main(exported) == 0
    return folder


@pytest.fixture(scope="module")
def explainer(folder: Path) -> Explainer:
    return Explainer(folder / "shapes_cnn.onnx")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(
        create_app(Settings(models=folder / "shapes_cnn.onnx", own_models=False))
    ) as client:
        yield client


@pytest.mark.parametrize(
    "places",
    [
        {},
        {"hole": CORNERS[3]},
        {"spot": CORNERS[0], "stripes": CORNERS[2]},
        {"spot": CORNERS[1], "hole": CORNERS[2], "stripes": CORNERS[0]},
    ],
)
def test_each_finding_is_called_on_its_own_and_found_in_its_map(
    client: TestClient, places: Places
) -> None:
    answer = explained(client, film(1000, places))
    assert answer["predicted_class"] is None
    called = {f["class_name"] for f in answer["findings"] if f["probability"] >= f["threshold"]}
    assert called == set(places)
    for finding, (row, column) in places.items():
        middle = (column + SHAPE / 2, row + SHAPE / 2)
        assert hottest_pixel(answer, finding) == pytest.approx(middle, abs=16)


def test_the_probabilities_in_the_file_are_sigmoids_and_do_not_add_up(explainer: Explainer) -> None:
    places = {"spot": CORNERS[0], "hole": CORNERS[3], "stripes": CORNERS[1]}
    answers = explainer((film(1, places) / np.float32(255))[None, None])
    expected = 1 / (1 + np.exp(-answers.logits / explainer.card.temperature))
    np.testing.assert_allclose(answers.probabilities, expected, atol=1e-6)
    assert answers.probabilities.sum() > 1.5


def test_evidence_is_the_networks_own_not_centred_over_findings(
    folder: Path, explainer: Explainer
) -> None:
    network, spec = load_checkpoint(folder / "run/best")
    pixels = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        activations = network.eval().features(pixels)
    expected = torch.einsum("kc,bcrs->bkrs", network.head.weight.detach() / 16, activations)
    assert spec.task == "multilabel"
    np.testing.assert_allclose(
        explainer(pixels.numpy()).evidence, expected, atol=1e-4 * float(expected.abs().max())
    )


def test_the_card_holds_figures_of_each_finding_and_none_of_confusion(folder: Path) -> None:
    card = ModelCard.model_validate_json((folder / "run/card.json").read_text())
    assert (card.task, card.class_names) == ("multilabel", FINDINGS)
    assert [(metric.name, metric.class_name) for metric in card.metrics] == [
        ("macro_auroc", None),
        *(("auroc", finding) for finding in FINDINGS),
    ]
    assert all(0.9 < metric.estimate <= metric.high <= 1 for metric in card.metrics)


def test_the_verb_measures_findings_without_baselines(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(folder / "shapes_cnn.onnx"), "--manifest", str(folder / "manifest.csv")]
    assert cxr.main(["evaluate", *asked, "--report", str(folder / "report")]) == 0
    printed = capsys.readouterr().out
    assert "auroc, stripes" in printed
    assert "confusion" not in printed
    assert "baseline" not in printed
    assert [file.name for file in (folder / "report").iterdir()] == ["evaluation.json"]


def test_films_with_classes_are_refused_by_a_model_of_findings(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (name,) = {one.path.name for one in read_manifest(folder / "manifest.csv")[:1]}
    (tmp_path / name).touch()
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"path,label,patient_id,split\n{name},normal,p,test\n")
    model = str(folder / "shapes_cnn.onnx")
    assert cxr.main(["evaluate", model, "--manifest", str(manifest)]) == 1
    assert "films must be multilabel, as the model, not multiclass" in capsys.readouterr().err
