"""HiResCAM of every class, with gradients by hand, for the heads where Grad-CAM differs from it.

    evidence_c(r, s) = sum over k of d logit_c / d A_k(r, s) * A_k(r, s)          (equation 7)

A is the target layer's output. Grad-CAM uses the mean of the derivatives over all positions instead
of each position's own. Under a pooled head, and under the average of the patch tokens, all
positions have the same derivative, and Grad-CAM is HiResCAM.

Source:
    Draelos and Carin 2020, arXiv:2011.08891, equation 7.
"""

import torch

from models.backprop.linear import linear_backward
from models.backprop.pooling import max_pool_backward, max_pool_forward
from models.network import Seam
from xai.grad_cam import FullyConnectedGradCAM, LogitsAndEvidence, hidden_layers
from xai.vit_grad_cam import ClassTokenGradCAM


class FullyConnectedHiResCAM(FullyConnectedGradCAM):
    """HiResCAM under max-pooling and the two hidden layers of vgg16's `fully_connected` head.

        evidence_c(r, s) = sum over k of d logit_c / d A_k(r, s) * A_k(r, s)

    Source:
        Draelos and Carin 2020, arXiv:2011.08891, equation 7.
    """

    def explain(self, seam: Seam) -> LogitsAndEvidence:
        """Return logits and evidence; it is 0 at positions that are no window's maximum."""
        activations = seam.activations
        pooled = max_pool_forward(activations, kernel=(2, 2), stride=(2, 2))
        logits, grad_first = hidden_layers(self.network, pooled.out)
        grad_pooled = linear_backward(grad_first, self.network.hidden.fc1.weight)
        # A maximum's own value is the pooled one, so the product can be taken before the unpooling.
        products = torch.unflatten(grad_pooled, 2, pooled.out.shape[1:]) * pooled.out[:, None]
        positions = pooled.positions[:, None].expand_as(products)
        grid = (activations.shape[2], activations.shape[3])
        evidence = max_pool_backward(products.flatten(1, 2), positions.flatten(1, 2), grid=grid)
        return LogitsAndEvidence(
            logits, torch.unflatten(evidence, 1, products.shape[1:3]).sum(dim=2)
        )


class ClassTokenHiResCAM(ClassTokenGradCAM):
    """HiResCAM of vit_b16 with the class token, through its attention to the patches.

        evidence_c(patch j) = sum over k of d logit_c / d A_k(j) * A_k(j)

    Source:
        Draelos and Carin 2020, arXiv:2011.08891, equation 7.
    """

    def explain(self, seam: Seam) -> LogitsAndEvidence:
        """Return logits and evidence."""
        attended = self.attended(seam, self.network.blocks[-1])
        by_patch = attended.attention.by_patch(attended.grad_attention)
        on_grid = self.network.on_grid(torch.nn.functional.pad(by_patch, (1, 0)).transpose(1, 2))
        return LogitsAndEvidence(attended.logits, on_grid)
