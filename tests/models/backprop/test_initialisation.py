from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.backprop.initialisation import (
    fans,
    he_normal_,
    he_std,
    he_uniform_,
    xavier_normal_,
    xavier_std,
    xavier_uniform_,
)
from tests.models.backprop.proofs import draw

SIZES = st.integers(1, 5)
SHAPES = st.one_of(st.tuples(SIZES, SIZES), st.tuples(SIZES, SIZES, SIZES, SIZES))
Fill = Callable[..., Tensor]


def same_draws(ours: Fill, theirs: Fill, shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    """Return whether both fill a weight with the same bits from the same seed."""
    filled = []
    for fill in (ours, theirs):
        weight = torch.empty(shape, dtype=dtype)
        filled.append(fill(weight, generator=torch.Generator().manual_seed(7)))
        assert filled[-1] is weight
    return torch.equal(*filled)


DTYPES = st.sampled_from([torch.float32, torch.float64])


@given(shape=SHAPES, dtype=DTYPES)
def test_xavier_equals_pytorch_to_the_last_bit(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    assert same_draws(xavier_uniform_, nn.init.xavier_uniform_, shape, dtype)
    assert same_draws(xavier_normal_, nn.init.xavier_normal_, shape, dtype)


@given(shape=SHAPES, dtype=DTYPES, mode=st.sampled_from(["fan_in", "fan_out"]))
def test_he_equals_pytorch_to_the_last_bit(
    shape: tuple[int, ...], dtype: torch.dtype, mode: str
) -> None:
    theirs = {"mode": mode, "nonlinearity": "relu"}
    uniform = partial(nn.init.kaiming_uniform_, **theirs)
    normal = partial(nn.init.kaiming_normal_, **theirs)
    assert same_draws(partial(he_uniform_, mode=mode), uniform, shape, dtype)
    assert same_draws(partial(he_normal_, mode=mode), normal, shape, dtype)


@given(shape=SHAPES, dtype=DTYPES, slope=st.floats(-2, 2))
def test_he_before_a_leaky_relu_equals_pytorch_to_the_last_bit(
    shape: tuple[int, ...], dtype: torch.dtype, slope: float
) -> None:
    ours = partial(he_normal_, negative_slope=slope)
    assert same_draws(ours, partial(nn.init.kaiming_normal_, a=slope), shape, dtype)


def test_pytorchs_own_generator_is_used_where_none_is_given() -> None:
    torch.manual_seed(1)
    expected = nn.init.kaiming_normal_(torch.empty(3, 4))
    torch.manual_seed(1)
    assert torch.equal(he_normal_(torch.empty(3, 4)), expected)


def test_fans_count_the_products_that_meet_in_one_entry() -> None:
    assert fans((5, 2, 3, 4)) == (2 * 12, 5 * 12)
    assert fans((5, 2)) == (2, 5)


def test_a_parameter_is_filled_in_place_outside_autograd() -> None:
    parameter = nn.Parameter(torch.empty(4, 3, 2, 2))
    assert he_normal_(parameter, mode="fan_out") is parameter
    assert parameter.requires_grad
    assert parameter.is_leaf


def test_he_keeps_the_signal_through_twenty_relu_layers() -> None:
    generator, width = torch.Generator().manual_seed(0), 256
    signal = draw(64, width, seed=0)
    for _ in range(20):
        weight = he_normal_(signal.new_empty(width, width), generator=generator)
        signal = (signal @ weight.T).relu()
    assert 0.2 < signal.square().mean() < 5


def test_the_variances_are_those_of_the_papers() -> None:
    shape = (6, 2, 3, 5)
    assert xavier_std(shape) ** 2 * (2 * 15 + 6 * 15) / 2 == pytest.approx(1)
    assert he_std(shape) ** 2 * (2 * 15) / 2 == pytest.approx(1)
    assert he_std(shape, mode="fan_out") ** 2 * (6 * 15) / 2 == pytest.approx(1)
    assert he_std(shape, negative_slope=1.0) ** 2 * (2 * 15) == pytest.approx(1)


def test_a_shape_without_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape must have at least 2 axes .* not \(3,\)"):
        fans((3,))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mode must be one of fan_in, fan_out, not 'fan_up'"):
        he_normal_(torch.empty(2, 2), mode="fan_up")


PLANTED: dict[str, tuple[Fill, Fill]] = {
    "fans exchanged": (partial(he_normal_, mode="fan_out"), nn.init.kaiming_normal_),
    "the ReLU forgotten": (partial(he_uniform_, negative_slope=1.0), nn.init.kaiming_uniform_),
    "He's width for Xavier's": (he_normal_, nn.init.xavier_normal_),
    "normal for uniform": (xavier_normal_, nn.init.xavier_uniform_),
}


@pytest.mark.parametrize(("wrong", "theirs"), PLANTED.values(), ids=PLANTED)
def test_the_comparison_catches_a_planted_error(wrong: Fill, theirs: Fill) -> None:
    assert not same_draws(wrong, theirs, (4, 3, 2, 2), torch.float64)
