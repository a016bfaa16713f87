"""Averages over the positions of a film: where a map becomes one vector."""

from jaxtyping import Float
from torch import Tensor, nn


class GlobalAveragePool(nn.Module):
    """The mean of each channel over rows and columns."""

    def forward(
        self, x: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch channels"]:
        """Return one vector per film."""
        return x.mean(dim=(2, 3))


class PatchAverage(nn.Module):
    """The mean over a transformer's patch tokens, without the class token, which comes first."""

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        """Return one vector per film."""
        return tokens[:, 1:].mean(dim=1)
