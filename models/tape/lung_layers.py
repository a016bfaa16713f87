"""Steps of the layers that look at the lungs, with their hand-written forward and backward passes.

Importing this module registers them with `tape.record`.
"""

from dataclasses import dataclass

from torch import Tensor

from models.backprop.pooling import masked_mean_terms_backward, masked_mean_terms_forward
from models.lungs.cells import InsideLungs
from models.lungs.window import LungWindow
from models.network import Masked
from models.tape.tape import Gradients, record


@dataclass(frozen=True)
class LungWindowStep:
    """Step of the window on the lungs, which no error passes: it never trains."""

    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return no gradients.

        Raises:
            RuntimeError: The derivative by the film is asked for.
        """
        if needs_grad_x:
            raise RuntimeError("no gradient passes the window on the lungs")
        return Gradients(None, {})


@record.register
def record_lung_window(layer: LungWindow, x: Tensor) -> tuple[Tensor | Masked, LungWindowStep]:
    """Return what is seen of a film, and its step."""
    return layer(x), LungWindowStep()


@dataclass(frozen=True)
class InsideLungsStep:
    """Step of the masking by the lungs; keeps the mask of each position."""

    mask: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the masking."""
        if not needs_grad_x:
            return Gradients(None, {})
        return Gradients(masked_mean_terms_backward(grad_out, self.mask), {})


@record.register
def record_inside_lungs(layer: InsideLungs, x: Masked) -> tuple[Tensor, InsideLungsStep]:
    """Return the terms of the mean inside the lungs, and their step."""
    mask = layer.cells(x.lungs)
    return masked_mean_terms_forward(x.values, mask), InsideLungsStep(mask)
