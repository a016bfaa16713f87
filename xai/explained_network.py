"""The module that is exported: pixels in; logits, probabilities, evidence and distance out."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.chest_cnn import ChestCNN
from xai.grad_cam import channel_weights, class_evidence


class Explanation(NamedTuple):
    """The outputs of the exported graph, in their order.

    Attributes:
        logits: One per class.
        probabilities: Softmax of logits / temperature.
        evidence: Logits per position that argue for (or, negative, against) each class.
        distance: How unlike the training films; larger is less alike.
    """

    logits: Float[Tensor, "batch classes"]
    probabilities: Float[Tensor, "batch classes"]
    evidence: Float[Tensor, "batch classes grid_rows grid_columns"]
    distance: Float[Tensor, "batch"]


class Distance(nn.Module):
    """Distance of pooled features from the nearest class of training films.

    Square root of the smallest class-conditional Mahalanobis distance with one shared covariance.

    Attributes:
        whitening: Matrix W with W^T W = inverse of the covariance.
        whitened_means: W times the mean features of each class.

    Source:
        Lee et al. 2018, arXiv:1807.03888, equation 2.
    """

    whitening: Tensor
    whitened_means: Tensor

    def __init__(
        self,
        whitening: Float[Tensor, "features features"],
        class_means: Float[Tensor, "classes features"],
    ) -> None:
        super().__init__()
        self.register_buffer("whitening", whitening)
        self.register_buffer("whitened_means", class_means @ whitening.T)

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch"]:
        """Return one distance per film."""
        whitened = features @ self.whitening.T
        offsets = whitened[:, None, :] - self.whitened_means[None]
        return offsets.square().sum(dim=2).amin(dim=1).sqrt()


class ExplainedNetwork(nn.Module):
    """A network with its backward pass to the target layer written out as forward arithmetic.

    Attributes:
        network: The classifier, its head centred.
        distance: Measures how unlike the training films a film is.
        temperature: Divides the logits before the softmax.
    """

    temperature: Tensor

    def __init__(self, network: ChestCNN, distance: Distance, *, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.distance = distance
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, pixels: Float[Tensor, "batch 1 rows columns"]) -> Explanation:
        """Return the explanation of pixels in [0, 1]."""
        activations = self.network.features(pixels)
        logits = self.network.classify(activations)
        grid = (activations.shape[2], activations.shape[3])
        weights = channel_weights(self.network.head.weight, grid=grid)
        return Explanation(
            logits=logits,
            probabilities=torch.softmax(logits / self.temperature, dim=1),
            evidence=class_evidence(activations, weights),
            distance=self.distance(activations.mean(dim=(2, 3))),
        )
