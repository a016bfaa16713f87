"""Evidence of a network that sees only the lungs: one map for three methods, and none outside."""

import torch

from models.network import Masked
from tests.support.lung_networks import films, lung_network
from tests.support.small_networks import plain_distance
from xai.explained_network import ExplainedNetwork, LungExplanation


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


def test_the_answer_tells_how_plausible_the_lungs_are() -> None:
    view = lung_network(local=True).normalise[0].view(films(2))
    torch.testing.assert_close(explained().lung_figures, torch.stack(view.figures, dim=1))


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
