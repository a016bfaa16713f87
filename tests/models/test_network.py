"""A network split anywhere still computes the same."""

import pytest
import torch

from models.network import layer_number, split_at
from tests.support.small_networks import SMALL, noise, small_network

PLACES = {
    "chest_cnn": ["stem", "stages.2", "pool", "head"],
    "vgg16": ["trunk", "trunk.9", "head"],
    "vgg16 fully connected": ["trunk.9", "hidden", "hidden.fc2", "head"],
    "vit_b16 token": ["embed", "blocks.1", "blocks.2", "norm"],
    "vit_b16 average": ["embed", "blocks.1", "pool", "norm"],
}


@pytest.mark.parametrize(("name", "first"), [(n, first) for n in SMALL for first in PLACES[n]])
def test_both_halves_after_each_other_are_the_network(name: str, first: str) -> None:
    size = (32, 64) if name == "vgg16 fully connected" else (32, 48)
    network = small_network(name, size=size)
    pixels, _ = noise(2, size=size)
    before, after = split_at(network, first)
    torch.testing.assert_close(after(before(pixels)), network(pixels), rtol=0, atol=1e-12)


def test_both_halves_share_the_networks_weights() -> None:
    network = small_network("vgg16")
    halves = split_at(network, "trunk.9")
    shared = [parameter for half in halves for parameter in half.parameters()]
    assert all(a is b for a, b in zip(shared, network.parameters(), strict=True))


def test_a_number_is_not_taken_for_a_longer_one() -> None:
    network = small_network("vgg16")
    assert layer_number(network, "trunk.1") == 2
    assert layer_number(network, "trunk.12") == 13


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"not 'blocks\.1\.mlp'"):
        layer_number(small_network("vit_b16 token"), "blocks.1.mlp")
