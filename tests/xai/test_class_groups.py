"""The map of a group of classes is that of its log-odds, as autograd has it, in ONNX too."""

import onnxruntime
import pytest
import torch
from torch import Tensor

from models.card import ExplanationMethod
from models.lungs.window import window_of
from models.network import Network
from tests.support.lung_networks import films, lung_network, lung_vit
from tests.support.small_networks import (
    SMALL,
    noise,
    plain_distance,
    plain_novelty,
    small_network,
)
from tests.xai.test_legrad import map_of
from training.onnx_files.writing import onnx_model
from xai.explained_network import AnyExplanation, ExplainedNetwork
from xai.grad_cam import centred_head

IS_MEMBER = ((False, True, True, True), (True, False, True, False))
TEMPERATURE = 2.0


def grouped(network: Network, method: ExplanationMethod = "grad_cam") -> ExplainedNetwork:
    sees_lungs = window_of(network) is not None
    pixels = films(1) if sees_lungs else noise(1)[0]
    distance = plain_distance(network, pixels.to(network.head.weight)).to(network.head.weight)
    return ExplainedNetwork(
        network,
        distance,
        plain_novelty(lungs=sees_lungs).to(network.head.weight),
        temperature=TEMPERATURE,
        method=method,
        is_member=IS_MEMBER,
    ).eval()


def explained(network: Network, pixels: Tensor, method: ExplanationMethod) -> AnyExplanation:
    with torch.no_grad():
        return grouped(network, method)(pixels)


def log_odds(logits: Tensor) -> Tensor:
    """Return what is differentiated, from the probabilities themselves."""
    p, inside = (logits / TEMPERATURE).softmax(dim=1), torch.tensor(IS_MEMBER).to(logits).T
    return torch.log(p @ inside) - torch.log(p @ (1 - inside))


def log_odds_derivatives(network: Network, pixels: Tensor) -> Tensor:
    """Return each group's derivative by the activations on their grid, [groups, batch, ...]."""
    activations, bypass = network.seam(pixels)
    leaf = activations.detach().requires_grad_()
    odds = log_odds(network.classify(leaf, None if bypass is None else bypass.detach()))
    rows = [torch.autograd.grad(group.sum(), leaf, retain_graph=True)[0] for group in odds.T]
    return torch.stack([network.on_grid(row) for row in rows])


@pytest.mark.parametrize("method", ["grad_cam", "hirescam"])
@pytest.mark.parametrize("name", SMALL)
def test_it_is_the_derivative_of_the_log_odds_times_the_activations(
    name: str, method: ExplanationMethod
) -> None:
    network, (pixels, _) = small_network(name), noise(3)
    slopes = log_odds_derivatives(network, pixels)
    if method == "grad_cam":
        slopes = slopes.mean(dim=(3, 4), keepdim=True)
    expected = (slopes * network.on_grid(network.features(pixels))).sum(dim=2).transpose(0, 1)
    found = explained(network, pixels, method).group_evidence
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_by_legrad_it_is_the_positive_part_of_the_derivative_by_the_attention(masked: bool) -> None:
    network = lung_vit("token") if masked else small_network("vit_b16 token")
    pixels = films(2) if masked else noise(3)[0]
    stream = network.blocks[len(network.blocks) // 2 : -2](network.halfway(pixels))
    maps = [map_of(network, network.blocks[-2], stream, score=log_odds)]
    maps.append(map_of(network, network.blocks[-1], network.blocks[-2](stream), score=log_odds))
    found = explained(network, pixels, "legrad")
    torch.testing.assert_close(found.group_evidence, sum(maps) / 2, rtol=1e-9, atol=1e-12)
    assert found.evidence.shape[1] == len(IS_MEMBER[0])


def test_centring_the_head_changes_no_groups_map() -> None:
    network, (pixels, _) = small_network("chest_cnn"), noise(2)
    before = explained(network, pixels, "grad_cam")
    network.head = centred_head(network.head)
    after = explained(network, pixels, "grad_cam")
    assert (before.evidence - after.evidence).abs().max() > 1e-3
    torch.testing.assert_close(after.group_evidence, before.group_evidence)


def test_without_groups_the_answer_is_what_it_was() -> None:
    network, (pixels, _) = small_network("chest_cnn"), noise(2)
    other = grouped(network)
    alone = ExplainedNetwork(network, other.distance, other.novelty, temperature=TEMPERATURE)
    assert alone.outputs == other.outputs[:-1]
    for name, value in alone(pixels)._asdict().items():
        torch.testing.assert_close(getattr(other(pixels), name), value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("chest_cnn lungs", "grad_cam"),
        ("vgg16 fully connected", "hirescam"),
        ("vit_b16 token", "legrad"),
    ],
)
def test_the_exported_graph_answers_as_pytorch_even_where_a_group_is_sure(
    name: str, method: ExplanationMethod
) -> None:
    network = (lung_network() if "lungs" in name else small_network(name)).float()
    with torch.no_grad():
        network.head.weight *= 1e4
    wanted = grouped(network, method)
    pixels = (films(3) if "lungs" in name else noise(3)[0]).float()
    model = onnx_model(wanted, pixels[:2], wanted.outputs)
    assert [output.name for output in model.graph.output][-1] == "group_evidence"
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = ["probabilities", "group_evidence"]
    probabilities, found = session.run(names, {"pixels": pixels.numpy()})
    assert probabilities.max() == 1
    with torch.no_grad():
        expected = wanted(pixels).group_evidence
    assert expected.isfinite().all()
    scale = float(expected.abs().max())
    torch.testing.assert_close(torch.tensor(found), expected, rtol=1e-3, atol=1e-3 * scale)


def test_a_groups_map_is_the_sum_of_the_class_maps_weighted() -> None:
    network, (pixels, _) = small_network("vgg16"), noise(2)
    found = explained(network, pixels, "grad_cam")
    p = found.probabilities
    for number, members in enumerate(IS_MEMBER):
        inside = torch.tensor(members)
        weights = torch.where(inside, p, -p)
        weights /= torch.where(inside, (p * inside).sum(1, True), (p * ~inside).sum(1, True))
        expected = torch.einsum("bc,bcrs->brs", weights / TEMPERATURE, found.evidence)
        torch.testing.assert_close(found.group_evidence[:, number], expected)
