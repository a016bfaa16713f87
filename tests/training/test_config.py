"""A config is read strictly."""

from pathlib import Path

import pytest

from training.config import NetworkConfig, TrainingConfig, read_config

CONFIGS = sorted((Path(__file__).parents[2] / "training/configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_is_valid(path: Path) -> None:
    assert read_config(path).name


def test_a_size_that_leaves_half_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        NetworkConfig(image_size=(100, 100))


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIGS[0].read_text() + "\nlearning_rat = 1e-3\n")
    with pytest.raises(ValueError, match="learning_rat"):
        read_config(config)


def test_what_is_not_toml_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("epochs: 3")
    with pytest.raises(ValueError, match="is not a TOML file"):
        read_config(config)


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.toml does not exist"):
        read_config(tmp_path / "nowhere.toml")


def test_a_name_that_no_card_could_bear_is_refused_before_the_training(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    text = CONFIGS[0].read_text()
    config.write_text(text.replace(f'name = "{CONFIGS[0].stem}"', 'name = "Chest CNN"', 1))
    with pytest.raises(ValueError, match="name"):
        read_config(config)


def test_vgg16_and_vit_b16_have_default_variants() -> None:
    assert NetworkConfig(architecture="vgg16").head == "pooled"
    assert NetworkConfig(architecture="vit_b16").read_out == "token"
    assert NetworkConfig(architecture="vit_b16", read_out="average").read_out == "average"


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
REFUSED = {
    "a head for another network": ({"head": "pooled"}, "head must be given for vgg16"),
    "weights without their colours": (
        {"architecture": "vgg16", "weights": "w.safetensors"},
        "weights, mean and std must be given together",
    ),
    "colours without weights": (
        {"architecture": "vgg16", **IMAGENET},
        "weights, mean and std must be given together",
    ),
    "two starts": (
        {"architecture": "vgg16", "weights": "w", "pretrained": True, **IMAGENET},
        "exclude each other",
    ),
    "weights that nobody has": ({"pretrained": True}, "chest_cnn is trained from scratch"),
    "half a cell under max-pooling": (
        {"architecture": "vgg16", "head": "fully_connected", "image_size": (48, 64)},
        "multiples of 32",
    ),
    "dropout without hidden layers": (
        {"architecture": "vgg16", "drop_rate": 0.5},
        "drop_rate must be 0 without a fully_connected head",
    ),
    "stochastic depth without residual blocks of timm's": (
        {"drop_path_rate": 0.1},
        "drop_path_rate must be 0 for chest_cnn",
    ),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_a_network_that_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig.model_validate(fields)


def test_gradients_by_hand_are_not_mixed_with_bfloat16() -> None:
    with pytest.raises(ValueError, match="precision must be float32 or float64"):
        TrainingConfig(epochs=1, gradients="manual", precision="bfloat16")


def test_checkpointing_is_for_gradients_by_hand() -> None:
    with pytest.raises(ValueError, match="grad_checkpointing must be false"):
        TrainingConfig(epochs=1, grad_checkpointing=True)


@pytest.mark.parametrize("is_on", [True, False])
def test_fsdp_is_refused_with_what_to_do_instead(is_on: bool) -> None:
    with pytest.raises(ValueError, match=r"fsdp is gone: .* Remove the key; `torchrun"):
        TrainingConfig.model_validate({"epochs": 1, "fsdp": is_on})


HEAD_FIRST = {"unfreeze": [[0, "head"], [2, "trunk.24"]]}
UNFIT = {
    "mixup by hand": ({"gradients": "manual", "mixup": 0.2}, "mixup must be off"),
    "compiled by hand": ({"gradients": "manual", "torchcompile": True}, "torchcompile must be off"),
    "cached by hand": (
        {"gradients": "manual", "cache_features": True} | HEAD_FIRST,
        "cache_features must be off",
    ),
    "a cache of nothing": ({"cache_features": True}, "cache_features needs unfreeze"),
    "copies of no cache": ({"cache_copies": 2} | HEAD_FIRST, "cache_copies must be 1"),
    "an epoch without a beginning": ({"unfreeze": [[1, "head"]]}, "must rise from 0"),
    "epochs that fall": ({"unfreeze": [[0, "head"], [0, "trunk.24"]]}, "must rise from 0"),
    "an epoch after the last": ({"unfreeze": [[0, "head"], [4, "trunk"]]}, "below the 4 epochs"),
    "balanced twice": (
        {"sampling": "class", "class_weights": "balanced"},
        "class_weights must be none where sampling is class",
    ),
}


@pytest.mark.parametrize(("fields", "message"), UNFIT.values(), ids=UNFIT)
def test_a_training_that_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig.model_validate({"epochs": 4} | fields)


def test_balanced_sampling_switches_balanced_weights_off() -> None:
    assert TrainingConfig(epochs=1).class_weights == "balanced"
    assert TrainingConfig(epochs=1, sampling="class").class_weights == "none"


def test_the_config_in_a_run_folder_reads_as_the_one_given() -> None:
    config = TrainingConfig.model_validate({"epochs": 4} | HEAD_FIRST)
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
    assert TrainingConfig.model_validate(config.model_dump()) == config
