"""`cxr ensemble` chooses on val how models answer together, and measures it as it does a model."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import cxr
from training.data.manifest import of_split, read_manifest
from training.evaluation.evaluation import evaluated, evaluated_models
from training.evaluation.figures import model_figures
from training.onnx_files.writing import rewrite_card
from training.statistics.calibration import fitted_temperature
from xai.ensemble import Ensemble
from xai.explainer import Explainer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(
    spot_model: Path, spot_manifest: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Write the ensemble of a model with its copy, whose temperature and name are others."""
    folder = tmp_path_factory.mktemp("ensemble")
    models = [Path(shutil.copy(spot_model, folder / name)) for name in ("a.onnx", "b.onnx")]
    card = Explainer(models[1], lazy=True).card
    changes = {"name": "copy", "temperature": 3 * card.temperature}
    rewrite_card(models[1], card.model_copy(update=changes))
    asked = ["ensemble", *map(str, models), "--manifest", str(spot_manifest), "--with-test"]
    assert cxr.main(asked) == 0
    return folder / "ensemble.json"


def test_its_temperature_is_fitted_to_the_mean_of_the_members_logits(
    written: Path, spot_manifest: Path
) -> None:
    ensemble = Ensemble.beside(written)
    own = evaluated(ensemble.members[0], of_split(read_manifest(spot_manifest), "val"))
    logits = own.logits * np.mean([1 / one.card.temperature for one in ensemble.members])
    expected = fitted_temperature(logits, own.targets)
    assert ensemble.card.temperature == pytest.approx(expected, rel=1e-3)
    assert {one.criterion for one in ensemble.card.decision_thresholds} == {
        "largest Youden index on val"
    }


def test_it_is_measured_as_a_model_is(written: Path, spot_manifest: Path) -> None:
    films, model = read_manifest(spot_manifest), written.with_name("a.onnx")
    [own, together], _ = evaluated_models([model, written], films, "test")
    assert together.model == "ensemble 1.0.0"
    assert together.card.metrics == together.metrics
    estimates = [{one.name: one.estimate for one in each.metrics} for each in (own, together)]
    assert list(estimates[0]) == list(estimates[1])
    assert estimates[1]["macro_auroc"] == pytest.approx(estimates[0]["macro_auroc"])


def test_films_that_a_member_refuses_for_any_reason_count_as_refused(
    written: Path, spot_manifest: Path
) -> None:
    ensemble = Ensemble.beside(written)
    strict = ensemble.members[1]
    strict.card = strict.card.model_copy(update={"distance_threshold": 1e6, "novelty_threshold": 0})
    found = evaluated(ensemble, of_split(read_manifest(spot_manifest), "test"))
    assert {reasons[-1:] for reasons in found.refusals} == {("novelty",)}
    assert model_figures(found, None, "").refused_share == 1
    assert not found.is_decided.any()


def test_one_model_is_no_ensemble(spot_model: Path, spot_manifest: Path) -> None:
    assert cxr.main(["ensemble", str(spot_model), "--manifest", str(spot_manifest)]) != 0
    assert not spot_model.with_name("ensemble.json").exists()
