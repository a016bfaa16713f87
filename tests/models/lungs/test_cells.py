import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.pooling import masked_mean_terms_forward
from models.layers import GlobalAveragePool
from models.lungs.cells import InsideLungs, LungCells, cell_windows, position_weights
from models.network import Masked
from tests.support.drawn_lungs import LEFT, RIGHT, ellipses

IMAGE, GRID = (96, 64), (12, 8)


def lungs(batch: int = 2) -> Tensor:
    square = (2 * ellipses(RIGHT, LEFT, side=96) - 1).clamp(min=0)
    return functional.interpolate(square, IMAGE, mode="bilinear").expand(batch, -1, -1, -1)


def activations(batch: int = 2, channels: int = 3) -> Tensor:
    return torch.randn(batch, channels, *GRID, generator=torch.Generator().manual_seed(0))


def test_equal_cells_are_average_pooling() -> None:
    expected = functional.avg_pool2d(lungs(), 8)
    torch.testing.assert_close(LungCells(IMAGE, GRID)(lungs()), expected)


def test_cells_without_lung_are_exactly_zero() -> None:
    cells = LungCells(IMAGE, GRID)(lungs())
    is_empty = functional.max_pool2d(lungs(), 8) == 0
    assert is_empty.any()
    assert (cells[is_empty] == 0).all()
    assert (cells[~is_empty] > 0).all()


def test_cells_reach_half_way_to_their_neighbours_and_the_outermost_to_the_edge() -> None:
    """Centres of three convolutions of 3x3 with stride 2 and padding 1: pixels 0, 8, 16, ..."""
    windows = cell_windows(32, 4, origin=0.5, step=8.0)
    starts = [int(window.nonzero()[0]) for window in windows]
    assert starts == [0, 4, 12, 20]
    assert windows[0, :6].tolist() == pytest.approx([2 / 9] * 4 + [1 / 9, 0])
    assert windows[3, -1].item() == pytest.approx(1 / 11.5)


@given(st.integers(1, 6), st.integers(1, 9), st.floats(-0.4, 0.4))
def test_every_window_is_a_mean_and_no_pixel_is_left_out(
    cells: int, step: int, shift: float
) -> None:
    windows = cell_windows(cells * step, cells, origin=step * (0.5 + shift), step=float(step))
    torch.testing.assert_close(windows.sum(dim=1), torch.ones(cells))
    assert (windows.sum(dim=0) > 0).all()


@pytest.mark.parametrize("origin", [-5.0, 20.0])
def test_cells_outside_the_mask_are_refused(origin: float) -> None:
    with pytest.raises(ValueError, match="must lie within 32 pixels"):
        cell_windows(32, 4, origin=origin, step=8.0)


def test_the_plain_mean_of_the_terms_is_the_mean_inside_the_lungs() -> None:
    cells = LungCells(IMAGE, GRID)(lungs())
    seen = GlobalAveragePool()(masked_mean_terms_forward(activations(), cells))
    expected = (activations() * cells).sum(dim=(2, 3)) / cells.sum(dim=(2, 3))
    torch.testing.assert_close(seen, expected)


def test_terms_are_exactly_zero_outside_whatever_the_activations_are() -> None:
    cells = LungCells(IMAGE, GRID)(lungs())
    terms = masked_mean_terms_forward(1e6 * activations(), cells)
    assert (terms[(cells == 0).expand_as(terms)] == 0).all()


def test_what_lies_outside_does_not_change_the_mean() -> None:
    cells = LungCells(IMAGE, GRID)(lungs())
    changed = torch.where(cells == 0, 7.0, activations())
    assert torch.equal(
        masked_mean_terms_forward(changed, cells), masked_mean_terms_forward(activations(), cells)
    )


def test_a_full_mask_changes_nothing() -> None:
    full = torch.ones(2, 1, *GRID)
    torch.testing.assert_close(masked_mean_terms_forward(activations(), full), activations())


def test_an_empty_mask_gives_zeros_and_leaves_the_next_film_alone() -> None:
    cells = torch.cat([torch.zeros(1, 1, *GRID), torch.ones(1, 1, *GRID)])
    terms = masked_mean_terms_forward(activations(), cells)
    assert terms[0].abs().max() == 0
    torch.testing.assert_close(terms[1], activations()[1])


def test_weights_of_positions_average_to_one_and_do_not_depend_on_the_masks_level() -> None:
    cells = LungCells(IMAGE, GRID)(lungs())
    weights = position_weights(cells)
    torch.testing.assert_close(weights.mean(dim=(2, 3)), torch.ones(2, 1))
    torch.testing.assert_close(position_weights(0.3 * cells), weights)


def test_the_layer_is_the_hand_written_forward() -> None:
    cells = LungCells(IMAGE, GRID)
    expected = masked_mean_terms_forward(activations(), cells(lungs()))
    assert torch.equal(InsideLungs(cells)(Masked(activations(), lungs())), expected)


def test_a_logit_is_its_bias_and_the_sum_of_its_map() -> None:
    cells, head = LungCells(IMAGE, GRID)(lungs()), torch.nn.Linear(3, 4)
    terms = masked_mean_terms_forward(activations(), cells).requires_grad_()
    logits = head(GlobalAveragePool()(terms))
    positions = GRID[0] * GRID[1]
    maps = torch.einsum("kc,bcrs->bkrs", head.weight / positions, terms)
    torch.testing.assert_close(logits, head.bias + maps.sum(dim=(2, 3)))
    [gradient] = torch.autograd.grad(logits[:, 1].sum(), terms)
    constant = (head.weight[1] / positions)[None, :, None, None].expand_as(gradient)
    torch.testing.assert_close(gradient, constant)
