"""Mixup: mix each film of a batch with another, and their losses."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.step.objective import Objective


class Mixture(NamedTuple):
    """A batch whose films are each mixed with a partner from the same batch.

    Attributes:
        pixels: share * film + (1 - share) * partner; or the same of their cached features.
        targets: Of the films.
        partner_targets: Of their partners.
        share: In [0, 1].
    """

    pixels: Tensor
    targets: Tensor
    partner_targets: Tensor
    share: float = 1.0

    def slice(self, places: range) -> "Mixture":
        """Return neighbouring films of the batch; for no places, one film without a target.

        A process without films must make the same passes as the others: its network sees that film,
        and its loss is 0.
        """
        films = slice(places.start, places.stop)
        pixels = self.pixels[films] if places else self.pixels[:1]
        return Mixture(pixels, self.targets[films], self.partner_targets[films], self.share)

    def total(self, objective: Objective, logits: Tensor) -> Tensor:
        """Return the sum of the loss over films, mixed in the same shares as their pixels."""
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
