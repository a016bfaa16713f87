"""vit_b16: timm's ViT-B/16 for grey films (85.4 M parameters), read out in one of two ways.

`token`: the logits are read from the class token. The target layer is the last block's first layer
norm: after the attention that follows it, only the class token matters, and patch tokens have no
gradient. The last block is computed for the class token alone. `average`: the logits are read from
the mean of the patch tokens, as with timm's `global_pool="avg"`. The target layer is the last
block. Either may be read after fewer than the twelve blocks: later ones are then not built.

A network that looks only inside the lungs has a mask m of the patches: the mean of the lungs' mask
over each patch's pixels, exactly 0 outside. `average` reads the mean inside it, and the masking is
the target layer. `token` masks the attentions of the last two blocks: patches outside are attended
to by no token, and the logits do not depend on their tokens from there on.

Source:
    Dosovitskiy et al. 2021, arXiv:2010.11929, equations 1 to 4, table 1.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from timm.models.vision_transformer import Attention, Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from models.backprop.attention import masking_scores
from models.backprop.pooling import beside_class_token, masked_token_terms_forward
from models.card import BlockCount, Grid, PerChannel, ReadOut
from models.layers import Normalisation, PatchAverage, grey
from models.lungs.cells import LungCells
from models.network import Chain, Masked, Network, Seam, TakesLungs, through, values_of

PATCH = 16


class Embedding(nn.Module):
    """Patch embedding: pixels to tokens, with a class token first and positions added.

    Attributes:
        proj: One linear map of a patch's pixels, written as a convolution.
        cls_token: [1, 1, width].
        pos_embed: [1, tokens, width].
    """

    def __init__(self, timm_network: VisionTransformer) -> None:
        super().__init__()
        self.proj = timm_network.patch_embed.proj
        self.cls_token = timm_network.cls_token
        self.pos_embed = timm_network.pos_embed

    def forward(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch tokens width"]:
        """Return the tokens that enter the first block, the class token first."""
        patches = self.proj(pixels).flatten(2).transpose(1, 2)
        class_tokens = self.cls_token.expand(pixels.shape[0], -1, -1)  # len() would fix the batch
        return torch.cat([class_tokens, patches], dim=1) + self.pos_embed


class MaskableBlock(Block, TakesLungs):  # type: ignore[misc]
    """Transformer block in which patches outside the lungs are attended to by no token.

    The parameters are those of timm's block.

    Attributes:
        cells: Mean of the mask in each patch; None masks nothing.
    """

    attn: Attention
    norm1: nn.Module
    norm2: nn.Module
    mlp: nn.Module
    drop_path1: nn.Module
    drop_path2: nn.Module

    def __init__(self, *, cells: LungCells | None, **settings: Any) -> None:
        """Draw the block's weights; `settings` are those of timm's block."""
        super().__init__(**settings)
        self.cells = cells

    def forward(self, x: Tensor | Masked) -> Tensor | Masked:
        """Return all tokens after the block, with the lungs' mask if it came with them."""
        mask = self.key_mask(x)
        scores = None if mask is None else masking_scores(mask)
        tokens: Tensor = super().forward(values_of(x), attn_mask=scores)
        return Masked(tokens, x.lungs) if isinstance(x, Masked) else tokens

    def key_mask(self, x: Tensor | Masked) -> Float[Tensor, "batch tokens"] | None:
        """Return how much each token counts as a key, in [0, 1]: the class token fully."""
        if self.cells is None or not isinstance(x, Masked):
            return None
        return beside_class_token(self.cells(x.lungs))


class ClassTokenBlock(MaskableBlock):
    """Last transformer block, computed for the class token alone; nothing reads the other tokens.

    All tokens, or those inside the lungs, are still keys and values of its attention.
    """

    def forward(
        self, x: Float[Tensor, "batch tokens width"] | Masked
    ) -> Float[Tensor, "batch width"]:
        """Return the class token after the block."""
        return self.after_norm1(self.norm1(values_of(x)), x)

    def after_norm1(
        self,
        normalised: Float[Tensor, "batch tokens width"],
        x: Float[Tensor, "batch tokens width"] | Masked,
    ) -> Float[Tensor, "batch width"]:
        """Return the class token after the block.

        Args:
            normalised: Output of `norm1`.
            x: The residual stream that entered the block.
        """
        token = values_of(x)[:, 0] + self.drop_path1(self._attended(normalised, self.key_mask(x)))
        return cast(Tensor, token + self.drop_path2(self.mlp(self.norm2(token))))

    def _attended(self, normalised: Tensor, mask: Tensor | None) -> Tensor:
        width, heads = normalised.shape[2], self.attn.num_heads
        weight, bias = self.attn.qkv.weight, self.attn.qkv.bias
        query = functional.linear(normalised[:, 0], weight[:width], bias[:width])
        key_value = functional.linear(normalised, weight[width:], bias[width:])
        key, value = torch.unflatten(key_value, 2, (2, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        query = torch.unflatten(query, 1, (heads, 1, -1))
        scores = None if mask is None else masking_scores(mask)
        out = functional.scaled_dot_product_attention(query, key, value, attn_mask=scores)
        return cast(Tensor, self.attn.proj_drop(self.attn.proj(out.flatten(1))))


class TokensInsideLungs(TakesLungs):
    """Let only patch tokens inside the lungs count: tokens and mask to the terms of their mean.

    See `models.lungs.cells.InsideLungs`; the class token is handed on as it is.

    Attributes:
        cells: Mean of the mask in each patch.
    """

    def __init__(self, cells: LungCells) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Masked) -> Float[Tensor, "batch tokens width"]:
        """Return the terms: patch tokens outside the lungs are exactly 0."""
        return masked_token_terms_forward(x.values, self.cells(x.lungs))


class ViTB16(Network):
    """Twelve pre-norm transformer blocks, or the first of them, on 16x16 patches.

    Attributes:
        normalise: Normalisation of the pixels, one grey channel. (The patch embedding has no
            padding, so pretrained kernels of three colours, each with its mean and std, can be
            summed into one: see `models.pretrained`.)
        embed: Pixels to tokens.
        blocks: The transformer.
        inside: Masking by the lungs, with the `average` read-out that looks only inside them.
        pool: Average over the patch tokens, for the `average` read-out.
        norm: Last layer norm, on the vector that is read out.
        head: Linear layer that gives the logits.
    """

    depth = 12
    width = 768
    heads = 12

    def __init__(
        self,
        *,
        classes: int,
        mean: PerChannel,
        std: PerChannel,
        read_out: ReadOut = "token",
        image_size: Grid = (224, 224),
        inside_lungs: bool = False,
        blocks: BlockCount | None = None,
        drop_path_rate: float = 0.0,
    ) -> None:
        """Draw the network's weights.

        Args:
            classes: Number of logits.
            mean: Of the pixels; of three figures the mean is taken, pretrained weights are adapted.
            std: Likewise.
            read_out: `token` or `average`.
            image_size: Rows and columns, multiples of 16.
            inside_lungs: Only patches inside the lungs are read.
            blocks: How many, of 12; None is all of them.
            drop_path_rate: Of stochastic depth in the last block; it grows with depth.
        """
        super().__init__()
        self.grid = patch_grid(image_size)
        number = blocks or self.depth
        block = partial(self._block, read_out, image_size if inside_lungs else None, number)
        timm_network = self._timm_network(classes, image_size, drop_path_rate, block, number)
        self.normalise = Normalisation(grey(mean), grey(std))
        self.embed = Embedding(timm_network)
        self.blocks = Chain(*timm_network.blocks)
        if read_out == "average":
            if inside_lungs:
                self.inside = TokensInsideLungs(patch_cells(image_size))
            self.pool = PatchAverage()
        self.norm = timm_network.norm
        self.head = timm_network.get_classifier()

    def _timm_network(
        self,
        classes: int,
        image_size: Grid,
        drop_path_rate: float,
        block: Callable[..., Block],
        blocks: int,
    ) -> VisionTransformer:
        return VisionTransformer(
            img_size=image_size,
            patch_size=PATCH,
            in_chans=1,
            num_classes=classes,
            embed_dim=self.width,
            depth=blocks,
            num_heads=self.heads,
            drop_path_rate=drop_path_rate,
            block_fn=block,
        )

    @classmethod
    def _block(
        cls, read_out: ReadOut, masked: Grid | None, blocks: int, *, depth: int, **settings: Any
    ) -> Block:
        """Return the block at a depth.

        Args:
            read_out: `token` or `average`.
            masked: Rows and columns of the lungs' mask; None looks at all patches.
            blocks: How many there are.
            depth: From 0.
            settings: Of timm's block.
        """
        if read_out == "average" or depth < blocks - 2:
            return Block(depth=depth, **settings)
        # Each has its own cells: `torch.export` loses the class of containers if any is shared.
        kind = ClassTokenBlock if depth == blocks - 1 else MaskableBlock
        return kind(cells=masked and patch_cells(masked), depth=depth, **settings)

    @property
    def reads_token(self) -> bool:
        """True if the logits are read from the class token."""
        return not hasattr(self, "pool")

    @classmethod
    def last_layer(
        cls, read_out: ReadOut, *, blocks: BlockCount | None = None, inside_lungs: bool = False
    ) -> str:
        """Return the target layer's name, which is known before the network is built."""
        last = f"blocks.{(blocks or cls.depth) - 1}"
        if read_out == "token":
            return f"{last}.norm1"
        return "inside" if inside_lungs else last

    @property
    def target_layer(self) -> str:
        """Name of the last block's first layer norm (`token`), of the last block or its masking."""
        read_out: ReadOut = "token" if self.reads_token else "average"
        inside_lungs = hasattr(self, "inside")
        return self.last_layer(read_out, blocks=len(self.blocks), inside_lungs=inside_lungs)

    @property
    def unread(self) -> tuple[str, ...]:
        """Beginnings of the names of the blocks after the one that is read, which it lacks."""
        return tuple(f"blocks.{number}." for number in range(len(self.blocks), self.depth))

    def halfway_from(self, normalised: Tensor | Masked) -> Tensor | Masked:
        """Return all tokens after half of the blocks."""
        return self.blocks[: len(self.blocks) // 2](through(self.embed, normalised))

    def layout(self, halfway: Tensor | Masked) -> Float[Tensor, "batch features"]:
        """Return the mean of the patch tokens; their positions are already in them."""
        return values_of(halfway)[:, 1:].mean(dim=1)

    def seam_after(self, halfway: Tensor | Masked) -> Seam:
        """Return all tokens at the target layer; with `token`, also the stream that skips it."""
        later = self.blocks[len(self.blocks) // 2 :]
        if self.reads_token:
            return seam_in(self.blocks[-1], later[:-1](halfway))
        tokens = later(halfway)
        return Seam(self.inside(tokens) if isinstance(tokens, Masked) else tokens)

    def classify(
        self,
        activations: Float[Tensor, "batch tokens width"],
        bypass: Float[Tensor, "batch tokens width"] | Masked | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for a seam."""
        if bypass is None:
            vectors = self.pool(activations)
        else:
            vectors = cast(ClassTokenBlock, self.blocks[-1]).after_norm1(activations, bypass)
        return cast(Tensor, self.head(self.norm(vectors)))

    def on_grid(
        self, activations: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch width grid_rows grid_columns"]:
        """Return the patch tokens on the grid of their patches."""
        return torch.unflatten(activations[:, 1:].transpose(1, 2), 2, self.grid)


def patch_grid(image_size: Grid) -> Grid:
    """Return rows and columns of the patches."""
    return image_size[0] // PATCH, image_size[1] // PATCH


def patch_cells(image_size: Grid) -> LungCells:
    """Return the layer that takes the mean of a mask in each patch."""
    return LungCells(image_size, patch_grid(image_size))


def seam_in(block: Block, stream: Tensor | Masked) -> Seam:
    """Return the seam after a block's first layer norm, for the residual stream that enters it."""
    return Seam(block.norm1(values_of(stream)), stream)
