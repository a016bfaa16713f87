"""Grad-CAM of vit_b16 in closed form, for both read-outs.

    w_ck = mean over patches j of d logit_c / d A_k(j)                (equation 1)
    evidence_c(j) = sum over k of w_ck * A_k(j)                       (equation 2, before its ReLU)

A is the target layer's output, with one vector per patch. With the class token, the target layer is
the last block's first layer norm. From the logits back to the attention, the backward pass has one
vector per class, the class token's. The attention then spreads its error over the keys and values
of all tokens. Key and value are linear in the token, so the mean over patches can be taken first,
and no patch token's derivative is computed by itself.

Where patches outside the lungs are masked out of that attention, a patch counts by its share m_j of
lung, and its derivative is m_j times something finite: its probability is. The mean w_c over all
patches does not know where a patch lies, so that equation 2 alone would give patches outside
evidence that their derivative of 0 denies. The map is that of the activations that count, m_j A(j):

    evidence_c(j) = m_j * sum over k of w_ck * A_k(j)

It is exactly 0 outside, and a continuous function of the mask, like HiResCAM's, which needs no
factor: derivative times activation has it.

Source:
    Selvaraju et al. 2017, arXiv:1610.02391.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from timm.models.vision_transformer import Attention, Block
from torch import Tensor
from torch.nn import LayerNorm

from models.backprop.activation import gelu_backward, gelu_forward, softmax_backward
from models.backprop.attention import attention_probabilities, merge_heads, split_heads
from models.backprop.linear import linear_backward, linear_forward
from models.backprop.normalisation import layer_norm_backward, layer_norm_forward
from models.backprop.pooling import patch_average_forward
from models.network import Seam, values_of
from models.vit_b16 import MaskableBlock, ViTB16
from xai.grad_cam import GradCAM, LogitsAndEvidence, LogitsAndWeights, for_each_class


class PatchAverageGradCAM(GradCAM):
    """Grad-CAM under the average of the patch tokens: w_c = d logit_c / d average / patches.

    The backward pass goes through one linear layer and one layer norm. The average gives each patch
    the same share of the error.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391, equation 1.
    """

    network: ViTB16

    def forward(self, seam: Seam) -> LogitsAndWeights:
        """Return the logits, and the weights; the layer norm makes them differ between films."""
        norm = NormalisedVector(patch_average_forward(seam.activations), self.network.norm)
        head = self.network.head
        patches = seam.activations.shape[1] - 1
        return LogitsAndWeights(
            linear_forward(norm.out, head.weight, head.bias), norm.backward(head.weight) / patches
        )


class NormalisedVector:
    """Layer norm of one vector per film, with a backward pass for one error per class.

    Attributes:
        out: [batch, width].
    """

    out: Tensor

    def __init__(self, x: Float[Tensor, "batch width"], layer: LayerNorm) -> None:
        self.layer = layer
        self.out, self._normalised, self._inverse_std = layer_norm_forward(
            x, layer.weight, layer.bias, eps=layer.eps
        )

    def backward(
        self, grad_out: Float[Tensor, "*batch classes width"]
    ) -> Float[Tensor, "batch classes width"]:
        """Return the derivatives by the vector (BP2), given one by the output for each class."""
        grad_out, normalised = for_each_class(grad_out, self._normalised)
        return layer_norm_backward(
            grad_out,
            self.layer.weight,
            normalised=normalised,
            inverse_std=self._inverse_std[:, None].expand(-1, grad_out.shape[1], -1),
        )


class ClassTokenAttention:
    """Attention of the class token to all tokens, with backward passes to the patch tokens.

    Attributes:
        out: [batch, width], before the projection.
    """

    out: Tensor

    def __init__(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        layer: Attention,
        mask: Float[Tensor, "batch tokens"] | None = None,
    ) -> None:
        """Run the attention forward.

        Args:
            tokens: Of which the first is the class token.
            layer: Its weights.
            mask: How much each token counts as a key, in [0, 1]; None counts all alike.
        """
        self._mask = mask
        width, self.heads = tokens.shape[2], layer.num_heads
        weight, bias = layer.qkv.weight, layer.qkv.bias
        self._key_value_weight = weight[width:]
        query = linear_forward(tokens[:, :1], weight[:width], bias[:width])
        unbiased = linear_forward(tokens, self._key_value_weight, None)
        key, value = (unbiased + bias[width:]).chunk(2, dim=2)
        self._unbiased_key, self._unbiased_value = (
            split_heads(half, heads=self.heads) for half in unbiased.chunk(2, dim=2)
        )
        self._query = split_heads(query, heads=self.heads)
        self._value = split_heads(value, heads=self.heads)
        self._probabilities = attention_probabilities(
            self._query, split_heads(key, heads=self.heads), mask
        )
        self.out = merge_heads(self._probabilities @ self._value)[:, 0]

    def by_patch(
        self, grad_out: Float[Tensor, "batch classes width"]
    ) -> Float[Tensor, "batch classes patches"]:
        """Return each patch token's derivatives times the token, summed over its channels.

        Key and value are linear in the token. With k_j and v_j for them without their biases, the
        sum is grad_score_j * query k_j / sqrt(width) + p_j * grad_out v_j, summed over the heads.
        """
        grad_out = split_heads(grad_out, heads=self.heads)
        grad_scores = softmax_backward(
            grad_out @ self._value.transpose(-2, -1),
            self._probabilities.expand(-1, -1, grad_out.shape[2], -1),
        )
        scaled_query = self._query * self._query.shape[-1] ** -0.5
        by_key = grad_scores * (scaled_query @ self._unbiased_key.transpose(-2, -1))
        by_value = self._probabilities * (grad_out @ self._unbiased_value.transpose(-2, -1))
        return (by_key + by_value).sum(dim=1)[:, :, 1:]

    def by_attention(
        self, grad_out: Float[Tensor, "batch classes width"]
    ) -> Float[Tensor, "batch heads classes tokens"]:
        """Return the derivatives by the attention to each token, before the mask weighs it.

        out = sum over j of p_j v_j, so that by p_j it is grad_out v_j. With p_j = m_j a_j, where
        a_j = exp(s_j) / sum over i of m_i exp(s_i), it is m_j grad_out v_j by a_j.
        """
        by_probability = split_heads(grad_out, heads=self.heads) @ self._value.transpose(-2, -1)
        return by_probability if self._mask is None else by_probability * self._mask[:, None, None]

    def mean_backward(
        self, grad_out: Float[Tensor, "batch classes width"]
    ) -> Float[Tensor, "batch classes width"]:
        """Return the mean over patch tokens of the derivatives by the tokens (BP2).

        The derivative by value_j is p_j * grad_out, that by key_j grad_score_j * query /
        sqrt(width). Their means over j need only the means of p and of grad_score.
        """
        grad_out = split_heads(grad_out, heads=self.heads)  # classes take the place of queries
        grad_probabilities = grad_out @ self._value.transpose(-2, -1)
        grad_scores = softmax_backward(
            grad_probabilities, self._probabilities.expand_as(grad_probabilities)
        )
        scaled_query = self._query * self._query.shape[-1] ** -0.5
        mean_grad_key = grad_scores[..., 1:].mean(dim=-1, keepdim=True) * scaled_query
        mean_grad_value = self._probabilities[..., 1:].mean(dim=-1, keepdim=True) * grad_out
        return linear_backward(
            torch.cat([merge_heads(mean_grad_key), merge_heads(mean_grad_value)], dim=2),
            self._key_value_weight,
        )


class Attended(NamedTuple):
    """Logits, and their derivatives by the output of a block's attention.

    Attributes:
        logits: [batch, classes].
        attention: The class token's attention to all tokens.
        grad_attention: Derivative of each class logit by its output, [batch, classes, width].
    """

    logits: Tensor
    attention: ClassTokenAttention
    grad_attention: Tensor


class ClassTokenGradCAM(GradCAM):
    """Grad-CAM under the class token: w_ck = mean over patches j of d logit_c / d A_k(j).

    The backward pass goes through head, layer norm, perceptron and attention to the patches. The
    residual stream that skips the target layer is a constant in it. Of a network that looks only
    inside the lungs, evidence is multiplied by the mask.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391, equation 1.
    """

    network: ViTB16

    def forward(self, seam: Seam) -> LogitsAndWeights:
        """Return the logits, and the weights."""
        attended = self.attended(seam, self.network.blocks[-1])
        channel_weights = attended.attention.mean_backward(attended.grad_attention)
        return LogitsAndWeights(attended.logits, channel_weights)

    def explain(self, seam: Seam) -> LogitsAndEvidence:
        """Return logits and evidence, which is exactly 0 outside the lungs if they are masked."""
        logits, evidence = super().explain(seam)
        mask = key_mask(self.network.blocks[-1], seam)
        if mask is not None:
            evidence = evidence * self.network.on_grid(mask[:, :, None])
        return LogitsAndEvidence(logits, evidence)

    def attended(self, seam: Seam, block: Block) -> Attended:
        """Run a block forward, and back from the logits of its class token to its attention.

        The name of each gradient is that of its tensor in the forward pass, with `grad_`.

        Args:
            seam: Output of the block's first layer norm, and the residual stream.
            block: The last one, for the network's own logits.

        Raises:
            ValueError: The seam has no residual stream.
        """
        if seam.bypass is None:
            raise ValueError("bypass must be the residual stream, not None")
        head = self.network.head
        attention = ClassTokenAttention(seam.activations, block.attn, key_mask(block, seam))
        token = values_of(seam.bypass)[:, 0] + linear_forward(
            attention.out, block.attn.proj.weight, block.attn.proj.bias
        )
        norm2 = NormalisedVector(token, block.norm2)
        fc1, fc2 = block.mlp.fc1, block.mlp.fc2
        before_gelu = linear_forward(norm2.out, fc1.weight, fc1.bias)
        last_token = token + linear_forward(gelu_forward(before_gelu), fc2.weight, fc2.bias)
        norm = NormalisedVector(last_token, self.network.norm)
        logits = linear_forward(norm.out, head.weight, head.bias)

        grad_last_token = norm.backward(head.weight)
        grad_after_gelu = linear_backward(grad_last_token, fc2.weight)
        grad_before_gelu = gelu_backward(*for_each_class(grad_after_gelu, before_gelu))
        grad_norm2 = linear_backward(grad_before_gelu, fc1.weight)
        grad_token = grad_last_token + norm2.backward(grad_norm2)
        grad_attention = linear_backward(grad_token, block.attn.proj.weight)
        return Attended(logits, attention, grad_attention)


def key_mask(block: Block, seam: Seam) -> Float[Tensor, "batch tokens"] | None:
    """Return how much each token counts as a key of a block, in [0, 1]; None counts all alike."""
    if not isinstance(block, MaskableBlock) or seam.bypass is None:
        return None
    return block.key_mask(seam.bypass)
