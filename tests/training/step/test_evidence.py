"""The penalty on misplaced evidence: its value, its place, and its gradients by hand."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.backprop.linear import pooled_evidence_forward
from models.backprop.loss import misplaced_evidence_forward
from models.lungs.cells import LungCells
from models.lungs.region import cropped
from models.network import Network
from tests.models.backprop.errors import relative_error
from tests.support import lung_networks
from tests.support.small_networks import noise, small_network
from training.data.dataset import FilmDataset
from training.fitting.feature_cache import feature_cache
from training.fitting.loop import TrainingRun
from training.step.evidence import BarredCells, EvidencePenalty, WithMaps
from training.step.gradients import LossAndGradients, by_hand, by_hand_with_evidence
from training.step.objective import Multiclass
from training.step.unfreezing import train_from
from training.training_config import TrainingConfig
from xai.explained_network import grad_cam
from xai.grad_cam import centred_head

TARGETS = torch.tensor([0, 3, 1])
OBJECTIVE = Multiclass(torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=torch.float64), 0.1)
NETWORKS: dict[str, Callable[[], Network]] = {
    "chest_cnn local, lungs": lambda: lung_networks.lung_network(local=True, training=True),
    "vgg16 conv4_3, lungs": lambda: lung_networks.lung_vgg16("conv4_3", training=True),
    "chest_cnn": lambda: small_network("chest_cnn", training=True),
    "vgg16": lambda: small_network("vgg16", training=True),
}


def barred_films(name: str) -> Tensor:
    """Return three films; on the first, evidence is barred everywhere, on the last in one half."""
    films = lung_networks.outlined_films(3) if "lungs" in name else noise(3)[0]
    plane = torch.zeros_like(films[:, :1])
    plane[0] = 1
    plane[2, :, : films.shape[2] // 2] = 1
    return torch.cat([films, plane], dim=1)


def penalty_of(network: Network) -> EvidencePenalty:
    return EvidencePenalty(3.0, BarredCells.of(network))


def by_autograd(network: Network, films: Tensor) -> LossAndGradients:
    penalty = penalty_of(network)
    pixels, barred = penalty.split(films)
    logits, maps = WithMaps(network)(pixels)
    loss = OBJECTIVE.loss(logits, TARGETS)
    loss = loss + penalty.total(maps, TARGETS, barred) / OBJECTIVE.weight(TARGETS)
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss, tuple(trained.values()))
    return LossAndGradients(loss.detach(), dict(zip(trained, gradients, strict=True)))


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("first", [None, "head"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_gradient_with_the_penalty_by_hand_equals_autograd(
    name: str, first: str | None, checkpointing: bool
) -> None:
    network, films = NETWORKS[name](), barred_films(name)
    train_from(network, first)
    seen = by_hand_with_evidence(
        copy.deepcopy(network),
        films,
        TARGETS,
        objective=OBJECTIVE,
        penalty=penalty_of(network),
        checkpointing=checkpointing,
    )
    without = by_hand(copy.deepcopy(network), films[:, :-1], TARGETS, objective=OBJECTIVE)
    expected = by_autograd(network, films)
    assert relative_error(seen.gradients, expected.gradients) < 1e-9
    assert torch.isclose(seen.loss, expected.loss, rtol=1e-12)
    assert seen.loss > without.loss + 1e-3
    assert relative_error(without.gradients, expected.gradients) > 1e-3


@pytest.mark.parametrize("name", ["chest_cnn local, lungs", "vgg16"])
def test_the_maps_are_those_that_are_exported(name: str) -> None:
    network = NETWORKS[name]().eval()
    pixels = barred_films(name)[:, :-1]
    with torch.no_grad():
        logits, maps = WithMaps(network)(pixels)
        torch.testing.assert_close(logits, network(pixels))
        network.head = centred_head(network.head)
        exported = grad_cam(network).explain_halfway(network.halfway(pixels)).evidence
    torch.testing.assert_close(maps, exported)


def test_only_positive_evidence_of_the_own_class_in_barred_cells_counts() -> None:
    evidence = torch.tensor([[[[2.0, -4.0]], [[8.0, 16.0]]], [[[1.0, 1.0]], [[32.0, 64.0]]]])
    barred = torch.tensor([[[[1.0, 1.0]]], [[[0.0, 0.5]]]])
    assert misplaced_evidence_forward(evidence, torch.tensor([0, 1]), barred) == 2 + 32


def test_a_vector_added_to_the_weights_of_all_classes_changes_no_map() -> None:
    x, weight = torch.rand(1, 5, 2, 3), torch.rand(4, 5)
    torch.testing.assert_close(
        pooled_evidence_forward(x, weight), pooled_evidence_forward(x, weight + torch.rand(5))
    )


def test_cells_are_barred_where_the_plane_is() -> None:
    cells = BarredCells.of(NETWORKS["chest_cnn"]())(barred_films("chest_cnn"))
    torch.testing.assert_close(cells[0], torch.ones_like(cells[0]))
    assert not cells[1].any()
    half = cells[2, 0].mean(dim=1)
    assert half[0] > 0.8
    assert half[-1] < 0.6


def test_behind_a_window_cells_lie_where_the_crop_does() -> None:
    cells = BarredCells.of(NETWORKS["chest_cnn local, lungs"]())
    films = lung_networks.outlined_films(1)
    plane = torch.zeros_like(films[:, :1])
    plane[:, :, 40:90, 30:60] = 1
    seen = cells(torch.cat([films, plane], dim=1))
    assert cells.window is not None
    crop = cropped(plane, cells.window.view(films).region, lung_networks.CROP)
    # A cell is centred where the network's layers put it, in pixels of the crop.
    grid, centres = cells.grid(lung_networks.CROP), cells.centres
    place = LungCells(lung_networks.CROP, grid, origin=centres.origin, step=centres.step).double()
    assert seen.shape == (1, 1, *grid)
    assert (seen - place(crop)).abs().mean() < 0.05
    assert 0.05 < seen.mean() < 0.9
    assert (seen - place(crop.flip(2))).abs().mean() > 0.06


def test_a_head_that_is_not_pooled_is_refused() -> None:
    for name in ("vit_b16 average", "vgg16 fully connected"):
        with pytest.raises(ValueError, match="needs a pooled head"):
            WithMaps(small_network(name))


def lung_films(*, barred: bool = True) -> FilmDataset:
    planes = (255 * lung_networks.outlined_films(4)).round().byte().numpy()
    half = np.zeros_like(planes[0, 0])
    half[: len(half) // 2] = 255
    places = {0: half, 2: half} if barred else {}
    return FilmDataset(planes[:, 0], [0, 1, 2, 3], lungs=planes[:, 1], barred=places)


def trained(*, barred: bool = True, **tables: object) -> dict[str, Tensor]:
    """Return the weights of a vgg16 behind a window after two epochs in float64."""
    fields: dict[str, object] = {"epochs": 2, "batch_size": 4, "evidence": {"weight": 20.0}}
    fields["gradients"] = {"precision": "float64"}
    config = TrainingConfig.model_validate(fields | tables)
    network = lung_networks.lung_vgg16("conv4_3").float()
    val = FilmDataset(lung_films().pixels, [0, 1, 2, 3])
    training = TrainingRun(network, config, lung_films(barred=barred), val)
    list(training.epochs())
    return dict(network.state_dict())


def test_a_training_by_hand_with_the_penalty_takes_autograds_steps() -> None:
    manual = trained(gradients={"by": "manual", "precision": "float64"})
    expected = trained()
    torch.testing.assert_close(manual, expected, rtol=0, atol=1e-6)
    other = trained(barred=False)
    assert (expected["trunk.0.weight"] - other["trunk.0.weight"]).abs().max() > 1e-5


def test_barred_cells_are_cached_with_the_features(tmp_path: Path) -> None:
    network = lung_networks.lung_vgg16("conv4_3").float()
    table = {"layers": [[0, "trunk.9"]], "feature_cache": {"dtype": "float32"}}
    config = TrainingConfig.model_validate({"epochs": 1, "evidence": {}, "unfreeze": table})
    shown, cache = lung_films(), feature_cache(network, config, tmp_path)
    features = cache.features(shown, copies=1)
    plain = EvidencePenalty(1.0, BarredCells.of(network))
    cached = EvidencePenalty(1.0, plain.cells, is_cached=True)
    films, kept = (torch.stack([one[n][0] for n in range(4)]) for one in (shown, features))
    _, expected = plain.split(films)
    _, seen = cached.split(kept)
    assert expected[0].any()
    torch.testing.assert_close(seen, expected)
    other = cache.features(lung_films(barred=False), copies=1)
    assert not cached.split(other[0][0][None])[1].any()
    training = TrainingRun(network, config, features, cache.features(lung_films_of_val(), copies=1))
    assert len(list(training.epochs())) == 1


def lung_films_of_val() -> FilmDataset:
    return FilmDataset(lung_films().pixels, [0, 1, 2, 3])
