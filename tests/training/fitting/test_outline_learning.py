"""The lung field learns drawn lungs by the loop of all networks, and is packed and measured."""

import json
from pathlib import Path

import numpy as np
import pytest

import cxr
from models.checkpoint import lung_field
from tests.support.drawn_outlines import outline_config, write_outline_config, write_outlined_set
from tests.support.training_tables import merged
from training.config import Config
from training.fitting.run_folder import RunFolder
from training.fitting.start import checked_films
from training.fitting.train import train
from training.outlines.measurement import lung_field_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_outlined_set(tmp_path_factory.mktemp("films"), films=80)


@pytest.fixture(scope="module")
def run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    train(outline_config(manifest), folder)
    return folder


def records(folder: RunFolder) -> list[dict[str, float]]:
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def test_drawn_lungs_are_learnt(run: RunFolder) -> None:
    history = records(run)
    assert max(record["val_dice"] for record in history) > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2


def test_masks_by_networks_are_left_out_unless_asked_for(manifest: Path, run: RunFolder) -> None:
    assert json.loads(run.data.read_text())["films"] == {"train": 36, "val": 18}
    asked = merged(outline_config(manifest).model_dump(), {"data": {"masks_by": ["network"]}})
    assert Config.model_validate(asked).data.masks_by == ("network",)


def test_the_best_outlines_are_measured_by_source_beside_the_mean_mask(
    manifest: Path, run: RunFolder
) -> None:
    report = lung_field_report(manifest, split="test", checkpoint=run.best)
    of_all, fields, whole, *by_network = report.figures
    assert (of_all.source, of_all.films, whole.films + fields.films) == (None, 18, 18)
    assert (fields.convention, whole.convention) == ("fields", "whole")
    assert of_all.dice.estimate > 0.9 > of_all.baseline.estimate > 0.5
    assert of_all.dice.low < of_all.dice.estimate < of_all.dice.high
    assert of_all.tenth.estimate < of_all.dice.estimate
    assert by_network[0].dice.estimate < 0.1  # those masks are empty


def test_a_run_is_packed_small_and_answers_as_before(run: RunFolder, tmp_path: Path) -> None:
    assert cxr.main(["export", str(run.path), "-o", str(tmp_path / "packed")]) == 0
    assert (tmp_path / "packed/weights.safetensors").stat().st_size < 700_000
    assert json.loads((tmp_path / "packed/config.json").read_text())["name"] == "drawn_lungs"
    assert json.loads((tmp_path / "packed/data.json").read_text())["films"]["train"] == 36
    packed, spec = lung_field(tmp_path / "packed")
    trained, _ = lung_field(run.best)
    assert spec.image_size == (64, 64)
    for name, weight in packed.named_parameters():
        before = trained.get_parameter(name).detach().numpy()
        np.testing.assert_allclose(weight.detach().numpy(), before, rtol=1e-3, atol=1e-6)


def test_the_verb_prints_and_writes_the_figures(
    manifest: Path, run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--manifest", str(manifest), "--checkpoint", str(run.best)]
    file = tmp_path / "figures.json"
    assert cxr.main(["lung-field", *arguments, "--split", "val", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "drawn whole" in printed
    assert json.loads(file.read_text())["figures"][0]["films"] == 18


def test_training_by_hand_takes_the_same_steps(manifest: Path, tmp_path: Path) -> None:
    losses = []
    for gradients in ({"by": "autograd"}, {"by": "manual"}):
        changes = {"training": {"gradients": {**gradients, "precision": "float64"}}}
        config = merged(outline_config(manifest, epochs=2).model_dump(), changes)
        folder = RunFolder(tmp_path / str(gradients["by"]))
        config["training"]["gradients"] = changes["training"]["gradients"]
        train(Config.model_validate(config), folder)
        losses.append([record["train_loss"] for record in records(folder)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)


def test_a_finished_run_stays_as_it_is(manifest: Path, run: RunFolder) -> None:
    before = run.metrics.read_text()
    train(outline_config(manifest), run)
    assert run.metrics.read_text() == before


def test_verbs_for_classifiers_refuse_the_run(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="task must be classification here, not segmentation"):
        checked_films(outline_config(manifest))
    config = str(write_outline_config(manifest))
    assert cxr.main(["leave-out", config, "-o", str(manifest.with_name("out.json"))]) == 1
    assert "task must be classification" in capsys.readouterr().err
