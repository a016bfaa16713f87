"""ROAD against pytorch-grad-cam's, whose imputer is that of ROAD's authors."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, ROADCombined

from training.maps.road import PERCENTILES, imputed, least, road

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # the reference

random = np.random.default_rng(0)
FILM = random.uniform(0, 1, (24, 32)).astype(np.float32)
NOISE = random.standard_normal(FILM.shape)


class Corner(torch.nn.Module):
    """Two classes by the mean of the top left corner."""

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        share = films[:, 0, :8, :8].mean(dim=(1, 2))
        return torch.stack([share, 1 - share], dim=1)


def answer(films: NDArray[np.float32]) -> NDArray[np.float32]:
    return Corner()(torch.from_numpy(films)).numpy()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_imputation_is_the_reference_s_given_the_same_noise(
    share: float, monkeypatch: pytest.MonkeyPatch
):
    removed = random.random(FILM.shape) < share
    removed[:6, :6] = True
    monkeypatch.setattr(torch, "randn_like", lambda _: torch.tensor(NOISE[removed]).float()[None])
    keep = torch.from_numpy((~removed).astype(np.float32))
    expected = NoisyLinearImputer()(torch.from_numpy(FILM)[None], keep)[0].numpy()
    np.testing.assert_allclose(imputed(FILM, ~removed, NOISE), expected, atol=1e-6)


def test_the_score_is_the_reference_s_without_noise(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    monkeypatch.setattr("training.maps.road.NOISE", 0)
    heat = random.standard_normal(FILM.shape).astype(np.float32)  # no two values are the same
    film = torch.from_numpy(FILM)[None, None]
    expected = ROADCombined(PERCENTILES)(film, heat[None], [lambda output: output[0]], Corner())
    assert road(answer, FILM, heat, 0) == pytest.approx(float(expected[0]), abs=1e-6)


def test_an_even_film_loses_nothing():
    even = np.full((8, 8), 0.3, np.float32)
    kept = np.zeros((8, 8), bool)
    kept[3, 3] = True
    np.testing.assert_allclose(imputed(even, kept), 0.3, rtol=1e-6)


def test_a_film_of_which_nothing_stays_is_refused():
    with pytest.raises(ValueError, match="at least one pixel"):
        imputed(FILM, np.zeros(FILM.shape, bool))


def test_of_pixels_with_one_value_as_many_stay_as_are_asked_for():
    """A network of the lungs has 0 at every position outside them."""
    evidence = np.zeros((20, 20))
    evidence[5:10, 5:10] = 1 + random.random((5, 5))
    for percentile in PERCENTILES:
        kept = least(evidence, percentile, np.random.default_rng(0))
        assert kept.mean() == pytest.approx(percentile / 100, abs=0.01)
        assert not kept[5:10, 5:10].any() or percentile > 90
    assert -0.5 <= road(answer, FILM[:20, :20], evidence, 0) <= 0.5
