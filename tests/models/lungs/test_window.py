"""A network behind the window on the lungs: what reaches it, and that its gradients are right."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.chest_cnn import LocalChestCNN
from models.lungs.window import LungWindow, window_of
from models.network import Masked
from models.tape.network import forward_with_tape
from tests.models.backprop.errors import relative_error
from tests.models.tape.test_network import one_per_cent_too_large, plant
from tests.support.lung_networks import (
    CROP,
    NETWORKS,
    films,
    lung_network,
    outlined_films,
)
from tests.support.small_networks import small_network
from training.step.gradients import by_autograd, by_hand
from training.step.unfreezing import train_from

pytestmark = pytest.mark.slow

MODES = pytest.mark.parametrize("training", [True, False], ids=["training", "running"])
NAMES = pytest.mark.parametrize("name", NETWORKS)
FILMS = pytest.mark.parametrize("drawn", [films, outlined_films])
TARGETS = torch.tensor([0, 3, 1])


@MODES
@NAMES
@FILMS
@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_gradient_by_hand_equals_autograd(
    training: bool, name: str, drawn: Callable[[int], Tensor], checkpointing: bool
) -> None:
    network = NETWORKS[name](training=training)
    train_from(network, None)
    network.train(training)
    seen = by_hand(copy.deepcopy(network), drawn(3), TARGETS, checkpointing=checkpointing)
    expected = by_autograd(copy.deepcopy(network), drawn(3), TARGETS)
    assert seen.gradients.keys() == expected.gradients.keys()
    assert not any(name.startswith("normalise") for name in seen.gradients)
    assert relative_error(seen.gradients, expected.gradients) < 1e-9
    assert torch.isclose(seen.loss, expected.loss, rtol=1e-12)


@pytest.mark.parametrize("name", ["chest_cnn local", "vgg16 conv4_3"])
def test_an_error_planted_in_the_masking_is_seen(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, "lung_layers", "masked_mean_terms_backward", one_per_cent_too_large)
    network = NETWORKS[name](training=True)
    seen = by_hand(copy.deepcopy(network), outlined_films(3), TARGETS)
    expected = by_autograd(network, outlined_films(3), TARGETS)
    assert relative_error(seen.gradients, expected.gradients) > 1e-3


def test_the_window_never_trains() -> None:
    network = lung_network(training=True)
    train_from(network, None)
    window = window_of(network)
    assert window is not None
    assert not window.training
    assert not window.field.training
    assert not any(parameter.requires_grad for parameter in window.parameters())


def test_the_tape_begins_after_the_window() -> None:
    network = lung_network()
    train_from(network, None)
    _, tape = forward_with_tape(network, films(1))
    assert tape.chain.steps[0][0] == "stem.conv"


def test_an_outline_found_before_takes_the_place_of_the_lung_field() -> None:
    window = window_of(lung_network())
    assert window is not None
    given, found = window.view(outlined_films(2)), window.view(films(2))
    assert given.pixels.shape == found.pixels.shape == (2, 1, *CROP)
    assert (given.region - found.region).abs().max() < 0.1
    empty = torch.cat([films(1), torch.zeros_like(films(1))], dim=1)
    assert window.view(empty).region.tolist() == [[0, 0, 1, 1]]


def test_without_a_window_there_is_none() -> None:
    assert window_of(small_network("chest_cnn")) is None


@NAMES
def test_without_lungs_the_logits_are_the_biases(name: str) -> None:
    network = NETWORKS[name]()
    empty = torch.cat([films(2), torch.zeros_like(films(2))], dim=1)
    logits = network(empty)
    assert torch.equal(logits, network.head.bias.expand_as(logits))


@NAMES
def test_the_logit_is_the_bias_plus_one_term_for_each_position_inside(name: str) -> None:
    network = NETWORKS[name]()
    terms = network.features(films(2))
    weights = network.head.weight / terms[0, 0].numel()
    by_position = torch.einsum("kc,bcrs->bkrs", weights, terms)
    logits = network(films(2))
    torch.testing.assert_close(by_position.sum(dim=(2, 3)) + network.head.bias, logits)
    lungs = network.normalise(films(2)).lungs
    outside = (network.inside.cells(lungs) == 0).expand_as(by_position)
    assert outside.any()
    assert (by_position[outside] == 0).all()


def test_a_position_depends_on_the_patch_around_it_alone() -> None:
    """Mask and standardisation held, a far change moves a term by exactly nothing."""
    network = lung_network(local=True)
    seen = network.normalise(films(1))
    assert isinstance(seen, Masked)
    changed = seen.values.clone()
    changed[..., :20, :] += 1
    before, after = (
        network.seam_after(network.halfway_from(Masked(values, seen.lungs))).activations
        for values in (seen.values, changed)
    )
    reach = 29  # half of a receptive field of 59 pixels
    near = (20 + reach) // 8 + 1
    assert torch.equal(before[..., near:, :], after[..., near:, :])
    assert not torch.equal(before[..., :near, :], after[..., :near, :])


def test_a_wide_network_is_not_local() -> None:
    network = lung_network()
    seen = network.normalise(films(1))
    changed = seen.values.clone()
    changed[..., :20, :] += 1
    before, after = (
        network.seam_after(network.halfway_from(Masked(values, seen.lungs))).activations
        for values in (seen.values, changed)
    )
    assert not torch.equal(before[..., 4:, :], after[..., 4:, :])


def test_lung_window_is_the_first_layer() -> None:
    assert isinstance(next(lung_network().normalise.children()), LungWindow)


def test_the_local_network_is_small_and_its_receptive_field_is_as_said() -> None:
    network = LocalChestCNN(classes=5, mean=0.5, std=0.25).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) < 0.6e6
    pixels = torch.rand(1, 1, 224, 224, requires_grad=True)
    features = network.features(pixels)
    assert features.shape[2:] == LocalChestCNN.grid((224, 224)) == (28, 28)
    (gradient,) = torch.autograd.grad(features[0, :, 14, 14].sum(), pixels)
    rows, columns = gradient[0, 0].nonzero().T
    assert int(rows.max() - rows.min()) + 1 <= 59
    assert int(columns.max() - columns.min()) + 1 <= 59
    assert int(rows.max() - rows.min()) + 1 >= 50


@NAMES
def test_a_marker_beyond_the_lungs_box_changes_no_logit(name: str) -> None:
    network, film = NETWORKS[name](), films(1)
    marked = film.clone()
    marked[..., 2:14, 2:14] = 1
    top = float(network.normalise[0].view(film).region[0, 0])
    assert top * film.shape[2] > 18  # it lies above the box, by more than the filter of the crop
    with torch.no_grad():
        assert torch.equal(network(marked), network(film))


@NAMES
def test_a_marker_beside_the_lungs_changes_logits_by_next_to_nothing(name: str) -> None:
    network, film = NETWORKS[name](), films(1)
    view = network.normalise[0].view(film)
    top, left, bottom, right = view.region[0].tolist()
    row, column = round((top + 0.01) * film.shape[2]), round((left + 0.01) * film.shape[3])
    beside, inside = film.clone(), film.clone()
    beside[..., row : row + 4, column : column + 4] = 1
    middle = (
        round((top + bottom) / 2 * film.shape[2]),
        round((0.75 * left + 0.25 * right) * film.shape[3]),
    )
    inside[..., middle[0] : middle[0] + 4, middle[1] : middle[1] + 4] = 1
    with torch.no_grad():
        before, moved, changed = network(film), network(beside), network(inside)
    assert (moved - before).abs().max() < 0.02 * (changed - before).abs().max()


def test_a_film_looks_the_same_under_autocast_as_in_the_exported_file() -> None:
    window = window_of(lung_network().float())
    assert window is not None
    plain = window(films(2).float())
    with torch.autocast("cpu", torch.bfloat16):
        cast = window(films(2).float())
    assert isinstance(plain, Masked)
    assert isinstance(cast, Masked)
    torch.testing.assert_close(cast.values, plain.values)
    torch.testing.assert_close(cast.lungs, plain.lungs)
