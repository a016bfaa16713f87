"""Two films become one, and the loss is that of both."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from training.step.mixup import Mixture, mixture
from training.step.objective import Multiclass

PIXELS = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 2, 0, 1, 2])


def mixed(alpha: float = 1.0, step: int = 0) -> Mixture:
    return mixture(PIXELS, TARGETS, alpha=alpha, seed=0, step=step)


def test_each_film_is_mixed_with_a_film_of_its_partner_class() -> None:
    films = mixed()
    partners = (films.pixels - films.share * PIXELS) / (1 - films.share)
    distances = (partners[:, None] - PIXELS[None]).abs().amax(dim=(2, 3, 4))
    assert distances.amin(dim=1).max() < 1e-4
    assert torch.equal(TARGETS[distances.argmin(dim=1)], films.partner_targets)


def test_the_loss_is_the_mix_computed_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    films = Mixture(PIXELS[:1], torch.tensor([0]), torch.tensor([2]), share=0.25)
    normaliser = math.log(math.e + 1 + 1 / math.e)
    expected = 0.25 * (normaliser - 1) + 0.75 * (normaliser + 1)
    assert films.total(Multiclass(torch.ones(3)), logits).item() == pytest.approx(expected)


def test_slices_add_up_to_the_whole() -> None:
    loss = Multiclass(torch.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1)
    films, logits = mixed(), torch.randn(6, 3)
    places = (range(4), range(4, 4), range(4, 6))
    total = sum(films.slice(own).total(loss, logits[own.start : own.stop]) for own in places)
    torch.testing.assert_close(total, films.total(loss, logits))


def test_total_by_weight_is_the_weighted_mean_of_pytorch() -> None:
    weights, logits = torch.tensor([1.0, 2.0, 0.5]), torch.randn(6, 3)
    loss = Multiclass(weights, label_smoothing=0.1)
    expected = cross_entropy(logits, TARGETS, weight=weights, label_smoothing=0.1)
    torch.testing.assert_close(loss.total(logits, TARGETS) / loss.weight(TARGETS), expected)


def test_the_draw_depends_on_the_step_alone() -> None:
    assert torch.equal(mixed(step=3).pixels, mixed(step=3).pixels)
    assert mixed(step=3).share != mixed(step=4).share


def test_alpha_zero_mixes_nothing() -> None:
    assert torch.equal(mixed(alpha=0.0).pixels, PIXELS)
    assert mixed(alpha=0.0).share == 1
