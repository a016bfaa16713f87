import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.loss import (
    DICE_SMOOTHING,
    binary_cross_entropy_backward,
    binary_cross_entropy_forward,
    cross_entropy_backward,
    cross_entropy_forward,
    dice_loss_backward,
    dice_loss_forward,
    group_log_odds_backward,
    group_log_odds_forward,
    mean_squared_error_backward,
    mean_squared_error_forward,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw


def cross_entropy_gradient(
    grad_out: Tensor, *, logits: Tensor, targets: Tensor, **settings: object
) -> Tensors:
    loss = cross_entropy_forward(logits, targets, **settings)
    return {"logits": grad_out * cross_entropy_backward(loss.predicted, loss.true)}


def cross_entropy_twin(
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
        backward=partial(cross_entropy_gradient, **settings),
        reference=lambda logits: functional.cross_entropy(
            logits,
            settings["targets"],
            weight=settings["class_weights"],
            label_smoothing=label_smoothing,
        ),
        twin=partial(cross_entropy_twin, **settings),
    )


def binary_gradient(grad_out: Tensor, *, logits: Tensor, **settings: Tensor) -> Tensors:
    loss = binary_cross_entropy_forward(logits, **settings)
    return {"logits": grad_out * binary_cross_entropy_backward(loss.predicted, loss.true)}


def binary_twin(
    grad_out: Tensor, *, logits: Tensor, targets: Tensor, weights: Tensor | None
) -> Tensors:
    """The chain rule through -(y log p + (1 - y) log(1 - p)) and the sigmoid, entry by entry."""
    grad = torch.zeros_like(logits)
    for film, finding in torch.cartesian_prod(*map(torch.arange, logits.shape)).tolist():
        p = 1 / (1 + math.exp(-float(logits[film, finding])))
        y = float(targets[film, finding])
        weight = 1.0 if weights is None else float(weights[film, finding])
        grad_p = weight / logits.numel() * ((1 - y) / (1 - p) - y / p)
        grad[film, finding] = grad_p * p * (1 - p)
    return {"logits": grad_out * grad}


def binary_cross_entropy(
    *, batch: int = 3, classes: int = 4, weighted: bool = True, seed: int = 0
) -> Layer:
    """Labels of 0, 1 and between; where weighted, about a quarter of them is unknown."""
    weights = draw(batch, classes, seed=seed + 2).add(0.7).clamp(min=0)
    settings = {
        "targets": draw(batch, classes, seed=seed + 1).add(0.5).clamp(0, 1),
        "weights": weights if weighted else None,
    }
    return Layer(
        inputs={"logits": 2 * draw(batch, classes, seed=seed)},
        forward=lambda logits: binary_cross_entropy_forward(logits, **settings).loss,
        backward=partial(binary_gradient, **settings),
        reference=lambda logits: functional.binary_cross_entropy_with_logits(
            logits, settings["targets"], weight=settings["weights"]
        ),
        twin=partial(binary_twin, **settings),
    )


def squared_gradient(grad_out: Tensor, *, outputs: Tensor, targets: Tensor) -> Tensors:
    loss = mean_squared_error_forward(outputs, targets)
    return {"outputs": grad_out * mean_squared_error_backward(loss.predicted, loss.true)}


def squared_twin(grad_out: Tensor, *, outputs: Tensor, targets: Tensor) -> Tensors:
    """The two terms of a^2 - 2 a y + y^2 that hold a, differentiated entry by entry."""
    pairs = zip(outputs.flatten().tolist(), targets.flatten().tolist(), strict=True)
    slopes = [(2 * a - 2 * y) / outputs.numel() for a, y in pairs]
    return {"outputs": grad_out * torch.tensor(slopes, dtype=outputs.dtype).view_as(outputs)}


def mean_squared_error(*, shape: tuple[int, ...] = (3, 4), seed: int = 0) -> Layer:
    targets = draw(*shape, seed=seed + 1)
    return Layer(
        inputs={"outputs": draw(*shape, seed=seed)},
        forward=lambda outputs: mean_squared_error_forward(outputs, targets).loss,
        backward=partial(squared_gradient, targets=targets),
        reference=lambda outputs: functional.mse_loss(outputs, targets),
        twin=partial(squared_twin, targets=targets),
    )


def dice_gradient(grad_out: Tensor, *, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensors:
    loss = dice_loss_forward(logits, targets, weights=weights)
    return {"logits": grad_out * dice_loss_backward(loss, targets, weights=weights)}


def dice_reference(logits: Tensor, *, targets: Tensor, weights: Tensor) -> Tensor:
    inside = weights * logits.sigmoid()
    both, sizes = (inside * targets).sum(1), inside.sum(1) + (weights * targets).sum(1)
    return 1 - ((2 * both + DICE_SMOOTHING) / (sizes + DICE_SMOOTHING)).mean()


def dice_twin(grad_out: Tensor, *, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensors:
    """The quotient rule, cell by cell, from sums of plain numbers."""
    grad = torch.zeros_like(logits)
    for film in range(len(logits)):
        z, m, w = (part[film].tolist() for part in (logits, targets, weights))
        p = [1 / (1 + math.exp(-value)) for value in z]
        above = sum(2 * w[i] * p[i] * m[i] for i in range(len(p))) + DICE_SMOOTHING
        below = sum(w[i] * (p[i] + m[i]) for i in range(len(p))) + DICE_SMOOTHING
        for i in range(len(p)):
            grad_p = (2 * w[i] * m[i] * below - above * w[i]) / below**2
            grad[film, i] = -grad_p * p[i] * (1 - p[i]) / len(logits)
    return {"logits": grad_out * grad}


def dice_loss(*, batch: int = 3, cells: int = 6, seed: int = 0) -> Layer:
    """Shares of 0, 1 and between; about a quarter of the cells is unknown."""
    settings = {
        "targets": draw(batch, cells, seed=seed + 1).add(0.5).clamp(0, 1),
        "weights": draw(batch, cells, seed=seed + 2).add(0.7).clamp(min=0),
    }
    return Layer(
        inputs={"logits": 2 * draw(batch, cells, seed=seed)},
        forward=lambda logits: dice_loss_forward(logits, **settings).loss,
        backward=partial(dice_gradient, **settings),
        reference=partial(dice_reference, **settings),
        twin=partial(dice_twin, **settings),
    )


def group_gradient(grad_out: Tensor, *, logits: Tensor, **settings: Any) -> Tensors:
    slopes = group_log_odds_backward(logits, **settings)
    return {"logits": torch.einsum("bg,bgc->bc", grad_out, slopes)}


def group_twin(
    grad_out: Tensor, *, logits: Tensor, is_member: Tensor, temperature: float
) -> Tensors:
    """The chain rule through log P - log(1 - P), and the softmax's Jacobian."""
    grad, classes = torch.zeros_like(logits), range(logits.shape[1])
    for film in range(len(logits)):
        powers = [math.exp(logit / temperature) for logit in logits[film].tolist()]
        p = [power / sum(powers) for power in powers]
        for group, members in enumerate(is_member.tolist()):
            inside = sum(p[k] for k in classes if members[k])
            outside = sum(p[k] for k in classes if not members[k])
            for k in classes:
                slope = sum(p[j] * ((j == k) - p[k]) for j in classes if members[j])
                slope *= (1 / inside + 1 / outside) / temperature
                grad[film, k] += grad_out[film, group] * slope
    return {"logits": grad}


def group_log_odds(*, batch: int = 3, classes: int = 4, seed: int = 0) -> Layer:
    """All groups of the first classes: one of them, two, ..., all but the last."""
    settings = {
        "is_member": torch.ones(classes - 1, classes, dtype=torch.bool).tril(),
        "temperature": 0.7,
    }

    def reference(logits: Tensor) -> Tensor:
        p = (logits / settings["temperature"]).softmax(dim=1) @ settings["is_member"].double().T
        return (p / (1 - p)).log()

    return Layer(
        inputs={"logits": draw(batch, classes, seed=seed)},
        forward=partial(group_log_odds_forward, **settings),
        backward=partial(group_gradient, **settings),
        reference=reference,
        twin=partial(group_twin, **settings),
    )


SIZES, SEEDS = st.integers(1, 5), st.integers(0, 999)
LAYERS = st.one_of(
    st.builds(
        cross_entropy,
        batch=SIZES,
        classes=st.integers(2, 5),
        label_smoothing=st.floats(0, 1),
        seed=SEEDS,
    ),
    st.builds(binary_cross_entropy, batch=SIZES, classes=SIZES, weighted=st.booleans(), seed=SEEDS),
    st.builds(dice_loss, batch=SIZES, cells=SIZES, seed=SEEDS),
    st.builds(
        mean_squared_error,
        shape=st.lists(SIZES, min_size=1, max_size=4).map(tuple),
        seed=SEEDS,
    ),
    st.builds(group_log_odds, batch=SIZES, classes=st.integers(2, 5), seed=SEEDS),
)
each_loss = pytest.mark.parametrize(
    "loss", [cross_entropy, binary_cross_entropy, dice_loss, mean_squared_error, group_log_odds]
)


@settings(max_examples=150)
@given(LAYERS)
def test_losses_equal_pytorch_forward_and_backward(layer: Layer) -> None:
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


@each_loss
def test_losses_equal_finite_differences(loss: Callable[..., Layer]) -> None:
    error = proofs.error_against_finite_differences(loss())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


@each_loss
def test_losses_equal_their_slow_twin(loss: Callable[..., Layer]) -> None:
    assert proofs.error_against_twin(loss()) < proofs.TOLERANCE


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


def test_plain_binary_cross_entropy_is_predicted_minus_true_over_the_entries() -> None:
    logits, targets = draw(3, 4, seed=0), torch.ones(3, 4).double()
    loss = binary_cross_entropy_forward(logits, targets)
    expected = (logits.sigmoid() - 1) / 12
    torch.testing.assert_close(binary_cross_entropy_backward(loss.predicted, loss.true), expected)


def test_sure_and_wrong_findings_give_finite_gradients() -> None:
    logits = torch.tensor([[1e4, -1e4, 1e4, -1e4]])
    loss = binary_cross_entropy_forward(logits, torch.tensor([[0.0, 1.0, 1.0, 0.0]]))
    assert loss.loss == 5e3
    grad_logits = binary_cross_entropy_backward(loss.predicted, loss.true)
    assert grad_logits.tolist() == [[0.25, -0.25, 0, 0]]


def test_an_unknown_label_counts_for_nothing_whatever_stands_for_it() -> None:
    logits, weights = draw(1, 2, seed=0), torch.tensor([[1.0, 0.0]]).double()
    seen = [
        binary_cross_entropy_forward(
            logits, torch.tensor([[1.0, unknown]]).double(), weights=weights
        )
        for unknown in (0.0, -1.0)
    ]
    assert seen[0].loss == seen[1].loss
    assert binary_cross_entropy_backward(seen[1].predicted, seen[1].true)[0, 1] == 0


def test_one_class_on_one_film_is_one_logistic_regression() -> None:
    loss = binary_cross_entropy_forward(torch.zeros(1, 1), torch.ones(1, 1))
    assert loss.loss.item() == pytest.approx(math.log(2))
    assert binary_cross_entropy_backward(loss.predicted, loss.true).item() == -0.5


def test_the_dice_loss_of_right_and_wrong_outlines_is_0_and_almost_1() -> None:
    outline, known = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.ones(1, 4)
    sure = 100 * (2 * outline - 1)
    right, wrong = (dice_loss_forward(z, outline, weights=known).loss for z in (sure, -sure))
    assert right.item() == pytest.approx(0)
    assert wrong.item() == pytest.approx(1 - DICE_SMOOTHING / (4 + DICE_SMOOTHING))


def test_no_outline_where_there_is_none_is_perfect_and_finite() -> None:
    nothing, known = torch.zeros(2, 3), torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    loss = dice_loss_forward(torch.full((2, 3), -1e4), nothing, weights=known)
    assert loss.loss == 0
    assert dice_loss_backward(loss, nothing, weights=known).tolist() == [[0.0] * 3] * 2


def test_a_cell_that_is_not_known_has_no_part_in_the_dice_loss() -> None:
    logits, weights = draw(1, 2, seed=0), torch.tensor([[1.0, 0.0]]).double()
    seen = [
        dice_loss_forward(logits, torch.tensor([[1.0, unknown]]).double(), weights=weights)
        for unknown in (0.0, 1.0)
    ]
    assert seen[0].loss == seen[1].loss
    shares = torch.ones(1, 2).double()
    assert dice_loss_backward(seen[1], shares, weights=weights)[0, 1] == 0


def test_a_perfect_output_has_no_squared_error() -> None:
    outputs = draw(3, 4, seed=0)
    loss = mean_squared_error_forward(outputs, outputs)
    assert loss.loss == 0
    assert not mean_squared_error_backward(loss.predicted, loss.true).any()


def test_a_group_that_is_sure_or_ruled_out_has_finite_log_odds_and_gradients() -> None:
    logits = torch.tensor([[1e4, 0, -1e4], [-1e4, 0, 1e4]])
    is_member = torch.tensor([[True, False, False], [True, True, False]])
    odds = group_log_odds_forward(logits, is_member)
    assert odds.tolist() == [[1e4, 2e4], [-2e4, -1e4]]
    slopes = group_log_odds_backward(logits, is_member)
    assert slopes[0].tolist() == [[1, -1, 0], [1, 0, -1]]
    assert slopes[1].tolist() == [[1, 0, -1], [0, 1, -1]]


def test_a_group_of_one_class_against_one_other_has_the_difference_of_their_logits() -> None:
    logits, is_member = draw(3, 2, seed=0), torch.tensor([[True, False]])
    odds = group_log_odds_forward(logits, is_member, temperature=2.0)
    torch.testing.assert_close(odds[:, 0], (logits[:, 0] - logits[:, 1]) / 2)


def test_what_all_logits_have_in_common_does_not_move_a_groups_log_odds() -> None:
    slopes = group_log_odds_backward(draw(3, 4, seed=0), torch.ones(3, 4).tril().bool())
    assert slopes.sum(dim=2).abs().max() < 1e-15


def predicted_only(grad_out: Tensor, *, logits: Tensor, **settings: object) -> Tensors:
    return {"logits": grad_out * logits.softmax(dim=1) / len(logits)}


def sign_turned(grad_out: Tensor, **given: Tensor) -> Tensors:
    return cross_entropy_gradient(-grad_out, **given)


def weights_forgotten(grad_out: Tensor, **given: Tensor) -> Tensors:
    return cross_entropy_gradient(grad_out, **given | {"class_weights": None})


def smoothing_forgotten(grad_out: Tensor, **given: Tensor) -> Tensors:
    return cross_entropy_gradient(grad_out, **given | {"label_smoothing": 0.0})


def odds_for_probability(grad_out: Tensor, *, logits: Tensor, **given: Tensor) -> Tensors:
    return binary_gradient(grad_out, logits=2 * logits, **given)


def unknown_labels_counted(grad_out: Tensor, **given: Tensor) -> Tensors:
    return binary_gradient(grad_out, **given | {"weights": None})


def divided_by_the_weights(grad_out: Tensor, *, weights: Tensor, **given: Tensor) -> Tensors:
    return binary_gradient(grad_out, weights=weights / weights.mean(), **given)


def softmax_for_sigmoid(
    grad_out: Tensor, *, logits: Tensor, targets: Tensor, weights: Tensor
) -> Tensors:
    return {"logits": grad_out * weights * (logits.softmax(dim=1) - targets) / logits.numel()}


def two_forgotten(grad_out: Tensor, *, outputs: Tensor, targets: Tensor) -> Tensors:
    return squared_gradient(grad_out / 2, outputs=outputs, targets=targets)


def averaged_over_the_batch_alone(grad_out: Tensor, *, outputs: Tensor, targets: Tensor) -> Tensors:
    return {"outputs": grad_out * 2 * (outputs - targets) / len(outputs)}


def overlap_alone(grad_out: Tensor, *, logits: Tensor, **given: Tensor) -> Tensors:
    """The numerator's slope, as if the area did not change with the prediction."""
    loss, targets = dice_loss_forward(logits, **given), given["targets"]
    both = loss._replace(dice=torch.zeros_like(loss.dice))
    return {"logits": grad_out * dice_loss_backward(both, targets, weights=given["weights"])}


def slope_of_the_sigmoid_forgotten(grad_out: Tensor, *, logits: Tensor, **given: Tensor) -> Tensors:
    p = logits.sigmoid()
    return {"logits": dice_gradient(grad_out, logits=logits, **given)["logits"] / (p * (1 - p))}


def unknown_cells_counted(grad_out: Tensor, *, weights: Tensor, **given: Tensor) -> Tensors:
    return dice_gradient(grad_out, weights=torch.ones_like(weights), **given)


def summed_over_films(grad_out: Tensor, *, logits: Tensor, **given: Tensor) -> Tensors:
    return dice_gradient(len(logits) * grad_out, logits=logits, **given)


def of_the_probability(grad_out: Tensor, *, logits: Tensor, **given: Any) -> Tensors:
    """The slope of P, not of its log-odds."""
    p = (logits / given["temperature"]).softmax(dim=1) @ given["is_member"].double().T
    return group_gradient(grad_out * p * (1 - p), logits=logits, **given)


def others_left_out(grad_out: Tensor, *, logits: Tensor, **given: Any) -> Tensors:
    slopes = group_log_odds_backward(logits, **given) * given["is_member"]
    return {"logits": torch.einsum("bg,bgc->bc", grad_out, slopes)}


def temperature_forgotten(grad_out: Tensor, **given: Any) -> Tensors:
    return group_gradient(grad_out, **given | {"temperature": 1.0})


PLANTED = {
    group_log_odds: (of_the_probability, others_left_out, temperature_forgotten),
    dice_loss: (
        overlap_alone,
        slope_of_the_sigmoid_forgotten,
        unknown_cells_counted,
        summed_over_films,
    ),
    cross_entropy: (predicted_only, sign_turned, weights_forgotten, smoothing_forgotten),
    binary_cross_entropy: (
        odds_for_probability,
        unknown_labels_counted,
        divided_by_the_weights,
        softmax_for_sigmoid,
    ),
    mean_squared_error: (two_forgotten, averaged_over_the_batch_alone),
}


@pytest.mark.parametrize(
    ("loss", "wrong"), [(loss, wrong) for loss, errors in PLANTED.items() for wrong in errors]
)
def test_every_proof_catches_a_planted_error(
    loss: Callable[..., Layer], wrong: Callable[..., Tensors]
) -> None:
    layer = loss()
    known = layer.backward.keywords
    assert proofs.least_error_seen(layer, partial(wrong, **known)) > proofs.CAUGHT
