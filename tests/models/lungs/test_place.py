"""Evidence of a network that sees only the lungs lies on the film where its cells looked."""

import numpy as np
import pytest
import torch
from torch import nn

from models.card import CellCentres, LungSpec
from models.lungs.window import window_of
from models.network import Masked
from models.radiograph import Radiograph, network_pixels
from models.registration import cell_centres
from tests.support.lung_networks import CROP, FILM, films, lung_network
from tests.support.tiny_model import card


def lung_card(cells: CellCentres | None):
    return card().model_copy(
        update={"lungs": LungSpec(size=CROP), "image_size": FILM, "cell_centres": cells}
    )


def test_cells_move_and_shrink_with_the_region() -> None:
    cells = CellCentres(origin=(4.0, 2.0), step=(8.0, 4.0))
    placed = lung_card(cells).cells_on((0.25, 0.5, 0.75, 1.0))
    # 96 x 64 pixels show 80 rows from 40 on and 64 columns from 64 on.
    assert placed is not None
    assert placed.origin == pytest.approx((40 + 4 * 80 / 96, 64 + 2.0))
    assert placed.step == pytest.approx((8 * 80 / 96, 4.0))


def test_of_the_whole_film_cells_stay_as_they_are() -> None:
    cells = CellCentres(origin=(4.0, 2.0), step=(8.0, 4.0))
    assert card(cell_centres=cells).cells_on(None) == cells
    assert lung_card(None).cells_on((0.0, 0.0, 1.0, 1.0)) is None


def _make_even(network: nn.Module) -> None:
    """Let every kernel be a mean, so that a change is seen by the cells around it alike."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.fill_(1 / layer.weight[0].numel())
        elif isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.zero_()
            layer.running_var.fill_(1)
            layer.weight.fill_(1)
            layer.bias.fill_(1)


@torch.no_grad()
def test_a_spot_in_the_film_changes_the_cells_that_are_drawn_over_it() -> None:
    """Box, mask and standardisation held: the window itself is moved by what it sees."""
    network = lung_network(local=True)
    _make_even(network)
    window = window_of(network)
    assert window is not None
    region = window.view(films(1)).region[0].tolist()
    cells = lung_card(cell_centres(network)).cells_on(region)
    assert cells is not None
    seen = network.normalise(films(1))
    assert isinstance(seen, Masked)
    spot = seen.values.clone()
    spot[..., 44:52, 20:28] += 5  # centred at row 48, column 24 of what is seen
    before, after = (
        network.seam_after(network.halfway_from(Masked(values, seen.lungs.new_ones(1, 1, *CROP))))
        for values in (seen.values, spot)
    )
    change = (after.activations - before.activations).abs().sum(dim=1)[0]
    weight = change / change.sum()
    row, column = (
        float((weight.sum(dim=1 - axis) * torch.arange(weight.shape[axis])).sum())
        for axis in (0, 1)
    )
    film = network_pixels(
        Radiograph(films(1)[0, 0].numpy().astype(np.float32), "png"),
        image_size=FILM,
        resize_mode="stretch",
    )
    a, _, c, _, e, f = film.grid_place((12, 8), cells).affine
    top, left, bottom, right = region
    expected_row = (top + (bottom - top) * 48 / CROP[0]) * FILM[0]
    expected_column = (left + (right - left) * 24 / CROP[1]) * FILM[1]
    assert abs(f + e * (row + 0.5) - expected_row) < e / 4
    assert abs(c + a * (column + 0.5) - expected_column) < a / 4
