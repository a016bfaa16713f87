"""benchmarks/read_layers.py averages each layer as a network that is read there does."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.vgg16 import VGG16
from models.vit_b16 import ViTB16
from tests.support.lung_networks import CROP, films, lung_vgg16, lung_vit

# As a script it finds its neighbour in its own folder.
sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
import read_layers
from read_layers import layers, mean_inside


@pytest.mark.parametrize(
    "built", [lung_vgg16, lambda: lung_vit("average")], ids=["vgg16", "vit_b16"]
)
def test_the_last_layer_is_averaged_as_the_head_reads_it(
    built: Callable[[], VGG16 | ViTB16], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_layers, "FIRST", {"vgg16": 1, "vit_b16": 1})
    network, pixels = built().float(), films(2).float()
    with torch.no_grad():
        found = {
            name: mean_inside(x, CROP) for name, x in layers(network, network.normalise(pixels))
        }
        expected = network.pool(network.features(pixels))
    assert len(found) in {3, 5}
    assert (next(iter(found.values())) != 0).any()
    torch.testing.assert_close(list(found.values())[-1], expected, rtol=1e-4, atol=1e-5)
