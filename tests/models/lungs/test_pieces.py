from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.lungs.pieces import TwoLungs, certainty, lung_figures
from tests.support.drawn_lungs import LEFT, MASK, RIGHT, drawn_mask, ellipses
from tests.support.human_lungs import human_masks

SQUARE = 7
STOMACH = (0.9, 0.7, 0.07, 0.09)
SEEDS = st.integers(0, 200)


def kept(probabilities: Tensor) -> Tensor:
    return TwoLungs((probabilities.shape[2], probabilities.shape[3]))(certainty(probabilities))


def with_square(probabilities: Tensor, row: int, column: int) -> Tensor:
    """Return the mask with a square added, as a letter looks to a lung field."""
    changed = probabilities.clone()
    changed[:, :, row : row + SQUARE, column : column + SQUARE] = 1
    return changed


def test_a_mask_is_exactly_nothing_up_to_a_probability_of_one_half() -> None:
    seen = certainty(torch.tensor([0.0, 0.2, 0.5, 0.75, 1.0]).view(1, 1, 1, 5))
    assert seen.flatten().tolist() == [0, 0, 0, 0.5, 1]


@given(SEEDS, st.sampled_from([64, 128]))
def test_drawn_lungs_are_kept_as_they_are(seed: int, side: int) -> None:
    probabilities = drawn_mask(seed, side=side)
    torch.testing.assert_close(kept(probabilities), certainty(probabilities), atol=1e-6, rtol=0)


@given(SEEDS, st.integers(0, 64 - SQUARE), st.integers(0, 64 - SQUARE))
def test_a_stray_square_goes_and_nothing_else(seed: int, row: int, column: int) -> None:
    clean = drawn_mask(seed)
    around = clean[
        :, :, max(0, row - 2) : row + SQUARE + 2, max(0, column - 2) : column + SQUARE + 2
    ]
    if around.max() > 0.5:
        return  # it would hang on a lung
    torch.testing.assert_close(
        kept(with_square(clean, row, column)), kept(clean), atol=1e-6, rtol=0
    )


def test_a_stomach_below_a_lung_goes() -> None:
    lungs = kept(ellipses(RIGHT, LEFT, STOMACH))
    torch.testing.assert_close(lungs, kept(ellipses(RIGHT, LEFT)), atol=1e-6, rtol=0)


def test_a_single_lung_does_not_make_a_letter_its_fellow() -> None:
    single = ellipses(RIGHT)
    lungs = kept(with_square(single, 3, 52))
    assert lungs[..., 32:].max() == 0
    torch.testing.assert_close(lungs, certainty(single), atol=1e-6, rtol=0)


def test_a_small_lung_beside_a_large_one_stays() -> None:
    collapsed = ellipses((0.5, 0.35, 0.36, 0.16), (0.3, 0.72, 0.16, 0.08))
    torch.testing.assert_close(kept(collapsed), certainty(collapsed), atol=1e-6, rtol=0)


def test_lungs_beside_the_middle_of_the_film_stay() -> None:
    aside = ellipses((0.5, 0.17, 0.3, 0.1), (0.5, 0.55, 0.26, 0.12))
    torch.testing.assert_close(kept(aside), certainty(aside), atol=1e-6, rtol=0)


def test_lungs_that_touch_stay_whole() -> None:
    touching = ellipses((0.5, 0.38, 0.3, 0.13), (0.5, 0.6, 0.26, 0.13))
    assert touching[0, 0, 32].max() > 0.9
    torch.testing.assert_close(kept(touching), certainty(touching), atol=1e-6, rtol=0)


@pytest.mark.parametrize("side", [64, 128])
def test_a_mask_that_fills_the_film_stays(side: int) -> None:
    full = torch.full((1, 1, side, side), 0.9)
    torch.testing.assert_close(kept(full), certainty(full))


def test_a_single_cell_stays() -> None:
    mask = torch.zeros(1, 1, *MASK)
    mask[..., 30, 20] = 1
    torch.testing.assert_close(kept(mask), mask)


def test_an_empty_mask_stays_empty() -> None:
    assert kept(torch.full((2, 1, *MASK), 0.5)).abs().max() == 0


@given(SEEDS)
def test_nothing_is_added(seed: int) -> None:
    noise = torch.rand(1, 1, *MASK, generator=torch.Generator().manual_seed(seed))
    mask = certainty(noise)
    assert (TwoLungs(MASK)(mask) <= mask + 1e-6).all()


@given(SEEDS)
def test_a_mirrored_mask_has_mirrored_lungs(seed: int) -> None:
    mask = with_square(drawn_mask(seed), 2, 2)
    torch.testing.assert_close(kept(mask.flip(3)), kept(mask).flip(3), atol=1e-6, rtol=0)


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_a_shifted_mask_has_shifted_lungs(down: int, across: int) -> None:
    mask = with_square(ellipses(RIGHT, LEFT), 6, 51)
    shifted = mask.roll((down, across), dims=(2, 3))
    expected = kept(mask).roll((down, across), dims=(2, 3))
    torch.testing.assert_close(kept(shifted), expected, atol=1e-6, rtol=0)


def test_a_film_does_not_depend_on_the_others_of_its_batch() -> None:
    masks = torch.cat([drawn_mask(seed) for seed in range(3)])
    for number, alone in enumerate(masks.split(1)):
        torch.testing.assert_close(kept(masks)[number : number + 1], kept(alone))


def test_a_piece_comes_in_little_by_little_as_its_link_grows() -> None:
    """A stomach on a bridge of one cell's width, whose probability rises past one half."""
    areas = []
    for probability in torch.linspace(0.45, 0.7, 51):
        mask = ellipses(RIGHT, LEFT, STOMACH)
        mask[..., 45:56, 44] = torch.maximum(mask[..., 45:56, 44], probability)
        areas.append(kept(mask).sum().item())
    rises = np.diff(areas)
    stomach = certainty(ellipses(STOMACH)).sum().item()
    assert areas[-1] - areas[0] == pytest.approx(stomach, rel=0.2)
    assert rises.min() > -1e-3
    assert rises.max() < 0.08 * stomach


def test_a_broader_piece_takes_over_little_by_little() -> None:
    """Two pieces on one side, of which one grows from smaller than the other to larger."""
    results = []
    for width in torch.linspace(0.06, 0.12, 121):
        mask = ellipses(LEFT, (0.25, 0.25, 0.15, 0.09), (0.75, 0.25, 0.15, float(width)))
        results.append(kept(mask))
    steps = [(after - before).abs().max().item() for before, after in pairwise(results)]
    assert results[0][..., 48, 16] == 0
    assert results[-1][..., 16, 16] < results[0][..., 16, 16]
    assert max(steps) < 0.3


def test_a_side_that_cannot_be_shrunk_evenly_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiple of 2, not \(100, 81\)"):
        TwoLungs((100, 81))


def test_the_figures_of_two_ellipses() -> None:
    mask = certainty(ellipses(RIGHT, LEFT, STOMACH))
    figures = lung_figures(mask, TwoLungs(MASK)(mask))
    areas = [torch.pi * height * width for _, _, height, width in (RIGHT, LEFT, STOMACH)]
    assert figures.area.item() == pytest.approx(areas[0] + areas[1], rel=0.12)
    assert figures.balance.item() == pytest.approx(areas[1] / areas[0], rel=0.08)
    assert figures.stray.item() == pytest.approx(areas[2] / sum(areas), rel=0.15)


def test_a_single_lung_is_out_of_balance() -> None:
    mask = certainty(ellipses(RIGHT))
    assert lung_figures(mask, TwoLungs(MASK)(mask)).balance.item() == 0


def test_an_empty_mask_has_figures_of_nothing() -> None:
    empty = torch.zeros(2, 1, *MASK)
    assert torch.stack(lung_figures(empty, empty)).abs().max() == 0


def test_a_film_without_lungs_does_not_lend_its_figures_to_the_next() -> None:
    masks = torch.cat([torch.zeros(1, 1, *MASK), certainty(ellipses(RIGHT, LEFT))])
    figures = torch.stack(lung_figures(masks, TwoLungs(MASK)(masks)), dim=1)
    assert figures[0].tolist() == [0, 0, 0]
    assert figures[1, 1] > 0.9


def test_outlines_drawn_by_people_lose_nothing(shared: Path) -> None:
    for mask in human_masks(shared, 120):
        assert kept(mask).sum() >= 0.995 * certainty(mask).sum()


def test_a_square_beside_outlines_drawn_by_people_goes(shared: Path) -> None:
    tried = 0
    for mask in human_masks(shared, 120):
        for row, column in ((1, 1), (1, 56), (56, 1), (56, 56)):
            if mask[:, :, max(0, row - 2) : row + 9, max(0, column - 2) : column + 9].max() > 0:
                continue
            tried += 1
            lungs = kept(with_square(mask, row, column))
            torch.testing.assert_close(lungs, kept(mask), atol=1e-6, rtol=0)
    assert tried > 100
