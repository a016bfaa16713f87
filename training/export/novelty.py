"""Fit the novelty, by which the service refuses films that were acquired like none of training."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import cholesky
from sklearn.covariance import LedoitWolf
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from models.lungs.window import LungWindow
from training.data.dataset import LabelledFilm
from xai.novelty import Novelty, acquisition

MOST_FILMS = 4000
"""Training films that a file stores at most; of more, some evenly spread over the manifest."""
LEAST_SCALE = 0.01
"""A statistic varies by no less: what never varies in training must not decide all."""

Statistics = Float[np.ndarray, "films statistics"]


def fitted_novelty(statistics: Statistics, sources: Sequence[str]) -> Novelty:
    """Return the novelty whose covariance is that of the films within their sources.

    Args:
        statistics: Of the training films.
        sources: Of each film.

    Source:
        Shrinkage of Ledoit and Wolf 2004, J. Multivariate Analysis 88(2), equation 14.
    """
    scale = np.maximum(statistics.std(axis=0), LEAST_SCALE)
    _, own = np.unique(np.asarray(sources), return_inverse=True)
    means = np.stack([statistics[own == one].mean(axis=0) for one in range(own.max() + 1)])
    within = ((statistics - means[own]) / scale).astype(np.float64)
    fit = LedoitWolf(assume_centered=True).fit(within)
    whitening = cholesky(fit.precision_) / scale  # W^T W = the precision of unscaled statistics
    chosen = np.linspace(0, len(statistics) - 1, min(len(statistics), MOST_FILMS)).round()
    return Novelty(
        *(
            torch.tensor(values, dtype=torch.float32)
            for values in (
                statistics.mean(axis=0),
                whitening,
                statistics[chosen.astype(int)],
            )
        )
    )


@torch.inference_mode()
def film_statistics(films: Dataset[LabelledFilm], window: LungWindow | None) -> Statistics:
    """Return the acquisition statistics of films.

    Args:
        films: The network's input.
        window: Finds the lungs; None of a network that sees the whole film.
    """
    batches = tqdm(DataLoader(films, batch_size=16), "acquisition", unit="batch", leave=False)
    found = [
        acquisition(pixels, None if window is None else window.view(pixels).lungs)
        for pixels, _ in batches
    ]
    return torch.cat(found).numpy()
