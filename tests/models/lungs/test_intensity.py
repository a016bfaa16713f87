import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.card import Standardisation
from models.lungs.intensity import (
    BEYOND,
    BLANK,
    blanked,
    by_mean_std,
    by_ranks,
    standardised,
    surroundings,
)
from tests.support.drawn_lungs import LEFT, RIGHT, ellipses

SIDE = 112
BOTH = pytest.mark.parametrize("by", ["ranks", "mean_std"])
SEEDS = st.integers(0, 200)


def film(seed: int = 0, *, batch: int = 1) -> Tensor:
    """Return a film with structures of some pixels' size, in [0.1, 0.9]."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 1, 14, 14, generator=random)
    fine = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
    return (0.1 + 0.8 * fine).clamp(0.1, 0.9)


def lungs() -> Tensor:
    mask = ellipses(RIGHT, LEFT, side=SIDE)
    return (2 * mask - 1).clamp(min=0)


def test_mean_and_deviation_inside_the_lungs_are_those_asked_for() -> None:
    inside = lungs()
    seen = by_mean_std(film(), inside)
    share = inside / inside.sum()
    mean = (share * seen).sum()
    assert mean.item() == pytest.approx(0.5, abs=2e-3)
    assert (share * (seen - mean).square()).sum().sqrt().item() == pytest.approx(0.2, abs=2e-3)


@given(SEEDS, st.floats(0.3, 1.0), st.floats(0.0, 0.3))
def test_exposure_and_contrast_do_not_show(seed: int, contrast: float, darkness: float) -> None:
    same = contrast * film(seed) * 0.7 + darkness
    by: Standardisation
    for by, most in (("mean_std", 0.03), ("ranks", 0.06)):
        seen = standardised(same, lungs(), by)
        kept = lungs() > 0
        difference = (seen - standardised(film(seed), lungs(), by))[kept].abs()
        assert difference.mean() < most


def test_a_curve_over_the_grey_values_does_not_change_a_rank() -> None:
    """Of gamma the rank shows next to nothing, mean and deviation a lot more."""
    curved, inside = film().sqrt(), lungs()
    rank = 2 * by_ranks(film(), inside) - linear(film(), inside)
    rank_of_curved = 2 * by_ranks(curved, inside) - linear(curved, inside)
    change = (rank - rank_of_curved)[inside > 0].abs().mean()
    assert change < 0.02
    assert (
        change
        < (by_mean_std(film(), inside) - by_mean_std(curved, inside))[inside > 0].abs().mean()
    )


def linear(pixels: Tensor, inside: Tensor) -> Tensor:
    """Return the linear part as the definition has it, by sorting the pixels of the lungs."""
    darkest, brightest = weighted_quantiles(pixels, inside, [0.02, 0.98])
    return ((pixels - darkest) / (brightest - darkest + 1 / 255)).clamp(0, 1)


def weighted_quantiles(pixels: Tensor, inside: Tensor, shares: list[float]) -> list[Tensor]:
    values, order = pixels.flatten().sort()
    below = inside.flatten()[order].cumsum(0) / inside.sum()
    return [values[(below < share).sum()] for share in shares]


@given(SEEDS)
def test_ranks_are_near_those_of_the_sorted_pixels(seed: int) -> None:
    pixels, inside = film(seed), lungs()
    values, order = pixels.flatten().sort()
    below = inside.flatten()[order].cumsum(0) / inside.sum()
    place = torch.searchsorted(values, pixels.flatten()).clamp(max=len(values) - 1)
    expected = (below[place].view_as(pixels) + linear(pixels, inside)) / 2
    difference = (by_ranks(pixels, inside) - expected)[inside > 0].abs()
    assert difference.mean() < 0.01
    assert difference.max() < 0.04


def test_a_brighter_pixel_never_comes_out_darker() -> None:
    pixels = torch.linspace(0, 1, SIDE).expand(1, 1, SIDE, SIDE)
    seen = by_ranks(pixels, lungs())
    assert seen.diff(dim=3).min() >= -1e-6
    assert -1e-5 < seen.min() < seen.max() < 1 + 1e-5


@BOTH
@pytest.mark.parametrize("grey", [0.0, 0.3, 0.5, 1.0])
def test_a_flat_film_stays_flat_and_finite(by: Standardisation, grey: float) -> None:
    seen = standardised(torch.full((1, 1, SIDE, SIDE), grey), lungs(), by)
    assert seen.max() - seen.min() < 1e-5
    assert seen.mean().item() == pytest.approx(0.5, abs=0.06)


@BOTH
def test_without_lungs_the_whole_film_counts(by: Standardisation) -> None:
    seen = standardised(film(), torch.zeros(1, 1, SIDE, SIDE), by)
    expected = standardised(film(), torch.ones(1, 1, SIDE, SIDE), by)
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)


@BOTH
def test_noise_on_film_and_mask_stays_noise(by: Standardisation) -> None:
    noise = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    before = standardised(film(), lungs(), by)
    after = standardised(film() + 1e-4 * noise, (lungs() + 1e-4 * noise).clamp(0, 1), by)
    assert (after - before).abs().max() < 0.005


@BOTH
def test_each_film_of_a_batch_is_standardised_by_its_own_lungs(by: Standardisation) -> None:
    films = torch.cat([film(0), 0.2 * film(1)])
    seen = standardised(films, lungs().expand(2, -1, -1, -1), by)
    for number in range(2):
        alone = standardised(films[number : number + 1], lungs(), by)
        torch.testing.assert_close(seen[number : number + 1], alone, atol=1e-5, rtol=0)


@BOTH
def test_a_mirrored_film_is_mirrored(by: Standardisation) -> None:
    seen = standardised(film().flip(3), lungs().flip(3), by)
    expected = standardised(film(), lungs(), by).flip(3)
    # Ranks are made from every other pixel, and a mirror takes the others.
    torch.testing.assert_close(seen, expected, atol=0.03 if by == "ranks" else 1e-5, rtol=0)


def test_sure_lungs_are_kept_and_what_is_far_from_them_is_exactly_blank() -> None:
    inside = lungs()
    seen = blanked(film(), inside)
    sure = inside >= 0.25
    torch.testing.assert_close(seen[sure], film()[sure], atol=1e-6, rtol=0)
    reach = 2 * round(BEYOND * SIDE)
    near = torch.nn.functional.max_pool2d((inside > 0).float(), 2 * reach + 1, 1, reach)
    assert (seen[near == 0] == BLANK).all()
    assert ((seen != BLANK) & (inside == 0)).any()


def test_the_transition_is_smooth() -> None:
    around = surroundings(lungs(), 0.05)
    assert max(around.diff(dim=axis).abs().max() for axis in (2, 3)) < 0.35


def test_lungs_that_reach_the_edge_are_kept_up_to_it() -> None:
    assert surroundings(torch.ones(1, 1, 30, 20)).min().item() == pytest.approx(1)


def test_a_film_without_lungs_is_blank() -> None:
    assert (blanked(film(), torch.zeros(1, 1, SIDE, SIDE)) == BLANK).all()
