"""Compute where the cells of a layer lie in a network's input, from the layers between them."""

from collections.abc import Sequence
from functools import reduce

from timm.models.vision_transformer import Block
from torch import nn

from models.card import CellCentres
from models.chest_cnn import ResidualBlock
from models.layers import LocalContrast, Normalisation
from models.lungs.cells import InsideLungs
from models.lungs.window import LungWindow
from models.network import Network, layers_in_order
from models.vit_b16 import Embedding, TokensInsideLungs

PIXELS = CellCentres(origin=(0.5, 0.5), step=(1.0, 1.0))
"""Centres of the network's own pixels."""

IN_PLACE = (
    *(Block, LocalContrast, Normalisation, nn.BatchNorm2d, nn.Identity, nn.ReLU),
    *(InsideLungs, TokensInsideLungs, LungWindow),
)
"""Layers whose output lies where their input does: pointwise ones, those whose window is centred on
each position, and transformer blocks, whose residual stream keeps each token. Cells behind a window
on the lungs are placed in what it shows."""


def cell_centres(network: Network, layer: str | None = None) -> CellCentres:
    """Return the cell centres of a layer's output, in pixels of the network's input.

    A window of k positions, d apart, that begins p positions outside its input and moves by s takes
    centres `origin + i * step` to `origin + (d (k - 1) / 2 - p) * step + i * s * step`.

    Args:
        network: Its layers are of known types.
        layer: A layer, or a group of layers, which means its last; None is the target layer.

    Raises:
        ValueError: There is no such layer, the place of a layer's type is not known, or the
            branches of a residual block lie in different places.

    Source:
        Araujo, Norris and Sim 2019, doi:10.23915/distill.00021, section "Computing receptive field
        region in input image".
    """
    return _after_all(_layers_up_to(network, layer or network.target_layer), PIXELS)


def _layers_up_to(network: Network, wanted: str) -> list[nn.Module]:
    """Return the layers up to and including the wanted one, or the one that it is a part of."""
    layers = list(layers_in_order(network))
    numbers = [
        number
        for number, (name, _) in enumerate(layers)
        if f"{name}.".startswith(f"{wanted}.") or f"{wanted}.".startswith(f"{name}.")
    ]
    if not numbers:
        raise ValueError(f"layer must be one of {[name for name, _ in layers]}, not {wanted!r}")
    return [layer for _, layer in layers[: numbers[-1] + 1]]


def _after_all(layers: Sequence[nn.Module], cells: CellCentres) -> CellCentres:
    return reduce(lambda before, layer: _after(layer, before), layers, cells)


def _after(layer: nn.Module, cells: CellCentres) -> CellCentres:
    """Return the centres of a layer's output for those of its input."""
    if isinstance(layer, IN_PLACE):
        return cells
    if isinstance(layer, nn.Sequential):
        return _after_all(list(layer), cells)
    if isinstance(layer, Embedding):
        return _after(layer.proj, cells)
    if isinstance(layer, ResidualBlock):
        return _after_residual(layer, cells)
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return _after_window(layer, cells)
    raise ValueError(f"layer must be of a type whose place is known, not {type(layer).__name__}")


def _after_residual(block: ResidualBlock, cells: CellCentres) -> CellCentres:
    residual = _after_all([block.conv1, block.conv2], cells)
    shortcut = _after(block.shortcut, cells)
    if residual != shortcut:
        raise ValueError(
            f"branches of a residual block must lie in one place: {residual}, {shortcut}"
        )
    return residual


def _after_window(
    layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d, cells: CellCentres
) -> CellCentres:
    kernel, stride, padding, dilation = (
        _pair(getattr(layer, name, 1)) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    shifts = [d * (k - 1) / 2 - p for k, p, d in zip(kernel, padding, dilation, strict=True)]
    rows, columns = zip(cells.origin, cells.step, shifts, stride, strict=True)
    (row, down), (column, across) = (
        (origin + shift * step, step * moved) for origin, step, shift, moved in (rows, columns)
    )
    return CellCentres(origin=(row, column), step=(down, across))


def _pair(size: int | tuple[int, ...] | str) -> tuple[int, ...]:
    """Return a size for rows and for columns.

    Raises:
        ValueError: It is a word, such as the padding `same`.
    """
    if isinstance(size, str):
        raise ValueError(f"padding must be a number of positions, not {size!r}")
    return size if isinstance(size, tuple) else (size, size)
