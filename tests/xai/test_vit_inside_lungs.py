"""Evidence of a vit_b16 that looks only inside the lungs: equal to autograd's, and none outside."""

from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from pytorch_grad_cam import GradCAM, HiResCAM
from torch import Tensor

from models.card import ExplanationMethod, ReadOut
from models.network import Masked
from models.registration import cell_centres
from tests.support.lung_networks import CROP, FILM, SPEC, films, lung_vit
from tests.support.small_networks import SmallViTB16, plain_distance, plain_novelty
from tests.support.tiny_model import card
from training.export.model_card import golden_answer
from training.maps.methods import METHODS, class_activation
from training.onnx_files.network_from_onnx import logits_and_evidence
from training.onnx_files.writing import write_checked
from xai.explained_network import ExplainedNetwork, grad_cam
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

READ_OUTS = pytest.mark.parametrize("read_out", get_args(ReadOut))
EXPLAINED: list[tuple[ReadOut, ExplanationMethod]] = [
    ("token", "grad_cam"),
    ("token", "hirescam"),
    ("token", "legrad"),
    ("average", "grad_cam"),
]


def cells_of(network: SmallViTB16, pixels: Tensor) -> Tensor:
    """Return the mean of the mask in each patch, [batch, 1, grid rows, grid columns]."""
    masked = network.normalise(pixels)
    assert isinstance(masked, Masked)
    block = network.blocks[-1] if network.reads_token else network.inside
    cells: Tensor = block.cells(masked.lungs)
    return cells


def derivatives(network: SmallViTB16, pixels: Tensor) -> Tensor:
    """Return each logit's derivative by the activations on their grid, [classes, batch, ...]."""
    activations, bypass = network.seam(pixels)
    leaf = activations.detach().requires_grad_()
    logits = network.classify(leaf, bypass)
    rows = [torch.autograd.grad(logit.sum(), leaf, retain_graph=True)[0] for logit in logits.T]
    return torch.stack([network.on_grid(row) for row in rows])


@READ_OUTS
def test_grad_cam_is_the_mean_derivative_times_the_activations_that_count(
    read_out: ReadOut,
) -> None:
    network, pixels = lung_vit(read_out), films(2)
    weights = derivatives(network, pixels).mean(dim=(3, 4), keepdim=True)
    activations = network.on_grid(network.features(pixels))
    expected = (weights * activations).sum(dim=2).transpose(0, 1)
    if read_out == "token":
        expected = expected * cells_of(network, pixels)
    found = logits_and_evidence(network, pixels)[1]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@READ_OUTS
def test_hirescam_is_each_positions_own_derivative_times_its_activations(
    read_out: ReadOut,
) -> None:
    network, pixels = lung_vit(read_out), films(2)
    activations = network.on_grid(network.features(pixels))
    expected = (derivatives(network, pixels) * activations).sum(dim=2).transpose(0, 1)
    found = logits_and_evidence(network, pixels, "hirescam")[1]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("read_out", "method"), EXPLAINED)
def test_evidence_outside_the_lungs_is_exactly_zero(
    read_out: ReadOut, method: ExplanationMethod
) -> None:
    network, pixels = lung_vit(read_out), films(2)
    logits, evidence = logits_and_evidence(network, pixels, method)
    torch.testing.assert_close(logits, network(pixels))
    outside = (cells_of(network, pixels) == 0).expand_as(evidence)
    assert outside.any()
    assert (evidence[outside] == 0).all()
    assert (evidence[~outside] != 0).any()


@pytest.mark.parametrize(("read_out", "method"), EXPLAINED)
def test_a_film_without_lungs_has_no_evidence(read_out: ReadOut, method: ExplanationMethod) -> None:
    empty = torch.cat([films(1), torch.zeros_like(films(1))], dim=1)
    network = lung_vit(read_out)
    evidence = grad_cam(network, method).explain_halfway(network.halfway(empty)).evidence
    assert (evidence == 0).all()


@READ_OUTS
def test_pytorch_grad_cam_gives_the_same_maps(read_out: ReadOut) -> None:
    """Its Grad-CAM of the class token knows no mask: outside it is not 0."""
    network, pixels = lung_vit(read_out).float(), films(1).float()
    cells = cells_of(network, pixels)[0, 0].numpy()
    masked = class_activation(GradCAM, network, pixels, 1)
    if read_out == "token":
        assert np.abs(masked[cells == 0]).max() > 0
        masked = masked * cells
    hires_cam = class_activation(HiResCAM, network, pixels, 1)
    for method, theirs in (("grad_cam", masked), ("hirescam", hires_cam)):
        ours = logits_and_evidence(network, pixels, method)[1][0, 1].detach().numpy()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


@READ_OUTS
@pytest.mark.parametrize("method", ["attention_rollout", "attention_gradient", "recipro_cam"])
def test_other_methods_can_explain_it(read_out: ReadOut, method: str) -> None:
    network, pixels = lung_vit(read_out).float(), films(1).float()
    found = METHODS[method](network.requires_grad_(False), pixels, 1)
    assert found.shape == (CROP[0] // 16, CROP[1] // 16)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("read_out", "method"), [("token", "legrad"), ("average", "grad_cam")])
def test_the_exported_file_answers_as_pytorch_and_repeats_its_golden_answer(
    read_out: ReadOut, method: ExplanationMethod, tmp_path: Path
) -> None:
    network = lung_vit(read_out).float()
    distance = plain_distance(network, films(1).float())
    novelty = plain_novelty(lungs=True)
    explaining = ExplainedNetwork(network, distance, novelty, temperature=1.0, method=method).eval()
    three = card()
    written = three.model_copy(
        update={
            "class_names": (*three.class_names, "mass"),
            "decision_thresholds": (*three.decision_thresholds, three.decision_thresholds[0]),
            "score_histograms": (*three.score_histograms, three.score_histograms[0]),
            "architecture": "vit_b16",
            "read_out": read_out,
            "method": method,
            "lungs": SPEC,
            "image_size": FILM,
            "target_layer": network.target_layer,
            "activation_grid": network.grid,
            "cell_centres": cell_centres(network),
            "golden": golden_answer(explaining, FILM),
        }
    )
    file = tmp_path / "vit.onnx"
    write_checked(explaining, written, file, pixels=films(3).float())
    assert {node.domain for node in onnx.load(file).graph.node} == {""}
    assert Explainer(file).card.method == method  # which repeats the golden answer, or refuses
