"""LeGrad in closed form is LeGrad by autograd, for every class, and of no other network."""

from collections.abc import Callable

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import Tensor

from models.backprop.attention import masking_scores
from models.network import Masked, values_of
from models.vit_b16 import MaskableBlock, ViTB16
from tests.support.lung_networks import films, lung_vit
from tests.support.small_networks import SMALL, noise, small_network
from training.onnx_files.network_from_onnx import logits_and_evidence
from xai.explained_network import grad_cam


def by_autograd(network: ViTB16, pixels: Tensor) -> Tensor:
    """Return the mean of both blocks' maps, timm's blocks computing all tokens."""
    stream = network.halfway(pixels)
    stream = network.blocks[len(network.blocks) // 2 : -2](stream)
    maps = []
    for block in network.blocks[-2:]:
        maps.append(map_of(network, block, stream))
        if block is not network.blocks[-1]:
            stream = block(stream)
    return torch.stack(maps).mean(dim=0)


def map_of(
    network: ViTB16,
    block: Block,
    stream: Tensor | Masked,
    score: Callable[[Tensor], Tensor] = lambda logits: logits,
) -> Tensor:
    mask = block.key_mask(stream) if isinstance(block, MaskableBlock) else None
    seen: list[Tensor] = []
    hook = block.attn.attn_drop.register_forward_hook(lambda *call: seen.append(call[2]))
    block.attn.fused_attn = False
    scores = None if mask is None else masking_scores(mask)
    tokens = Block.forward(block, values_of(stream), attn_mask=scores)
    hook.remove()
    logits = network.head(network.norm(tokens[:, 0]))
    rows = []
    for logit in score(logits).T:
        (gradient,) = torch.autograd.grad(logit.sum(), seen[0], retain_graph=True)
        assert (gradient[:, :, 1:] == 0).all()  # only the class token's own row is read
        if mask is not None:
            gradient = gradient * mask[:, None, None]  # by the attention before the mask
        rows.append(gradient.relu().mean(dim=1)[:, 0])
    return network.on_grid(torch.stack(rows, dim=2))


@pytest.mark.parametrize("masked", [False, True])
def test_every_class_has_the_map_that_autograd_gives(masked: bool) -> None:
    network = lung_vit("token") if masked else small_network("vit_b16 token")
    pixels = films(2) if masked else noise(3)[0]
    found = logits_and_evidence(network, pixels, "legrad")[1]
    expected = by_autograd(network, pixels)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert found.amax(dim=(2, 3)).min() > 0


def test_its_values_are_never_negative_and_do_not_add_up_to_the_logit() -> None:
    network, (pixels, _) = small_network("vit_b16 token"), noise(3)
    logits, evidence = logits_and_evidence(network, pixels, "legrad")
    assert evidence.min() >= 0
    assert (evidence.sum(dim=(2, 3)) - logits).abs().min() > 1e-3


def test_a_seam_alone_gives_the_map_of_the_last_block() -> None:
    network, (pixels, _) = small_network("vit_b16 token"), noise(2)
    stream = network.blocks[:-1](network.embed(network.normalise(pixels)))
    logits, evidence = grad_cam(network, "legrad").explain(network.seam(pixels))
    torch.testing.assert_close(logits, network(pixels))
    torch.testing.assert_close(evidence, map_of(network, network.blocks[-1], stream))


@pytest.mark.parametrize("name", [name for name in SMALL if name != "vit_b16 token"])
def test_a_network_without_a_class_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="legrad has a closed form for vit_b16 that is read from"):
        grad_cam(small_network(name), "legrad")
