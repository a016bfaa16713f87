"""The gradient flow is measured as it is, said in words where it is bad, and disturbs nothing."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.vit_b16 import ViTB16
from tests.support.small_networks import SETTINGS, SmallChestCNN, SmallVGG16, noise, small_network
from training.data.dataset import FilmDataset
from training.fitting.loop import TrainingRun
from training.gradient_flow.alarms import alarms
from training.gradient_flow.flow import GradientFlow
from training.gradient_flow.picture import draw_gradient_flow
from training.gradient_flow.sample import FlowRecord, error_size, live_channels
from training.training_config import ManualConfig, TrainingConfig

HE = (2 / 32) ** 0.5


def chain(
    activation: Callable[[], nn.Module] = nn.ReLU, *, std: float, layers: int = 8
) -> nn.Sequential:
    """Return layers of 32 units in float64, weights drawn with mean 0 and a standard deviation.

    Those with weights are 0, 2, 4, ..., and the last is the head.
    """
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(48, 32))
    for _ in range(layers):
        network.extend([activation(), nn.Linear(32, 32)])
    network.append(nn.Linear(32, 2)).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=std) if parameter.dim() > 1 else nn.init.zeros_(parameter)
    return network


def batch(films: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(films, 48, generator=generator, dtype=torch.float64)
    return pixels, torch.arange(films) % 2


def step(
    network: nn.Module, flow: GradientFlow, number: int = 0, *, learning_rate: float = 0.01
) -> FlowRecord:
    """Take one step of SGD and return what was recorded of it."""
    pixels, targets = batch()
    optimiser = torch.optim.SGD(network.parameters(), learning_rate)
    with flow.sampled(number):
        cross_entropy(network(pixels), targets).backward()
        optimiser.step()
    return flow.records[-1]


def said_of(network: nn.Module, **settings: float) -> list[str]:
    said: list[str] = []
    step(network, GradientFlow(network, every=1, say=said.append), **settings)
    return said


def test_vanishing_is_said_with_the_layers_and_the_remedy() -> None:
    sentences = said_of(chain(nn.Sigmoid, std=HE))
    assert len(sentences) == 1
    assert "arrives at 0, 2, 4, which hardly learn" in sentences[0]
    assert "step 0: the gradient vanishes" in sentences[0]
    assert "He or Glorot initialisation (arXiv:1502.01852)" in sentences[0]


def test_a_network_drawn_too_small_vanishes_too() -> None:
    assert "the gradient vanishes" in said_of(chain(std=HE / 10))[0]


def test_exploding_is_said_with_the_layers_and_the_remedy() -> None:
    sentences = said_of(chain(std=10 * HE), learning_rate=1e-12)
    assert len(sentences) == 1
    assert "arrives at 0, 2, 4, 6, 8, 10. Remedies:" in sentences[0]
    assert "step 0: the gradient explodes" in sentences[0]
    assert "gradient clipping (Pascanu et al. 2013, arXiv:1211.5063)" in sentences[0]


def test_an_error_that_is_no_number_explodes() -> None:
    network = chain(std=HE)
    nn.init.constant_(network[-1].weight, float("nan"))
    assert "no finite number, arrives at 0, 2, 4" in said_of(network)[0]


def test_an_update_larger_than_the_weights_is_said() -> None:
    sentences = said_of(chain(std=HE), learning_rate=1e3)
    assert "the update overshoots" in sentences[0]
    assert "larger than the weights themselves at 0, 2, 4" in sentences[0]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU, nn.Tanh])
def test_nothing_is_said_of_a_healthy_network(activation: Callable[[], nn.Module]) -> None:
    assert said_of(chain(activation, std=HE)) == []


class NarrowViTB16(ViTB16):
    """Wide enough for timm's standard deviation of 0.02, whatever the width."""

    depth = 3
    width = 96
    heads = 3


HEALTHY = {
    "chest_cnn": lambda: SmallChestCNN(**SETTINGS),
    "vgg16": lambda: SmallVGG16(**SETTINGS),
    "vgg16 fully connected": lambda: SmallVGG16(
        **SETTINGS, head="fully_connected", image_size=(32, 48)
    ),
    "vit_b16 token": lambda: NarrowViTB16(**SETTINGS, image_size=(32, 48)),
    "vit_b16 average": lambda: NarrowViTB16(**SETTINGS, read_out="average", image_size=(32, 48)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_said_of_the_three_networks(name: str) -> None:
    torch.manual_seed(0)
    said: list[str] = []
    network = HEALTHY[name]().double().train()
    flow = GradientFlow(network, every=1, say=said.append)
    with flow.sampled(0):
        pixels, targets = noise(8)
        cross_entropy(network(pixels), targets).backward()
    assert said == []
    assert len(flow.records[0].error_signal) > 5


def recorded(**errors: float) -> FlowRecord:
    return FlowRecord(step=0, error_signal=errors, update_ratio={}, dead_share={})


def test_a_weak_branch_that_the_error_goes_past_does_not_vanish() -> None:
    assert alarms(recorded(stem=0.9, branch=1e-5, norm=1.0, head=9.0)) == {}
    assert list(alarms(recorded(stem=1e-5, branch=0.9, norm=1.0, head=9.0))) == ["vanishing"]


def test_a_head_alone_is_compared_with_nothing() -> None:
    assert alarms(recorded(head=9.0)) == {}


def test_each_kind_of_trouble_is_said_once() -> None:
    network = chain(nn.Sigmoid, std=HE)
    said: list[str] = []
    flow = GradientFlow(network, every=1, say=said.append)
    for number in range(3):
        step(network, flow, number)
    assert len(flow.records) == 3
    assert len(said) == 1


def test_dead_units_are_counted_and_said() -> None:
    network = chain(std=HE, layers=3)
    with torch.no_grad():
        network[0].bias[:8] = -100
        network[4].bias[:] = -100
    said: list[str] = []
    shares = step(network, GradientFlow(network, every=1, say=said.append)).dead_share
    assert shares["1"] == 8 / 32
    assert shares["5"] == 1
    assert any("units die" in sentence and "batch at 5." in sentence for sentence in said)


def test_a_channel_alive_at_one_position_of_one_film_is_alive() -> None:
    maps, tokens = torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 3)
    maps[1, 2, 3, 0] = tokens[1, 4, 2] = 0.1
    assert live_channels(maps).tolist() == [False, False, True]
    assert live_channels(tokens).tolist() == [False, False, True]


def test_the_update_ratio_is_that_of_sgd_by_hand() -> None:
    network = chain(std=HE, layers=2)
    network[2].bias.data.fill_(0.1)
    layer = copy.deepcopy(network)[2]
    flow = GradientFlow(network, every=1)
    ratios = step(network, flow, learning_rate=0.3).update_ratio
    gradient_norm = torch.hypot(network[2].weight.grad.norm(), network[2].bias.grad.norm())
    norm = torch.hypot(layer.weight.norm(), layer.bias.norm())
    assert ratios["2"] == pytest.approx((0.3 * gradient_norm / norm).item())
    assert list(ratios) == ["0", "2", "4", "5"]


def test_the_error_signal_is_the_derivative_by_the_layers_output() -> None:
    network = chain(std=HE, layers=2)
    pixels, targets = batch()
    out = network[0](pixels).detach().requires_grad_()
    cross_entropy(network[1:](out), targets).backward()
    errors = step(network, GradientFlow(network, every=1)).error_signal
    assert errors["0"] == pytest.approx(out.grad.square().mean().sqrt().item())
    assert list(errors) == ["0", "2", "4", "5"]


def test_the_error_signal_of_a_map_is_summed_over_positions() -> None:
    assert error_size(torch.full((2, 3, 4, 4), 0.5)).item() == pytest.approx(2.0)
    assert error_size(torch.full((2, 4, 3), 0.5)).item() == pytest.approx(1.0)  # tokens


def test_max_pooling_leaves_the_error_signal_as_it_is() -> None:
    maps = torch.randn(2, 3, 8, 8, requires_grad=True)
    pooled = nn.functional.max_pool2d(maps, 2)
    error = torch.randn_like(pooled)
    pooled.backward(error)
    assert error_size(maps.grad).item() == pytest.approx(error_size(error).item())


def test_a_relu_that_overwrites_the_convolutions_output_changes_no_figure() -> None:
    records = []
    for in_place in (True, False):
        network = small_network("vgg16", training=True)
        relus = [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]
        assert all(relu.inplace for relu in relus)  # as timm has it
        for relu in relus:
            relu.inplace = in_place
        flow = GradientFlow(network, every=1)
        pixels, targets = noise(4)
        with flow.sampled(0):
            cross_entropy(network(pixels), targets).backward()
        records.append(flow.records[0])
    assert records[0] == records[1]


def test_micro_batches_are_seen_as_one_batch() -> None:
    pixels, targets = batch()
    records = []
    for parts in (1, 4):
        network = chain(std=HE)
        flow = GradientFlow(network, every=1)
        with flow.sampled(0):
            for part, truth in zip(pixels.chunk(parts), targets.chunk(parts), strict=True):
                cross_entropy(network(part), truth, reduction="sum").backward()
        records.append(flow.records[0])
    whole, apart = records
    assert apart.error_signal == pytest.approx(whole.error_signal)
    assert apart.dead_share == whole.dead_share


def test_frozen_layers_are_absent() -> None:
    network = chain(std=HE, layers=3)
    network[:3].requires_grad_(False)
    record = step(network, GradientFlow(network, every=1))
    assert list(record.error_signal) == list(record.update_ratio) == ["4", "6", "7"]
    assert list(record.dead_share) == ["5"]  # no error comes by the others


def test_the_class_tokens_keys_have_no_output_but_an_update() -> None:
    network = small_network("vit_b16 token", training=True)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    flow = GradientFlow(network, every=1)
    with flow.sampled(0):
        pixels, targets = noise(4)
        cross_entropy(network(pixels), targets).backward()
        optimiser.step()
    record = flow.records[0]
    assert set(record.update_ratio) - set(record.error_signal) == {"blocks.2.attn.qkv"}
    assert record.update_ratio["blocks.2.attn.qkv"] > 0


def test_only_each_nth_step_is_sampled() -> None:
    network = chain(std=HE)
    flow, none = GradientFlow(network, every=3), GradientFlow(network, every=0)
    for number in range(7):
        with flow.sampled(number), none.sampled(number):
            network(batch()[0]).sum().backward()
    assert [record.step for record in flow.records] == [0, 3, 6]
    assert none.records == []


def hooks_of(network: nn.Module) -> int:
    return sum(len(layer._forward_hooks) for layer in network.modules())


def interrupted(network: nn.Module, flow: GradientFlow) -> None:
    with flow.sampled(0):
        network(batch()[0])
        assert hooks_of(network) > 0
        raise KeyboardInterrupt


def test_no_hook_stays() -> None:
    network = chain(std=HE)
    flow = GradientFlow(network, every=1)
    with pytest.raises(KeyboardInterrupt):
        interrupted(network, flow)
    assert (hooks_of(network), flow.records) == (0, [])
    step(network, flow)
    assert (hooks_of(network), len(flow.records)) == (0, 1)


def test_a_compiled_network_is_seen_too() -> None:
    network = chain(std=HE, layers=2)
    compiled = torch.compile(network, backend="eager")
    compiled(batch()[0])
    flow = GradientFlow(network, every=1)
    with flow.sampled(0):
        compiled(batch()[0]).sum().backward()
    assert list(flow.records[0].error_signal) == ["0", "2", "4", "5"]


def training(**gradients: object) -> TrainingRun:
    """Return a small network's training of two epochs of two steps each."""
    random = np.random.default_rng(0)
    films = FilmDataset(random.integers(256, size=(8, 32, 32), dtype=np.uint8), [0, 1, 2, 3] * 2)
    settings = {"epochs": 2, "batch_size": 4, "gradients": {"gradient_flow_every": 1} | gradients}
    network = small_network("vit_b16 token", size=(32, 32)).float()
    torch.manual_seed(1)
    return TrainingRun(network, TrainingConfig.model_validate(settings), films, films)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_are_the_same_bit_for_bit_with_and_without_samples(precision: str) -> None:
    with_samples = training(precision=precision)
    assert len(list(with_samples.epochs())) == 2
    without = training(precision=precision, gradient_flow_every=0)
    assert len(list(without.epochs())) == 2
    assert [record.step for record in with_samples.gradient_flow.records] == [0, 1, 2, 3]
    assert without.gradient_flow.records == []
    weights = without.network.state_dict()
    for name, value in with_samples.network.state_dict().items():
        assert torch.equal(value, weights[name])


def test_gradients_by_hand_are_not_sampled() -> None:
    assert ManualConfig().gradient_flow_every == 0
    with pytest.raises(ValueError, match=r"gradients\.manual\.gradient_flow_every"):
        TrainingConfig.model_validate(
            {"epochs": 1, "gradients": {"by": "manual", "gradient_flow_every": 5}}
        )


def test_a_killed_training_goes_on_with_each_sample_once(tmp_path: Path) -> None:
    killed, resumed = training(), training()
    epochs = killed.epochs()
    next(epochs)
    killed.state.save(tmp_path / "last.pt")
    next(epochs)  # samples that were never saved
    resumed.state.restore(tmp_path / "last.pt")
    assert [record.step for record in resumed.gradient_flow.records] == [0, 1]
    list(resumed.epochs())
    assert [record.step for record in resumed.gradient_flow.records] == [0, 1, 2, 3]


def test_what_is_no_finite_number_is_kept_and_drawn_as_a_gap(tmp_path: Path) -> None:
    record = FlowRecord(
        step=0,
        error_signal={"stem": float("inf"), "head": 0.1},
        update_ratio={"stem": 0.0, "head": 1e-3},
        dead_share={},
    )
    assert FlowRecord.model_validate_json(record.model_dump_json()) == record
    draw_gradient_flow([record], tmp_path / "flow.png")
    assert (tmp_path / "flow.png").read_bytes().startswith(b"\x89PNG")
