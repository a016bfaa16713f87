import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from models.card import Standardisation
from models.lungs.front import LungFront, LungView
from models.lungs.intensity import BLANK
from tests.support.drawn_lungs import CROP, FILM, MASK, DarkPixels, drawn_film, drawn_mask
from training.onnx_files.writing import onnx_model

pytestmark = pytest.mark.slow

OUTPUTS = ("pixels_seen", "inside", "lungs", "region", "area", "balance", "stray")
BOTH = pytest.mark.parametrize("standardisation", ["ranks", "mean_std"])
MODELS: dict[Standardisation, onnx.ModelProto] = {}


class FromPixels(nn.Module):
    """The whole front: a lung field, and what follows."""

    def __init__(self, standardisation: Standardisation = "ranks") -> None:
        super().__init__()
        self.field = DarkPixels()
        self.front = front(standardisation)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return all outputs, flat."""
        *seen, figures = self.front(pixels, self.field(pixels))
        return (*seen, *figures)


def front(standardisation: Standardisation = "ranks") -> LungFront:
    return LungFront(mask_size=MASK, crop_size=CROP, standardisation=standardisation)


def films(batch: int) -> Tensor:
    return torch.cat([drawn_film(seed) for seed in range(batch)])


def model(standardisation: Standardisation) -> onnx.ModelProto:
    """Return the graph, made once for all tests."""
    if standardisation not in MODELS:
        MODELS[standardisation] = onnx_model(FromPixels(standardisation), films(2), OUTPUTS)
    return MODELS[standardisation]


def view(pixels: Tensor) -> LungView:
    return front()(pixels, DarkPixels()(pixels))


@BOTH
@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_runtime_answers_as_pytorch_does(standardisation: Standardisation, batch: int) -> None:
    session = onnxruntime.InferenceSession(
        model(standardisation).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    pixels = films(3)[:batch].flip(0)
    seen = session.run(None, {"pixels": pixels.numpy()})
    with torch.inference_mode():
        expected = FromPixels(standardisation)(pixels)
    differences = {
        name: abs(ours - theirs.numpy())
        for name, ours, theirs in zip(OUTPUTS, seen, expected, strict=True)
    }
    # At a film's edges rounding to float32 shows; PyTorch is as far from its own float64.
    in_pixels = differences.pop("pixels_seen")
    assert np.quantile(in_pixels, 0.999) <= 1e-5
    assert in_pixels.max() <= 5e-5
    assert {name: error.max() for name, error in differences.items() if error.max() > 1e-5} == {}


@BOTH
def test_the_graph_is_made_of_standard_operators_without_loop_or_choice(
    standardisation: Standardisation,
) -> None:
    nodes = model(standardisation).graph.node
    assert {node.domain for node in nodes} <= {"", "ai.onnx"}
    assert not {"Loop", "Scan", "If", "NonZero", "NonMaxSuppression"} & {n.op_type for n in nodes}


@pytest.mark.parametrize("seed", range(4))
def test_the_view_shows_the_lungs_of_a_drawn_film_and_nothing_else(seed: int) -> None:
    seen = view(drawn_film(seed))
    truth = drawn_mask(seed)
    found = (seen.lungs > 0).float()
    dice = 2 * (found * (truth > 0.5)).sum() / (found.sum() + (truth > 0.5).sum())
    assert dice > 0.93
    assert 0.3 < seen.inside.mean() < 0.8
    assert (seen.pixels == BLANK).float().mean() > 0.1
    assert seen.figures.stray.item() < 0.02
    assert seen.figures.balance.item() > 0.5


def test_a_letter_in_a_corner_changes_nothing_in_the_view() -> None:
    marked = drawn_film(1)
    marked[..., 10:40, 285:310] = 0.1
    before, after = view(drawn_film(1)), view(marked)
    assert after.figures.stray > before.figures.stray + 0.01
    torch.testing.assert_close(after.region, before.region)
    torch.testing.assert_close(after.pixels, before.pixels, atol=1e-4, rtol=0)


@BOTH
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_flat_films_with_empty_and_full_masks_give_finite_views(
    standardisation: Standardisation, grey: float, probability: float
) -> None:
    seen = front(standardisation)(
        torch.full((2, 1, *FILM), grey), torch.full((2, 1, *MASK), probability)
    )
    assert all(torch.isfinite(output).all() for output in (*seen[:4], *seen.figures))
    assert seen.region.tolist() == [[0, 0, 1, 1]] * 2


def test_a_film_without_lungs_is_blank_and_can_be_told() -> None:
    seen = front()(drawn_film(0), torch.zeros(1, 1, *MASK))
    assert (seen.pixels == BLANK).all()
    assert seen.inside.abs().max() == 0
    assert (seen.figures.area.item(), seen.figures.balance.item()) == (0, 0)


def test_a_mirrored_film_is_seen_mirrored() -> None:
    seen, mirrored = view(drawn_film(2)), view(drawn_film(2).flip(3))
    torch.testing.assert_close(mirrored.inside, seen.inside.flip(3), atol=1e-4, rtol=0)
    assert (mirrored.pixels - seen.pixels.flip(3)).abs().mean() < 0.01


def test_the_front_has_no_weights() -> None:
    assert not front().state_dict()


def test_noise_on_a_film_moves_its_view_by_little() -> None:
    noise = 1e-4 * torch.randn(1, 1, *FILM, generator=torch.Generator().manual_seed(0))
    before, after = view(drawn_film(3)), view((drawn_film(3) + noise).clamp(0, 1))
    assert 320 * (after.region - before.region).abs().max() < 0.1
    assert (after.pixels - before.pixels).abs().max() < 0.02
