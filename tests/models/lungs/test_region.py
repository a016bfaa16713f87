from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.lungs.pieces import TwoLungs, certainty
from models.lungs.region import MARGIN, cropped, lung_region, quantile
from tests.support.drawn_lungs import LEFT, MASK, RIGHT, drawn_mask, ellipses
from tests.support.human_lungs import human_masks

pytestmark = pytest.mark.slow

SIDE = 320
"""Pixels of the network's input, in which movements of the box are counted."""
SEEDS = st.integers(0, 200)


def box(probabilities: Tensor) -> Tensor:
    size = (probabilities.shape[2], probabilities.shape[3])
    return lung_region(TwoLungs(size)(certainty(probabilities)))


def moved(before: Tensor, after: Tensor) -> float:
    """Return how far the edge that moved most went, in pixels of the input."""
    return SIDE * (box(before) - box(after)).abs().max().item()


def shaken(probabilities: Tensor, logits: float, seed: int) -> Tensor:
    """Return a mask with noise on its logits: in every cell, smooth, and one for all cells."""
    random = torch.Generator().manual_seed(seed)
    cells = torch.randn(probabilities.shape, generator=random)
    smooth = torch.randn(1, 1, 4, 4, generator=random)
    smooth = functional.interpolate(smooth, probabilities.shape[2:], mode="bilinear")
    noise = (cells + smooth + torch.randn(1, generator=random)) / 3**0.5
    return torch.sigmoid(torch.logit(probabilities, eps=1e-3) + logits * noise)


def test_a_quantile_lies_within_its_bin_as_its_share_says() -> None:
    masses = torch.tensor([[0.0, 1, 2, 1, 0], [4, 0, 0, 0, 4]])
    assert quantile(masses, 0.25).tolist() == [2, 0.5]
    torch.testing.assert_close(quantile(masses, 0.5)[:1], torch.tensor([2.5]))
    torch.testing.assert_close(quantile(masses, 0.75), torch.tensor([3.0, 4.5]))


@given(SEEDS, st.floats(0.01, 0.99))
def test_quantiles_are_those_of_the_inverted_distribution(seed: int, share: float) -> None:
    masses = torch.rand(2, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    position = quantile(masses, share)
    for row, at in zip(masses, position, strict=True):
        whole = int(at)
        below = row[:whole].sum() + (at - whole) * row[min(whole, 8)]
        assert (below / row.sum()).item() == pytest.approx(share, abs=1e-9)


def test_the_box_of_a_rectangle_is_the_rectangle_with_its_margin() -> None:
    mask = torch.zeros(1, 1, *MASK)
    mask[..., 16:48, 8:40] = 1
    without = lung_region(mask, 0.0)[0]
    expected = torch.tensor([16.32, 8.32, 47.68, 39.68]) / 64
    torch.testing.assert_close(without, expected, atol=1e-3, rtol=0)
    room = MARGIN * 31.36 / 64
    torch.testing.assert_close(
        lung_region(mask)[0],
        expected + torch.tensor([-room, -room, room, room]),
        atol=1.5e-3,
        rtol=0,
    )


@pytest.mark.parametrize("value", [0.0, 0.5, 0.9])
def test_an_empty_mask_and_a_full_one_give_the_whole_film(value: float) -> None:
    assert box(torch.full((2, 1, *MASK), value)).tolist() == [[0, 0, 1, 1]] * 2


def test_the_box_of_lungs_that_fade_away_widens_to_the_whole_film() -> None:
    lungs = certainty(ellipses(RIGHT, LEFT))
    boxes = torch.cat([lung_region(lungs * 0.8**power) for power in range(80)])
    assert boxes[-1].tolist() == [0, 0, 1, 1]
    assert boxes.diff(dim=0).abs().max() < 0.05
    torch.testing.assert_close(boxes[0], boxes[5], atol=1e-3, rtol=0)


@given(SEEDS)
def test_edges_are_in_order_and_on_the_film_for_any_mask(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    mask = (torch.rand(1, 1, *MASK, generator=random) > 0.9995).float()
    top, left, bottom, right = lung_region(mask)[0].tolist()
    assert 0 <= top < bottom <= 1
    assert 0 <= left < right <= 1


@given(SEEDS, st.sampled_from([64, 128]))
def test_noise_of_a_ten_thousandth_moves_no_edge_by_a_tenth_of_a_pixel(
    seed: int, side: int
) -> None:
    mask = drawn_mask(seed, side=side)
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(mask.shape, generator=random)
    slope = torch.linspace(-1, 1, side)
    for shape in (noise, noise.sign(), slope, slope[:, None], torch.ones(1)):
        assert moved(mask, (mask + 1e-4 * shape).clamp(0, 1)) < 0.1


@given(SEEDS, st.sampled_from([(0.02, 0.2), (0.2, 1.0)]))
def test_weights_stored_small_move_an_edge_by_less_than_a_pixel(
    seed: int, size: tuple[float, float]
) -> None:
    """Of weights in float16 logits move by some hundredths, of weights in int8 by some tenths."""
    logits, pixels = size
    mask = drawn_mask(seed).clamp(0.01, 0.99)
    assert moved(mask, shaken(mask, logits, seed)) < pixels


@pytest.mark.parametrize("change", ["shift", "grow"])
def test_an_edge_never_jumps_while_a_lung_shifts_or_grows(change: str) -> None:
    steps = torch.linspace(0, 0.1, 201).tolist()
    drawn: Callable[[float], Tensor] = {
        "shift": lambda by: ellipses(RIGHT, (0.5, 0.7 + by, 0.26, 0.12)),
        "grow": lambda by: ellipses(RIGHT, (0.5, 0.7, 0.26 + by, 0.12)),
    }[change]
    boxes = SIDE * torch.cat([box(drawn(by)) for by in steps])
    assert boxes.diff(dim=0).abs().max() < 3 * 0.1 / 200 * SIDE


@given(SEEDS)
def test_a_mirrored_film_has_a_mirrored_box(seed: int) -> None:
    mask = drawn_mask(seed)
    top, left, bottom, right = box(mask)[0]
    expected = torch.stack([top, 1 - right, bottom, 1 - left])
    torch.testing.assert_close(box(mask.flip(3))[0], expected, atol=1e-5, rtol=0)


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_a_shifted_film_has_the_same_crop(down: int, across: int) -> None:
    mask = ellipses(RIGHT, LEFT)
    shifted = mask.roll((down, across), dims=(2, 3))
    expected = box(mask) + torch.tensor([down, across, down, across]) / 64
    torch.testing.assert_close(box(shifted), expected, atol=2e-4, rtol=0)
    seen, seen_shifted = (cropped(x, box(x), (56, 56)) for x in (mask, shifted))
    torch.testing.assert_close(seen_shifted, seen, atol=0.02, rtol=0)


def test_the_whole_film_at_its_own_size_is_the_film() -> None:
    film = torch.rand(2, 1, 24, 32, generator=torch.Generator().manual_seed(0))
    whole = torch.tensor([[0.0, 0, 1, 1]]).expand(2, -1)
    torch.testing.assert_close(cropped(film, whole, (24, 32)), film, atol=1e-5, rtol=0)


@given(SEEDS, st.sampled_from([(9, 7), (20, 31), (90, 64)]))
def test_a_crop_is_that_of_pillow(seed: int, size: tuple[int, int]) -> None:
    """Smaller than the film, as large, and larger."""
    random = torch.Generator().manual_seed(seed)
    film, shares = (torch.rand(shape, generator=random) for shape in ((31, 40), (4,)))
    top, left = (0.4 * shares[:2]).tolist()
    bottom, right = (1 - 0.4 * shares[2:]).tolist()
    expected = Image.fromarray(film.numpy()).resize(
        size[::-1],
        Image.Resampling.BILINEAR,
        box=(40 * left, 31 * top, 40 * right, 31 * bottom),
    )
    seen = cropped(film[None, None], torch.tensor([[top, left, bottom, right]]), size)
    np.testing.assert_allclose(seen[0, 0], np.asarray(expected), atol=1e-4)


@given(SEEDS)
def test_a_mask_is_interpolated_as_by_grid_sample(seed: int) -> None:
    mask = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    region = torch.tensor([[0.0, 0.1, 0.8, 1.0], [0.3, 0.2, 0.9, 0.75]])
    scale, shift = region[:, 2:] - region[:, :2], region[:, 2:] + region[:, :2] - 1
    theta = torch.zeros(2, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = scale[:, 1], scale[:, 0]
    theta[:, :, 2] = shift.flip(1)
    grid = functional.affine_grid(theta, [2, 1, 56, 48], align_corners=False)
    expected = functional.grid_sample(mask, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(cropped(mask, region, (56, 48)), expected, atol=1e-5, rtol=0)


def test_stripes_too_fine_for_the_crop_leave_no_pattern() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(160).expand(1, 1, 320, 320)
    seen = cropped(stripes, torch.tensor([[0.0, 0, 1, 1]]), (160, 160))
    assert (seen[..., 1:-1] - 0.5).abs().max() < 1e-4


def test_each_film_of_a_batch_has_its_own_region() -> None:
    film = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    regions = torch.tensor([[0.0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])
    seen = cropped(film.expand(2, -1, -1, -1), regions, (10, 10))
    torch.testing.assert_close(seen[0, 0], film[0, 0, :10, :10], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1, 0], film[0, 0, 10:, 10:], atol=1e-5, rtol=0)


def test_boxes_hold_the_outlines_drawn_by_people(shared: Path) -> None:
    for mask in human_masks(shared, 120):
        top, left, bottom, right = box(mask)[0].mul(64).tolist()
        rows = torch.arange(64)[:, None] + 0.5
        columns = torch.arange(64) + 0.5
        inside = (rows > top) & (rows < bottom) & (columns > left) & (columns < right)
        lungs = TwoLungs(MASK)(certainty(mask))
        assert (lungs * inside).sum() > 0.997 * lungs.sum()
