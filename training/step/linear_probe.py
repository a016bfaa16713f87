"""Fit a network's head to frozen features by logistic regression: a linear probe.

Source:
    Alain and Bengio 2017, arXiv:1610.01644; as an evaluation of pretrained networks, Radford et al.
    2021 (CLIP), arXiv:2103.00020, section 3.2.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from torch import nn

MOST_ITERATIONS, TOLERANCE = 1000, 1e-6


@torch.no_grad()
def fit_head(
    head: nn.Linear,
    features: Float[np.ndarray, "films features"],
    targets: Int[np.ndarray, " films"],
    *,
    penalty: float,
    is_balanced: bool,
) -> float:
    """Set a linear layer to the multinomial logistic regression of classes on features.

    The minimum of mean cross-entropy + penalty / 2 * |w|^2 is found, where w are the weights of
    features of mean 0 and standard deviation 1. Their scale is then put into the layer's weights,
    so that it takes the features as they are. The bias is not penalised.

    Args:
        head: Changed in place.
        features: What the layer is given; copies of a film are more films.
        targets: Class numbers from 0; each class must occur.
        penalty: See above; above 0.
        is_balanced: Each class has the same weight in the mean, as if it had as many films.

    Returns:
        The mean cross-entropy, in nats, without the penalty.
    """
    scaler = StandardScaler().fit(features)
    fit = LogisticRegression(
        C=1 / (penalty * len(targets)),
        class_weight="balanced" if is_balanced else None,
        max_iter=MOST_ITERATIONS,
        tol=TOLERANCE,
    ).fit(scaler.transform(features), targets)
    weight, bias = fit.coef_, fit.intercept_
    if len(weight) == 1:  # of two classes scikit-learn gives the difference of the logits
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / scaler.scale_
    head.weight.copy_(torch.from_numpy(weight))
    head.bias.copy_(torch.from_numpy(bias - weight @ scaler.mean_))
    weights = _balanced(targets) if is_balanced else None
    scores = fit.predict_proba(scaler.transform(features))
    return float(log_loss(targets, scores, sample_weight=weights))


def _balanced(targets: Int[np.ndarray, " films"]) -> Float[np.ndarray, " films"]:
    """Return the weight of each film under which all classes weigh the same; their mean is 1."""
    counts = np.bincount(targets)
    return (len(targets) / (len(counts) * counts))[targets]
