"""Steps of vit_b16's layers, with their hand-written forward and backward passes."""

from dataclasses import dataclass

import torch
from timm.layers import DropPath, Mlp
from timm.models.vision_transformer import Attention, Block
from torch import Tensor, nn

from models.backprop.attention import (
    attention_backward,
    attention_forward,
    merge_heads,
    split_heads,
)
from models.backprop.convolution import Pair, size_pair
from models.backprop.dropout import dropout_backward, dropout_forward, dropout_mask
from models.backprop.embedding import (
    class_token_backward,
    class_token_forward,
    cut_into_patches,
    join_patches,
    position_forward,
    position_gradient,
)
from models.backprop.linear import (
    linear_backward,
    linear_bias_gradient,
    linear_forward,
    linear_weight_gradient,
)
from models.backprop.pooling import masked_token_terms_backward, masked_token_terms_forward
from models.backprop.residual import addition_backward, addition_forward, fork_backward
from models.network import Masked, values_of
from models.tape.tape import (
    ChainStep,
    Gradients,
    passed_on,
    record,
    record_chain,
    require,
    trainable_gradients,
    within,
)
from models.tape.trained_layers import LinearStep, TrainedStep, record_linear
from models.vit_b16 import ClassTokenBlock, Embedding, MaskableBlock, TokensInsideLungs


@dataclass(frozen=True)
class EmbeddingStep(TrainedStep):
    """Step of the patch embedding; keeps the patches' pixels."""

    layer: Embedding
    patches: Tensor
    grid: Pair

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP4 of the positions, the class token's error, BP2, BP3 and BP4 of the patches."""
        grads = class_token_backward(grad_out)
        own = trainable_gradients(
            self.layer,
            pos_embed=lambda: position_gradient(grad_out),
            cls_token=lambda: grads.grad_cls_token,
        )
        proj = self.layer.proj
        own |= within(
            "proj",
            trainable_gradients(
                proj,
                weight=lambda: linear_weight_gradient(grads.grad_patches, self.patches).view_as(
                    proj.weight
                ),
                bias=lambda: linear_bias_gradient(grads.grad_patches),
            ),
        )
        if not needs_grad_x:
            return Gradients(None, own)
        grad_patches = linear_backward(grads.grad_patches, proj.weight.flatten(1))
        patch = size_pair(proj.kernel_size)
        return Gradients(join_patches(grad_patches, patch=patch, grid=self.grid), own)


@record.register
def record_embedding(layer: Embedding, x: Tensor) -> tuple[Tensor, EmbeddingStep]:
    """Return the tokens, and their step."""
    patch = size_pair(layer.proj.kernel_size)
    require(layer.proj, stride=patch, padding=(0, 0), dilation=(1, 1), groups=1)
    patches = cut_into_patches(x, patch=patch)
    embedded = linear_forward(patches, layer.proj.weight.flatten(1), layer.proj.bias)
    tokens = position_forward(class_token_forward(embedded, layer.cls_token), layer.pos_embed)
    grid = (x.shape[2] // patch[0], x.shape[3] // patch[1])
    return tokens, EmbeddingStep(layer, patches, grid)


@dataclass(frozen=True)
class AttentionStep:
    """Step of self-attention with its two linear layers; keeps query, key, value, the keys' mask.

    Attributes:
        mask: How much each key counts, [batch, tokens]; None counts all alike.
    """

    qkv: LinearStep
    heads: int
    query_key_value: Tensor
    mask: Tensor | None
    proj: LinearStep

    @property
    def is_trainable(self) -> bool:
        """True if either linear layer has a trainable parameter."""
        return self.qkv.is_trainable or self.proj.is_trainable

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients of both linear layers, with BP2 of the attention between them."""
        goes_on = needs_grad_x or self.qkv.is_trainable
        grad_merged, proj = self.proj.backward(grad_out, needs_grad_x=goes_on)
        if grad_merged is None:
            return Gradients(None, within("proj", proj))
        query, key, value = self.query_key_value.chunk(3, dim=2)
        grads = attention_backward(
            split_heads(grad_merged, heads=self.heads),
            split_heads(query, heads=self.heads),
            split_heads(key, heads=self.heads),
            split_heads(value, heads=self.heads),
            self.mask,
        )
        grad_qkv = torch.cat([merge_heads(grad) for grad in grads], dim=2)
        grad_x, qkv = self.qkv.backward(grad_qkv, needs_grad_x=needs_grad_x)
        return Gradients(grad_x, within("qkv", qkv) | within("proj", proj))


@record.register
def record_attention(
    layer: Attention, x: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, AttentionStep]:
    """Return the self-attention's output, and its step; `mask` is that of the keys."""
    _require_plain(layer)
    query_key_value, qkv = record_linear(layer.qkv, x)
    query, key, value = query_key_value.chunk(3, dim=2)
    attended = attention_forward(
        split_heads(query, heads=layer.num_heads),
        split_heads(key, heads=layer.num_heads),
        split_heads(value, heads=layer.num_heads),
        mask,
    )
    out, proj = record_linear(layer.proj, merge_heads(attended))
    return out, AttentionStep(qkv, layer.num_heads, query_key_value, mask, proj)


@record.register
def record_mlp(layer: Mlp, x: Tensor) -> tuple[Tensor, ChainStep]:
    """Return the output of the two-layer perceptron (MLP), and its step."""
    return record_chain(layer.named_children(), x)


@dataclass(frozen=True)
class BlockStep:
    """Step of a pre-norm transformer block: attention, then a perceptron, both with a shortcut.

    Source:
        Dosovitskiy et al. 2021, arXiv:2010.11929, equations 2 and 3.
    """

    attention: ChainStep
    mlp: ChainStep

    @property
    def is_trainable(self) -> bool:
        """True if any layer of either branch has a trainable parameter."""
        return self.attention.is_trainable or self.mlp.is_trainable

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients; at both shortcuts, the errors of branch and shortcut are summed."""
        goes_on = needs_grad_x or self.attention.is_trainable
        second = self.mlp.backward(grad_out, needs_grad_x=goes_on)
        if not goes_on:
            return second
        grad_residual, grad_shortcut = addition_backward(fork_backward(passed_on(second), grad_out))
        first = self.attention.backward(grad_residual, needs_grad_x=needs_grad_x)
        parameters = first.parameters | second.parameters
        if not needs_grad_x:
            return Gradients(None, parameters)
        return Gradients(fork_backward(passed_on(first), grad_shortcut), parameters)


@record.register
def record_block(layer: Block, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, BlockStep]:
    """Return the block's output, and its step; `mask` is that of the attention's keys."""
    normalised, norm1 = record_chain(_branch(layer, "norm1"), x)
    attended, attention = record_attention(layer.attn, normalised, mask)
    dropped, drop_path = record_chain(_branch(layer, "ls1", "drop_path1"), attended)
    branch = ChainStep([*norm1.steps, ("attn", attention), *drop_path.steps])
    middle = addition_forward(dropped, x)
    transformed, mlp = record_chain(_branch(layer, "norm2", "mlp", "ls2", "drop_path2"), middle)
    return addition_forward(transformed, middle), BlockStep(branch, mlp)


@record.register
def record_maskable_block(
    layer: MaskableBlock, x: Tensor | Masked
) -> tuple[Tensor | Masked, BlockStep]:
    """Return the block's output, with the lungs' mask if it came with the input, and its step."""
    tokens, step = record_block(layer, values_of(x), layer.key_mask(x))
    return (Masked(tokens, x.lungs) if isinstance(x, Masked) else tokens), step


@dataclass(frozen=True)
class ClassTokenAttentionStep(TrainedStep):
    """Step of attention with one query, the class token's, to all tokens.

    Attributes:
        mask: How much each key counts, [batch, tokens]; None counts all alike.
    """

    layer: nn.Linear
    heads: int
    x: Tensor
    query: Tensor
    key_value: Tensor
    mask: Tensor | None
    proj: LinearStep

    @property
    def is_trainable(self) -> bool:
        """True if either linear layer has a trainable parameter."""
        return super().is_trainable or self.proj.is_trainable

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients; the query's linear layer sees the class token only."""
        goes_on = needs_grad_x or super().is_trainable
        grad_merged, proj = self.proj.backward(grad_out, needs_grad_x=goes_on)
        if grad_merged is None:
            return Gradients(None, within("proj", proj))
        key, value = self.key_value.chunk(2, dim=2)
        grads = attention_backward(
            split_heads(grad_merged[:, None], heads=self.heads),
            split_heads(self.query[:, None], heads=self.heads),
            split_heads(key, heads=self.heads),
            split_heads(value, heads=self.heads),
            self.mask,
        )
        grad_query = merge_heads(grads.grad_query)[:, 0]
        grad_key_value = torch.cat(
            [merge_heads(grads.grad_key), merge_heads(grads.grad_value)], dim=2
        )
        own = trainable_gradients(
            self.layer,
            weight=lambda: torch.cat(
                [
                    linear_weight_gradient(grad_query, self.x[:, 0]),
                    linear_weight_gradient(grad_key_value, self.x),
                ]
            ),
            bias=lambda: torch.cat(
                [linear_bias_gradient(grad_query), linear_bias_gradient(grad_key_value)]
            ),
        )
        parameters = within("qkv", own) | within("proj", proj)
        if not needs_grad_x:
            return Gradients(None, parameters)
        query_weight, key_value_weight = _query_and_rest(self.layer.weight)
        grad_x = linear_backward(grad_key_value, key_value_weight)
        grad_x[:, 0] += linear_backward(grad_query, query_weight)
        return Gradients(grad_x, parameters)


@dataclass(frozen=True)
class ClassTokenBlockStep:
    """Step of a transformer block that computes the class token alone.

    Attributes:
        norm1: First layer norm, of all tokens.
        attention: Attention branch, from all tokens to the class token.
        mlp: Perceptron branch, of the class token.
    """

    norm1: ChainStep
    attention: ChainStep
    mlp: ChainStep

    @property
    def is_trainable(self) -> bool:
        """True if any layer of the block has a trainable parameter."""
        return any(step.is_trainable for step in (self.norm1, self.attention, self.mlp))

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients; only the class token's error takes the first shortcut."""
        second = self.mlp.backward(grad_out, needs_grad_x=True)
        grad_token = fork_backward(passed_on(second), grad_out)
        first = self.attention.backward(grad_token, needs_grad_x=True)
        norm1 = self.norm1.backward(passed_on(first), needs_grad_x=needs_grad_x)
        parameters = norm1.parameters | first.parameters | second.parameters
        if not needs_grad_x:
            return Gradients(None, parameters)
        grad_x = passed_on(norm1)
        grad_x[:, 0] += grad_token
        return Gradients(grad_x, parameters)


@record.register
def record_class_token_block(
    layer: ClassTokenBlock, x: Tensor | Masked
) -> tuple[Tensor, ClassTokenBlockStep]:
    """Return the class token after the block, and the step."""
    stream = values_of(x)
    normalised, norm1 = record_chain(_branch(layer, "norm1"), stream)
    attended, attention = _record_class_token_attention(layer.attn, normalised, layer.key_mask(x))
    dropped, drop_path = record_chain(_branch(layer, "ls1", "drop_path1"), attended)
    branch = ChainStep([("attn", attention), *drop_path.steps])
    token = addition_forward(dropped, stream[:, 0])
    transformed, mlp = record_chain(_branch(layer, "norm2", "mlp", "ls2", "drop_path2"), token)
    return addition_forward(transformed, token), ClassTokenBlockStep(norm1, branch, mlp)


def _record_class_token_attention(
    layer: Attention, x: Tensor, mask: Tensor | None
) -> tuple[Tensor, ClassTokenAttentionStep]:
    _require_plain(layer)
    query_weight, key_value_weight = _query_and_rest(layer.qkv.weight)
    query_bias, key_value_bias = _query_and_rest(layer.qkv.bias)
    query = linear_forward(x[:, 0], query_weight, query_bias)
    key_value = linear_forward(x, key_value_weight, key_value_bias)
    key, value = key_value.chunk(2, dim=2)
    attended = attention_forward(
        split_heads(query[:, None], heads=layer.num_heads),
        split_heads(key, heads=layer.num_heads),
        split_heads(value, heads=layer.num_heads),
        mask,
    )
    out, proj = record_linear(layer.proj, merge_heads(attended)[:, 0])
    return out, ClassTokenAttentionStep(layer.qkv, layer.num_heads, x, query, key_value, mask, proj)


@dataclass(frozen=True)
class TokensInsideLungsStep:
    """Step of the masking of patch tokens by the lungs; keeps the mask of each patch."""

    mask: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the masking."""
        if not needs_grad_x:
            return Gradients(None, {})
        return Gradients(masked_token_terms_backward(grad_out, self.mask), {})


@record.register
def record_tokens_inside_lungs(
    layer: TokensInsideLungs, x: Masked
) -> tuple[Tensor, TokensInsideLungsStep]:
    """Return the terms of the mean inside the lungs, and their step."""
    mask = layer.cells(x.lungs)
    return masked_token_terms_forward(x.values, mask), TokensInsideLungsStep(mask)


@dataclass(frozen=True)
class DropoutStep:
    """Step of a dropout; keeps its mask, None where nothing is dropped."""

    mask: Tensor | None
    rate: float
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the dropout."""
        if self.mask is None or not needs_grad_x:
            return Gradients(grad_out if needs_grad_x else None, {})
        return Gradients(dropout_backward(grad_out, self.mask, rate=self.rate), {})


@record.register
def record_dropout(layer: nn.Dropout, x: Tensor) -> tuple[Tensor, DropoutStep]:
    """Return the dropout's output, and its step; the mask is the one PyTorch would draw."""
    return _dropped(x, x, layer.p if layer.training else 0.0)


@record.register
def record_drop_path(layer: DropPath, x: Tensor) -> tuple[Tensor, DropoutStep]:
    """Return a branch's output after stochastic depth (dropped for whole films), and its step."""
    require(layer, scale_by_keep=True)
    one_per_film = x.new_empty((len(x),) + (1,) * (x.dim() - 1))
    return _dropped(x, one_per_film, (layer.drop_prob or 0.0) if layer.training else 0.0)


def _dropped(x: Tensor, like: Tensor, rate: float) -> tuple[Tensor, DropoutStep]:
    if rate == 0:
        return x, DropoutStep(None, rate)
    mask = dropout_mask(like, rate=rate).expand_as(x)
    return dropout_forward(x, mask, rate=rate), DropoutStep(mask, rate)


def _branch(layer: Block, *names: str) -> list[tuple[str, nn.Module]]:
    return [(name, layer.get_submodule(name)) for name in names]


def _query_and_rest(stacked: Tensor) -> tuple[Tensor, Tensor]:
    """Split the weight or bias of `qkv` into the query's rows and those of key and value."""
    width = len(stacked) // 3
    return stacked[:width], stacked[width:]


def _require_plain(layer: Attention) -> None:
    """Refuse options of timm's attention that have no hand-written backward pass."""
    require(layer, gate=None)
    for name in ("q_norm", "k_norm", "norm"):
        if not isinstance(layer.get_submodule(name), nn.Identity):
            raise ValueError(f"{name} of Attention must be absent")
    for name in ("attn_drop", "proj_drop"):
        require(layer.get_submodule(name), p=0.0)
