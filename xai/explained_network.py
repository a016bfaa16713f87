"""The network that is exported, with Grad-CAM, HiResCAM or LeGrad maps of all classes.

Pixels in; logits, probabilities, evidence, distance and novelty out. `xai.grad_cam`,
`xai.hires_cam` and `xai.legrad` have the formulas.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.card import ExplanationMethod, Task
from models.lungs.window import window_of
from models.network import Chain, Masked, Network
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16
from xai.grad_cam import ClassGroups, FullyConnectedGradCAM, GradCAM, PooledGradCAM
from xai.hires_cam import ClassTokenHiResCAM, FullyConnectedHiResCAM
from xai.legrad import ClassTokenLeGrad
from xai.novelty import Novelty
from xai.vit_grad_cam import ClassTokenGradCAM, PatchAverageGradCAM


class Explanation(NamedTuple):
    """Outputs of the exported graph, in their order.

    Attributes:
        logits: One per class.
        probabilities: Softmax (multi-class) or sigmoid (multi-label) of logits / temperature.
        evidence: Logits per position that argue for (or, negative, against) each class; by LeGrad
            logits per attention, at least 0.
        distance: Distance from the training films, at least 0.
        novelty: How unlike the training films' the film's acquisition is, at least 0.
    """

    logits: Float[Tensor, "batch classes"]
    probabilities: Float[Tensor, "batch classes"]
    evidence: Float[Tensor, "batch classes grid_rows grid_columns"]
    distance: Float[Tensor, "batch"]
    novelty: Float[Tensor, "batch"]


class LungExplanation(NamedTuple):
    """Outputs of the exported graph of a network that sees only the lungs, in their order.

    Attributes:
        logits: See `Explanation`, and so are the next four.
        probabilities: Likewise.
        evidence: On the grid of the region.
        distance: Likewise.
        novelty: Likewise.
        lungs: How surely each cell of the whole film is lung, in [0, 1]; exactly 0 outside.
        region: Top, left, bottom, right of the part that the network saw, as shares of its input.
        lung_figures: Area, balance and stray, by which a film without plausible lungs is refused;
            see `models.lungs.pieces.LungFigures`.
    """

    logits: Float[Tensor, "batch classes"]
    probabilities: Float[Tensor, "batch classes"]
    evidence: Float[Tensor, "batch classes grid_rows grid_columns"]
    distance: Float[Tensor, "batch"]
    novelty: Float[Tensor, "batch"]
    lungs: Float[Tensor, "batch mask_rows mask_columns"]
    region: Float[Tensor, "batch 4"]
    lung_figures: Float[Tensor, "batch 3"]


class GroupedExplanation(NamedTuple):
    """Outputs of the exported graph of a model with groups of classes, in their order.

    Attributes:
        logits: See `Explanation`, and so are the next four.
        probabilities: Likewise.
        evidence: Likewise.
        distance: Likewise.
        novelty: Likewise.
        group_evidence: The same as evidence for each group: of its log-odds, in place of a logit.
    """

    logits: Float[Tensor, "batch classes"]
    probabilities: Float[Tensor, "batch classes"]
    evidence: Float[Tensor, "batch classes grid_rows grid_columns"]
    distance: Float[Tensor, "batch"]
    novelty: Float[Tensor, "batch"]
    group_evidence: Float[Tensor, "batch groups grid_rows grid_columns"]


class GroupedLungExplanation(NamedTuple):
    """Outputs of the exported graph of one that sees only the lungs besides, in their order.

    Attributes:
        logits: See `LungExplanation`, and so are the next seven.
        probabilities: Likewise.
        evidence: Likewise.
        distance: Likewise.
        novelty: Likewise.
        lungs: Likewise.
        region: Likewise.
        lung_figures: Likewise.
        group_evidence: See `GroupedExplanation`.
    """

    logits: Float[Tensor, "batch classes"]
    probabilities: Float[Tensor, "batch classes"]
    evidence: Float[Tensor, "batch classes grid_rows grid_columns"]
    distance: Float[Tensor, "batch"]
    novelty: Float[Tensor, "batch"]
    lungs: Float[Tensor, "batch mask_rows mask_columns"]
    region: Float[Tensor, "batch 4"]
    lung_figures: Float[Tensor, "batch 3"]
    group_evidence: Float[Tensor, "batch groups grid_rows grid_columns"]


AnyExplanation = Explanation | LungExplanation | GroupedExplanation | GroupedLungExplanation


class Distance(nn.Module):
    """Mahalanobis distance of a film's features from the nearest class of training films.

        distance = min over classes c of sqrt((f - mean_c)^T inverse covariance (f - mean_c))

    One covariance is shared by all classes. Films with findings have no class, so all of them have
    one mean. The features f are those of `Network.layout`, half-way to the target layer: the last
    features keep what separates the classes, and little that separates films from other images.

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
    """Classifier with Grad-CAM, HiResCAM or LeGrad of every class, as one forward pass for export.

        Grad-CAM  evidence_c(r, s) = sum over k of mean(d logit_c / d A_k) * A_k(r, s)
        HiResCAM  evidence_c(r, s) = sum over k of d logit_c / d A_k(r, s) * A_k(r, s)
        LeGrad    evidence_c(r, s) = mean over blocks and heads of relu(d logit_c / d attention)

    A is the target layer's output. The derivatives are computed by hand, from ordinary tensor
    operations, so that they can be exported; see `xai.grad_cam`.

    Attributes:
        grad_cam: The classifier (with a centred head, if it is multi-class), and its backward pass.
        distance: Distance of a film from the training films.
        novelty: How unlike theirs its acquisition is, from the network's input as it comes in.
        temperature: Divides the logits before the softmax or the sigmoid.
        task: `multiclass` is softmax, `multilabel` is sigmoid.
        groups: Groups of classes that have evidence of their own; None has none.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2 (before the ReLU); Draelos and
        Carin 2020, arXiv:2011.08891, equation 7.
    """

    temperature: Tensor

    def __init__(
        self,
        network: Network,
        distance: Distance,
        novelty: Novelty,
        *,
        temperature: float,
        task: Task = "multiclass",
        method: ExplanationMethod = "grad_cam",
        is_member: Sequence[Sequence[bool]] = (),
    ) -> None:
        """Put the parts together.

        Args:
            network: The classifier.
            distance: Distance of a film from the training films.
            novelty: How unlike the training films' its acquisition is.
            temperature: Divides the logits.
            task: `multiclass` or `multilabel`.
            method: How evidence is found.
            is_member: For each group of classes, which of them are in it.
        """
        super().__init__()
        self.grad_cam = grad_cam(network, method)
        self.groups = ClassGroups(torch.tensor(is_member), temperature) if is_member else None
        self.distance = distance
        self.novelty = novelty
        self.task = task
        self.register_buffer("temperature", torch.tensor(temperature))

    @property
    def network(self) -> Network:
        """The classifier."""
        return self.grad_cam.network

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in their order."""
        if self.groups is None:
            return (LungExplanation if window_of(self.network) else Explanation)._fields
        grouped = GroupedLungExplanation if window_of(self.network) else GroupedExplanation
        return grouped._fields

    def forward(self, pixels: Float[Tensor, "batch 1 rows columns"]) -> AnyExplanation:
        """Return logits, probabilities, evidence, distance and novelty for pixels in [0, 1].

        A network that sees only the lungs also says where they are, and one with groups of classes
        what argues for each group.
        """
        window = window_of(self.network)
        if window is None:
            explanation, of_groups = self._explained(
                self.network.halfway(pixels), self.novelty(pixels)
            )
            if of_groups is None:
                return explanation
            return GroupedExplanation(*explanation, group_evidence=of_groups)
        view = window.view(pixels)
        normalised = cast(Chain, self.network.normalise)[1:](window.seen(view))
        explanation, of_groups = self._explained(
            self.network.halfway_from(normalised), self.novelty(pixels, view.lungs)
        )
        of_lungs = LungExplanation(
            *explanation,
            lungs=view.lungs[:, 0],
            region=view.region,
            lung_figures=torch.stack(view.figures, dim=1),
        )
        if of_groups is None:
            return of_lungs
        return GroupedLungExplanation(*of_lungs, group_evidence=of_groups)

    def _explained(
        self, halfway: Tensor | Masked, novelty: Float[Tensor, "batch"]
    ) -> tuple[Explanation, Tensor | None]:
        """Return the explanation, and the evidence for groups if there are any."""
        logits, evidence = self.grad_cam.explain_halfway(halfway, self.groups)
        scaled, classes = logits / self.temperature, logits.shape[1]
        explanation = Explanation(
            logits=logits,
            probabilities=scaled.sigmoid() if self.task == "multilabel" else scaled.softmax(dim=1),
            evidence=evidence[:, :classes],
            distance=self.distance(self.network.layout(halfway)),
            novelty=novelty,
        )
        return explanation, None if self.groups is None else evidence[:, classes:]


def grad_cam(network: Network, method: ExplanationMethod = "grad_cam") -> GradCAM:
    """Return Grad-CAM, HiResCAM or LeGrad in the closed form for the network's head.

    Under a pooled head and under the average of the patch tokens, Grad-CAM and HiResCAM give the
    same map, and the class for Grad-CAM serves both.

    Raises:
        ValueError: LeGrad is asked of a network that is not read from a class token.
    """
    is_hires = method == "hirescam"
    if isinstance(network, ViTB16) and network.reads_token:
        of_token: dict[ExplanationMethod, type[ClassTokenGradCAM]] = {
            "grad_cam": ClassTokenGradCAM,
            "hirescam": ClassTokenHiResCAM,
            "legrad": ClassTokenLeGrad,
        }
        return of_token[method](network)
    if method == "legrad":
        raise ValueError(
            "method must be grad_cam or hirescam for this network: legrad has a closed form for "
            "vit_b16 that is read from its class token only"
        )
    if isinstance(network, ViTB16):
        return PatchAverageGradCAM(network)
    if isinstance(network, VGG16) and not network.is_pooled:
        return (FullyConnectedHiResCAM if is_hires else FullyConnectedGradCAM)(network)
    return PooledGradCAM(network)
