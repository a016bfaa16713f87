"""Every network's closed form is Grad-CAM of the logit, as autograd has it."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from models.card import ExplanationMethod
from models.network import Network
from tests.support.small_networks import SMALL, noise, plain_distance, plain_novelty, small_network
from xai.explained_network import ExplainedNetwork, Explanation, grad_cam

NETWORKS = pytest.mark.parametrize("name", SMALL)
POOLED = ("chest_cnn", "vgg16")
FILM_BY_FILM = ("vgg16 fully connected", "vit_b16 token", "vit_b16 average")


def derivatives(network: Network, pixels: Tensor) -> Tensor:
    """Return each logit's derivative by the activations on their grid, [classes, batch, ...]."""
    activations, bypass = network.seam(pixels)
    leaf = activations.detach().requires_grad_()
    logits = network.classify(leaf, None if bypass is None else bypass.detach())
    rows = [torch.autograd.grad(logit.sum(), leaf, retain_graph=True)[0] for logit in logits.T]
    return torch.stack([network.on_grid(row) for row in rows])


def explained(
    network: Network, pixels: Tensor, method: ExplanationMethod = "grad_cam"
) -> Explanation:
    distance = plain_distance(network, pixels).double()
    with torch.no_grad():
        explanation: Explanation = ExplainedNetwork(
            network, distance, plain_novelty().double(), temperature=2.0, method=method
        )(pixels)
    return explanation


@NETWORKS
def test_evidence_is_the_mean_derivative_times_the_activations(name: str) -> None:
    network, (pixels, _) = small_network(name), noise(3)
    weights = derivatives(network, pixels).mean(dim=(3, 4), keepdim=True)
    activations = network.on_grid(network.features(pixels))
    expected = (weights * activations).sum(dim=2).transpose(0, 1)
    torch.testing.assert_close(explained(network, pixels).evidence, expected, rtol=1e-9, atol=1e-12)


@NETWORKS
def test_hirescam_is_each_positions_own_derivative_times_its_activations(name: str) -> None:
    network, (pixels, _) = small_network(name), noise(3)
    activations = network.on_grid(network.features(pixels))
    expected = (derivatives(network, pixels) * activations).sum(dim=2).transpose(0, 1)
    found = explained(network, pixels, "hirescam").evidence
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name in SMALL
        for method in get_args(ExplanationMethod)
        if method != "legrad" or name == "vit_b16 token"
    ],
)
def test_the_explained_logits_are_the_networks_own(name: str, method: ExplanationMethod) -> None:
    network, (pixels, _) = small_network(name), noise(3)
    torch.testing.assert_close(explained(network, pixels, method).logits, network(pixels))


@NETWORKS
def test_a_hook_on_the_target_layer_sees_what_features_returned(name: str) -> None:
    network, (pixels, _) = small_network(name), noise(2)
    seen = []
    layer = network.get_submodule(network.target_layer)
    handle = layer.register_forward_hook(lambda *call: seen.append(call[2]))
    network(pixels)
    handle.remove()
    assert len(seen) == 1
    assert torch.equal(network.features(pixels), seen[0])


@NETWORKS
def test_the_batch_does_not_matter(name: str) -> None:
    network, (pixels, _) = small_network(name), noise(3)
    alone = explained(network, pixels[1:2]).evidence[0]
    torch.testing.assert_close(explained(network, pixels).evidence[1], alone)


@pytest.mark.parametrize("name", POOLED)
def test_under_a_pooled_head_grad_cam_cam_and_hirescam_are_one_map(name: str) -> None:
    network, (pixels, _) = small_network(name), noise(3)
    activations = network.features(pixels)
    cam = torch.einsum("kc,bcrs->bkrs", network.head.weight, activations)
    hirescam = (derivatives(network, pixels) * activations).sum(dim=2).transpose(0, 1)
    evidence = explained(network, pixels).evidence
    torch.testing.assert_close(evidence, hirescam)
    torch.testing.assert_close(evidence, cam / activations[0, 0].numel())


@pytest.mark.parametrize("name", POOLED)
def test_under_a_pooled_head_evidence_and_bias_sum_to_the_logit(name: str) -> None:
    network, (pixels, _) = small_network(name), noise(3)
    explanation = explained(network, pixels)
    logits = explanation.evidence.sum(dim=(2, 3)) + network.head.bias
    torch.testing.assert_close(logits, explanation.logits)


@pytest.mark.parametrize("name", POOLED)
def test_under_a_pooled_head_the_weights_are_the_heads_over_positions(name: str) -> None:
    network, (pixels, _) = small_network(name), noise(2)
    seam = network.seam(pixels)
    positions = seam.activations[0, 0].numel()
    expected = network.head.weight[None] / positions
    torch.testing.assert_close(grad_cam(network)(seam).channel_weights, expected)


@pytest.mark.parametrize("name", FILM_BY_FILM)
def test_other_heads_weigh_channels_film_by_film(name: str) -> None:
    network, (pixels, _) = small_network(name), noise(2)
    pixels[1] = pixels[1] ** 4
    first, second = grad_cam(network)(network.seam(pixels)).channel_weights
    assert (first - second).abs().max() > 1e-3 * first.abs().max()


def test_beyond_the_target_layer_patch_tokens_have_no_gradient_under_a_class_token() -> None:
    """The trap of a target layer after the last attention, where maps are empty."""
    network, (pixels, _) = small_network("vit_b16 token"), noise(1)
    block = network.blocks[-1]
    stream = torch.nn.Sequential(network.normalise, network.embed, *network.blocks[:-1])(pixels)
    whole = super(type(block), block).forward(stream)  # timm's block, all tokens of it
    leaf = whole.detach().requires_grad_()
    network.head(network.norm(leaf[:, 0])).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad[:, 1:].abs().max() == 0
    torch.testing.assert_close(whole[:, 0], block(stream))
