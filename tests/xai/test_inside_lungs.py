"""Evidence of a network that sees only the lungs: one map for three methods, and none outside."""

import torch

from models.network import Masked
from models.radiograph import grid_place
from models.registration import cell_centres
from tests.models.lungs.test_place import lung_card
from tests.support.lung_networks import FILM, films, lung_network
from tests.support.small_networks import plain_distance
from xai.explained_network import ExplainedNetwork, LungExplanation
from xai.measures.localisation import map_on_film, share_inside
from xai.outline import lung_outline, outline_mask


def explained() -> LungExplanation:
    network = lung_network(local=True)
    distance = plain_distance(network, films(1)).double()
    return ExplainedNetwork(network, distance, temperature=1.0).double()(films(2))


def test_the_answer_says_where_the_lungs_are_and_what_was_seen() -> None:
    explanation = explained()
    assert isinstance(explanation, LungExplanation)
    assert explanation.lungs.shape == (2, 64, 64)
    assert explanation.region.shape == (2, 4)
    top, left, bottom, right = explanation.region.unbind(dim=1)
    assert (top < bottom).all()
    assert (left < right).all()


def test_it_answers_as_the_network_does() -> None:
    network = lung_network(local=True)
    torch.testing.assert_close(explained().logits, network(films(2)))


def test_evidence_sums_to_the_logit_and_is_zero_outside() -> None:
    network, explanation = lung_network(local=True), explained()
    total = explanation.evidence.sum(dim=(2, 3)) + network.head.bias
    torch.testing.assert_close(total, explanation.logits)
    cells = network.inside.cells(network.normalise(films(2)).lungs)
    outside = (cells == 0).expand_as(explanation.evidence)
    assert (explanation.evidence[outside] == 0).all()


def methods_at(layer: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return Grad-CAM, HiResCAM and CAM of the first class at a layer, by autograd."""
    network = lung_network(local=True)
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


def test_at_the_masking_three_methods_give_one_map() -> None:
    grad_cam, hires_cam, cam = methods_at("inside")
    torch.testing.assert_close(grad_cam, hires_cam)
    torch.testing.assert_close(grad_cam, cam)
    torch.testing.assert_close(grad_cam, explained().evidence[:1, 0])


def test_before_the_masking_they_do_not() -> None:
    grad_cam, hires_cam, cam = methods_at("stages.3")
    assert (grad_cam - hires_cam).abs().max() > 0.1 * hires_cam.abs().max()
    assert (cam - hires_cam).abs().max() > 0.1 * hires_cam.abs().max()


def test_on_drawn_films_all_that_is_drawn_lies_inside_the_outline_and_not_without_it() -> None:
    """The evidence is zero outside on its own grid, and still runs over when it is spread."""
    explanation = explained()
    cells = cell_centres(lung_network(local=True))
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
