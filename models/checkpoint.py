"""Save and load checkpoints: a network's weights and its spec, as two files in one folder.

The lung field that every classifier's file carries is such a checkpoint, within this package.
"""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.architectures import build
from models.card import LungFieldSpec, NetworkSpec
from models.lung_field import LungField
from models.network import Network

WEIGHTS = "weights.safetensors"
SPEC = "spec.json"
LUNG_FIELD = Path(__file__).with_name("lung_field_weights")
"""Folder of the trained lung field."""


def save_checkpoint(folder: Path, network: nn.Module, spec: NetworkSpec | LungFieldSpec) -> None:
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
    spec = NetworkSpec.model_validate_json(_spec(folder))
    network = build(spec)
    _load_weights(network, folder)
    return network, spec


def lung_field(folder: Path = LUNG_FIELD) -> tuple[LungField, LungFieldSpec]:
    """Return the trained lung field in eval mode, and its spec; or another one, saved in `folder`.

    Raises:
        ValueError: A file is missing, or the weights are not those of a lung field.
    """
    spec = LungFieldSpec.model_validate_json(_spec(folder))
    network = LungField()
    _load_weights(network, folder)
    return network.eval(), spec


def _spec(folder: Path) -> str:
    for name in (WEIGHTS, SPEC):
        if not (folder / name).is_file():
            raise ValueError(f"checkpoint {folder} has no {name}")
    return (folder / SPEC).read_text()


def _load_weights(network: nn.Module, folder: Path) -> None:
    """Load weights into a network, whose own numbers are float32 however they were stored."""
    try:
        weights: dict[str, Tensor] = load_file(folder / WEIGHTS)
        network.load_state_dict(weights)
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"weights of {folder} are not those of its spec: {error}") from error
