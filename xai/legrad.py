"""LeGrad of vit_b16 with the class token, over its last two blocks, with gradients by hand.

    s_c(l) = head(norm(class token after block l))_c
    evidence_c(j) = mean over blocks l and heads h of relu(d s_c(l) / d a_hj(l))

a_hj(l) is how much the class token attends to patch j in head h of block l. Only the gradient
counts, not the attention itself: a patch that the token hardly looks at has evidence if looking at
it more would raise the logit. So its values are logits per attention: not logits, and at least 0.
Nothing argues against a class, and the evidence does not add up to its logit.

The class token after a block depends on the attention of the class token alone: the derivatives by
all other rows are 0. That is Grad-CAM's backward pass under the class token (`xai.vit_grad_cam`),
once per block. The paper's mean over the rows would divide by their number, here it is left out, as
is the scaling of each film's map to [0, 1].

Where patches outside the lungs are masked out, a patch's probability is m_j a_j. The derivative by
a_j, the attention before the mask weighs it, is m_j times that by the probability: exactly 0
outside. (By the probability itself it would not be: looking there would change the logit.)

A group of classes has the log-odds g of its probability for a score, and so the map

    mean over blocks l and heads h of relu(sum over c of d g / d s_c(l) * d s_c(l) / d a_hj(l))

The relu stands outside the sum: unlike Grad-CAM's, it is no sum of the class maps.

Source:
    Bousselham et al. 2024, arXiv:2404.03214, section 3.2, and the authors' code
    (github.com/WalBouss/LeGrad, `legrad/wrapper.py`).
"""

import torch
from timm.models.vision_transformer import Block
from torch import Tensor

from models.network import Masked, Seam
from models.vit_b16 import seam_in
from xai.grad_cam import ClassGroups, LogitsAndEvidence
from xai.vit_grad_cam import ClassTokenGradCAM


class ClassTokenLeGrad(ClassTokenGradCAM):
    """LeGrad under the class token: relu(d logit_c / d attention), mean over heads and blocks.

    Source:
        Bousselham et al. 2024, arXiv:2404.03214, section 3.2.
    """

    def explain_halfway(
        self, halfway: Tensor | Masked, groups: ClassGroups | None = None
    ) -> LogitsAndEvidence:
        """Return logits, and the mean of the last two blocks' maps for every class and group."""
        blocks = self.network.blocks
        stream = blocks[len(blocks) // 2 : -2](halfway)
        _, earlier = self._in_block(seam_in(blocks[-2], stream), blocks[-2], groups)
        seam = seam_in(blocks[-1], blocks[-2:-1](stream))
        logits, last = self._in_block(seam, blocks[-1], groups)
        return LogitsAndEvidence(logits, (earlier + last) / 2)

    def explain(self, seam: Seam) -> LogitsAndEvidence:
        """Return logits, and the map of the last block alone, which is all that a seam knows."""
        return self._in_block(seam, self.network.blocks[-1])

    def _in_block(
        self, seam: Seam, block: Block, groups: ClassGroups | None = None
    ) -> LogitsAndEvidence:
        """Return the logits of a block's class token, and the map of its attention."""
        attended = self.attended(seam, block)
        by_attention = attended.attention.by_attention(attended.grad_attention)
        if groups is not None:
            of_groups = groups.weights(attended.logits)[:, None] @ by_attention
            by_attention = torch.cat([by_attention, of_groups], dim=2)
        relevance = torch.relu(by_attention).mean(dim=1)
        return LogitsAndEvidence(attended.logits, self.network.on_grid(relevance.transpose(1, 2)))
