"""Late layers learn fastest, and only matrices decay."""

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay

from models.network import Network
from tests.support.small_networks import small_network
from training.step.optimiser import layer_depths, optimiser_of, parameter_groups
from training.training_config import AdamWConfig, SGDConfig


def settings(network: Network, **changes: float) -> dict[str, tuple[float, float]]:
    """Return weight decay and share of the learning rate by parameter."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network, **{"weight_decay": 0.1, "layer_decay": 0.5} | changes)
    return {
        names[id(parameter)]: (group["weight_decay"], group["lr_scale"])
        for group in groups
        for parameter in group["params"]
    }


def test_a_transformer_is_grouped_as_timm_groups_it() -> None:
    ours = settings(small_network("vit_b16 token"))
    theirs = timm.models.VisionTransformer(img_size=32, embed_dim=12, depth=3, num_heads=3)
    names = {id(parameter): name for name, parameter in theirs.named_parameters()}
    groups = param_groups_layer_decay(
        theirs, 0.1, no_weight_decay_list=theirs.no_weight_decay(), layer_decay=0.5
    )
    own_names = {"cls_token": "embed.cls_token", "pos_embed": "embed.pos_embed"}
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)].replace("patch_embed", "embed")
            decay, scale = ours.pop(own_names.get(name, name))
            assert (decay, scale) == (group["weight_decay"], group["lr_scale"])
    assert not ours


def test_each_layer_learns_half_as_fast_as_the_next() -> None:
    scales = settings(small_network("vgg16"))
    names = [f"trunk.{number}.weight" for number in (0, 3, 6, 9, 12)]
    assert [scales[name][1] for name in names] == [2.0**-power for power in (5, 4, 3, 2, 1)]
    assert scales["head.weight"] == (0.1, 1)


def test_without_layer_decay_all_layers_learn_alike() -> None:
    assert {
        scale for _, scale in settings(small_network("chest_cnn"), layer_decay=1.0).values()
    } == {1}


def test_every_parameter_has_a_depth() -> None:
    network = small_network("chest_cnn")
    assert set(layer_depths(network)) == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(("opt", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_optimiser_is_the_one_named(opt: str, kind: type) -> None:
    config = SGDConfig(momentum=0.8) if opt == "sgd" else AdamWConfig()
    optimiser = optimiser_of(small_network("vgg16"), config)
    assert isinstance(optimiser, kind)
    assert optimiser.param_groups[0].get("momentum", 0.8) == 0.8
