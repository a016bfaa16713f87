"""What a task asks: the same loss twice, nothing of what nobody knows, odds as films have them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from training.step.objective import (
    Distillation,
    Multiclass,
    Multilabel,
    Objective,
    Segmentation,
    objective_for,
    positive_weights,
)
from training.training_config import ShuffledConfig, TrainingConfig

NAN = float("nan")
LOGITS = torch.tensor([[0.3, -2.0, 1.5], [-0.4, 0.9, 4.0]], dtype=torch.float64)
FINDINGS = torch.tensor([[1.0, NAN, 0.0], [0.0, 1.0, NAN]])
MULTILABEL = Multilabel(torch.tensor([3.0, 0.5, 1.0]), label_smoothing=0.1)
BALANCED = TrainingConfig(epochs=1)
TAUGHT = torch.tensor([[2.0, 0.2, 0.0, 0.8], [0.0, 0.5, 0.3, 0.2]])
"""Class numbers 2 and 0, and a teacher's probabilities."""


def gradient(objective: Objective, targets: Tensor) -> Tensor:
    """Return the derivative of the loss by the logits, by autograd."""
    leaf = LOGITS.clone().requires_grad_()
    return torch.autograd.grad(objective.loss(leaf, targets), leaf)[0]


@pytest.mark.parametrize(
    ("objective", "targets"),
    [
        (Multiclass(torch.tensor([3.0, 0.5, 1.0]), label_smoothing=0.1), torch.tensor([2, 0])),
        (Distillation(torch.tensor([3.0, 0.5, 1.0]), 0.1, 0.7, 3.0), TAUGHT),
        (MULTILABEL, FINDINGS),
        (MULTILABEL, torch.full((2, 3), 0.3)),
        (MULTILABEL, torch.full((2, 3), NAN)),
    ],
)
def test_loss_and_error_by_hand_are_autograds(objective: Objective, targets: Tensor) -> None:
    loss, grad_logits = objective.loss_by_hand(LOGITS, targets)
    torch.testing.assert_close(loss, objective.loss(LOGITS, targets))
    torch.testing.assert_close(grad_logits, gradient(objective, targets))


SHARES = torch.tensor([[[[1.0, 0.5], [NAN, 0.0]]], [[[0.0, 0.0], [0.0, 1.0]]]]).double()
CELLS = torch.tensor([[[[2.0, -0.5], [1.0, 0.3]]], [[[-1.0, 0.0], [3.0, 0.2]]]]).double()


@pytest.mark.parametrize("targets", [SHARES, torch.full_like(SHARES, NAN)])
def test_the_loss_of_outlines_by_hand_is_autograds(targets: Tensor) -> None:
    leaf = CELLS.clone().requires_grad_()
    expected = Segmentation().loss(leaf, targets)
    loss, grad_logits = Segmentation().loss_by_hand(CELLS, targets)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(grad_logits, torch.autograd.grad(expected, leaf)[0])
    assert not grad_logits[targets.isnan()].any()


def test_a_film_counts_alike_however_much_of_it_is_known() -> None:
    parts = [Segmentation().loss(CELLS[[k]], SHARES[[k]]) for k in range(2)]
    torch.testing.assert_close(sum(parts) / 2, Segmentation().loss(CELLS, SHARES))
    without = torch.stack([SHARES[1], SHARES[1].where(SHARES[1] > 0, NAN)])
    assert Segmentation().weight(without) == 2


def test_validation_of_outlines_counts_known_cells_alone() -> None:
    found = Segmentation().validation(CELLS.float(), SHARES.float().numpy())
    # The first film: of cells 1, 2 (half a cell is no lung) and 4 the network calls 1 and 4 lung.
    assert found["val_dice"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found["val_loss"] == pytest.approx(Segmentation().loss(CELLS, SHARES).item(), rel=1e-5)


def test_the_objective_follows_from_the_targets() -> None:
    assert objective_for(SHARES.numpy(), BALANCED).score == "val_dice"
    assert objective_for([0, 1], BALANCED).score == "val_macro_auroc"


def test_what_nobody_knows_has_exactly_no_gradient() -> None:
    for seen in (
        gradient(MULTILABEL, FINDINGS),
        MULTILABEL.loss_by_hand(LOGITS, FINDINGS).grad_logits,
    ):
        assert torch.equal(seen == 0, FINDINGS.isnan())


def test_a_known_finding_that_becomes_unknown_changes_no_other_gradient() -> None:
    known = FINDINGS.nan_to_num(1.0)
    fewer, all_of_them = gradient(MULTILABEL, FINDINGS), gradient(MULTILABEL, known)
    assert torch.equal(fewer[~FINDINGS.isnan()], all_of_them[~FINDINGS.isnan()])


def test_a_batchs_loss_is_the_mean_of_its_parts_whatever_they_lack() -> None:
    parts = [MULTILABEL.loss(LOGITS[[k]], FINDINGS[[k]]) for k in range(2)]
    torch.testing.assert_close(sum(parts) / 2, MULTILABEL.loss(LOGITS, FINDINGS))


def test_known_findings_have_pytorchs_loss_with_positive_weights() -> None:
    targets = FINDINGS.nan_to_num(1.0).double()
    plain = Multilabel(MULTILABEL.positive_weights)
    expected = binary_cross_entropy_with_logits(
        LOGITS, targets, pos_weight=MULTILABEL.positive_weights.double()
    )
    torch.testing.assert_close(plain.loss(LOGITS, targets), expected)


def test_balanced_positive_weights_count_only_known_films() -> None:
    findings = np.array([[1, 0], [0, NAN], [0, 1], [0, 1], [NAN, 1]], np.float32)
    assert positive_weights(findings, BALANCED).tolist() == pytest.approx([3, 1 / 3])
    unweighted = TrainingConfig(epochs=1, sampling=ShuffledConfig(class_weights="none"))
    assert positive_weights(findings, unweighted).tolist() == [1, 1]


def test_a_finding_on_every_film_cannot_be_balanced() -> None:
    with pytest.raises(ValueError, match="each finding must be 1 and 0 on films"):
        positive_weights(np.array([[1, 0], [1, 1]], np.float32), BALANCED)


def test_the_exported_head_says_the_share_of_films_that_have_the_finding() -> None:
    findings = np.array([[1], [0], [0], [0], [0], [NAN]], np.float32)
    objective = objective_for(findings, BALANCED)
    head = nn.Linear(1, 1)  # of features that say nothing, so that only the bias learns
    optimiser = torch.optim.LBFGS(head.parameters(), line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimiser.zero_grad()
        loss = objective.loss(head(torch.zeros(6, 1)), torch.from_numpy(findings))
        loss.backward()
        return loss

    for _ in range(5):
        optimiser.step(step)
    assert head.bias.sigmoid().item() == pytest.approx(0.5, abs=1e-3)
    exported = objective.exported_head(head)
    assert exported.bias.sigmoid().item() == pytest.approx(0.2, abs=1e-3)
    assert torch.equal(exported.weight, head.weight)


def test_validation_of_findings_passes_over_unknown_ones() -> None:
    logits = torch.tensor([[2.0, 0.0], [-1.0, 0.0], [9.0, 5.0]])
    findings = np.array([[1, NAN], [0, NAN], [NAN, 1]], np.float32)
    found = MULTILABEL.validation(logits, findings)
    losses = [np.log1p(np.exp(-2)), np.log1p(np.exp(-1)), np.log1p(np.exp(-5))]
    assert found == {"val_loss": pytest.approx(np.mean(losses)), "val_macro_auroc": 1.0}


def test_a_teacher_that_is_not_softened_teaches_as_a_label_of_shares_does() -> None:
    objective = Distillation(share=1.0, temperature=1.0)
    shares = TAUGHT[:, 1:].double()
    expected = -(shares * LOGITS.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(objective.loss(LOGITS, TAUGHT), expected)


def test_who_says_what_the_teacher_says_has_nothing_to_learn_from_it() -> None:
    teacher = LOGITS.softmax(dim=1)
    targets = torch.cat([torch.tensor([[2.0], [0.0]]), teacher], dim=1)
    assert gradient(Distillation(share=1.0, temperature=4.0), targets).abs().max() < 1e-12


def test_a_teacher_has_its_share_of_the_loss() -> None:
    alone = Multiclass().loss(LOGITS, torch.tensor([2, 0]))
    whole = Distillation(share=1.0).loss(LOGITS, TAUGHT)
    torch.testing.assert_close(
        Distillation(share=0.25).loss(LOGITS, TAUGHT), 0.75 * alone + 0.25 * whole
    )
