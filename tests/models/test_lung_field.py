"""lung_field keeps its promises on size, exposure, shape and export."""

import onnx
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.lung_field import LungField
from tests.support.small_lung_field import small_lung_field
from training.onnx_files.writing import onnx_model

SIZE = (128, 128)


class AsTuple(torch.nn.Module):
    """The network as `onnx_model` wants it."""

    def __init__(self, network: LungField) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.network(pixels),)


def test_it_has_at_most_0_3_million_parameters() -> None:
    assert sum(parameter.numel() for parameter in LungField().parameters()) <= 300_000


def test_it_costs_at_most_0_2_gmac_a_film() -> None:
    with FlopCounterMode(display=False) as counter:
        LungField().eval()(torch.zeros(1, 1, *SIZE))
    assert counter.get_total_flops() / 2 <= 0.2e9


def test_it_answers_with_a_logit_for_each_cell() -> None:
    logits = LungField().eval()(torch.zeros(3, 1, 64, 96))
    assert logits.shape == (3, 1, 64 // LungField.cell, 96 // LungField.cell)


def test_exposure_and_contrast_of_a_film_do_not_show() -> None:
    network = small_lung_field()
    film = torch.rand(1, 1, 32, 48, dtype=torch.float64)
    torch.testing.assert_close(network(0.2 + 0.6 * film), network(film), rtol=1e-2, atol=1e-2)


def test_a_film_of_one_grey_gives_finite_logits() -> None:
    assert network_is_finite(torch.full((1, 1, 32, 48), 0.7))
    assert network_is_finite(torch.zeros(1, 1, 32, 48))


def network_is_finite(pixels: torch.Tensor) -> bool:
    return bool(small_lung_field().float()(pixels).isfinite().all())


@pytest.mark.parametrize("size", [(120, 128), (128, 8)])
def test_a_size_that_the_levels_cannot_halve_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be multiples of 16"):
        LungField()(torch.zeros(1, 1, *size))


def test_it_exports_to_standard_operators_and_answers_the_same() -> None:
    network = LungField().eval()
    torch.nn.init.normal_(network.head.weight)
    pixels = torch.rand(3, 1, *SIZE)
    model = onnx_model(AsTuple(network), pixels[:2], ("lungs",))
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (seen,) = session.run(None, {"pixels": pixels.numpy()})
    torch.testing.assert_close(
        torch.from_numpy(seen), network(pixels).detach(), rtol=1e-3, atol=1e-4
    )
