"""Mixup: two films as one, and the loss of both."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.objective import Objective


class Mixture(NamedTuple):
    """A batch whose films are each mixed with a partner from the same batch.

    Attributes:
        pixels: share * film + (1 - share) * partner; or what a frozen part of the network made
            of them.
        targets: Of the films.
        partner_targets: Of their partners.
        share: In [0, 1].
    """

    pixels: Tensor
    targets: Tensor
    partner_targets: Tensor
    share: float = 1.0

    def split(self, size: int) -> Iterator["Mixture"]:
        """Yield the batch in parts of at most `size` films."""
        for start in range(0, len(self.pixels), size):
            pixels, targets, partner_targets = (tensor[start : start + size] for tensor in self[:3])
            yield Mixture(pixels, targets, partner_targets, self.share)

    def total(self, objective: Objective, logits: Tensor) -> Tensor:
        """Return the sum of the loss over films, mixed as their pixels are."""
        own = objective.total(logits, self.targets)
        if self.share == 1:
            return own
        return self.share * own + (1 - self.share) * objective.total(logits, self.partner_targets)


def mixture(pixels: Tensor, targets: Tensor, *, alpha: float, seed: int, step: int) -> Mixture:
    """Return the batch mixed, as drawn from (seed, step).

    Args:
        pixels: [batch, ...].
        targets: [batch, ...].
        alpha: Of the symmetric beta distribution of the share; 0 mixes nothing.
        seed: Of the run.
        step: Of the optimiser.

    Source:
        Zhang et al. 2018, arXiv:1710.09412, section 2.
    """
    if alpha == 0:
        return Mixture(pixels, targets, targets)
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(step,)))
    share = float(random.beta(alpha, alpha))
    partners = torch.from_numpy(random.permutation(len(pixels))).to(pixels.device)
    mixed = share * pixels + (1 - share) * pixels[partners]
    return Mixture(mixed, targets, targets[partners], share)
