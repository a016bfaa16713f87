"""Save and load checkpoints: a network's weights and its spec, as two files in one folder."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.architectures import build
from models.card import NetworkSpec
from models.network import Network

WEIGHTS = "weights.safetensors"
SPEC = "spec.json"


def save_checkpoint(folder: Path, network: nn.Module, spec: NetworkSpec) -> None:
    """Write the network's weights and its spec into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / SPEC).write_text(spec.model_dump_json(indent=2))


def load_checkpoint(folder: Path) -> tuple[Network, NetworkSpec]:
    """Return the network saved in `folder`, with its weights, and its spec.

    Raises:
        ValueError: A file is missing, or the weights do not fit the network that the spec
            describes.
    """
    for name in (WEIGHTS, SPEC):
        if not (folder / name).is_file():
            raise ValueError(f"checkpoint {folder} has no {name}")
    spec = NetworkSpec.model_validate_json((folder / SPEC).read_text())
    network = build(spec)
    try:
        weights: dict[str, Tensor] = load_file(folder / WEIGHTS)
        network.load_state_dict(weights)
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"weights of {folder} are not those of its spec: {error}") from error
    return network, spec
