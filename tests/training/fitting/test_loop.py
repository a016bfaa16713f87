"""A training run: gradients, averages, freezing, accumulation, what is logged."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.chest_cnn import ChestCNN
from tests.support.small_networks import SETTINGS, SMALL, SmallViTB16, small_network
from tests.support.training_tables import merged
from training.data.dataset import FilmDataset, Targets, class_numbers
from training.data.manifest import Film
from training.fitting.loop import TrainingRun, predicted_logits
from training.step.objective import class_weights
from training.training_config import ShuffledConfig, TrainingConfig


def run(**changes: object) -> TrainingRun:
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    films = FilmDataset(random.integers(256, size=(8, 32, 32), dtype=np.uint8), [0, 1] * 4)
    config = TrainingConfig.model_validate({"epochs": 2, "batch_size": 4} | changes)
    return TrainingRun(ChestCNN(classes=2, mean=0.5, std=0.3), config, films, films)


FLOAT64 = {"precision": "float64"}
MANUAL = {"by": "manual"}


def trained(name: str, targets: Targets = (0, 1, 2, 3) * 2, **changes: object) -> dict[str, Tensor]:
    """Return all weights and statistics of a small network after two epochs in float64."""
    random = np.random.default_rng(0)
    films = FilmDataset(random.integers(256, size=(8, 32, 32), dtype=np.uint8), targets)
    fields = {"epochs": 2, "batch_size": 4, "label_smoothing": 0.1, "gradients": FLOAT64}
    config = TrainingConfig.model_validate(merged(fields, changes))
    training = TrainingRun(small_network(name, size=(32, 32)).float(), config, films, films)
    torch.manual_seed(1)
    assert len(list(training.epochs())) == 2
    return dict(training.network.state_dict())


FINDINGS = np.random.default_rng(2).choice([0, 1, np.nan], (8, 4)).astype(np.float32)
FINDINGS[:2] = [[0], [1]]


@pytest.mark.parametrize("name", ["chest_cnn", "vit_b16 token"])
def test_two_epochs_by_hand_give_the_weights_of_autograd_for_findings(name: str) -> None:
    manual = trained(name, FINDINGS, gradients=MANUAL)
    torch.testing.assert_close(manual, trained(name, FINDINGS), rtol=0, atol=1e-6)
    start = small_network(name, size=(32, 32)).float().double().head.weight
    assert (manual["head.weight"] - start).abs().max() > 1e-4


@pytest.mark.parametrize("gradients", ["manual", "autograd"])
def test_a_finding_that_nobody_knows_teaches_nothing(gradients: str) -> None:
    unknown = np.where(np.arange(4) == 2, np.nan, FINDINGS).astype(np.float32)
    settings = {"sampling": {"class_weights": "none"}, "optimiser": {"weight_decay": 0.0}}
    head = trained("chest_cnn", unknown, **settings, gradients={"by": gradients})["head.weight"]
    start = small_network("chest_cnn", size=(32, 32)).float().double().head.weight
    assert torch.equal(head[2], start[2])
    assert not torch.equal(head[1], start[1])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_two_epochs_by_hand_give_the_weights_of_autograd(name: str, checkpointing: bool) -> None:
    manual = trained(name, gradients=MANUAL | {"grad_checkpointing": checkpointing})
    torch.testing.assert_close(manual, trained(name), rtol=0, atol=1e-6)
    start = small_network(name, size=(32, 32)).float().double().head.weight
    assert (manual["head.weight"] - start).abs().max() > 1e-4


def test_by_hand_no_graph_of_autograd_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "backward", None)
    assert len(trained("vit_b16 token", gradients=MANUAL)) > 0


def test_balanced_class_weights_make_every_class_count_the_same() -> None:
    targets = [0] * 6 + [1] * 2
    weights = class_weights(targets, TrainingConfig(epochs=1))
    assert (6 * weights[0]).item() == pytest.approx((2 * weights[1]).item())
    assert sum(weights[target].item() for target in targets) == pytest.approx(len(targets))


def test_class_weights_can_be_switched_off() -> None:
    config = TrainingConfig(epochs=1, sampling=ShuffledConfig(class_weights="none"))
    assert class_weights([0, 0, 1], config).tolist() == [1, 1]


def test_weight_decay_spares_biases_and_normalisation() -> None:
    groups = run().optimiser.param_groups
    undecayed = next(group for group in groups if group["weight_decay"] == 0)
    assert all(parameter.ndim <= 1 for parameter in undecayed["params"])
    assert len(undecayed["params"]) > 0


def test_gradients_are_clipped() -> None:
    training = run(optimiser={"gradient_clipping": 1e-3})
    next(training.epochs())
    norms = [parameter.grad.norm() for parameter in training.network.parameters()]
    assert torch.stack(norms).norm() <= 1.001e-3


def test_bfloat16_keeps_float32_weights() -> None:
    training = run(gradients={"precision": "bfloat16"})
    record = next(training.epochs())
    assert np.isfinite(record["train_loss"])
    assert all(parameter.dtype == torch.float32 for parameter in training.network.parameters())


def test_the_averaged_network_lags_behind() -> None:
    training = run(model_ema_decay=0.9, optimiser={"learning_rate": 1e-2})
    list(training.epochs())
    differs = [
        not torch.equal(average, last)
        for average, last in zip(
            training.state.averaged_network.parameters(), training.network.parameters(), strict=True
        )
    ]
    assert all(differs)


@pytest.mark.parametrize(
    ("auroc", "loss", "is_best"), [(0.9, 2.0, True), (0.8, 0.4, True), (0.8, 0.6, False)]
)
def test_the_best_epoch_has_the_largest_auroc_then_the_smallest_loss(
    auroc: float, loss: float, is_best: bool
) -> None:
    training = run()
    training.state.history = [
        {"val_macro_auroc": 0.8, "val_loss": 0.5},
        {"val_macro_auroc": auroc, "val_loss": loss},
    ]
    assert training.state.is_best == is_best


def test_predictions_do_not_depend_on_the_batch_size() -> None:
    training = run()
    one, many = (predicted_logits(training.network, training.val, batch_size=n) for n in (1, 8))
    assert torch.allclose(one, many, atol=1e-5)


def test_a_label_that_is_no_class_is_named() -> None:
    film = Film(Path("a.png"), "gout", "p", "p", "clinic", "val")
    with pytest.raises(ValueError, match=r"labels \['gout'\] are none of the classes"):
        class_numbers([film], ("normal", "spot"))


FREEZING = {
    "unfreeze": {"layers": [[0, "stages.3"]]},
    "batch_size": 4,
    "epochs": 2,
    "optimiser": {"learning_rate": 1e-2, "weight_decay": 0.5},
}


def frozen_run(**changes: object) -> tuple[TrainingRun, dict[str, Tensor]]:
    """Return a run whose layers before the last stage are frozen, and its weights at the start."""
    random = np.random.default_rng(0)
    films = FilmDataset(random.integers(256, size=(8, 32, 32), dtype=np.uint8), [0, 1, 2, 3] * 2)
    config = TrainingConfig.model_validate(merged(FREEZING, changes))
    training = TrainingRun(small_network("chest_cnn").float(), config, films, films)
    return training, {n: value.clone() for n, value in training.network.state_dict().items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": {"opt": "adamw"}},
        {"optimiser": {"opt": "sgd"}},
        {"gradients": MANUAL},
        {"gradients": MANUAL, "optimiser": {"opt": "sgd"}},
    ],
    ids=str,
)
def test_frozen_layers_and_their_statistics_do_not_move(changes: dict[str, object]) -> None:
    training, start = frozen_run(**changes)
    list(training.epochs())
    average = training.state.averaged_network.state_dict()
    for name, value in training.network.state_dict().items():
        is_frozen = not name.startswith(("stages.3", "head"))
        assert torch.equal(value, start[name]) == is_frozen, name
        assert torch.equal(average[name], start[name]) == is_frozen
    for name, parameter in training.network.named_parameters():
        assert (parameter.grad is None) == (not name.startswith(("stages.3", "head")))


def test_layers_unfreeze_in_their_epoch_without_momentum_from_before() -> None:
    unfreeze = {"layers": [[0, "head"], [1, "stages.3"]]}
    training, start = frozen_run(unfreeze=unfreeze, optimiser={"opt": "sgd"})
    epochs = training.epochs()
    next(epochs)
    weight = training.network.stages[3][0].conv1.weight
    assert torch.equal(weight, start["stages.3.0.conv1.weight"])
    assert "momentum_buffer" not in training.optimiser.state[weight]
    next(epochs)
    assert not torch.equal(weight, start["stages.3.0.conv1.weight"])
    assert torch.equal(training.network.stem.conv.weight, start["stem.conv.weight"])


# Clipping, or AdamW, would hide a factor.
UNCLIPPED: dict[str, object] = {
    "optimiser": {"opt": "sgd", "learning_rate": 1e-4, "gradient_clipping": 1e9}
}


@pytest.mark.parametrize("gradients", ["autograd", "manual"])
@pytest.mark.parametrize("name", ["vgg16", "vit_b16 average"])
def test_accumulated_gradients_are_those_of_the_large_batch(
    name: str, gradients: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SMALL, "vit_b16 average", lambda **size: without_drop_path(size))
    settings = UNCLIPPED | {"gradients": {"by": gradients}}
    accumulated = trained(name, batch_size=3, grad_accum_steps=2, **settings)
    whole = trained(name, batch_size=6, **settings)
    torch.testing.assert_close(accumulated, whole, rtol=0, atol=1e-9)


def without_drop_path(size: dict[str, tuple[int, int]]) -> SmallViTB16:
    return SmallViTB16(**SETTINGS, read_out="average", **size)


def test_mixup_accumulates_to_the_large_batch_too() -> None:
    settings = UNCLIPPED | {"gradients": {"mixup": 0.4}}
    accumulated = trained("vgg16", batch_size=3, grad_accum_steps=2, **settings)
    whole = trained("vgg16", batch_size=6, **settings)
    torch.testing.assert_close(accumulated, whole, rtol=0, atol=1e-9)
    plain = trained("vgg16", batch_size=6, **UNCLIPPED)
    assert not torch.allclose(accumulated["head.weight"], plain["head.weight"], rtol=0, atol=1e-6)


def test_layer_decay_slows_early_layers() -> None:
    training = run(optimiser={"layer_decay": 0.5})
    next(training.epochs())
    rates = sorted({group["lr"] for group in training.optimiser.param_groups})
    assert rates[-1] == pytest.approx(2 * rates[-2])


def test_every_step_and_every_epoch_is_logged() -> None:
    training, said = run(), []
    training.log = lambda name, value, step: said.append((name, step))
    list(training.epochs())
    assert [step for name, step in said if name == "step/loss"] == [0, 1, 2, 3]
    assert [step for name, step in said if name == "epoch/val_macro_auroc"] == [1, 3]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # dynamo sees beartype
def test_a_traced_network_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as `torch.compile` does it, but not compiled, which takes minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    traced = trained("vgg16", gradients={"torchcompile": True})
    torch.testing.assert_close(traced, trained("vgg16"), rtol=0, atol=1e-9)


def run_of_origins(epoch: str, *, confounded: tuple[str, ...] = ()) -> TrainingRun:
    """Return a run whose val films are of two origins, 10 films of each class in each."""
    random = np.random.default_rng(0)
    pixels = random.integers(256, size=(40, 32, 32), dtype=np.uint8)
    val = FilmDataset(pixels, [0, 1] * 20, sources=["home"] * 20 + ["abroad"] * 20)
    config = TrainingConfig.model_validate({"epochs": 1, "choice": {"epoch": epoch}})
    network = ChestCNN(classes=2, mean=0.5, std=0.3)
    return TrainingRun(network, config, val, val, confounded)


def test_the_epoch_may_be_chosen_within_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    training = run_of_origins("worst_origin")
    order = np.argsort([0, 1] * 20, kind="stable")
    logits = torch.zeros(40, 2)
    logits[order, 1] = torch.arange(40.0)  # right in both origins
    logits[20:, 1] *= -1  # wrong abroad
    monkeypatch.setattr(training, "predicted_logits", lambda films: logits)
    monkeypatch.setattr(training, "_train_epoch", lambda epoch: 1.0)
    (record,) = training.epochs()
    assert record["val_origins_auroc"] == 0.5
    assert record["val_worst_origin_auroc"] == 0
    training.state.history.append(record | {"val_worst_origin_auroc": 0.1, "val_macro_auroc": 0.0})
    assert training.state.is_best
    training.state.history.append(record | {"val_macro_auroc": 1.0})
    assert not training.state.is_best


@pytest.mark.parametrize(
    ("confounded", "expected"), [(("abroad",), 1.0), (("home", "abroad"), None)]
)
def test_confounded_origins_do_not_choose_the_epoch(
    confounded: tuple[str, ...], expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = run_of_origins("origins", confounded=confounded)
    logits = torch.tensor([[0.0, 1.0 * (number % 2)] for number in range(40)])
    logits[20:] *= -1
    monkeypatch.setattr(training, "predicted_logits", lambda films: logits)
    monkeypatch.setattr(training, "_train_epoch", lambda epoch: 1.0)
    if expected is None:
        with pytest.raises(ValueError, match="no origin of val that is not confounded"):
            next(training.epochs())
    else:
        assert next(training.epochs())["val_origins_auroc"] == expected
