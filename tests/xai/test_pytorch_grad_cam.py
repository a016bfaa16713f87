"""Parity with pytorch-grad-cam, the reference people know, on the networks at full width.

Its maps are compared before it scales each to [0, 1]; its known traps are tests here.
"""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import GradCAM, base_cam
from pytorch_grad_cam.utils.model_targets import (
    ClassifierOutputSoftmaxTarget,
    ClassifierOutputTarget,
)
from torch import Tensor, nn

from models.card import ReadLayer
from models.chest_cnn import ChestCNN
from models.lungs.window import window_of
from models.network import Network
from models.pretrained import Pretrained, load_pretrained
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16
from tests.models.test_vgg16 import IMAGENET, coloured
from tests.support.lung_networks import CROP, behind_window, films
from tests.support.small_networks import plain_distance, plain_novelty
from xai.explained_network import ExplainedNetwork

SIZE = (96, 64)
CLASSES = 3
SETTINGS: dict[str, Any] = {"classes": CLASSES, "mean": 0.5, "std": 0.25}
NETWORKS: dict[str, Callable[[], Network]] = {
    "chest_cnn": lambda: ChestCNN(**SETTINGS),
    "vgg16": lambda: VGG16(**SETTINGS),
    "vgg16 fully connected": lambda: VGG16(**SETTINGS, head="fully_connected", image_size=SIZE),
    "vit_b16 token": lambda: ViTB16(**SETTINGS, image_size=SIZE),
    "vit_b16 average": lambda: ViTB16(**SETTINGS, read_out="average", image_size=SIZE),
}


@cache
def drawn(name: str) -> Network:
    """Return a network in eval mode, in float32, drawn once for all tests."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    nn.init.normal_(network.head.weight)
    return network


def three_films(batch: int) -> Tensor:
    """Return as many films as asked for, of three different ones."""
    films = torch.rand(3, 1, *SIZE, generator=torch.Generator().manual_seed(1))
    films *= torch.linspace(0.3, 1, SIZE[0])[:, None]  # so that a map turned over would show
    return films.repeat(3, 1, 1, 1)[:batch]


def evidence(network: Network, pixels: Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        distance = plain_distance(network, pixels[:1])
        novelty = plain_novelty(lungs=window_of(network) is not None)
        explanation = ExplainedNetwork(network, distance, novelty, temperature=1.0)(pixels)
    return explanation.evidence.numpy()


@pytest.fixture
def reference_maps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., NDArray[np.float32]]:
    """Return pytorch-grad-cam as a function; its maps are taken before it scales them."""
    seen: list[NDArray[np.float32]] = []

    def taken(maps: NDArray[np.float32], size: Any = None) -> NDArray[np.float32]:
        seen.append(maps.copy())
        return scaled(maps, size)

    scaled = base_cam.scale_cam_image
    monkeypatch.setattr(base_cam, "scale_cam_image", taken)

    def maps_of(
        network: nn.Module,
        layer: nn.Module,
        pixels: Tensor,
        class_number: int,
        *,
        on_grid: Callable[[Tensor], Tensor] | None = None,
        target: type = ClassifierOutputTarget,
    ) -> NDArray[np.float32]:
        seen.clear()
        with GradCAM(network, [layer], reshape_transform=on_grid) as grad_cam:
            grad_cam(pixels.clone(), [target(class_number)] * len(pixels))
        return seen[0]

    return maps_of


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_positive_evidence_is_its_map_before_scaling(
    name: str, batch: int, reference_maps: Callable[..., NDArray[np.float32]]
) -> None:
    network = drawn(name)
    pixels = three_films(batch)
    ours = evidence(network, pixels)
    assert ours.max() > 0
    for number in range(CLASSES):
        layer = network.get_submodule(network.target_layer)
        expected = reference_maps(network, layer, pixels, number, on_grid=network.on_grid)
        difference = np.abs(ours[:, number].clip(min=0) - expected).max()
        assert difference <= 1e-4 * expected.max()


@pytest.mark.slow
@pytest.mark.parametrize("read_layer", ["conv4_3", "conv5_3"])
def test_inside_the_lungs_it_is_as_well(
    read_layer: ReadLayer, reference_maps: Callable[..., NDArray[np.float32]]
) -> None:
    torch.manual_seed(0)
    masked = VGG16(**SETTINGS, read_layer=read_layer, masked=CROP)
    network, pixels = behind_window(masked, training=False).float(), films(2).float()
    ours = evidence(network, pixels)
    assert ours.max() > 0
    for number in range(CLASSES):
        expected = reference_maps(network, network.inside, pixels, number)
        difference = np.abs(ours[:, number].clip(min=0) - expected).max()
        assert difference <= 1e-4 * expected.max()


@pytest.mark.slow
def test_timms_own_vit_explained_by_it_gives_the_map_of_ours(
    reference_maps: Callable[..., NDArray[np.float32]],
) -> None:
    """An independent network: timm's, all tokens in its last block, fed three colours."""
    torch.manual_seed(0)
    twin = timm.create_model("vit_base_patch16_224", img_size=SIZE, num_classes=CLASSES).eval()
    network = ViTB16(classes=CLASSES, image_size=SIZE, **IMAGENET).eval()
    load_pretrained(network, Pretrained(twin.state_dict(), **IMAGENET))
    network.head.load_state_dict(twin.head.state_dict())
    pixels = three_films(3)
    expected = reference_maps(
        twin, twin.blocks[-1].norm1, coloured(pixels), 1, on_grid=network.on_grid
    )
    difference = np.abs(evidence(network, pixels)[:, 1].clip(min=0) - expected).max()
    assert difference <= 1e-4 * expected.max()


def test_trap_a_vit_layer_after_the_last_attention_has_an_empty_map(
    reference_maps: Callable[..., NDArray[np.float32]],
) -> None:
    """Its README says `blocks[-1].norm1`: later, only the class token has a gradient.

    (timm's own network: ours does not compute the other tokens there at all.)
    """
    torch.manual_seed(0)
    twin = timm.create_model("vit_tiny_patch16_224", img_size=SIZE, num_classes=CLASSES).eval()
    grid = (SIZE[0] // 16, SIZE[1] // 16)

    def on_grid(tokens: Tensor) -> Tensor:
        return tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, *grid)

    films = coloured(three_films(1))
    late = reference_maps(twin, twin.norm, films, 0, on_grid=on_grid)
    right = reference_maps(twin, twin.blocks[-1].norm1, films, 0, on_grid=on_grid)
    assert np.abs(late).max() == 0
    assert np.abs(right).max() > 0


def test_trap_the_convolution_before_an_in_place_relu_shows_the_relus_output(
    reference_maps: Callable[..., NDArray[np.float32]],
) -> None:
    """VGG16's ReLUs overwrite what a hook on the convolution before them keeps.

    So a map "at the last convolution" mixes the gradient before the ReLU with activations after it.
    Our target layer is the ReLU itself, for which both belong together.
    """
    network = copy.deepcopy(drawn("vgg16"))
    pixels = three_films(1)
    at_convolution = reference_maps(network, network.trunk[28], pixels, 0)
    network.trunk[29].inplace = False
    not_overwritten = reference_maps(network, network.trunk[28], pixels, 0)
    assert np.abs(at_convolution - not_overwritten).max() > 1e-2 * not_overwritten.max()


def test_trap_a_map_of_the_probability_is_another_one(
    reference_maps: Callable[..., NDArray[np.float32]],
) -> None:
    """The softmax's derivative mixes in the other classes, and vanishes where it is sure."""
    network = drawn("chest_cnn")
    layer = network.get_submodule(network.target_layer)
    pixels = three_films(1)
    number = int(network(pixels).argmin())
    of_logit = reference_maps(network, layer, pixels, number)
    of_probability = reference_maps(
        network, layer, pixels, number, target=ClassifierOutputSoftmaxTarget
    )
    ours = evidence(network, pixels)[:, number].clip(min=0)
    assert np.abs(ours - of_logit).max() <= 1e-4 * of_logit.max()
    scaled = of_probability * (of_logit.max() / max(of_probability.max(), 1e-30))
    assert np.abs(ours - scaled).max() > 1e-2 * of_logit.max()
