"""vit_b16 that looks only inside the lungs: what it reads, and that its gradients are right."""

import copy
from typing import Any, get_args

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import Tensor

from models.architectures import build
from models.card import LungSpec, NetworkSpec, ReadOut
from models.network import Masked
from tests.models.backprop.errors import relative_error
from tests.models.tape.test_network import plant
from tests.models.tape.test_three_networks import spoiled
from tests.support.lung_networks import CROP, films, lung_vit, outlined_films
from training.backprop_proofs.proofs import with_qkv_apart
from training.step.gradients import LossAndGradients, by_autograd, by_hand
from training.step.unfreezing import train_from

pytestmark = pytest.mark.slow

READ_OUTS = pytest.mark.parametrize("read_out", get_args(ReadOut))
PATCHES = (CROP[0] // 16, CROP[1] // 16)
TARGETS = torch.tensor([0, 3])


def seeded(gradients_of: Any, network: torch.nn.Module, **settings: Any) -> LossAndGradients:
    """Return loss and gradients, dropout's masks being drawn from the same seed each time."""
    torch.manual_seed(11)
    return gradients_of(copy.deepcopy(network), outlined_films(2), TARGETS, **settings)


def error(network: torch.nn.Module, **settings: Any) -> float:
    """Return the largest relative error of loss and gradients against autograd."""
    seen, expected = seeded(by_hand, network, **settings), seeded(by_autograd, network)
    assert seen.gradients.keys() == expected.gradients.keys()
    return relative_error(
        *(with_qkv_apart(one.gradients) | {"loss": one.loss} for one in (seen, expected))
    )


@READ_OUTS
@pytest.mark.parametrize("training", [True, False], ids=["training", "running"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_gradient_by_hand_equals_autograd(
    read_out: ReadOut, training: bool, checkpointing: bool
) -> None:
    network = lung_vit(read_out, training=training)
    train_from(network, None)
    network.train(training)
    assert error(network, checkpointing=checkpointing) < 1e-9


@pytest.mark.parametrize(
    ("function", "read_out"),
    [("attention_backward", "token"), ("masked_token_terms_backward", "average")],
)
def test_a_planted_error_is_seen(
    function: str, read_out: ReadOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, "transformer_layers", function, spoiled)
    assert error(lung_vit(read_out)) > 1e-4


def stream(network: Any) -> Tensor:
    """Return all tokens of a film that enter the last block but one."""
    halfway = network.halfway(films(1))
    tokens: Tensor = network.blocks[1:-2](halfway).values
    return tokens


def lungs_of(*patches: tuple[int, int], share: float = 1.0) -> Tensor:
    """Return a mask that covers some patches alike, [1, 1, rows, columns]."""
    mask = torch.zeros(1, 1, *PATCHES, dtype=torch.float64)
    for row, column in patches:
        mask[..., row, column] = share
    return mask.repeat_interleave(16, 2).repeat_interleave(16, 3)


def logits_of(network: Any, tokens: Tensor, lungs: Tensor) -> Tensor:
    seam = network.seam_after(network.blocks[1:1](Masked(tokens, lungs)))
    logits: Tensor = network.classify(*seam)
    return logits


INSIDE = ((1, 1), (2, 3), (4, 0))
NUMBERS = [0] + [1 + row * PATCHES[1] + column for row, column in INSIDE]


def test_masked_patches_are_as_good_as_absent() -> None:
    network = lung_vit("token")
    tokens = stream(network)
    left = tokens[:, NUMBERS]
    for block in network.blocks[-2:]:
        left = Block.forward(block, left)
    expected = network.head(network.norm(left[:, 0]))
    torch.testing.assert_close(logits_of(network, tokens, lungs_of(*INSIDE)), expected)


@READ_OUTS
def test_what_lies_outside_changes_nothing_from_the_masking_on(read_out: ReadOut) -> None:
    network = lung_vit(read_out)
    tokens, mask = stream(network), lungs_of(*INSIDE)
    if read_out == "average":
        change = torch.ones_like(tokens)
        change[:, NUMBERS] = 0
        masked = [network.inside(Masked(tokens + far * change, mask)) for far in (0, 1e6)]
        assert torch.equal(*masked)
    else:
        change = torch.ones_like(tokens)
        change[:, NUMBERS] = 0
        answers = [logits_of(network, tokens + far * change, mask) for far in (0, 3)]
        assert torch.equal(*answers)


def test_the_average_is_that_of_the_patches_inside_by_their_share_of_lung() -> None:
    network = lung_vit("average")
    tokens = stream(network)
    lungs = lungs_of((1, 1)) + lungs_of((2, 3), share=0.5)
    terms = network.inside(Masked(tokens, lungs))
    inside = (tokens[:, NUMBERS[1]] + 0.5 * tokens[:, NUMBERS[2]]) / 1.5
    torch.testing.assert_close(network.pool(terms), inside)
    assert (terms[0, 1:] != 0).any(dim=1).sum() == 2


@READ_OUTS
def test_a_film_without_lungs_gets_finite_numbers(read_out: ReadOut) -> None:
    network = lung_vit(read_out)
    empty = torch.cat([films(1), torch.zeros_like(films(1))], dim=1)
    logits = network(empty)
    assert logits.isfinite().all()
    gradients = by_hand(network, empty, TARGETS[:1]).gradients
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_without_lungs_the_class_token_attends_to_itself_alone() -> None:
    network = lung_vit("token")
    tokens = stream(network)
    alone = tokens[:, :1]
    for block in network.blocks[-2:]:
        alone = Block.forward(block, alone)
    expected = network.head(network.norm(alone[:, 0]))
    torch.testing.assert_close(logits_of(network, tokens, lungs_of()), expected)


@READ_OUTS
def test_logits_move_continuously_as_a_patch_comes_in(read_out: ReadOut) -> None:
    network = lung_vit(read_out)
    tokens = stream(network)
    logits = [
        logits_of(network, tokens, lungs_of((1, 1)) + lungs_of((2, 3), share=share))
        for share in (0.0, 1e-6, 1.0)
    ]
    little, much = ((moved - logits[0]).abs().max() for moved in logits[1:])
    assert 0 < little < 1e-4 * much


@READ_OUTS
def test_it_is_built_for_what_it_sees_of_the_film(read_out: ReadOut) -> None:
    target = "blocks.11.norm1" if read_out == "token" else "inside"
    spec = NetworkSpec(
        architecture="vit_b16",
        read_out=read_out,
        lungs=LungSpec(size=(32, 48)),
        class_names=("normal", "opacity"),
        image_size=(320, 320),
        resize_mode="stretch",
        target_layer=target,
        activation_grid=(2, 3),
        mean=0.5,
        std=0.25,
    )
    network = build(spec)
    assert network.embed.pos_embed.shape[1] == 1 + 2 * 3
    assert [name for name, layer in network.named_modules() if hasattr(layer, "row_windows")]
