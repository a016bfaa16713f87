"""The learning rate rises in a line and falls in a cosine; layers unfreeze from late to early."""

import pytest
from torch import nn

from models.network import Network
from tests.support.small_networks import small_network
from training.step.optimiser import learning_rate_factor
from training.step.unfreezing import check_unfreeze, first_trained, train_from
from training.training_config import Unfreezing


def factors() -> list[float]:
    return [learning_rate_factor(step, warmup_steps=10, steps=110) for step in range(110)]


def test_it_reaches_the_peak_at_the_end_of_the_warm_up() -> None:
    assert factors()[10] == 1.0
    assert max(factors()) == 1.0


def test_it_rises_before_and_falls_after_the_peak() -> None:
    rates = factors()
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_it_is_half_the_peak_half_way_down() -> None:
    assert factors()[60] == pytest.approx(0.5)


def test_it_stays_positive_and_ends_near_zero() -> None:
    assert 0 < factors()[-1] < 0.001


def trained_layers(network: Network) -> set[str]:
    return {name.rsplit(".", 1)[0] for name, p in network.named_parameters() if p.requires_grad}


def test_layers_train_from_the_one_named_on() -> None:
    network = small_network("vgg16")
    train_from(network, "trunk.9")
    assert trained_layers(network) == {"trunk.9", "trunk.12", "head"}
    train_from(network, "head")
    assert trained_layers(network) == {"head"}
    train_from(network, None)
    assert len(trained_layers(network)) == 6


def test_what_holds_several_layers_stands_for_the_first() -> None:
    network = small_network("chest_cnn")
    train_from(network, "stages.2")
    beginnings = {".".join(name.split(".")[:2]) for name in trained_layers(network)}
    assert beginnings == {"stages.2", "stages.3", "head"}


def test_frozen_layers_are_in_eval_mode_and_the_others_are_not() -> None:
    network = small_network("chest_cnn")
    train_from(network, "stages.2")
    modes = {n: m.training for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert all(mode == name.startswith(("stages.2", "stages.3")) for name, mode in modes.items())
    assert set(modes.values()) == {True, False}


def test_the_schedule_says_from_where_on_each_epoch_trains() -> None:
    unfreeze = (Unfreezing(0, "head"), Unfreezing(2, "trunk.9"))
    assert [first_trained(unfreeze, epoch) for epoch in range(4)] == [
        "head",
        "head",
        "trunk.9",
        "trunk.9",
    ]
    assert first_trained((), 0) is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("trunk.9", "head"), "from late layers to earlier ones"),
        (("trunk.99",), "layer must be one of .*not 'trunk.99'"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(names: tuple[str, ...], message: str) -> None:
    unfreeze = [Unfreezing(epoch, name) for epoch, name in enumerate(names)]
    with pytest.raises(ValueError, match=message):
        check_unfreeze(small_network("vgg16"), unfreeze)
