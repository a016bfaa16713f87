"""A run can be interrupted anywhere, and says where it stands."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.checkpoint import load_checkpoint
from tests.support.bright_spot import config, write_set
from tests.support.training_tables import merged
from training.config import Config
from training.export.export import export
from training.fitting.loop import TrainingRun
from training.fitting.run_folder import RunFolder
from training.fitting.start import mean_and_std
from training.fitting.train import train
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

FLAT_CONFIGS = Path(__file__).parents[1] / "flat_configs"


def records(folder: RunFolder) -> list[dict[str, float]]:
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_set(tmp_path / "films", films=24)


def test_a_run_folder_holds_all_it_promises(spot_run: RunFolder) -> None:
    assert len(records(spot_run)) == 10
    assert json.loads(spot_run.config.read_text())["name"] == "spot_cnn"
    assert spot_run.curves.read_bytes().startswith(b"\x89PNG")
    flow = spot_run.gradient_flow.read_text().splitlines()
    assert [json.loads(line)["step"] for line in flow] == [0, 25]
    assert spot_run.gradient_flow_plot.read_bytes().startswith(b"\x89PNG")
    _, spec = load_checkpoint(spot_run.best)
    assert spec.class_names == ("normal", "spot")
    assert spec.activation_grid == (4, 4)


def test_the_loss_falls_and_the_spot_is_learnt(spot_run: RunFolder) -> None:
    history = records(spot_run)
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2
    assert max(record["val_macro_auroc"] for record in history) == 1.0


def test_mean_and_std_are_those_of_the_training_films(spot_run: RunFolder) -> None:
    _, spec = load_checkpoint(spot_run.best)
    assert 0.3 < spec.mean < 0.5
    assert 0.02 < spec.std < 0.2


def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    train(config(manifest, epochs=4), whole)
    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "_step", interrupted_after(2, TrainingRun._step))
        with pytest.raises(KeyboardInterrupt):
            train(config(manifest, epochs=4), killed)
    assert len(records(killed)) == 2
    train(config(manifest, epochs=4), killed)
    assert records(killed) == records(whole)
    assert same_weights(killed.best, whole.best)


def interrupted_after(steps: int, step):  # type: ignore[no-untyped-def]
    left = iter(range(steps))

    def interrupted(*arguments):  # type: ignore[no-untyped-def]
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(*arguments)

    return interrupted


def same_weights(first: Path, second: Path) -> bool:
    ours, theirs = (load_checkpoint(folder)[0].state_dict() for folder in (first, second))
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


RECIPE: dict[str, object] = {
    "batch_size": 3,
    "grad_accum_steps": 2,
    "log": "tensorboard",
    "optimiser": {"opt": "sgd", "learning_rate": 2e-3, "warmup_epochs": 1},
    "sampling": {"by": "class_and_source"},
    "unfreeze": {
        "layers": [[0, "head"], [1, "stages.3"], [3, "stages.2"]],
        "feature_cache": {"copies": 2},
    },
    "gradients": {"mixup": 0.3},
}


def recipe(manifest: Path, changes: Mapping[str, object] = RECIPE) -> Config:
    """Return a run of four epochs with freezing, balance, accumulation and a cache."""
    plain = config(manifest, epochs=4).model_dump()
    return Config.model_validate(plain | {"training": plain["training"] | changes})


@pytest.fixture(scope="module")
def recipe_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    manifest = write_set(tmp_path_factory.mktemp("films"), films=24)
    folder = RunFolder(tmp_path_factory.mktemp("whole"))
    train(recipe(manifest), folder)
    return manifest, folder


@pytest.mark.parametrize("steps", [3, 7])
def test_freezing_balance_and_cache_survive_an_interruption(
    steps: int,
    recipe_run: tuple[Path, RunFolder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest, whole = recipe_run
    killed = RunFolder(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "_step", interrupted_after(steps, TrainingRun._step))
        with pytest.raises(KeyboardInterrupt):
            train(recipe(manifest), killed)
    train(recipe(manifest), killed)
    assert records(killed) == records(whole)
    assert same_weights(killed.best, whole.best)


def test_tensorboard_finds_losses_and_metrics(recipe_run: tuple[Path, RunFolder]) -> None:
    _, folder = recipe_run
    events = EventAccumulator(str(folder.events)).Reload()
    assert [event.step for event in events.Scalars("step/loss")] == list(range(8))
    figures = [event.value for event in events.Scalars("epoch/val_loss")]
    assert figures == pytest.approx([record["val_loss"] for record in records(folder)])


def test_nothing_is_logged_unless_asked_for(spot_run: RunFolder) -> None:
    assert not spot_run.events.exists()


def test_the_cache_lies_where_it_is_asked_for(manifest: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    cached = {"unfreeze": {"feature_cache": {"folder": tmp_path / "cache"}}}
    train(recipe(manifest, merged(RECIPE, cached)), folder)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 3  # two copies to train, one of val
    assert not folder.features.exists()


def test_a_finished_run_stays_as_it_is(manifest: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(config(manifest, epochs=1), folder)
    before = folder.metrics.read_text()
    train(config(manifest, epochs=1), folder)
    assert folder.metrics.read_text() == before


def test_a_kill_between_state_and_metrics_loses_nothing(manifest: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(config(manifest, epochs=1), folder)
    before, flow = folder.metrics.read_text(), folder.gradient_flow.read_text()
    folder.metrics.unlink()
    folder.gradient_flow.write_text(flow[:50])
    train(config(manifest, epochs=1), folder)
    assert (folder.metrics.read_text(), folder.gradient_flow.read_text()) == (before, flow)


def test_a_folder_with_another_run_is_left_alone(manifest: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(config(manifest, epochs=1), folder)
    with pytest.raises(ValueError, match=r"holds a run with another config\.json"):
        train(config(manifest, epochs=2), folder)


def test_a_run_folder_from_before_keys_were_grouped_is_resumed_and_exported(
    manifest: Path, tmp_path: Path
) -> None:
    folder, file = RunFolder(tmp_path / "run"), tmp_path / "model.onnx"
    train(config(manifest, epochs=1), folder)
    fields = json.loads((FLAT_CONFIGS / "plain.json").read_text())
    fields["training"]["epochs"] = 1
    fields["data"] = json.loads(folder.config.read_text())["data"]
    folder.config.write_text(json.dumps(fields))
    export(folder, file)
    assert Explainer(file).card.name == "spot_cnn"
    before = folder.metrics.read_text()
    train(config(manifest, epochs=1), folder)
    assert folder.metrics.read_text() == before
    with pytest.raises(ValueError, match=r"holds a run with another config\.json"):
        train(config(manifest, epochs=2), folder)


def test_a_run_is_not_resumed_on_other_films(manifest: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(config(manifest, epochs=1), folder)
    manifest.write_text(manifest.read_text().replace(",val,", ",test,", 1))
    with pytest.raises(ValueError, match=r"holds a run with another data\.json"):
        train(config(manifest, epochs=1), folder)


def test_a_class_without_val_films_stops_the_training(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(manifest.read_text().replace("spot,p5,val", "rare,p5,train"))
    with pytest.raises(ValueError, match=r"no film of the classes \['rare'\] is in val"):
        train(config(manifest), RunFolder(tmp_path / "run"))


def test_mean_and_std_are_those_of_all_pixels() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(3, 8, 8), dtype=np.uint8)
    expected = (pixels.mean() / 255, pixels.std() / 255)
    assert mean_and_std(pixels) == pytest.approx(expected)


def test_a_patient_in_two_splits_stops_the_training(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(manifest.read_text().replace(",p4,", ",p0,"))
    with pytest.raises(ValueError, match=r"patient_id stand in more than one split.*p0"):
        train(config(manifest), RunFolder(tmp_path / "run"))


def test_an_unreadable_film_is_named(manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "0.png").write_bytes(b"not a film")
    with pytest.raises(ValueError, match=r"0\.png"):
        train(config(manifest), RunFolder(tmp_path / "run"))
