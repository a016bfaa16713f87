"""Steps of lung_field's layers: a level with its skip connection, up-sampling, norm of a film.

Importing this module registers them with `tape.record`.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.backprop.normalisation import film_norm_backward, film_norm_forward
from models.backprop.pooling import nearest_upsample_backward, nearest_upsample_forward
from models.backprop.residual import (
    concatenation_backward,
    concatenation_forward,
    fork_backward,
    fork_forward,
)
from models.layers import FILM_NORM_EPS, FilmNormalisation
from models.lung_field import Level
from models.tape.tape import Gradients, Step, passed_on, record, require, within


@dataclass(frozen=True)
class LevelStep:
    """Step of a U-Net's level: decode(encode(x) beside below(encode(x))).

    Attributes:
        encode: Step of the convolutions on the way down.
        below: Step of the coarser levels.
        decode: Step of the convolutions on the way up.
        skip_channels: Channels of the encoder's output, which come first in the decoder's input.
    """

    encode: Step
    below: Step
    decode: Step
    skip_channels: int

    @property
    def is_trainable(self) -> bool:
        """True if any layer of the level, or of those below, has a trainable parameter."""
        return self.encode.is_trainable or self.below.is_trainable or self.decode.is_trainable

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients; the errors of both uses of the encoder's output are summed."""
        needs_skip = needs_grad_x or self.encode.is_trainable
        needs_both = needs_skip or self.below.is_trainable
        decoded = self.decode.backward(grad_out, needs_grad_x=needs_both)
        parameters = within("decode", decoded.parameters)
        if not needs_both:
            return Gradients(None, parameters)
        both = concatenation_backward(passed_on(decoded), first_channels=self.skip_channels)
        below = self.below.backward(both.grad_second, needs_grad_x=needs_skip)
        parameters |= within("below", below.parameters)
        if not needs_skip:
            return Gradients(None, parameters)
        grad_skip = fork_backward(both.grad_first, passed_on(below))
        encoded = self.encode.backward(grad_skip, needs_grad_x=needs_grad_x)
        return Gradients(encoded.grad_x, parameters | within("encode", encoded.parameters))


@record.register
def record_level(layer: Level, x: Tensor) -> tuple[Tensor, LevelStep]:
    """Return the level's output, and its step."""
    encoded, encode = record(layer.encode, x)
    skip, goes_down = fork_forward(encoded)
    from_below, below = record(layer.below, goes_down)
    out, decode = record(layer.decode, concatenation_forward(skip, from_below))
    return out, LevelStep(encode, below, decode, skip_channels=skip.shape[1])


@dataclass(frozen=True)
class UpsampleStep:
    """Step of an up-sampling by nearest neighbour; keeps its factor."""

    factor: int
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the up-sampling."""
        if not needs_grad_x:
            return Gradients(None, {})
        return Gradients(nearest_upsample_backward(grad_out, factor=self.factor), {})


@record.register
def record_upsample(layer: nn.Upsample, x: Tensor) -> tuple[Tensor, UpsampleStep]:
    """Return the up-sampled input, and its step.

    Raises:
        ValueError: The mode is another, or the factor is no whole number.
    """
    require(layer, mode="nearest", size=None)
    factor = layer.scale_factor
    if isinstance(factor, tuple) or factor is None or factor % 1:
        raise ValueError(f"scale_factor of Upsample must be one whole number, not {factor}")
    return nearest_upsample_forward(x, factor=int(factor)), UpsampleStep(int(factor))


@dataclass(frozen=True)
class FilmNormStep:
    """Step of the normalisation of each film by its own mean and deviation; keeps its output."""

    out: Tensor
    inverse_std: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the normalisation."""
        if not needs_grad_x:
            return Gradients(None, {})
        grad_x = film_norm_backward(grad_out, out=self.out, inverse_std=self.inverse_std)
        return Gradients(grad_x, {})


@record.register
def record_film_norm(layer: FilmNormalisation, x: Tensor) -> tuple[Tensor, FilmNormStep]:
    """Return each film with mean 0 and variance 1, and the step."""
    norm = film_norm_forward(x, eps=FILM_NORM_EPS)
    return norm.out, FilmNormStep(norm.out, norm.inverse_std)
