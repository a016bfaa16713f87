"""Keys of `[training]` from before they were grouped: refused in a file, translated in a run."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from training.config import Config, read_run_config
from training.flat_keys import PLACES, REMOVED, with_tables
from training.training_config import TrainingConfig

RUNS = Path(__file__).parent / "flat_configs"
"""`config.json` of runs from before."""
OPTIMISER = {"learning_rate": 2e-3, "warmup_epochs": 1}
GROUPED: dict[str, dict[str, Any]] = {
    "plain": {"batch_size": 12, "optimiser": OPTIMISER},
    "cached": {
        "batch_size": 3,
        "grad_accum_steps": 2,
        "optimiser": {"opt": "sgd", **OPTIMISER},
        "sampling": {"by": "class_and_source"},
        "unfreeze": {
            "layers": [[0, "head"], [1, "stages.3"], [3, "stages.2"]],
            "feature_cache": {"copies": 2},
        },
        "gradients": {"mixup": 0.3},
    },
    "manual": {
        "batch_size": 12,
        "optimiser": OPTIMISER,
        "gradients": {"by": "manual", "grad_checkpointing": True},
    },
}


def flat(name: str) -> dict[str, Any]:
    """Return the `[training]` table of a run from before."""
    fields: dict[str, Any] = json.loads((RUNS / f"{name}.json").read_text())["training"]
    return fields


@pytest.mark.parametrize("name", GROUPED)
def test_the_config_of_a_run_from_before_reads_as_the_same_in_tables(name: str) -> None:
    config = read_run_config(RUNS / f"{name}.json")
    fields = {"epochs": 4, "model_ema_decay": 0.5, **GROUPED[name]}
    assert config.training == TrainingConfig.model_validate(fields)
    assert (config.name, config.network.image_size) == ("spot_cnn", (64, 64))


@pytest.mark.parametrize("name", GROUPED)
def test_the_config_of_a_run_of_today_reads_as_it_is(name: str, tmp_path: Path) -> None:
    config = read_run_config(RUNS / f"{name}.json")
    (tmp_path / "config.json").write_text(config.model_dump_json())
    assert read_run_config(tmp_path / "config.json") == config


def test_a_run_with_fsdp_reads_as_one_without() -> None:
    assert with_tables(flat("plain") | {"fsdp": True}) == with_tables(flat("plain"))


def test_a_file_that_is_not_a_config_is_named(tmp_path: Path) -> None:
    for text in ("{", "[]", "{}", '{"training": {}}', '{"training": 3}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config\.json is not the config of a run"):
            read_run_config(tmp_path / "config.json")


def test_every_key_from_before_stays_or_has_a_place_or_a_sentence() -> None:
    old = set(flat("cached"))
    assert old == set(PLACES) | set(REMOVED) | (old & set(TrainingConfig.model_fields))


def test_all_old_keys_of_a_file_are_named_at_once_with_their_places() -> None:
    text = """
        epochs = 4
        learning_rate = 1e-3
        unfreeze = [[0, "head"]]
        cache_features = true
        sampling = "class"
        gradients = "manual"
    """
    with pytest.raises(ValueError, match="grouped in tables") as refused:
        TrainingConfig.model_validate(tomllib.loads(text))
    for sentence in (
        "learning_rate in [training] is now [training.optimiser] learning_rate",
        "unfreeze in [training] is now [training.unfreeze] layers",
        "cache_features in [training] is gone: a table [training.unfreeze.feature_cache]",
        "sampling in [training] is now [training.sampling] by",
        "gradients in [training] is now [training.gradients] by",
    ):
        assert sentence in str(refused.value)
    assert "epochs" not in str(refused.value).split("[type=")[0]


@pytest.mark.parametrize("is_on", [True, False])
def test_fsdp_is_refused_with_what_to_do_instead(is_on: bool) -> None:
    with pytest.raises(
        ValueError, match=r"fsdp in \[training\] is gone: .* Remove the key; `torch"
    ):
        TrainingConfig.model_validate({"epochs": 1, "fsdp": is_on})


@pytest.mark.parametrize("key", sorted({*PLACES, *REMOVED}))
def test_every_old_key_alone_is_refused(key: str) -> None:
    fields = json.loads((RUNS / "cached.json").read_text())
    fields["training"] = {"epochs": 4, key: fields["training"][key]}
    with pytest.raises(ValueError, match=rf"{key} in \[training\] is"):
        Config.model_validate(fields)
