"""What is exported explains itself: evidence and logits belong together."""

import pytest
import torch

from models.chest_cnn import ChestCNN
from tests.support.small_networks import plain_novelty
from xai.explained_network import Distance, ExplainedNetwork
from xai.grad_cam import centred_head


@pytest.fixture
def network() -> ExplainedNetwork:
    torch.manual_seed(0)
    classifier = ChestCNN(classes=3, mean=0.5, std=0.25).double()
    torch.nn.init.normal_(classifier.head.weight)
    torch.nn.init.normal_(classifier.head.bias)
    classifier.head = centred_head(classifier.head)
    distance = Distance(torch.eye(256), torch.zeros(3, 256))
    return ExplainedNetwork(classifier, distance, plain_novelty(), temperature=2.0).double().eval()


PIXELS = torch.rand(2, 1, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_evidence_summed_over_positions_plus_bias_is_the_logit(network: ExplainedNetwork) -> None:
    explanation = network(PIXELS)
    logits = explanation.evidence.sum(dim=(2, 3)) + network.network.head.bias
    assert torch.allclose(logits, explanation.logits, rtol=1e-12)


def test_evidence_is_grad_cam_of_the_logit_by_autograd(network: ExplainedNetwork) -> None:
    activations = network.network.features(PIXELS).detach().requires_grad_()
    logit = network.network.classify(activations)[:, 1].sum()
    (gradient,) = torch.autograd.grad(logit, activations)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    expected = (weights * activations).sum(dim=1)
    assert torch.allclose(network(PIXELS).evidence[:, 1], expected, rtol=1e-12)


def test_centred_evidence_sums_to_zero_over_classes(network: ExplainedNetwork) -> None:
    assert network(PIXELS).evidence.sum(dim=1).abs().max() < 1e-12


def test_probabilities_use_the_temperature(network: ExplainedNetwork) -> None:
    explanation = network(PIXELS)
    expected = torch.softmax(explanation.logits / 2.0, dim=1)
    assert torch.allclose(explanation.probabilities, expected)


def test_probabilities_of_findings_are_sigmoids(network: ExplainedNetwork) -> None:
    findings = ExplainedNetwork(
        network.network, network.distance, network.novelty, temperature=2.0, task="multilabel"
    )
    explanation = findings.double()(PIXELS)
    assert torch.allclose(explanation.probabilities, torch.sigmoid(explanation.logits / 2.0))


def test_distance_is_that_of_the_nearest_class(network: ExplainedNetwork) -> None:
    classifier = network.network
    layout = classifier.layout(classifier.halfway(PIXELS))
    assert torch.allclose(network(PIXELS).distance, layout.norm(dim=1))


def test_a_layout_knows_up_from_down(network: ExplainedNetwork) -> None:
    activations = torch.arange(24.0).reshape(1, 2, 4, 3)
    layout, turned = (network.network.layout(a) for a in (activations, activations.flip(2)))
    assert layout.tolist() == [[2.5, 14.5, 8.5, 20.5]]
    assert turned.tolist() == [[8.5, 20.5, 2.5, 14.5]]
