"""Load pretrained weights for vgg16 and vit_b16, from timm's hub or from a file.

Published networks take colour images and name their layers as timm or torchvision do. Here the
names are translated, and the patch embedding's three colour kernels are summed into one for grey.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import timm
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor, tensor

from models.card import Architecture, Colours, PerChannel
from models.layers import grey, per_colour
from models.network import Network
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16

Weights = dict[str, Tensor]

TIMM_NAMES: dict[Architecture, str] = {"vgg16": "vgg16", "vit_b16": "vit_base_patch16_224"}

FROM_TORCHVISION = {
    "vgg16": {
        r"classifier\.0\.": "pre_logits.fc1.",
        r"classifier\.3\.": "pre_logits.fc2.",
        r"classifier\.6\.": "head.fc.",
    },
    "vit_b16": {
        r"class_token$": "cls_token",
        r"encoder\.pos_embedding$": "pos_embed",
        r"conv_proj\.": "patch_embed.proj.",
        r"encoder\.layers\.encoder_layer_(\d+)\.": r"blocks.\1.",
        r"blocks\.(\d+)\.ln_": r"blocks.\1.norm",
        r"self_attention\.in_proj_": "attn.qkv.",
        r"self_attention\.out_proj\.": "attn.proj.",
        r"mlp\.(?:0|linear_1)\.": "mlp.fc1.",
        r"mlp\.(?:3|linear_2)\.": "mlp.fc2.",
        r"encoder\.ln\.": "norm.",
        r"heads\.head\.": "head.",
    },
}
"""Prefixes of torchvision's layer names, and timm's names for them."""

FROM_TIMM = {
    "vgg16": {r"features\.": "trunk.", r"pre_logits\.": "hidden.", r"head\.fc\.": "head."},
    "vit_b16": {
        r"(cls_token|pos_embed)$": r"embed.\1",
        r"patch_embed\.": "embed.",
        r"fc_norm\.": "norm.",
    },
}
"""Prefixes of timm's layer names, and the names in the networks here."""


class Pretrained(NamedTuple):
    """Pretrained weights, and the mean and std of the pixels they were trained on.

    Attributes:
        weights: Under timm's or torchvision's names.
        mean: Of red, green and blue in [0, 1]; one figure where all three are equal.
        std: Likewise.
    """

    weights: Weights
    mean: PerChannel
    std: PerChannel


def from_hub(architecture: Architecture) -> Pretrained:
    """Return timm's default weights; timm downloads them once and caches them.

    Raises:
        ValueError: There are none for this architecture, or they could not be downloaded.
    """
    _require_published(architecture)
    try:
        network = timm.create_model(TIMM_NAMES[architecture], pretrained=True)
    except (OSError, RuntimeError) as error:  # timm lets through what its hub client raises
        raise ValueError(
            f"timm could not download weights of {TIMM_NAMES[architecture]}: {error}; "
            f"without a network give a safetensors file with --weights, and its mean and std"
        ) from error
    config = network.pretrained_cfg
    return Pretrained(network.state_dict(), tuple(config["mean"]), tuple(config["std"]))


def from_file(architecture: Architecture, file: Path, *, mean: Colours, std: Colours) -> Pretrained:
    """Return the weights of a safetensors file, as float32.

    Args:
        architecture: The network they are for.
        file: Weights under timm's or torchvision's names.
        mean: Mean that the weights' publisher subtracts from red, green and blue in [0, 1]. Wrong
            figures raise no error: timm's ViT needs 0.5, most other networks ImageNet's.
        std: Standard deviation that the publisher divides by.

    Raises:
        ValueError: It is not a safetensors file, or the architecture has no published weights.
    """
    _require_published(architecture)
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"weights {file} can't be read as a safetensors file: {error}") from error
    return Pretrained({name: value.float() for name, value in weights.items()}, mean, std)


def load_pretrained(network: Network, pretrained: Pretrained) -> None:
    """Load pretrained weights into a network; only the head may be missing or differ.

    A window on the lungs keeps its own weights; layers after the one that is read are left out.

    Args:
        network: Built with the mean and std of `pretrained`.
        pretrained: Weights under timm's or torchvision's names.

    Raises:
        ValueError: A weight is missing, unexpected, or of another shape; the message lists all.
    """
    if isinstance(network, VGG16):
        weights = _vgg16_weights(network, pretrained)
    elif isinstance(network, ViTB16):
        weights = _vit_b16_weights(network, pretrained)
    else:
        raise ValueError(f"no published weights fit a {type(network).__name__}")
    ours = ("head.", "normalise.")  # the lung field has weights of its own
    own = {name: p for name, p in network.named_parameters() if not name.startswith(ours)}
    given = {name: value for name, value in weights.items() if not name.startswith("head.")}
    _check(own, given)
    network.load_state_dict(given, strict=False)


def _vgg16_weights(network: VGG16, pretrained: Pretrained) -> Weights:
    weights = _renamed(pretrained.weights, "vgg16")
    if network.is_pooled:  # both hidden layers belong to the head that is replaced
        unread = ("hidden.", *network.unread)
        return {name: value for name, value in weights.items() if not name.startswith(unread)}
    # timm has the hidden layers as convolutions over the whole grid.
    return {
        name: value.flatten(1) if name.startswith("hidden.") and value.dim() == 4 else value
        for name, value in weights.items()
    }


def _vit_b16_weights(network: ViTB16, pretrained: Pretrained) -> Weights:
    renamed = _renamed(pretrained.weights, "vit_b16")
    weights = {n: value for n, value in renamed.items() if not n.startswith(network.unread)}
    if {"embed.proj.weight", "embed.proj.bias"} <= weights.keys():
        weights["embed.proj.weight"], weights["embed.proj.bias"] = grey_patch_embedding(
            weights["embed.proj.weight"],
            weights["embed.proj.bias"],
            mean=per_colour(pretrained.mean),
            std=per_colour(pretrained.std),
        )
    positions = weights.get("embed.pos_embed")
    if positions is not None and positions.shape != network.embed.pos_embed.shape:
        # Published grids are square, and timm takes them so.
        weights["embed.pos_embed"] = resample_abs_pos_embed(positions, list(network.grid))
    return weights


def grey_patch_embedding(
    weight: Tensor, bias: Tensor, *, mean: Colours, std: Colours
) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a patch embedding for one grey channel, instead of three colours.

    For a grey film the result is exactly that of the three colours, (pixels - mean[c]) / std[c].
    Without padding, their embedding is linear in the pixels, and so in the grey (pixels - m) / s:

        sum over c of w[c] * (pixels - mean[c]) / std[c]
            = (sum of w[c] * s / std[c]) * (pixels - m) / s + sum of w[c] * (m - mean[c]) / std[c]

    Args:
        weight: [width, 3, rows, columns].
        bias: [width].
        mean: Of the colours; m is its mean.
        std: Of the colours; s is its mean.

    Returns:
        Weight [width, 1, rows, columns], and bias [width].
    """
    means, stds = tensor(mean)[:, None, None], tensor(std)[:, None, None]
    grey_weight = (weight * (grey(std) / stds)).sum(dim=1, keepdim=True)
    offsets = (weight * ((grey(mean) - means) / stds)).sum(dim=(1, 2, 3))
    return grey_weight, bias + offsets


def _renamed(weights: Mapping[str, Tensor], architecture: Architecture) -> Weights:
    rules = FROM_TORCHVISION[architecture] | FROM_TIMM[architecture]
    renamed = {}
    for name, value in weights.items():
        own = name
        for pattern, replacement in rules.items():
            own = re.sub(rf"(?:^|(?<=\.)){pattern}", replacement, own, count=1)
        renamed[own] = value
    return renamed


def _check(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    missing, unexpected = own.keys() - given.keys(), given.keys() - own.keys()
    other_shapes = {
        f"{name} {tuple(given[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own.keys() & given.keys()
        if given[name].shape != own[name].shape
    }
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": other_shapes}
    found = [f"{fault}: {', '.join(sorted(names))}" for fault, names in faults.items() if names]
    if found:
        raise ValueError("the weights do not fit the network; " + "; ".join(found))


def _require_published(architecture: Architecture) -> None:
    if architecture not in TIMM_NAMES:
        raise ValueError(
            f"there are no pretrained weights for {architecture}, only for "
            f"{' and '.join(TIMM_NAMES)}: it is trained from scratch"
        )
