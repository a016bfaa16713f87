"""Record one training step: the error and the update of every layer, and its dead units."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from jaxtyping import Bool, Float
from pydantic import ConfigDict
from torch import Tensor, nn

from models.card import Record


class FlowRecord(Record):
    """Record of a training step, by layer, in the order of the forward pass.

    Attributes:
        step: Updates before this one.
        error_signal: Size of BP2's error, the derivative of the loss by the layer's output, before
            any clipping: the norm over positions (or tokens), as a root mean square over films and
            channels. The mean lets wide and narrow layers compare; the sum over positions lets fine
            and coarse grids compare, since a max-pooling passes on few large entries among zeros,
            which leave that norm as it was and would halve a mean.
        update_ratio: Norm of the update over the norm of the parameters before it, all trainable
            parameters of the layer as one vector; without layers that were all zero.
        dead_share: Share of a ReLU's channels that are zero for every film and position. GELUs are
            not counted: their slope below 0 is small but not zero, so that no unit is dead.
    """

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="strings")

    step: int
    error_signal: dict[str, float]
    update_ratio: dict[str, float]
    dead_share: dict[str, float]


class StepSample:
    """Recorder of one step.

    Tensor hooks on the layers' outputs are used, not module hooks: they see the output's own
    gradient even where an in-place ReLU overwrites the output afterwards, as in VGG16.
    """

    def __init__(self, network: nn.Module) -> None:
        """Copy the parameters before the update."""
        leaves = {name: leaf for name, leaf in network.named_modules() if not any(leaf.children())}
        self._trained = {name: leaf for name, leaf in leaves.items() if _trainable(leaf)}
        self._relus = {name: leaf for name, leaf in leaves.items() if isinstance(leaf, nn.ReLU)}
        self._before = {name: _as_vector(leaf) for name, leaf in self._trained.items()}
        self._mean_squares: dict[str, list[Tensor]] = {}
        self._alive: dict[str, Tensor] = {}

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Register hooks on all layers, and remove them at the end."""
        with ExitStack() as handles:
            for name, leaf in self._trained.items():
                listen = partial(self._listen_for_error, name, handles)
                handles.enter_context(leaf.register_forward_hook(listen))
            for name, leaf in self._relus.items():
                handles.enter_context(leaf.register_forward_hook(partial(self._note_alive, name)))
            yield

    def record(self, step: int) -> FlowRecord:
        """Return the record; to be called after the optimiser's step."""
        errors = {
            name: torch.stack(self._mean_squares[name]).mean().sqrt().item()
            for name in self._trained
            if name in self._mean_squares
        }
        return FlowRecord(
            step=step,
            error_signal=errors,
            update_ratio=dict(self._update_ratios()),
            dead_share={
                name: (~alive).double().mean().item() for name, alive in self._alive.items()
            },
        )

    def _listen_for_error(
        self, name: str, handles: ExitStack, layer: nn.Module, inputs: object, out: Tensor
    ) -> None:
        if out.requires_grad:
            handle = out.register_hook(partial(self._note_error, name))  # type: ignore[no-untyped-call]
            handles.enter_context(handle)

    def _note_error(self, name: str, grad_out: Tensor) -> None:
        self._mean_squares.setdefault(name, []).append(error_size(grad_out) ** 2)

    def _note_alive(self, name: str, layer: nn.Module, inputs: object, out: Tensor) -> None:
        if out.requires_grad:
            alive = live_channels(out.detach())
            self._alive[name] = alive | self._alive.get(name, alive)

    def _update_ratios(self) -> Iterator[tuple[str, float]]:
        for name, before in self._before.items():
            moved = _as_vector(self._trained[name]) - before
            norm = before.norm().item()
            if norm != 0:
                yield name, moved.norm().item() / norm


def error_size(grad_out: Float[Tensor, "batch *axes"]) -> Float[Tensor, ""]:
    """Return the norm over positions of an error, as a root mean square over films and channels."""
    films_and_channels = grad_out.shape[0] * grad_out.shape[_channel_axis(grad_out)]
    precision = torch.promote_types(grad_out.dtype, torch.float32)
    return torch.linalg.vector_norm(grad_out, dtype=precision) / films_and_channels**0.5


def live_channels(out: Float[Tensor, "batch *axes"]) -> Bool[Tensor, " channels"]:
    """Return which channels are other than zero for any film at any position."""
    return (out != 0).movedim(_channel_axis(out), 0).flatten(1).any(dim=1)


def _channel_axis(out: Tensor) -> int:
    """Channels come last in [batch, tokens, channels], and second in everything else."""
    return 2 if out.dim() == 3 else 1


def _trainable(layer: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]


def _as_vector(layer: nn.Module) -> Float[Tensor, " parameters"]:
    return torch.cat([parameter.detach().reshape(-1) for parameter in _trainable(layer)])
