"""vit_b16: timm's ViT-B/16 for grey films (85.4 M parameters), read out in one of two ways.

`token`: the logits are read from the class token. The target layer is the last block's first layer
norm: after the attention that follows it, only the class token matters, and patch tokens have no
gradient. The last block is computed for the class token alone. `average`: the logits are read from
the mean of the patch tokens, as with timm's `global_pool="avg"`. The target layer is the last
block.

Source:
    Dosovitskiy et al. 2021, arXiv:2010.11929, equations 1 to 4, table 1.
"""

from typing import Any, cast

import torch
from jaxtyping import Float
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from models.card import Grid, PerChannel, ReadOut
from models.layers import Normalisation, PatchAverage, grey
from models.network import Masked, Network, Seam, values_of

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


class ClassTokenBlock(Block):  # type: ignore[misc]
    """Last transformer block, computed for the class token alone; nothing reads the other tokens.

    All tokens are still keys and values of its attention. The parameters are those of timm's block.
    """

    def forward(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        """Return the class token after the block."""
        return self.after_norm1(self.norm1(x), x)

    def after_norm1(
        self,
        normalised: Float[Tensor, "batch tokens width"],
        x: Float[Tensor, "batch tokens width"],
    ) -> Float[Tensor, "batch width"]:
        """Return the class token after the block.

        Args:
            normalised: Output of `norm1`.
            x: The residual stream that entered the block.
        """
        token = x[:, 0] + self.drop_path1(self._attended(normalised))
        return cast(Tensor, token + self.drop_path2(self.mlp(self.norm2(token))))

    def _attended(self, normalised: Tensor) -> Tensor:
        width, heads = normalised.shape[2], self.attn.num_heads
        weight, bias = self.attn.qkv.weight, self.attn.qkv.bias
        query = functional.linear(normalised[:, 0], weight[:width], bias[:width])
        key_value = functional.linear(normalised, weight[width:], bias[width:])
        key, value = torch.unflatten(key_value, 2, (2, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        query = torch.unflatten(query, 1, (heads, 1, -1))
        out = functional.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.attn.proj_drop(self.attn.proj(out.flatten(1))))


class ViTB16(Network):
    """Twelve pre-norm transformer blocks on 16x16 patches.

    Attributes:
        normalise: Normalisation of the pixels, one grey channel. (The patch embedding has no
            padding, so pretrained kernels of three colours, each with its mean and std, can be
            summed into one: see `models.pretrained`.)
        embed: Pixels to tokens.
        blocks: The transformer.
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
        drop_path_rate: float = 0.0,
    ) -> None:
        """Draw the network's weights.

        Args:
            classes: Number of logits.
            mean: Of the pixels; of three figures the mean is taken, pretrained weights are adapted.
            std: Likewise.
            read_out: `token` or `average`.
            image_size: Rows and columns, multiples of 16.
            drop_path_rate: Of stochastic depth in the last block; it grows with depth.
        """
        super().__init__()
        timm_network = self._timm_network(classes, read_out, image_size, drop_path_rate)
        self.normalise = Normalisation(grey(mean), grey(std))
        self.embed = Embedding(timm_network)
        self.blocks = timm_network.blocks
        if read_out == "average":
            self.pool = PatchAverage()
        self.norm = timm_network.norm
        self.head = timm_network.get_classifier()
        rows, columns = (side // PATCH for side in image_size)
        self.grid = (rows, columns)

    def _timm_network(
        self, classes: int, read_out: ReadOut, image_size: Grid, drop_path_rate: float
    ) -> VisionTransformer:
        def block(*, depth: int, **settings: Any) -> Block:
            ends = read_out == "token" and depth == self.depth - 1
            return (ClassTokenBlock if ends else Block)(depth=depth, **settings)

        return VisionTransformer(
            img_size=image_size,
            patch_size=PATCH,
            in_chans=1,
            num_classes=classes,
            embed_dim=self.width,
            depth=self.depth,
            num_heads=self.heads,
            drop_path_rate=drop_path_rate,
            block_fn=block,
        )

    @property
    def reads_token(self) -> bool:
        """True if the logits are read from the class token."""
        return not hasattr(self, "pool")

    @classmethod
    def last_layer(cls, read_out: ReadOut) -> str:
        """Return the target layer's name, which is known before the network is built."""
        last = f"blocks.{cls.depth - 1}"
        return f"{last}.norm1" if read_out == "token" else last

    @property
    def target_layer(self) -> str:
        """Name of the last block's first layer norm (read-out `token`), or of the last block."""
        return self.last_layer("token" if self.reads_token else "average")

    def halfway_from(self, normalised: Tensor | Masked) -> Float[Tensor, "batch tokens width"]:
        """Return all tokens after half of the blocks."""
        tokens = self.embed(values_of(normalised))
        return cast(Tensor, self.blocks[: len(self.blocks) // 2](tokens))

    def layout(self, halfway: Tensor | Masked) -> Float[Tensor, "batch features"]:
        """Return the mean of the patch tokens; their positions are already in them."""
        return values_of(halfway)[:, 1:].mean(dim=1)

    def seam_after(self, halfway: Tensor | Masked) -> Seam:
        """Return all tokens at the target layer; with `token`, also the stream that skips it."""
        later, tokens = self.blocks[len(self.blocks) // 2 :], values_of(halfway)
        if not self.reads_token:
            return Seam(later(tokens))
        stream = later[:-1](tokens)
        return Seam(self.blocks[-1].norm1(stream), stream)

    def classify(
        self,
        activations: Float[Tensor, "batch tokens width"],
        bypass: Float[Tensor, "batch tokens width"] | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for a seam."""
        if self.reads_token:
            vectors = self.blocks[-1].after_norm1(activations, bypass)
        else:
            vectors = self.pool(activations)
        return cast(Tensor, self.head(self.norm(vectors)))

    def on_grid(
        self, activations: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch width grid_rows grid_columns"]:
        """Return the patch tokens on the grid of their patches."""
        return torch.unflatten(activations[:, 1:].transpose(1, 2), 2, self.grid)
