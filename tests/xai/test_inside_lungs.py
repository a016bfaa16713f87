"""Evidence of a network that sees only the lungs: one map for three methods, and none outside."""

import pytest
import torch

from models.network import Masked
from models.radiograph import grid_place
from models.registration import cell_centres
from tests.models.lungs.test_place import lung_card
from tests.support.lung_networks import FILM, NETWORKS, films
from tests.support.small_networks import plain_distance, plain_novelty
from xai.explained_network import ExplainedNetwork, LungExplanation
from xai.measures.localisation import map_on_film, share_inside
from xai.outline import lung_outline, outline_mask

BEFORE = {
    "chest_cnn local": "stages.3",
    "vgg16 conv4_3": "trunk.10",
    "vgg16 conv5_3": "trunk.13",
}
"""The layer before the masking."""
NOVELTY = plain_novelty(lungs=True)
NAMES = pytest.mark.parametrize("name", BEFORE)


def explained(name: str) -> LungExplanation:
    network = NETWORKS[name]()
    distance = plain_distance(network, films(1)).double()
    return ExplainedNetwork(network, distance, NOVELTY, temperature=1.0).double()(films(2))


@NAMES
def test_the_answer_says_where_the_lungs_are_and_what_was_seen(name: str) -> None:
    explanation = explained(name)
    assert isinstance(explanation, LungExplanation)
    assert explanation.lungs.shape == (2, 64, 64)
    assert explanation.region.shape == (2, 4)
    top, left, bottom, right = explanation.region.unbind(dim=1)
    assert (top < bottom).all()
    assert (left < right).all()


def test_the_answer_tells_how_plausible_the_lungs_are() -> None:
    view = NETWORKS["chest_cnn local"]().normalise[0].view(films(2))
    found = explained("chest_cnn local").lung_figures
    torch.testing.assert_close(found, torch.stack(view.figures, dim=1))


@NAMES
def test_it_answers_as_the_network_does(name: str) -> None:
    network = NETWORKS[name]()
    torch.testing.assert_close(explained(name).logits, network(films(2)))


@NAMES
def test_evidence_sums_to_the_logit_and_is_zero_outside(name: str) -> None:
    network, explanation = NETWORKS[name](), explained(name)
    total = explanation.evidence.sum(dim=(2, 3)) + network.head.bias
    torch.testing.assert_close(total, explanation.logits)
    cells = network.inside.cells(network.normalise(films(2)).lungs)
    outside = (cells == 0).expand_as(explanation.evidence)
    assert (explanation.evidence[outside] == 0).all()


@NAMES
def test_without_lungs_all_answers_are_finite_and_no_evidence_is_left(name: str) -> None:
    network = NETWORKS[name]()
    distance = plain_distance(network, films(1)).double()
    white = torch.ones(1, 1, *FILM, dtype=torch.float64)
    explanation = ExplainedNetwork(network, distance, NOVELTY, temperature=1.0).double()(white)
    assert (explanation.lungs == 0).all()
    assert all(answer.isfinite().all() for answer in explanation)
    assert (explanation.evidence == 0).all()
    torch.testing.assert_close(explanation.logits[0], network.head.bias)


def methods_at(name: str, layer: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return Grad-CAM, HiResCAM and CAM of the first class at a layer, by autograd."""
    network = NETWORKS[name]()
    kept: list[torch.Tensor] = []
    module = network.get_submodule(layer)

    def keep(_module, _inputs, output) -> None:
        values = output.values if isinstance(output, Masked) else output
        values.retain_grad()
        kept.append(values)

    module.register_forward_hook(keep)
    network(films(1))[0, 0].backward()
    (activations,) = kept
    gradient = activations.grad
    assert gradient is not None
    grad_cam = (gradient.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1)
    hires_cam = (gradient * activations).sum(dim=1)
    cam = torch.einsum("c,bcrs->brs", network.head.weight[0], activations)
    return grad_cam, hires_cam, cam / activations[0, 0].numel()


@NAMES
def test_at_the_masking_three_methods_give_one_map(name: str) -> None:
    grad_cam, hires_cam, cam = methods_at(name, "inside")
    torch.testing.assert_close(grad_cam, hires_cam)
    torch.testing.assert_close(grad_cam, cam)
    torch.testing.assert_close(grad_cam, explained(name).evidence[:1, 0])


@NAMES
def test_before_the_masking_they_do_not(name: str) -> None:
    grad_cam, hires_cam, cam = methods_at(name, BEFORE[name])
    assert (grad_cam - hires_cam).abs().max() > 0.1 * hires_cam.abs().max()
    assert (cam - hires_cam).abs().max() > 0.1 * hires_cam.abs().max()


def test_on_drawn_films_all_that_is_drawn_lies_inside_the_outline_and_not_without_it() -> None:
    """The evidence is zero outside on its own grid, and still runs over when it is spread."""
    explanation = explained("chest_cnn local")
    cells = cell_centres(NETWORKS["chest_cnn local"]())
    for film, evidence, lungs in zip(
        range(2), explanation.evidence.detach().numpy(), explanation.lungs.numpy(), strict=True
    ):
        placed = lung_card(cells).cells_on(explanation.region[film].tolist())
        place = grid_place(evidence.shape[1:], FILM, placed)
        outline = lung_outline(lungs, grid_place(lungs.shape, FILM, None))
        inside = outline_mask(outline, *FILM)
        size = {"rows": FILM[0], "columns": FILM[1]}
        for one in evidence[(evidence > 0).any(axis=(1, 2))]:
            drawn = map_on_film(one, place, **size, outline=outline)
            assert share_inside(drawn, inside) == 1
            assert 0 < share_inside(map_on_film(one, place, **size), inside) < 0.9
