from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.dropout import dropout_backward, dropout_forward, dropout_mask
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw


def gradient(grad_out: Tensor, *, x: Tensor, mask: Tensor, rate: float) -> Tensors:
    return {"x": dropout_backward(grad_out, mask, rate=rate)}


def torch_dropout(x: Tensor, *, rate: float, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return functional.dropout(x, rate)


def twin(grad_out: Tensor, *, x: Tensor, mask: Tensor, rate: float) -> Tensors:
    """What is kept goes through 1 / (1 - rate), one number at a time."""
    pairs = zip(grad_out.flatten().tolist(), mask.flatten().tolist(), strict=True)
    grad_x = [error / (1 - rate) if kept else 0.0 for error, kept in pairs]
    return {"x": torch.tensor(grad_x, dtype=x.dtype).view_as(x)}


def dropout(*, shape: tuple[int, ...] = (2, 3, 4), rate: float = 0.4, seed: int = 0) -> Layer:
    x = draw(*shape, seed=seed)
    mask = dropout_mask(x, rate=rate, generator=torch.Generator().manual_seed(seed))
    return Layer(
        inputs={"x": x},
        forward=partial(dropout_forward, mask=mask, rate=rate),
        backward=partial(gradient, mask=mask, rate=rate),
        reference=partial(torch_dropout, rate=rate, seed=seed),
        twin=partial(twin, mask=mask, rate=rate),
    )


SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
LAYERS = st.builds(dropout, shape=SHAPES, rate=st.floats(0, 0.99), seed=st.integers(0, 999))


@given(LAYERS)
def test_dropout_equals_pytorch_on_the_same_seed_forward_and_backward(layer: Layer) -> None:
    assert torch.equal(layer.forward(**layer.inputs), layer.reference(**layer.inputs))
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_dropout_equals_finite_differences() -> None:
    error = proofs.error_against_finite_differences(dropout())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_dropout_equals_its_slow_twin() -> None:
    assert proofs.error_against_twin(dropout()) < proofs.TOLERANCE


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_the_mask_draws_from_pytorchs_own_generator_as_often_as_pytorch(rate: float) -> None:
    x = draw(50, 7, seed=0).float().T
    torch.manual_seed(1)
    by_torch = functional.dropout(x, rate), torch.rand(1)
    torch.manual_seed(1)
    by_hand = dropout_forward(x, dropout_mask(x, rate=rate), rate=rate), torch.rand(1)
    assert all(map(torch.equal, by_hand, by_torch))


def test_a_mask_of_zeros_and_ones_does_what_one_of_truths_does() -> None:
    x, mask = draw(4, seed=0), torch.tensor([True, False, False, True])
    out = dropout_forward(x, mask, rate=0.1)
    assert torch.equal(dropout_forward(x, mask.long(), rate=0.1), out)
    assert torch.equal(dropout_forward(x, mask.double(), rate=0.1), out)


def test_dropout_keeps_the_average() -> None:
    x = torch.ones(100_000)
    mask = dropout_mask(x, rate=0.25, generator=torch.Generator().manual_seed(0))
    assert mask.double().mean().item() == pytest.approx(0.75, abs=0.01)
    assert dropout_forward(x, mask, rate=0.25).mean().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(rate: float) -> None:
    x, mask = draw(2, seed=0), torch.ones(2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\), not"):
        dropout_mask(x, rate=rate)
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\), not"):
        dropout_forward(x, mask, rate=rate)


PLANTED = {
    "the mask forgotten": lambda grad_out, mask, rate: grad_out / (1 - rate),
    "the scale forgotten": lambda grad_out, mask, rate: grad_out * mask,
    "scaled by the rate": lambda grad_out, mask, rate: grad_out * mask / rate,
    "the dropped kept": lambda grad_out, mask, rate: grad_out * ~mask / (1 - rate),
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_every_proof_catches_a_planted_error(planted: partial[Tensor]) -> None:
    right = dropout()

    def wrong(grad_out: Tensor, x: Tensor) -> Tensors:
        return {"x": planted(grad_out, **right.backward.keywords)}

    assert proofs.least_error_seen(right, wrong) > proofs.CAUGHT
