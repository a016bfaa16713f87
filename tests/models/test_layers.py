import pytest
import torch
from torch import Tensor

from models.layers import CONTRAST_MEAN, CONTRAST_STD, LocalContrast, gaussian_windows

SIZE = (48, 64)


def film() -> Tensor:
    return torch.rand(2, 1, *SIZE, generator=torch.Generator().manual_seed(0))


def test_contrast_comes_out_alike_everywhere() -> None:
    ramp = torch.linspace(0.1, 1.0, SIZE[1])
    unlike = ramp * (0.5 + 0.5 * film())
    dark, bright = unlike.chunk(2, dim=3)
    assert bright.mean() > 2 * dark.mean()
    for half in LocalContrast(0.1, SIZE)(unlike).chunk(2, dim=3):
        assert half.mean().item() == pytest.approx(CONTRAST_MEAN, abs=0.05)
        assert half.std().item() == pytest.approx(CONTRAST_STD, abs=0.03)


def test_exposure_and_contrast_of_a_film_do_not_show() -> None:
    layer = LocalContrast(0.1, SIZE)
    torch.testing.assert_close(layer(0.3 + 0.6 * film()), layer(film()), atol=3e-3, rtol=0)


def test_a_flat_film_stays_flat() -> None:
    flat = torch.full((1, 1, *SIZE), 0.7)
    torch.testing.assert_close(LocalContrast(0.1, SIZE)(flat), torch.full_like(flat, CONTRAST_MEAN))


def test_noise_below_one_grey_level_stays_small() -> None:
    almost_flat = 0.5 + film() / 255
    deviation = (LocalContrast(0.1, SIZE)(almost_flat) - CONTRAST_MEAN).abs().max()
    assert 0 < deviation.item() < CONTRAST_STD / 3


def test_every_window_has_a_mean_even_at_the_edge() -> None:
    windows = gaussian_windows(9, 2.0)
    torch.testing.assert_close(windows.sum(dim=1), torch.ones(9))
    assert windows.argmax(dim=1).tolist() == list(range(9))


def test_no_window_travels_in_a_checkpoint() -> None:
    assert not LocalContrast(0.1, SIZE).state_dict()
