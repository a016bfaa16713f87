"""Fit the Mahalanobis distance from the training films, by which the service refuses films."""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.linalg import cholesky
from sklearn.covariance import LedoitWolf

from xai.explained_network import Distance


def fitted_distance(
    features: Float[np.ndarray, "films features"],
    targets: Int[np.ndarray, " films"] | Float[np.ndarray, "films findings"],
) -> Distance:
    """Return the Mahalanobis distance with class means and covariance fitted to features.

    Findings come in any combination, some unknown, and form no classes: such films share one mean.

    Source:
        Lee et al. 2018, arXiv:1807.03888, equation 1; shrinkage of Ledoit and Wolf 2004,
        J. Multivariate Analysis 88(2), equation 14.
    """
    classes = targets if targets.ndim == 1 else np.zeros(len(targets), np.int64)
    means = np.stack([features[classes == k].mean(axis=0) for k in range(classes.max() + 1)])
    fit = LedoitWolf(assume_centered=True).fit((features - means[classes]).astype(np.float64))
    whitening = cholesky(fit.precision_)  # upper triangular W with W^T W = precision
    return Distance(
        torch.tensor(whitening, dtype=torch.float32), torch.tensor(means, dtype=torch.float32)
    )
