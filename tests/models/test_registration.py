"""Where the cells of each network lie, against the pixels that they really look at."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.architectures import build
from models.card import CellCentres, Grid, ReadLayer
from models.chest_cnn import ChestCNN, ResidualBlock, Shortcut
from models.network import Network
from models.radiograph import NetworkPixels, Radiograph, evenly_spread, network_pixels
from models.registration import cell_centres
from service.settings import OWN_MODELS
from tests.support.lung_networks import lung_vgg16
from tests.support.small_networks import COLOURS, SETTINGS, SMALL, SmallVGG16, small_network
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

CONVOLUTIONS = ("chest_cnn", "vgg16", "vgg16 fully connected", "vgg16 conv4_3")
ALL = SMALL | {"vgg16 conv4_3": lambda **size: SmallVGG16(**COLOURS, read_layer="conv4_3")}
SIZE = (224, 192)
QUARTER = 4
"""Quarter of a cell, in network pixels."""

TRUE_CENTRES = {
    "chest_cnn": CellCentres(origin=(0.5, 0.5), step=(16, 16)),
    "vgg16": CellCentres(origin=(8, 8), step=(16, 16)),
    "vgg16 fully connected": CellCentres(origin=(8, 8), step=(16, 16)),
    "vgg16 conv4_3": CellCentres(origin=(4, 4), step=(8, 8)),
    "vit_b16 token": CellCentres(origin=(8, 8), step=(16, 16)),
    "vit_b16 average": CellCentres(origin=(8, 8), step=(16, 16)),
}


def lit_network(name: str, size: Grid) -> Network:
    """Return a small network in which every pixel that a convolution reads counts, and counts up.

    Its convolutions' weights are positive and bright films keep every ReLU open.
    """
    torch.manual_seed(3)
    network = ALL[name](image_size=size).double().eval().requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and name in CONVOLUTIONS:
            layer.weight.abs_()
    return network


def bright_films(number: int, size: Grid) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return 0.6 + 0.4 * torch.rand(number, 1, *size, generator=generator, dtype=torch.float64)


def cell_values(network: Network, pixels: Tensor) -> Float[Tensor, "films rows columns"]:
    """Return a sum of each cell's channels, of the layer that evidence is computed from."""
    cells = network.on_grid(network.features(pixels))
    weights = 0.5 + torch.rand(cells.shape[1], generator=torch.Generator().manual_seed(7)).double()
    return torch.einsum("bcij,c->bij", cells, weights)


def gradient(network: Network, row: int, column: int) -> Float[np.ndarray, "rows columns"]:
    """Return the mean square of the derivative of a cell by each pixel."""
    pixels = bright_films(6, SIZE).requires_grad_()
    [found] = torch.autograd.grad(cell_values(network, pixels)[:, row, column].sum(), pixels)
    return found.square().mean(dim=(0, 1)).numpy()


def centre_of_mass(values: Float[np.ndarray, "rows columns"]) -> tuple[float, float]:
    """Return row and column; pixel 0 covers [0, 1)."""
    rows, columns = (np.arange(side) + 0.5 for side in values.shape)
    return (
        float(values.sum(axis=1) @ rows / values.sum()),
        float(values.sum(axis=0) @ columns / values.sum()),
    )


def centre_of_cell(cells: CellCentres, row: int, column: int) -> tuple[float, float]:
    return (
        cells.origin[0] + row * cells.step[0],
        cells.origin[1] + column * cells.step[1],
    )


@pytest.mark.parametrize(("name", "cells"), TRUE_CENTRES.items())
def test_the_centres_follow_from_kernels_strides_and_paddings(
    name: str, cells: CellCentres
) -> None:
    assert cell_centres(ALL[name](image_size=SIZE)) == cells


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("row", "column"), [(6, 5), (7, 6)])
def test_what_a_cell_looks_at_has_its_middle_where_the_centre_is(
    name: str, row: int, column: int
) -> None:
    network = lit_network(name, SIZE)
    found = centre_of_mass(gradient(network, row, column))
    expected = centre_of_cell(cell_centres(network), row, column)
    assert found == pytest.approx(expected, abs=QUARTER)


def test_the_middles_would_notice_cells_that_are_taken_to_be_even() -> None:
    """This is how maps were drawn: chest_cnn's 7.5 pixels too far right and down."""
    found = centre_of_mass(gradient(lit_network("chest_cnn", SIZE), 6, 5))
    even = centre_of_cell(evenly_spread((14, 12), SIZE), 6, 5)
    assert np.subtract(even, found) == pytest.approx((7.5, 7.5), abs=QUARTER / 2)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_what_the_outermost_cells_look_at_ends_as_far_from_their_centres(name: str) -> None:
    """A receptive field is cut by the edge of the film, but its other end is seen."""
    network = lit_network(name, SIZE)
    cells = cell_centres(network)
    rows, columns = (side // int(step) - 1 for side, step in zip(SIZE, cells.step, strict=True))
    first, last = gradient(network, 0, 0) > 0, gradient(network, rows, columns) > 0
    start, end = centre_of_cell(cells, 0, 0), centre_of_cell(cells, rows, columns)
    for axis in (0, 1):
        reach = np.flatnonzero(first.any(axis=1 - axis))[-1] + 1 - start[axis]
        other = end[axis] - np.flatnonzero(last.any(axis=1 - axis))[0]
        assert reach == pytest.approx(other, abs=QUARTER / 2)


@pytest.mark.parametrize("name", [name for name in SMALL if name not in CONVOLUTIONS])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 11), (13, 0), (13, 11)])
def test_tokens_at_the_corners_look_at_their_patches(name: str, row: int, column: int) -> None:
    network = lit_network(name, SIZE)
    found = centre_of_mass(gradient(network, row, column))
    expected = centre_of_cell(cell_centres(network), row, column)
    assert found == pytest.approx(expected, abs=QUARTER)


SMALL_SIZE = (128, 112)
DOT = 2
"""Half of a dot's side, in film pixels."""


def stretched(film: Radiograph) -> NetworkPixels:
    return network_pixels(film, image_size=SMALL_SIZE, resize_mode="stretch")


def letterboxed(film: Radiograph) -> NetworkPixels:
    return network_pixels(film, image_size=SMALL_SIZE, resize_mode="letterbox")


def cropped(film: Radiograph) -> NetworkPixels:
    return network_pixels(film, image_size=SMALL_SIZE, resize_mode="stretch", crop_pct=0.84)


def bordered_film() -> np.ndarray:
    """Return a film of 200 x 300 pixels with borders that are trimmed."""
    content = np.random.default_rng(0).uniform(0.6, 0.8, (200, 300)).astype(np.float32)
    return np.pad(content, ((30, 10), (15, 50)))


def felt(
    network: Network, view: Callable[[Radiograph], NetworkPixels], cell: Grid, near: Grid
) -> tuple[float, float]:
    """Return where dots on the film change a cell: row and column, weighted by the square.

    The dots lie on a cross of two bars as broad as half a cell, whose middle is `near`.
    """
    film = bordered_film()
    content = np.argwhere(film > 0)
    dots = [
        (axis, place, at + near[1 - axis])
        for axis in (0, 1)
        for place in range(content[:, axis].min() + DOT, content[:, axis].max() - DOT, 4)
        for at in (-6, 0, 6)
    ]
    films = [film]
    for axis, along, across in dots:
        row, column = (along, across) if axis == 0 else (across, along)
        films.append(film.copy())
        films[-1][row - DOT : row + DOT, column - DOT : column + DOT] = 1
    pixels = np.stack([view(Radiograph(one, "png")).pixels[None] for one in films])
    values = cell_values(network, torch.from_numpy(pixels).double())[:, *cell].numpy()
    changes = np.square(values[1:] - values[0])
    axes, places, _ = np.array(dots).T
    row, column = (
        float(changes[axes == axis] @ places[axes == axis] / changes[axes == axis].sum())
        for axis in (0, 1)
    )
    return row, column


@pytest.mark.parametrize("view", [stretched, letterboxed, cropped], ids=lambda view: view.__name__)
@pytest.mark.parametrize("name", SMALL)
def test_dots_on_a_film_change_a_cell_most_where_it_is_drawn(
    name: str, view: Callable[[Radiograph], NetworkPixels]
) -> None:
    network, cell = lit_network(name, SMALL_SIZE), (4, 3)
    seen = view(Radiograph(bordered_film(), "png"))
    affine, _ = seen.grid_place((8, 7), cell_centres(network))
    y, x = affine[4] * (cell[0] + 0.5) + affine[5], affine[0] * (cell[1] + 0.5) + affine[2]
    row, column = felt(network, view, cell, (round(y), round(x)))
    assert abs(row - y) < affine[4] / 4
    assert abs(column - x) < affine[0] / 4


@pytest.mark.parametrize("model", sorted(OWN_MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_models_in_the_box_are_drawn_where_their_layers_say(model) -> None:
    card = Explainer(model, lazy=True).card
    drawn_at = card.cell_centres or evenly_spread(card.activation_grid, card.image_size)
    assert drawn_at == cell_centres(build(card))


@pytest.mark.parametrize(("read_layer", "step"), [("conv4_3", 8), ("conv5_3", 16)])
def test_inside_the_lungs_vgg16s_cells_lie_where_the_mask_is_averaged(
    read_layer: ReadLayer, step: int
) -> None:
    network = lung_vgg16(read_layer)
    cells = cell_centres(network)
    assert cells == CellCentres(origin=(step / 2, step / 2), step=(step, step))
    windows = network.inside.cells.row_windows
    middles = windows @ (torch.arange(windows.shape[1]) + 0.5).double()
    found = cells.origin[0] + cells.step[0] * torch.arange(len(windows)).double()
    torch.testing.assert_close(middles, found)


def test_an_inner_layer_has_its_own_centres() -> None:
    network = small_network("vgg16")
    assert cell_centres(network, "trunk.0") == CellCentres(origin=(0.5, 0.5), step=(1, 1))
    assert cell_centres(network, "trunk.2") == CellCentres(origin=(1, 1), step=(2, 2))


def test_each_axis_has_its_own_kernel_and_dilation_counts() -> None:
    class Flat(ChestCNN):
        def __init__(self) -> None:
            super().__init__(**SETTINGS)
            self.stem.conv = nn.Conv2d(1, 32, (3, 1), stride=(1, 2), padding=0, dilation=(2, 1))

    assert cell_centres(Flat(), "stem.conv") == CellCentres(origin=(2.5, 0.5), step=(1, 2))


def test_an_unknown_layer_or_type_or_padding_is_refused() -> None:
    network = small_network("chest_cnn")
    with pytest.raises(ValueError, match="layer must be one of"):
        cell_centres(network, "stages.7")
    network.stem.relu = nn.Upsample(scale_factor=2)
    with pytest.raises(ValueError, match="place is known, not Upsample"):
        cell_centres(network)
    network.stem.relu = nn.Conv2d(3, 3, 3, padding="same")
    with pytest.raises(ValueError, match="padding must be a number of positions, not 'same'"):
        cell_centres(network)


def test_branches_that_lie_in_different_places_are_refused() -> None:
    network = small_network("chest_cnn")
    block = ResidualBlock(3, 4, 2)
    block.shortcut = Shortcut(3, 4, 2)
    block.shortcut.conv = nn.Conv2d(3, 4, 2, stride=2)
    network.stages[1][0] = block
    with pytest.raises(ValueError, match="branches of a residual block must lie in one place"):
        cell_centres(network)
