"""Explain a network by other published methods, to compare them with the maps it is shipped with.

Each method is a function of a network, one film's pixels [1, 1, rows, columns] and a class number;
it returns a map on the network's own grid. Methods that pytorch-grad-cam or captum has are taken
from there; only the others are written here. The network may be one that
`training.onnx_files.network_from_onnx` made of an exported file.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients
from jaxtyping import Float
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from timm.models.vision_transformer import Block
from torch import Tensor
from torch.nn.functional import one_hot

from models.backprop.attention import masking_scores
from models.network import Masked, Network, through, values_of
from models.registration import cell_centres
from models.vit_b16 import MaskableBlock, ViTB16
from training.onnx_files.network_from_onnx import logits_and_evidence, network_from_onnx

Map = Float[np.ndarray, "grid_rows grid_columns"]
Method = Callable[[Network, Tensor, int], Map]

STEPS = 32
"""Steps of integrated gradients on the way from a black film."""

SPOT = 0.5
"""Standard deviation, in cells, of the spot that ReciproCAM lets through."""


@torch.inference_mode()
def grad_cam(network: Network, pixels: Tensor, number: int) -> Map:
    """Return Grad-CAM's signed evidence, as the exported graph computes it.

    Source:
        Selvaraju et al. 2017, arXiv:1610.02391.
    """
    return logits_and_evidence(network, pixels)[1][0, number].numpy()


@torch.inference_mode()
def legrad(network: Network, pixels: Tensor, number: int) -> Map:
    """Return LeGrad of the last two blocks, as a graph exported with it computes it.

    Raises:
        ValueError: The network is not read from a class token.

    Source:
        Bousselham et al. 2024, arXiv:2404.03214.
    """
    return logits_and_evidence(network, pixels, "legrad")[1][0, number].numpy()


def class_activation(
    cam_class: type[BaseCAM],
    network: Network,
    pixels: Tensor,
    number: int,
    *,
    layer_name: str | None = None,
) -> Map:
    """Return the map of one of pytorch-grad-cam's classes at a layer; None is the target layer.

    It is taken before the library drops the negative values and scales the others to [0, 1].
    """
    layer = network.get_submodule(layer_name or network.target_layer)
    cam = cam_class(network, [layer], reshape_transform=network.on_grid)
    target, watched = ClassifierOutputTarget(number), cam.activations_and_grads
    try:
        logits = watched(pixels.clone().requires_grad_(cam.uses_gradients))
        if cam.uses_gradients:
            target(logits[0]).backward()
        activations, gradients = (
            tensors[0].detach().numpy() if tensors else None
            for tensors in (watched.activations, watched.gradients)
        )
        return cam.get_cam_image(pixels, layer, [target], activations, gradients, False)[0]
    finally:
        watched.release()


@torch.inference_mode()
def recipro_cam(network: Network, pixels: Tensor, number: int) -> Map:
    """Return the logit that each cell of the target layer gives by itself, the rest at 0.

    A small Gaussian spot of cells is let through; of a transformer, always the class token too.
    No gradient is taken. Under a pooled head, a spot of one cell would give Grad-CAM plus a bias.

    Source:
        Byun and Lee 2022, Recipro-CAM, arXiv:2209.14074, and arXiv:2310.02588 for transformers.
    """
    seam = network.seam(pixels)
    rows, columns = network.on_grid(seam.activations).shape[2:]
    spots = _spots(rows)[:, None, :, None] * _spots(columns)[None, :, None, :]
    spots = spots.flatten(0, 1)
    if seam.activations.dim() == 4:
        shown = seam.activations * spots[:, None]
    else:
        tokens = torch.cat([torch.ones(len(spots), 1), spots.flatten(1)], dim=1)
        shown = seam.activations * tokens[:, :, None]
    logits: Tensor = network.classify(shown, _repeated(seam.bypass, len(spots)))
    return logits[:, number].reshape(rows, columns).numpy()


def _repeated(bypass: Tensor | Masked | None, times: int) -> Tensor | Masked | None:
    """Return the residual stream of one film for each of as many films."""
    if isinstance(bypass, Masked):
        return Masked(bypass.values.expand(times, -1, -1), bypass.lungs)
    return None if bypass is None else bypass.expand(times, -1, -1)


def _spots(cells: int) -> Float[Tensor, "places cells"]:
    """Return a Gaussian spot around each place, 1 in its middle."""
    places = torch.arange(cells)
    return torch.exp(-0.5 * ((places[:, None] - places) / SPOT) ** 2)


def integrated_gradients(network: Network, pixels: Tensor, number: int) -> Map:
    """Return integrated gradients, summed over the pixels that are nearest to each cell's centre.

    They are captum's; the sum over the map is the rise of the logit above a black film's.

    Source:
        Sundararajan, Taly and Yan 2017, arXiv:1703.01365, equation 3 and proposition 1.
    """
    with torch.inference_mode():
        rows, columns = network.on_grid(network.features(pixels)).shape[2:]
    found = IntegratedGradients(network).attribute(
        pixels, baselines=0.0, target=number, n_steps=STEPS, internal_batch_size=8
    )
    cells = cell_centres(network)
    (row, column), (down, across) = cells.origin, cells.step
    of_rows = _nearest_cells(pixels.shape[2], rows, row, down)
    of_columns = _nearest_cells(pixels.shape[3], columns, column, across)
    return (of_rows.T @ found[0, 0].detach().float() @ of_columns).numpy()


def _nearest_cells(
    side: int, cells: int, origin: float, step: float
) -> Float[Tensor, "side cells"]:
    """Return 1 for the cell whose centre is nearest to each pixel along a side, else 0."""
    between = (torch.arange(side) + 0.5 - origin) / step
    return one_hot((between + 0.5).floor().long().clamp(0, cells - 1), cells).float()


def attention_rollout(network: Network, pixels: Tensor, number: int) -> Map:
    """Return attention rollout: the attention from the read-out to each patch through all blocks.

    It is the same for every class, and for every classification head.

    Raises:
        ValueError: The network is no transformer.

    Source:
        Abnar and Zuidema 2020, arXiv:2005.00928, section 3, heads averaged.
    """
    with torch.inference_mode():
        _, attentions = _attended(network, pixels)
        relevance = torch.eye(attentions[0].shape[-1])
        for attention in attentions:
            mixed = 0.5 * (attention[0].mean(dim=0) + torch.eye(len(relevance)))
            relevance = mixed @ relevance
    return _read_out(network, relevance)


def attention_gradient(network: Network, pixels: Tensor, number: int) -> Map:
    """Return attention weighted by its positive gradient, rolled out over the blocks.

    Raises:
        ValueError: The network is no transformer.

    Source:
        Chefer, Gur and Wolf 2021, arXiv:2103.15679, equations 5 and 6.
    """
    logits, attentions = _attended(network, pixels.clone().requires_grad_())
    gradients = torch.autograd.grad(logits[0, number], attentions)
    relevance = torch.eye(attentions[0].shape[-1])
    for attention, gradient in zip(attentions, gradients, strict=True):
        weighted = (attention * gradient)[0].clamp(min=0).mean(dim=0).detach()
        relevance = relevance + weighted @ relevance
    return _read_out(network, relevance)


def _attended(network: Network, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return logits and each block's attention [1, heads, tokens, tokens], all tokens computed."""
    if not isinstance(network, ViTB16):
        raise ValueError("attention methods need a vit_b16; this network has no attention")
    attentions: list[Tensor] = []
    x = through(network.embed, network.normalise(pixels))
    for block in network.blocks:
        tokens = _block(block, x, attentions)
        x = Masked(tokens, x.lungs) if isinstance(x, Masked) else tokens
    if network.reads_token:
        vectors = values_of(x)[:, 0]
    else:
        vectors = network.pool(network.inside(x) if isinstance(x, Masked) else x)
    return network.head(network.norm(vectors)), attentions


def _block(block: Block, x: Tensor | Masked, attentions: list[Tensor]) -> Tensor:
    """Return the output of timm's block for all tokens, and append its attention."""
    mask = block.key_mask(x) if isinstance(block, MaskableBlock) else None
    scores = None if mask is None else masking_scores(mask)
    fused, block.attn.fused_attn = block.attn.fused_attn, False
    hook = block.attn.attn_drop.register_forward_hook(lambda *seen: attentions.append(seen[2]))
    try:
        # Our own last block computes only one token.
        return Block.forward(block, values_of(x), attn_mask=scores)
    finally:
        hook.remove()
        block.attn.fused_attn = fused


def _read_out(network: Network, relevance: Float[Tensor, "tokens tokens"]) -> Map:
    """Return the relevance of each patch for the vector that the head reads."""
    averages = isinstance(network, ViTB16) and not network.reads_token
    row = relevance[1:].mean(dim=0) if averages else relevance[0]
    return network.on_grid(row[None, :, None])[0, 0].numpy()


METHODS: dict[str, Method] = {
    "grad_cam": grad_cam,
    "hirescam": partial(class_activation, HiResCAM),
    "legrad": legrad,
    "grad_cam_plus_plus": partial(class_activation, GradCAMPlusPlus),
    "layer_cam": partial(class_activation, LayerCAM),
    "score_cam": partial(class_activation, ScoreCAM),
    "recipro_cam": recipro_cam,
    "integrated_gradients": integrated_gradients,
    "attention_rollout": attention_rollout,
    "attention_gradient": attention_gradient,
}
AT_ANY_LAYER = {"grad_cam": GradCAM, "hirescam": HiResCAM, "layer_cam": LayerCAM}
OF_TRANSFORMERS = ("attention_rollout", "attention_gradient")


def methods_for(network: Network) -> dict[str, Method]:
    """Return the methods that can explain a network, by name."""
    is_transformer = isinstance(network, ViTB16)
    unfit = () if is_transformer else OF_TRANSFORMERS
    if not (is_transformer and network.reads_token):
        unfit = (*unfit, "legrad")
    return {name: method for name, method in METHODS.items() if name not in unfit}


def methods_at(layer_name: str) -> dict[str, Method]:
    """Return the methods that can explain by any layer, at the given one, by name and layer."""
    return {
        f"{name} at {layer_name}": partial(class_activation, cam_class, layer_name=layer_name)
        for name, cam_class in AT_ANY_LAYER.items()
    }


def map_by(
    name: str, model: Path, pixels: Float[np.ndarray, "rows columns"], class_number: int
) -> Map:
    """Return a film's map by one of the methods, for an exported model.

    Args:
        name: One of `METHODS`.
        model: The ONNX file.
        pixels: Network pixels in [0, 1].
        class_number: Of the class that is explained.

    Raises:
        OSError: The file can't be read.
        ValueError: There is no such method, it is not for this network, or the file is not sound.
    """
    if name not in METHODS:
        raise ValueError(f"--method must be one of {', '.join(METHODS)}, not {name!r}")
    return METHODS[name](_network(model), torch.from_numpy(pixels)[None, None], class_number)


@cache
def _network(model: Path) -> Network:
    network, _ = network_from_onnx(model)
    return network.requires_grad_(False)
