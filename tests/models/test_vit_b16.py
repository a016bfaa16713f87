"""vit_b16 is timm's, read out in either way."""

import pytest
import timm
import torch
from timm.models.vision_transformer import Block
from torch.utils.flop_counter import FlopCounterMode

from models.architectures import build
from models.card import NetworkSpec, ReadOut
from models.network import Network
from models.pretrained import Pretrained, load_pretrained
from models.vit_b16 import ViTB16
from tests.models.test_vgg16 import IMAGENET, coloured
from tests.support.small_networks import noise, small_network

pytestmark = pytest.mark.slow

READ_OUTS = pytest.mark.parametrize("read_out", ["token", "average"])


def spec(read_out: ReadOut = "token") -> NetworkSpec:
    return NetworkSpec(
        architecture="vit_b16",
        read_out=read_out,
        class_names=("normal", "opacity"),
        image_size=(224, 224),
        resize_mode="stretch",
        target_layer="blocks.11.norm1" if read_out == "token" else "blocks.11",
        activation_grid=(14, 14),
        **IMAGENET,
    )


def pretrained_pair(read_out: ReadOut) -> tuple[Network, torch.nn.Module]:
    """Return ours and timm's with the same weights."""
    torch.manual_seed(0)
    pool = "token" if read_out == "token" else "avg"
    twin = timm.create_model("vit_base_patch16_224", num_classes=2, global_pool=pool).eval()
    for parameter in twin.parameters():  # its shifts are drawn as 0
        torch.nn.init.normal_(parameter, std=0.03)
    network = build(spec(read_out)).eval()
    load_pretrained(network, Pretrained(twin.state_dict(), **IMAGENET))
    network.head.load_state_dict(twin.head.state_dict())
    return network, twin


@READ_OUTS
def test_it_answers_as_timms_network_does_to_the_coloured_film(read_out: ReadOut) -> None:
    network, twin = pretrained_pair(read_out)
    pixels = torch.rand(2, 1, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network(pixels), twin(coloured(pixels)), rtol=1e-4, atol=1e-5)


@READ_OUTS
def test_a_hook_on_the_cards_target_layer_sees_the_features(read_out: ReadOut) -> None:
    network, seen = build(spec(read_out)).eval(), []
    layer = network.get_submodule(spec(read_out).target_layer)
    hook = layer.register_forward_hook(lambda *call: seen.append(call[2]))
    features = network.features(torch.rand(1, 1, 224, 224))
    hook.remove()
    assert torch.equal(features, seen[0])


def test_a_grey_film_costs_one_channel_in_the_patch_embedding() -> None:
    assert build(spec()).embed.proj.weight.shape == (768, 1, 16, 16)


def test_the_last_block_is_computed_for_the_class_token_alone() -> None:
    network = ViTB16(classes=2, mean=0.5, std=0.25).eval()
    tokens = torch.rand(1, 197, 768)
    costs = []
    for block in (network.blocks[-2], network.blocks[-1]):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            block(tokens)
        costs.append(counter.get_total_flops())
    # Keys and values of all tokens are left: 2 of the 12 parts of a block's products.
    assert costs[1] < 0.18 * costs[0]


def test_the_class_token_is_what_timms_whole_block_makes_of_it() -> None:
    network = small_network("vit_b16 token")
    block = network.blocks[-1]
    stream = torch.rand(2, 7, 12, dtype=torch.float64)
    whole = Block.forward(block, stream)
    torch.testing.assert_close(block(stream), whole[:, 0])


def test_patch_tokens_lie_on_the_grid_row_by_row() -> None:
    network = small_network("vit_b16 average")
    tokens = torch.arange(7.0, dtype=torch.float64)[None, :, None].expand(1, 7, 12)
    assert network.on_grid(tokens)[0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_stochastic_depth_is_for_training_alone() -> None:
    network = small_network("vit_b16 token", training=True)
    pixels, _ = noise(4)
    assert not torch.equal(network(pixels), network(pixels))
    network.eval()
    assert torch.equal(network(pixels), network(pixels))
