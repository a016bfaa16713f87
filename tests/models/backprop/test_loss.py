import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.loss import cross_entropy_backward, cross_entropy_forward
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw


def gradient(grad_out: Tensor, *, logits: Tensor, targets: Tensor, **settings: object) -> Tensors:
    loss = cross_entropy_forward(logits, targets, **settings)
    return {"logits": grad_out * cross_entropy_backward(loss.predicted, loss.true)}


def twin(
    grad_out: Tensor,
    *,
    logits: Tensor,
    targets: Tensor,
    class_weights: Tensor,
    label_smoothing: float,
) -> Tensors:
    """The chain rule through each -log p, with the softmax's Jacobian p_j * (1[j = k] - p_k)."""
    grad, classes = torch.zeros_like(logits), range(logits.shape[1])
    total = sum(float(class_weights[target]) for target in targets.tolist())
    for film, target in enumerate(targets.tolist()):
        powers = [math.exp(logit) for logit in logits[film].tolist()]
        p = [power / sum(powers) for power in powers]
        for j in classes:
            true = (1 - label_smoothing) * (j == target) + label_smoothing / len(classes)
            grad_p = -float(class_weights[j]) * true / total / p[j]
            for k in classes:
                grad[film, k] += grad_p * p[j] * ((j == k) - p[k])
    return {"logits": grad_out * grad}


def cross_entropy(
    *, batch: int = 3, classes: int = 4, label_smoothing: float = 0.1, seed: int = 0
) -> Layer:
    generator = torch.Generator().manual_seed(seed)
    settings = {
        "targets": torch.randint(0, classes, (batch,), generator=generator),
        "class_weights": draw(classes, seed=seed + 1).abs() + 0.1,
        "label_smoothing": label_smoothing,
    }
    return Layer(
        inputs={"logits": 2 * draw(batch, classes, seed=seed)},
        forward=lambda logits: cross_entropy_forward(logits, **settings).loss,
        backward=partial(gradient, **settings),
        reference=lambda logits: functional.cross_entropy(
            logits,
            settings["targets"],
            weight=settings["class_weights"],
            label_smoothing=label_smoothing,
        ),
        twin=partial(twin, **settings),
    )


LAYERS = st.builds(
    cross_entropy,
    batch=st.integers(1, 5),
    classes=st.integers(2, 5),
    label_smoothing=st.floats(0, 1),
    seed=st.integers(0, 999),
)


@given(LAYERS)
def test_cross_entropy_equals_pytorch_forward_and_backward(layer: Layer) -> None:
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_cross_entropy_equals_finite_differences() -> None:
    error = proofs.error_against_finite_differences(cross_entropy())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_cross_entropy_equals_its_slow_twin() -> None:
    assert proofs.error_against_twin(cross_entropy()) < proofs.TOLERANCE


def test_plain_cross_entropy_is_predicted_minus_true_over_the_batch() -> None:
    logits, targets = draw(3, 4, seed=0), torch.tensor([2, 0, 3])
    loss = cross_entropy_forward(logits, targets)
    expected = (logits.softmax(dim=1) - functional.one_hot(targets, 4)) / 3
    torch.testing.assert_close(cross_entropy_backward(loss.predicted, loss.true), expected)


def test_one_class_has_nothing_to_learn() -> None:
    loss = cross_entropy_forward(draw(3, 1, seed=0), torch.zeros(3, dtype=torch.int64))
    assert loss.loss == 0
    assert cross_entropy_backward(loss.predicted, loss.true).tolist() == [[0], [0], [0]]


def test_sure_and_wrong_logits_give_finite_gradients() -> None:
    loss = cross_entropy_forward(torch.tensor([[1e4, -1e4]]), torch.tensor([1]))
    assert loss.loss == 2e4
    assert cross_entropy_backward(loss.predicted, loss.true).tolist() == [[1, -1]]


@pytest.mark.parametrize("smoothing", [-0.1, 1.5])
def test_smoothing_outside_0_to_1_is_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\]"):
        cross_entropy_forward(draw(2, 2, seed=0), torch.tensor([0, 1]), label_smoothing=smoothing)


def predicted_only(grad_out: Tensor, *, logits: Tensor, **settings: object) -> Tensors:
    return {"logits": grad_out * logits.softmax(dim=1) / len(logits)}


def sign_turned(grad_out: Tensor, **given: Tensor) -> Tensors:
    return gradient(-grad_out, **given)


def weights_forgotten(grad_out: Tensor, **given: Tensor) -> Tensors:
    return gradient(grad_out, **given | {"class_weights": None})


def smoothing_forgotten(grad_out: Tensor, **given: Tensor) -> Tensors:
    return gradient(grad_out, **given | {"label_smoothing": 0.0})


PLANTED = (predicted_only, sign_turned, weights_forgotten, smoothing_forgotten)


@pytest.mark.parametrize("wrong", PLANTED)
def test_every_proof_catches_a_planted_error(wrong: Callable[..., Tensors]) -> None:
    layer = cross_entropy()
    settings = layer.backward.keywords
    assert proofs.least_error_seen(layer, partial(wrong, **settings)) > proofs.CAUGHT
