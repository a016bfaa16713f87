"""The module that is exported: pixels in; logits, probabilities, evidence and distance out."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.card import ExplanationMethod, Task
from models.network import Network
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16
from xai.grad_cam import FullyConnectedGradCAM, GradCAM, PooledGradCAM
from xai.hires_cam import ClassTokenHiResCAM, FullyConnectedHiResCAM
from xai.vit_grad_cam import ClassTokenGradCAM, PatchAverageGradCAM


class Explanation(NamedTuple):
    """The outputs of the exported graph, in their order.

    Attributes:
        logits: One per class.
        probabilities: Softmax (multi-class) or sigmoid (multi-label) of logits / temperature.
        evidence: Logits per position that argue for (or, negative, against) each class.
        distance: How unlike the training films; larger is less alike.
    """

    logits: Float[Tensor, "batch classes"]
    probabilities: Float[Tensor, "batch classes"]
    evidence: Float[Tensor, "batch classes grid_rows grid_columns"]
    distance: Float[Tensor, "batch"]


class Distance(nn.Module):
    """Distance of a film's layout (`Network.layout`) from the nearest class of training films.

    Square root of the smallest class-conditional Mahalanobis distance with one shared covariance.
    Films with findings have no class: one mean stands for all of them. Half-way features, because
    the last ones keep what tells the classes apart and little of what makes a film a film.

    Attributes:
        whitening: Matrix W with W^T W = inverse of the covariance.
        whitened_means: W times the mean features of each class, or of all films.

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
        grad_cam: The classifier (its head centred, where it is multi-class), and its way back.
        distance: Measures how unlike the training films a film is.
        temperature: Divides the logits before the softmax or the sigmoid.
        task: Which of the two: `multiclass` is softmax, `multilabel` is sigmoid.
    """

    temperature: Tensor

    def __init__(
        self,
        network: Network,
        distance: Distance,
        *,
        temperature: float,
        task: Task = "multiclass",
        method: ExplanationMethod = "grad_cam",
    ) -> None:
        super().__init__()
        self.grad_cam = grad_cam(network, method)
        self.distance = distance
        self.task = task
        self.register_buffer("temperature", torch.tensor(temperature))

    @property
    def network(self) -> Network:
        """The classifier."""
        return self.grad_cam.network

    def forward(self, pixels: Float[Tensor, "batch 1 rows columns"]) -> Explanation:
        """Return the explanation of pixels in [0, 1]."""
        halfway = self.network.halfway(pixels)
        seam = self.network.seam_after(halfway)
        logits, evidence = self.grad_cam.explain(seam)
        scaled = logits / self.temperature
        return Explanation(
            logits=logits,
            probabilities=scaled.sigmoid() if self.task == "multilabel" else scaled.softmax(dim=1),
            evidence=evidence,
            distance=self.distance(self.network.layout(halfway)),
        )


def grad_cam(network: Network, method: ExplanationMethod = "grad_cam") -> GradCAM:
    """Return the closed form that fits the network's head; where both methods are one, that one."""
    is_hires = method == "hirescam"
    if isinstance(network, ViTB16) and network.reads_token:
        return (ClassTokenHiResCAM if is_hires else ClassTokenGradCAM)(network)
    if isinstance(network, ViTB16):
        return PatchAverageGradCAM(network)
    if isinstance(network, VGG16) and not network.is_pooled:
        return (FullyConnectedHiResCAM if is_hires else FullyConnectedGradCAM)(network)
    return PooledGradCAM(network)
