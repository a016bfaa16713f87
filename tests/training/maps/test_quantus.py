"""Deletion against Quantus, which `make install` brings."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xai.measures.faithfulness import deletion_insertion

random = np.random.default_rng(0)
FILM = random.uniform(0, 1, (16, 24)).astype(np.float32)
EVIDENCE = random.standard_normal((16, 24)).astype(np.float32)
STEPS = 8


class Corner(torch.nn.Module):
    """Two classes by the mean of the top left corner."""

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        share = films[:, 0, :8, :8].mean(dim=(1, 2))
        return torch.stack([share, 1 - share], dim=1)


def to_median(arr: NDArray[np.float32], indices: NDArray[np.intp], **_: object) -> NDArray:
    changed = arr.copy()
    np.put_along_axis(changed, indices, np.median(FILM), axis=1)
    return changed


def test_each_step_of_deletion_is_that_of_quantus_pixel_flipping():
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed: make install")
    flipping = quantus.PixelFlipping(
        features_in_step=FILM.size // STEPS,
        normalise=False,
        perturb_func=to_median,
        disable_warnings=True,
    )
    expected = flipping(
        model=Corner().eval(),
        x_batch=FILM[None, None],
        y_batch=np.array([0]),
        a_batch=EVIDENCE[None, None],
        softmax=False,
    )
    ours, _ = deletion_insertion(
        lambda films: Corner()(torch.from_numpy(films)).numpy(), FILM, EVIDENCE, 0, steps=STEPS
    )
    np.testing.assert_allclose(ours.probabilities[1:], expected[0], atol=1e-6)
