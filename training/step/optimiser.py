"""Build the optimiser, with a learning rate for each layer, and the schedule of the rate."""

import math
from typing import Any

from timm.optim import create_optimizer_v2
from torch import nn
from torch.optim import Optimizer

from models.network import LayeredNetwork, layers_in_order
from training.training_config import AdamWConfig, SGDConfig

UNDECAYED = ("embed.cls_token", "embed.pos_embed")
"""Tables of vectors that weight decay would pull to zero; timm spares them too."""


def optimiser_of(network: LayeredNetwork, config: AdamWConfig | SGDConfig) -> Optimizer:
    """Return timm's optimiser of that name for all parameters, frozen ones too.

    A group's `lr_scale` is its share of the learning rate, by which the rate must be multiplied.
    """
    groups = parameter_groups(
        network, weight_decay=config.weight_decay, layer_decay=config.layer_decay
    )
    momentum = {"momentum": config.momentum} if config.opt == "sgd" else {}
    return create_optimizer_v2(groups, opt=config.opt, lr=config.learning_rate, **momentum)


def parameter_groups(
    network: LayeredNetwork, *, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return the parameters, grouped by weight decay and share of the learning rate.

    The deepest layer learns at the full rate, each layer before it at `layer_decay` times the rate
    of the next. Biases, normalisation, class token and positions are not decayed.

    Source:
        Bao et al. 2022 (BEiT), arXiv:2106.08254, appendix; timm's `param_groups_layer_decay`.
    """
    depths = layer_depths(network)
    deepest = max(depths.values())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        is_decayed = parameter.ndim > 1 and name not in UNDECAYED
        key = (weight_decay if is_decayed else 0.0, layer_decay ** (deepest - depths[name]))
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "lr_scale": scale}
        for (decay, scale), parameters in groups.items()
    ]


def layer_depths(network: LayeredNetwork) -> dict[str, int]:
    """Return the depth of each parameter's layer, from 0.

    A layer without a weight matrix (a normalisation) has the depth of the layer before it.
    """
    depths: dict[str, int] = {}
    depth = -1
    for layer_name, layer in layers_in_order(network):
        parameters = dict(layer.named_parameters(prefix=layer_name))
        depth += any(parameter.ndim > 1 for parameter in parameters.values())
        depths |= dict.fromkeys(parameters, depth)
    return depths


def learning_rate_factor(step: int, *, warmup_steps: int, steps: int) -> float:
    """Return the share of the peak learning rate at a step: a linear rise, then half a cosine.

    Args:
        step: From 0.
        warmup_steps: Steps of the rise; the peak is reached at this step.
        steps: Steps of the whole training; the factor falls towards 0 there.

    Returns:
        In (0, 1].

    Source:
        Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5 with one period.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
