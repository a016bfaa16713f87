"""HiResCAM by hand: each position's activations times its own derivative, not the mean one.

What a map shows at a position is then owed to that position alone. Under a pooled head, and under
the average of the patch tokens, every position has the same derivative and Grad-CAM is HiResCAM.

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
    """Under max-pooling and vgg16's two hidden layers."""

    def explain(self, seam: Seam) -> LogitsAndEvidence:
        """Return logits and evidence; where a window's error has no winner, there is none."""
        activations = seam.activations
        pooled = max_pool_forward(activations, kernel=(2, 2), stride=(2, 2))
        logits, grad_first = hidden_layers(self.network, pooled.out)
        grad_pooled = linear_backward(grad_first, self.network.hidden.fc1.weight)
        # An error that comes back to a winner meets its value, so both may be multiplied before.
        products = torch.unflatten(grad_pooled, 2, pooled.out.shape[1:]) * pooled.out[:, None]
        positions = pooled.positions[:, None].expand_as(products)
        grid = (activations.shape[2], activations.shape[3])
        evidence = max_pool_backward(products.flatten(1, 2), positions.flatten(1, 2), grid=grid)
        return LogitsAndEvidence(
            logits, torch.unflatten(evidence, 1, products.shape[1:3]).sum(dim=2)
        )


class ClassTokenHiResCAM(ClassTokenGradCAM):
    """Under the class token's attention to the patches."""

    def explain(self, seam: Seam) -> LogitsAndEvidence:
        """Return logits and evidence."""
        attended = self.attended(seam)
        by_patch = attended.attention.by_patch(attended.grad_attention)
        on_grid = self.network.on_grid(torch.nn.functional.pad(by_patch, (1, 0)).transpose(1, 2))
        return LogitsAndEvidence(attended.logits, on_grid)
