"""An export writes a whole and exact file, or none."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch

from models.card import CellCentres, ModelCard
from models.checkpoint import load_checkpoint
from models.chest_cnn import ChestCNN
from tests.models.tape.test_network import one_per_cent_too_large, plant
from training.backprop_proofs.report import BackpropReport
from training.data.dataset import film_radiograph, seen_by
from training.data.manifest import Split, of_split, read_manifest
from training.evaluation.evaluation import evaluated
from training.export.export import export
from training.fitting.run_folder import RunFolder
from training.onnx_files import writing
from training.statistics.conformal import conformal_quantiles
from xai.explainer import Explainer

pytestmark = pytest.mark.slow


def test_the_card_says_what_the_run_was(spot_model: Path) -> None:
    card = Explainer(spot_model).card
    assert (card.name, card.class_names) == ("spot_cnn", ("normal", "spot"))
    assert card.training_data.films == {"train": 48, "val": 24, "test": 24}
    assert {metric.split for metric in card.metrics} == {"test"}
    assert sum(card.distance_histogram.counts) == 24
    assert card.novelty_histogram is not None
    assert sum(card.novelty_histogram.counts) == 24
    assert card.cell_centres == CellCentres(origin=(0.5, 0.5), step=(16, 16))


def test_the_quantiles_of_the_prediction_sets_are_those_of_the_val_films(
    spot_model: Path, spot_manifest: Path
) -> None:
    explainer = Explainer(spot_model)
    val = evaluated(explainer, of_split(read_manifest(spot_manifest), "val"))
    quantiles = conformal_quantiles(val.probabilities, val.targets)
    assert explainer.card.conformal_quantiles == pytest.approx(quantiles, abs=1e-4)
    assert explainer.card.confidence_threshold is None


def test_only_standard_operators_and_a_free_batch(spot_model: Path) -> None:
    model = onnx.load(spot_model)
    assert {opset.domain for opset in model.opset_import} == {""}
    assert {node.domain for node in model.graph.node} == {""}
    for tensor in (*model.graph.input, *model.graph.output):
        assert tensor.type.tensor_type.shape.dim[0].dim_param, tensor.name


def test_the_file_names_no_path_of_the_machine_that_made_it(spot_model: Path) -> None:
    assert b".py" not in spot_model.read_bytes()


def test_films_of_the_training_are_not_novel_and_most_of_val_pass(
    spot_model: Path, spot_manifest: Path
) -> None:
    explainer = Explainer(spot_model)
    films, limit = read_manifest(spot_manifest), explainer.card.novelty_threshold

    def novelties(split: Split) -> np.ndarray:
        shown = (film_radiograph(film) for film in of_split(films, split))
        pixels = [seen_by(explainer.card, film).pixels[None] for film in shown]
        return explainer(np.stack(pixels)).novelty

    assert novelties("train").max() < 0.5 * limit
    assert (novelties("val") > limit).sum() == 2  # of 24: one in twenty is the limit


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_every_batch_size_gives_the_same_answers(spot_model: Path, batch: int) -> None:
    explainer = Explainer(spot_model)
    pixels = np.random.default_rng(0).random((8, 1, 64, 64), np.float32)
    whole, part = explainer(pixels), explainer(pixels[:batch])
    assert np.allclose(whole.probabilities[:batch], part.probabilities, atol=1e-5)
    assert np.allclose(whole.evidence[:batch], part.evidence, atol=1e-4)
    assert np.allclose(whole.distance[:batch], part.distance, rtol=1e-4)
    assert np.allclose(whole.novelty[:batch], part.novelty, rtol=1e-4)


def test_two_films_give_different_evidence(spot_model: Path) -> None:
    pixels = np.random.default_rng(0).random((2, 1, 64, 64), np.float32)
    first, second = Explainer(spot_model)(pixels).evidence
    assert np.abs(first - second).max() > 1e-3


def test_centring_the_head_leaves_the_order_of_classes(
    spot_run: RunFolder, spot_model: Path
) -> None:
    network, _ = load_checkpoint(spot_run.best)
    pixels = torch.rand(4, 1, 64, 64)
    with torch.inference_mode():
        before = network.eval()(pixels)
    after = torch.from_numpy(Explainer(spot_model)(pixels.numpy()).logits)
    assert torch.allclose(before - before.mean(dim=1, keepdim=True), after, atol=1e-4)


class Exported(NamedTuple):
    """A model, and what its export said."""

    model: Path
    report: str


@pytest.fixture(scope="module")
def exported_elsewhere(
    spot_run: RunFolder, spot_manifest: Path, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    """Export with the other method and a group of classes, from films that were moved."""
    folder = tmp_path_factory.mktemp("elsewhere")
    moved = shutil.copytree(spot_manifest.parent, folder / "films")
    run = RunFolder(shutil.copytree(spot_run.path, folder / "run"))
    config = json.loads(run.config.read_text()) | {"groups": {"abnormal": ["spot"]}}
    run.config.write_text(json.dumps(config))
    model = folder / "model.onnx"
    report = export(run, model, manifest=moved / "manifest.csv", method="hirescam")
    return Exported(model, report)


def test_a_group_of_the_config_is_in_card_and_graph(
    exported_elsewhere: Exported, spot_model: Path
) -> None:
    assert "group_evidence" in exported_elsewhere.report
    explainer, alone = Explainer(exported_elsewhere.model), Explainer(spot_model)
    [group] = explainer.card.groups
    assert (group.name, group.class_names) == ("abnormal", ("spot",))
    assert group.threshold == explainer.card.decision_thresholds[1]
    answers = explainer(np.random.default_rng(0).random((3, 1, 64, 64), np.float32))
    temperature = explainer.card.temperature
    assert temperature == alone.card.temperature
    # Of two classes the one against the other: the difference of their logits.
    difference = answers.logits[:, 1] - answers.logits[:, 0]
    found = answers.group_log_odds(explainer.card)[:, 0]
    np.testing.assert_allclose(found, difference / temperature, rtol=1e-4)
    expected = (answers.evidence[:, 1] - answers.evidence[:, 0]) / temperature
    np.testing.assert_allclose(answers.group_evidence[:, 0], expected, rtol=1e-3, atol=1e-4)
    page = exported_elsewhere.model.with_suffix(".MODEL_CARD.md").read_text()
    assert "- Group of classes `abnormal`, the sum of their probabilities: `spot`" in page
    assert f"| abnormal | {group.threshold.value:.3f} |" in page


def test_a_golden_answer_without_the_evidence_for_a_group_is_refused(
    exported_elsewhere: Exported, tmp_path: Path
) -> None:
    file = shutil.copy(exported_elsewhere.model, tmp_path / "model.onnx")
    card = Explainer(file).card
    golden = card.golden.model_copy(update={"group_evidence": ()})
    writing.rewrite_card(file, card.model_copy(update={"golden": golden}))
    with pytest.raises(ValueError, match=r"golden\.group_evidence must have shape"):
        Explainer(file)


def test_the_report_says_the_differences(exported_elsewhere: Exported) -> None:
    assert "probabilities" in exported_elsewhere.report
    assert "evidence" in exported_elsewhere.report


def test_a_method_that_the_network_has_no_closed_form_of_is_refused_first(
    spot_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.export.export._proof", lambda *given: pytest.fail("too late"))
    with pytest.raises(ValueError, match="legrad has a closed form for vit_b16 that is read from"):
        export(spot_run, tmp_path / "model.onnx", method="legrad")


def test_nothing_is_written_when_onnx_runtime_differs(
    spot_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MAX_RELATIVE_DIFFERENCE", 0.0)
    monkeypatch.setattr(writing, "MAX_PROBABILITY_DIFFERENCE", 0.0)
    with pytest.raises(ValueError, match="differ from PyTorch's by"):
        export(spot_run, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a run folder"):
        export(RunFolder(tmp_path), tmp_path / "model.onnx")


def test_films_of_other_splits_are_refused(
    spot_run: RunFolder, spot_manifest: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(spot_manifest.parent, tmp_path / "films") / "manifest.csv"
    moved.write_text(moved.read_text().replace(",train,", ",val,", 1))
    with pytest.raises(ValueError, match="other films or other splits"):
        export(spot_run, tmp_path / "model.onnx", manifest=moved)


def test_the_run_folder_keeps_the_card(spot_run: RunFolder, spot_model: Path) -> None:
    # Another export of it has no figures, a report of its own, and the other method.
    own = {"metrics": (), "backprop_report_sha256": None, "method": "grad_cam"}
    kept = ModelCard.model_validate_json(spot_run.card.read_text())
    assert kept.model_copy(update=own) == Explainer(spot_model).card.model_copy(update=own)


def test_the_report_on_the_gradients_by_hand_lies_beside_the_file(spot_model: Path) -> None:
    report = spot_model.with_suffix(".backprop.json").read_bytes()
    assert Explainer(spot_model).card.backprop_report_sha256 == sha256(report).hexdigest()
    (network,) = BackpropReport.model_validate_json(report).networks
    assert (network.network, network.faults) == ("spot_cnn", ())
    assert network.parameters == sum(
        parameter.numel() for parameter in ChestCNN(classes=2, mean=0.0, std=1.0).parameters()
    )


def test_nothing_is_written_when_the_gradients_by_hand_are_off(
    spot_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, "trained_layers", "conv2d_weight_gradient", one_per_cent_too_large)
    with pytest.raises(ValueError, match="a gradient differs from autograd's by"):
        export(spot_run, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_films_elsewhere_can_be_named(exported_elsewhere: Exported) -> None:
    assert exported_elsewhere.model.is_file()


def test_the_method_stands_in_the_card(exported_elsewhere: Exported) -> None:
    model = exported_elsewhere.model
    assert Explainer(model).card.method == "hirescam"
    assert "HiResCAM at `stages.3`" in model.with_name("model.MODEL_CARD.md").read_text()
