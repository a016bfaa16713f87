"""A config is read strictly."""

from pathlib import Path
from typing import Any

import pytest

from models.card import LungSpec, check_groups
from tests.support.training_tables import merged
from training.config import Config, NetworkConfig, read_config
from training.training_config import ShuffledConfig, TrainingConfig

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


def test_vit_b16_may_look_only_inside_the_lungs() -> None:
    assert NetworkConfig(architecture="vit_b16", lungs=LungSpec()).lungs is not None


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
    "half a cell of the lungs under max-pooling": (
        {
            "architecture": "vgg16",
            "head": "fully_connected",
            "lungs": {"size": (48, 64), "inside": False},
        },
        r"multiples of 32 under a fully_connected head, not \(48, 64\)",
    ),
    "a mask under hidden layers": (
        {"architecture": "vgg16", "head": "fully_connected", "lungs": {}},
        "inside of lungs must be false under a fully_connected head",
    ),
    "half of a network with hidden layers": (
        {"architecture": "vgg16", "head": "fully_connected", "read_layer": "conv4_3"},
        "only vgg16 with a pooled head has one",
    ),
    "a convolution of another network": (
        {"read_layer": "conv4_3"},
        "read_layer must be absent for chest_cnn",
    ),
    "blocks of another network": ({"blocks": 6}, "blocks must be absent for chest_cnn"),
    "more blocks than there are": ({"architecture": "vit_b16", "blocks": 13}, "less than or equal"),
    "stochastic depth without residual blocks of timm's": (
        {"drop_path_rate": 0.1},
        "drop_path_rate must be 0 for chest_cnn",
    ),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_a_network_that_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig.model_validate(fields)


OUTLINES = next(path for path in CONFIGS if path.stem == "lung_field")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('task = "segmentation"', "", "architecture must be lung_field where task is segmentation"),
        (
            'architecture = "lung_field"',
            "",
            "architecture must be lung_field where task is segment",
        ),
        ("[network]", "[network]\ncrop_pct = 0.8", "lung_field takes whole films, stretched"),
        ("[network]", "[network]\npretrained = true", "lung_field is trained from scratch"),
    ],
)
def test_an_outline_needs_its_network_and_whole_films(
    before: str, after: str, message: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(OUTLINES.read_text().replace(before, after, 1))
    with pytest.raises(ValueError, match=message):
        read_config(config)


HEAD_FIRST = {"unfreeze": {"layers": [[0, "head"], [2, "trunk.24"]]}}
CACHED = {"unfreeze": {**HEAD_FIRST["unfreeze"], "feature_cache": {"copies": 2}}}
UNFIT = {
    "bfloat16 by hand": (
        {"gradients": {"by": "manual", "precision": "bfloat16"}},
        "gradients.manual.precision\n.*'float32' or 'float64'",
    ),
    "mixup by hand": ({"gradients": {"by": "manual", "mixup": 0.2}}, "gradients.manual.mixup"),
    "compiled by hand": (
        {"gradients": {"by": "manual", "torchcompile": True}},
        "gradients.manual.torchcompile",
    ),
    "cached by hand": ({"gradients": {"by": "manual"}} | CACHED, "feature_cache must be off"),
    "checkpointing by autograd": (
        {"gradients": {"grad_checkpointing": True}},
        "gradients.autograd.grad_checkpointing",
    ),
    "a cache of nothing": ({"unfreeze": {"feature_cache": {}}}, "unfreeze.layers\n.*required"),
    "layers of nothing": ({"unfreeze": {"layers": []}}, "unfreeze.layers\n.*at least 1"),
    "momentum of AdamW": ({"optimiser": {"momentum": 0.8}}, "optimiser.adamw.momentum"),
    "an optimiser that is none": ({"optimiser": {"opt": "adam"}}, "'adamw', 'sgd'"),
    "an epoch without a beginning": ({"unfreeze": {"layers": [[1, "head"]]}}, "must rise from 0"),
    "epochs that fall": (
        {"unfreeze": {"layers": [[0, "head"], [0, "trunk.24"]]}},
        "must rise from 0",
    ),
    "an epoch after the last": (
        {"unfreeze": {"layers": [[0, "head"], [4, "trunk"]]}},
        "below the 4 epochs",
    ),
    "balanced twice": (
        {"sampling": {"by": "class", "class_weights": "balanced"}},
        "sampling.class.*class_weights",
    ),
}


@pytest.mark.parametrize(("fields", "message"), UNFIT.values(), ids=UNFIT)
def test_a_training_that_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig.model_validate({"epochs": 4} | fields)


def test_balanced_sampling_switches_balanced_weights_off() -> None:
    config = TrainingConfig.model_validate({"epochs": 1, "sampling": {"by": "class"}})
    assert config.sampling.class_weights == "none"
    assert TrainingConfig(epochs=1).sampling == ShuffledConfig(class_weights="balanced")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"abnormal": ("mass",)}, "group abnormal must have some of the classes"),
        ({"abnormal": ()}, "group abnormal must have some of the classes"),
        ({"abnormal": ("a", "a")}, "each once"),
        ({"abnormal": ("a", "b", "c")}, "not all"),
        ({"a": ("b",)}, "groups must have other names than the classes: a"),
    ],
)
def test_a_group_that_is_none_of_these_classes_is_refused(
    groups: dict[str, tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_groups(groups, class_names=("a", "b", "c"), task="multiclass")


def test_findings_that_do_not_exclude_each_other_form_no_groups() -> None:
    with pytest.raises(ValueError, match="groups must be absent for a multilabel model"):
        check_groups({"any": ("a", "b")}, class_names=("a", "b", "c"), task="multilabel")


@pytest.mark.parametrize("name", ["chest_cnn", "vgg16", "vit_b16"])
def test_the_three_networks_ask_the_same_two_questions(name: str) -> None:
    config = read_config(next(path for path in CONFIGS if path.stem == name))
    assert list(config.groups) == ["abnormal", "any_pneumonia"]
    assert config == Config.model_validate_json(config.model_dump_json())


@pytest.mark.parametrize("fields", [{}, HEAD_FIRST, CACHED, {"gradients": {"by": "manual"}}])
def test_the_config_in_a_run_folder_reads_as_the_one_given(fields: dict[str, object]) -> None:
    config = TrainingConfig.model_validate({"epochs": 4} | fields)
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
    assert TrainingConfig.model_validate(config.model_dump()) == config


PENALISED = {"data": {"boxes": "boxes.csv"}, "training": {"evidence": {}}}
UNFIT_FOR_EVIDENCE = {
    "no pooled head": (
        {"network": {"architecture": "vit_b16", "read_out": "average"}},
        "a network with a pooled head",
    ),
    "no place": ({"data": {"boxes": None}}, "boxes in .data., or opacities above 0"),
    "opacities in no lungs": (
        {"training": {"evidence": {"opacities": 0.5}}},
        "normal in .data. and .network.lungs. for its opacities",
    ),
    "an outline of nothing": ({"augmentation": {"outline": 0.1}}, "outline in .augmentation."),
    "mixed films": ({"training": {"gradients": {"mixup": 0.2}}}, "mixup must be 0"),
}


def phantom(changes: dict[str, Any]) -> Config:
    fields = read_config(CONFIGS[0].with_name("phantom.toml")).model_dump()
    return Config.model_validate(merged(merged(fields, PENALISED), changes))


def test_evidence_may_be_penalised_outside_boxes() -> None:
    evidence = phantom({}).training.evidence
    assert evidence is not None
    assert evidence.weight == 1


@pytest.mark.parametrize("name", UNFIT_FOR_EVIDENCE)
def test_evidence_without_a_place_is_refused(name: str) -> None:
    changes, message = UNFIT_FOR_EVIDENCE[name]
    with pytest.raises(ValueError, match=message):
        phantom(changes)
